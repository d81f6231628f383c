//! Functions of long windows from runs of samples: what a reader knows of them without reading
//! them ([`model::SeriesReader::digest`]).
//!
//! A window adds up the runs inside of it, in order of time. Counts, extremes and ends are those
//! of the samples, bit for bit. Sums add the runs' compensated sums, compensated again: with runs
//! whose absolute sums add up to at most [`CONDITION_MAX`] times the result, the relative error is
//! at most `2^-53 * CONDITION_MAX`, 1.2e-13 (N. Higham, Accuracy and Stability of Numerical
//! Algorithms, 4.2); otherwise, and near overflow, the samples themselves are read.
//!
//! Where only roll-ups are left, a run may reach out of a window. It counts where its last sample
//! lies; for counters it then is that sample alone.

use model::{Digest, MatchOp, Matcher, Run, Selection, Series, Thinned, Windows};

use super::call::{Frames, SeriesNotes};
use super::grid::{Grid, Row};
use super::kahan::Kahan;
use super::range::Span;
use super::rate::{self, Extent, RateKind};
use super::series::{RangeSeries, Stretch, bounds};
use super::{Evaluator, Result, Sink};
use crate::annotations::Note;
use crate::ast::{Call, Expr, Extension, MatrixSelector};
use crate::functions::Kind;
use crate::position::Position;

/// Windows shorter than this, or closer to each other, hold too few runs to gain by them, ms.
const RANGE_MIN_MS: i64 = 600_000;
/// How much larger than a sum its terms may be together.
const CONDITION_MAX: f64 = 1000.0;
/// Sums of magnitudes above this might have overflowed on the way.
const MAGNITUDE_MAX: f64 = 1e300;

/// Whether a function needs no more of a window than its runs.
fn takes_runs(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::CountOverTime
            | Kind::PresentOverTime
            | Kind::SumOverTime
            | Kind::AvgOverTime
            | Kind::MinOverTime
            | Kind::MaxOverTime
            | Kind::FirstOverTime
            | Kind::LastOverTime
            | Kind::TsOfFirstOverTime
            | Kind::TsOfLastOverTime
            | Kind::Rate
            | Kind::Increase
            | Kind::Delta
            | Kind::Resets
    )
}

/// What a window comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Found {
    Value(f64),
    Nothing,
    /// The runs do not say it exactly.
    Unsure,
}

impl Evaluator<'_> {
    /// Answers a call from runs if that is exact and pays; whether it did.
    pub(super) fn stream_digests(&self, c: &Call, grid: Grid, sink: &mut Sink<'_>) -> Result<bool> {
        let [arg] = &c.args[..] else { return Ok(false) };
        let Expr::Matrix(m) = arg.unwrapped() else {
            return Ok(false);
        };
        if !takes_runs(c.function.kind) || m.selector.extension != Extension::None {
            return Ok(false);
        }
        let span = self.span(m)?;
        let selection = self.selection(m, &span, grid);
        let thinned = self.reader.thinned(selection.from_ms, selection.to_ms);
        let windows = windows(&span, grid);
        let gap = if windows.count > 1 {
            windows.step_ms
        } else {
            i64::MAX
        };
        if thinned.is_empty() && windows.range_ms.min(gap) < RANGE_MIN_MS {
            return Ok(false);
        }
        let Some(digests) = self.reader.digest(&selection, &windows)? else {
            return Ok(false);
        };
        self.note_thinned(&thinned, m.position);
        for (count, digest) in digests.enumerate() {
            self.check_stop()?;
            self.budget.series(count + 1)?;
            let Some(digest) = self.readable(digest)? else {
                continue;
            };
            let row = self.digest_row(c, digest, &selection, &span, grid, !thinned.is_empty())?;
            if !row.is_empty() {
                sink(row)?;
            }
        }
        Ok(true)
    }

    /// Says that roll-ups had to answer.
    pub(super) fn note_thinned(&self, thinned: &[Thinned], position: Position) {
        for Thinned { every_ms, .. } in thinned {
            let note = Note::RolledUp {
                every_ms: *every_ms,
            };
            self.note(&note, position);
        }
    }

    fn digest_row(
        &self,
        c: &Call,
        digest: Digest,
        selection: &Selection,
        span: &Span,
        grid: Grid,
        is_thinned: bool,
    ) -> Result<Row> {
        let kind = c.function.kind;
        let has_histograms = !digest.samples.histograms.is_empty();
        if digest.runs.is_empty() || has_histograms && !is_thinned {
            let samples = if digest.runs.is_empty() {
                Some(digest.samples)
            } else {
                self.samples_of(&digest.samples, selection)?
            };
            return self.row_of_samples(c, samples, span, grid);
        }
        let runs = in_order(&digest);
        self.budget.account.read(1, digest.samples.values.len());
        let _held = self
            .budget
            .hold(runs.len(), runs.len() * size_of::<Run>())?;
        let keeps_name = matches!(kind, Kind::LastOverTime | Kind::FirstOverTime);
        let mut row = Row::new(digest.samples.labels.clone(), !keeps_name, grid.count);
        let times: Vec<i64> = runs.iter().map(|run| run.to_ms).collect();
        let mut held = Vec::new();
        bounds(&times, grid.times().map(|t| span.window(t)), &mut held);
        let in_windows = held.iter().map(|(low, high)| high - low);
        let all = in_windows.clone().sum();
        self.budget.account.saw(all, grid.start, in_windows);
        for (i, (low, high)) in held.into_iter().enumerate() {
            match of_window(
                kind,
                &runs[low..high],
                span.window(grid.time(i)),
                span.range,
            ) {
                Found::Value(value) => row.floats[i] = value,
                Found::Unsure if !is_thinned => {
                    let samples = self.samples_of(&digest.samples, selection)?;
                    return self.row_of_samples(c, samples, span, grid);
                }
                Found::Nothing | Found::Unsure => {}
            }
        }
        rate::note_non_counter(kind, &row, &self.series_notes(&digest.samples.labels, span));
        Ok(row)
    }

    /// All samples of one series.
    fn samples_of(&self, series: &Series, selection: &Selection) -> Result<Option<Series>> {
        let equal = |(name, value): (&str, &str)| Matcher::equal(name, value);
        let mut matchers: Vec<Matcher> = series.labels.iter().map(equal).collect();
        debug_assert!(matchers.iter().all(|m| m.op == MatchOp::Equal));
        matchers.extend(selection.matchers.iter().cloned());
        let alone = Selection {
            matchers,
            ..selection.clone()
        };
        for found in self.reader.select(&alone)? {
            let Some(found) = self.readable(found)? else {
                continue;
            };
            if found.labels == series.labels {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn row_of_samples(
        &self,
        c: &Call,
        samples: Option<Series>,
        span: &Span,
        grid: Grid,
    ) -> Result<Row> {
        let Some(samples) = samples else {
            return Ok(Row::new(model::Labels::empty(), true, grid.count));
        };
        let series = RangeSeries::read(self.prepared(samples));
        let _held = self.budget.hold_read(series.len())?;
        self.row_of_range(c, &series, span, grid, &[], &mut Frames::default())
    }

    /// Where annotations about a series go.
    pub(super) fn series_notes<'e>(
        &'e self,
        labels: &'e model::Labels,
        span: &Span,
    ) -> SeriesNotes<'e> {
        SeriesNotes::new(self, Self::metric(labels), span.position)
    }

    /// What a selector of a range asks a reader for.
    pub(super) fn selection(&self, m: &MatrixSelector, span: &Span, grid: Grid) -> Selection {
        let whole = span.whole(grid);
        Selection {
            matchers: m.selector.matchers.clone(),
            from_ms: whole.begin.saturating_add(1),
            to_ms: whole.end,
        }
    }
}

/// The windows of all steps. With `@` they are all the same one.
fn windows(span: &Span, grid: Grid) -> Windows {
    let (first, last) = (span.window(grid.start), span.window(grid.end()));
    Windows {
        end_ms: first.end,
        step_ms: grid.step,
        count: if first == last { 1 } else { grid.count },
        range_ms: span.range,
    }
}

/// Runs and samples as runs, in order of time.
fn in_order(digest: &Digest) -> Vec<Run> {
    let samples = &digest.samples;
    let one = |(time, value): (&i64, &f64)| Run {
        from_ms: *time,
        to_ms: *time,
        count: 1,
        sum: *value,
        min: *value,
        max: *value,
        first: *value,
        last: *value,
        resets: 0,
        correction: 0.0,
    };
    let is_float = |i: usize| samples.histograms.get(i).is_none_or(Option::is_none);
    let alone = samples.times_ms.iter().zip(&samples.values).enumerate();
    let alone = alone.filter(|(i, (_, v))| is_float(*i) && !model::is_stale(**v));
    let mut runs: Vec<Run> = alone.map(|(_, sample)| one(sample)).collect();
    runs.extend(&digest.runs);
    runs.sort_by_key(|run| run.to_ms);
    runs
}

fn of_window(kind: Kind, runs: &[Run], window: Stretch, range_ms: i64) -> Found {
    let [first, .., last] = runs else {
        return match runs {
            [one] => of_some(kind, runs, one, one, window, range_ms),
            _ => Found::Nothing,
        };
    };
    of_some(kind, runs, first, last, window, range_ms)
}

fn of_some(
    kind: Kind,
    runs: &[Run],
    first: &Run,
    last: &Run,
    window: Stretch,
    range_ms: i64,
) -> Found {
    let is_whole = first.from_ms > window.begin;
    let seconds = |ms: i64| ms as f64 / 1000.0;
    Found::Value(match kind {
        Kind::CountOverTime => count(runs) as f64,
        Kind::PresentOverTime => 1.0,
        Kind::LastOverTime => last.last,
        Kind::FirstOverTime => {
            if is_whole {
                first.first
            } else {
                first.last
            }
        }
        Kind::TsOfLastOverTime => seconds(last.to_ms),
        Kind::TsOfFirstOverTime => seconds(if is_whole { first.from_ms } else { first.to_ms }),
        Kind::MaxOverTime => extreme(runs.iter().map(|r| r.max), |new, old| new > old),
        Kind::MinOverTime => extreme(runs.iter().map(|r| r.min), |new, old| new < old),
        Kind::SumOverTime | Kind::AvgOverTime => return sum_or_mean(kind, runs),
        _ => {
            let mut rise = Rise::new(first, is_whole);
            runs[1..].iter().for_each(|run| rise.add(run));
            return match kind {
                Kind::Resets => Found::Value(rise.resets as f64),
                _ => rise.rate(RateKind::of(kind), window, range_ms),
            };
        }
    })
}

fn count(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.count).sum()
}

/// NaN only if there is nothing else; of equals the first.
fn extreme(mut values: impl Iterator<Item = f64>, beats: impl Fn(f64, f64) -> bool) -> f64 {
    let first = values.next().unwrap_or(f64::NAN);
    values.fold(first, |best, value| {
        if beats(value, best) || best.is_nan() {
            value
        } else {
            best
        }
    })
}

fn sum_or_mean(kind: Kind, runs: &[Run]) -> Found {
    let mut total = Kahan::default();
    let (mut magnitudes, mut largest) = (0.0_f64, 0.0_f64);
    for run in runs {
        total = total.plus(run.sum);
        magnitudes += run.sum.abs();
        largest = largest.max(run.min.abs()).max(run.max.abs());
    }
    let n = count(runs) as f64;
    // A NaN makes the sum one, whatever else there is; infinities do so only in some orders.
    let may_overflow = largest.is_infinite() || largest * n > MAGNITUDE_MAX;
    let cancels = magnitudes > CONDITION_MAX * total.value().abs();
    if may_overflow || cancels {
        return Found::Unsure;
    }
    Found::Value(if kind == Kind::SumOverTime {
        total.value()
    } else {
        total.sum / n + total.lost / n
    })
}

/// A counter followed over runs.
#[derive(Debug)]
struct Rise {
    first: f64,
    last: f64,
    first_ms: i64,
    last_ms: i64,
    count: u64,
    resets: u64,
    /// Values before resets, in order; those of one run as one.
    lost: Vec<f64>,
    /// Some of `lost` are sums: adding them up one by one might round otherwise.
    lost_in_sums: bool,
}

impl Rise {
    /// `is_whole`: the run does not reach out of the window.
    fn new(run: &Run, is_whole: bool) -> Self {
        let mut rise = Self {
            first: run.last,
            last: run.last,
            first_ms: run.to_ms,
            last_ms: run.to_ms,
            count: 1,
            resets: 0,
            lost: Vec::new(),
            lost_in_sums: false,
        };
        if is_whole {
            (rise.first, rise.first_ms, rise.count) = (run.first, run.from_ms, 0);
            rise.take(run);
        }
        rise
    }

    fn add(&mut self, run: &Run) {
        if run.first < self.last {
            self.resets += 1;
            self.lost.push(self.last);
        }
        self.take(run);
    }

    fn take(&mut self, run: &Run) {
        if run.resets > 0 {
            self.lost.push(run.correction);
            self.resets += run.resets;
            self.lost_in_sums |= run.resets > 1;
        }
        self.count += run.count;
        (self.last, self.last_ms) = (run.last, run.to_ms);
    }

    fn rate(&self, kind: RateKind, window: Stretch, range_ms: i64) -> Found {
        let lost: &[f64] = if kind.is_counter { &self.lost } else { &[] };
        let increase = lost.iter().fold(self.last - self.first, |sum, v| sum + v);
        let terms = self.last.abs() + self.first.abs() + lost.iter().map(|v| v.abs()).sum::<f64>();
        if !lost.is_empty() && self.lost_in_sums && terms > CONDITION_MAX * increase.abs() {
            return Found::Unsure;
        }
        let extent = Extent {
            count: usize::try_from(self.count).unwrap_or(usize::MAX),
            first: self.first_ms,
            last: self.last_ms,
            first_start: 0,
        };
        rate::of_increase(kind, extent, self.first, increase, window, range_ms)
            .map_or(Found::Nothing, Found::Value)
    }
}
