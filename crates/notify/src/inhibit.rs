//! Inhibition: while one alert fires, others that follow from it are not told.
//!
//! A target is inhibited by a firing source that agrees with it in the labels `equal`. An alert
//! that matches both sides is not inhibited by another that does: neither follows from the other.

use std::collections::BTreeMap;

use model::{Alert, Labels, Matcher};

use crate::{Fingerprint, matchers::all_match};

/// Which alerts silence which.
#[derive(Debug, Clone, PartialEq)]
pub struct InhibitRule {
    /// What the alert that inhibits satisfies.
    pub source: Vec<Matcher>,
    /// What the inhibited ones satisfy.
    pub target: Vec<Matcher>,
    /// Labels in which both agree; absent and empty are the same.
    pub equal: Vec<String>,
}

/// Firing sources of every rule, by the values of its `equal`.
#[derive(Debug)]
pub(crate) struct Inhibitor<'r> {
    rules: Vec<(&'r InhibitRule, Sources)>,
}

type Sources = BTreeMap<Vec<String>, Vec<Source>>;

#[derive(Debug)]
struct Source {
    fingerprint: Fingerprint,
    is_target_too: bool,
}

impl<'r> Inhibitor<'r> {
    /// From the alerts that fire.
    pub(crate) fn new<'a>(
        rules: &'r [InhibitRule],
        firing: impl Iterator<Item = (Fingerprint, &'a Alert)> + Clone,
    ) -> Self {
        let sources = |rule: &InhibitRule| {
            let mut sources = Sources::new();
            for (fingerprint, alert) in firing.clone() {
                if all_match(&rule.source, &alert.labels) {
                    let source = Source {
                        fingerprint,
                        is_target_too: all_match(&rule.target, &alert.labels),
                    };
                    let key = values(&alert.labels, &rule.equal);
                    sources.entry(key).or_default().push(source);
                }
            }
            sources
        };
        Self {
            rules: rules.iter().map(|rule| (rule, sources(rule))).collect(),
        }
    }

    /// The first firing alert that inhibits this one.
    pub(crate) fn by(&self, fingerprint: Fingerprint, labels: &Labels) -> Option<Fingerprint> {
        let by = |(rule, sources): &(&InhibitRule, Sources)| {
            if !all_match(&rule.target, labels) {
                return None;
            }
            let is_source_too = all_match(&rule.source, labels);
            let equal = sources.get(&values(labels, &rule.equal))?;
            let source = equal.iter().find(|source| {
                source.fingerprint != fingerprint && !(is_source_too && source.is_target_too)
            })?;
            Some(source.fingerprint)
        };
        self.rules.iter().find_map(by)
    }
}

fn values(labels: &Labels, names: &[String]) -> Vec<String> {
    let value = |name: &String| labels.get(name).unwrap_or_default().to_owned();
    names.iter().map(value).collect()
}
