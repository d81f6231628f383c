//! The governor's answers.

use serde::{Deserialize, Serialize};

use crate::{ChangeId, ChangeState, ProposalId};

/// What the governor ruled on a proposal, or on a change it became.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// About which proposal.
    pub proposal: ProposalId,
    /// The change it became, once admitted (or waiting for approval).
    pub change: Option<ChangeId>,
    /// The ruling.
    pub ruling: Ruling,
    /// When, ms since the Unix epoch.
    pub at_ms: i64,
}

/// A ruling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ruling", rename_all = "snake_case")]
pub enum Ruling {
    /// Go ahead.
    Admit,
    /// A person has to approve it first (or, at trust `recommend`, carry it out).
    AwaitApproval,
    /// Not now; ask again.
    Defer {
        /// The rule that stands in the way.
        why: Why,
    },
    /// No.
    Refuse {
        /// The rule that was broken.
        why: Why,
    },
}

/// The rule behind a deferral or a refusal; each is named for its rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Why {
    /// No such target is known.
    UnknownTarget {
        /// The name given.
        target: String,
    },
    /// The target has no such knob.
    UnknownKnob {
        /// The name given.
        knob: String,
    },
    /// The value is not in the knob's domain.
    OutOfRange {
        /// The knob.
        knob: String,
        /// The value given.
        value: String,
        /// The domain, in words.
        allowed: String,
    },
    /// The value is too far from the one in force.
    StepTooLarge {
        /// The knob.
        knob: String,
        /// The step asked for, as a share of the range.
        step: f64,
        /// The largest allowed.
        max_step: f64,
    },
    /// The knob needs a restart: it is not changed live.
    NeedsRestart {
        /// The knob.
        knob: String,
    },
    /// Every value asked for is already in force.
    NothingToChange,
    /// The target rests after an earlier change.
    CoolingDown {
        /// Until when, ms since the Unix epoch.
        until_ms: i64,
    },
    /// The target's budget of changes is used up.
    BudgetSpent {
        /// Changes allowed in the window.
        allowed: u32,
        /// When the next one is possible, ms since the Unix epoch.
        until_ms: i64,
    },
    /// The red button is pressed, or the target is frozen after a failed roll-back.
    Frozen {
        /// What froze it.
        reason: String,
    },
    /// Another change of this target is not finished.
    ChangeInFlight {
        /// That change.
        change: ChangeId,
    },
    /// The target does not answer.
    TargetLost,
    /// A kept change cannot be undone: a later change or a restart replaced its value.
    Superseded {
        /// The knob that no longer has the change's value.
        knob: String,
    },
    /// The change is past the point where this could be asked.
    WrongState {
        /// Where it stands.
        state: ChangeState,
    },
}
