//! What the governor is told, and what it answers. Both are data; nothing else goes in or out.

use model::{
    Arm, Change, ChangeId, Decision, Effect, Generation, GuardBreach, KnobSpec, KnobValue, Order,
    Outcome, Proposal, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::{Policy, Trust};

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The process begins: the first event of each life, also of the very first. Running changes
    /// of an earlier life are called back; targets count as lost until they are seen.
    Started {
        /// The policy of this life.
        policy: Policy,
    },
    /// A target answered a discovery. Tell it again and again: it shows restarts and the end of
    /// other writers' leases.
    TargetSeen {
        /// Its name.
        target: String,
        /// Changes with every start of the target.
        instance: String,
        /// Newest generation it carried out.
        generation: Generation,
        /// Its knobs.
        knobs: Vec<KnobSpec>,
    },
    /// A target does not answer.
    TargetLost {
        /// Its name.
        target: String,
    },
    /// Someone proposes new values.
    Proposed(Proposal),
    /// A person approves a waiting change.
    Approved {
        /// The change.
        change: ChangeId,
        /// Who.
        by: String,
    },
    /// A person rejects a waiting change.
    Rejected {
        /// The change.
        change: ChangeId,
        /// Who.
        by: String,
    },
    /// The conductor of a trial wants this arm in force.
    ArmWanted {
        /// The change.
        change: ChangeId,
        /// The arm.
        arm: Arm,
    },
    /// The trial of a change is judged.
    Judged {
        /// The change.
        change: ChangeId,
        /// The judgement.
        verdict: Verdict,
    },
    /// A guard was breached while the change was tried.
    Breached {
        /// The change.
        change: ChangeId,
        /// The guard and what it saw.
        breach: GuardBreach,
    },
    /// The answer to an order.
    Done(Outcome),
    /// The red button is pressed: every running change is rolled back, nothing is admitted.
    RedButton {
        /// Who.
        by: String,
    },
    /// The red button is released.
    Released {
        /// Who.
        by: String,
    },
    /// The level of trust is set.
    TrustSet {
        /// The level.
        trust: Trust,
    },
    /// A person wants a running or a kept change undone.
    UndoAsked {
        /// The change.
        change: ChangeId,
        /// Who.
        by: String,
    },
    /// A person looked at a frozen target and lets the loop at it again.
    Unfrozen {
        /// The target.
        target: String,
        /// Who.
        by: String,
    },
    /// Time passed. Send one at least each second: leases, retries and expiries hang on it.
    Tick,
    /// The process is about to end: running changes are undone, nothing is admitted.
    Shutdown {
        /// Whether the changes kept in this life are undone too, newest first.
        put_back: bool,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Carry this order to its target, after everything of this step is on disk.
    Send(Order),
    /// A ruling, to be journalled and told to whoever asked.
    Decided(Decision),
    /// The state of a change is now this: to be journalled and shown.
    Changed(Box<Change>),
    /// Start the conductor of this change's trial.
    BeginTrial {
        /// The change.
        change: ChangeId,
    },
    /// The arm is in force and read back: the washout begins.
    InForce {
        /// The change.
        change: ChangeId,
        /// The arm.
        arm: Arm,
    },
    /// Stop the conductor, if it still runs.
    EndTrial {
        /// The change.
        change: ChangeId,
    },
    /// A person has to look.
    Page {
        /// Why, in a sentence.
        reason: String,
    },
}

impl Event {
    /// The event as a record can hold it: JSON has no NaN and no infinity, so what is not finite
    /// becomes what it amounts to (a value no domain contains, a missing figure, the largest
    /// number). The governor steps on this form, so that a replay sees what it saw.
    #[must_use]
    pub fn recordable(mut self) -> Self {
        match &mut self {
            Self::TargetSeen { knobs, .. } => knobs.retain(spec_is_finite),
            Self::Proposed(proposal) => {
                proposal
                    .values
                    .iter_mut()
                    .for_each(|(_, v)| finite_value(v));
                proposal.expected = proposal.expected.filter(|e| e.is_finite());
            }
            Self::Judged { verdict, .. } => finite_verdict(verdict),
            Self::Breached { breach, .. } => {
                breach.value = breach.value.filter(|v| v.is_finite());
                breach.bound = finite(breach.bound);
            }
            Self::Done(outcome) => {
                if let Ok(read) = &mut outcome.result {
                    read.iter_mut().for_each(|(_, v)| finite_value(v));
                }
                let ordered = &mut outcome.order.values;
                ordered.iter_mut().for_each(|(_, v)| finite_value(v));
            }
            Self::Started { policy } => {
                policy.max_step = policy.max_step.filter(|s| s.is_finite());
            }
            Self::TargetLost { .. }
            | Self::Approved { .. }
            | Self::Rejected { .. }
            | Self::ArmWanted { .. }
            | Self::RedButton { .. }
            | Self::Released { .. }
            | Self::TrustSet { .. }
            | Self::UndoAsked { .. }
            | Self::Unfrozen { .. }
            | Self::Tick
            | Self::Shutdown { .. } => {}
        }
        self
    }
}

/// A float that is no number matches no numeric domain: as text it stays wrong, and readable.
fn finite_value(value: &mut KnobValue) {
    if let KnobValue::Float(v) = value
        && !v.is_finite()
    {
        *value = KnobValue::Choice(v.to_string());
    }
}

fn finite(x: f64) -> f64 {
    if x.is_nan() {
        0.0
    } else {
        x.clamp(f64::MIN, f64::MAX)
    }
}

fn finite_verdict(verdict: &mut Verdict) {
    verdict.e_value = finite(verdict.e_value);
    verdict.alpha = finite(verdict.alpha);
    verdict.baseline = verdict.baseline.filter(|v| v.is_finite());
    verdict.variant = verdict.variant.filter(|v| v.is_finite());
    // Ends of the interval may be infinite: the model writes those as text.
    let sound = |e: &Effect| {
        let ends = [e.interval.low, e.interval.high];
        e.estimate.is_finite() && e.level.is_finite() && !ends.iter().any(|end| end.is_nan())
    };
    verdict.effect = verdict.effect.filter(sound);
}

fn spec_is_finite(spec: &KnobSpec) -> bool {
    let value_is_finite = |v: &KnobValue| !matches!(v, KnobValue::Float(f) if !f.is_finite());
    let domain_is_finite = match spec.domain {
        model::Domain::Float { min, max, .. } => min.is_finite() && max.is_finite(),
        model::Domain::Int { .. } | model::Domain::Bool | model::Domain::Choice { .. } => true,
    };
    let values = [&spec.default, &spec.baseline, &spec.value];
    domain_is_finite && spec.max_step.is_finite() && values.into_iter().all(value_is_finite)
}
