//! A batch as bytes in a spill segment: labels once a segment, then numbers. Drawn in
//! `docs/formats/spill.md`.

use std::sync::Arc;

use model::{
    Batch, Exemplar, Histogram, Labels, Metadata, MetricType, ResetHint, Sample, Span, Value,
};
use rustc_hash::FxHashMap;

use crate::receive::protobuf::{Malformed, varint, zigzag};

/// The payload's version.
const VERSION: u8 = 1;

/// Numbers of the series a segment has introduced, for its writer.
#[derive(Debug, Default)]
pub(super) struct Introduced(FxHashMap<Labels, u32>);

#[cfg(test)]
impl Introduced {
    pub(super) fn has(&self, series: &Labels) -> bool {
        self.0.contains_key(series)
    }
}

/// Series by number, for a segment's reader.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<Labels>);

type Read<T> = Result<T, Malformed>;

/// Appends a batch's payload.
pub(super) fn encode(out: &mut Vec<u8>, batch: &Batch, introduced: &mut Introduced) {
    out.push(VERSION);
    put(out, batch.samples.len() as u64);
    let series = batch.samples.iter().map(|s| &s.labels);
    let series: Vec<&Labels> = series
        .chain(batch.exemplars.iter().map(|e| &e.series))
        .collect();
    let numbers = introduce(out, &series, introduced);
    put(out, batch.metadata.len() as u64);
    for said in &batch.metadata {
        put_metadata(out, said);
    }
    let (samples, exemplars) = numbers.split_at(batch.samples.len());
    let mut last = (0, 0);
    for histograms in [false, true] {
        put_samples(out, &batch.samples, samples, histograms, &mut last);
    }
    put(out, batch.exemplars.len() as u64);
    for (exemplar, number) in batch.exemplars.iter().zip(exemplars) {
        put_place(out, (*number, exemplar.time_ms), &mut last);
        put_float(out, exemplar.value);
        put_bytes(out, exemplar.labels.as_bytes());
    }
}

/// Samples a payload holds, without decoding the rest.
pub(super) fn samples(payload: &[u8]) -> Read<u64> {
    let mut rest = payload;
    version(&mut rest)?;
    varint(&mut rest)
}

/// Adds a payload's batch to `into`. All payloads of a segment are read in order: each may
/// introduce series that later ones refer to.
pub(super) fn decode(payload: &[u8], known: &mut Known, into: &mut Batch) -> Read<()> {
    let mut rest = payload;
    version(&mut rest)?;
    varint(&mut rest)?;
    learn(&mut rest, known)?;
    for _ in 0..varint(&mut rest)? {
        into.metadata.push(metadata(&mut rest)?);
    }
    let mut last = (0, 0);
    for histograms in [false, true] {
        for _ in 0..varint(&mut rest)? {
            let (labels, time_ms) = place(&mut rest, known, &mut last)?;
            let value = if histograms {
                Value::Histogram(Arc::new(histogram(&mut rest)?))
            } else {
                Value::Float(float(&mut rest)?)
            };
            into.samples.push(Sample {
                labels,
                time_ms,
                value,
            });
        }
    }
    for _ in 0..varint(&mut rest)? {
        let (series, time_ms) = place(&mut rest, known, &mut last)?;
        let value = float(&mut rest)?;
        let labels = labels(&mut rest)?;
        into.exemplars.push(Exemplar {
            series,
            labels,
            value,
            time_ms,
        });
    }
    Ok(())
}

/// Learns the series a payload introduces and skips the rest: for what was sent already.
pub(super) fn skim(payload: &[u8], known: &mut Known) -> Read<()> {
    let mut rest = payload;
    version(&mut rest)?;
    varint(&mut rest)?;
    learn(&mut rest, known)
}

fn version(rest: &mut &[u8]) -> Read<()> {
    match rest.split_first() {
        Some((&VERSION, after)) => {
            *rest = after;
            Ok(())
        }
        _ => Err(Malformed("a record of an unknown version")),
    }
}

/// Writes the series not seen before in this segment; the numbers of all.
fn introduce(out: &mut Vec<u8>, series: &[&Labels], introduced: &mut Introduced) -> Vec<u32> {
    let mut fresh: Vec<&Labels> = Vec::new();
    let mut numbers = Vec::with_capacity(series.len());
    for labels in series {
        let next = introduced.0.len() as u32;
        let number = match introduced.0.get(*labels) {
            Some(number) => *number,
            None => {
                introduced.0.insert((*labels).clone(), next);
                fresh.push(labels);
                next
            }
        };
        numbers.push(number);
    }
    put(out, fresh.len() as u64);
    for labels in fresh {
        put_bytes(out, labels.as_bytes());
    }
    numbers
}

fn learn(rest: &mut &[u8], known: &mut Known) -> Read<()> {
    for _ in 0..varint(rest)? {
        known.0.push(labels(rest)?);
    }
    Ok(())
}

fn labels(rest: &mut &[u8]) -> Read<Labels> {
    Labels::from_bytes(take_bytes(rest)?).ok_or(Malformed("a label set that is none"))
}

fn put_samples(
    out: &mut Vec<u8>,
    all: &[Sample],
    numbers: &[u32],
    histograms: bool,
    last: &mut (u32, i64),
) {
    let wanted = |sample: &Sample| matches!(sample.value, Value::Histogram(_)) == histograms;
    put(out, all.iter().filter(|s| wanted(s)).count() as u64);
    for (sample, number) in all.iter().zip(numbers).filter(|(s, _)| wanted(s)) {
        put_place(out, (*number, sample.time_ms), last);
        match &sample.value {
            Value::Float(value) => put_float(out, *value),
            Value::Histogram(histogram) => put_histogram(out, histogram),
        }
    }
}

/// A series and a time, as steps from those before.
fn put_place(out: &mut Vec<u8>, place: (u32, i64), last: &mut (u32, i64)) {
    put_signed(out, i64::from(place.0) - i64::from(last.0));
    put_signed(out, place.1.wrapping_sub(last.1));
    *last = place;
}

fn place(rest: &mut &[u8], known: &Known, last: &mut (u32, i64)) -> Read<(Labels, i64)> {
    let number = i64::from(last.0).wrapping_add(signed(rest)?);
    let time_ms = last.1.wrapping_add(signed(rest)?);
    let number = u32::try_from(number).map_err(|_range| Malformed("a series out of range"))?;
    let labels = known.0.get(number as usize);
    let labels = labels.ok_or(Malformed("a series nobody introduced"))?;
    *last = (number, time_ms);
    Ok((labels.clone(), time_ms))
}

fn put_histogram(out: &mut Vec<u8>, h: &Histogram) {
    put_signed(out, i64::from(h.schema));
    for value in [h.zero_threshold, h.zero_count, h.count, h.sum] {
        put_float(out, value);
    }
    put_spans(out, &h.positive_spans);
    put_floats(out, &h.positive_buckets);
    put_spans(out, &h.negative_spans);
    put_floats(out, &h.negative_buckets);
    put_floats(out, &h.custom_values);
    out.push(match h.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    });
}

fn histogram(rest: &mut &[u8]) -> Read<Histogram> {
    let schema = i32::try_from(signed(rest)?).map_err(|_range| Malformed("a schema"))?;
    Ok(Histogram {
        schema,
        zero_threshold: float(rest)?,
        zero_count: float(rest)?,
        count: float(rest)?,
        sum: float(rest)?,
        positive_spans: spans(rest)?,
        positive_buckets: floats(rest)?,
        negative_spans: spans(rest)?,
        negative_buckets: floats(rest)?,
        custom_values: floats(rest)?,
        reset_hint: match byte(rest)? {
            1 => ResetHint::Reset,
            2 => ResetHint::NotReset,
            3 => ResetHint::Gauge,
            _ => ResetHint::Unknown,
        },
    })
}

fn put_spans(out: &mut Vec<u8>, spans: &[Span]) {
    put(out, spans.len() as u64);
    for span in spans {
        put_signed(out, i64::from(span.offset));
        put(out, u64::from(span.length));
    }
}

fn spans(rest: &mut &[u8]) -> Read<Vec<Span>> {
    let mut spans = Vec::new();
    for _ in 0..varint(rest)? {
        let offset = i32::try_from(signed(rest)?);
        let length = u32::try_from(varint(rest)?);
        let (Ok(offset), Ok(length)) = (offset, length) else {
            return Err(Malformed("a span out of range"));
        };
        spans.push(Span { offset, length });
    }
    Ok(spans)
}

fn put_floats(out: &mut Vec<u8>, values: &[f64]) {
    put(out, values.len() as u64);
    for value in values {
        put_float(out, *value);
    }
}

fn floats(rest: &mut &[u8]) -> Read<Vec<f64>> {
    let mut values = Vec::new();
    for _ in 0..varint(rest)? {
        values.push(float(rest)?);
    }
    Ok(values)
}

const TYPES: [MetricType; 8] = [
    MetricType::Unknown,
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Histogram,
    MetricType::GaugeHistogram,
    MetricType::Summary,
    MetricType::Info,
    MetricType::StateSet,
];

fn put_metadata(out: &mut Vec<u8>, said: &Metadata) {
    put_bytes(out, said.family.as_bytes());
    let number = TYPES.iter().position(|t| *t == said.metric_type);
    out.push(number.expect("every type is in the list") as u8);
    put_bytes(out, said.help.as_bytes());
    put_bytes(out, said.unit.as_bytes());
}

fn metadata(rest: &mut &[u8]) -> Read<Metadata> {
    let family = text(rest)?;
    let metric_type = TYPES.get(usize::from(byte(rest)?)).copied();
    Ok(Metadata {
        family,
        metric_type: metric_type.ok_or(Malformed("a metric type"))?,
        help: text(rest)?,
        unit: text(rest)?,
    })
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

fn signed(rest: &mut &[u8]) -> Read<i64> {
    Ok(zigzag(varint(rest)?))
}

/// The bits with their bytes reversed: the low bytes of everyday values are zero.
fn put_float(out: &mut Vec<u8>, value: f64) {
    put(out, value.to_bits().swap_bytes());
}

fn float(rest: &mut &[u8]) -> Read<f64> {
    Ok(f64::from_bits(varint(rest)?.swap_bytes()))
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Read<&'a [u8]> {
    let length = usize::try_from(varint(rest)?).unwrap_or(usize::MAX);
    let (bytes, after) = rest
        .split_at_checked(length)
        .ok_or(Malformed("cut off in a text"))?;
    *rest = after;
    Ok(bytes)
}

fn text(rest: &mut &[u8]) -> Read<String> {
    let text = std::str::from_utf8(take_bytes(rest)?);
    text.map(str::to_owned)
        .map_err(|_invalid| Malformed("a text that is not UTF-8"))
}

fn byte(rest: &mut &[u8]) -> Read<u8> {
    let (first, after) = rest.split_first().ok_or(Malformed("cut off"))?;
    *rest = after;
    Ok(*first)
}
