//! Alertmanagers as `prometheus.yml` names them: sets that are discovered and relabelled as
//! targets are.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use model::Labels;

use crate::{
    discovery::{Group, Source},
    http::HttpSettings,
    relabel::{Rule, relabel},
};

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__alerts_path__";

/// Where alerts are posted below the prefix: version 2 of Alertmanager's API.
const API: &str = "/api/v2/alerts";

/// One of `alerting.alertmanagers`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertmanagerSet {
    /// `http` or `https`.
    pub scheme: String,
    /// What stands before `/api/v2/alerts`.
    pub path_prefix: String,
    /// Longest a request may take.
    pub timeout: Duration,
    /// How they are asked.
    pub http: Arc<HttpSettings>,
    /// Applied to what discovery found: rewrites or drops Alertmanagers.
    pub relabel: Vec<Rule>,
    /// Applied to the labels of each alert that is sent there; one they drop is not sent.
    pub alert_relabel: Vec<Rule>,
    /// Where their addresses come from.
    pub sources: Vec<Source>,
}

/// What discovery found of a set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alertmanagers {
    /// Addresses that alerts are posted to.
    pub active: BTreeSet<String>,
    /// Those that the rules drop.
    pub dropped: BTreeSet<String>,
    /// What is none, and why.
    pub invalid: Vec<String>,
}

impl AlertmanagerSet {
    /// The Alertmanagers of these groups.
    #[must_use]
    pub fn found(&self, groups: &[&Group]) -> Alertmanagers {
        let mut found = Alertmanagers::default();
        for group in groups {
            for own in &group.targets {
                let discovered = self.discovered(&group.labels, own);
                match relabel(&discovered, &self.relabel) {
                    None => drop(found.dropped.insert(address(&discovered))),
                    Some(labels) => match checked(&labels) {
                        Ok(url) => drop(found.active.insert(url)),
                        Err(why) => found.invalid.push(why),
                    },
                }
            }
        }
        found
    }

    fn discovered(&self, shared: &[(String, String)], own: &[(String, String)]) -> Labels {
        let mut builder = Labels::from_pairs(shared.iter().chain(own).cloned()).to_builder();
        builder.set(SCHEME, &self.scheme);
        let prefix = self.path_prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        builder.set(PATH, format!("{slash}{prefix}{API}"));
        builder.build()
    }
}

fn address(labels: &Labels) -> String {
    let said = |name| labels.get(name).unwrap_or_default();
    format!("{}://{}{}", said(SCHEME), said(ADDRESS), said(PATH))
}

fn checked(labels: &Labels) -> Result<String, String> {
    let said = |name| labels.get(name).unwrap_or_default();
    let host = said(ADDRESS);
    if host.is_empty() || host.contains('/') {
        return Err(format!("{host:?} is no address"));
    }
    if !matches!(said(SCHEME), "http" | "https") {
        return Err(format!("{:?} is neither http nor https", said(SCHEME)));
    }
    Ok(address(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relabel::{Action, RuleConfig};

    #[test]
    fn addresses_are_made_of_scheme_prefix_and_rules() {
        let group = crate::discovery::file::group(
            vec!["a:9093".to_owned(), "b:9093".to_owned(), "c/d".to_owned()],
            vec![("site".to_owned(), "x".to_owned())],
        );
        let drop = RuleConfig {
            source_labels: vec![ADDRESS.to_owned(), "site".to_owned()],
            regex: "b:.*;x".to_owned(),
            action: Action::Drop,
            ..RuleConfig::default()
        };
        let set = AlertmanagerSet {
            scheme: "https".to_owned(),
            path_prefix: "/am/".to_owned(),
            timeout: Duration::from_secs(1),
            http: Arc::default(),
            relabel: vec![Rule::new(drop).unwrap()],
            alert_relabel: Vec::new(),
            sources: Vec::new(),
        };
        let found = set.found(&[&group]);
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(list(&found.active), "https://a:9093/am/api/v2/alerts");
        assert_eq!(list(&found.dropped), "https://b:9093/am/api/v2/alerts");
        assert_eq!(found.invalid, ["\"c/d\" is no address"]);
    }
}
