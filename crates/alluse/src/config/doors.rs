//! What is collected beside the host and the scrape targets: `[collect.statsd]`,
//! `[collect.otlp_grpc]`, `[[collect.process]]`, `[[collect.probes]]`, `[[collect.triggers]]`.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use collect::{
    HttpSettings,
    probe::{Action, Format, ProbeConfig},
    process::Selector,
    receive::{Limits, statsd::StatsdLimits},
    statsd_socket::StatsdConfig,
    trigger::{Scope, Side, TriggerConfig},
};
use model::{METRIC_NAME, MatchOp};

use super::{SECOND, Section, interval_range};

/// Where OTLP over gRPC is heard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OtlpGrpc {
    pub(crate) listen: SocketAddr,
    /// Largest message, bytes as sent.
    pub(crate) message_bytes_max: usize,
}

/// Processes sampled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Process {
    /// The label `job`.
    pub(crate) job: String,
    pub(crate) selector: Selector,
    pub(crate) interval: Duration,
}

/// Interval of probes when none is said.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);

const FORMATS: [(&str, Format); 4] = [
    ("prometheus", Format::Prometheus),
    ("json", Format::Json),
    ("value", Format::Value),
    ("none", Format::None),
];

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_address| format!("{text:?} is not an address such as 127.0.0.1:8125"))
}

pub(super) fn statsd(said: Section<'_, '_>) -> Option<StatsdConfig> {
    let default = StatsdLimits::default();
    let series = said.integer("series_max", 1..=10_000_000);
    let config = StatsdConfig {
        udp: said.parsed("udp", address),
        unix: said.text("unix").map(PathBuf::from),
        flush_interval: said
            .duration("flush_interval", interval_range())
            .unwrap_or(10 * SECOND),
        limits: StatsdLimits {
            series: series.map_or(default.series, |n| usize::try_from(n).unwrap_or(usize::MAX)),
            ..default
        },
        label_limits: Limits::default(),
    };
    let is_present = said.is_present();
    if is_present && config.udp.is_none() && config.unix.is_none() {
        said.mistake("udp", "give an address in `udp`, a path in `unix`, or both");
    }
    said.finish();
    is_present.then_some(config)
}

pub(super) fn otlp_grpc(said: Section<'_, '_>) -> Option<OtlpGrpc> {
    let config = OtlpGrpc {
        // OpenTelemetry's port, on loopback.
        listen: said
            .parsed("listen", address)
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 4317))),
        message_bytes_max: super::size(&said, "message_bytes_max", 4 << 20, 64 << 20),
    };
    let is_present = said.is_present();
    said.finish();
    is_present.then_some(config)
}

pub(super) fn process(said: Section<'_, '_>) -> Process {
    let name = said.text("name");
    let pid = said.integer("pid", 1..=u64::from(u32::MAX));
    let file = said.text("pid_file");
    let job = said.text("job").or_else(|| name.clone());
    let selector = match (name, pid, file) {
        (Some(name), None, None) => Selector::Name(name),
        (None, Some(pid), None) => Selector::Pid(u32::try_from(pid).unwrap_or(u32::MAX)),
        (None, None, Some(file)) => Selector::PidFile(file.into()),
        _ => {
            said.mistake("name", "give one of `name`, `pid` and `pid_file`");
            Selector::Pid(0)
        }
    };
    if job.is_none() {
        said.mistake("job", "is needed where there is no `name`");
    }
    let process = Process {
        job: job.unwrap_or_default(),
        selector,
        interval: said
            .duration("interval", interval_range())
            .unwrap_or(SECOND),
    };
    said.finish();
    process
}

pub(super) fn probe(said: Section<'_, '_>) -> ProbeConfig {
    let interval = said
        .duration("interval", interval_range())
        .unwrap_or(PROBE_INTERVAL);
    let (words, url) = (said.texts("command"), said.text("url"));
    let action = match url {
        Some(url) if words.is_empty() => {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                said.mistake("url", "begins with neither http:// nor https://");
            }
            Action::Url(url, Arc::new(HttpSettings::default()))
        }
        None if !words.is_empty() => Action::Command(words),
        _ => {
            said.mistake("command", "give either `command` or `url`");
            Action::Command(Vec::new())
        }
    };
    let timeout = said.duration("timeout", interval_range());
    if timeout.is_some_and(|timeout| timeout > interval) {
        said.mistake("timeout", "is longer than the interval");
    }
    let probe = ProbeConfig {
        name: said.required_text("name"),
        action,
        interval,
        timeout: timeout.unwrap_or(interval),
        format: said
            .choice("format", &FORMATS)
            .unwrap_or(Format::Prometheus),
        labels: Vec::new(),
    };
    said.finish();
    probe
}

pub(super) fn trigger(said: Section<'_, '_>) -> TriggerConfig {
    let (above, below) = (said.number("above"), said.number("below"));
    let (side, enter) = match (above, below) {
        (Some(above), None) => (Side::Above, above),
        (None, Some(below)) => (Side::Below, below),
        _ => {
            said.mistake("above", "give either `above` or `below`");
            (Side::Above, f64::INFINITY)
        }
    };
    let exit = said.number("exit").unwrap_or(enter);
    let is_beyond = match side {
        Side::Above => exit > enter,
        Side::Below => exit < enter,
    };
    if is_beyond {
        said.mistake("exit", "lies inside the condition: it would never be left");
    }
    let (metric, labels) = said.parsed("series", series).unwrap_or_default();
    if metric.is_empty() {
        said.mistake(
            "series",
            "needs a metric, such as `node_load1{instance=\"a\"}`",
        );
    }
    let applies_to = said.texts("applies_to");
    let scopes = applies_to.iter().filter_map(|word| {
        let scope = scope(word);
        if scope.is_none() {
            let what = format!("{word:?} is none of host, all, job:NAME, probe:NAME, process:NAME");
            said.mistake("applies_to", what);
        }
        scope
    });
    let applies_to: Vec<Scope> = scopes.collect();
    if applies_to.is_empty() {
        said.mistake("applies_to", "names nothing that is sampled closer");
    }
    let trigger = TriggerConfig {
        name: said.required_text("name"),
        metric,
        labels,
        side,
        enter,
        exit,
        interval: said
            .duration("interval", interval_range())
            .unwrap_or_else(|| {
                said.mistake("interval", "is missing: how closely while it holds?");
                SECOND
            }),
        applies_to,
    };
    said.finish();
    trigger
}

fn scope(word: &str) -> Option<Scope> {
    match word.split_once(':') {
        None if word == "host" => Some(Scope::Host),
        None if word == "all" => Some(Scope::All),
        Some(("job", name)) => Some(Scope::Job(name.to_owned())),
        Some(("probe", name)) => Some(Scope::Probe(name.to_owned())),
        Some(("process", name)) => Some(Scope::Process(name.to_owned())),
        _ => None,
    }
}

/// A metric's name and the labels asked of it.
type Series = (String, Vec<(String, String)>);

/// A selector of equal labels: `node_load1{instance="a"}`.
fn series(text: &str) -> Result<Series, String> {
    let wrong = || format!("{text:?} is not a metric with labels, such as up{{job=\"a\"}}");
    let Ok(query::ast::Expr::Vector(selector)) = query::parse(text) else {
        return Err(wrong());
    };
    let (mut metric, mut labels) = (String::new(), Vec::new());
    for matcher in &selector.matchers {
        if matcher.op != MatchOp::Equal {
            return Err("only `=` can be asked of a label here".to_owned());
        }
        if matcher.name == METRIC_NAME {
            metric.clone_from(&matcher.value);
        } else {
            labels.push((matcher.name.clone(), matcher.value.clone()));
        }
    }
    Ok((metric, labels))
}
