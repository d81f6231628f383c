//! Functions of a range of samples.
//!
//! Series of floats alone go through [`columns`]: all steps at once, sliding where a function
//! allows it. Everything else looks at one window at a time, in [`at_step`].

mod histograms;
mod sliding;

use super::Result;
use super::call::{Frames, SeriesNotes, Window};
use super::grid::{Cell, Grid, Row};
use super::kahan::{Kahan, KahanMean};
use super::range::Span;
use super::rate;
use super::refuse;
use super::series::{RangeSeries, Slice};
use crate::annotations::Note;
use crate::ast::Extension;
use crate::functions::Kind;

/// Fills the row of a series of floats, if `kind` can be computed for all steps at once; tells
/// whether it did.
pub(super) fn columns(
    kind: Kind,
    series: &RangeSeries,
    frames: &mut Frames,
    span: &Span,
    grid: Grid,
    notes: &SeriesNotes<'_>,
    row: &mut Row,
) -> bool {
    let values = &series.floats.values;
    let out = &mut row.floats;
    if matches!(kind, Kind::Rate | Kind::Increase | Kind::Delta) {
        let rate = rate::RateKind::of(kind);
        if series.floats.starts.is_empty() {
            let plans = frames.plans(rate, span, grid);
            rate::planned(rate, values, plans, span.range, out);
        } else {
            let windows = frames.floats();
            rate::column(rate, &series.floats, windows, span, grid, notes, out);
        }
        return true;
    }
    let windows = frames.floats();
    match kind {
        Kind::CountOverTime => sliding::each(windows, out, |(low, high)| (high - low) as f64),
        Kind::PresentOverTime => sliding::each(windows, out, |_| 1.0),
        Kind::LastOverTime => sliding::each(windows, out, |(_, high)| values[high - 1]),
        Kind::FirstOverTime => sliding::each(windows, out, |(low, _)| values[low]),
        Kind::MaxOverTime => sliding::extremes(values, windows, out, |new, old| new > old),
        Kind::MinOverTime => sliding::extremes(values, windows, out, |new, old| new < old),
        Kind::SumOverTime => sliding::sums(values, windows, out, |sum, _| sum.value()),
        Kind::AvgOverTime if sliding::cannot_overflow(values) => {
            let mean = |sum: Kahan, n: usize| sum.sum / n as f64 + sum.lost / n as f64;
            sliding::sums(values, windows, out, mean);
        }
        Kind::Changes => {
            sliding::pairs(values, windows, out, |a, b| {
                a != b && !(a.is_nan() && b.is_nan())
            });
        }
        Kind::Resets if series.floats.starts.is_empty() => {
            sliding::pairs(values, windows, out, |before, after| after < before);
        }
        _ => return false,
    }
    true
}

/// The result of one window that is not empty.
pub(super) fn at_step<'e>(
    kind: Kind,
    w: &Window<'_>,
    parameters: &[f64],
    notes: &SeriesNotes<'e>,
) -> Result<Option<Cell>> {
    Ok(match kind {
        Kind::Rate | Kind::Increase | Kind::Delta => {
            let rate = rate::RateKind::of(kind);
            if w.span.extension == Extension::None {
                rate::extrapolated(rate, w, notes)
            } else {
                super::rate_extended::extended(rate, w, notes)
            }
        }
        Kind::Irate | Kind::Idelta => rate::instant(kind == Kind::Irate, w, notes),
        Kind::Changes => changes(w, false),
        Kind::Resets => changes(w, true),
        Kind::CountOverTime => Some(Cell::Float((w.floats.len() + w.histograms.len()) as f64)),
        Kind::PresentOverTime => Some(Cell::Float(1.0)),
        Kind::FirstOverTime => outermost(w, 0, |float, histogram| float < histogram),
        Kind::LastOverTime => outermost(w, usize::MAX, |float, histogram| float > histogram),
        Kind::TsOfFirstOverTime => edge(w, <[i64]>::first, i64::min),
        Kind::TsOfLastOverTime => edge(w, <[i64]>::last, i64::max),
        Kind::SumOverTime | Kind::AvgOverTime => sum_or_mean(kind, w, notes),
        _ => return of_floats(kind, w, parameters, notes),
    })
}

/// Functions that know floats only and say so if there are histograms too.
fn of_floats(
    kind: Kind,
    w: &Window<'_>,
    parameters: &[f64],
    notes: &SeriesNotes<'_>,
) -> Result<Option<Cell>> {
    let floats = w.floats;
    if kind == Kind::DoubleExponentialSmoothing {
        check_factor("smoothing", "sf", parameters[0])?;
        check_factor("trend", "tf", parameters[1])?;
    }
    if floats.is_empty() {
        return Ok(None);
    }
    if !w.histograms.is_empty() {
        notes.add(Note::IgnoredInRange {
            metric: notes.metric,
        });
    }
    let needs_two = matches!(
        kind,
        Kind::Deriv | Kind::PredictLinear | Kind::DoubleExponentialSmoothing
    );
    if needs_two && floats.len() < 2 {
        return Ok(None);
    }
    let values = floats.values;
    Ok(Some(Cell::Float(match kind {
        Kind::MaxOverTime => values[extreme(values, |new, old| new > old)],
        Kind::MinOverTime => values[extreme(values, |new, old| new < old)],
        Kind::TsOfMaxOverTime => seconds(floats.times[extreme(values, |new, old| new >= old)]),
        Kind::TsOfMinOverTime => seconds(floats.times[extreme(values, |new, old| new <= old)]),
        Kind::QuantileOverTime => quantile(parameters[0], values.to_vec()),
        Kind::MadOverTime => mad(values),
        Kind::StddevOverTime => variance(values).sqrt(),
        Kind::StdvarOverTime => variance(values),
        Kind::Deriv => regression(floats, floats.times[0]).slope,
        Kind::PredictLinear => {
            let line = regression(floats, w.time);
            line.slope * parameters[0] + line.intercept
        }
        Kind::DoubleExponentialSmoothing => smoothed(values, parameters[0], parameters[1]),
        _ => return refuse("no function of a range vector"),
    })))
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// Index of the extreme value; NaN only if there is nothing else.
fn extreme(values: &[f64], beats: impl Fn(f64, f64) -> bool) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if beats(*value, values[best]) || values[best].is_nan() {
            best = i;
        }
    }
    best
}

/// The first or last sample, whichever kind it is of.
fn outermost(w: &Window<'_>, end: usize, before: impl Fn(i64, i64) -> bool) -> Option<Cell> {
    let index = |length: usize| end.min(length.saturating_sub(1));
    let float = index(w.floats.len());
    let histogram = index(w.histograms.len());
    let float_wins = match (w.floats.times.get(float), w.histograms.times.get(histogram)) {
        (Some(f), Some(h)) => before(*f, *h),
        (float, _) => float.is_some(),
    };
    if float_wins {
        return w.floats.values.get(float).map(|v| Cell::Float(*v));
    }
    w.histograms
        .values
        .get(histogram)
        .map(|h| Cell::Histogram(std::sync::Arc::clone(h)))
}

fn edge(
    w: &Window<'_>,
    pick: fn(&[i64]) -> Option<&i64>,
    of_both: fn(i64, i64) -> i64,
) -> Option<Cell> {
    let times = [pick(w.floats.times), pick(w.histograms.times)];
    times
        .into_iter()
        .flatten()
        .copied()
        .reduce(of_both)
        .map(|t| Cell::Float(seconds(t)))
}

fn sum_or_mean(kind: Kind, w: &Window<'_>, notes: &SeriesNotes<'_>) -> Option<Cell> {
    if !w.floats.is_empty() && !w.histograms.is_empty() {
        notes.add(Note::MixedFloatsHistograms {
            metric: notes.metric,
        });
        return None;
    }
    if w.floats.is_empty() {
        return histograms::sum_or_mean(kind, w.histograms.values, notes);
    }
    let values = w.floats.values;
    Some(Cell::Float(if kind == Kind::SumOverTime {
        values
            .iter()
            .copied()
            .fold(Kahan::default(), Kahan::plus)
            .value()
    } else {
        let mut mean = KahanMean::of(values[0]);
        values[1..].iter().for_each(|v| mean.add(*v));
        mean.value()
    }))
}

/// `changes`, or `resets` if `falls_only`: how often a sample differs from the one before it.
fn changes(w: &Window<'_>, falls_only: bool) -> Option<Cell> {
    let samples = histograms::merged(w)?;
    let counted = samples.windows(2).filter(|pair| {
        if falls_only {
            pair[1].resets(&pair[0])
        } else {
            pair[1].differs(&pair[0])
        }
    });
    Some(Cell::Float(counted.count() as f64))
}

/// The q-quantile of numbers, NaN being the smallest; between two of them by weight.
pub(super) fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        };
    }
    let by_value = |a: &f64, b: &f64| match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (a, b) => b.cmp(&a),
    };
    let rank = q * (values.len() - 1) as f64;
    let weight = rank - rank.floor();
    let lower = rank.floor() as usize;
    let (_, at_lower, above) = values.select_nth_unstable_by(lower, by_value);
    let at_lower = *at_lower;
    let at_upper = above.iter().copied().min_by(by_value).unwrap_or(at_lower);
    at_lower * (1.0 - weight) + at_upper * weight
}

/// Median absolute deviation from the median; NaN if any value is.
fn mad(values: &[f64]) -> f64 {
    if values.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let median = quantile(0.5, values.to_vec());
    quantile(0.5, values.iter().map(|v| (v - median).abs()).collect())
}

/// Population variance, by Welford's recurrence with compensated sums.
fn variance(values: &[f64]) -> f64 {
    let mut mean = Kahan::default();
    let mut squares = Kahan::default();
    let mut count = 0.0;
    for value in values {
        count += 1.0;
        let delta = value - (mean.sum + mean.lost);
        mean = mean.plus(delta / count);
        squares = squares.plus(delta * (value - (mean.sum + mean.lost)));
    }
    (squares.sum + squares.lost) / count
}

struct Line {
    slope: f64,
    intercept: f64,
}

/// Least-squares line through the samples; the intercept is its value at `origin`, ms.
fn regression(samples: Slice<'_, f64>, origin: i64) -> Line {
    let first = samples.values[0];
    if samples.values.iter().skip(1).all(|v| *v == first) {
        let nan_if_infinite = |v: f64| if first.is_infinite() { f64::NAN } else { v };
        return Line {
            slope: nan_if_infinite(0.0),
            intercept: nan_if_infinite(first),
        };
    }
    let [mut x, mut y, mut xy, mut xx] = [Kahan::default(); 4];
    for (time, value) in samples.times.iter().zip(samples.values) {
        let at = (time - origin) as f64 / 1e3;
        x = x.plus(at);
        y = y.plus(*value);
        xy = xy.plus(at * value);
        xx = xx.plus(at * at);
    }
    let n = samples.len() as f64;
    let [x, y, xy, xx] = [x, y, xy, xx].map(|sum| sum.sum + sum.lost);
    let slope = (xy - x * y / n) / (xx - x * x / n);
    Line {
        slope,
        intercept: y / n - slope * x / n,
    }
}

fn check_factor(name: &str, short: &str, value: f64) -> Result<()> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    refuse(format!(
        "invalid {name} factor. Expected: 0 < {short} < 1, got: {value:.6}"
    ))
}

/// Holt's double exponential smoothing: level and trend, each an exponential mean.
fn smoothed(values: &[f64], smoothing: f64, trend: f64) -> f64 {
    let (mut before, mut level) = (0.0, values[0]);
    let mut slope = values[1] - values[0];
    for (i, value) in values.iter().enumerate().skip(1) {
        if i > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + slope);
        (before, level) = (level, next);
    }
    level
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_weigh_neighbours() {
        let values = vec![4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(0.5, values.clone()), 2.5);
        assert_eq!(quantile(1.0, values.clone()), 4.0);
        assert_eq!(quantile(-0.1, values.clone()), f64::NEG_INFINITY);
        assert!(quantile(0.0, vec![1.0, f64::NAN]).is_nan());
        assert_eq!(quantile(1.0, vec![1.0, f64::NAN]), 1.0);
    }

    #[test]
    fn a_line_is_found_again() {
        let times = [0, 1_000, 2_000, 5_000];
        let values = [1.0, 3.0, 5.0, 11.0];
        let line = regression(
            Slice {
                times: &times,
                values: &values,
                starts: &[],
            },
            1_000,
        );
        assert_eq!((line.slope, line.intercept), (2.0, 3.0));
    }
}
