//! What is held, as an API or a page shows it.

use model::{Alert, Labels};

use crate::{Acknowledgement, Fingerprint, Notifier, group::GroupKey, mute::Mute};

/// Whether an alert is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertState {
    /// It is, or was.
    Active,
    /// It is not, because of a silence, another alert, or its root.
    Suppressed,
}

impl AlertState {
    /// As Alertmanager's API says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suppressed => "suppressed",
        }
    }
}

/// An alert and what is done about it.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertStatus {
    /// Its name.
    pub fingerprint: Fingerprint,
    /// The alert.
    pub alert: Alert,
    /// When it was last posted, ms.
    pub updated_at_ms: i64,
    /// The silence that holds it back.
    pub silenced_by: Option<String>,
    /// The alert that holds it back by a rule.
    pub inhibited_by: Option<Fingerprint>,
    /// The alert it probably follows from, which is told in its place.
    pub root: Option<Fingerprint>,
    /// Who acknowledged it.
    pub acknowledged: Option<Acknowledgement>,
    /// Its receivers, those escalated to included.
    pub receivers: Vec<String>,
    /// Steps of the escalation taken in any of its groups.
    pub level: usize,
    /// Whether anybody was told of it.
    pub is_told: bool,
}

impl AlertStatus {
    /// Whether it is told.
    #[must_use]
    pub fn state(&self) -> AlertState {
        let is_muted =
            self.silenced_by.is_some() || self.inhibited_by.is_some() || self.root.is_some();
        if is_muted {
            AlertState::Suppressed
        } else {
            AlertState::Active
        }
    }
}

/// A group and its alerts.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupStatus {
    /// The labels they share.
    pub labels: Labels,
    /// Who is told of it.
    pub receiver: String,
    /// Its alerts.
    pub alerts: Vec<AlertStatus>,
}

impl Notifier {
    /// The alerts that fire, in order of name.
    #[must_use]
    pub fn firing(&self, now_ms: i64) -> Vec<AlertStatus> {
        let mutes = self.mutes(now_ms);
        let firing = self
            .alerts
            .iter()
            .filter(|(_, held)| !held.alert.is_resolved(now_ms));
        firing
            .map(|(fingerprint, _)| self.status(*fingerprint, mutes.get(fingerprint)))
            .collect()
    }

    /// Groups with alerts that fire, in the order of routes and labels.
    #[must_use]
    pub fn groups(&self, now_ms: i64) -> Vec<GroupStatus> {
        let mutes = self.mutes(now_ms);
        let group = |(key, group): (&GroupKey, &crate::group::Group)| {
            let firing = group
                .members
                .iter()
                .filter(|f| !self.alerts[*f].alert.is_resolved(now_ms));
            let alerts: Vec<AlertStatus> = firing.map(|f| self.status(*f, mutes.get(f))).collect();
            let receiver = self.plan.tree.node(key.route).receiver.clone();
            let labels = key.labels.clone();
            (!alerts.is_empty()).then_some(GroupStatus {
                labels,
                receiver,
                alerts,
            })
        };
        self.groups.iter().filter_map(group).collect()
    }

    fn status(&self, fingerprint: Fingerprint, mute: Option<&Mute>) -> AlertStatus {
        let held = &self.alerts[&fingerprint];
        let (mut silenced_by, mut inhibited_by, mut root) = (None, None, None);
        match mute {
            Some(Mute::Silenced(id)) => silenced_by = Some(id.clone()),
            Some(Mute::Inhibited(by)) => inhibited_by = Some(*by),
            Some(Mute::Follows(from)) => root = Some(*from),
            None => {}
        }
        let keys = self.keys_of(&held.alert.labels);
        let groups = keys
            .iter()
            .filter_map(|key| Some((key.route, self.groups.get(key)?)));
        let mut receivers = Vec::new();
        let (mut level, mut is_told) = (0, false);
        for (route, group) in groups {
            let route = self.plan.tree.node(route);
            let escalated = route.escalate.iter().take(group.level);
            let all = std::iter::once(&route.receiver).chain(escalated.map(|s| &s.receiver));
            receivers.extend(all.cloned());
            level = level.max(group.level);
            is_told |= group.is_told(fingerprint);
        }
        receivers.dedup();
        AlertStatus {
            fingerprint,
            alert: held.alert.clone(),
            updated_at_ms: held.updated_at_ms,
            silenced_by,
            inhibited_by,
            root,
            acknowledged: held.acknowledged.clone(),
            receivers,
            level,
            is_told,
        }
    }
}
