//! A Gaussian process over points of the unit cube: what is likely where, and how sure.
//!
//! Matérn 5/2 kernel with one length scale a parameter (ARD), noise known a point plus noise learnt
//! (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, 2.3, 4.2, 5.4). An
//! unordered choice is at distance 1 from every other: the same as a one-hot code. The
//! hyper-parameters climb the posterior by a fixed number of resilient steps (Riedmiller and Braun,
//! "A direct adaptive method for faster backpropagation learning: the RPROP algorithm", 1993), so
//! that effort is counted in operations and not by a clock; the prior on length scales grows with
//! the dimension (Hvarfner, Hellsten and Nardi, "Vanilla Bayesian optimization performs great in
//! high dimensions", 2024).

use numerics::linalg::{Cholesky, Matrix, dot};

const SQRT_5: f64 = 2.236_067_977_499_79;

/// One value to learn from, standardised.
#[derive(Debug, Clone, PartialEq)]
pub struct Datum {
    /// Where.
    pub point: Vec<f64>,
    /// What.
    pub value: f64,
    /// Variance of the value known beforehand.
    pub variance: f64,
    /// How many measurements it is the mean of: divides the variance that is learnt.
    pub count: f64,
}

/// What the kernel looks like, in logarithms.
#[derive(Debug, Clone, PartialEq)]
pub struct Hyper {
    /// Length scale of each parameter.
    pub ln_length: Vec<f64>,
    /// Standard deviation of the signal.
    pub ln_signal: f64,
    /// Standard deviation of the noise that is learnt.
    pub ln_noise: f64,
}

/// Where the hyper-parameters are expected, each with the width of a normal on the logarithm.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    ln_length: (f64, f64),
    ln_signal: (f64, f64),
    ln_noise: (f64, f64),
}

impl Prior {
    /// The prior for so many parameters and this standard deviation of noise, standardised.
    #[must_use]
    pub fn new(dimensions: usize, noise: f64) -> Self {
        Self {
            ln_length: (0.5 * (dimensions as f64).ln() - 0.5, 1.0),
            // What is not noise is signal: values are standardised, noise included.
            ln_signal: (0.5 * (1.0 - noise * noise).max(SIGNAL_SHARE_MIN).ln(), 0.5),
            // A floor keeps the matrix well conditioned; what is told of the noise is believed.
            ln_noise: (
                noise.max(3.0 * NOISE_MIN).ln(),
                if noise > 0.0 { 0.25 } else { 0.7 },
            ),
        }
    }

    /// Its middle.
    #[must_use]
    pub fn centre(&self, dimensions: usize) -> Hyper {
        Hyper {
            ln_length: vec![self.ln_length.0; dimensions],
            ln_signal: self.ln_signal.0,
            ln_noise: self.ln_noise.0,
        }
    }
}

/// Least share of signal expected in values that seem to be all noise.
const SIGNAL_SHARE_MIN: f64 = 0.05;
/// Least standard deviation of noise, standardised.
const NOISE_MIN: f64 = 1e-3;
/// Length scales beyond which the kernel no longer changes on the unit cube, as logarithms.
const LN_LENGTH: (f64, f64) = (-4.0, 4.0);
const LN_SIGNAL: (f64, f64) = (-3.0, 3.0);
const LN_NOISE: (f64, f64) = (-6.9, 1.0);

/// The process, conditioned on data.
#[derive(Debug, Clone)]
pub struct Process {
    hyper: Hyper,
    mean: f64,
    /// Coordinates divided by their length scale, one row a parameter.
    scaled: Matrix,
    unordered: Vec<bool>,
    factor: Cholesky,
    weights: Vec<f64>,
}

impl Process {
    /// Conditions on the data, which must not be empty. `unordered` marks parameters whose order
    /// means nothing.
    #[must_use]
    pub fn new(data: &[Datum], hyper: Hyper, unordered: &[bool]) -> Self {
        let kernel = Kernel::new(data, &hyper, unordered);
        let factor = kernel.factor(data, &hyper);
        let (mean, weights) = kernel.weights(&factor, data);
        let Kernel { scaled, .. } = kernel;
        Self {
            hyper,
            mean,
            scaled,
            unordered: unordered.to_vec(),
            factor,
            weights,
        }
    }

    /// The hyper-parameters.
    #[must_use]
    pub fn hyper(&self) -> &Hyper {
        &self.hyper
    }

    /// Covariances of a point with the data. O(n·d).
    #[must_use]
    pub fn covariances(&self, point: &[f64]) -> Vec<f64> {
        let mut squares = vec![0.0; self.weights.len()];
        for (i, u) in point.iter().enumerate() {
            add_squares(
                &mut squares,
                self.scaled.row(i),
                u * (-self.hyper.ln_length[i]).exp(),
                self.unordered[i].then(|| (-2.0 * self.hyper.ln_length[i]).exp()),
            );
        }
        let signal = (2.0 * self.hyper.ln_signal).exp();
        squares.iter_mut().for_each(|s| *s = signal * matern(*s));
        squares
    }

    /// Posterior mean, given the covariances.
    #[must_use]
    pub fn mean_of(&self, covariances: &[f64]) -> f64 {
        self.mean + dot(covariances, &self.weights)
    }

    /// Posterior variance if the nearest datum alone were known, and without noise: for screening.
    /// O(n).
    #[must_use]
    pub fn variance_near(&self, covariances: &[f64]) -> f64 {
        let signal = (2.0 * self.hyper.ln_signal).exp();
        let nearest = covariances.iter().copied().fold(0.0, f64::max);
        (signal - nearest * nearest / signal).max(VARIANCE_MIN)
    }

    /// Posterior variance of the noise-free value. O(n²).
    #[must_use]
    pub fn variance_of(&self, mut covariances: Vec<f64>) -> f64 {
        self.factor.solve_lower(&mut covariances);
        let signal = (2.0 * self.hyper.ln_signal).exp();
        (signal - dot(&covariances, &covariances)).max(VARIANCE_MIN)
    }

    /// Posterior mean and standard deviation of the noise-free value at a point.
    #[must_use]
    pub fn predict(&self, point: &[f64]) -> (f64, f64) {
        let covariances = self.covariances(point);
        let mean = self.mean_of(&covariances);
        (mean, self.variance_of(covariances).sqrt())
    }
}

/// Rounding makes a variance of zero anything near it.
const VARIANCE_MIN: f64 = 1e-12;

fn add_squares(squares: &mut [f64], row: &[f64], at: f64, apart: Option<f64>) {
    match apart {
        // Scaled alike, equal choices are equal bit for bit up to one rounding.
        Some(apart) => {
            for (s, x) in squares.iter_mut().zip(row) {
                *s += if (x - at).abs() > 1e-9 { apart } else { 0.0 };
            }
        }
        None => {
            for (s, x) in squares.iter_mut().zip(row) {
                *s += (x - at) * (x - at);
            }
        }
    }
}

/// Matérn 5/2 of a squared distance.
fn matern(square: f64) -> f64 {
    let r = SQRT_5 * square.sqrt();
    (1.0 + r + r * r / 3.0) * (-r).exp()
}

/// The kernel matrix of the data, before noise.
struct Kernel {
    scaled: Matrix,
    /// Squared distances, packed lower triangle.
    squares: Vec<f64>,
    signal: f64,
}

impl Kernel {
    fn new(data: &[Datum], hyper: &Hyper, unordered: &[bool]) -> Self {
        let scales: Vec<f64> = hyper.ln_length.iter().map(|l| (-l).exp()).collect();
        let scaled = Matrix::from_fn(scales.len(), data.len(), |i, j| {
            data[j].point[i] * scales[i]
        });
        let mut squares = vec![0.0; data.len() * (data.len() + 1) / 2];
        for (d, scale) in scales.iter().enumerate() {
            let row = scaled.row(d);
            for i in 0..data.len() {
                let start = i * (i + 1) / 2;
                add_squares(
                    &mut squares[start..=start + i],
                    &row[..=i],
                    row[i],
                    unordered[d].then(|| scale * scale),
                );
            }
        }
        Self {
            scaled,
            squares,
            signal: (2.0 * hyper.ln_signal).exp(),
        }
    }

    fn factor(&self, data: &[Datum], hyper: &Hyper) -> Cholesky {
        let noise = (2.0 * hyper.ln_noise).exp();
        let entry = |i: usize, j: usize| {
            let k = self.signal * matern(self.squares[i * (i + 1) / 2 + j]);
            if i == j {
                k + data[i].variance + noise / data[i].count
            } else {
                k
            }
        };
        Cholesky::factor_with_jitter(data.len(), self.signal, entry)
            .expect("a kernel matrix plus its own diagonal is positive definite")
            .0
    }

    /// The constant mean that fits best, and the weights of the data.
    fn weights(&self, factor: &Cholesky, data: &[Datum]) -> (f64, Vec<f64>) {
        let values: Vec<f64> = data.iter().map(|d| d.value).collect();
        let ones = factor.solve(&vec![1.0; data.len()]);
        // The mean itself is a priori near 0, with the spread of a standardised value.
        let mean = dot(&ones, &values) / (ones.iter().sum::<f64>() + 1.0);
        let rest: Vec<f64> = values.iter().map(|v| v - mean).collect();
        (mean, factor.solve(&rest))
    }
}

/// Climbs the posterior of the hyper-parameters; its step sizes live from one datum to the next.
#[derive(Debug, Clone)]
pub struct Fit {
    prior: Prior,
    hyper: Hyper,
    steps: Vec<f64>,
    last: Vec<f64>,
}

const STEP_FIRST: f64 = 0.2;
const STEP: (f64, f64) = (0.01, 0.6);

impl Fit {
    /// Begins in the middle of the prior.
    #[must_use]
    pub fn new(prior: Prior, dimensions: usize) -> Self {
        Self {
            hyper: prior.centre(dimensions),
            prior,
            steps: vec![STEP_FIRST; dimensions + 2],
            last: vec![0.0; dimensions + 2],
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn hyper(&self) -> &Hyper {
        &self.hyper
    }

    /// What is expected changed, for instance the scale of the noise.
    pub fn set_prior(&mut self, prior: Prior) {
        self.prior = prior;
    }

    /// Takes so many steps uphill. O(n³) each.
    pub fn climb(&mut self, data: &[Datum], unordered: &[bool], steps: usize) {
        for _ in 0..steps {
            let gradient = self.gradient(data, unordered);
            for (i, slope) in gradient.into_iter().enumerate() {
                self.step(i, slope);
            }
        }
    }

    fn step(&mut self, i: usize, slope: f64) {
        let agreement = slope * self.last[i];
        let grow = if agreement > 0.0 {
            1.2
        } else if agreement < 0.0 {
            0.5
        } else {
            1.0
        };
        self.steps[i] = (self.steps[i] * grow).clamp(STEP.0, STEP.1);
        self.last[i] = slope;
        if slope != 0.0 && slope.is_finite() {
            let step = self.steps[i].copysign(slope);
            let (value, (low, high)) = self.coordinate(i);
            *value = (*value + step).clamp(low, high);
        }
    }

    fn coordinate(&mut self, i: usize) -> (&mut f64, (f64, f64)) {
        let d = self.hyper.ln_length.len();
        match i.checked_sub(d) {
            None => (&mut self.hyper.ln_length[i], LN_LENGTH),
            Some(0) => (&mut self.hyper.ln_signal, LN_SIGNAL),
            Some(_) => (&mut self.hyper.ln_noise, LN_NOISE),
        }
    }

    /// Gradient of ln p(values | hyper) + ln p(hyper): lengths, signal, noise.
    fn gradient(&self, data: &[Datum], unordered: &[bool]) -> Vec<f64> {
        let kernel = Kernel::new(data, &self.hyper, unordered);
        let factor = kernel.factor(data, &self.hyper);
        let (_, weights) = kernel.weights(&factor, data);
        let inverse = factor.inverse();
        let noise = (2.0 * self.hyper.ln_noise).exp();
        let d = self.hyper.ln_length.len();
        let mut gradient = vec![0.0; d + 2];
        let mut pull = vec![0.0; data.len()];
        for i in 0..data.len() {
            let squares = &kernel.squares[i * (i + 1) / 2..];
            for j in 0..=i {
                // Off the diagonal each entry counts twice, with a half before the trace.
                let half = if i == j { 0.5 } else { 1.0 };
                let q = half * (weights[i] * weights[j] - inverse.at(i, j));
                let r = SQRT_5 * squares[j].sqrt();
                let decay = (-r).exp();
                gradient[d] += 2.0 * q * kernel.signal * (1.0 + r + r * r / 3.0) * decay;
                pull[j] = q * kernel.signal * (5.0 / 3.0) * (1.0 + r) * decay;
            }
            let own = 0.5 * (weights[i] * weights[i] - inverse.at(i, i));
            gradient[d + 1] += 2.0 * own * noise / data[i].count;
            for (p, slope) in gradient.iter_mut().enumerate().take(d) {
                *slope += lengthwise(
                    &kernel.scaled,
                    p,
                    i,
                    &pull[..i],
                    unordered[p].then(|| (-2.0 * self.hyper.ln_length[p]).exp()),
                );
            }
        }
        self.add_prior(&mut gradient);
        gradient
    }

    fn add_prior(&self, gradient: &mut [f64]) {
        let pull = |value: f64, (centre, width): (f64, f64)| (centre - value) / (width * width);
        let d = self.hyper.ln_length.len();
        for (slope, length) in gradient.iter_mut().zip(&self.hyper.ln_length) {
            *slope += pull(*length, self.prior.ln_length);
        }
        gradient[d] += pull(self.hyper.ln_signal, self.prior.ln_signal);
        gradient[d + 1] += pull(self.hyper.ln_noise, self.prior.ln_noise);
    }
}

/// Σⱼ pullⱼ · (scaled distance of i and j along parameter p)².
fn lengthwise(scaled: &Matrix, p: usize, i: usize, pull: &[f64], apart: Option<f64>) -> f64 {
    let row = scaled.row(p);
    let at = row[i];
    match apart {
        Some(apart) => {
            let far = row
                .iter()
                .zip(pull)
                .filter(|(x, _)| (**x - at).abs() > 1e-9);
            apart * far.map(|(_, pull)| pull).sum::<f64>()
        }
        None => row
            .iter()
            .zip(pull)
            .map(|(x, pull)| pull * (x - at) * (x - at))
            .sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use numerics::rng::Rng;

    fn data(n: usize, seed: u64) -> Vec<Datum> {
        let mut rng = Rng::new(seed);
        let mut datum = || {
            let point: Vec<f64> = vec![rng.uniform(), rng.uniform(), rng.below(3) as f64 / 2.0];
            let value = (4.0 * point[0]).sin() + if point[2] > 0.9 { 0.5 } else { 0.0 };
            Datum {
                point,
                value,
                variance: 1e-4,
                count: 1.0,
            }
        };
        (0..n).map(|_| datum()).collect()
    }

    const UNORDERED: [bool; 3] = [false, false, true];

    fn posterior(data: &[Datum], fit: &Fit) -> f64 {
        let kernel = Kernel::new(data, &fit.hyper, &UNORDERED);
        let factor = kernel.factor(data, &fit.hyper);
        let (mean, weights) = kernel.weights(&factor, data);
        let values: Vec<f64> = data.iter().map(|d| d.value - mean).collect();
        let prior = |v: f64, (c, w): (f64, f64)| -0.5 * ((v - c) / w).powi(2);
        -0.5 * dot(&values, &weights) - 0.5 * factor.ln_det()
            + fit.hyper.ln_length.iter().map(|l| prior(*l, fit.prior.ln_length)).sum::<f64>()
            + prior(fit.hyper.ln_signal, fit.prior.ln_signal)
            + prior(fit.hyper.ln_noise, fit.prior.ln_noise)
            // The mean, a priori normal, is profiled out.
            - 0.5 * mean * mean
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let data = data(15, 1);
        let mut fit = Fit::new(Prior::new(3, 0.1), 3);
        let gradient = fit.gradient(&data, &UNORDERED);
        for (i, slope) in gradient.iter().enumerate() {
            let step = 1e-5;
            *fit.coordinate(i).0 += step;
            let up = posterior(&data, &fit);
            *fit.coordinate(i).0 -= 2.0 * step;
            let down = posterior(&data, &fit);
            *fit.coordinate(i).0 += step;
            let wanted = (up - down) / (2.0 * step);
            assert!(
                (slope - wanted).abs() < 1e-4 * (1.0 + wanted.abs()),
                "{i}: {slope}, {wanted}"
            );
        }
    }

    #[test]
    fn climbing_climbs_and_finds_the_parameter_that_does_nothing() {
        let data = data(40, 2);
        let mut fit = Fit::new(Prior::new(3, 0.01), 3);
        let before = posterior(&data, &fit);
        fit.climb(&data, &UNORDERED, 60);
        assert!(posterior(&data, &fit) > before + 10.0);
        assert!(
            fit.hyper().ln_length[1] > fit.hyper().ln_length[0] + 1.0,
            "{:?}",
            fit.hyper()
        );
    }

    #[test]
    fn predicts_what_it_was_told_and_is_unsure_far_away() {
        let data = data(40, 3);
        let mut fit = Fit::new(Prior::new(3, 0.01), 3);
        fit.climb(&data, &UNORDERED, 60);
        let process = Process::new(&data, fit.hyper().clone(), &UNORDERED);
        for d in &data {
            let (mean, sd) = process.predict(&d.point);
            assert!(
                (mean - d.value).abs() < 0.05 && sd < 0.05,
                "{mean}, {sd}, {}",
                d.value
            );
        }
        let (mean, sd) = process.predict(&[0.5, 0.5, 1.0]);
        assert!(
            (mean - (2f64.sin() + 0.5)).abs() < 4.0 * sd + 0.05,
            "{mean} {sd}"
        );
        let first = Process::new(&data[..1], fit.hyper().clone(), &UNORDERED);
        assert!(first.predict(&[1.0 - data[0].point[0].round(), 0.5, 1.0]).1 > 0.3);
    }

    #[test]
    fn the_variance_for_screening_is_not_below_the_real_one() {
        let data = data(30, 4);
        let process = Process::new(&data, Prior::new(3, 0.1).centre(3), &UNORDERED);
        let mut rng = Rng::new(5);
        for _ in 0..100 {
            let k = process.covariances(&[rng.uniform(), rng.uniform(), 0.5]);
            let noise = 0.02;
            assert!(process.variance_of(k.clone()) <= process.variance_near(&k) + noise);
        }
    }
}
