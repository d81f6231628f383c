//! A group of alerts, and its lanes: what each way of telling has been told of it.

use std::collections::{BTreeMap, BTreeSet};

use model::Labels;

use crate::{Fingerprint, Integration, Reason};

/// Names a group: a route, and the labels its alerts share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupKey {
    pub(crate) route: usize,
    pub(crate) labels: Labels,
}

/// A group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) members: BTreeSet<Fingerprint>,
    /// When its changes are told next, ms.
    pub(crate) next_flush_ms: i64,
    /// By firing alert: since when it should have been told, ms. Escalation counts from here.
    pub(crate) due_since_ms: BTreeMap<Fingerprint, i64>,
    /// Steps of the escalation taken.
    pub(crate) level: usize,
    /// When the next step is due, ms.
    pub(crate) escalate_at_ms: Option<i64>,
    pub(crate) lanes: BTreeMap<Integration, Lane>,
}

/// A group and one way of telling it.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// What it was told fires and not yet that it is resolved.
    pub(crate) told: BTreeSet<Fingerprint>,
    /// What it may have been told fires: no outcome came. It is told anew, and of its end.
    pub(crate) may_know: BTreeSet<Fingerprint>,
    /// When it was last told anything, ms.
    pub(crate) sent_at_ms: i64,
    pub(crate) state: LaneState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LaneState {
    /// Looks at the group at its next flush.
    #[default]
    Idle,
    /// Waits for the outcome of a notification.
    InFlight { id: u64, attempt: u32 },
    /// Tries again then.
    Waiting { at_ms: i64, attempt: u32 },
}

/// The group's alerts that may be told now.
#[derive(Debug, Default)]
pub(crate) struct Audible {
    pub(crate) firing: BTreeSet<Fingerprint>,
    pub(crate) resolved: BTreeSet<Fingerprint>,
    /// Whether some of those that fire are acknowledged by nobody.
    pub(crate) is_unacknowledged: bool,
}

impl Group {
    /// When it has to be looked at next, ms.
    pub(crate) fn due_ms(&self) -> i64 {
        let waiting = self.lanes.values().filter_map(|lane| match lane.state {
            LaneState::Waiting { at_ms, .. } => Some(at_ms),
            LaneState::Idle | LaneState::InFlight { .. } => None,
        });
        let all = waiting.chain(self.escalate_at_ms);
        all.fold(self.next_flush_ms, i64::min)
    }

    /// Whether somebody was told, or may have been, of an alert and not yet that it is over.
    pub(crate) fn is_told(&self, fingerprint: Fingerprint) -> bool {
        self.lanes.values().any(|lane| lane.knows(fingerprint))
    }
}

impl Lane {
    /// Why it should be told now, if it should.
    pub(crate) fn need(&self, audible: &Audible, repeat_ms: i64, now_ms: i64) -> Option<Reason> {
        if !audible.firing.is_subset(&self.told) {
            Some(Reason::Firing)
        } else if audible.resolved.iter().any(|f| self.knows(*f)) {
            Some(Reason::Resolved)
        } else if !audible.firing.is_empty()
            && audible.is_unacknowledged
            && self.sent_at_ms.saturating_add(repeat_ms) <= now_ms
        {
            Some(Reason::Repeated)
        } else {
            None
        }
    }

    /// Whether it was told, or may have been, and not yet that it is over.
    pub(crate) fn knows(&self, fingerprint: Fingerprint) -> bool {
        self.told.contains(&fingerprint) || self.may_know.contains(&fingerprint)
    }

    /// Knows no longer of these.
    pub(crate) fn forget(&mut self, over: &BTreeSet<Fingerprint>) {
        self.told.retain(|f| !over.contains(f));
        self.may_know.retain(|f| !over.contains(f));
    }

    /// The attempt that is due now: the first while idle and asked to look, the next after a wait.
    pub(crate) fn attempt(&self, looks: bool, now_ms: i64) -> Option<u32> {
        match self.state {
            LaneState::Idle => looks.then_some(0),
            LaneState::Waiting { at_ms, attempt } => (at_ms <= now_ms).then_some(attempt),
            LaneState::InFlight { .. } => None,
        }
    }
}
