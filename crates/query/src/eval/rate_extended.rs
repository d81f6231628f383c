//! Rates over extended ranges: `anchored` takes the last sample before the range as its value at
//! the beginning, `smoothed` interpolates at both edges. Nothing is extrapolated.

use std::sync::Arc;

use model::{Histogram, ResetHint};

use super::call::{SeriesNotes, Window};
use super::grid::Cell;
use super::rate::{RateKind, add_noted, sub_noted};
use super::select::interpolate_histograms;
use super::series::{Slice, Stretch};
use crate::annotations::Note;
use crate::ast::Extension;
use crate::histogram;

/// One window.
pub(super) fn extended(kind: RateKind, w: &Window<'_>, notes: &SeriesNotes<'_>) -> Option<Cell> {
    if !w.floats.is_empty() && !w.histograms.is_empty() {
        notes.add(Note::MixedFloatsHistograms {
            metric: notes.metric,
        });
        return None;
    }
    let smoothed = w.span.extension == Extension::Smoothed;
    let seconds = if kind.per_second {
        w.span.range as f64 / 1000.0
    } else {
        1.0
    };
    if w.histograms.is_empty() {
        let edges = Edges::of(w.floats.times, w.stretch, smoothed)?;
        return Some(Cell::Float(floats(kind, w.floats, edges) / seconds));
    }
    let edges = Edges::of(w.histograms.times, w.stretch, smoothed)?;
    let mut change = histograms(kind, w.histograms, edges, notes)?;
    if kind.per_second {
        histogram::div(&mut change, seconds);
    }
    change.reset_hint = ResetHint::Gauge;
    histogram::compact(&mut change);
    Some(Cell::Histogram(Arc::new(change)))
}

/// Which samples the values at the edges are made of.
#[derive(Debug, Clone, Copy)]
struct Edges {
    first: usize,
    last: usize,
    stretch: Stretch,
    smoothed: bool,
}

impl Edges {
    fn of(times: &[i64], stretch: Stretch, smoothed: bool) -> Option<Self> {
        let end = times.len() - 1;
        let first = times[..end]
            .partition_point(|t| *t <= stretch.begin)
            .saturating_sub(1);
        let last = if smoothed {
            times[..end].partition_point(|t| *t < stretch.end)
        } else {
            end
        };
        let outside = times[last] <= stretch.begin || (smoothed && times[first] > stretch.end);
        (!outside).then_some(Self {
            first,
            last,
            stretch,
            smoothed,
        })
    }

    /// Whether the value at the beginning lies between the first sample and the next, and how far
    /// along.
    fn share_left(&self, times: &[i64]) -> Option<f64> {
        let is_before = times[self.first] < self.stretch.begin;
        let begin = self.stretch.begin;
        (self.smoothed && is_before).then(|| share(times, self.first, begin))
    }

    /// Whether the value at the end lies between the last sample and the one before it, and how
    /// far along.
    fn share_right(&self, times: &[i64]) -> Option<f64> {
        let is_after = times[self.last] > self.stretch.end;
        let end = self.stretch.end;
        (self.smoothed && self.last > 0 && is_after).then(|| share(times, self.last - 1, end))
    }
}

/// How far `time` is between sample `i` and the next.
fn share(times: &[i64], i: usize, time: i64) -> f64 {
    (time - times[i]) as f64 / (times[i + 1] - times[i]) as f64
}

fn floats(kind: RateKind, f: Slice<'_, f64>, edges: Edges) -> f64 {
    let between = |i: usize, share: f64| {
        let (a, b) = (f.values[i], f.values[i + 1]);
        // After a reset a counter starts from zero.
        let a = if kind.is_counter && b < a { 0.0 } else { a };
        a + (b - a) * share
    };
    let left = match edges.share_left(f.times) {
        Some(share) => between(edges.first, share),
        None => f.values[edges.first],
    };
    let right = match edges.share_right(f.times) {
        Some(share) => between(edges.last - 1, share),
        None => f.values[edges.last],
    };
    let mut change = right - left;
    if kind.is_counter {
        let from = edges.first + usize::from(f.times[edges.first] <= edges.stretch.begin);
        let to = (edges.last + 1) - usize::from(f.times[edges.last] >= edges.stretch.end);
        let inner = f.values.get(from..to).unwrap_or_default();
        let mut before = left;
        for value in inner.iter().copied().chain([right]) {
            if value < before {
                change += before;
            }
            before = value;
        }
    }
    change
}

fn histograms(
    kind: RateKind,
    h: Slice<'_, Arc<Histogram>>,
    edges: Edges,
    notes: &SeriesNotes<'_>,
) -> Option<Histogram> {
    let metric = notes.metric;
    let used = &h.values[edges.first..=edges.last];
    if used
        .iter()
        .any(|x| histogram::is_custom(x) != histogram::is_custom(&used[0]))
    {
        notes.add(Note::MixedBuckets { metric });
        return None;
    }
    let is_gauge = |x: &Histogram| x.reset_hint == ResetHint::Gauge;
    if kind.is_counter && used.iter().any(|x| is_gauge(x)) {
        notes.add(Note::NotCounter { metric });
    }
    let left = match edges.share_left(h.times) {
        Some(share) => between(h, edges.first, share, kind, notes)?,
        None => (*h.values[edges.first]).clone(),
    };
    let right = match edges.share_right(h.times) {
        Some(share) => between(h, edges.last - 1, share, kind, notes)?,
        None => (*h.values[edges.last]).clone(),
    };
    let gauges = is_gauge(&left) && is_gauge(&right);
    if !(kind.is_counter || gauges) {
        notes.add(Note::NotGauge { metric });
    }
    let mut change = right.clone();
    sub_noted(&mut change, &left, notes)?;
    if kind.is_counter {
        correct(&mut change, h, edges, (&left, &right), notes)?;
    }
    Some(change)
}

fn between(
    h: Slice<'_, Arc<Histogram>>,
    i: usize,
    share: f64,
    kind: RateKind,
    notes: &SeriesNotes<'_>,
) -> Option<Histogram> {
    match interpolate_histograms(&h.values[i], &h.values[i + 1], share, kind.is_counter) {
        Ok((between, reconciled)) => {
            for operation in reconciled {
                notes.add(Note::BoundsReconciled(operation));
            }
            Some(between)
        }
        Err(histogram::Incompatible) => {
            notes.add(Note::MixedBuckets {
                metric: notes.metric,
            });
            None
        }
    }
}

/// Adds what resets between the edges took away.
fn correct(
    change: &mut Histogram,
    h: Slice<'_, Arc<Histogram>>,
    edges: Edges,
    (left, right): (&Histogram, &Histogram),
    notes: &SeriesNotes<'_>,
) -> Option<()> {
    let Edges { first, last, .. } = edges;
    let mut from = first + 1;
    let mut before = left;
    let next_resets = || histogram::detect_reset(&h.values[first + 1], &h.values[first]);
    if edges.share_left(h.times).is_some() && next_resets() {
        // Interpolation on the left went over this reset already.
        before = &h.values[first + 1];
        from += 1;
    }
    // The last sample itself is left out: `right` is made of it and says what it says of resets.
    if from > last {
        return Some(());
    }
    for sample in h.values[from..last].iter().map(|x| &**x).chain([right]) {
        if histogram::detect_reset(sample, before) {
            add_noted(change, before, notes)?;
        }
        before = sample;
    }
    Some(())
}
