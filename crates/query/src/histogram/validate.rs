//! What is no histogram: a gate for histograms from outside.

use model::{Histogram, Span};
use thiserror::Error;

use super::buckets::is_custom;

/// The coarsest exponential schema.
pub const SCHEMA_MIN: i32 = -4;
/// The finest exponential schema.
pub const SCHEMA_MAX: i32 = 8;

/// Why a histogram is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Invalid {
    /// Neither exponential nor custom.
    #[error("schema {0} is neither -4 to 8 nor -53")]
    Schema(i32),
    /// Spans and buckets disagree in number.
    #[error("spans cover {spans} buckets, but there are {buckets}")]
    SpansBuckets {
        /// Buckets that the spans cover.
        spans: u64,
        /// Buckets given.
        buckets: usize,
    },
    /// A span begins before the one before it ends.
    #[error("a span begins before the one before it ends")]
    SpanOffset,
    /// A negative count.
    #[error("a count is negative")]
    NegativeCount,
    /// Custom bounds that do not rise, or are not finite.
    #[error("custom bounds must be finite and rise")]
    CustomBounds,
    /// More custom buckets than bounds allow.
    #[error("there are more buckets than custom bounds allow")]
    TooFewBounds,
    /// A field that the schema has no use for.
    #[error("{0} makes no sense with this schema")]
    Misplaced(&'static str),
}

/// Whether the number is that of an exponential schema.
#[must_use]
pub fn is_exponential(schema: i32) -> bool {
    (SCHEMA_MIN..=SCHEMA_MAX).contains(&schema)
}

/// Refuses what is no histogram. Whether the count is that of the buckets is not checked: NaN
/// observations are in none, and rounding would give false alarms.
pub fn validate(h: &Histogram) -> Result<(), Invalid> {
    if is_custom(h) {
        validate_custom(h)?;
    } else if !is_exponential(h.schema) {
        return Err(Invalid::Schema(h.schema));
    } else if !h.custom_values.is_empty() {
        return Err(Invalid::Misplaced("a custom bound"));
    }
    validate_spans(&h.positive_spans, h.positive_buckets.len())?;
    validate_spans(&h.negative_spans, h.negative_buckets.len())?;
    let mut counts = [h.count, h.zero_count]
        .into_iter()
        .chain(h.positive_buckets.iter().copied())
        .chain(h.negative_buckets.iter().copied());
    if counts.any(|c| c < 0.0) {
        Err(Invalid::NegativeCount)
    } else {
        Ok(())
    }
}

fn validate_custom(h: &Histogram) -> Result<(), Invalid> {
    if h.zero_count != 0.0 || h.zero_threshold != 0.0 {
        return Err(Invalid::Misplaced("a zero bucket"));
    }
    if !h.negative_spans.is_empty() || !h.negative_buckets.is_empty() {
        return Err(Invalid::Misplaced("a negative bucket"));
    }
    let rises = h.custom_values.windows(2).all(|w| w[0] < w[1]);
    if !rises || h.custom_values.iter().any(|v| !v.is_finite()) {
        return Err(Invalid::CustomBounds);
    }
    let end = h.positive_spans.iter().try_fold(0_i64, |at, span| {
        (span.offset >= 0).then(|| at + i64::from(span.offset) + i64::from(span.length))
    });
    let bounds = i64::try_from(h.custom_values.len()).unwrap_or(i64::MAX);
    match end {
        None => Err(Invalid::SpanOffset),
        Some(end) if end > bounds + 1 => Err(Invalid::TooFewBounds),
        Some(_) => Ok(()),
    }
}

fn validate_spans(spans: &[Span], buckets: usize) -> Result<(), Invalid> {
    if spans.iter().skip(1).any(|span| span.offset < 0) {
        return Err(Invalid::SpanOffset);
    }
    let covered: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if usize::try_from(covered) == Ok(buckets) {
        Ok(())
    } else {
        Err(Invalid::SpansBuckets {
            spans: covered,
            buckets,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_named() {
        let valid = Histogram {
            count: 3.0,
            positive_spans: vec![Span {
                offset: -1,
                length: 2,
            }],
            positive_buckets: vec![1.0, 2.0],
            ..Histogram::default()
        };
        assert_eq!(validate(&valid), Ok(()));
        let with = |change: &dyn Fn(&mut Histogram)| {
            let mut h = valid.clone();
            change(&mut h);
            validate(&h)
        };
        assert_eq!(with(&|h| h.schema = 9), Err(Invalid::Schema(9)));
        assert_eq!(with(&|h| h.count = -1.0), Err(Invalid::NegativeCount));
        assert_eq!(
            with(&|h| h.custom_values = vec![1.0]),
            Err(Invalid::Misplaced("a custom bound"))
        );
        assert_eq!(
            with(&|h| h.positive_buckets = vec![1.0]),
            Err(Invalid::SpansBuckets {
                spans: 2,
                buckets: 1
            })
        );
        let custom = |bounds: &[f64], offset: i32| {
            validate(&Histogram {
                schema: -53,
                custom_values: bounds.to_vec(),
                positive_spans: vec![Span { offset, length: 2 }],
                ..valid.clone()
            })
        };
        assert_eq!(custom(&[1.0, 2.0], 0), Ok(()));
        assert_eq!(custom(&[2.0, 1.0], 0), Err(Invalid::CustomBounds));
        assert_eq!(custom(&[1.0, f64::INFINITY], 0), Err(Invalid::CustomBounds));
        assert_eq!(custom(&[1.0], 1), Err(Invalid::TooFewBounds));
        assert_eq!(custom(&[1.0], -1), Err(Invalid::SpanOffset));
    }
}
