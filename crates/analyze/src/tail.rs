//! How improbable is a score, given all the scores before it: the tail of their distribution.
//!
//! Peaks over threshold, streaming (Siffer et al. 2017, SPOT): the 98 % quantile by stochastic
//! approximation (Robbins & Monro 1951), the excesses above it as a generalised Pareto
//! distribution whose two parameters follow from running moments of the excesses (Hosking &
//! Wallis 1987). Shape in [0, 0.5]: a bounded tail would promise impossibility, a heavier one has
//! no variance.

/// Share of scores above the threshold.
const EXCEED: f32 = 0.02;
/// -log10 of [`EXCEED`]: where the tail begins.
const BASE: f32 = 1.698_97;
/// Scores after which old ones fade from the threshold.
const MEMORY: f32 = 20_000.0;
/// Excesses after which old ones fade from the moments.
const EXCESS_MEMORY: f32 = 2000.0;
/// Weight of the prior moments, in excesses.
const PRIOR_EXCESSES: f32 = 10.0;
/// The prior shape: a little heavier than exponential.
const PRIOR_SHAPE: f32 = 0.15;
/// Shapes allowed; the least is as good as exponential and keeps the formulas finite.
const MIN_SHAPE: f32 = 0.02;
const MAX_SHAPE: f32 = 0.5;
/// The scale is at least this share of what the mean excess implies: scores of discrete series
/// pile up just above the threshold, and would make the likelihood believe in a vanishing tail.
const LEAST_SCALE: f32 = 0.8;
/// An excess counts as at most this many mean excesses in their mean.
const MAX_EXCESS: f32 = 30.0;
/// Largest step of shape or log scale from one excess.
const MAX_STEP: f32 = 0.1;
/// Scores below the threshold that end a cluster of excesses.
const CALM: u8 = 8;
/// Excesses of one cluster that are learned: a long incident must not become the measure of all
/// things.
const MAX_CLUSTER: u8 = 24;
/// Largest severity told: floats carry no more evidence than that.
pub const MAX_SEVERITY: f32 = 30.0;

/// The upper tail of a stream of scores that are usually of the order of 1.
#[derive(Debug, Clone)]
pub struct Tail {
    threshold: f32,
    count: f32,
    excesses: f32,
    shape: f32,
    scale: f32,
    /// Mean excess.
    mean: f32,
    /// Scores since the last excess.
    calm: u8,
    /// Excesses without [`CALM`] scores between them.
    cluster: u8,
}

impl Tail {
    /// A tail before the first score: `threshold` and `excess` say where the 98 % quantile and
    /// the mean excess above it are to be expected.
    #[must_use]
    pub fn new(threshold: f32, excess: f32) -> Self {
        Self {
            threshold,
            count: 30.0,
            excesses: PRIOR_EXCESSES,
            shape: PRIOR_SHAPE,
            scale: excess,
            mean: excess,
            calm: 0,
            cluster: 0,
        }
    }

    /// -log10 of the probability of a score at least this large.
    #[must_use]
    pub fn severity(&self, score: f32) -> f32 {
        let excess = score - self.threshold;
        if excess <= 0.0 {
            let floor = self.threshold.abs().max(self.scale);
            return (BASE * (1.0 + excess / floor)).max(0.0);
        }
        let tail = (1.0 + self.shape * excess / self.scale).ln() / self.shape;
        (BASE + tail * std::f32::consts::LOG10_E).min(MAX_SEVERITY)
    }

    /// Learns one score.
    pub fn learn(&mut self, score: f32) {
        let excess = score - self.threshold;
        let above = excess > 0.0;
        if self.calm >= CALM {
            self.cluster = 0;
        }
        self.calm = if above {
            0
        } else {
            self.calm.saturating_add(1)
        };
        self.cluster = self.cluster.saturating_add(u8::from(above));
        if above && self.cluster > MAX_CLUSTER {
            return;
        }
        self.count = (self.count + 1.0).min(MEMORY);
        if above {
            self.fit(excess);
        }
        let error = f32::from(u8::from(above)) - EXCEED;
        // The density at the threshold is EXCEED / scale.
        self.threshold += self.scale / EXCEED / self.count * error;
    }

    /// One step of the score divided by the Fisher information (Smith 1985): as efficient as
    /// maximum likelihood in the long run, and a wild excess enters by its logarithm only.
    fn fit(&mut self, excess: f32) {
        self.excesses = (self.excesses + 1.0).min(EXCESS_MEMORY);
        let (shape, z) = (self.shape, excess / self.scale);
        let grown = 1.0 + shape * z;
        let by_shape = grown.ln() / (shape * shape) - (1.0 + 1.0 / shape) * z / grown;
        // Both gradients times the scale, so that the step is free of units.
        let by_scale = (1.0 + shape) * z / grown - 1.0;
        let step = (1.0 + shape) / self.excesses;
        let shape_step = step * ((1.0 + shape) * by_shape - by_scale);
        let scale_step = step * (2.0 * by_scale - by_shape);
        self.shape = (shape + shape_step.clamp(-MAX_STEP, MAX_STEP)).clamp(MIN_SHAPE, MAX_SHAPE);
        self.mean += (excess.min(MAX_EXCESS * self.mean) - self.mean) / self.excesses;
        let least = LEAST_SCALE * self.mean * (1.0 - self.shape);
        self.scale = (self.scale * scale_step.clamp(-MAX_STEP, MAX_STEP).exp()).max(least);
    }

    /// The score whose severity is `severity` (at least that of the 98 % threshold): the inverse
    /// of the tail.
    #[must_use]
    pub fn quantile(&self, severity: f32) -> f32 {
        let tail = (severity - BASE).max(0.0) / std::f32::consts::LOG10_E;
        let excess = ((tail * self.shape).exp() - 1.0) / self.shape * self.scale;
        self.threshold + excess
    }
}
