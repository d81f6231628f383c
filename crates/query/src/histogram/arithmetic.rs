//! Addition, subtraction, scaling, equality.

use model::{Histogram, ResetHint, Span};

use super::{
    Incompatible, Notes,
    frame::Frame,
    layout::{compacted, lay_out, spread_over, union},
};

/// Adds `other` to `total`, bringing both to the coarser resolution. May leave empty buckets.
/// On `Err`, `total` is unchanged.
pub fn add(total: &mut Histogram, other: &Histogram) -> Result<Notes, Incompatible> {
    combine(total, other, |a, b| a + b)
}

/// Subtracts `other` from `total`, as [`add`] adds. The operator `-` of PromQL makes the result
/// a gauge; that is the caller's to say.
pub fn sub(total: &mut Histogram, other: &Histogram) -> Result<Notes, Incompatible> {
    combine(total, other, |a, b| a - b)
}

fn combine(
    total: &mut Histogram,
    other: &Histogram,
    op: impl Fn(f64, f64) -> f64 + Copy,
) -> Result<Notes, Incompatible> {
    let frame = Frame::common(total, other)?;
    frame.apply(total);
    let other = frame.view(other);
    let (hint, reset_conflict) = joint_hint(total.reset_hint, other.reset_hint);
    total.reset_hint = hint;
    total.zero_count = op(total.zero_count, other.zero_count);
    total.count = op(total.count, other.count);
    total.sum = op(total.sum, other.sum);
    let positive = (&mut total.positive_spans, &mut total.positive_buckets);
    combine_side(
        positive,
        (&other.positive_spans, &other.positive_buckets),
        op,
    );
    let negative = (&mut total.negative_spans, &mut total.negative_buckets);
    combine_side(
        negative,
        (&other.negative_spans, &other.negative_buckets),
        op,
    );
    Ok(Notes {
        reset_conflict,
        bounds_reconciled: frame.bounds_reconciled,
    })
}

fn combine_side(
    (spans, counts): (&mut Vec<Span>, &mut Vec<f64>),
    (other_spans, other_counts): (&[Span], &[f64]),
    op: impl Fn(f64, f64) -> f64,
) {
    if *spans == other_spans {
        counts
            .iter_mut()
            .zip(other_counts)
            .for_each(|(a, b)| *a = op(*a, *b));
        return;
    }
    let at = union(spans, other_spans);
    let own = spread_over(spans, counts, &at);
    let other = spread_over(other_spans, other_counts, &at);
    let both = own.into_iter().zip(other).map(|(a, b)| op(a, b));
    (*spans, *counts) = lay_out(at.iter().copied().zip(both));
}

/// What can be said of resets after two histograms became one, and whether they disagreed.
#[must_use]
pub(super) fn joint_hint(a: ResetHint, b: ResetHint) -> (ResetHint, bool) {
    match (a, b) {
        _ if a == b => (a, false),
        (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => (ResetHint::Gauge, false),
        (ResetHint::Unknown, _) | (_, ResetHint::Unknown) => (ResetHint::Unknown, false),
        _ => (ResetHint::Unknown, true),
    }
}

/// Multiplies every count and the sum. A negative factor makes a gauge.
pub fn mul(h: &mut Histogram, factor: f64) {
    scale(h, |x| x * factor);
    if factor < 0.0 {
        h.reset_hint = ResetHint::Gauge;
    }
}

/// Divides every count and the sum. Division by zero leaves no buckets; a negative divisor makes
/// a gauge.
pub fn div(h: &mut Histogram, divisor: f64) {
    if divisor == 0.0 {
        h.positive_spans.clear();
        h.positive_buckets.clear();
        h.negative_spans.clear();
        h.negative_buckets.clear();
    }
    scale(h, |x| x / divisor);
    if divisor < 0.0 {
        h.reset_hint = ResetHint::Gauge;
    }
}

/// Unary minus: a gauge of negative counts.
pub fn negate(h: &mut Histogram) {
    mul(h, -1.0);
}

fn scale(h: &mut Histogram, op: impl Fn(f64) -> f64) {
    h.zero_count = op(h.zero_count);
    h.count = op(h.count);
    h.sum = op(h.sum);
    h.positive_buckets
        .iter_mut()
        .chain(&mut h.negative_buckets)
        .for_each(|c| *c = op(*c));
}

/// Whether two histograms hold the same data, bit for bit, once empty buckets are left out. What
/// they say of resets does not count.
#[must_use]
pub fn equal(a: &Histogram, b: &Histogram) -> bool {
    let same = |x: &[f64], y: &[f64]| {
        x.iter()
            .map(|v| v.to_bits())
            .eq(y.iter().map(|v| v.to_bits()))
    };
    let (a, b) = (compacted(a), compacted(b));
    a.schema == b.schema
        && a.zero_threshold == b.zero_threshold
        && same(
            &[a.count, a.sum, a.zero_count],
            &[b.count, b.sum, b.zero_count],
        )
        && a.custom_values == b.custom_values
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && same(&a.positive_buckets, &b.positive_buckets)
        && same(&a.negative_buckets, &b.negative_buckets)
}

/// Whether any count or the sum is infinite.
#[must_use]
pub(super) fn overflows(h: &Histogram) -> bool {
    [h.zero_count, h.count, h.sum]
        .iter()
        .chain(&h.positive_buckets)
        .chain(&h.negative_buckets)
        .any(|v| v.is_infinite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::text::{parse, test_expression},
        *,
    };

    type Operation = fn(&mut Histogram, &Histogram) -> Result<Notes, Incompatible>;

    #[track_caller]
    fn check(a: &str, op: Operation, b: &str, expected: &str) -> Notes {
        let mut total = parse(a).unwrap();
        let notes = op(&mut total, &parse(b).unwrap()).unwrap();
        assert_eq!(test_expression(&total), expected);
        notes
    }

    #[test]
    fn the_coarser_schema_wins() {
        let fine = "{{schema:1 count:4 sum:5 offset:1 buckets:[1 3]}}";
        let coarse = "{{count:2 sum:3 offset:1 buckets:[2]}}";
        let both = "{{count:6 sum:8 offset:1 buckets:[6]}}";
        check(fine, add, coarse, both);
        check(coarse, add, fine, both);
        check(
            coarse,
            sub,
            fine,
            "{{count:-2 sum:-2 offset:1 buckets:[-2]}}",
        );
    }

    #[test]
    fn the_wider_zero_bucket_wins_and_grows_past_populated_buckets() {
        check(
            "{{count:3 z_bucket:1 z_bucket_w:0.75 buckets:[0 2]}}",
            add,
            "{{count:7 z_bucket:1 z_bucket_w:0.25 buckets:[4 2]}}",
            "{{count:10 z_bucket:6 z_bucket_w:1 offset:1 buckets:[4]}}",
        );
        check(
            "{{count:1 n_buckets:[1]}}",
            add,
            "{{count:1 z_bucket:1 z_bucket_w:0.6}}",
            "{{count:2 z_bucket:2 z_bucket_w:1}}",
        );
    }

    #[test]
    fn custom_bounds_are_reconciled_to_those_both_have() {
        let notes = check(
            "{{schema:-53 count:15 sum:9 custom_values:[2 4 6] buckets:[1 2 5 7]}}",
            add,
            "{{schema:-53 count:10 sum:1 custom_values:[4 5 6] buckets:[1 2 3 4]}}",
            "{{schema:-53 count:25 sum:10 custom_values:[4 6] buckets:[4 10 11]}}",
        );
        assert!(notes.bounds_reconciled);
        let mut custom = parse("{{schema:-53 custom_values:[2]}}").unwrap();
        assert_eq!(
            add(&mut custom, &parse("{{count:1}}").unwrap()),
            Err(Incompatible)
        );
    }

    #[test]
    fn hints_that_contradict_each_other_are_noted() {
        let hinted = |hint: &str| format!("{{{{count:1 counter_reset_hint:{hint}}}}}");
        let notes = check(&hinted("reset"), add, &hinted("not_reset"), "{{count:2}}");
        assert!(notes.reset_conflict);
        let gauge = "{{count:2 counter_reset_hint:gauge}}";
        assert!(!check(&hinted("gauge"), add, &hinted("reset"), gauge).reset_conflict);
    }

    #[test]
    fn scaling_by_less_than_zero_makes_a_gauge_and_by_zero_leaves_no_buckets() {
        let h = parse("{{count:4 sum:5 buckets:[1 2 1]}}").unwrap();
        let mut negative = h.clone();
        negate(&mut negative);
        assert_eq!(
            test_expression(&negative),
            "{{count:-4 sum:-5 counter_reset_hint:gauge buckets:[-1 -2 -1]}}"
        );
        let mut endless = h;
        div(&mut endless, 0.0);
        assert_eq!(
            test_expression(&endless),
            "{{count:+Inf sum:+Inf z_bucket:NaN}}"
        );
    }

    #[test]
    fn equality_ignores_empty_buckets_and_hints() {
        let a = parse("{{count:1 buckets:[0 1 0]}}").unwrap();
        let b = parse("{{count:1 counter_reset_hint:gauge offset:1 buckets:[1]}}").unwrap();
        assert!(equal(&a, &b));
        assert!(!equal(&a, &parse("{{count:1 buckets:[1]}}").unwrap()));
    }

    fn any_histogram() -> impl Strategy<Value = Histogram> {
        let side = || proptest::collection::btree_map(-6..6_i32, 0..9_u32, 0..6);
        (-1..3_i32, 0..4_u32, 0..5_u32, side(), side()).prop_map(
            |(schema, width, zero, up, down)| {
                let mut h = Histogram {
                    schema,
                    ..Histogram::default()
                };
                h.zero_threshold = f64::from(width) / 8.0;
                h.zero_count = f64::from(zero);
                let counts = |cells: std::collections::BTreeMap<i32, u32>| {
                    lay_out(cells.into_iter().map(|(i, c)| (i, f64::from(c))))
                };
                (h.positive_spans, h.positive_buckets) = counts(up);
                (h.negative_spans, h.negative_buckets) = counts(down);
                h.count = in_buckets(&h);
                h
            },
        )
    }

    fn in_buckets(h: &Histogram) -> f64 {
        h.zero_count
            + h.positive_buckets
                .iter()
                .chain(&h.negative_buckets)
                .sum::<f64>()
    }

    proptest! {
        #[test]
        fn no_observation_is_lost_in_a_sum(a in any_histogram(), b in any_histogram()) {
            let mut total = a.clone();
            add(&mut total, &b).unwrap();
            prop_assert_eq!(total.count, a.count + b.count);
            prop_assert_eq!(in_buckets(&total), total.count);
            let mut swapped = b.clone();
            add(&mut swapped, &a).unwrap();
            prop_assert!(equal(&total, &swapped), "{total:?} {swapped:?}");
        }

        #[test]
        fn a_sum_and_its_compensated_twin_agree(a in any_histogram(), b in any_histogram()) {
            let mut total = a.clone();
            add(&mut total, &b).unwrap();
            let mut twin = super::super::HistogramSum::new(&a);
            twin.add(&b).unwrap();
            prop_assert!(equal(&total, &twin.finish()));
        }

        #[test]
        fn what_was_added_can_be_taken_away(a in any_histogram(), b in any_histogram()) {
            let mut total = a.clone();
            add(&mut total, &b).unwrap();
            sub(&mut total, &b).unwrap();
            let mut difference = total.clone();
            sub(&mut difference, &a).unwrap();
            prop_assert!(in_buckets(&difference) == 0.0 && difference.count == 0.0);
        }

        #[test]
        fn a_sum_is_no_reset_of_its_parts(a in any_histogram(), b in any_histogram()) {
            let mut total = a.clone();
            add(&mut total, &b).unwrap();
            prop_assert!(!super::super::detect_reset(&total, &a));
        }
    }
}
