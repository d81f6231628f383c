//! A change in flight: what is in force at its target, and the errand under way there.
//!
//! | state | errands | ends in |
//! |---|---|---|
//! | trying | [`Task::Hold`] an arm, again and again to renew the lease | keeping, undoing |
//! | keeping | [`Task::Commit`] | kept, undoing |
//! | undoing | [`Task::Restore`], or [`Task::CommitBack`] once a commit may have happened | undone, failed |

use model::{Arm, ChangeId, Generation, KnobValue, OrderKind, Setting};
use serde::{Deserialize, Serialize};

use crate::{Policy, policy::ms};

/// Longest pause between two attempts, ms.
const RETRY_PAUSE_MAX_MS: u64 = 30_000;

/// One change in flight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) change: ChangeId,
    pub(crate) admitted_ms: i64,
    pub(crate) hold: Option<Held>,
    pub(crate) errand: Option<Errand>,
}

/// An arm read back from the target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) arm: Arm,
    /// Counted from the sending of the order: the target's own lease ends no earlier.
    pub(crate) lease_until_ms: i64,
    pub(crate) renew_at_ms: i64,
}

/// Something the target has to do, until it is read back or given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Errand {
    pub(crate) task: Task,
    pub(crate) failures: u32,
    /// Not before this, ms.
    pub(crate) due_ms: i64,
    /// The order under way.
    pub(crate) sent: Option<Sent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) generation: Generation,
    pub(crate) at_ms: i64,
}

/// What an errand is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// Put an arm in force under a lease, or renew it.
    Hold(Arm),
    /// Make the new values the baseline.
    Commit,
    /// Put the baseline, which is the old values, back in force.
    Restore,
    /// Make the old values the baseline again.
    CommitBack,
}

impl Task {
    pub(crate) fn rolls_back(self) -> bool {
        match self {
            Self::Restore | Self::CommitBack => true,
            Self::Hold(_) | Self::Commit => false,
        }
    }

    pub(crate) fn order_kind(self) -> OrderKind {
        match self {
            Self::Hold(_) => OrderKind::Set,
            Self::Commit | Self::CommitBack => OrderKind::Commit,
            Self::Restore => OrderKind::Restore,
        }
    }

    /// What must be read back, sorted by knob as the settings are.
    pub(crate) fn values(self, settings: &[Setting]) -> Vec<(String, KnobValue)> {
        let side = |s: &Setting| match self {
            Self::Hold(Arm::Variant) | Self::Commit => s.new.clone(),
            Self::Hold(Arm::Baseline) | Self::Restore | Self::CommitBack => s.old.clone(),
        };
        settings.iter().map(|s| (s.knob.clone(), side(s))).collect()
    }

    pub(crate) fn retries(self, policy: &Policy) -> u32 {
        if self.rolls_back() {
            policy.undo_retries
        } else {
            policy.apply_retries
        }
    }
}

impl Run {
    pub(crate) fn new(change: ChangeId, admitted_ms: i64) -> Self {
        Self {
            change,
            admitted_ms,
            hold: None,
            errand: None,
        }
    }

    /// Takes up an errand; an order under way for another one is overtaken: its answer will
    /// carry an old generation.
    pub(crate) fn take_up(&mut self, task: Task, now_ms: i64) {
        let same_arm = |held: &Held| Task::Hold(held.arm) == task;
        self.hold = self.hold.filter(same_arm);
        self.errand = Some(Errand {
            task,
            failures: 0,
            due_ms: now_ms,
            sent: None,
        });
    }

    /// Starts the errand over, if there is one: the target is back.
    pub(crate) fn start_over(&mut self, now_ms: i64) {
        if let Some(errand) = &mut self.errand {
            errand.failures = 0;
            errand.sent = None;
            errand.due_ms = now_ms;
        }
    }

    /// Whether the arm is in force and no other is on its way.
    pub(crate) fn holds(&self, arm: Arm) -> bool {
        self.hold.is_some_and(|held| held.arm == arm)
    }

    pub(crate) fn is_on(&self, task: Task) -> bool {
        self.errand.as_ref().is_some_and(|e| e.task == task)
    }

    /// The arm whose lease is to be renewed now.
    pub(crate) fn renewal_due(&self, now_ms: i64) -> Option<Arm> {
        let held = self.hold.filter(|_| self.errand.is_none())?;
        (now_ms >= held.renew_at_ms).then_some(held.arm)
    }

    pub(crate) fn lease_lapsed(&self, now_ms: i64) -> bool {
        self.hold.is_some_and(|held| now_ms >= held.lease_until_ms)
    }
}

impl Held {
    pub(crate) fn new(arm: Arm, sent_ms: i64, policy: &Policy) -> Self {
        Self {
            arm,
            lease_until_ms: sent_ms.saturating_add(ms(policy.lease_ms)),
            renew_at_ms: sent_ms.saturating_add(ms(policy.lease_ms / 3)),
        }
    }
}

impl Errand {
    pub(crate) fn timed_out(&self, policy: &Policy, now_ms: i64) -> bool {
        let limit = ms(policy.order_timeout_ms);
        self.sent
            .is_some_and(|sent| now_ms >= sent.at_ms.saturating_add(limit))
    }

    /// Counts a failed attempt and sets the time of the next.
    pub(crate) fn fail(&mut self, policy: &Policy, now_ms: i64) {
        let doublings = self.failures.min(20);
        let pause = policy.retry_pause_ms.saturating_mul(1 << doublings);
        self.failures += 1;
        self.sent = None;
        self.due_ms = now_ms.saturating_add(ms(pause.min(RETRY_PAUSE_MAX_MS)));
    }

    pub(crate) fn given_up(&self, policy: &Policy) -> bool {
        self.failures > self.task.retries(policy)
    }
}
