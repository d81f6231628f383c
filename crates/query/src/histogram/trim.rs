//! The operators `</` and `>/`: a histogram without the observations on one side of a value.
//!
//! A bucket that the value cuts is interpolated as the quantile does; a custom bucket without end
//! cannot be, so its observations count as infinite and stay or go together. If anything is
//! removed, the sum is estimated anew from the middles of what is left of the buckets.

use model::Histogram;

use super::{
    buckets::{Bucket, all, is_custom},
    fraction::share_below,
    layout::{compact, lay_out},
    quantile::{is_linear, settle_zero},
};

/// Which side of the value stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// `</`: what is below.
    Below,
    /// `>/`: what is above.
    Above,
}

/// The part of a bucket that stays.
struct Kept {
    count: f64,
    /// Where its observations are taken to be.
    middle: f64,
}

/// Removes the observations on the other side of `value`.
#[must_use]
pub fn trim(h: &Histogram, value: f64, keep: Keep) -> Histogram {
    let parts: Vec<(Bucket, Kept)> = all(h)
        .into_iter()
        .filter(|b| b.count != 0.0)
        .map(|b| (b, part(&b, value, keep, h)))
        .collect();
    if parts
        .iter()
        .all(|(bucket, kept)| kept.count == bucket.count)
    {
        return h.clone();
    }
    rebuild(h, &parts)
}

fn rebuild(h: &Histogram, parts: &[(Bucket, Kept)]) -> Histogram {
    let mut trimmed = Histogram {
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        custom_values: h.custom_values.clone(),
        reset_hint: h.reset_hint,
        ..Histogram::default()
    };
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    for (bucket, kept) in parts.iter().filter(|(_, kept)| kept.count != 0.0) {
        trimmed.count += kept.count;
        trimmed.sum += kept.count * kept.middle;
        if is_custom(h) || bucket.lower > 0.0 || (bucket.lower == 0.0 && bucket.upper > 0.0) {
            positive.push((bucket.index, kept.count));
        } else if bucket.upper < 0.0 {
            negative.push((bucket.index, kept.count));
        } else {
            trimmed.zero_count = kept.count;
        }
    }
    negative.reverse();
    (trimmed.positive_spans, trimmed.positive_buckets) = lay_out(positive);
    (trimmed.negative_spans, trimmed.negative_buckets) = lay_out(negative);
    compact(&mut trimmed);
    trimmed
}

fn part(bucket: &Bucket, value: f64, keep: Keep, h: &Histogram) -> Kept {
    let Bucket {
        lower,
        upper,
        count,
        ..
    } = *bucket;
    let whole = |middle| Kept { count, middle };
    let none = Kept {
        count: 0.0,
        middle: 0.0,
    };
    if is_custom(h) && (lower.is_infinite() || upper.is_infinite()) {
        // A first bucket that ends above zero starts there, but for values below zero, which no
        // longer tell where its observations are.
        let starts_at_zero = lower.is_infinite() && upper.is_finite() && upper > 0.0;
        if !(starts_at_zero && value >= 0.0) {
            return endless(bucket, value, keep).map_or(none, whole);
        }
    }
    let bucket = &settle_zero(*bucket, h);
    let Bucket { lower, upper, .. } = *bucket;
    match keep {
        Keep::Below if value >= upper => whole(middle(bucket, h)),
        Keep::Above if value <= lower => whole(middle(bucket, h)),
        Keep::Below if value <= lower => none,
        Keep::Above if value >= upper => none,
        Keep::Below | Keep::Above => inner_part(bucket, value, keep, h),
    }
}

/// The part of a bucket that the value cuts.
fn inner_part(bucket: &Bucket, value: f64, keep: Keep, h: &Histogram) -> Kept {
    let below = share_below(value, bucket, h);
    let (share, part) = match keep {
        Keep::Below => (
            below,
            Bucket {
                upper: value,
                ..*bucket
            },
        ),
        Keep::Above => (
            1.0 - below,
            Bucket {
                lower: value,
                ..*bucket
            },
        ),
    };
    Kept {
        count: bucket.count * share,
        middle: middle_like(&part, bucket, h),
    }
}

/// Where the observations of an endless bucket are taken to be if they stay: at its one bound, or
/// at the value if that is farther out.
fn endless(bucket: &Bucket, value: f64, keep: Keep) -> Option<f64> {
    let Bucket { lower, upper, .. } = *bucket;
    match (lower == f64::NEG_INFINITY, upper == f64::INFINITY, keep) {
        (true, true, Keep::Below) => (value == f64::INFINITY).then_some(0.0),
        (true, true, Keep::Above) => (value == f64::NEG_INFINITY).then_some(0.0),
        (true, _, Keep::Below) if upper > 0.0 => None,
        (true, _, Keep::Below) => (value > f64::NEG_INFINITY).then_some(value.min(upper)),
        (true, _, Keep::Above) => (value == f64::NEG_INFINITY).then_some(upper),
        (_, _, Keep::Below) => (value == f64::INFINITY).then_some(lower),
        (_, _, Keep::Above) => (value < f64::INFINITY).then_some(value.max(lower)),
    }
}

fn middle(bucket: &Bucket, h: &Histogram) -> f64 {
    middle_like(bucket, bucket, h)
}

/// The middle of a part on the scale of the whole bucket.
fn middle_like(part: &Bucket, whole: &Bucket, h: &Histogram) -> f64 {
    if is_linear(whole, h) {
        return (part.lower + part.upper) / 2.0;
    }
    (part.lower.abs().sqrt() * part.upper.abs().sqrt()).copysign(whole.upper)
}

#[cfg(test)]
mod tests {
    use super::{
        super::text::{parse, test_expression},
        Keep::{Above, Below},
        *,
    };

    #[track_caller]
    fn check(histogram: &str, keep: Keep, value: f64, expected: &str) {
        let found = trim(&parse(histogram).unwrap(), value, keep);
        let wanted = parse(expected).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (a.abs() + b.abs());
        assert!(
            close(found.sum, wanted.sum) && close(found.count, wanted.count),
            "{} is not {expected}",
            test_expression(&found)
        );
    }

    const BOTH: &str =
        "{{sum:123.75 count:34 z_bucket:1 z_bucket_w:0.001 buckets:[2 4 8 16] n_buckets:[1 2]}}";
    const CUSTOM: &str =
        "{{schema:-53 sum:172.5 count:15 custom_values:[5 10 15 20] buckets:[1 6 4 3 1]}}";

    #[test]
    fn exponential_buckets_are_cut_on_the_logarithmic_scale() {
        check(BOTH, Below, f64::INFINITY, BOTH);
        check(BOTH, Below, f64::NEG_INFINITY, "{{z_bucket_w:0.001}}");
        check(BOTH, Above, 0.0, "{{sum:120.20840280171308 count:30.5}}");
        check(BOTH, Below, 2.0, "{{count:10 sum:3.5355339059327373}}");
        check(BOTH, Above, -1.0, "{{count:32 sum:119.50104602052653}}");
        check(
            BOTH,
            Below,
            std::f64::consts::SQRT_2,
            "{{count:8 sum:0.257093886549}}",
        );
    }

    #[test]
    fn a_zero_bucket_leans_to_the_side_that_has_buckets() {
        let h = "{{sum:8.02 count:12 z_bucket:2 z_bucket_w:0.5 buckets:[10]}}";
        check(h, Above, 0.1, "{{count:11.6 sum:7.551067811865476}}");
        check(h, Below, 0.1, "{{count:0.4 sum:0.02}}");
        let alone = "{{count:5 sum:0 z_bucket:5 z_bucket_w:0.1}}";
        check(alone, Above, 0.05, "{{count:1.25 sum:0.09375}}");
    }

    #[test]
    fn endless_custom_buckets_stay_or_go_whole() {
        check(CUSTOM, Below, 13.0, "{{count:9.4 sum:75.1}}");
        check(CUSTOM, Above, 15.0, "{{count:4 sum:72.5}}");
        check(CUSTOM, Below, 50.0, "{{count:14 sum:150}}");
        check(CUSTOM, Below, 0.0, "{{}}");
        let split = "{{schema:-53 sum:33 count:101 custom_values:[-5] buckets:[1 100]}}";
        check(split, Below, -10.0, "{{sum:-10 count:1}}");
        check(split, Above, -10.0, "{{sum:-500 count:100}}");
        check(split, Above, 10.0, "{{sum:1000 count:100}}");
        let above_zero = "{{schema:-53 sum:33 count:101 custom_values:[5] buckets:[1 100]}}";
        check(above_zero, Above, -10.0, "{{sum:500 count:100}}");
        check(above_zero, Above, 2.0, "{{sum:502.1 count:100.6}}");
        check(above_zero, Below, -10.0, "{{}}");
        let only = "{{schema:-53 sum:100 count:100 buckets:[100]}}";
        check(only, Above, 10.0, "{{}}");
        check(only, Above, f64::NEG_INFINITY, only);
    }
}
