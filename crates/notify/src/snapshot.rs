//! What a restart must not lose: who was told what, alerts, silences, acknowledgements.
//!
//! A snapshot is written before the notifications of a turn leave. A lane that was waiting for an
//! outcome may have been told: it is told again, and if the alert is over by then, of that. So a
//! crash doubles at most what arrived and was not noted yet, and nobody is left believing that
//! something still fires.

use std::collections::{BTreeMap, BTreeSet};

use model::{Alert, Labels};
use serde::{Deserialize, Serialize};

use crate::{
    Acknowledgement, Fingerprint, Integration, Notifier, Plan,
    group::{Group, GroupKey, Lane, LaneState},
    notifier::Held,
    silence::{SavedSilence, Silences},
};

/// An alert that fired at the snapshot counts as firing so long after a restart, ms, though its
/// end has passed: whoever raises it was likely down too. Five minutes: a few evaluations.
const GRACE_MS: i64 = 5 * 60_000;

/// The state of a notifier, ready to be written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    saved_at_ms: i64,
    alerts: Vec<SavedAlert>,
    groups: Vec<SavedGroup>,
    silences: Vec<SavedSilence>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedAlert {
    labels: Labels,
    annotations: BTreeMap<String, String>,
    starts_at_ms: i64,
    ends_at_ms: i64,
    /// As text: JSON has no NaN.
    value: String,
    generator_url: String,
    updated_at_ms: i64,
    acknowledged: Option<Acknowledgement>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedGroup {
    route: String,
    labels: Labels,
    next_flush_ms: i64,
    due_since_ms: BTreeMap<Fingerprint, i64>,
    level: usize,
    members: BTreeSet<Fingerprint>,
    lanes: Vec<SavedLane>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedLane {
    to: Integration,
    told: BTreeSet<Fingerprint>,
    may_know: BTreeSet<Fingerprint>,
    sent_at_ms: i64,
    /// Whether it had something to tell.
    is_behind: bool,
}

impl Notifier {
    /// Its state as of now.
    #[must_use]
    pub fn snapshot(&self, now_ms: i64) -> Snapshot {
        let group = |(key, group): (&GroupKey, &Group)| {
            let lane = |(to, lane): (&Integration, &Lane)| SavedLane {
                to: to.clone(),
                told: lane.told.clone(),
                may_know: self.may_know(lane),
                sent_at_ms: lane.sent_at_ms,
                is_behind: lane.state != LaneState::Idle,
            };
            SavedGroup {
                route: self.plan.tree.node(key.route).key.clone(),
                labels: key.labels.clone(),
                next_flush_ms: group.next_flush_ms,
                due_since_ms: group.due_since_ms.clone(),
                level: group.level,
                members: group.members.clone(),
                lanes: group.lanes.iter().map(lane).collect(),
            }
        };
        Snapshot {
            saved_at_ms: now_ms,
            alerts: self.alerts.values().map(SavedAlert::of).collect(),
            groups: self.groups.iter().map(group).collect(),
            silences: self.silences.all().map(SavedSilence::of).collect(),
        }
    }

    /// What a lane may have been told, what is on its way included.
    fn may_know(&self, lane: &Lane) -> BTreeSet<Fingerprint> {
        let mut may_know = lane.may_know.clone();
        if let LaneState::InFlight { id, .. } = lane.state {
            may_know.extend(&self.flights[&id].firing);
        }
        may_know
    }

    /// A notifier that goes on where a snapshot was taken. A route that is no longer in the plan
    /// is forgotten; its alerts go to those that are, as if they had just begun.
    #[must_use]
    pub fn restore(plan: Plan, snapshot: Snapshot, now_ms: i64) -> Self {
        let mut notifier = Self::new(plan);
        notifier.silences = Silences::restored(snapshot.silences);
        for saved in snapshot.alerts {
            let mut held = saved.held();
            if held.alert.ends_at_ms > snapshot.saved_at_ms {
                held.alert.ends_at_ms = held.alert.ends_at_ms.max(now_ms + GRACE_MS);
            }
            let fingerprint = Fingerprint::of(&held.alert.labels);
            notifier.alerts.insert(fingerprint, held);
        }
        let routes = notifier.places();
        for saved in snapshot.groups {
            if let Some(&route) = routes.get(&saved.route) {
                notifier.restore_group(route, saved, now_ms);
            }
        }
        notifier.settle();
        notifier.adopt(now_ms);
        notifier
    }

    fn restore_group(&mut self, route: usize, saved: SavedGroup, now_ms: i64) {
        let known = |f: &Fingerprint| self.alerts.contains_key(f);
        let members: BTreeSet<Fingerprint> = saved.members.into_iter().filter(known).collect();
        let lanes = saved.lanes.into_iter().map(|lane| {
            let state = if lane.is_behind {
                LaneState::Waiting {
                    at_ms: now_ms,
                    attempt: 0,
                }
            } else {
                LaneState::Idle
            };
            let restored = Lane {
                told: lane.told.intersection(&members).copied().collect(),
                may_know: lane.may_know.intersection(&members).copied().collect(),
                sent_at_ms: lane.sent_at_ms,
                state,
            };
            (lane.to, restored)
        });
        let group = Group {
            lanes: lanes.collect(),
            next_flush_ms: saved.next_flush_ms,
            due_since_ms: saved.due_since_ms,
            level: saved.level,
            // Looked at once, so that a step that fell due meanwhile is taken.
            escalate_at_ms: Some(now_ms),
            members,
        };
        let key = GroupKey {
            route,
            labels: saved.labels,
        };
        if !group.members.is_empty() {
            self.groups.insert(key, group);
        }
    }

    /// Puts firing alerts that a changed plan has left without a group into one, and drops those
    /// that are over and in none.
    pub(crate) fn adopt(&mut self, now_ms: i64) {
        let all: Vec<(Fingerprint, Alert)> = self
            .alerts
            .iter()
            .map(|(f, held)| (*f, held.alert.clone()))
            .collect();
        for (fingerprint, alert) in all {
            let is_over = alert.is_resolved(now_ms);
            let in_any = self
                .groups
                .values()
                .any(|g| g.members.contains(&fingerprint));
            if is_over && !in_any {
                self.alerts.remove(&fingerprint);
            } else if !is_over {
                for key in self.keys_of(&alert.labels) {
                    let group = self.groups.entry(key).or_insert_with(|| Group {
                        next_flush_ms: now_ms,
                        ..Group::default()
                    });
                    group.members.insert(fingerprint);
                }
            }
        }
    }
}

impl SavedAlert {
    fn of(held: &Held) -> Self {
        let alert = &held.alert;
        Self {
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            starts_at_ms: alert.starts_at_ms,
            ends_at_ms: alert.ends_at_ms,
            value: alert.value.to_string(),
            generator_url: alert.generator_url.clone(),
            updated_at_ms: held.updated_at_ms,
            acknowledged: held.acknowledged.clone(),
        }
    }

    fn held(self) -> Held {
        Held {
            alert: Alert {
                labels: self.labels,
                annotations: self.annotations,
                starts_at_ms: self.starts_at_ms,
                ends_at_ms: self.ends_at_ms,
                value: self.value.parse().unwrap_or(f64::NAN),
                generator_url: self.generator_url,
            },
            updated_at_ms: self.updated_at_ms,
            acknowledged: self.acknowledged,
        }
    }
}
