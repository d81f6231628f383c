//! The loop's own API under `/api/v1/loop`: what it sees, tries and decided; proposals; the red
//! button. Prometheus's API stands beside it under `/api/v1`.
//!
//! | request | body | reply |
//! |---|---|---|
//! | `GET  /api/v1/loop/status` | - | [`Status`] |
//! | `GET  /api/v1/loop/targets` | - | [`Target`] list |
//! | `GET  /api/v1/loop/changes?limit=N` | - | [`Change`] list, newest first |
//! | `GET  /api/v1/loop/changes/{id}` | - | [`Change`] |
//! | `POST /api/v1/loop/proposals` | [`ProposalRequest`] | [`Decision`]: 201 admitted, 202 waiting, 409 deferred, 422 refused |
//! | `POST /api/v1/loop/changes/{id}/approve` | [`By`] | [`Change`] |
//! | `POST /api/v1/loop/changes/{id}/reject` | [`By`] | [`Change`] |
//! | `POST /api/v1/loop/changes/{id}/undo` | [`By`] | [`Change`]; also of a kept one, if its values still stand |
//! | `POST /api/v1/loop/red-button` | [`By`] | [`Status`]; every running change is rolled back |
//! | `DELETE /api/v1/loop/red-button` | - | [`Status`] |
//! | `PUT  /api/v1/loop/trust` | [`Trust`] | [`Status`] |
//! | `GET  /api/v1/loop/decisions?limit=N` | - | [`Decision`] list, newest first |
//! | `GET  /api/v1/loop/studies` | - | [`Study`] list |
//! | `POST /api/v1/loop/studies/{id}/stop` | - | [`Study`] list; its running trial goes on |
//! | `POST /api/v1/loop/targets/{name}/unfreeze` | [`By`] | [`Status`] |
//! | `GET  /api/v1/loop/findings?limit=N` | - | [`Finding`] list, newest first |
//! | `GET  /api/v1/loop/report` | - | [`Report`] |
//! | `GET  /api/v1/loop/live` | - | server-sent [`crate::live::Event`]s |
//!
//! An error is a [`Problem`].

use serde::{Deserialize, Serialize};

use crate::knobs::{Knob, Value};

/// How much the loop may do by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustLevel {
    /// Proposals are recorded; nothing is changed.
    Recommend,
    /// Each change waits for a person.
    Approve,
    /// Admitted changes are carried out at once.
    Autonomous,
}

/// Body of `PUT trust`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The level wanted.
    pub trust: TrustLevel,
}

/// Who acts; "api" when absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct By {
    /// A name for the record.
    #[serde(default)]
    pub by: Option<String>,
}

/// The loop at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the server.
    pub version: String,
    /// Wall time of the server, ms since the Unix epoch.
    pub now_ms: i64,
    /// When it started.
    pub started_ms: i64,
    /// How much it may do.
    pub trust: TrustLevel,
    /// Who pressed the red button, while it is pressed.
    pub red_button: Option<String>,
    /// State of the store: `healthy` or `disk_full`.
    pub store: String,
    /// Live series.
    pub series: u64,
    /// Samples stored since the start.
    pub samples: u64,
    /// The change being tried.
    pub running: Option<Running>,
    /// Counts of changes by state.
    pub changes: std::collections::BTreeMap<String, u64>,
}

/// A change under trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// The change.
    pub change: u64,
    /// `baseline` or `variant`: what is in force.
    pub arm: Option<String>,
    /// Pairs measured so far.
    pub pairs: u32,
    /// Pairs at most.
    pub pairs_max: u32,
    /// Evidence so far (e-value; decided at 1/alpha).
    pub e_value: f64,
    /// Effect so far.
    pub effect: Option<Effect>,
}

/// A service under tuning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Where it answers.
    pub url: String,
    /// Whether it answers now.
    pub up: bool,
    /// Why it is frozen, when it is.
    pub frozen: Option<String>,
    /// The objective.
    pub objective: Objective,
    /// The guards.
    pub guards: Vec<Guard>,
    /// Its knobs.
    pub knobs: Vec<Knob>,
}

/// What is optimized.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Its name.
    pub name: String,
    /// PromQL; `$window` stands for the length of a measured window.
    pub query: String,
    /// `minimize` or `maximize`.
    pub goal: String,
    /// Unit of its value.
    pub unit: String,
}

/// What must hold while a change is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// Its name.
    pub name: String,
    /// PromQL.
    pub query: String,
    /// `at_most` or `at_least`.
    pub bound: String,
    /// The bound.
    pub value: f64,
    /// Its last measurement.
    pub last: Option<f64>,
}

/// Effect size: relative change of the objective, with an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Best estimate (-0.2 = 20 % lower).
    pub estimate: f64,
    /// Lower end; absent when unbounded.
    pub low: Option<f64>,
    /// Upper end; absent when unbounded.
    pub high: Option<f64>,
    /// Coverage of the interval at any stopping time.
    pub level: f64,
}

/// A judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// `better`, `worse` or `inconclusive`.
    pub call: String,
    /// `evidence`, `futile`, `cap`, `guard` or `aborted`.
    pub ending: String,
    /// Effect size.
    pub effect: Option<Effect>,
    /// Pairs measured.
    pub pairs: u32,
    /// Evidence against "no effect".
    pub e_value: f64,
    /// Error rate.
    pub alpha: f64,
    /// Median of the objective, baseline windows.
    pub baseline: Option<f64>,
    /// Median of the objective, variant windows.
    pub variant: Option<f64>,
}

/// One knob's part in a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The knob.
    pub knob: String,
    /// Before.
    pub old: Value,
    /// Tried.
    pub new: Value,
    /// Last value read back from the target.
    pub read_back: Option<Value>,
}

/// A change and its fate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its identity.
    pub id: u64,
    /// The target.
    pub target: String,
    /// `waiting`, `trying`, `keeping`, `undoing`, `kept`, `undone`, `refused`, `expired`, `failed`.
    pub state: String,
    /// `study 1, trial 3`, `rule NAME` or a person's name.
    pub author: String,
    /// Why it was proposed.
    pub reason: String,
    /// What it sets.
    pub settings: Vec<Setting>,
    /// When it began, ms since the Unix epoch.
    pub begun_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// What it was worth.
    pub verdict: Option<Verdict>,
    /// The guard that ended it.
    pub breach: Option<Breach>,
    /// Whether the last values ordered were read back exactly.
    pub verified: bool,
    /// From the breach to the verified roll-back, ms; only where a guard ended it.
    pub rollback_ms: Option<u64>,
    /// From the first order to its values applied and read back, ms.
    pub apply_ms: Option<u64>,
}

/// A guard that left its bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// The guard.
    pub guard: String,
    /// What was measured; absent when the metric went missing.
    pub value: Option<f64>,
    /// The bound.
    pub bound: f64,
    /// When, ms since the Unix epoch.
    pub at_ms: i64,
}

/// Body of `POST proposals`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProposalRequest {
    /// The target.
    pub target: String,
    /// Values by knob.
    pub values: std::collections::BTreeMap<String, Value>,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Who.
    #[serde(default)]
    pub by: Option<String>,
}

/// The governor's answer to a proposal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The proposal.
    pub proposal: u64,
    /// The change it became.
    pub change: Option<u64>,
    /// `admit`, `await_approval`, `defer` or `refuse`.
    pub ruling: String,
    /// The rule, such as `step_too_large`; absent when admitted.
    pub rule: Option<String>,
    /// One sentence.
    pub message: String,
    /// When, ms since the Unix epoch.
    pub at_ms: i64,
}

/// A study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// Its identity.
    pub id: u64,
    /// The target.
    pub target: String,
    /// The objective.
    pub objective: String,
    /// Search method.
    pub method: String,
    /// Seed.
    pub seed: u64,
    /// `running` or `done`.
    pub state: String,
    /// Trials.
    pub trials: Vec<Trial>,
}

/// A trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its identity within the study.
    pub id: u64,
    /// The change it was tried as.
    pub change: Option<u64>,
    /// What was tried.
    pub params: std::collections::BTreeMap<String, Value>,
    /// `open`, `complete` or `failed`.
    pub state: String,
    /// Log ratio of the objective to the incumbent's.
    pub value: Option<f64>,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Its identity.
    pub id: u64,
    /// The series, as PromQL writes it.
    pub series: String,
    /// When it was noticed, ms since the Unix epoch.
    pub at_ms: i64,
    /// `anomaly`, `change_point` or `exhaustion`.
    pub kind: String,
    /// -log10 p.
    pub severity: f64,
    /// One sentence.
    pub summary: String,
}

/// What the loop has done so far, for a person or a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the server.
    pub version: String,
    /// Wall time covered, seconds.
    pub seconds: f64,
    /// Objective before and after tuning, measured in interleaved windows of the kept changes.
    pub objectives: Vec<ObjectiveReport>,
    /// Every change, oldest first.
    pub changes: Vec<Change>,
    /// Knobs that differ from their defaults.
    pub knobs: Vec<Setting>,
    /// What ALL-USE itself used; absent where the system does not say.
    pub own: Option<Own>,
}

/// One objective before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveReport {
    /// Its name.
    pub name: String,
    /// Unit.
    pub unit: String,
    /// The target.
    pub target: String,
    /// Median before the first kept change.
    pub before: Option<f64>,
    /// Median after the last kept change.
    pub after: Option<f64>,
    /// Combined effect of the kept changes; intervals multiply, so the level holds for each.
    pub effect: Option<Effect>,
}

/// Cost of ALL-USE itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Own {
    /// CPU seconds used.
    pub cpu_seconds: f64,
    /// Mean share of one core.
    pub cpu_share: f64,
    /// Resident memory now, bytes.
    pub memory_bytes: u64,
}

/// An error of this API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable word: `not_found`, `bad_request`, `conflict`, `too_large`, `unavailable`.
    pub error: String,
    /// One sentence with position or key.
    pub message: String,
}
