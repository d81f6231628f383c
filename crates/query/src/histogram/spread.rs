//! Mean, variance and standard deviation, estimated from the buckets.

use model::Histogram;

use super::buckets::{Bucket, all, is_custom};

/// Sum over count: NaN for an empty histogram.
#[must_use]
pub fn mean(h: &Histogram) -> f64 {
    h.sum / h.count
}

/// The population variance, taking each observation to be at the middle of its bucket: the
/// geometric middle of an exponential bucket, zero in the zero bucket, the arithmetic middle of
/// a custom one.
#[must_use]
pub fn stdvar(h: &Histogram) -> f64 {
    let mean = mean(h);
    let (mut variance, mut lost) = (0.0_f64, 0.0_f64);
    for bucket in all(h).iter().filter(|b| b.count != 0.0) {
        let delta = middle(bucket, h) - mean;
        let square = bucket.count * delta * delta;
        let sum = variance + square;
        if sum.is_finite() {
            let (large, small) = if variance.abs() >= square.abs() {
                (variance, square)
            } else {
                (square, variance)
            };
            lost += (large - sum) + small;
        }
        variance = sum;
    }
    (variance + lost) / h.count
}

/// The square root of [`stdvar`].
#[must_use]
pub fn stddev(h: &Histogram) -> f64 {
    stdvar(h).sqrt()
}

fn middle(bucket: &Bucket, h: &Histogram) -> f64 {
    let Bucket { lower, upper, .. } = *bucket;
    if is_custom(h) {
        return (upper + lower) / 2.0;
    }
    if bucket.touches_zero() {
        return 0.0;
    }
    (upper * lower).sqrt().copysign(upper)
}

#[cfg(test)]
mod tests {
    use super::{super::text::parse, *};

    #[track_caller]
    fn check(histogram: &str, expected: f64) {
        let found = stdvar(&parse(histogram).unwrap());
        assert!(
            found == expected
                || (found.is_nan() && expected.is_nan())
                || (found / expected - 1.0).abs() < 1e-9,
            "{found}, not {expected}"
        );
    }

    #[test]
    fn agrees_with_prometheus() {
        check(
            "{{schema:2 count:4 sum:10 buckets:[1 0 0 0 1 0 0 1 1]}}",
            1.163_807_968_526_718,
        );
        check(
            "{{schema:8 count:10 sum:10 buckets:[1 2 3 4]}}",
            2.397_112_337_013_944_7e-5,
        );
        check(
            "{{count:10 sum:-100 n_buckets:[0 0 0 0 10]}}",
            1.725_830_020_304_794,
        );
        check(
            "{{count:7 sum:Inf z_bucket:1 buckets:[1 5]}}",
            f64::INFINITY,
        );
        check("{{}}", f64::NAN);
    }
}
