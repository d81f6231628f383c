//! Windows of a simulated objective: noise with memory, heavy or skewed tails, drift and spikes.

use model::{Arm, ChangeId, Verdict};
use numerics::rng::Rng;
use validate::{PairedTest, Rule, Status, coin};

/// The shape of the noise of a window, on the logarithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// Student's t with so many degrees of freedom; at most 2 has no variance, and the scale is
    /// that of the t itself.
    StudentT(f64),
    /// Exponential, so that bad windows are far worse than good ones are good.
    Skewed,
}

/// How a simulated objective moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Noise {
    pub(crate) shape: Shape,
    /// Standard deviation of a window on the logarithm.
    pub(crate) cv: f64,
    /// Correlation of a window with the one before.
    pub(crate) memory: f64,
    /// Change of the level over all the windows of a trial, on the logarithm.
    pub(crate) drift: f64,
    /// Share of windows half as high again.
    pub(crate) spikes: f64,
}

impl Noise {
    /// The noise of the guide's simulation: t(4), AR(1) 0.5, drift twice the CV, 2 % spikes.
    pub(crate) fn usual(cv: f64) -> Self {
        Self {
            shape: Shape::StudentT(4.0),
            cv,
            memory: 0.5,
            drift: 2.0 * cv,
            spikes: 0.02,
        }
    }

    fn innovation(self, rng: &mut Rng) -> f64 {
        match self.shape {
            Shape::StudentT(df) if df > 2.0 => rng.student_t(df) / (df / (df - 2.0)).sqrt(),
            Shape::StudentT(df) => rng.student_t(df),
            Shape::Skewed => rng.exponential() - 1.0,
        }
    }
}

/// A stream of windows.
struct Windows {
    noise: Noise,
    rng: Rng,
    memory: f64,
    index: u32,
    total: u32,
}

impl Windows {
    fn next(&mut self) -> f64 {
        let Noise {
            cv,
            memory,
            drift,
            spikes,
            ..
        } = self.noise;
        let fresh = self.noise.innovation(&mut self.rng) * cv;
        self.memory = memory * self.memory + (1.0 - memory * memory).sqrt() * fresh;
        let level = drift * f64::from(self.index) / f64::from(self.total);
        let spike = if self.rng.chance(spikes) {
            1.5f64.ln()
        } else {
            0.0
        };
        self.index += 1;
        (level + self.memory + spike).exp()
    }
}

/// The windows of a trial as pairs of (baseline, variant), the variant's multiplied by `ratio`.
pub(crate) fn pairs(
    noise: Noise,
    ratio: f64,
    count: u32,
    seed: u64,
) -> impl Iterator<Item = (f64, f64)> {
    let rng = Rng::stream(seed, &[1]);
    let mut windows = Windows {
        noise,
        rng,
        memory: 0.0,
        index: 0,
        total: 2 * count,
    };
    // Forget the quiet beginning.
    for _ in 0..10 {
        windows.next();
    }
    windows.index = 0;
    (0..count).map(move |pair| {
        let (first, second) = (windows.next(), windows.next());
        match coin::order(seed, ChangeId(1), pair)[0] {
            Arm::Baseline => (first, second * ratio),
            Arm::Variant => (second, first * ratio),
        }
    })
}

/// Runs one trial to its verdict.
pub(crate) fn trial(rule: Rule, noise: Noise, ratio: f64, seed: u64) -> Verdict {
    let mut test = PairedTest::new(rule).expect("a sound rule");
    for (baseline, variant) in pairs(noise, ratio, rule.pairs_max, seed) {
        if let Status::Done(verdict) = test.push(Some(baseline), Some(variant)) {
            return verdict;
        }
    }
    panic!("a trial ends at its cap");
}
