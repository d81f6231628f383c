//! Walking the buckets of a histogram, with their bounds.
//!
//! Bucket `i` of exponential schema `s` ends at `2^(i * 2^-s)`; the last finite bound is the
//! largest finite float, as in Prometheus, so that the overflow bucket ends at +Inf.

use model::{Histogram, Span, histogram::CUSTOM_BUCKETS_SCHEMA};

/// One bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Lower bound; -Inf for the first custom bucket.
    pub lower: f64,
    /// Upper bound; +Inf for the last custom bucket.
    pub upper: f64,
    /// Whether an observation equal to the lower bound counts here.
    pub lower_inclusive: bool,
    /// Whether an observation equal to the upper bound counts here.
    pub upper_inclusive: bool,
    /// Observations.
    pub count: f64,
    /// Index within schema and sign; 0 for the zero bucket.
    pub index: i32,
}

impl Bucket {
    /// Whether the bucket holds zero or touches it.
    #[must_use]
    pub fn touches_zero(&self) -> bool {
        self.lower <= 0.0 && self.upper >= 0.0
    }
}

/// Whether the histogram has custom bucket bounds.
#[must_use]
pub fn is_custom(h: &Histogram) -> bool {
    h.schema == CUSTOM_BUCKETS_SCHEMA
}

/// Index and count of each bucket of one side, in order of index. Empty buckets are included.
pub fn cells(spans: &[Span], counts: &[f64]) -> impl Iterator<Item = (i32, f64)> {
    indexes(spans).zip(counts.iter().copied())
}

/// The indexes that spans cover, in order.
pub fn indexes(spans: &[Span]) -> impl Iterator<Item = i32> {
    let mut next = 0_i32;
    spans.iter().flat_map(move |span| {
        let start = next.wrapping_add(span.offset);
        next = start.wrapping_add_unsigned(span.length);
        start..next
    })
}

/// Positive buckets from the zero bucket upwards, or all of a custom histogram, rising.
pub fn positive(h: &Histogram) -> impl Iterator<Item = Bucket> {
    cells(&h.positive_spans, &h.positive_buckets).map(|(index, count)| {
        let (lower, upper) = (bound(h, index - 1), bound(h, index));
        let custom = is_custom(h);
        Bucket {
            lower,
            upper,
            lower_inclusive: if custom { index == 0 } else { lower < 0.0 },
            upper_inclusive: custom || upper > 0.0,
            count,
            index,
        }
    })
}

/// Negative buckets from the zero bucket downwards.
pub fn negative(h: &Histogram) -> impl Iterator<Item = Bucket> {
    cells(&h.negative_spans, &h.negative_buckets).map(|(index, count)| Bucket {
        lower: -exponential_bound(index, h.schema),
        upper: -exponential_bound(index - 1, h.schema),
        lower_inclusive: true,
        upper_inclusive: false,
        count,
        index,
    })
}

/// The zero bucket; a custom histogram has none.
#[must_use]
pub fn zero(h: &Histogram) -> Option<Bucket> {
    (!is_custom(h)).then_some(Bucket {
        lower: -h.zero_threshold,
        upper: h.zero_threshold,
        lower_inclusive: true,
        upper_inclusive: true,
        count: h.zero_count,
        index: 0,
    })
}

/// All buckets, rising. The zero bucket is there only when it is populated; a bucket that
/// overlaps it is cut at the zero threshold.
#[must_use]
pub fn all(h: &Histogram) -> Vec<Bucket> {
    let mut found: Vec<Bucket> = negative(h)
        .map(|b| cut_at_zero(b, h.zero_threshold))
        .collect();
    found.reverse();
    found.extend(zero(h).filter(|b| b.count > 0.0));
    found.extend(positive(h).map(|b| cut_at_zero(b, h.zero_threshold)));
    found
}

fn cut_at_zero(mut bucket: Bucket, threshold: f64) -> Bucket {
    if bucket.lower > 0.0 && bucket.lower < threshold {
        bucket.lower = threshold;
    }
    if bucket.upper < 0.0 && bucket.upper > -threshold {
        bucket.upper = -threshold;
    }
    bucket
}

/// Upper bound of positive bucket `index`.
#[must_use]
pub fn bound(h: &Histogram, index: i32) -> f64 {
    if is_custom(h) {
        return match usize::try_from(index) {
            Ok(i) => h.custom_values.get(i).copied().unwrap_or(f64::INFINITY),
            Err(_negative) => f64::NEG_INFINITY,
        };
    }
    exponential_bound(index, h.schema)
}

/// Upper bound of bucket `index` of an exponential schema.
#[must_use]
pub fn exponential_bound(index: i32, schema: i32) -> f64 {
    if schema <= 0 {
        let exponent = i64::from(index) << schema.unsigned_abs().min(31);
        return power_of_two(exponent);
    }
    let whole = i64::from(index >> schema);
    let part = index & ((1 << schema) - 1);
    if part == 0 {
        return power_of_two(whole);
    }
    let fraction = (f64::from(part) / f64::from(1 << schema)).exp2();
    fraction * finite_exp2(whole)
}

fn power_of_two(exponent: i64) -> f64 {
    if exponent == i64::from(f64::MAX_EXP) {
        f64::MAX
    } else {
        finite_exp2(exponent)
    }
}

fn finite_exp2(exponent: i64) -> f64 {
    let exponent =
        i32::try_from(exponent).unwrap_or(if exponent < 0 { i32::MIN } else { i32::MAX });
    f64::from(exponent).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_follow_the_schema() {
        assert_eq!(exponential_bound(0, 0), 1.0);
        assert_eq!(exponential_bound(3, 0), 8.0);
        assert_eq!(exponential_bound(-1, 0), 0.5);
        assert_eq!(exponential_bound(1, 1), std::f64::consts::SQRT_2);
        assert_eq!(exponential_bound(2, 1), 2.0);
        assert_eq!(exponential_bound(1, -1), 4.0);
        assert_eq!(exponential_bound(-1, -2), 1.0 / 16.0);
        assert_eq!(exponential_bound(1024, 0), f64::MAX);
        assert_eq!(exponential_bound(1025, 0), f64::INFINITY);
        assert_eq!(exponential_bound(1024 << 8, 8), f64::MAX);
        assert!(exponential_bound((1024 << 8) - 1, 8) < f64::MAX);
        assert_eq!(exponential_bound(64, -4), f64::MAX);
    }

    #[test]
    fn spans_give_indexes_across_gaps() {
        let spans = [
            Span {
                offset: -2,
                length: 2,
            },
            Span {
                offset: 3,
                length: 1,
            },
        ];
        assert_eq!(indexes(&spans).collect::<Vec<_>>(), [-2, -1, 3]);
    }

    #[test]
    fn all_buckets_rise_and_are_cut_at_the_zero_bucket() {
        let h = Histogram {
            zero_threshold: 0.75,
            zero_count: 1.0,
            positive_spans: vec![Span {
                offset: 0,
                length: 2,
            }],
            positive_buckets: vec![1.0, 2.0],
            negative_spans: vec![Span {
                offset: 0,
                length: 1,
            }],
            negative_buckets: vec![3.0],
            ..Histogram::default()
        };
        let bounds: Vec<_> = all(&h)
            .iter()
            .map(|b| (b.lower, b.upper, b.count))
            .collect();
        assert_eq!(
            bounds,
            [
                (-1.0, -0.75, 3.0),
                (-0.75, 0.75, 1.0),
                (0.75, 1.0, 1.0),
                (1.0, 2.0, 2.0)
            ]
        );
    }

    #[test]
    fn custom_buckets_reach_from_minus_to_plus_infinity() {
        let h = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_values: vec![5.0, 10.0],
            positive_spans: vec![Span {
                offset: 0,
                length: 3,
            }],
            positive_buckets: vec![1.0, 2.0, 1.0],
            ..Histogram::default()
        };
        let bounds: Vec<_> = all(&h).iter().map(|b| (b.lower, b.upper)).collect();
        assert_eq!(
            bounds,
            [(f64::NEG_INFINITY, 5.0), (5.0, 10.0), (10.0, f64::INFINITY)]
        );
    }
}
