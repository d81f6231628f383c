//! One scrape job: what its targets have in common, and how discovered groups become targets.
//!
//! The way of a target's labels is Prometheus's: what discovery said, the job's defaults where it
//! said nothing, the relabelling rules, then the checks; what begins with `__` does not survive.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use model::Labels;

use crate::{
    discovery::{Group, Source, TARGETS_MAX},
    exposition::{Format, Limits},
    http::HttpSettings,
    prometheus_config::units::{duration, duration_text},
    relabel::{Rule, relabel},
    scrape::{LabelLimits, Protocol, Target},
};

/// Label sets of dropped targets kept for the API when the job does not say how many.
pub const DROPPED_KEPT: usize = 10_000;

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAM: &str = "__param_";

/// A scrape job. Names as in Prometheus's `scrape_config`; a limit of 0 is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// `job_name`.
    pub name: String,
    /// `scrape_interval`.
    pub interval: Duration,
    /// `scrape_timeout`.
    pub timeout: Duration,
    /// `http` or `https`.
    pub scheme: String,
    /// `metrics_path`.
    pub metrics_path: String,
    /// `params`, in order of name.
    pub params: Vec<(String, Vec<String>)>,
    /// `honor_labels`.
    pub honor_labels: bool,
    /// `honor_timestamps`.
    pub honor_timestamps: bool,
    /// `enable_compression`.
    pub compression: bool,
    /// `scrape_protocols`, best first.
    pub protocols: Vec<Protocol>,
    /// `fallback_scrape_protocol`.
    pub fallback: Option<Format>,
    /// `extra_scrape_metrics`.
    pub extra_metrics: bool,
    /// Credentials, TLS, redirects.
    pub http: Arc<HttpSettings>,
    /// Bounds on a body, `body_size_limit` among them.
    pub limits: Limits,
    /// `sample_limit`.
    pub sample_limit: usize,
    /// `label_limit`, `label_name_length_limit`, `label_value_length_limit`.
    pub label_limits: LabelLimits,
    /// `target_limit`.
    pub target_limit: usize,
    /// `keep_dropped_targets`.
    pub keep_dropped: usize,
    /// `relabel_configs`.
    pub relabel: Vec<Rule>,
    /// `metric_relabel_configs`.
    pub metric_relabel: Vec<Rule>,
    /// Where the targets come from.
    pub sources: Vec<Source>,
}

/// What discovered groups mean.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Targets {
    /// To be scraped.
    pub active: Vec<Target>,
    /// Left out by the rules: as discovered, as many as are kept.
    pub dropped: Vec<Labels>,
    /// How many were left out.
    pub dropped_count: usize,
    /// Why some are none, with what was discovered.
    pub invalid: Vec<String>,
}

impl Job {
    /// The targets in these groups. Two with the same address and labels are one.
    #[must_use]
    pub fn targets(&self, groups: &[&Group]) -> Targets {
        let mut targets = Targets::default();
        let mut seen = BTreeSet::new();
        let kept_max = match self.keep_dropped {
            0 => DROPPED_KEPT,
            limit => limit.min(DROPPED_KEPT),
        };
        let all = groups.iter().flat_map(|group| {
            let one = |own: &Vec<(String, String)>| self.discovered(&group.labels, own);
            group.targets.iter().map(one)
        });
        for discovered in all.take(TARGETS_MAX) {
            match self.target(&discovered) {
                Ok(Some(target)) => {
                    if seen.insert((target.url.clone(), target.own_labels())) {
                        targets.active.push(target);
                    }
                }
                Ok(None) => {
                    targets.dropped_count += 1;
                    if targets.dropped.len() < kept_max {
                        targets.dropped.push(discovered);
                    }
                }
                Err(why) => targets.invalid.push(format!("{discovered}: {why}")),
            }
        }
        self.limit(groups, &mut targets);
        targets
    }

    /// Over `target_limit` every target fails, as in Prometheus: a part of them would look whole.
    fn limit(&self, groups: &[&Group], targets: &mut Targets) {
        let count = targets.active.len();
        if self.target_limit > 0 && count > self.target_limit {
            let limit = self.target_limit;
            let why = format!("target_limit exceeded: {count} targets, the limit is {limit}");
            for target in &mut targets.active {
                target.refused = Some(why.clone());
            }
        }
        let found: usize = groups.iter().map(|group| group.targets.len()).sum();
        if found > TARGETS_MAX {
            let what = format!("{found} targets: the first {TARGETS_MAX} are taken");
            targets.invalid.push(what);
        }
    }

    /// Labels before relabelling.
    fn discovered(&self, shared: &[(String, String)], own: &[(String, String)]) -> Labels {
        let said = shared.iter().chain(own).cloned();
        let mut builder = Labels::from_pairs(said).to_builder();
        let defaults = [
            ("job", self.name.clone()),
            (INTERVAL, duration_text(self.interval)),
            (TIMEOUT, duration_text(self.timeout)),
            (METRICS_PATH, self.metrics_path.clone()),
            (SCHEME, self.scheme.clone()),
        ];
        for (name, value) in defaults {
            if builder.get(name).is_none() {
                builder.set(name, value);
            }
        }
        for (name, values) in &self.params {
            if let Some(first) = values.first() {
                builder.set(format!("{PARAM}{name}"), first);
            }
        }
        builder.build()
    }

    /// The target, `None` when the rules drop it, or why it is none.
    fn target(&self, discovered: &Labels) -> Result<Option<Target>, String> {
        let Some(labels) = relabel(discovered, &self.relabel) else {
            return Ok(None);
        };
        let said = |name| labels.get(name).unwrap_or_default();
        let address = said(ADDRESS);
        if address.is_empty() {
            return Err("no address".to_owned());
        }
        if address.contains('/') {
            return Err(format!("{address:?} is no address: it holds a '/'"));
        }
        let interval = duration(said(INTERVAL)).map_err(|why| format!("{INTERVAL}: {why}"))?;
        let timeout = duration(said(TIMEOUT)).map_err(|why| format!("{TIMEOUT}: {why}"))?;
        if interval.is_zero() || timeout.is_zero() || timeout > interval {
            let (interval, timeout) = (said(INTERVAL), said(TIMEOUT));
            return Err(format!(
                "interval {interval} and timeout {timeout} do not fit"
            ));
        }
        let (scheme, path) = (said(SCHEME), said(METRICS_PATH));
        if !matches!(scheme, "http" | "https") {
            return Err(format!("{scheme:?} is neither http nor https"));
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        let url = format!("{scheme}://{address}{slash}{path}{}", self.query(&labels));
        let shown = |(name, _): &(&str, &str)| !name.starts_with("__");
        let own: Vec<_> = labels.iter().filter(shown).collect();
        Ok(Some(Target {
            instance: labels.get("instance").unwrap_or(address).to_owned(),
            labels: own
                .into_iter()
                .filter(|(name, _)| !matches!(*name, "job" | "instance"))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            interval,
            timeout,
            pool: self.name.clone(),
            discovered: discovered.clone(),
            honor_labels: self.honor_labels,
            honor_timestamps: self.honor_timestamps,
            fallback: self.fallback,
            gzip: self.compression,
            limits: self.limits,
            sample_limit: self.sample_limit,
            label_limits: self.label_limits,
            protocols: self.protocols.clone(),
            extra_metrics: self.extra_metrics,
            http: Arc::clone(&self.http),
            metric_relabel: self.metric_relabel.clone(),
            ..Target::new(said("job"), url)
        }))
    }

    /// `?name=value&...` of the parameters, each first value as the rules left it.
    fn query(&self, labels: &Labels) -> String {
        let mut params = self.params.clone();
        for (name, value) in labels.iter() {
            let Some(name) = name.strip_prefix(PARAM) else {
                continue;
            };
            match params.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => match values.first_mut() {
                    Some(first) => value.clone_into(first),
                    None => values.push(value.to_owned()),
                },
                None => params.push((name.to_owned(), vec![value.to_owned()])),
            }
        }
        params.sort();
        let pairs = params.iter().flat_map(|(name, values)| {
            let pair = move |value: &String| format!("{}={}", encoded(name), encoded(value));
            values.iter().map(pair)
        });
        let pairs: Vec<String> = pairs.collect();
        let mark = if pairs.is_empty() { "" } else { "?" };
        format!("{mark}{}", pairs.join("&"))
    }
}

/// As in a form: `+` for a blank, percent signs for what is not plain.
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        b' ' => "+".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
