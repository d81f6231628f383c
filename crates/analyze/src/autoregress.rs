//! One-step prediction by a linear autoregression, learned point by point.
//!
//! Least squares with exponential forgetting, made robust by Huber weights: a wild point pulls
//! with bounded force (Zou, Chan & Ng 2000). The moments are kept and solved by Cholesky with a
//! ridge, every few points; the usual recursion of the inverse loses its definiteness after some
//! 10⁵ points. All numbers are standardised by the caller, so that ridge and bounds have one
//! meaning for every series.

/// The lags used, in points; the longest fits the caller's ring. The first is the origin from
/// which the others and the change to come are measured.
pub const LAGS: [usize; 5] = [1, 2, 3, 5, 10];
/// The other lags, the level and a constant, all relative to the first lag.
pub const TERMS: usize = LAGS.len() + 1;
/// Distinct entries of a symmetric matrix.
const ENTRIES: usize = TERMS * (TERMS + 1) / 2;
/// Forgetting per point: a memory of about 2,000 points.
const FORGET: f64 = 0.9995;
/// Weight of the prior "no change", in points whose features are one unit large.
const RIDGE: f64 = 1.0;
/// The ridge relative to the mean moment, against collinear features.
const RELATIVE_RIDGE: f64 = 1e-6;
/// Residuals beyond this many scales pull no harder (95 % efficient on Gaussian noise).
const HUBER: f64 = 1.345;
/// The coefficients are solved anew every this many points, once settled.
const SOLVE_EVERY: u32 = 8;
/// Points until which they are solved every time.
const SETTLED: u32 = 64;

/// What the prediction is made from.
pub type Features = [f64; TERMS];

/// The learned coefficients.
#[derive(Debug, Clone)]
pub struct Autoregress {
    weights: Features,
    /// Weighted second moments of the features, lower triangle by rows.
    moments: [f64; ENTRIES],
    /// Weighted products of features and target.
    products: Features,
    learned: u32,
}

impl Autoregress {
    /// A model that expects no change.
    #[must_use]
    pub fn new() -> Self {
        Self {
            weights: [0.0; TERMS],
            moments: [0.0; ENTRIES],
            products: [0.0; TERMS],
            learned: 0,
        }
    }

    /// The expected standardised change.
    #[must_use]
    pub fn predict(&self, features: &Features) -> f64 {
        self.weights.iter().zip(features).map(|(a, b)| a * b).sum()
    }

    /// Learns the change that came; `scale` is the usual size of residuals.
    pub fn learn(&mut self, features: &Features, change: f64, scale: f64) {
        let residual = change - self.predict(features);
        let weight = (HUBER * scale / residual.abs().max(f64::MIN_POSITIVE)).min(1.0);
        let mut entries = self.moments.iter_mut();
        for (i, a) in features.iter().enumerate() {
            let pull = weight * a;
            for (b, entry) in features[..=i].iter().zip(entries.by_ref()) {
                *entry = *entry * FORGET + pull * b;
            }
            self.products[i] = self.products[i] * FORGET + pull * change;
        }
        self.learned = self.learned.saturating_add(1);
        if self.learned < SETTLED || self.learned.is_multiple_of(SOLVE_EVERY) {
            self.solve();
        }
    }

    /// Cholesky of the moments with the ridge, then two triangular solves.
    fn solve(&mut self) {
        let row = |i: usize| i * (i + 1) / 2;
        let trace: f64 = (0..TERMS).map(|i| self.moments[row(i) + i]).sum();
        let ridge = RIDGE + RELATIVE_RIDGE * trace;
        let (mut factor, mut weights) = ([0.0; ENTRIES], [0.0; TERMS]);
        for i in 0..TERMS {
            for j in 0..=i {
                let known: f64 = (0..j)
                    .map(|k| factor[row(i) + k] * factor[row(j) + k])
                    .sum();
                let left = self.moments[row(i) + j] - known;
                factor[row(i) + j] = if i == j {
                    (left + ridge).sqrt()
                } else {
                    left / factor[row(j) + j]
                };
            }
            let known: f64 = (0..i).map(|k| factor[row(i) + k] * weights[k]).sum();
            weights[i] = (self.products[i] - known) / factor[row(i) + i];
        }
        for i in (0..TERMS).rev() {
            let known: f64 = (i + 1..TERMS)
                .map(|k| factor[row(k) + i] * weights[k])
                .sum();
            weights[i] = (weights[i] - known) / factor[row(i) + i];
        }
        debug_assert!(
            weights.iter().all(|w| w.is_finite()),
            "a ridge keeps moments definite"
        );
        self.weights = weights;
    }
}

impl Default for Autoregress {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learns_a_cycle_that_its_lags_explain_and_stays_stable() {
        let wave = |t: usize| (t as f64 * 0.3).sin();
        let mut model = Autoregress::new();
        let mut errors = Vec::new();
        for t in 10..200_000 {
            let mut features = [0.1; TERMS];
            LAGS[1..]
                .iter()
                .zip(&mut features)
                .for_each(|(lag, f)| *f = wave(t - lag) - wave(t - 1));
            let change = wave(t) - wave(t - 1);
            errors.push((change - model.predict(&features)).abs());
            model.learn(&features, change, 1.0);
        }
        assert!(errors[0] > 0.1, "starts as persistence");
        assert!(errors[2000..].iter().all(|e| *e < 0.01));
    }
}
