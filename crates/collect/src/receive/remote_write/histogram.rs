//! A native histogram of either version: checked, its deltas summed into absolute counts.
//!
//! The checks are Prometheus's (`Histogram.Validate`): spans that match their buckets and do not
//! overlap, counts that are not negative, a total that covers the buckets, custom bounds that rise.

use model::{Histogram, ResetHint, Span, histogram::CUSTOM_BUCKETS_SCHEMA};

use super::super::{
    Fault,
    intake::{Intake, Stop},
    protobuf::{Fields, Malformed, Value, zigzag},
};

/// A decoded message.
#[derive(Debug, Default)]
pub(super) struct Sent {
    histogram: Histogram,
    pub(super) time_ms: i64,
    pub(super) start_ms: i64,
    positive: Buckets,
    negative: Buckets,
    float: bool,
}

/// One side's buckets as sent: deltas of integers, or floats.
#[derive(Debug, Default)]
struct Buckets {
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

impl Sent {
    /// Reads a message; what it will take is charged while it grows.
    pub(super) fn read(message: &[u8], intake: &mut Intake<'_>) -> Result<Self, Stop> {
        intake.charge(size_of::<Histogram>() + message.len())?;
        let mut sent = Self::default();
        let mut fields = Fields::new(message);
        while let Some((number, field)) = fields.next()? {
            sent.field(number, field, intake)?;
        }
        Ok(sent)
    }

    fn field(
        &mut self,
        number: u32,
        field: Value<'_>,
        intake: &mut Intake<'_>,
    ) -> Result<(), Stop> {
        let histogram = &mut self.histogram;
        match number {
            1 => (histogram.count, self.float) = (field.varint()? as f64, false),
            2 => (histogram.count, self.float) = (field.double()?, true),
            3 => histogram.sum = field.double()?,
            4 => histogram.schema = field.sint32()?,
            5 => histogram.zero_threshold = field.double()?,
            6 => histogram.zero_count = field.varint()? as f64,
            7 => histogram.zero_count = field.double()?,
            8 => push_span(&mut histogram.negative_spans, field, intake)?,
            9 => self.negative.push_deltas(field, intake)?,
            10 => push_doubles(&mut self.negative.counts, field, intake)?,
            11 => push_span(&mut histogram.positive_spans, field, intake)?,
            12 => self.positive.push_deltas(field, intake)?,
            13 => push_doubles(&mut self.positive.counts, field, intake)?,
            14 => histogram.reset_hint = reset_hint(field.varint()?),
            15 => self.time_ms = field.int64()?,
            16 => push_doubles(&mut histogram.custom_values, field, intake)?,
            17 => self.start_ms = field.int64()?,
            _ => {}
        }
        Ok(())
    }

    /// The histogram, if it does not contradict itself.
    pub(super) fn finish(mut self) -> Result<Histogram, Fault> {
        let float = self.float;
        self.histogram.positive_buckets = self.positive.absolute(float)?;
        self.histogram.negative_buckets = self.negative.absolute(float)?;
        if is_sound(&self.histogram) {
            Ok(self.histogram)
        } else {
            Err(Fault::BadHistogram)
        }
    }
}

impl Buckets {
    fn push_deltas(&mut self, field: Value<'_>, intake: &mut Intake<'_>) -> Result<(), Stop> {
        field.each_varint(|delta| {
            intake.charge(2 * size_of::<f64>())?;
            self.deltas.push(zigzag(delta));
            Ok(())
        })
    }

    /// Absolute counts. Integers are summed exactly before they become floats.
    fn absolute(self, float: bool) -> Result<Vec<f64>, Fault> {
        if float {
            return if self.deltas.is_empty() {
                Ok(self.counts)
            } else {
                Err(Fault::BadHistogram)
            };
        }
        if !self.counts.is_empty() {
            return Err(Fault::BadHistogram);
        }
        let mut sum = 0_i64;
        let add = |delta: i64| {
            sum = sum.checked_add(delta).ok_or(Fault::BadHistogram)?;
            Ok(sum as f64)
        };
        self.deltas.into_iter().map(add).collect()
    }
}

fn push_doubles(
    into: &mut Vec<f64>,
    field: Value<'_>,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    field.each_fixed64(|bits| {
        intake.charge(size_of::<f64>())?;
        into.push(f64::from_bits(bits));
        Ok(())
    })
}

fn push_span(spans: &mut Vec<Span>, field: Value<'_>, intake: &mut Intake<'_>) -> Result<(), Stop> {
    intake.charge(size_of::<Span>())?;
    spans.push(span(field)?);
    Ok(())
}

fn span(field: Value<'_>) -> Result<Span, Malformed> {
    let mut span = Span {
        offset: 0,
        length: 0,
    };
    let mut fields = field.message()?;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => span.offset = field.sint32()?,
            2 => span.length = field.uint32()?,
            _ => {}
        }
    }
    Ok(span)
}

fn reset_hint(number: u64) -> ResetHint {
    match number {
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    }
}

/// Schemas of exponential buckets.
const EXPONENTIAL_SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

/// Whether a histogram's parts fit each other.
pub(in super::super) fn is_sound(histogram: &Histogram) -> bool {
    let h = histogram;
    let schema = if h.schema == CUSTOM_BUCKETS_SCHEMA {
        custom_is_sound(h)
    } else {
        EXPONENTIAL_SCHEMAS.contains(&h.schema) && h.custom_values.is_empty()
    };
    schema
        && h.zero_threshold >= 0.0
        && h.zero_count >= 0.0
        && h.count >= 0.0
        && spans_fit(&h.positive_spans, &h.positive_buckets)
        && spans_fit(&h.negative_spans, &h.negative_buckets)
        && (is_stale(h) || covers(h))
}

fn is_stale(histogram: &Histogram) -> bool {
    model::is_stale(histogram.sum)
}

/// Whether the total covers the buckets. NaN observations are in no bucket, so it may be more;
/// it must be equal when the sum is a number. Floats are compared with room for rounding.
fn covers(h: &Histogram) -> bool {
    let buckets: f64 = h.positive_buckets.iter().chain(&h.negative_buckets).sum();
    let filed = buckets + h.zero_count;
    let room = h.count.abs().max(filed) * 1e-9;
    filed <= h.count + room && (h.sum.is_nan() || filed >= h.count - room)
}

fn custom_is_sound(h: &Histogram) -> bool {
    let bounds = &h.custom_values;
    let length: u64 = h.positive_spans.iter().map(|s| u64::from(s.length)).sum();
    let offset: i64 = h.positive_spans.iter().map(|s| i64::from(s.offset)).sum();
    bounds.is_sorted_by(|a, b| a < b)
        && bounds.iter().all(|bound| bound.is_finite())
        && h.zero_count == 0.0
        && h.zero_threshold == 0.0
        && h.negative_spans.is_empty()
        && h.negative_buckets.is_empty()
        && h.positive_spans.iter().all(|span| span.offset >= 0)
        && offset + length.cast_signed() <= bounds.len() as i64 + 1
}

fn spans_fit(spans: &[Span], buckets: &[f64]) -> bool {
    let total: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    total == buckets.len() as u64
        && spans.iter().skip(1).all(|span| span.offset >= 0)
        && indexes_fit(spans)
        && buckets.iter().all(|count| *count >= 0.0)
}

/// Whether every bucket's index fits 32 bits, as those who add them up take for granted.
fn indexes_fit(spans: &[Span]) -> bool {
    let mut next = 0_i64;
    spans.iter().all(|span| {
        next += i64::from(span.offset) + i64::from(span.length);
        i32::try_from(next).is_ok()
    })
}
