//! One of `scrape_configs`.

use std::{path::Path, sync::Arc, time::Duration};

use yaml::{Table, choice};

use crate::{
    exposition::{self, Format},
    job::Job,
    relabel::{Action, Rule, RuleConfig},
    scrape::{LabelLimits, Protocol},
};

use super::{
    discover,
    global::{Global, Limits},
    http,
};

/// The words for what a target may answer with; protobuf is known and not asked for.
const PROTOCOLS: [(&str, Option<Protocol>); 5] = [
    ("PrometheusProto", None),
    ("PrometheusText0.0.4", Some(Protocol::PrometheusText004)),
    ("PrometheusText1.0.0", Some(Protocol::PrometheusText100)),
    ("OpenMetricsText0.0.1", Some(Protocol::OpenMetricsText001)),
    ("OpenMetricsText1.0.0", Some(Protocol::OpenMetricsText100)),
];

const ACTIONS: [(&str, Action); 11] = [
    ("replace", Action::Replace),
    ("keep", Action::Keep),
    ("drop", Action::Drop),
    ("keepequal", Action::KeepEqual),
    ("dropequal", Action::DropEqual),
    ("hashmod", Action::HashMod),
    ("labelmap", Action::LabelMap),
    ("labeldrop", Action::LabelDrop),
    ("labelkeep", Action::LabelKeep),
    ("lowercase", Action::Lowercase),
    ("uppercase", Action::Uppercase),
];

pub(super) const SCHEMES: [(&str, &str); 2] = [("http", "http"), ("https", "https")];

pub(super) fn read(said: Table<'_>, global: &Global, folder: &Path) -> Job {
    let name = said.required_text("job_name");
    if said.get("job_name").is_some() && name.is_empty() {
        said.mistake("job_name", "is empty");
    }
    let (interval, timeout) = pace(&said, global);
    let limits = Limits::read(&said, global.limits);
    let job = Job {
        interval,
        timeout,
        scheme: said.choice("scheme", &SCHEMES).unwrap_or("http").to_owned(),
        metrics_path: said
            .text("metrics_path")
            .unwrap_or_else(|| "/metrics".to_owned()),
        params: params(&said),
        honor_labels: said.flag("honor_labels").unwrap_or(false),
        honor_timestamps: said.flag("honor_timestamps").unwrap_or(true),
        compression: said.flag("enable_compression").unwrap_or(true),
        protocols: protocols(&said).unwrap_or_else(|| global.protocols.clone()),
        fallback: fallback(&said),
        extra_metrics: said
            .flag("extra_scrape_metrics")
            .unwrap_or(global.extra_metrics),
        http: Arc::new(http::read(&said, folder)),
        limits: body_limits(&limits),
        sample_limit: limits.samples,
        label_limits: LabelLimits {
            count: limits.labels,
            name_bytes: limits.label_name,
            value_bytes: limits.label_value,
        },
        target_limit: limits.targets,
        keep_dropped: limits.keep_dropped,
        relabel: rules(&said, "relabel_configs"),
        metric_relabel: rules(&said, "metric_relabel_configs"),
        sources: discover::read(&said, folder),
        name,
    };
    if said.flag("track_timestamps_staleness") == Some(true) {
        said.ignored(
            "track_timestamps_staleness",
            "a target that gives times of its own says itself when a series ends",
        );
    }
    for key in [
        "native_histogram_bucket_limit",
        "native_histogram_min_bucket_factor",
    ] {
        said.ignored(key, "native histograms are not scraped");
    }
    common_ignored(&said);
    said.finish();
    job
}

/// Keys of a job and of `global` that have no effect.
pub(super) fn common_ignored(said: &Table<'_>) {
    let histograms = "native histograms are not scraped: classic ones are kept as they are";
    for key in [
        "scrape_native_histograms",
        "always_scrape_classic_histograms",
        "convert_classic_histograms_to_nhcb",
    ] {
        if said.flag(key) == Some(true) {
            said.ignored(key, histograms);
        }
    }
    let names = "names are UTF-8, as `utf8` and `allow-utf-8` say";
    let schemes = [
        ("metric_name_validation_scheme", "utf8"),
        ("metric_name_escaping_scheme", "allow-utf-8"),
    ];
    for (key, ours) in schemes {
        if said.text(key).is_some_and(|scheme| scheme != ours) {
            said.ignored(key, names);
        }
    }
    said.ignored(
        "scrape_failure_log_file",
        "failures are counted and shown by /api/v1/targets",
    );
}

fn pace(said: &Table<'_>, global: &Global) -> (Duration, Duration) {
    let interval = said.duration("scrape_interval").unwrap_or(global.interval);
    let timeout = said.duration("scrape_timeout");
    if interval.is_zero() {
        said.mistake("scrape_interval", "must be above 0");
    }
    if timeout.is_some_and(|timeout| timeout > interval) {
        said.mistake("scrape_timeout", "is longer than scrape_interval");
    }
    (
        interval,
        timeout.unwrap_or_else(|| global.timeout.min(interval)),
    )
}

/// A limit of 0 leaves our own bound on a body in place.
fn body_limits(limits: &Limits) -> exposition::Limits {
    let ours = exposition::Limits::default();
    exposition::Limits {
        body_bytes: match limits.body_bytes {
            0 => ours.body_bytes,
            bytes => bytes,
        },
        ..ours
    }
}

fn params(said: &Table<'_>) -> Vec<(String, Vec<String>)> {
    let Some(table) = said.table("params") else {
        return Vec::new();
    };
    let mut params = Vec::new();
    for (name, node) in table.pairs() {
        params.push((name.name.clone(), table.texts_of(&name.name, node)));
    }
    params.sort();
    params
}

/// What to ask for, best first; `None` when nothing is said.
pub(super) fn protocols(said: &Table<'_>) -> Option<Vec<Protocol>> {
    said.get("scrape_protocols")?;
    let mut asked = Vec::new();
    for word in said.texts("scrape_protocols") {
        match choice(&word, &PROTOCOLS) {
            Ok(Some(protocol)) => asked.push(protocol),
            Ok(None) => said.ignored("scrape_protocols", "protobuf is not asked for, text is"),
            Err(message) => said.mistake("scrape_protocols", message),
        }
    }
    if asked.is_empty() {
        asked = Protocol::PREFERRED.to_vec();
    }
    Some(asked)
}

fn fallback(said: &Table<'_>) -> Option<Format> {
    let protocol = said.choice("fallback_scrape_protocol", &PROTOCOLS)?;
    if protocol.is_none() {
        said.mistake("fallback_scrape_protocol", "protobuf is not read");
    }
    protocol.map(Protocol::format)
}

/// Relabelling rules, each checked.
pub(super) fn rules(said: &Table<'_>, key: &'static str) -> Vec<Rule> {
    let tables = said.tables(key).into_iter();
    tables.filter_map(rule).collect()
}

fn rule(said: Table<'_>) -> Option<Rule> {
    let default = RuleConfig::default();
    let action = said.text("action").map(|word| word.to_lowercase());
    let action = action.map_or(Some(Action::Replace), |word| {
        let known = choice(&word, &ACTIONS);
        known
            .map_err(|message| said.mistake("action", message))
            .ok()
    });
    let config = RuleConfig {
        source_labels: said.texts("source_labels"),
        separator: said.text("separator").unwrap_or(default.separator),
        regex: said.text("regex").unwrap_or(default.regex),
        modulus: said.count("modulus").map_or(0, |n| n as u64),
        target_label: said.text("target_label").unwrap_or_default(),
        replacement: said.text("replacement").unwrap_or(default.replacement),
        action: action?,
    };
    let rule = Rule::new(config);
    let rule = rule.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        said.mistake("action", format!("{error}{}", cause.unwrap_or_default()));
    });
    said.finish();
    rule.ok()
}
