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
const EXCESS_MEMORY: f32 = 400.0;
/// Weight of the prior moments, in excesses.
const PRIOR_EXCESSES: f32 = 10.0;
/// An excess counts as at most this many mean excesses (its p under an exponential tail is
/// 1e-6): one wild value must not hide the next.
const CLIP: f32 = 14.0;
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
    mean: f32,
    square: f32,
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
        // A second moment of 2.5 squared means is a shape of 1/6: a little heavier than
        // exponential.
        let square = 2.5 * excess * excess;
        Self {
            threshold,
            count: 30.0,
            excesses: PRIOR_EXCESSES,
            mean: excess,
            calm: 0,
            cluster: 0,
            square,
        }
    }

    /// -log10 of the probability of a score at least this large.
    #[must_use]
    pub fn severity(&self, score: f32) -> f32 {
        let excess = score - self.threshold;
        if excess <= 0.0 {
            let floor = self.threshold.abs().max(self.mean);
            return (BASE * (1.0 + excess / floor)).max(0.0);
        }
        let (shape, scale) = self.pareto();
        let tail = if shape < 1e-3 {
            excess / scale
        } else {
            (1.0 + shape * excess / scale).ln() / shape
        };
        (BASE + tail * std::f32::consts::LOG10_E).min(MAX_SEVERITY)
    }

    /// Learns one score.
    pub fn learn(&mut self, score: f32) {
        let excess = score - self.threshold;
        let above = excess > 0.0;
        if self.calm >= CALM {
            self.cluster = 0;
        }
        self.calm = if above { 0 } else { self.calm.saturating_add(1) };
        self.cluster = self.cluster.saturating_add(u8::from(above));
        if above && self.cluster > MAX_CLUSTER {
            return;
        }
        self.count = (self.count + 1.0).min(MEMORY);
        if above {
            let excess = excess.min(CLIP * self.mean);
            self.excesses = (self.excesses + 1.0).min(EXCESS_MEMORY);
            self.mean += (excess - self.mean) / self.excesses;
            self.square += (excess * excess - self.square) / self.excesses;
        }
        let error = f32::from(u8::from(above)) - EXCEED;
        // 1 / density at the threshold is mean / EXCEED.
        self.threshold += self.mean / EXCEED / self.count * error;
    }

    /// The score whose severity is `severity`, at least [`BASE`]: the inverse of the tail.
    #[must_use]
    pub fn quantile(&self, severity: f32) -> f32 {
        let (shape, scale) = self.pareto();
        let tail = (severity - BASE).max(0.0) / std::f32::consts::LOG10_E;
        let excess = if shape < 1e-3 {
            tail * scale
        } else {
            ((tail * shape).exp() - 1.0) / shape * scale
        };
        self.threshold + excess
    }

    /// Shape and scale by the method of moments.
    fn pareto(&self) -> (f32, f32) {
        let variance = (self.square - self.mean * self.mean).max(f32::MIN_POSITIVE);
        let shape = (0.5 * (1.0 - self.mean * self.mean / variance)).clamp(0.0, 0.5);
        (shape, self.mean * (1.0 - shape))
    }
}
