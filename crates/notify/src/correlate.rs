//! Which alerts follow from which: those raised close together whose components depend on each
//! other are one incident, and the most upstream of them is its probable root.
//!
//! Components and what they depend on are declared. An alert belongs to the first component whose
//! matchers it satisfies. From an alert, dependencies are followed through components that fire
//! too, and began within the window of it; of those reached, the root is one that none of the
//! others lies upstream of, the earliest if there are several. Around a cycle of dependencies the
//! earliest alert is the root.

use std::collections::{BTreeMap, BTreeSet};

use model::{Labels, Matcher};

use crate::{Fingerprint, matchers::all_match};

/// A part of the system, and the parts it cannot work without.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// What its alerts satisfy.
    pub matchers: Vec<Matcher>,
    /// Names of what it depends on.
    pub depends_on: Vec<String>,
}

/// The declared dependencies.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dependencies {
    components: Vec<Component>,
    /// By component: what it depends on directly.
    upstream: Vec<Vec<usize>>,
    /// By component: what it depends on at any distance.
    reach: Vec<BTreeSet<usize>>,
    /// Two alerts this far apart are not of one incident, ms.
    window_ms: i64,
}

/// A firing alert that may be told.
#[derive(Debug, Clone)]
pub(crate) struct Firing<'a> {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) labels: &'a Labels,
    pub(crate) starts_at_ms: i64,
}

impl Dependencies {
    /// Checked; fails with the name that no component has.
    pub fn new(components: Vec<Component>, window_ms: i64) -> Result<Self, String> {
        let index: BTreeMap<&str, usize> = components
            .iter()
            .enumerate()
            .map(|(at, component)| (component.name.as_str(), at))
            .collect();
        let mut upstream = Vec::new();
        for component in &components {
            let on = component.depends_on.iter().map(|name| {
                let known = index.get(name.as_str()).copied();
                known.ok_or_else(|| {
                    format!(
                        "{:?} depends on {name:?}, which is no component",
                        component.name
                    )
                })
            });
            upstream.push(on.collect::<Result<Vec<_>, _>>()?);
        }
        let reach = (0..upstream.len()).map(|from| reached(&upstream, from, |_| true));
        let reach = reach.collect();
        Ok(Self {
            components,
            upstream,
            reach,
            window_ms,
        })
    }

    /// Whether what one alert is of depends on what another is of.
    pub(crate) fn follows(&self, effect: &Labels, cause: &Labels) -> bool {
        let both = self.component_of(effect).zip(self.component_of(cause));
        both.is_some_and(|(effect, cause)| self.reach[effect].contains(&cause))
    }

    fn component_of(&self, labels: &Labels) -> Option<usize> {
        let mut all = self.components.iter();
        all.position(|component| all_match(&component.matchers, labels))
    }

    /// The root of each alert that follows from another.
    pub(crate) fn roots(&self, firing: &[Firing<'_>]) -> BTreeMap<Fingerprint, Fingerprint> {
        if self.components.is_empty() {
            return BTreeMap::new();
        }
        let mut by_component: BTreeMap<usize, Vec<&Firing<'_>>> = BTreeMap::new();
        for alert in firing {
            if let Some(component) = self.component_of(alert.labels) {
                by_component.entry(component).or_default().push(alert);
            }
        }
        for alerts in by_component.values_mut() {
            alerts.sort_by_key(|alert| (alert.starts_at_ms, alert.fingerprint));
        }
        let mut causes = BTreeMap::new();
        for (component, alerts) in &by_component {
            for alert in alerts {
                if let Some(cause) = self.cause(*component, alert, &by_component) {
                    causes.insert(alert.fingerprint, cause);
                }
            }
        }
        causes
            .keys()
            .map(|from| (*from, followed(&causes, *from)))
            .collect()
    }

    /// The most upstream alert reached from one; `None` if it is that itself.
    fn cause(
        &self,
        component: usize,
        alert: &Firing<'_>,
        by_component: &BTreeMap<usize, Vec<&Firing<'_>>>,
    ) -> Option<Fingerprint> {
        let near = |component: &usize| {
            let alerts = by_component.get(component)?;
            let is_near = |a: &&&Firing<'_>| {
                a.starts_at_ms.abs_diff(alert.starts_at_ms) <= self.window_ms.unsigned_abs()
            };
            alerts.iter().find(is_near).copied()
        };
        let reached = reached(&self.upstream, component, |c| near(&c).is_some());
        let others = reached.iter().filter(|c| **c != component);
        let is_root = |c: &&usize| !reached.iter().any(|other| self.is_upstream(*other, **c));
        let candidates = others.filter(is_root).filter_map(|c| Some((*c, near(c)?)));
        let order = |a: &Firing<'_>| (a.starts_at_ms, a.fingerprint);
        let (root, first) = candidates.min_by_key(|(_, a)| order(a))?;
        // Within a cycle neither is upstream: the earlier one is the root of the later.
        let is_cycle = self.reach[root].contains(&component);
        (!is_cycle || order(first) < order(alert)).then_some(first.fingerprint)
    }

    /// Whether one lies strictly upstream of another.
    fn is_upstream(&self, one: usize, other: usize) -> bool {
        self.reach[other].contains(&one) && !self.reach[one].contains(&other)
    }
}

/// What is reached from a component, itself included only through a cycle.
fn reached(
    upstream: &[Vec<usize>],
    from: usize,
    enters: impl Fn(usize) -> bool,
) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(at) = next.pop() {
        for &on in &upstream[at] {
            if enters(on) && seen.insert(on) {
                next.push(on);
            }
        }
    }
    seen
}

/// The end of a chain of causes. Each step goes upstream, or to an earlier alert of a cycle, so
/// that it has one; the bound holds should that ever be untrue.
fn followed(causes: &BTreeMap<Fingerprint, Fingerprint>, from: Fingerprint) -> Fingerprint {
    let mut at = from;
    for _ in 0..causes.len() {
        match causes.get(&at) {
            Some(next) if *next != from => at = *next,
            _ => break,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matchers::parse;

    fn system(edges: &[(&str, &[&str])]) -> Dependencies {
        let component = |(name, on): &(&str, &[&str])| Component {
            name: (*name).to_owned(),
            matchers: parse(&format!("service={name}")).unwrap(),
            depends_on: on.iter().map(|s| (*s).to_owned()).collect(),
        };
        Dependencies::new(edges.iter().map(component).collect(), 60_000).unwrap()
    }

    /// The root of each alert `(service, began, s)`, by service.
    fn roots(system: &Dependencies, alerts: &[(&str, i64)]) -> Vec<String> {
        let labels: Vec<Labels> = alerts
            .iter()
            .map(|(service, _)| Labels::from_pairs([("service", *service)]))
            .collect();
        let firing: Vec<Firing<'_>> = alerts
            .iter()
            .zip(&labels)
            .map(|((_, began), labels)| Firing {
                fingerprint: Fingerprint::of(labels),
                labels,
                starts_at_ms: began * 1_000,
            })
            .collect();
        let name = |wanted: &Fingerprint| {
            let found = firing.iter().find(|f| f.fingerprint == *wanted).unwrap();
            found.labels.get("service").unwrap().to_owned()
        };
        let roots = system.roots(&firing);
        let shown =
            |(from, to): (&Fingerprint, &Fingerprint)| format!("{}<-{}", name(from), name(to));
        let mut shown: Vec<String> = roots.iter().map(shown).collect();
        shown.sort();
        shown
    }

    #[test]
    fn the_most_upstream_alert_of_an_incident_is_its_root() {
        let shop = system(&[
            ("web", &["api"]),
            ("api", &["db", "cache"]),
            ("db", &["disk"]),
            ("cache", &[]),
            ("disk", &[]),
        ]);
        assert_eq!(
            roots(&shop, &[("web", 5), ("api", 3), ("db", 0)]),
            ["api<-db", "web<-db"]
        );
        assert_eq!(
            roots(&shop, &[("web", 0), ("db", 0)]),
            [""; 0],
            "what lies between is well: no chain"
        );
        assert_eq!(
            roots(&shop, &[("api", 9), ("db", 2), ("cache", 1)]),
            ["api<-cache"]
        );
        assert_eq!(
            roots(&shop, &[("api", 0), ("db", 61)]),
            [""; 0],
            "not close together"
        );
        assert_eq!(
            roots(&shop, &[("api", 100), ("db", 50), ("disk", 0)]),
            ["api<-disk", "db<-disk"],
            "the cause of a cause"
        );
        assert_eq!(roots(&shop, &[("unknown", 0), ("db", 0)]), [""; 0]);
    }

    #[test]
    fn around_a_cycle_the_earliest_is_the_root() {
        let ring = system(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])]);
        assert_eq!(
            roots(&ring, &[("a", 3), ("b", 1), ("c", 2)]),
            ["a<-b", "c<-b"]
        );
    }

    #[test]
    fn an_unknown_dependency_is_named() {
        let lost = Component {
            name: "a".to_owned(),
            matchers: Vec::new(),
            depends_on: vec!["b".to_owned()],
        };
        let error = Dependencies::new(vec![lost], 0).unwrap_err();
        assert!(error.contains("\"b\""), "{error}");
    }
}
