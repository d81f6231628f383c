//! A study: one search for better values of a target's knobs.

use serde::{Deserialize, Serialize};

use crate::{ChangeId, Goal, KnobValue, StudyId, TrialId};

/// Values by parameter name, sorted by name.
pub type Params = Vec<(String, KnobValue)>;

/// Where a study stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StudyState {
    /// Asking and telling.
    Running,
    /// Ended: budget used, or stopped by a person.
    Done,
}

/// One search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// Its identity.
    pub id: StudyId,
    /// The target whose knobs it searches.
    pub target: String,
    /// The objective, as PromQL.
    pub objective: String,
    /// Which way it should move.
    pub goal: Goal,
    /// Name of the search method.
    pub method: String,
    /// Fixes every random choice.
    pub seed: u64,
    /// Where it stands.
    pub state: StudyState,
    /// When it began, ms since the Unix epoch.
    pub begun_ms: i64,
}

/// Where a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialState {
    /// Asked, not yet told.
    Open,
    /// Measured.
    Complete,
    /// Ended early: guard, refusal, lost target.
    Failed,
}

/// One point tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its identity, unique within the study.
    pub id: TrialId,
    /// The study.
    pub study: StudyId,
    /// The change it was tried as, if it came so far.
    pub change: Option<ChangeId>,
    /// What was tried.
    pub params: Params,
    /// Where it stands.
    pub state: TrialState,
    /// Log ratio of the objective to the incumbent's, when measured.
    pub value: Option<f64>,
    /// Standard error of `value`.
    pub error: Option<f64>,
    /// When it was asked, ms since the Unix epoch.
    pub at_ms: i64,
}
