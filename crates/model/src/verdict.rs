//! What a change was worth.

use serde::{Deserialize, Serialize};

use crate::Interval;

/// Which way an objective should move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Lower is better.
    Minimize,
    /// Higher is better.
    Maximize,
}

/// The judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Better than the baseline, at the stated error rate.
    Better,
    /// Worse than the baseline, at the stated error rate; or a guard was breached.
    Worse,
    /// No difference shown.
    Inconclusive,
}

/// The relative change of the objective, variant over baseline, minus 1 (-0.2 = 20 % lower).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Best estimate.
    pub estimate: f64,
    /// Interval at `level`, valid at any stopping time.
    pub interval: Interval,
    /// Coverage of the interval, such as 0.95.
    pub level: f64,
}

/// Why the trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The evidence crossed its bound.
    Evidence,
    /// An effect worth having is excluded.
    Futile,
    /// The most pairs or the most time allowed.
    Cap,
    /// A guard was breached.
    Guard,
    /// Called off: red button, lost target, shutdown.
    Aborted,
}

/// The judgement of one trial, with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The judgement.
    pub call: Call,
    /// Effect size, if at least one pair was measured.
    pub effect: Option<Effect>,
    /// Pairs of windows measured.
    pub pairs: u32,
    /// Evidence against "no effect" (an e-value: at most 1 in expectation if there is none).
    pub e_value: f64,
    /// Error rate at which `call` was made.
    pub alpha: f64,
    /// Why it ended.
    pub ending: Ending,
    /// Median of the objective in baseline windows, in the objective's unit.
    pub baseline: Option<f64>,
    /// The same in variant windows.
    pub variant: Option<f64>,
}

/// A guard metric left its bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardBreach {
    /// The guard's name.
    pub guard: String,
    /// What was measured; absent when the metric itself went missing.
    pub value: Option<f64>,
    /// The bound.
    pub bound: f64,
    /// When, ms since the Unix epoch.
    pub at_ms: i64,
}
