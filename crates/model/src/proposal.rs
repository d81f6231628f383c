//! Something worth trying, put before the governor.

use serde::{Deserialize, Serialize};

use crate::{KnobValue, ProposalId, StudyId, TrialId};

/// Who proposes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Author {
    /// A study's next trial.
    Study {
        /// The study.
        study: StudyId,
        /// Its trial.
        trial: TrialId,
    },
    /// A rule of the configuration.
    Rule {
        /// Its name.
        name: String,
    },
    /// A person, through the API.
    Person {
        /// As they gave their name; "api" when they gave none.
        name: String,
    },
}

/// New values for some knobs of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Its identity.
    pub id: ProposalId,
    /// The target's name.
    pub target: String,
    /// Knob and value wanted; knobs not named stay as they are. Sorted by name.
    pub values: Vec<(String, KnobValue)>,
    /// Who proposes.
    pub author: Author,
    /// Why, for a person to read.
    pub reason: String,
    /// Expected relative change of the objective, if the author has an expectation (-0.1 = 10 %
    /// lower).
    pub expected: Option<f64>,
    /// When, ms since the Unix epoch.
    pub at_ms: i64,
}
