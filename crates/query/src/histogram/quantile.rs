//! `histogram_quantile` of a native histogram.
//!
//! Inside an exponential bucket observations are taken to be spread evenly on a logarithmic
//! scale (so that the estimate does not depend on the schema); inside the zero bucket and custom
//! buckets evenly on the linear one.

use model::Histogram;

use super::buckets::{Bucket, all, is_custom};

/// An estimated quantile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// NaN for an empty histogram or a quantile of NaN, -Inf below 0, +Inf above 1.
    pub value: f64,
    /// The histogram holds observations of NaN, counted as if they were above all others: the
    /// value is skewed higher, or NaN where the quantile falls among them.
    pub nan_observations: bool,
}

/// The `q`-quantile of the observations.
#[must_use]
pub fn quantile(q: f64, h: &Histogram) -> Quantile {
    let plain = |value| Quantile {
        value,
        nan_observations: false,
    };
    if q < 0.0 {
        return plain(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return plain(f64::INFINITY);
    }
    if h.count == 0.0 || q.is_nan() {
        return plain(f64::NAN);
    }
    Quantile {
        value: among_buckets(q, h),
        nan_observations: h.sum.is_nan(),
    }
}

fn among_buckets(q: f64, h: &Histogram) -> f64 {
    // From the nearer end, so that rounding of a long sum does not reach the answer. NaN
    // observations are in no bucket: with them only the lower end is known.
    let from_below = h.sum.is_nan() || q < 0.5;
    let mut buckets = all(h);
    if !from_below {
        buckets.reverse();
    }
    let rank = if from_below { q } else { 1.0 - q } * h.count;
    let Some((bucket, reached)) = find(&buckets, rank) else {
        return f64::NAN;
    };
    if is_custom(h) && bucket.lower == f64::NEG_INFINITY && bucket.upper <= 0.0 {
        return bucket.upper;
    }
    if is_custom(h) && bucket.upper == f64::INFINITY {
        return bucket.lower;
    }
    let bucket = settle_zero(bucket, h);
    let reached = reached.min(h.count);
    if reached < rank {
        return if h.sum.is_nan() {
            f64::NAN
        } else {
            bucket.upper
        };
    }
    let above_lower = if from_below {
        rank - (reached - bucket.count)
    } else {
        reached - rank
    };
    interpolate(&bucket, above_lower / bucket.count, h)
}

/// The bucket in which the running count reaches `rank`, and that running count; the last one if
/// it never does.
fn find(buckets: &[Bucket], rank: f64) -> Option<(Bucket, f64)> {
    let mut reached = 0.0;
    let mut last = None;
    for bucket in buckets {
        if bucket.count == 0.0 {
            last = last.or(Some(*bucket));
            continue;
        }
        last = Some(*bucket);
        reached += bucket.count;
        if reached >= rank {
            break;
        }
    }
    last.map(|bucket| (bucket, reached))
}

/// The zero bucket of a histogram with only positive (negative) buckets holds no negative
/// (positive) observations; the first custom bucket starts at zero if it reaches above it.
#[must_use]
pub(super) fn settle_zero(mut bucket: Bucket, h: &Histogram) -> Bucket {
    if is_custom(h) {
        if bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
            bucket.lower = 0.0;
        }
        return bucket;
    }
    if bucket.touches_zero() {
        match (h.negative_buckets.is_empty(), h.positive_buckets.is_empty()) {
            (true, false) => bucket.lower = 0.0,
            (false, true) => bucket.upper = 0.0,
            (true, true) | (false, false) => {}
        }
    }
    bucket
}

/// Whether observations are taken to be evenly spread on the linear scale.
#[must_use]
pub(super) fn is_linear(bucket: &Bucket, h: &Histogram) -> bool {
    is_custom(h) || bucket.touches_zero()
}

fn interpolate(bucket: &Bucket, part: f64, h: &Histogram) -> f64 {
    let Bucket { lower, upper, .. } = *bucket;
    if is_linear(bucket, h) {
        return lower + (upper - lower) * part;
    }
    let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
    if lower > 0.0 {
        return (log_lower + (log_upper - log_lower) * part).exp2();
    }
    -(log_upper + (log_lower - log_upper) * (1.0 - part)).exp2()
}

#[cfg(test)]
mod tests {
    use super::{super::text::parse, *};

    #[track_caller]
    fn check(q: f64, histogram: &str, expected: f64) {
        let found = quantile(q, &parse(histogram).unwrap()).value;
        assert!(
            (found.is_nan() && expected.is_nan())
                || found == expected
                || (found - expected).abs() < 1e-9 * expected.abs(),
            "the {q}-quantile of {histogram} is {found}, not {expected}"
        );
    }

    #[test]
    fn agrees_with_prometheus_on_positive_buckets() {
        let h = "{{count:12 sum:100 z_bucket:2 z_bucket_w:0.001 buckets:[2 3 0 1 4]}}";
        check(1.001, h, f64::INFINITY);
        check(1.0, h, 16.0);
        check(0.99, h, 15.670_724_761_390_83);
        check(0.6, h, 4.594_793_419_988_138);
        check(0.5, h, 1.587_401_051_968_199_4);
        check(0.1, h, 0.0006);
        check(0.0, h, 0.0);
        check(-1.0, h, f64::NEG_INFINITY);
        check(f64::NAN, h, f64::NAN);
    }

    #[test]
    fn mirrors_negative_buckets() {
        let h = "{{count:12 sum:100 z_bucket:2 z_bucket_w:0.001 n_buckets:[2 3 0 1 4]}}";
        check(1.0, h, 0.0);
        check(0.9, h, -0.0006);
        check(0.1, h, -12.996_038_341_699_768);
        check(0.0, h, -16.0);
    }

    #[test]
    fn custom_buckets_are_linear_and_bounded() {
        let h = "{{schema:-53 sum:5 count:4 custom_values:[5 10] buckets:[1 2 1]}}";
        check(0.5, h, 7.5);
        check(0.125, h, 2.5);
        check(1.0, h, 10.0);
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        check(0.5, "{{}}", f64::NAN);
    }

    #[test]
    fn nan_observations_count_above_all_others() {
        let h = "{{count:15 sum:NaN buckets:[12]}}";
        check(0.4, h, std::f64::consts::FRAC_1_SQRT_2);
        check(0.81, h, f64::NAN);
        assert!(quantile(0.4, &parse(h).unwrap()).nan_observations);
        check(0.4, "{{count:3 sum:NaN}}", f64::NAN);
    }
}
