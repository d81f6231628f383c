//! A change of live knobs, from admission to its end, and the orders it is carried out by.

use serde::{Deserialize, Serialize};

use crate::{ChangeId, Generation, GuardBreach, KnobValue, Proposal, Verdict};

/// One knob's part in a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The knob.
    pub knob: String,
    /// Value before: what the change goes back to.
    pub old: KnobValue,
    /// Value to try.
    pub new: KnobValue,
}

/// The life of a change. Every path ends in one of the last five.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeState {
    /// A person has to approve it.
    Waiting,
    /// Admitted: windows of baseline and variant alternate under a lease.
    Trying,
    /// Found better: the new values become the baseline.
    Keeping,
    /// Found worse, breached a guard, or was called back: the old values are on their way.
    Undoing,
    /// End: the new values are the baseline, read back.
    Kept,
    /// End: the old values are in force, read back.
    Undone,
    /// End: refused by the governor, or rejected by the person asked.
    Refused,
    /// End: nobody approved it in time; nothing was touched.
    Expired,
    /// End: the target could not be brought to a verified state; it is frozen until a person
    /// looks (its own leases bring it back).
    Failed,
}

/// A change: data, carried out as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its identity.
    pub id: ChangeId,
    /// The proposal it came from.
    pub proposal: Proposal,
    /// What it sets, sorted by knob.
    pub settings: Vec<Setting>,
    /// Where it stands.
    pub state: ChangeState,
    /// When it was admitted or set waiting, ms since the Unix epoch.
    pub begun_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// What it was worth, once judged.
    pub verdict: Option<Verdict>,
    /// The guard that ended it, if one did.
    pub breach: Option<GuardBreach>,
    /// The last values read back from the target, sorted by knob.
    pub read_back: Vec<(String, KnobValue)>,
}

/// Which side of a trial is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The values before the change.
    Baseline,
    /// The values to try.
    Variant,
}

/// An order to a target. The one who carries it out has no choices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The change it belongs to.
    pub change: ChangeId,
    /// The target's name.
    pub target: String,
    /// Rises with every order to the target; an older one is refused there.
    pub generation: Generation,
    /// What to do.
    pub kind: OrderKind,
    /// Knob and value, sorted; what must be read back afterwards.
    pub values: Vec<(String, KnobValue)>,
    /// How long the values hold without renewal, ms; only for [`OrderKind::Set`].
    pub lease_ms: u64,
}

/// What an order does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// Set values under a lease (the same order again renews it).
    Set,
    /// Make the values the baseline; no lease.
    Commit,
    /// Put the baseline back, and end the lease.
    Restore,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The order.
    pub order: Order,
    /// The values read back afterwards (all of the order's knobs), or why it failed.
    pub result: Result<Vec<(String, KnobValue)>, String>,
    /// When the answer came, ms since the Unix epoch.
    pub at_ms: i64,
}

impl ChangeState {
    /// Whether nothing more will happen to the change.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(
            self,
            Self::Kept | Self::Undone | Self::Refused | Self::Expired | Self::Failed
        )
    }
}

impl Outcome {
    /// Whether the target confirmed exactly the values ordered.
    #[must_use]
    pub fn verified(&self) -> bool {
        self.result.as_ref().is_ok_and(|read| {
            self.order.values.iter().all(|(knob, wanted)| {
                read.iter()
                    .any(|(name, value)| name == knob && value == wanted)
            })
        })
    }
}
