//! Where the level (or the line) of a stored range changed: binary segmentation and PELT.
//!
//! Both minimise the squared error of a piecewise model plus a penalty for each change.
//! Binary segmentation (Scott & Knott 1974) splits greedily in O(n log n); PELT (Killick,
//! Fearnhead & Eckley 2012) finds the exact optimum, by dynamic programming with pruning.
//!
//! The penalty is in units of the noise's variance, which is estimated from differences between
//! neighbours, so that changes do not inflate it; positively autocorrelated noise wanders and
//! would pass for changes of level, so the penalty grows with its long-run variance.

use numerics::summary;

/// What one segment looks like between two changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A constant level.
    Level,
    /// A straight line, not joined to its neighbours.
    Line,
}

/// Fewest points in a segment: a line through two is no evidence.
const MIN_SEGMENT: usize = 3;

/// Indices of the first points after each change, rising. O(n log n) on average, O(n²) at worst.
/// Values must be finite.
#[must_use]
pub fn binseg(values: &[f64], shape: Shape) -> Vec<usize> {
    let costs = Costs::new(values, shape);
    let penalty = penalty(values, shape);
    let (mut changes, mut open) = (Vec::new(), vec![(0, values.len())]);
    while let Some((start, end)) = open.pop() {
        if let Some(split) = best_split(&costs, start, end, penalty) {
            changes.push(split);
            open.extend([(start, split), (split, end)]);
        }
    }
    changes.sort_unstable();
    changes
}

fn best_split(costs: &Costs, start: usize, end: usize, penalty: f64) -> Option<usize> {
    let splits = start + MIN_SEGMENT..(end + 1).saturating_sub(MIN_SEGMENT);
    let cost = |split| costs.of(start, split) + costs.of(split, end);
    let best = splits.min_by(|a, b| cost(*a).total_cmp(&cost(*b)))?;
    (cost(best) + penalty < costs.of(start, end)).then_some(best)
}

/// Indices of the first points after each change, rising: the optimum of the penalised cost.
/// O(n) when changes are frequent, O(n²) when there are none: thin out long ranges first.
/// Values must be finite.
#[must_use]
pub fn pelt(values: &[f64], shape: Shape) -> Vec<usize> {
    let costs = Costs::new(values, shape);
    let penalty = penalty(values, shape);
    let n = values.len();
    // best[t]: cost of the best segmentation of the first t points; from[t]: its last change.
    let (mut best, mut from) = (vec![f64::INFINITY; n + 1], vec![0; n + 1]);
    best[0] = -penalty;
    let mut candidates = vec![0];
    for end in MIN_SEGMENT..=n {
        let total = |start: usize| best[start] + costs.of(start, end) + penalty;
        let ready = candidates
            .iter()
            .copied()
            .filter(|start| start + MIN_SEGMENT <= end);
        let start = ready
            .min_by(|a, b| total(*a).total_cmp(&total(*b)))
            .unwrap_or(0);
        let optimum = total(start);
        candidates.retain(|s| s + MIN_SEGMENT > end || total(*s) - penalty <= optimum);
        candidates.push(end);
        (best[end], from[end]) = (optimum, start);
    }
    let chain = std::iter::successors(Some(from[n]), |at| Some(from[*at]));
    let mut changes: Vec<usize> = chain.take_while(|at| *at > 0).collect();
    changes.reverse();
    changes
}

/// The price of one change: 3 ln n per parameter pair (the modified BIC of Zhang & Siegmund 2007
/// is between 2 and 3 ln n), times the long-run variance of the noise.
fn penalty(values: &[f64], shape: Shape) -> f64 {
    let parameters = match shape {
        Shape::Level => 3.0,
        Shape::Line => 4.0,
    };
    parameters * (values.len().max(2) as f64).ln() * long_run_variance(values)
}

/// Variance of the noise between neighbours, by the MAD of differences, times the inflation
/// (1 + φ) / (1 - φ) of an AR(1); φ from the ratio of two-step to one-step differences, which
/// neither a level nor a slow trend disturbs. Never 0 unless the values are constant.
fn long_run_variance(values: &[f64]) -> f64 {
    let one = difference_scale(values, 1);
    let two = difference_scale(values, 2);
    let phi = if one > 0.0 {
        ((two / one).powi(2) - 1.0).clamp(0.0, MAX_PHI)
    } else {
        0.0
    };
    let variance = one * one / (2.0 * (1.0 - phi));
    let spread = summary::variance(values).unwrap_or(0.0);
    (variance * (1.0 + phi) / (1.0 - phi)).max(spread * 1e-6)
}

/// Above this, wandering noise and real changes cannot be told apart in a short range.
const MAX_PHI: f64 = 0.8;

/// Robust standard deviation of the differences at `lag`; where more than half of them are equal,
/// the plain one.
fn difference_scale(values: &[f64], lag: usize) -> f64 {
    let pairs = values.iter().zip(values.iter().skip(lag));
    let differences: Vec<f64> = pairs.map(|(a, b)| b - a).collect();
    match summary::mad(&differences) {
        Some(mad) if mad > 0.0 => mad * summary::MAD_TO_SIGMA,
        _ => summary::std_dev(&differences).unwrap_or(0.0),
    }
}

/// Squared error of any segment in O(1), from running sums.
struct Costs {
    shape: Shape,
    /// Sums over the first i points of y, y², t y (values centred, so that sums stay small).
    sums: Vec<[f64; 3]>,
}

impl Costs {
    fn new(values: &[f64], shape: Shape) -> Self {
        let center = summary::mean(values).unwrap_or(0.0);
        let mut sums = vec![[0.0; 3]];
        let mut sum = [0.0; 3];
        for (t, value) in values.iter().enumerate() {
            let y = value - center;
            sum = [sum[0] + y, sum[1] + y * y, sum[2] + t as f64 * y];
            sums.push(sum);
        }
        Self { shape, sums }
    }

    /// Of points `start..end`; `start < end`.
    fn of(&self, start: usize, end: usize) -> f64 {
        let [y, yy, ty] = std::array::from_fn(|i| self.sums[end][i] - self.sums[start][i]);
        let n = (end - start) as f64;
        let level = yy - y * y / n;
        let explained = match self.shape {
            Shape::Level => 0.0,
            Shape::Line => {
                let mean_t = (start + end - 1) as f64 / 2.0;
                let sty = ty - mean_t * y;
                sty * sty / (n * (n * n - 1.0) / 12.0).max(f64::MIN_POSITIVE)
            }
        };
        (level - explained).max(0.0)
    }
}
