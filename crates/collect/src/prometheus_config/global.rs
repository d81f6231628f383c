//! `global`: what every job inherits.

use std::time::Duration;

use crate::scrape::Protocol;

use yaml::Table;

use super::scrape;

/// What jobs inherit.
#[derive(Debug, Clone)]
pub(super) struct Global {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) external_labels: Vec<(String, String)>,
    pub(super) protocols: Vec<Protocol>,
    pub(super) extra_metrics: bool,
    pub(super) limits: Limits,
    pub(super) evaluation_interval: Option<Duration>,
    pub(super) rule_query_offset: Option<Duration>,
}

/// The `*_limit` keys; 0 is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    pub(super) body_bytes: usize,
    pub(super) samples: usize,
    pub(super) labels: usize,
    pub(super) label_name: usize,
    pub(super) label_value: usize,
    pub(super) targets: usize,
    pub(super) keep_dropped: usize,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            external_labels: Vec::new(),
            protocols: Protocol::PREFERRED.to_vec(),
            extra_metrics: false,
            limits: Limits::default(),
            evaluation_interval: None,
            rule_query_offset: None,
        }
    }
}

impl Limits {
    /// The limits said here, or else those inherited.
    pub(super) fn read(said: &Table<'_>, inherited: Self) -> Self {
        let or = |key, inherited| said.count(key).unwrap_or(inherited);
        Self {
            body_bytes: said
                .bytes("body_size_limit")
                .unwrap_or(inherited.body_bytes),
            samples: or("sample_limit", inherited.samples),
            labels: or("label_limit", inherited.labels),
            label_name: or("label_name_length_limit", inherited.label_name),
            label_value: or("label_value_length_limit", inherited.label_value),
            targets: or("target_limit", inherited.targets),
            keep_dropped: or("keep_dropped_targets", inherited.keep_dropped),
        }
    }
}

pub(super) fn read(said: Option<Table<'_>>) -> Global {
    let default = Global::default();
    let Some(said) = said else {
        return default;
    };
    let interval = said.duration("scrape_interval").unwrap_or(default.interval);
    if interval.is_zero() {
        said.mistake("scrape_interval", "must be above 0");
    }
    let timeout = said.duration("scrape_timeout");
    if timeout.is_some_and(|timeout| timeout > interval) {
        said.mistake("scrape_timeout", "is longer than scrape_interval");
    }
    let global = Global {
        interval,
        timeout: timeout.unwrap_or_else(|| default.timeout.min(interval)),
        external_labels: said.text_map("external_labels"),
        protocols: scrape::protocols(&said).unwrap_or(default.protocols),
        extra_metrics: said.flag("extra_scrape_metrics").unwrap_or(false),
        limits: Limits::read(&said, default.limits),
        evaluation_interval: said.duration("evaluation_interval"),
        rule_query_offset: said.duration("rule_query_offset"),
    };
    if global.evaluation_interval.is_some_and(|i| i.is_zero()) {
        said.mistake("evaluation_interval", "must be above 0");
    }
    said.ignored("query_log_file", "queries are not logged to a file");
    said.ignored("runtime", "it is about Go's run time");
    scrape::common_ignored(&said);
    said.finish();
    global
}
