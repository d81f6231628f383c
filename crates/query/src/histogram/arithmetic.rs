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
