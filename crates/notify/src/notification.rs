//! What somebody is to be told: the state of a group, for one way of telling it.

use model::{Alert, Labels};
use serde::{Deserialize, Serialize};

use crate::Fingerprint;

/// One way of telling one receiver.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Integration {
    /// The receiver's name.
    pub receiver: String,
    /// Which of its ways, from 0.
    pub index: usize,
}

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Something fires that this lane has not heard of.
    Firing,
    /// Something that this lane heard of is resolved.
    Resolved,
    /// Nothing changed for the repeat interval.
    Repeated,
    /// Nobody acknowledged; the step, from 1.
    Escalated(usize),
}

/// An alert as told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its name.
    pub fingerprint: Fingerprint,
    /// The alert.
    pub alert: Alert,
    /// Whether it is over.
    pub is_resolved: bool,
    /// Who acknowledged it, if somebody did.
    pub acknowledged_by: Option<String>,
    /// Alerts that probably follow from it and are not told by themselves.
    pub followers: Vec<Alert>,
}

/// One message to one receiver; its outcome is reported by [`crate::Notifier::delivered`] or
/// [`crate::Notifier::failed`].
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Names it among those on their way.
    pub id: u64,
    /// By what way, to whom.
    pub to: Integration,
    /// Names the group: the route, then its labels.
    pub group_key: String,
    /// Labels all its alerts share.
    pub group_labels: Labels,
    /// Why.
    pub reason: Reason,
    /// Attempts before this one.
    pub attempt: u32,
    /// What fires, then what is resolved, each earliest first.
    pub alerts: Vec<Told>,
}

impl Notification {
    /// Whether all of it is over.
    #[must_use]
    pub fn is_resolved(&self) -> bool {
        self.alerts.iter().all(|told| told.is_resolved)
    }
}
