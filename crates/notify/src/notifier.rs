//! The state of everything that is told: alerts in, outcomes in, notifications out.

use std::collections::{BTreeMap, BTreeSet};

use model::{Alert, Labels};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Fingerprint, Integration, Notification, Plan, Reason, Silence, SilenceDraft, SilenceRefusal,
    Told,
    group::{Audible, Group, GroupKey, Lane, LaneState},
    mute::Mute,
    plan::Way,
    silence::Silences,
};

/// A lane whose way is busy looks again after this, ms.
const BUSY_MS: i64 = 100;

/// Somebody knows, and escalation and repetition rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// What they said.
    pub comment: String,
    /// When, ms since the Unix epoch.
    pub at_ms: i64,
}

/// An acknowledgement of nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no alert {0} fires")]
pub struct NotFiring(pub String);

/// An alert as held.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) alert: Alert,
    pub(crate) updated_at_ms: i64,
    pub(crate) acknowledged: Option<Acknowledgement>,
}

/// A notification on its way.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) group: GroupKey,
    pub(crate) to: Integration,
    pub(crate) firing: BTreeSet<Fingerprint>,
    resolved: BTreeSet<Fingerprint>,
}

/// What is known of a notification that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has not arrived: refused, or there was no connection.
    Lost,
    /// It may have arrived: the answer is missing.
    Unknown,
}

/// What became of things so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Alerts taken for the first time, or again after they had been resolved.
    pub raised: u64,
    /// Posted alerts not taken, because as many as the limit are held.
    pub refused: u64,
    /// Notifications handed out, retries included.
    pub handed_out: u64,
}

/// Decides who is told; see the crate's head.
#[derive(Debug)]
pub struct Notifier {
    pub(crate) plan: Plan,
    pub(crate) alerts: BTreeMap<Fingerprint, Held>,
    pub(crate) groups: BTreeMap<GroupKey, Group>,
    pub(crate) silences: Silences,
    pub(crate) flights: BTreeMap<u64, Flight>,
    next_id: u64,
    tally: Tally,
    pub(crate) changes: u64,
}

impl Notifier {
    /// A notifier that has heard of nothing.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            alerts: BTreeMap::new(),
            groups: BTreeMap::new(),
            silences: Silences::default(),
            flights: BTreeMap::new(),
            next_id: 1,
            tally: Tally::default(),
            changes: 0,
        }
    }

    /// What it decides by.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What became of things so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Grows with each change that a restart must not lose.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Takes alerts that fire or are resolved.
    pub fn post(&mut self, alerts: &[Alert], now_ms: i64) {
        for alert in alerts {
            self.take(alert, now_ms);
        }
    }

    fn take(&mut self, alert: &Alert, now_ms: i64) {
        let fingerprint = Fingerprint::of(&alert.labels);
        let fires = !alert.is_resolved(now_ms);
        let limit = self.plan.limits.alerts;
        let count = self.alerts.len();
        match self.alerts.get_mut(&fingerprint) {
            // Nobody was told, so nobody has to be told that it is over.
            None if !fires => {}
            None if count >= limit => self.tally.refused += 1,
            None => {
                let held = Held {
                    alert: alert.clone(),
                    updated_at_ms: now_ms,
                    acknowledged: None,
                };
                self.alerts.insert(fingerprint, held);
                self.raise(fingerprint, alert, now_ms);
            }
            Some(held) => {
                let fired = !held.alert.is_resolved(now_ms);
                if !fired && !fires {
                    return;
                }
                held.updated_at_ms = now_ms;
                let began = if fired {
                    held.alert.starts_at_ms.min(alert.starts_at_ms)
                } else {
                    alert.starts_at_ms
                };
                held.alert = Alert {
                    starts_at_ms: began,
                    ..alert.clone()
                };
                if fires && !fired {
                    held.acknowledged = None;
                    self.raise(fingerprint, alert, now_ms);
                } else if fired && !fires {
                    self.changes += 1;
                }
            }
        }
    }

    /// Puts an alert that begins to fire into its groups.
    fn raise(&mut self, fingerprint: Fingerprint, alert: &Alert, now_ms: i64) {
        self.tally.raised += 1;
        self.changes += 1;
        for key in self.keys_of(&alert.labels) {
            let wait_ms = self.plan.tree.node(key.route).group_wait_ms;
            let group = self.groups.entry(key).or_insert_with(|| {
                let has_waited = alert.starts_at_ms.saturating_add(wait_ms) < now_ms;
                Group {
                    next_flush_ms: if has_waited { now_ms } else { now_ms + wait_ms },
                    ..Group::default()
                }
            });
            group.members.insert(fingerprint);
        }
    }

    /// The groups an alert belongs to.
    pub(crate) fn keys_of(&self, labels: &Labels) -> Vec<GroupKey> {
        let routes = self.plan.tree.routes_of(labels).into_iter();
        let key = |route| GroupKey {
            route,
            labels: self.plan.tree.node(route).group_by.of(labels),
        };
        routes.map(key).collect()
    }

    /// When [`Notifier::turn`] has something to do next, ms; `None` while nothing is held.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<i64> {
        self.groups.values().map(Group::due_ms).min()
    }

    /// The notifications that are due.
    pub fn turn(&mut self, now_ms: i64) -> Vec<Notification> {
        self.silences.forget(now_ms);
        let due = self
            .groups
            .iter()
            .filter(|(_, group)| group.due_ms() <= now_ms);
        let due: Vec<GroupKey> = due.map(|(key, _)| key.clone()).collect();
        if due.is_empty() {
            return Vec::new();
        }
        let mutes = self.mutes(now_ms);
        let mut notifications = Vec::new();
        for key in due {
            self.attend(&key, &mutes, now_ms, &mut notifications);
            self.tidy(&key, now_ms);
        }
        self.tally.handed_out += notifications.len() as u64;
        self.changes += notifications.len() as u64;
        self.check();
        notifications
    }

    /// Looks at one group: who needs to be told of it?
    fn attend(
        &mut self,
        key: &GroupKey,
        mutes: &BTreeMap<Fingerprint, Mute>,
        now_ms: i64,
        notifications: &mut Vec<Notification>,
    ) {
        let mut group = self
            .groups
            .remove(key)
            .expect("only groups that are there are due");
        let flushes = group.next_flush_ms <= now_ms;
        let interval_ms = self.plan.tree.node(key.route).group_interval_ms;
        if flushes {
            group.next_flush_ms = now_ms + interval_ms;
        }
        if self.plan.is_heard(key.route, now_ms) {
            let audible = self.audible(&group, mutes, now_ms);
            if flushes {
                note_due(&mut group, &audible, now_ms);
            }
            let before = group.level;
            self.escalate(&mut group, key.route, &audible, now_ms);
            for (to, way, step) in self.audience(&group, key.route) {
                let looks = flushes || step > before;
                let told = self.tell(key, &mut group, (to, way, step), looks, &audible, now_ms);
                if let Some((id, reason, attempt, to)) = told {
                    let alerts = self.told(&self.flights[&id], mutes, now_ms);
                    notifications.push(Notification {
                        id,
                        to,
                        group_key: self.shown_key(key),
                        group_labels: key.labels.clone(),
                        reason,
                        attempt,
                        alerts,
                    });
                }
            }
        } else {
            postpone(&mut group);
        }
        self.groups.insert(key.clone(), group);
    }

    /// The alerts of a group that may be told.
    fn audible(&self, group: &Group, mutes: &BTreeMap<Fingerprint, Mute>, now_ms: i64) -> Audible {
        let mut audible = Audible::default();
        for fingerprint in &group.members {
            if mutes.contains_key(fingerprint) {
                continue;
            }
            let held = &self.alerts[fingerprint];
            if held.alert.is_resolved(now_ms) {
                audible.resolved.insert(*fingerprint);
            } else {
                audible.firing.insert(*fingerprint);
                audible.is_unacknowledged |= held.acknowledged.is_none();
            }
        }
        audible
    }

    /// Takes the steps of the escalation that are due, and says when the next one is.
    fn escalate(&self, group: &mut Group, route: usize, audible: &Audible, now_ms: i64) {
        let steps = &self.plan.tree.node(route).escalate;
        let unacknowledged = |f: &&Fingerprint| self.alerts[*f].acknowledged.is_none();
        let waiting = audible.firing.iter().filter(unacknowledged);
        let since = waiting
            .filter_map(|f| group.due_since_ms.get(f))
            .min()
            .copied();
        if audible.firing.is_empty() && !group.members.iter().any(|f| self.fires(*f, now_ms)) {
            group.level = 0;
        }
        if let Some(since) = since {
            let is_due = |step: &&crate::Escalation| since + step.after_ms <= now_ms;
            group.level = group.level.max(steps.iter().filter(is_due).count());
        }
        let next = steps.get(group.level).zip(since);
        group.escalate_at_ms = next.map(|(step, since)| since + step.after_ms);
    }

    fn fires(&self, fingerprint: Fingerprint, now_ms: i64) -> bool {
        let held = self.alerts.get(&fingerprint);
        held.is_some_and(|held| !held.alert.is_resolved(now_ms))
    }

    /// Whom a group is told to: its receiver, those escalated to so far, and whoever still has to
    /// hear that something is over. With the step that brought them, 0 for none.
    fn audience(&self, group: &Group, route: usize) -> Vec<(Integration, Way, usize)> {
        let route = self.plan.tree.node(route);
        let mut audience = BTreeMap::new();
        let steps = route
            .escalate
            .iter()
            .enumerate()
            .map(|(at, step)| (at + 1, &step.receiver));
        for (step, receiver) in std::iter::once((0, &route.receiver)).chain(steps) {
            for (to, way) in self.plan.ways(receiver) {
                let lane = group.lanes.get(&to);
                let still = lane.is_some_and(|l| !l.told.is_empty() || !l.may_know.is_empty());
                if step <= group.level || still {
                    audience.entry(to).or_insert((way, step));
                }
            }
        }
        audience
            .into_iter()
            .map(|(to, (way, step))| (to, way, step))
            .collect()
    }

    /// Starts a notification to one lane if it needs one and its way has room.
    fn tell(
        &mut self,
        key: &GroupKey,
        group: &mut Group,
        (to, way, step): (Integration, Way, usize),
        looks: bool,
        audible: &Audible,
        now_ms: i64,
    ) -> Option<(u64, Reason, u32, Integration)> {
        let repeat_ms = self.plan.tree.node(key.route).repeat_interval_ms;
        let lane = group.lanes.entry(to.clone()).or_default();
        let attempt = lane.attempt(looks, now_ms)?;
        if !way.send_resolved && audible.resolved.iter().any(|f| lane.knows(*f)) {
            lane.forget(&audible.resolved);
            self.changes += 1;
        }
        lane.state = LaneState::Idle;
        let reason = match lane.need(audible, repeat_ms, now_ms)? {
            Reason::Firing if step > 0 && lane.told.is_empty() => Reason::Escalated(step),
            reason => reason,
        };
        let busy = self
            .flights
            .values()
            .filter(|flight| flight.to == to)
            .count();
        if busy >= self.plan.limits.in_flight {
            let at_ms = now_ms + BUSY_MS;
            lane.state = LaneState::Waiting { at_ms, attempt };
            return None;
        }
        let id = self.next_id;
        self.next_id += 1;
        lane.state = LaneState::InFlight { id, attempt };
        let flight = Flight {
            group: key.clone(),
            to: to.clone(),
            firing: audible.firing.clone(),
            resolved: audible
                .resolved
                .iter()
                .filter(|f| lane.knows(**f))
                .copied()
                .collect(),
        };
        self.flights.insert(id, flight);
        Some((id, reason, attempt, to))
    }

    /// The alerts of a notification.
    fn told(&self, flight: &Flight, mutes: &BTreeMap<Fingerprint, Mute>, now_ms: i64) -> Vec<Told> {
        let told = |fingerprint: &Fingerprint| {
            let held = &self.alerts[fingerprint];
            let follows = Mute::Follows(*fingerprint);
            let followers = mutes.iter().filter(|(_, mute)| **mute == follows);
            Told {
                fingerprint: *fingerprint,
                alert: held.alert.clone(),
                is_resolved: held.alert.is_resolved(now_ms),
                acknowledged_by: held.acknowledged.as_ref().map(|ack| ack.by.clone()),
                followers: followers
                    .map(|(f, _)| self.alerts[f].alert.clone())
                    .collect(),
            }
        };
        let mut alerts: Vec<Told> = flight
            .firing
            .iter()
            .chain(&flight.resolved)
            .map(told)
            .collect();
        alerts.sort_by_key(|t| (t.is_resolved, t.alert.starts_at_ms, t.fingerprint));
        alerts
    }

    /// Route and labels of a group as text.
    pub(crate) fn shown_key(&self, key: &GroupKey) -> String {
        format!("{}:{}", self.plan.tree.node(key.route).key, key.labels)
    }

    /// A notification has arrived.
    pub fn delivered(&mut self, id: u64, now_ms: i64) {
        let Some((flight, lane)) = self.landed(id) else {
            return;
        };
        lane.state = LaneState::Idle;
        lane.sent_at_ms = now_ms;
        lane.forget(&flight.resolved);
        lane.may_know.retain(|f| !flight.firing.contains(f));
        lane.told.extend(&flight.firing);
        self.changes += 1;
        self.tidy(&flight.group, now_ms);
    }

    /// A notification has failed; it is tried again, with what is true then, at a time.
    pub fn failed(&mut self, id: u64, fate: Fate, again_at_ms: i64) {
        let Some((flight, lane)) = self.landed(id) else {
            return;
        };
        if fate == Fate::Unknown {
            lane.may_know.extend(&flight.firing);
        }
        if let LaneState::InFlight { attempt, .. } = lane.state {
            lane.state = LaneState::Waiting {
                at_ms: again_at_ms,
                attempt: attempt.saturating_add(1),
            };
        }
    }

    fn landed(&mut self, id: u64) -> Option<(Flight, &mut Lane)> {
        let flight = self.flights.remove(&id)?;
        let group = self.groups.get_mut(&flight.group);
        let group = group.expect("a group stays while a notification of it is on its way");
        let lane = group.lanes.get_mut(&flight.to);
        Some((
            flight,
            lane.expect("a lane stays while its notification is on its way"),
        ))
    }

    /// Forgets what is over and nobody has to hear of any more.
    fn tidy(&mut self, key: &GroupKey, now_ms: i64) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let flights = self.flights.values().filter(|flight| flight.group == *key);
        let in_flight: BTreeSet<Fingerprint> = flights
            .flat_map(|f| f.firing.iter().chain(&f.resolved))
            .copied()
            .collect();
        let alerts = &self.alerts;
        let is_over = |f: &Fingerprint| alerts[f].alert.is_resolved(now_ms);
        let over: Vec<Fingerprint> = group
            .members
            .iter()
            .filter(|f| is_over(f) && !group.is_told(**f) && !in_flight.contains(f))
            .copied()
            .collect();
        if over.is_empty() {
            return;
        }
        for fingerprint in &over {
            group.members.remove(fingerprint);
            group.due_since_ms.remove(fingerprint);
        }
        if group.members.is_empty() && in_flight.is_empty() {
            self.groups.remove(key);
        }
        self.changes += 1;
        for fingerprint in over {
            let keys = self.keys_of(&self.alerts[&fingerprint].alert.labels);
            let is_member = |key| {
                let group: Option<&Group> = self.groups.get(key);
                group.is_some_and(|group| group.members.contains(&fingerprint))
            };
            if !keys.iter().any(is_member) {
                self.alerts.remove(&fingerprint);
            }
        }
    }

    /// Somebody knows of an alert.
    pub fn acknowledge(
        &mut self,
        fingerprint: Fingerprint,
        acknowledgement: Acknowledgement,
    ) -> Result<(), NotFiring> {
        let now_ms = acknowledgement.at_ms;
        let held = self.alerts.get_mut(&fingerprint);
        let held = held.filter(|held| !held.alert.is_resolved(now_ms));
        let held = held.ok_or_else(|| NotFiring(fingerprint.to_string()))?;
        held.acknowledged = Some(acknowledgement);
        self.changes += 1;
        Ok(())
    }

    /// Takes an acknowledgement back.
    pub fn unacknowledge(&mut self, fingerprint: Fingerprint) -> Result<(), NotFiring> {
        let held = self.alerts.get_mut(&fingerprint);
        let held = held.ok_or_else(|| NotFiring(fingerprint.to_string()))?;
        held.acknowledged = None;
        self.changes += 1;
        Ok(())
    }

    /// Sets a silence and gives its name; `fresh` names it if it is a new one.
    pub fn silence(
        &mut self,
        draft: SilenceDraft,
        fresh: String,
        now_ms: i64,
    ) -> Result<String, SilenceRefusal> {
        let id = self.silences.set(draft, fresh, now_ms)?;
        self.changes += 1;
        Ok(id)
    }

    /// Ends a silence now.
    pub fn expire_silence(&mut self, id: &str, now_ms: i64) -> Result<(), SilenceRefusal> {
        self.silences.expire(id, now_ms)?;
        self.changes += 1;
        Ok(())
    }

    /// All silences, in order of name.
    pub fn silences(&self) -> impl Iterator<Item = &Silence> {
        self.silences.all()
    }

    /// One silence.
    #[must_use]
    pub fn silence_of(&self, id: &str) -> Option<&Silence> {
        self.silences.get(id)
    }

    /// Ways that wait to try again, by receiver: how many groups they could not be told of.
    #[must_use]
    pub fn failing(&self) -> BTreeMap<&str, usize> {
        let mut failing = BTreeMap::new();
        let lanes = self.groups.values().flat_map(|group| &group.lanes);
        for (to, lane) in lanes {
            if matches!(lane.state, LaneState::Waiting { attempt: 1.., .. }) {
                *failing.entry(to.receiver.as_str()).or_default() += 1;
            }
        }
        failing
    }

    /// Notifications on their way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// What must be true after each turn.
    fn check(&self) {
        let waiting = self.groups.values().flat_map(|group| group.lanes.values());
        let waiting = waiting.filter(|lane| matches!(lane.state, LaneState::InFlight { .. }));
        assert_eq!(
            waiting.count(),
            self.flights.len(),
            "a lane in flight has its flight"
        );
        for group in self.groups.values() {
            let held = group.members.iter().all(|f| self.alerts.contains_key(f));
            assert!(held, "every member of a group is held");
        }
    }
}

/// From when an alert should have been told: escalation counts from its first flush.
fn note_due(group: &mut Group, audible: &Audible, now_ms: i64) {
    for fingerprint in &audible.firing {
        group.due_since_ms.entry(*fingerprint).or_insert(now_ms);
    }
    group
        .due_since_ms
        .retain(|f, _| !audible.resolved.contains(f));
}

/// At a time when nobody is told, everything waits for the next flush.
fn postpone(group: &mut Group) {
    group.escalate_at_ms = None;
    for lane in group.lanes.values_mut() {
        if let LaneState::Waiting { attempt, .. } = lane.state {
            lane.state = LaneState::Waiting {
                at_ms: group.next_flush_ms,
                attempt,
            };
        }
    }
}
