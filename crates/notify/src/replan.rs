//! A notifier goes on under another plan, after a reload: routes that say the same keep their
//! groups, and groups what they were told. What was going to somebody who is no longer a receiver
//! is forgotten; what fires and has lost its group is told as if it had just begun.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Integration, Notifier, Plan,
    group::{Group, GroupKey},
};

impl Notifier {
    /// Decides by another plan from now on.
    pub fn replan(&mut self, plan: Plan, now_ms: i64) {
        let before = std::mem::replace(&mut self.plan, plan);
        let places = self.places();
        for (key, group) in std::mem::take(&mut self.groups) {
            let named = &before.tree.node(key.route).key;
            if let Some(route) = places.get(named.as_str()) {
                let key = GroupKey {
                    route: *route,
                    labels: key.labels,
                };
                self.groups.insert(key, group);
            }
        }
        let flights = std::mem::take(&mut self.flights);
        for (id, mut flight) in flights {
            let named = &before.tree.node(flight.group.route).key;
            if let Some(route) = places.get(named.as_str()) {
                flight.group.route = *route;
                self.flights.insert(id, flight);
            }
        }
        self.settle();
        self.adopt(now_ms);
        self.changes += 1;
    }

    /// Routes of the plan by their keys.
    pub(crate) fn places(&self) -> BTreeMap<String, usize> {
        let routes = self.plan.tree.all().iter().enumerate();
        routes.map(|(at, route)| (route.key.clone(), at)).collect()
    }

    /// Makes groups fit the plan: members that belong to them, lanes to those who are told of
    /// them, flights of such lanes. A lane that nobody looks at any more would hold its alerts
    /// for ever.
    pub(crate) fn settle(&mut self) {
        let mut groups = std::mem::take(&mut self.groups);
        for (key, group) in &mut groups {
            self.settle_group(key, group);
        }
        groups.retain(|_, group| !group.members.is_empty());
        let is_kept = |flight: &crate::notifier::Flight| {
            let group = groups.get(&flight.group);
            group.is_some_and(|group| group.lanes.contains_key(&flight.to))
        };
        self.flights.retain(|_, flight| is_kept(flight));
        self.groups = groups;
    }

    fn settle_group(&self, key: &GroupKey, group: &mut Group) {
        group.members.retain(|fingerprint| {
            let held = self.alerts.get(fingerprint);
            held.is_some_and(|held| self.keys_of(&held.alert.labels).contains(key))
        });
        let heard = self.heard(key.route);
        group.lanes.retain(|to, _| heard.contains(to));
        for lane in group.lanes.values_mut() {
            lane.told.retain(|f| group.members.contains(f));
            lane.may_know.retain(|f| group.members.contains(f));
        }
        group.due_since_ms.retain(|f, _| group.members.contains(f));
    }

    /// Every way that groups of a route may be told by.
    fn heard(&self, route: usize) -> BTreeSet<Integration> {
        let route = self.plan.tree.node(route);
        let steps = route.escalate.iter().map(|step| &step.receiver);
        let receivers = std::iter::once(&route.receiver).chain(steps);
        let ways = receivers.flat_map(|receiver| self.plan.ways(receiver));
        ways.map(|(to, _)| to).collect()
    }
}
