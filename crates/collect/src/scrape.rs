//! One target over HTTP: fetch, parse, label, and say how it went.
//!
//! Every scrape, good or bad, writes `up`, `scrape_duration_seconds`, `scrape_samples_scraped`,
//! `scrape_samples_post_metric_relabeling` and `scrape_series_added`. A series that is gone gets a
//! staleness marker, and so does every series of a target that cannot be scraped. All samples
//! carry the scheduled tick, unless the target gives times of its own.

mod fetch;

use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

use model::{Batch, Clock, Exemplar, Labels, METRIC_NAME, Sample};
use thiserror::Error;

use crate::{
    completeness::Completeness,
    exposition::{Format, FormatError, Limits, ParseError, Parser},
    http::{HttpClient, HttpError, HttpSettings},
    relabel::{Rule, relabel},
    stale::LastSeen,
};

/// What is scraped, how and how often. Names as in Prometheus's `scrape_config`.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// `http://host:port/path`, or `https`.
    pub url: String,
    /// The job it belongs to, whatever its label `job` says; empty for a target of its own.
    pub pool: String,
    /// What discovery said of it.
    pub discovered: Labels,
    /// The label `job`.
    pub job: String,
    /// The label `instance`; normally `host:port` of the URL.
    pub instance: String,
    /// Further labels of every series.
    pub labels: Vec<(String, String)>,
    /// Time between two scrapes.
    pub interval: Duration,
    /// Longest time a scrape may take; never above the interval.
    pub timeout: Duration,
    /// Where the target's labels clash with ours: keep the target's. Otherwise they are kept as
    /// `exported_<name>`.
    pub honor_labels: bool,
    /// Keep the times the target gives.
    pub honor_timestamps: bool,
    /// How to read a body whose `Content-Type` says nothing we know.
    pub fallback: Option<Format>,
    /// Ask for gzip. Off: on a local network the bytes are cheaper than the target's CPU.
    pub gzip: bool,
    /// Bounds on what the target may send.
    pub limits: Limits,
    /// Samples left after relabelling, at most; more and the scrape fails. 0: no limit.
    pub sample_limit: usize,
    /// Bounds on each series' labels after relabelling.
    pub label_limits: LabelLimits,
    /// What to ask for, best first.
    pub protocols: Vec<Protocol>,
    /// Whether the scrape's timeout, limit and size are written as series too.
    pub extra_metrics: bool,
    /// Credentials, TLS, redirects.
    pub http: Arc<HttpSettings>,
    /// Not to be scraped: why every scrape fails.
    pub refused: Option<String>,
    /// Applied to every series, after the target's own labels were put on it.
    pub metric_relabel: Vec<Rule>,
}

/// Bounds on the labels of a series, its name and the target's labels included. 0: no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LabelLimits {
    /// How many.
    pub count: usize,
    /// Bytes of a name.
    pub name_bytes: usize,
    /// Bytes of a value.
    pub value_bytes: usize,
}

/// A text format a target may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OpenMetrics 1.0.0.
    OpenMetricsText100,
    /// OpenMetrics 0.0.1.
    OpenMetricsText001,
    /// Prometheus text 1.0.0: 0.0.4 with UTF-8 names.
    PrometheusText100,
    /// Prometheus text 0.0.4.
    PrometheusText004,
}

impl Protocol {
    /// Prometheus 3's order, without protobuf.
    pub const PREFERRED: [Self; 4] = [
        Self::OpenMetricsText100,
        Self::OpenMetricsText001,
        Self::PrometheusText100,
        Self::PrometheusText004,
    ];

    fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetricsText100 => {
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"
            }
            Self::OpenMetricsText001 => "application/openmetrics-text;version=0.0.1",
            Self::PrometheusText100 => "text/plain;version=1.0.0;escaping=allow-utf-8",
            Self::PrometheusText004 => "text/plain;version=0.0.4",
        }
    }

    /// How it is read.
    #[must_use]
    pub fn format(self) -> Format {
        match self {
            Self::OpenMetricsText100 | Self::OpenMetricsText001 => Format::OpenMetrics,
            Self::PrometheusText100 | Self::PrometheusText004 => Format::Prometheus,
        }
    }
}

impl Target {
    /// A target with Prometheus's defaults, scraped each second.
    #[must_use]
    pub fn new(job: impl Into<String>, url: impl Into<String>) -> Self {
        let url = url.into();
        let instance = instance_of(&url);
        Self {
            url,
            pool: String::new(),
            discovered: Labels::empty(),
            job: job.into(),
            instance,
            labels: Vec::new(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            honor_labels: false,
            honor_timestamps: true,
            fallback: None,
            gzip: false,
            limits: Limits::default(),
            sample_limit: 0,
            label_limits: LabelLimits::default(),
            protocols: Protocol::PREFERRED.to_vec(),
            extra_metrics: false,
            http: Arc::default(),
            refused: None,
            metric_relabel: Vec::new(),
        }
    }

    /// The labels put on every series: `job`, `instance` and the further ones.
    #[must_use]
    pub fn own_labels(&self) -> Labels {
        let mut builder = Labels::from_pairs(self.labels.iter().cloned()).to_builder();
        builder
            .set("job", self.job.as_str())
            .set("instance", self.instance.as_str());
        builder.build()
    }
}

/// `host:port` of a URL.
fn instance_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?']).next().unwrap_or(rest);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port {
        host.to_owned()
    } else {
        format!("{host}:80")
    }
}

/// Why a scrape failed.
#[derive(Debug, Error)]
pub enum ScrapeError {
    /// No answer, or a broken one.
    #[error("cannot fetch {url}")]
    Fetch {
        /// The target.
        url: String,
        /// What went wrong.
        #[source]
        source: HttpError,
    },
    /// No whole answer in time.
    #[error("{url} did not answer within {timeout:?}")]
    Timeout {
        /// The target.
        url: String,
        /// The time it had.
        timeout: Duration,
    },
    /// Not 200.
    #[error("{url} answered {status}")]
    Status {
        /// The target.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// More bytes than allowed, counted after decompression.
    #[error("the body of {url} is longer than {limit} bytes")]
    TooLarge {
        /// The target.
        url: String,
        /// `body_bytes` of its limits.
        limit: usize,
    },
    /// The body is not what its encoding says.
    #[error("cannot decompress the body of {url}")]
    Encoding {
        /// The target.
        url: String,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// Not a format we read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A bad line; nothing of the body counts.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// Over one of the job's limits; nothing of the body counts.
    #[error("{0}")]
    Limit(String),
}

impl ScrapeError {
    /// As a label value.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Fetch { .. } => "fetch",
            Self::Timeout { .. } => "timeout",
            Self::Status { .. } => "status",
            Self::TooLarge { .. } => "body_size",
            Self::Encoding { .. } => "encoding",
            Self::Format(_) => "format",
            Self::Parse(_) => "parse",
            Self::Limit(_) => "limit",
        }
    }
}

/// One scrape's result.
#[derive(Debug)]
pub struct Scrape {
    /// Samples of the target, staleness markers, and the scrape's own series.
    pub batch: Batch,
    /// How long fetching and parsing took.
    pub duration: Duration,
    /// Why it failed, if it did.
    pub error: Option<ScrapeError>,
}

/// Scrapes one target again and again.
#[derive(Debug)]
pub struct Scraper {
    target: Target,
    client: HttpClient,
    accept: String,
    clock: Arc<dyn Clock>,
    parser: Parser,
    /// Final labels by the parser's slot; `None` where relabelling drops the series.
    labels: Vec<Option<Labels>>,
    own: Labels,
    report: Vec<Labels>,
    last: LastSeen,
    pub(crate) completeness: Completeness,
    /// Exemplars without a time, by slot of their series: labels and bits of the value.
    told: BTreeMap<usize, (Labels, u64)>,
    body: Vec<u8>,
}

/// The series every scrape writes, and after them those of `extra_scrape_metrics`.
const REPORT: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];

/// How many of them are extra.
const REPORT_EXTRA: usize = 3;

impl Scraper {
    /// A scraper; `client` may be shared between targets of the same `http` settings.
    #[must_use]
    pub fn new(target: Target, client: HttpClient, clock: Arc<dyn Clock>) -> Self {
        let own = target.own_labels();
        let extra = if target.extra_metrics {
            REPORT_EXTRA
        } else {
            0
        };
        let report = &REPORT[..REPORT.len() - REPORT_EXTRA + extra];
        Self {
            parser: Parser::new(target.limits),
            accept: accept(&target.protocols),
            labels: Vec::new(),
            report: report
                .iter()
                .map(|name| own.with(METRIC_NAME, name))
                .collect(),
            own,
            last: LastSeen::default(),
            completeness: Completeness::default(),
            told: BTreeMap::new(),
            body: Vec::new(),
            target,
            client,
            clock,
        }
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Scrapes once; samples without a time of their own carry `tick_ms`.
    pub async fn scrape(&mut self, tick_ms: i64) -> Scrape {
        let begun = self.clock.monotonic();
        self.body.clear();
        let fetched = match &self.target.refused {
            Some(why) => Err(ScrapeError::Limit(why.clone())),
            None => fetch::fetch(&self.client, &self.target, &self.accept, &mut self.body).await,
        };
        let mut batch = Batch::default();
        let read = fetched.and_then(|format| self.read(format, tick_ms, &mut batch));
        let scraped = match &read {
            Ok(()) => self.parser.found().samples.len(),
            Err(error) => {
                batch.samples.clear();
                if matches!(error, ScrapeError::Parse(_) | ScrapeError::Limit(_)) {
                    self.forget();
                }
                0
            }
        };
        let turnover = self.last.turn(&batch.samples, tick_ms);
        let duration = self.clock.monotonic().saturating_sub(begun);
        let error = read.err();
        let up = f64::from(u8::from(error.is_none()));
        let figures = [
            up,
            duration.as_secs_f64(),
            scraped as f64,
            batch.samples.len() as f64,
            turnover.added as f64,
            self.target.timeout.as_secs_f64(),
            self.target.sample_limit as f64,
            self.body.len() as f64,
        ];
        batch.samples.extend(turnover.gone);
        let report = self.report.iter().zip(figures);
        batch
            .samples
            .extend(report.map(|(l, value)| Sample::float(l.clone(), tick_ms, value)));
        Scrape {
            batch,
            duration,
            error,
        }
    }

    /// Staleness markers for every series of the target, the scrape's own included: it is no
    /// longer scraped.
    pub fn end(&mut self, tick_ms: i64) -> Batch {
        let mut samples = self.last.end(tick_ms);
        let stale = |labels: &Labels| Sample::float(labels.clone(), tick_ms, model::stale_nan());
        samples.extend(self.report.iter().map(stale));
        Batch {
            samples,
            ..Batch::default()
        }
    }

    /// After a body that was refused no slot of the parser is kept: some have no labels yet.
    fn forget(&mut self) {
        self.parser = Parser::new(self.target.limits);
        self.labels.clear();
        self.told.clear();
    }

    fn read(&mut self, format: Format, tick_ms: i64, batch: &mut Batch) -> Result<(), ScrapeError> {
        self.parser.parse(format, &self.body)?;
        let found = self.parser.found();
        batch.samples.reserve(found.samples.len() + REPORT.len());
        for sample in &found.samples {
            if sample.fresh {
                let said = self.parser.labels(sample.slot);
                let labels = joined(said, &self.own, self.target.honor_labels);
                let labels = relabelled(labels, &self.target.metric_relabel);
                if let Some(labels) = &labels {
                    self.target.label_limits.check(labels)?;
                }
                keep(&mut self.labels, sample.slot, labels);
            }
            let own_time = sample.time_ms.filter(|_| self.target.honor_timestamps);
            let Some(labels) = &self.labels[sample.slot] else {
                continue;
            };
            batch.samples.push(Sample::float(
                labels.clone(),
                own_time.unwrap_or(tick_ms),
                sample.value,
            ));
        }
        let (kept, limit) = (batch.samples.len(), self.target.sample_limit);
        if limit > 0 && kept > limit {
            let what = format!("sample_limit exceeded: {kept} samples, the limit is {limit}");
            return Err(ScrapeError::Limit(what));
        }
        batch.metadata.clone_from(&found.metadata);
        self.exemplars(tick_ms, batch);
        Ok(())
    }

    /// Exemplars of the body just read. One without a time of its own is of this tick, and told
    /// once: as long as the target repeats it, it is the same.
    fn exemplars(&mut self, tick_ms: i64, batch: &mut Batch) {
        let found = self.parser.found();
        for exemplar in &found.exemplars {
            let sample = &found.samples[exemplar.sample];
            let Some(series) = &self.labels[sample.slot] else {
                continue;
            };
            let told = &mut self.told;
            let said = (exemplar.labels.clone(), exemplar.value.to_bits());
            if exemplar.time_ms.is_none() && told.insert(sample.slot, said.clone()) == Some(said) {
                continue;
            }
            let of_sample = sample.time_ms.filter(|_| self.target.honor_timestamps);
            batch.exemplars.push(Exemplar {
                series: series.clone(),
                labels: exemplar.labels.clone(),
                value: exemplar.value,
                time_ms: exemplar.time_ms.or(of_sample).unwrap_or(tick_ms),
            });
        }
        // Slots are used again for other series.
        if self.told.len() > found.samples.len() {
            self.told.clear();
        }
    }
}

impl LabelLimits {
    fn check(&self, labels: &Labels) -> Result<(), ScrapeError> {
        let over = |limit: usize, size: usize| limit > 0 && size > limit;
        let refuse = |what: &str| Err(ScrapeError::Limit(format!("{what} exceeded by {labels}")));
        if over(self.count, labels.count()) {
            return refuse("label_limit");
        }
        for (name, value) in labels.iter() {
            if over(self.name_bytes, name.len()) {
                return refuse("label_name_length_limit");
            }
            if over(self.value_bytes, value.len()) {
                return refuse("label_value_length_limit");
            }
        }
        Ok(())
    }
}

/// The `Accept` header: each protocol with a lower weight than the one before it, then anything.
fn accept(protocols: &[Protocol]) -> String {
    let weighted = |(index, protocol): (usize, &Protocol)| {
        format!(
            "{};q=0.{}",
            protocol.media_type(),
            protocols.len() + 1 - index
        )
    };
    let mut parts: Vec<String> = protocols.iter().enumerate().map(weighted).collect();
    parts.push("*/*;q=0.1".to_owned());
    parts.join(",")
}

/// An error with its causes, on one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

fn keep(by_slot: &mut Vec<Option<Labels>>, slot: usize, labels: Option<Labels>) {
    if slot >= by_slot.len() {
        by_slot.resize(slot + 1, None);
    }
    by_slot[slot] = labels;
}

/// The final labels, unless the rules drop the series or take its name away.
fn relabelled(labels: Labels, rules: &[Rule]) -> Option<Labels> {
    if rules.is_empty() {
        return Some(labels);
    }
    relabel(&labels, rules).filter(|labels| !labels.metric_name().is_empty())
}

/// The target's labels with our own. Where they clash, `honor` keeps theirs; otherwise theirs
/// become `exported_<name>`, with as many `exported_` as it takes.
pub(crate) fn joined(said: &Labels, own: &Labels, honor: bool) -> Labels {
    let mut builder = said.to_builder();
    for (name, value) in own.iter() {
        if let Some(theirs) = builder.get(name).map(str::to_owned) {
            if honor {
                continue;
            }
            let mut exported = format!("exported_{name}");
            while builder.get(&exported).is_some() {
                exported.insert_str(0, "exported_");
            }
            builder.set(exported, theirs);
        }
        builder.set(name, value);
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_is_the_host_and_port_of_the_url() {
        for (url, instance) in [
            ("http://127.0.0.1:9100/metrics", "127.0.0.1:9100"),
            ("http://user:pw@host/metrics?x=1", "host:80"),
            ("http://[::1]:9100", "[::1]:9100"),
            ("host:1/metrics", "host:1"),
        ] {
            assert_eq!(Target::new("job", url).instance, instance, "{url}");
        }
    }

    #[test]
    fn clashing_labels_are_exported_or_honoured() {
        let said = Labels::from_pairs([("job", "theirs"), ("exported_job", "older"), ("a", "1")]);
        let own = Labels::from_pairs([("job", "ours"), ("instance", "i")]);
        assert_eq!(
            joined(&said, &own, false).to_string(),
            r#"{a="1", exported_exported_job="theirs", exported_job="older", instance="i", job="ours"}"#
        );
        assert_eq!(
            joined(&said, &own, true).to_string(),
            r#"{a="1", exported_job="older", instance="i", job="theirs"}"#
        );
    }
}
