//! Instant selectors: at each step the newest sample within the lookback, unless it is a
//! staleness marker.

use std::sync::Arc;

use model::{Histogram, ResetHint, Selection, Series, Thinned, is_stale};

use super::grid::{ABSENT, Cell, Grid, Row};
use super::{Evaluator, Result, Sink};
use crate::annotations::{Note, Operation};
use crate::ast::{Extension, VectorSelector};
use crate::histogram;

/// What is taken from a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// Its value.
    Value,
    /// Its time, seconds.
    Time,
    /// When its counter began, seconds; 0 if unknown.
    StartTime,
}

impl Evaluator<'_> {
    pub(super) fn stream_selector(
        &self,
        v: &VectorSelector,
        grid: Grid,
        take: Take,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let lookback = self.options.lookback_ms;
        let offset = self.offset_ms(v.offset.as_ref())?;
        let at = self.at_ms(v.at);
        let reference = |time: i64| at.unwrap_or(time).saturating_sub(offset);
        let smoothed = v.extension == Extension::Smoothed;
        let ahead = if smoothed { lookback } else { 0 };
        let mut selection = Selection {
            matchers: v.matchers.clone(),
            from_ms: reference(grid.start).saturating_sub(lookback - 1),
            to_ms: reference(grid.end()).saturating_add(ahead),
        };
        let thinned = self.reader.thinned(selection.from_ms, selection.to_ms);
        self.note_thinned(&thinned, v.position);
        let farthest = thinned.iter().map(|t| t.every_ms).max().unwrap_or(0);
        selection.from_ms = selection.from_ms.saturating_sub(farthest);
        // Where one sample an hour is left, it stands for its hour.
        let reach = |time: i64| {
            let over =
                |t: &&Thinned| t.from_ms <= time && time <= t.to_ms.saturating_add(t.every_ms);
            let farther = thinned.iter().filter(over).map(|t| t.every_ms).max();
            lookback + farther.unwrap_or(0)
        };
        let only_newest = grid.count == 1 && !smoothed && take != Take::StartTime;
        let make = |on: &Evaluator<'_>, picks: &mut Picks, series: Series| {
            let series = on.prepared(series);
            on.budget.account.read(1, series.values.len());
            let references = grid.times().map(reference);
            if smoothed {
                return Ok(Some(on.smooth(&series, grid, references, v)));
            }
            picks.fit(&series.times_ms, references, reach);
            let at_steps = picks.samples.iter().map(|pick| usize::from(pick.is_some()));
            on.budget.account.saw(picks.found, grid.start, at_steps);
            Ok(Some(newest(series, grid, picks, take)))
        };
        self.each_row(&selection, only_newest, &make, sink)
    }

    /// Values between samples by linear interpolation; after the last one its value.
    fn smooth(
        &self,
        series: &Series,
        grid: Grid,
        references: impl Iterator<Item = i64>,
        v: &VectorSelector,
    ) -> Row {
        let lookback = self.options.lookback_ms;
        let mut row = Row::new(series.labels.clone(), false, grid.count);
        let fresh: Vec<usize> = (0..series.values.len())
            .filter(|i| !is_stale(series.values[*i]))
            .collect();
        for (i, time) in references.enumerate() {
            let upto = |bound: i64| fresh.partition_point(|k| series.times_ms[*k] <= bound);
            let in_reach = &fresh[upto(time - lookback)..upto(time + lookback)];
            if let Some(cell) = self.interpolated(series, in_reach, time, v) {
                row.put(i, cell);
            }
        }
        row
    }

    fn interpolated(
        &self,
        series: &Series,
        in_reach: &[usize],
        time: i64,
        v: &VectorSelector,
    ) -> Option<Cell> {
        let metric = series.labels.metric_name();
        let is_histogram = |k: usize| series.histograms.get(k).is_some_and(Option::is_some);
        let histograms = in_reach.iter().filter(|k| is_histogram(**k)).count();
        if histograms > 0 && histograms < in_reach.len() {
            self.note(&Note::MixedFloatsHistograms { metric }, v.position);
            return None;
        }
        let after = in_reach.partition_point(|k| series.times_ms[*k] < time);
        let next = in_reach.get(after).copied();
        let before = after.checked_sub(1).map(|i| in_reach[i]);
        let exact = next.filter(|k| series.times_ms[*k] == time);
        if let Some(k) = exact {
            return cell(series, k);
        }
        let (k, next) = (before?, next);
        let Some(next) = next else {
            return cell(series, k);
        };
        let share = (time - series.times_ms[k]) as f64
            / (series.times_ms[next] - series.times_ms[k]) as f64;
        if histograms == 0 {
            let (a, b) = (series.values[k], series.values[next]);
            return Some(Cell::Float(a + (b - a) * share));
        }
        let (a, b) = (
            series.histograms[k].as_ref()?,
            series.histograms[next].as_ref()?,
        );
        let is_counter = a.reset_hint != ResetHint::Gauge && b.reset_hint != ResetHint::Gauge;
        // A reset would hide the mix.
        let mixed = histogram::is_custom(a) != histogram::is_custom(b);
        let between = if mixed {
            Err(histogram::Incompatible)
        } else {
            interpolate_histograms(a, b, share, is_counter)
        };
        match between {
            Ok((h, reconciled)) => {
                for operation in reconciled {
                    self.note(&Note::BoundsReconciled(operation), v.position);
                }
                Some(Cell::Histogram(Arc::new(h)))
            }
            Err(histogram::Incompatible) => {
                self.note(&Note::MixedBuckets { metric }, v.position);
                None
            }
        }
    }
}

fn cell(series: &Series, k: usize) -> Option<Cell> {
    Some(match series.histograms.get(k).and_then(Option::as_ref) {
        Some(h) => Cell::Histogram(Arc::clone(h)),
        None => Cell::Float(series.values[k]),
    })
}

/// A histogram `share` of the way from `a` to `b`; a counter that was reset starts from zero.
/// Also says which operations had to reconcile custom bounds.
pub(super) fn interpolate_histograms(
    a: &Histogram,
    b: &Histogram,
    share: f64,
    is_counter: bool,
) -> std::result::Result<(Histogram, Vec<Operation>), histogram::Incompatible> {
    let mut result = b.clone();
    if is_counter && histogram::detect_reset(b, a) {
        histogram::mul(&mut result, share);
        return Ok((result, Vec::new()));
    }
    let mut reconciled = Vec::new();
    if histogram::sub(&mut result, a)?.bounds_reconciled {
        reconciled.push(Operation::Subtraction);
    }
    histogram::mul(&mut result, share);
    if histogram::add(&mut result, a)?.bounds_reconciled {
        reconciled.push(Operation::Addition);
    }
    Ok((result, reconciled))
}

/// Which sample is the newest within reach at each step. Series scraped together have the same
/// times, and so the same picks.
#[derive(Debug, Default)]
struct Picks {
    times: Vec<i64>,
    samples: Vec<Option<usize>>,
    /// At how many steps there is one.
    found: usize,
}

impl Picks {
    fn fit(
        &mut self,
        times: &[i64],
        references: impl Iterator<Item = i64>,
        lookback: impl Fn(i64) -> i64,
    ) {
        if !self.samples.is_empty() && self.times == times {
            return;
        }
        times.clone_into(&mut self.times);
        let mut next = 0;
        let pick = |time: i64| {
            while times.get(next).is_some_and(|t| *t <= time) {
                next += 1;
            }
            let newest = next.checked_sub(1)?;
            (times[newest] > time.saturating_sub(lookback(time))).then_some(newest)
        };
        self.samples.clear();
        self.samples.extend(references.map(pick));
        self.found = self.samples.iter().flatten().count();
    }
}

/// The newest sample at each step, unless it is a staleness marker.
fn newest(series: Series, grid: Grid, picks: &Picks, take: Take) -> Row {
    if take == Take::Value && series.histograms.is_empty() {
        // The marker is what stands for no value, too.
        let value = |pick: &Option<usize>| pick.map_or(ABSENT, |k| series.values[k]);
        let floats = picks.samples.iter().map(value).collect();
        return Row::from_floats(series.labels, false, floats);
    }
    let mut row = Row::new(series.labels.clone(), take != Take::Value, grid.count);
    for (i, pick) in picks.samples.iter().enumerate() {
        let Some(k) = *pick else { continue };
        if is_stale(series.values[k]) {
            continue;
        }
        match take {
            Take::Time => row.floats[i] = series.times_ms[k] as f64 / 1000.0,
            Take::StartTime => {
                let start = series.starts_ms.get(k).copied().unwrap_or(0);
                row.floats[i] = start as f64 / 1000.0;
            }
            Take::Value => match series.histograms.get(k).and_then(Option::as_ref) {
                Some(h) => row.put(i, Cell::Histogram(Arc::clone(h))),
                None => row.floats[i] = series.values[k],
            },
        }
    }
    row
}
