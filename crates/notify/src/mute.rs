//! Why alerts are not told now: silenced, inhibited, or told with the root they follow from.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Fingerprint, Notifier, correlate::Firing, inhibit::Inhibitor};

/// Why an alert is not told now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mute {
    /// By the silence of this name.
    Silenced(String),
    /// By an alert, through a rule.
    Inhibited(Fingerprint),
    /// It follows from this alert, which is told in its place.
    Follows(Fingerprint),
}

impl Notifier {
    /// Why each alert that is not to be told now is not.
    pub(crate) fn mutes(&self, now_ms: i64) -> BTreeMap<Fingerprint, Mute> {
        let firing = self
            .alerts
            .iter()
            .filter(|(_, held)| !held.alert.is_resolved(now_ms));
        let firing = firing.map(|(fingerprint, held)| (*fingerprint, &held.alert));
        let inhibitor = Inhibitor::new(&self.plan.inhibit, firing);
        let mut mutes = BTreeMap::new();
        for (fingerprint, held) in &self.alerts {
            let labels = &held.alert.labels;
            let silenced = self.silences.of(labels, now_ms);
            let mute = match silenced {
                Some(id) => Some(Mute::Silenced(id.to_owned())),
                None => inhibitor.by(*fingerprint, labels).map(Mute::Inhibited),
            };
            mutes.extend(mute.map(|mute| (*fingerprint, mute)));
        }
        self.add_followers(&mut mutes, now_ms);
        mutes
    }

    /// An alert that follows from another is left out where all who would hear of it hear of
    /// its root.
    fn add_followers(&self, mutes: &mut BTreeMap<Fingerprint, Mute>, now_ms: i64) {
        let firing = self.alerts.iter().filter(|(fingerprint, held)| {
            !held.alert.is_resolved(now_ms) && !mutes.contains_key(fingerprint)
        });
        let firing: Vec<Firing<'_>> = firing
            .map(|(fingerprint, held)| Firing {
                fingerprint: *fingerprint,
                labels: &held.alert.labels,
                starts_at_ms: held.alert.starts_at_ms,
            })
            .collect();
        let hear = |fingerprint: &Fingerprint| -> BTreeSet<&str> {
            let routes = self
                .plan
                .tree
                .routes_of(&self.alerts[fingerprint].alert.labels);
            let heard = routes
                .into_iter()
                .filter(|at| self.plan.is_heard(*at, now_ms));
            heard
                .map(|at| self.plan.tree.node(at).receiver.as_str())
                .collect()
        };
        let roots = self.plan.dependencies.roots(&firing).into_iter();
        let covered = roots.filter(|(from, root)| hear(from).is_subset(&hear(root)));
        mutes.extend(covered.map(|(from, root)| (from, Mute::Follows(root))));
    }
}
