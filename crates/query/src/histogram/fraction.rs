//! `histogram_fraction` of a native histogram: the inverse of the quantile, with the same
//! interpolation.

use model::Histogram;

use super::{
    buckets::{Bucket, all, is_custom},
    quantile::{is_linear, settle_zero},
};

/// The share of observations between `lower` and `upper`: NaN for an empty histogram or a bound
/// of NaN, 0 if the bounds do not rise. Observations of NaN are in no range.
#[must_use]
pub fn fraction(lower: f64, upper: f64, h: &Histogram) -> f64 {
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let buckets = all(h);
    (rank(upper, &buckets, h) - rank(lower, &buckets, h)) / h.count
}

/// How many observations are below `value`.
fn rank(value: f64, buckets: &[Bucket], h: &Histogram) -> f64 {
    let mut below = 0.0;
    for bucket in buckets {
        let bucket = settle_zero(*bucket, h);
        if bucket.lower >= value {
            break;
        }
        if bucket.upper > value {
            below += bucket.count * share_below(value, &bucket, h);
            break;
        }
        below += bucket.count;
    }
    below.min(h.count)
}

/// Which share of a bucket's observations is below a value inside it.
#[must_use]
pub(super) fn share_below(value: f64, bucket: &Bucket, h: &Histogram) -> f64 {
    let Bucket { lower, upper, .. } = *bucket;
    if is_custom(h) && upper == f64::INFINITY {
        // Nothing is known of a bucket without end: its observations are above any finite value.
        return 0.0;
    }
    if is_custom(h) && lower == f64::NEG_INFINITY {
        return 1.0;
    }
    if is_linear(bucket, h) {
        return (value - lower) / (upper - lower);
    }
    let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
    let log_value = value.abs().log2();
    if lower > 0.0 {
        (log_value - log_lower) / (log_upper - log_lower)
    } else {
        1.0 - (log_value - log_upper) / (log_lower - log_upper)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::text::parse, *};

    #[track_caller]
    fn check(lower: f64, upper: f64, histogram: &str, expected: f64) {
        let found = fraction(lower, upper, &parse(histogram).unwrap());
        assert!(
            (found.is_nan() && expected.is_nan()) || (found - expected).abs() < 1e-12,
            "between {lower} and {upper} of {histogram}: {found}, not {expected}"
        );
    }

    #[test]
    fn agrees_with_prometheus_on_both_sides_of_zero() {
        let h = "{{count:24 sum:100 z_bucket:4 z_bucket_w:0.001 buckets:[2 3 0 1 4] n_buckets:[2 3 0 1 4]}}";
        let inf = f64::INFINITY;
        check(0.0, inf, h, 0.5);
        check(-0.001, 0.0, h, 0.083_333_333_333_333_33);
        check(-inf, 0.0005, h, 0.541_666_666_666_666_6);
        check(1.5, 6.0, h, 0.076_253_124_939_903_66);
        check(-6.0, -1.5, h, 0.076_253_124_939_903_62);
        check(-inf, inf, h, 1.0);
        check(42.0, 3.5, h, 0.0);
        check(f64::NAN, 42.0, h, f64::NAN);
    }

    #[test]
    fn custom_buckets_are_linear_and_an_endless_bucket_is_beyond_reach() {
        let h = "{{schema:-53 sum:172.5 count:15 custom_values:[5 10 15 20] buckets:[1 6 4 3 1]}}";
        check(f64::NEG_INFINITY, 13.0, h, 9.4 / 15.0);
        check(13.0, f64::INFINITY, h, 5.6 / 15.0);
        check(f64::NEG_INFINITY, 100.0, h, 14.0 / 15.0);
    }

    #[test]
    fn an_empty_histogram_has_no_fraction() {
        check(0.0, 8.0, "{{}}", f64::NAN);
    }
}
