//! Bringing two histograms to one frame: the coarser schema, a zero bucket wide enough for both,
//! the custom bounds both have.
//!
//! A zero bucket may only end where no populated bucket is cut, in either histogram; so the
//! search goes back and forth until neither moves it.

use std::borrow::Cow;

use model::Histogram;

use super::{
    Incompatible,
    buckets::{Bucket, cells, exponential_bound, is_custom, negative, positive},
    layout::lay_out,
};

/// What two histograms must share to be added bucket by bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    schema: i32,
    zero_threshold: f64,
    custom_values: Vec<f64>,
    /// Custom bounds differed.
    pub bounds_reconciled: bool,
}

impl Frame {
    /// The finest frame that fits both.
    pub fn common(a: &Histogram, b: &Histogram) -> Result<Self, Incompatible> {
        if is_custom(a) != is_custom(b) {
            return Err(Incompatible);
        }
        Ok(Self {
            schema: a.schema.min(b.schema),
            zero_threshold: common_zero_threshold(a, b),
            custom_values: intersection(&a.custom_values, &b.custom_values),
            bounds_reconciled: a.custom_values != b.custom_values,
        })
    }

    /// Whether the histogram is in this frame already.
    fn fits(&self, h: &Histogram) -> bool {
        h.schema == self.schema
            && h.zero_threshold == self.zero_threshold
            && h.custom_values == self.custom_values
    }

    /// Brings a histogram into this frame.
    pub fn apply(&self, h: &mut Histogram) {
        if h.zero_threshold != self.zero_threshold {
            widen_zero(h, self.zero_threshold);
        }
        if h.custom_values != self.custom_values {
            keep_bounds(h, &self.custom_values);
        }
        if h.schema != self.schema {
            reduce(h, self.schema);
        }
    }

    /// The histogram in this frame, copied only if it must change.
    #[must_use]
    pub fn view<'h>(&self, h: &'h Histogram) -> Cow<'h, Histogram> {
        if self.fits(h) {
            return Cow::Borrowed(h);
        }
        let mut copy = h.clone();
        self.apply(&mut copy);
        Cow::Owned(copy)
    }
}

/// A copy at a coarser exponential schema, or `None` if `schema` is finer or either is custom.
#[must_use]
pub fn copy_to_schema(h: &Histogram, schema: i32) -> Option<Histogram> {
    if is_custom(h) || !super::validate::is_exponential(schema) || schema > h.schema {
        return None;
    }
    let mut copy = h.clone();
    reduce(&mut copy, schema);
    Some(copy)
}

fn reduce(h: &mut Histogram, schema: i32) {
    let shift = h.schema.abs_diff(schema).min(31);
    let coarser = |i: i32| (i.wrapping_sub(1) >> shift).wrapping_add(1);
    (h.positive_spans, h.positive_buckets) = lay_out(merge(
        cells(&h.positive_spans, &h.positive_buckets),
        coarser,
    ));
    (h.negative_spans, h.negative_buckets) = lay_out(merge(
        cells(&h.negative_spans, &h.negative_buckets),
        coarser,
    ));
    h.schema = schema;
}

/// Cells renamed by a rising function; those that get the same index are added.
fn merge(cells: impl Iterator<Item = (i32, f64)>, rename: impl Fn(i32) -> i32) -> Vec<(i32, f64)> {
    let mut merged: Vec<(i32, f64)> = Vec::new();
    for (index, count) in cells {
        let index = rename(index);
        match merged.last_mut() {
            Some((last, sum)) if *last == index => *sum += count,
            Some(_) | None => merged.push((index, count)),
        }
    }
    merged
}

fn intersection(a: &[f64], b: &[f64]) -> Vec<f64> {
    if a == b {
        return a.to_vec();
    }
    a.iter().copied().filter(|x| b.contains(x)).collect()
}

/// Moves counts to the buckets of a subset of the custom bounds.
fn keep_bounds(h: &mut Histogram, bounds: &[f64]) {
    let old = std::mem::take(&mut h.custom_values);
    let rename = |index: i32| {
        let upper = usize::try_from(index).ok().and_then(|i| old.get(i));
        let slot = upper.map_or(bounds.len(), |u| bounds.partition_point(|b| b < u));
        i32::try_from(slot).unwrap_or(i32::MAX)
    };
    let moved = merge(cells(&h.positive_spans, &h.positive_buckets), rename);
    (h.positive_spans, h.positive_buckets) = lay_out(moved);
    h.custom_values = bounds.to_vec();
}

fn common_zero_threshold(a: &Histogram, b: &Histogram) -> f64 {
    let mut threshold = a.zero_threshold.max(b.zero_threshold);
    if a.zero_threshold == b.zero_threshold {
        return threshold;
    }
    loop {
        let wider = clear_of_buckets(b, clear_of_buckets(a, threshold));
        if wider <= threshold {
            return threshold;
        }
        threshold = wider;
    }
}

/// The threshold, moved up to the end of the populated bucket it would cut.
fn clear_of_buckets(h: &Histogram, threshold: f64) -> f64 {
    if threshold <= h.zero_threshold {
        return threshold;
    }
    let cuts = |lower: f64, upper: f64, count: f64| {
        (count != 0.0 && lower < threshold && threshold < upper).then_some(upper)
    };
    let up = positive(h).find_map(|b| cuts(b.lower, b.upper, b.count));
    let down = negative(h).find_map(|b| cuts(-b.upper, -b.lower, b.count));
    threshold
        .max(up.unwrap_or(threshold))
        .max(down.unwrap_or(threshold))
}

/// Moves all buckets that begin below the threshold into the zero bucket.
fn widen_zero(h: &mut Histogram, threshold: f64) {
    let inside = |index: i32| exponential_bound(index - 1, h.schema) < threshold;
    let take = |spans: &[model::Span], counts: &[f64]| {
        let (inner, outer): (Vec<_>, Vec<_>) =
            cells(spans, counts).partition(|(index, _)| inside(*index));
        (
            inner.iter().map(|(_, count)| count).sum::<f64>(),
            lay_out(outer),
        )
    };
    let (up, positive) = take(&h.positive_spans, &h.positive_buckets);
    let (down, negative) = take(&h.negative_spans, &h.negative_buckets);
    (h.positive_spans, h.positive_buckets) = positive;
    (h.negative_spans, h.negative_buckets) = negative;
    h.zero_count += up + down;
    h.zero_threshold = threshold;
}

/// What the zero bucket would hold if it ended at `threshold`, or `None` if that cuts a populated
/// bucket. `threshold` must not be below the histogram's own.
#[must_use]
pub fn zero_count_at(h: &Histogram, threshold: f64) -> Option<f64> {
    if threshold == h.zero_threshold {
        return Some(h.zero_count);
    }
    if clear_of_buckets(h, threshold) > threshold {
        return None;
    }
    let inner = |b: &Bucket| b.lower.abs().min(b.upper.abs()) < threshold;
    let up: f64 = positive(h).filter(inner).map(|b| b.count).sum();
    let down: f64 = negative(h).filter(inner).map(|b| b.count).sum();
    Some(h.zero_count + up + down)
}
