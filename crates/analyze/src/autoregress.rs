//! One-step prediction by a linear autoregression, learned point by point.
//!
//! Recursive least squares with exponential forgetting, made robust by Huber weights: a wild
//! point pulls with bounded force (Zou, Chan & Ng 2000). All numbers are standardised by the
//! caller, so that the prior and the bounds below have one meaning for every series.

/// The lags used as features, in points; the longest fits the caller's ring.
pub const LAGS: [usize; 5] = [1, 2, 3, 5, 10];
/// The lags and a constant.
const TERMS: usize = LAGS.len() + 1;
/// Forgetting per point: a memory of about 2,000 points.
const FORGET: f64 = 0.9995;
/// Prior variance of a coefficient: wide against the values it takes (at most about 1).
const PRIOR: f64 = 1.0;
/// Covariance beyond which nothing more is forgotten: a quiet series teaches nothing, and must
/// not make the next move look infinitely informative.
const MAX_VARIANCE: f64 = 10.0;
/// Residuals beyond this many scales pull no harder (95 % efficient on Gaussian noise).
const HUBER: f64 = 1.345;

/// What the prediction is made from.
pub type Features = [f64; TERMS];

/// The learned coefficients.
#[derive(Debug, Clone)]
pub struct Autoregress {
    weights: Features,
    /// Inverse of the weighted second moments.
    covariance: [Features; TERMS],
}

impl Autoregress {
    /// A model that expects the last value again.
    #[must_use]
    pub fn new() -> Self {
        let mut weights = [0.0; TERMS];
        weights[0] = 1.0;
        let mut covariance = [[0.0; TERMS]; TERMS];
        (0..TERMS).for_each(|i| covariance[i][i] = PRIOR);
        Self {
            weights,
            covariance,
        }
    }

    /// The expected standardised value.
    #[must_use]
    pub fn predict(&self, features: &Features) -> f64 {
        dot(&self.weights, features)
    }

    /// Learns from the residual of [`Autoregress::predict`] on the same features; `scale` is the
    /// usual size of residuals.
    pub fn learn(&mut self, features: &Features, residual: f64, scale: f64) {
        let weight = (HUBER * scale / residual.abs().max(f64::MIN_POSITIVE)).min(1.0);
        let pf: Features = std::array::from_fn(|i| dot(&self.covariance[i], features));
        let gain = weight / (FORGET + weight * dot(features, &pf));
        let trace: f64 = (0..TERMS).map(|i| self.covariance[i][i]).sum();
        let grow = if trace < MAX_VARIANCE * TERMS as f64 {
            1.0 / FORGET
        } else {
            1.0
        };
        for i in 0..TERMS {
            self.weights[i] += gain * pf[i] * residual;
            for j in 0..TERMS {
                self.covariance[i][j] = (self.covariance[i][j] - gain * pf[i] * pf[j]) * grow;
            }
        }
    }
}

impl Default for Autoregress {
    fn default() -> Self {
        Self::new()
    }
}

fn dot(a: &Features, b: &Features) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learns_a_cycle_that_two_lags_explain() {
        let wave = |t: usize| (t as f64 * 0.3).sin();
        let mut model = Autoregress::new();
        let mut errors = Vec::new();
        for t in 10..2000 {
            let mut features = [1.0; TERMS];
            LAGS.iter()
                .zip(&mut features)
                .for_each(|(lag, f)| *f = wave(t - lag));
            let residual = wave(t) - model.predict(&features);
            errors.push(residual.abs());
            model.learn(&features, residual, 1.0);
        }
        assert!(errors[0] > 0.05, "starts as persistence");
        assert!(errors[1900..].iter().all(|e| *e < 1e-3));
    }
}
