//! When a series that grows (or shrinks) steadily will reach a bound: a disk, a memory, a quota.
//!
//! 1. thin to at most [`MAX_POINTS`] medians of equal time slots;
//! 2. remove steps (a clean-up, a large file): jumps far outside the usual differences;
//! 3. fit one line, or two joined ones where BIC prefers them, and keep the last;
//! 4. its slope by Theil-Sen, its significance by Mann-Kendall with the variance inflated for
//!    autocorrelated residuals (Hamed & Rao 1998);
//! 5. where its prediction band crosses the bound is the interval.
//!
//! No forecast is better than a wrong one: `None` unless the trend is beyond doubt and the
//! crossing near, measured by the history it is based on.

use model::Interval;
use numerics::{
    regress::{self, Line},
    summary,
};

/// The side on which the bound lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// Values below the bound rise to it (a disk fills).
    Above,
    /// Values above the bound fall to it (free memory shrinks).
    Below,
}

/// When the bound will be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crossing {
    /// Seconds from now: the most likely.
    pub seconds: f64,
    /// 80 % interval of the seconds; the upper end may be infinite.
    pub interval: Interval,
}

/// Points a trend is fitted to; bounds the O(n²) of Theil-Sen at about 30,000 pairs.
pub const MAX_POINTS: usize = 240;
/// Fewest points a trend can be read from.
const MIN_POINTS: usize = 16;
/// Crossings further away than this many times the history are not foretold.
const MAX_HORIZON: f64 = 3.0;
/// Two-sided 1 % point of the Gaussian: a trend below it is none.
const SIGNIFICANT: f64 = 2.576;
/// 90 % point of the Gaussian: the band holds 80 %.
const BAND: f64 = 1.2816;

/// When `values` will reach `threshold`, as judged at `now_ms`; `None` when no significant trend
/// leads there, when it is already reached, or when it is further away than three times the
/// history. `times_ms` strictly rising; values that are not finite are left out.
///
/// # Panics
/// If the columns differ in length.
#[must_use]
pub fn exhaustion(
    times_ms: &[i64],
    values: &[f64],
    threshold: f64,
    toward: Toward,
    now_ms: i64,
) -> Option<Crossing> {
    assert_eq!(times_ms.len(), values.len(), "columns are equally long");
    // From here on: seconds relative to now, values that rise towards 0.
    let sign = match toward {
        Toward::Above => 1.0,
        Toward::Below => -1.0,
    };
    let points = times_ms.iter().zip(values).filter(|(_, v)| v.is_finite());
    let (x, y): (Vec<f64>, Vec<f64>) = points
        .map(|(t, v)| ((t - now_ms) as f64 / 1e3, sign * (v - threshold)))
        .unzip();
    let history = -x.first()?;
    let (x, y) = thin(&x, &y);
    if x.len() < MIN_POINTS {
        return None;
    }
    let smooth = Smoothed::new(&y);
    let crossing = Trend::last(&x, &smooth.values, smooth.step_variance)?.crossing()?;
    let crossing = match smooth.next_clean_up(&x) {
        Some(clean_up) if clean_up < crossing.seconds => Trend::last(&x, &y, 0.0)?.crossing()?,
        _ => crossing,
    };
    (crossing.seconds <= MAX_HORIZON * history).then_some(crossing)
}

/// Medians of at most [`MAX_POINTS`] equal time slots.
fn thin(x: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (Some(first), Some(last)) = (x.first(), x.last()) else {
        return (vec![], vec![]);
    };
    if x.len() <= MAX_POINTS {
        return (x.to_vec(), y.to_vec());
    }
    let width = (last - first) / MAX_POINTS as f64;
    let slot = |t: f64| (((t - first) / width) as usize).min(MAX_POINTS - 1);
    let points: Vec<(f64, f64)> = x.iter().copied().zip(y.iter().copied()).collect();
    points
        .chunk_by(|a, b| slot(a.0) == slot(b.0))
        .map(|group| {
            let (x, y): (Vec<f64>, Vec<f64>) = group.iter().copied().unzip();
            let median = |v: &[f64]| summary::median(v).expect("a group has a point");
            (median(&x), median(&y))
        })
        .unzip()
}

/// Values without their steps, level with the last one.
struct Smoothed {
    values: Vec<f64>,
    /// Indices after each step away from the bound.
    clean_ups: Vec<usize>,
    /// Variance of the sum of the steps removed.
    step_variance: f64,
}

/// A difference this many robust standard deviations from the usual one is a step.
const STEP: f64 = 8.0;
/// Points on each side from which the size of a step is estimated.
const SIDE: usize = 8;

impl Smoothed {
    fn new(y: &[f64]) -> Self {
        let differences: Vec<f64> = y.windows(2).map(|w| w[1] - w[0]).collect();
        let usual = summary::median(&differences).unwrap_or(0.0);
        let scale = summary::mad(&differences).unwrap_or(0.0) * summary::MAD_TO_SIGMA;
        let limit = STEP * scale.max(usual.abs() / 2.0);
        let calm = without_spikes(y, limit);
        let is_step = |i: usize| (calm[i] - calm[i - 1] - usual).abs() > limit;
        let (mut values, mut clean_ups, mut shift, mut steps) = (calm.clone(), vec![], 0.0, 0.0);
        let mut i = y.len();
        while i > 1 {
            i -= 1;
            if is_step(i) {
                // Thinning may have cut one step in two: it lasts from `first` to `i`.
                let first = (2..=i).rev().find(|k| !is_step(k - 1)).unwrap_or(1);
                let step = step_over(&calm, first, i, usual);
                (first..i).for_each(|k| values[k] = values[i] - usual * (i - k) as f64);
                shift += step;
                steps += 1.0;
                if step < 0.0 {
                    clean_ups.push(i);
                }
                i = first;
            }
            values[i - 1] += shift;
        }
        // Each median of SIDE values has a variance of π/2 σ² / SIDE, and σ² is scale² / 2.
        let step_variance = steps * std::f64::consts::FRAC_PI_2 * scale * scale / SIDE as f64;
        Self {
            values,
            clean_ups,
            step_variance,
        }
    }

    /// When the next clean-up is due, in seconds from now, where at least three show a habit.
    fn next_clean_up(&self, x: &[f64]) -> Option<f64> {
        let (newest, oldest) = (*self.clean_ups.first()?, *self.clean_ups.last()?);
        let gaps = self.clean_ups.len() - 1;
        (gaps >= 2).then(|| x[newest] + (x[newest] - x[oldest]) / gaps as f64)
    }
}

/// Values further than `limit` from the median of their five neighbours become it (Hampel).
fn without_spikes(y: &[f64], limit: f64) -> Vec<f64> {
    let around = |i: usize| {
        let from = i.saturating_sub(2).min(y.len().saturating_sub(5));
        summary::median(&y[from..(from + 5).min(y.len())]).expect("a point has neighbours")
    };
    let calm = |(i, v): (usize, &f64)| {
        let usual = around(i);
        if (v - usual).abs() > limit { usual } else { *v }
    };
    y.iter().enumerate().map(calm).collect()
}

/// The size of the step that begins after `first - 1` and is complete at `last`, less the usual
/// growth, from medians of both sides.
fn step_over(y: &[f64], first: usize, last: usize, usual: f64) -> f64 {
    let before = &y[first.saturating_sub(SIDE)..first];
    let after = &y[last..(last + SIDE).min(y.len())];
    let median = |side: &[f64]| summary::median(side).expect("both sides have a point");
    let apart = (before.len() + after.len()) as f64 / 2.0 + (last - first) as f64;
    median(after) - median(before) - usual * apart
}

/// The last straight piece of a series, with what is needed for its band.
struct Trend {
    line: Line,
    n: f64,
    mean_x: f64,
    sxx: f64,
    /// Variance of the residuals, inflated for their autocorrelation.
    variance: f64,
    /// What uncertain steps add to the variance of the slope: an offset in the middle tilts the
    /// line by 1.5 times itself over its length.
    slope_variance: f64,
    significant: bool,
}

impl Trend {
    /// `step_variance` is that of the offset between its first and last part.
    fn last(x: &[f64], y: &[f64], step_variance: f64) -> Option<Self> {
        let from = slope_change(x, y).unwrap_or(0);
        let (x, y) = (&x[from..], &y[from..]);
        let line = regress::theil_sen(x, y)?;
        let residuals: Vec<f64> = x.iter().zip(y).map(|(x, y)| y - line.at(*x)).collect();
        let inflation = inflation(&residuals);
        let mean_x = summary::mean(x)?;
        let spread = summary::variance(&residuals)?.min(robust_variance(&residuals) * 4.0);
        let test = regress::mann_kendall(y, inflation)?;
        Some(Self {
            line,
            n: x.len() as f64,
            mean_x,
            sxx: x.iter().map(|x| (x - mean_x) * (x - mean_x)).sum(),
            variance: spread * inflation,
            slope_variance: 2.25 * step_variance / (x[x.len() - 1] - x[0]).powi(2),
            significant: test.z > SIGNIFICANT,
        })
    }

    /// Half the width of the 80 % band at `x` seconds from now.
    fn half_width(&self, x: f64) -> f64 {
        let lever = 1.0 / self.n + (x - self.mean_x) * (x - self.mean_x) / self.sxx;
        let tilt = self.slope_variance * (x - self.mean_x) * (x - self.mean_x);
        BAND * (self.variance * lever + tilt).sqrt()
    }

    fn crossing(&self) -> Option<Crossing> {
        let (level, slope) = (self.line.at(0.0), self.line.slope);
        if !self.significant || slope <= 0.0 || level >= 0.0 {
            return None;
        }
        let seconds = -level / slope;
        let low = self.edge(seconds, 1.0).unwrap_or(0.0).clamp(0.0, seconds);
        let high = self
            .edge(seconds, -1.0)
            .unwrap_or(f64::INFINITY)
            .max(seconds);
        Some(Crossing {
            seconds,
            interval: Interval { low, high },
        })
    }

    /// Where the upper (`side` 1) or lower (-1) edge of the band crosses 0: Fieller's root, by
    /// bisection; `None` when the edge is already across or never gets there.
    fn edge(&self, seconds: f64, side: f64) -> Option<f64> {
        let edge = |x: f64| self.line.at(x) + side * self.half_width(x);
        let (mut low, mut high) = (0.0, seconds);
        if side < 0.0 {
            (low, high) = (seconds, seconds * 2.0 + 1.0);
            while edge(high) < 0.0 {
                high *= 2.0;
                if high > seconds * 1e3 + 1e3 {
                    return None;
                }
            }
        }
        if edge(low) > 0.0 {
            return None;
        }
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if edge(middle) < 0.0 {
                low = middle
            } else {
                high = middle
            }
        }
        Some(high)
    }
}

/// (1 + φ) / (1 - φ) with φ the lag-1 autocorrelation corrected for its bias (Kendall 1954),
/// between 0 and 0.98.
fn inflation(residuals: &[f64]) -> f64 {
    let raw = summary::autocorrelation(residuals, 1).unwrap_or(0.0);
    let phi = (raw + (1.0 + 4.0 * raw) / residuals.len() as f64).clamp(0.0, 0.98);
    (1.0 + phi) / (1.0 - phi)
}

fn robust_variance(residuals: &[f64]) -> f64 {
    summary::mad(residuals).map_or(0.0, |mad| (mad * summary::MAD_TO_SIGMA).powi(2))
}

/// Index of the first point after the one change of slope that BIC prefers to none; each side
/// keeps at least a fifth of the points and [`MIN_POINTS`] / 2.
fn slope_change(x: &[f64], y: &[f64]) -> Option<usize> {
    let n = x.len();
    let margin = (n / 5).max(MIN_POINTS / 2);
    let (plain, residuals) = hinge_error(x, y, None)?;
    let candidates = (margin..n.saturating_sub(margin)).step_by((n / 60).max(1));
    let fits = candidates.filter_map(|at| Some((at, hinge_error(x, y, Some(x[at]))?.0)));
    let (at, bent) = fits.min_by(|a, b| a.1.total_cmp(&b.1))?;
    // Autocorrelated residuals hold less information than their number says.
    let effective = n as f64 / inflation(&residuals).min(n as f64 / 8.0);
    let gain = effective * (plain / bent.max(plain * 1e-12)).ln();
    (gain > 2.0 * effective.ln() + 3.0).then_some(at)
}

/// Squared error and residuals of the least-squares line, bent at `knot` if there is one.
fn hinge_error(x: &[f64], y: &[f64], knot: Option<f64>) -> Option<(f64, Vec<f64>)> {
    let line = regress::least_squares(x, y)?;
    let residual = |line: Line, x: &[f64], y: &[f64]| -> Vec<f64> {
        x.iter().zip(y).map(|(x, y)| y - line.at(*x)).collect()
    };
    let mut left = residual(line, x, y);
    if let Some(knot) = knot {
        // Frisch-Waugh: regress what the line leaves of y on what it leaves of the hinge.
        let hinge: Vec<f64> = x.iter().map(|x| (x - knot).max(0.0)).collect();
        let hinge = residual(regress::least_squares(x, &hinge)?, x, &hinge);
        let size: f64 = hinge.iter().map(|h| h * h).sum();
        let slope = hinge.iter().zip(&left).map(|(h, r)| h * r).sum::<f64>() / size;
        left.iter_mut()
            .zip(&hinge)
            .for_each(|(r, h)| *r -= slope * h);
    }
    Some((left.iter().map(|r| r * r).sum(), left))
}
