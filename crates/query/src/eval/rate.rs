//! `rate`, `increase`, `delta`, `irate`, `idelta`: how fast samples change.
//!
//! The increase between the first and the last sample of a window is extrapolated towards the
//! window's edges: all the way if the gap there is at most 1.1 times the mean gap between
//! samples, else by half a mean gap; a counter never below zero. Where a sample says when its
//! counter began, that is where it was zero.

use std::sync::Arc;

use model::{Histogram, ResetHint};

use super::call::{SeriesNotes, Window};
use super::grid::{Cell, Grid, Row};
use super::range::Span;
use super::series::{Points, Slice, Stretch};
use crate::annotations::{Note, Operation};
use crate::functions::Kind;
use crate::histogram;

/// Gaps up to this many mean gaps are bridged when extrapolating.
const BRIDGED_GAPS: f64 = 1.1;

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateKind {
    pub(super) is_counter: bool,
    pub(super) per_second: bool,
}

impl RateKind {
    pub(super) fn of(kind: Kind) -> Self {
        Self {
            is_counter: kind != Kind::Delta,
            per_second: kind == Kind::Rate,
        }
    }
}

/// Whether what a sample says of its start means that the counter was reset after the sample
/// before it. Pairs of start and time.
pub(super) fn start_resets(before: (i64, i64), now: (i64, i64)) -> bool {
    let ((start_before, time_before), (start, time)) = (before, now);
    // Unknown, invalid, or "unknown" as OpenTelemetry says it.
    if start == 0 || start >= time || start < time_before {
        return false;
    }
    if start > time_before {
        return true;
    }
    // The start is the time of the sample before: a reset for deltas, which know their starts,
    // but not for a cumulative series whose start was unknown.
    start_before <= time_before && start_before != 0 && start_before != time_before
}

/// Whether a start overlaps the sample before.
fn start_overlaps(before: (i64, i64), start: i64) -> bool {
    start != 0 && start < before.1 && start != before.0
}

/// What extrapolation needs to know of a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) count: usize,
    pub(super) first: i64,
    pub(super) last: i64,
    /// Start of the first sample; 0 if unknown.
    pub(super) first_start: i64,
}

/// What to do with the increase between the first and the last sample.
#[derive(Debug, Clone, Copy)]
struct Extrapolation {
    /// The first sample's value is part of the increase: it began within the window.
    from_zero: bool,
    sampled: f64,
    to_start: f64,
    to_end: f64,
}

impl Extrapolation {
    fn of(extent: Extent, stretch: Stretch, is_counter: bool) -> Option<Self> {
        let Extent {
            count,
            first,
            last,
            first_start,
        } = extent;
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let sampled = seconds(last - first);
        let gap = if count > 1 {
            sampled / (count - 1) as f64
        } else {
            0.0
        };
        let bridged = gap * BRIDGED_GAPS;
        let within = |to: f64| if to >= bridged { gap / 2.0 } else { to };
        let to_end = within(seconds(stretch.end - last));
        if is_counter && first_start != 0 && first_start > stretch.begin && first_start < first {
            let sampled = seconds(last - first_start);
            return Some(Self {
                from_zero: true,
                sampled,
                to_start: 0.0,
                to_end,
            });
        }
        let to_start = within(seconds(first - stretch.begin));
        (count > 1).then_some(Self {
            from_zero: false,
            sampled,
            to_start,
            to_end,
        })
    }

    /// The factor the increase is multiplied by; `first` and `increase` bound how far back a
    /// counter was zero.
    fn factor(self, kind: RateKind, first: f64, increase: f64, range_ms: i64) -> f64 {
        let mut to_start = self.to_start;
        if kind.is_counter && !self.from_zero && increase > 0.0 && first >= 0.0 {
            let to_zero = self.sampled * (first / increase);
            if to_zero < to_start {
                to_start = to_zero;
            }
        }
        let whole = self.sampled + to_start + self.to_end;
        let factor = if self.sampled == 0.0 {
            1.0
        } else {
            whole / self.sampled
        };
        if kind.per_second {
            factor / (range_ms as f64 / 1000.0)
        } else {
            factor
        }
    }
}

/// What the times of a window say about extrapolating in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// The samples of the window.
    low: usize,
    high: usize,
    extrapolation: Option<Extrapolation>,
    /// The factor, unless the counter was zero within what is extrapolated.
    factor: f64,
}

impl Plan {
    /// Of the samples from `window.0` to before `window.1`.
    pub(super) fn of(
        kind: RateKind,
        times: &[i64],
        window: (usize, usize),
        stretch: Stretch,
        range_ms: i64,
    ) -> Self {
        let (low, high) = window;
        let extrapolation = match &times[low..high] {
            [] => None,
            inside @ [first, ..] => {
                let extent = Extent {
                    count: inside.len(),
                    first: *first,
                    last: inside[inside.len() - 1],
                    first_start: 0,
                };
                Extrapolation::of(extent, stretch, kind.is_counter)
            }
        };
        // Of a counter that did not rise nothing is known about its zero.
        let factor = extrapolation.map_or(0.0, |e| e.factor(kind, 0.0, 0.0, range_ms));
        Self {
            low,
            high,
            extrapolation,
            factor,
        }
    }
}

/// All steps of a series of floats without start times.
pub(super) fn planned(
    kind: RateKind,
    values: &[f64],
    plans: &[Plan],
    range_ms: i64,
    out: &mut [f64],
) {
    let resets = if kind.is_counter {
        falls(values)
    } else {
        Vec::new()
    };
    let (mut from, mut to) = (0, 0);
    for (slot, plan) in out.iter_mut().zip(plans) {
        let Some(extrapolation) = plan.extrapolation else {
            continue;
        };
        let first = values[plan.low];
        let mut increase = values[plan.high - 1] - first;
        if !resets.is_empty() {
            // A reset counts if the sample before it is in the window too.
            while resets.get(from).is_some_and(|r| *r <= plan.low) {
                from += 1;
            }
            to = to.max(from);
            while resets.get(to).is_some_and(|r| *r < plan.high) {
                to += 1;
            }
            let lost = resets[from..to].iter().map(|r| values[r - 1]);
            increase = lost.fold(increase, |sum, value| sum + value);
        }
        // At least as far from zero as it rose: zero lies no nearer than the first sample is to
        // the last, and nobody extrapolates farther than that here.
        let is_far = first >= increase && extrapolation.sampled >= extrapolation.to_start;
        let factor = if is_far || increase <= 0.0 || first < 0.0 || !kind.is_counter {
            plan.factor
        } else {
            extrapolation.factor(kind, first, increase, range_ms)
        };
        *slot = increase * factor;
    }
}

/// Indexes of values below the one before. Most counters have none, which is seen of several
/// values at once.
fn falls(values: &[f64]) -> Vec<usize> {
    let behind = values.get(1..).unwrap_or_default();
    let pairs = values.iter().zip(behind);
    if !pairs.fold(false, |any, (before, now)| any | (now < before)) {
        return Vec::new();
    }
    let fell = |i: &usize| values[*i] < values[i - 1];
    (1..values.len()).filter(fell).collect()
}

/// All steps of a series of floats. Resets are found once; a window adds up those inside of it.
pub(super) fn column(
    kind: RateKind,
    floats: &Points<f64>,
    windows: &[(usize, usize)],
    span: &Span,
    grid: Grid,
    notes: &SeriesNotes<'_>,
    out: &mut [f64],
) {
    let resets = if kind.is_counter {
        resets(floats)
    } else {
        Vec::new()
    };
    let overlaps = if kind.is_counter {
        overlaps(floats)
    } else {
        Vec::new()
    };
    let (mut from, mut to) = (0, 0);
    for (i, window) in windows.iter().enumerate() {
        let (low, high) = *window;
        if low >= high {
            continue;
        }
        // A reset counts if the sample before it is in the window too.
        while resets.get(from).is_some_and(|r| *r <= low) {
            from += 1;
        }
        to = to.max(from);
        while resets.get(to).is_some_and(|r| *r < high) {
            to += 1;
        }
        if overlaps.iter().any(|k| (low + 1..high).contains(k)) {
            notes.add(Note::StartTimeOverlap {
                metric: notes.metric,
            });
        }
        let slice = Slice::of(floats, *window);
        let lost = resets[from..to].iter().map(|r| floats.values[r - 1]);
        let stretch = span.window(grid.time(i));
        if let Some(value) = float_rate(kind, slice, lost, stretch, span.range) {
            out[i] = value;
        }
    }
}

/// Indexes of samples before which the counter was reset.
fn resets(floats: &Points<f64>) -> Vec<usize> {
    let start = |i: usize| floats.starts.get(i).copied().unwrap_or(0);
    let at = |i: usize| (start(i), floats.times[i]);
    (1..floats.values.len())
        .filter(|i| floats.values[*i] < floats.values[i - 1] || start_resets(at(i - 1), at(*i)))
        .collect()
}

/// Indexes of samples whose start overlaps the sample before.
fn overlaps(floats: &Points<f64>) -> Vec<usize> {
    (1..floats.starts.len())
        .filter(|i| {
            start_overlaps(
                (floats.starts[i - 1], floats.times[i - 1]),
                floats.starts[*i],
            )
        })
        .collect()
}

fn float_rate(
    kind: RateKind,
    floats: Slice<'_, f64>,
    lost: impl Iterator<Item = f64>,
    stretch: Stretch,
    range_ms: i64,
) -> Option<f64> {
    let last = floats.len() - 1;
    let extent = Extent {
        count: floats.len(),
        first: floats.times[0],
        last: floats.times[last],
        first_start: floats.start(0),
    };
    let first = floats.values[0];
    let increase = lost.fold(floats.values[last] - first, |sum, value| sum + value);
    of_increase(kind, extent, first, increase, stretch, range_ms)
}

/// The result for an increase between samples; `first` is the value of the first one.
pub(super) fn of_increase(
    kind: RateKind,
    extent: Extent,
    first: f64,
    mut increase: f64,
    stretch: Stretch,
    range_ms: i64,
) -> Option<f64> {
    let extrapolation = Extrapolation::of(extent, stretch, kind.is_counter)?;
    if extrapolation.from_zero {
        increase += first;
    }
    Some(increase * extrapolation.factor(kind, first, increase, range_ms))
}

/// One window of floats or histograms.
pub(super) fn extrapolated(
    kind: RateKind,
    w: &Window<'_>,
    notes: &SeriesNotes<'_>,
) -> Option<Cell> {
    if !w.floats.is_empty() && !w.histograms.is_empty() {
        notes.add(Note::MixedFloatsHistograms {
            metric: notes.metric,
        });
        return None;
    }
    if w.histograms.is_empty() {
        let points = Points {
            times: w.floats.times.to_vec(),
            values: w.floats.values.to_vec(),
            starts: w.floats.starts.to_vec(),
        };
        let found = if kind.is_counter {
            resets(&points)
        } else {
            Vec::new()
        };
        let lost = found.into_iter().map(|r| points.values[r - 1]);
        return float_rate(kind, w.floats, lost, w.stretch, w.span.range).map(Cell::Float);
    }
    histogram_rate(kind, w, notes).map(|h| Cell::Histogram(Arc::new(h)))
}

fn histogram_rate(kind: RateKind, w: &Window<'_>, notes: &SeriesNotes<'_>) -> Option<Histogram> {
    let all = w.histograms;
    let last = all.len() - 1;
    let mut increase = match last {
        0 => None,
        _ => Some(histogram_increase(kind.is_counter, all, notes)?),
    };
    let extent = Extent {
        count: all.len(),
        first: all.times[0],
        last: all.times[last],
        first_start: all.start(0),
    };
    let extrapolation = Extrapolation::of(extent, w.stretch, kind.is_counter)?;
    let first = &all.values[0];
    if extrapolation.from_zero {
        match &mut increase {
            Some(sum) => add_noted(sum, first, notes)?,
            None => increase = Some((**first).clone()),
        }
    }
    let mut increase = increase?;
    let factor = extrapolation.factor(kind, first.count, increase.count, w.span.range);
    histogram::mul(&mut increase, factor);
    Some(increase)
}

/// Adds, and notes what has to be said; `None` if that cannot be.
pub(super) fn add_noted(
    total: &mut Histogram,
    other: &Histogram,
    notes: &SeriesNotes<'_>,
) -> Option<()> {
    noted(histogram::add(total, other), Operation::Addition, notes)
}

/// Subtracts, and notes what has to be said; `None` if that cannot be.
pub(super) fn sub_noted(
    total: &mut Histogram,
    other: &Histogram,
    notes: &SeriesNotes<'_>,
) -> Option<()> {
    noted(histogram::sub(total, other), Operation::Subtraction, notes)
}

fn noted(
    result: Result<histogram::Notes, histogram::Incompatible>,
    operation: Operation,
    notes: &SeriesNotes<'_>,
) -> Option<()> {
    match result {
        Ok(done) => {
            if done.bounds_reconciled {
                notes.add(Note::BoundsReconciled(operation));
            }
            Some(())
        }
        Err(histogram::Incompatible) => {
            notes.add(Note::MixedBuckets {
                metric: notes.metric,
            });
            None
        }
    }
}

/// The increase over at least two histograms, marked as a gauge.
fn histogram_increase(
    is_counter: bool,
    all: Slice<'_, Arc<Histogram>>,
    notes: &SeriesNotes<'_>,
) -> Option<Histogram> {
    let metric = notes.metric;
    let last = all.len() - 1;
    let is_gauge = |h: &Arc<Histogram>| h.reset_hint == ResetHint::Gauge;
    if is_counter && all.values.iter().any(is_gauge) {
        notes.add(Note::NotCounter { metric });
    }
    let at = |i: usize| (all.start(i), all.times[i]);
    let is_reset = |i: usize, before: &Histogram| {
        start_resets(at(i - 1), at(i)) || histogram::detect_reset(&all.values[i], before)
    };
    // After a reset the first sample does not matter, whatever its layout.
    let skip_first = is_counter && is_reset(1, &all.values[0]);
    let empty = Histogram {
        schema: all.values[1].schema,
        custom_values: all.values[1].custom_values.clone(),
        ..Histogram::default()
    };
    let first: &Histogram = if skip_first { &empty } else { &all.values[0] };
    let relevant = || std::iter::once(first).chain(all.values[1..].iter().map(|h| &**h));
    let is_custom = histogram::is_custom(first);
    let checked = |i: usize| i == 0 || i == last || is_counter;
    if relevant()
        .enumerate()
        .any(|(i, h)| checked(i) && histogram::is_custom(h) != is_custom)
    {
        notes.add(Note::MixedBuckets { metric });
        return None;
    }
    let coarsest = relevant()
        .enumerate()
        .filter(|(i, _)| checked(*i))
        .map(|(_, h)| h.schema)
        .min();
    let end = &all.values[last];
    let mut increase = coarsest
        .and_then(|schema| histogram::copy_to_schema(end, schema))
        .unwrap_or_else(|| (**end).clone());
    sub_noted(&mut increase, first, notes)?;
    if is_counter {
        let mut before = first;
        for i in 1..=last {
            if start_overlaps(at(i - 1), all.start(i)) {
                notes.add(Note::StartTimeOverlap { metric });
            }
            if is_reset(i, before) {
                add_noted(&mut increase, before, notes)?;
            }
            before = &all.values[i];
        }
    } else if !is_gauge(&all.values[0]) || !is_gauge(end) {
        notes.add(Note::NotGauge { metric });
    }
    increase.reset_hint = ResetHint::Gauge;
    histogram::compact(&mut increase);
    Some(increase)
}

/// `irate` (of a counter, per second) and `idelta`: the last two samples.
pub(super) fn instant(is_rate: bool, w: &Window<'_>, notes: &SeriesNotes<'_>) -> Option<Cell> {
    let ((f, h), metric) = ((w.floats, w.histograms), notes.metric);
    let mut newest: Vec<(i64, bool, usize)> = (0..f.len()).map(|i| (f.times[i], true, i)).collect();
    newest.extend((0..h.len()).map(|i| (h.times[i], false, i)));
    newest.sort_by_key(|(time, ..)| *time);
    let [.., (before, a_float, a), (now, b_float, b)] = newest[..] else {
        return None;
    };
    let seconds = (now - before) as f64 / 1000.0;
    if a_float != b_float {
        notes.add(Note::MixedFloatsHistograms { metric });
        return None;
    }
    if b_float {
        let (x, y) = (f.values[a], f.values[b]);
        let reset = y < x || start_resets((f.start(a), before), (f.start(b), now));
        let change = if is_rate && reset { y } else { y - x };
        return Some(Cell::Float(if is_rate { change / seconds } else { change }));
    }
    let (x, y) = (&h.values[a], &h.values[b]);
    let gauges = [x, y].map(|h| h.reset_hint == ResetHint::Gauge);
    if is_rate && gauges.contains(&true) {
        notes.add(Note::NotCounter { metric });
    }
    if !is_rate && gauges.contains(&false) {
        notes.add(Note::NotGauge { metric });
    }
    let mut change = (**y).clone();
    let reset =
        || start_resets((h.start(a), before), (h.start(b), now)) || histogram::detect_reset(y, x);
    if !is_rate || !reset() {
        sub_noted(&mut change, x, notes)?;
    }
    change.reset_hint = ResetHint::Gauge;
    histogram::compact(&mut change);
    if is_rate {
        histogram::div(&mut change, seconds);
    }
    Some(Cell::Histogram(Arc::new(change)))
}

/// Says so if the rate of something was asked for that does not look like a counter.
pub(super) fn note_non_counter<'e>(kind: Kind, row: &Row, notes: &SeriesNotes<'e>) {
    let metric = notes.metric;
    let suffixes = ["_total", "_sum", "_count", "_bucket"];
    let is_rate = matches!(kind, Kind::Rate | Kind::Increase);
    if is_rate
        && !metric.is_empty()
        && !suffixes.iter().any(|s| metric.ends_with(s))
        && row.floats.iter().any(|v| super::is_present(*v))
    {
        notes.add(Note::PossibleNonCounter { metric });
    }
}
