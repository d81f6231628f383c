//! A kind of evidence: what is usual for it, both tails of what is not, and its own share of the
//! alarm budget.

use crate::tail::Tail;

/// Points over which the scale is averaged.
const MEMORY: f64 = 10_000.0;
/// A residual counts as at most this many scales when the scale learns.
const CLIP: f64 = 3.0;
/// Points until which the scale follows without clipping and tails do not learn.
const SETTLED: u32 = 20;
/// Where tails are expected to begin, in scales, and their mean excess.
const TAIL: (f32, f32) = (3.0, 1.0);
/// Points of the burst score.
const BURST: usize = 8;
/// A point counts as at most this many scales in the burst score.
const BURST_CLIP: f64 = 6.0;

/// A signed residual.
#[derive(Debug, Clone)]
pub struct Channel {
    scale: f64,
    up: Tail,
    down: Tail,
}

impl Channel {
    /// Before the first residual.
    #[must_use]
    pub fn new() -> Self {
        let tail = Tail::new(TAIL.0, TAIL.1);
        Self {
            scale: 0.0,
            up: tail.clone(),
            down: tail,
        }
    }

    /// The usual size of residuals, at least `floor`.
    #[must_use]
    pub fn scale(&self, floor: f64) -> f64 {
        self.scale.max(floor)
    }

    /// -log10 of the probability of a residual at least as large, on either side. `grain` is the
    /// continuity correction of a source that speaks in steps.
    #[must_use]
    pub fn severity(&self, residual: f64, floor: f64, grain: f64) -> f32 {
        let z = ((residual.abs() - grain) / self.scale(floor)).max(0.0) as f32;
        let tail = if residual >= 0.0 {
            &self.up
        } else {
            &self.down
        };
        (tail.severity(z) - std::f32::consts::LOG10_2).max(0.0)
    }

    /// Learns the `points`th residual.
    pub fn learn(&mut self, residual: f64, floor: f64, points: u32) {
        let size = residual.abs();
        let limit = if points < SETTLED {
            size
        } else {
            CLIP * self.scale(floor)
        };
        self.scale += (size.min(limit) - self.scale) / f64::from(points).min(MEMORY);
        if points >= SETTLED {
            self.learn_tails(residual, floor);
        }
    }

    /// Learns that such a residual happens, but not that it is usual.
    pub fn learn_tails(&mut self, residual: f64, floor: f64) {
        let z = (residual / self.scale(floor)) as f32;
        self.up.learn(z);
        self.down.learn(-z);
    }

    /// The residuals, below and above, whose severity is `severity`.
    #[must_use]
    pub fn limits(&self, severity: f32, floor: f64) -> (f64, f64) {
        let side = |tail: &Tail| {
            let z = tail.quantile(severity + std::f32::consts::LOG10_2);
            self.scale(floor) * f64::from(z)
        };
        (-side(&self.down), side(&self.up))
    }
}

impl Default for Channel {
    fn default() -> Self {
        Self::new()
    }
}

/// The mean size of the last residuals: many a little large are as telling as one very large.
#[derive(Debug, Clone)]
pub struct Burst {
    recent: [f32; BURST],
    tail: Tail,
}

impl Burst {
    /// Before the first residual.
    #[must_use]
    pub fn new() -> Self {
        Self {
            recent: [0.0; BURST],
            tail: Tail::new(2.0, 0.5),
        }
    }

    /// Takes the next residual in scales; returns the score.
    pub fn push(&mut self, z: f64) -> f32 {
        self.recent.copy_within(0..BURST - 1, 1);
        self.recent[0] = z.abs().min(BURST_CLIP) as f32;
        self.recent.iter().sum::<f32>() / BURST as f32
    }

    /// -log10 of the probability of such a score.
    #[must_use]
    pub fn severity(&self, score: f32) -> f32 {
        self.tail.severity(score)
    }

    /// Learns a score.
    pub fn learn(&mut self, score: f32) {
        self.tail.learn(score);
    }
}

impl Default for Burst {
    fn default() -> Self {
        Self::new()
    }
}
