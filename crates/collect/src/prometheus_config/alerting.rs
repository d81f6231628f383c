//! `alerting`: the Alertmanagers that are told of what rules raise.

use std::{path::Path, sync::Arc, time::Duration};

use yaml::Table;

use crate::{alertmanager::AlertmanagerSet, relabel::Rule};

use super::{discover, http, scrape};

/// `alerting` as meant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alerting {
    /// The sets of Alertmanagers, in the order of the file.
    pub sets: Vec<AlertmanagerSet>,
    /// Applied to the labels of every alert before it is sent anywhere.
    pub alert_relabel: Vec<Rule>,
}

/// Longest an Alertmanager may take, as in Prometheus.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn read(said: Option<Table<'_>>, folder: &Path) -> Alerting {
    let Some(said) = said else {
        return Alerting::default();
    };
    let sets = said.tables("alertmanagers").into_iter();
    let alerting = Alerting {
        sets: sets.map(|set| alertmanagers(set, folder)).collect(),
        alert_relabel: scrape::rules(&said, "alert_relabel_configs"),
    };
    said.finish();
    alerting
}

fn alertmanagers(said: Table<'_>, folder: &Path) -> AlertmanagerSet {
    if said
        .text("api_version")
        .is_some_and(|version| version != "v2")
    {
        said.mistake(
            "api_version",
            "v2 is spoken, as by every Alertmanager since 0.16",
        );
    }
    if said.get("sigv4").is_some() {
        said.mistake("sigv4", "requests are not signed as Amazon wants them");
    }
    let set = AlertmanagerSet {
        scheme: said
            .choice("scheme", &scrape::SCHEMES)
            .unwrap_or("http")
            .to_owned(),
        path_prefix: said.text("path_prefix").unwrap_or_default(),
        timeout: said.duration("timeout").unwrap_or(TIMEOUT),
        http: Arc::new(http::read(&said, folder)),
        relabel: scrape::rules(&said, "relabel_configs"),
        alert_relabel: scrape::rules(&said, "alert_relabel_configs"),
        sources: discover::read(&said, folder),
    };
    if set.timeout.is_zero() {
        said.mistake("timeout", "must be above 0");
    }
    said.finish();
    set
}
