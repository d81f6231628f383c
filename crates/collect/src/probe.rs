//! Probes of the user's own: a command, an HTTP endpoint, or code of the program that links us.
//!
//! Each runs on its own tick, within its time and its output, and harms nobody when it fails: a
//! command runs in a process group of its own that is killed whole, whatever became of it; code
//! runs on a thread of its own, and its panic is a failure like any other. Every run, good or bad,
//! writes `alluse_probe_success` and `alluse_probe_duration_seconds`; series a probe no longer
//! says end with a staleness marker.

mod command;
mod output;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use hyper::HeaderMap;
use model::{Batch, Clock, Labels, METRIC_NAME, Metadata, Sample};
use thiserror::Error;
use tokio::task::JoinHandle;

use crate::{
    http::{HttpClient, HttpError, HttpSettings, read_body},
    scrape::{joined, with_causes},
    stale::LastSeen,
    tally::Tally,
};
use output::Reader;

const SUCCESS: &str = "alluse_probe_success";
const DURATION: &str = "alluse_probe_duration_seconds";
/// Counts failed runs, by probe and reason.
const FAILURES: &str = "alluse_probe_failures_total";

/// Bytes of output read of one run. 1 MiB: some ten thousand series.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// A probe as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeConfig {
    /// The label `probe`.
    pub name: String,
    /// What is run.
    pub action: Action,
    /// Between two runs.
    pub interval: Duration,
    /// Longest run.
    pub timeout: Duration,
    /// How its output is read.
    pub format: Format,
    /// Labels added to every series.
    pub labels: Vec<(String, String)>,
}

/// What a probe runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A program with its arguments; no shell in between.
    Command(Vec<String>),
    /// An HTTP endpoint that must answer with a status of success.
    Url(String, Arc<HttpSettings>),
}

/// How a probe's output becomes samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Exposition text; OpenMetrics where it ends with `# EOF`.
    Prometheus,
    /// A JSON object: each number, true or false becomes a gauge named for the probe and the keys
    /// that lead to it.
    Json,
    /// One number: a gauge named for the probe.
    Value,
    /// Nothing is read: only whether it succeeded counts.
    None,
}

/// A probe inside this process.
pub trait Probe: std::fmt::Debug + Send + 'static {
    /// Samples once, on a thread where it may block. Samples without a time of their own carry
    /// `tick_ms`. A probe that takes too long is not asked again before it is done.
    fn sample(
        &mut self,
        tick_ms: i64,
    ) -> Result<Vec<Sample>, Box<dyn std::error::Error + Send + Sync>>;
}

/// Why a run failed.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The program cannot be started.
    #[error("cannot start {program}")]
    Start {
        /// Its name.
        program: String,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The program says it failed.
    #[error("it ended with {status}{said}")]
    Exit {
        /// Its code or signal.
        status: String,
        /// The end of what it wrote to standard error, after a colon.
        said: String,
    },
    /// Not done in time.
    #[error("not done within {0:?}")]
    Timeout(Duration),
    /// More output than allowed.
    #[error("more than {0} bytes of output")]
    TooLarge(usize),
    /// The endpoint does not answer.
    #[error("cannot ask the endpoint")]
    Fetch(#[source] HttpError),
    /// The endpoint answers no success.
    #[error("the endpoint answered {0}")]
    Status(u16),
    /// The output is not of its format.
    #[error("the output cannot be read: {0}")]
    Output(String),
    /// Reading its output failed.
    #[error("cannot read its output")]
    Read(#[source] std::io::Error),
    /// The probe inside this process says it failed.
    #[error("it failed: {0}")]
    Own(String),
    /// The probe inside this process panicked.
    #[error("it panicked: {0}")]
    Panic(String),
}

impl ProbeError {
    /// As a label value.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Exit { .. } => "exit",
            Self::Timeout(_) => "timeout",
            Self::TooLarge(_) => "output_size",
            Self::Fetch(_) => "fetch",
            Self::Status(_) => "status",
            Self::Output(_) => "output",
            Self::Read(_) => "read",
            Self::Own(_) => "own",
            Self::Panic(_) => "panic",
        }
    }
}

/// What an inner probe gives back: itself, and what came of it.
type Returned = (Box<dyn Probe>, Result<Vec<Sample>, ProbeError>);

/// What runs.
#[derive(Debug)]
enum Source {
    Command(Vec<String>),
    Url(String, HttpClient),
    Inner(Inner),
}

/// Code of this process: at rest, or running still.
#[derive(Debug)]
enum Inner {
    Ready(Box<dyn Probe>),
    Running(JoinHandle<Returned>),
    /// Its thread is gone with it.
    Lost,
}

/// Runs one probe again and again.
#[derive(Debug)]
pub struct ProbeRunner {
    source: Source,
    timeout: Duration,
    reader: Reader,
    own: Labels,
    report: [Labels; 2],
    last: LastSeen,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
    name: String,
    failing: bool,
}

impl ProbeRunner {
    /// A runner of a configured probe.
    #[must_use]
    pub fn new(config: &ProbeConfig, clock: Arc<dyn Clock>, tally: Arc<Tally>) -> Self {
        let source = match &config.action {
            Action::Command(words) => Source::Command(words.clone()),
            Action::Url(url, http) => Source::Url(url.clone(), HttpClient::new(Arc::clone(http))),
        };
        let reader = Reader::new(config.format, &config.name);
        Self::with(source, reader, config, clock, tally)
    }

    /// A runner of code of this process; the configuration's action and format do not count.
    #[must_use]
    pub fn inner(
        probe: Box<dyn Probe>,
        config: &ProbeConfig,
        clock: Arc<dyn Clock>,
        tally: Arc<Tally>,
    ) -> Self {
        let source = Source::Inner(Inner::Ready(probe));
        let reader = Reader::new(Format::None, &config.name);
        Self::with(source, reader, config, clock, tally)
    }

    fn with(
        source: Source,
        reader: Reader,
        config: &ProbeConfig,
        clock: Arc<dyn Clock>,
        tally: Arc<Tally>,
    ) -> Self {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let fixed = [pair("job", "probe"), pair("probe", &config.name)];
        let own = Labels::from_pairs(fixed.into_iter().chain(config.labels.iter().cloned()));
        Self {
            source,
            timeout: config.timeout.min(config.interval),
            reader,
            report: [SUCCESS, DURATION].map(|name| own.with(METRIC_NAME, name)),
            own,
            last: LastSeen::default(),
            clock,
            tally,
            name: config.name.clone(),
            failing: false,
        }
    }

    /// Runs once. Cancel-safe: a run that is given up is killed.
    pub async fn run(&mut self, tick_ms: i64) -> Batch {
        let begun = self.clock.monotonic();
        let mut batch = Batch::default();
        let done = self.attempt(tick_ms, &mut batch.metadata).await;
        let duration = self.clock.monotonic().saturating_sub(begun);
        let succeeded = f64::from(u8::from(done.is_ok()));
        self.note(done.as_ref().err());
        batch.samples = done.unwrap_or_default();
        let turnover = self.last.turn(&batch.samples, tick_ms);
        batch.samples.extend(turnover.gone);
        let report = self.report.iter().zip([succeeded, duration.as_secs_f64()]);
        let report = report.map(|(labels, value)| Sample::float(labels.clone(), tick_ms, value));
        batch.samples.extend(report);
        batch
    }

    /// Staleness markers for every series: it is no longer run.
    pub fn end(&mut self, tick_ms: i64) -> Batch {
        let mut samples = self.last.end(tick_ms);
        let stale = |labels: &Labels| Sample::float(labels.clone(), tick_ms, model::stale_nan());
        samples.extend(self.report.iter().map(stale));
        Batch {
            samples,
            ..Batch::default()
        }
    }

    fn note(&mut self, error: Option<&ProbeError>) {
        if let Some(error) = error {
            let labels = [("probe", self.name.as_str()), ("reason", error.reason())];
            self.tally.add(FAILURES, &labels, 1.0);
            if !self.failing {
                let error = with_causes(error);
                tracing::warn!(probe = self.name, error, "a probe fails");
            }
        }
        self.failing = error.is_some();
    }

    async fn attempt(
        &mut self,
        tick_ms: i64,
        metadata: &mut Vec<Metadata>,
    ) -> Result<Vec<Sample>, ProbeError> {
        let late = |_elapsed| ProbeError::Timeout(self.timeout);
        let samples = match &mut self.source {
            Source::Inner(inner) => inner.ask(tick_ms, self.timeout).await?,
            Source::Command(words) => {
                let run = tokio::time::timeout(self.timeout, command::output(words));
                let output = run.await.map_err(late)??;
                self.reader.read(&output, tick_ms, metadata)?
            }
            Source::Url(url, client) => {
                let asked = tokio::time::timeout(self.timeout, fetch(client, url));
                let output = asked.await.map_err(late)??;
                self.reader.read(&output, tick_ms, metadata)?
            }
        };
        let labelled = samples.into_iter().map(|sample| Sample {
            labels: joined(&sample.labels, &self.own, false),
            ..sample
        });
        Ok(labelled.collect())
    }
}

async fn fetch(client: &HttpClient, url: &str) -> Result<Vec<u8>, ProbeError> {
    let response = client.get(url, &HeaderMap::new()).await;
    let response = response.map_err(ProbeError::Fetch)?;
    if !response.status().is_success() {
        return Err(ProbeError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    let read = read_body(url, response.into_body(), OUTPUT_BYTES_MAX, &mut body).await;
    match read {
        Ok(()) => Ok(body),
        Err(HttpError::TooLarge { limit, .. }) => Err(ProbeError::TooLarge(limit)),
        Err(error) => Err(ProbeError::Fetch(error)),
    }
}

impl Inner {
    /// Asks the probe, or goes on waiting for its earlier answer, which is then late and lost.
    async fn ask(&mut self, tick_ms: i64, timeout: Duration) -> Result<Vec<Sample>, ProbeError> {
        let is_late = matches!(self, Self::Running(_));
        let running = match std::mem::replace(self, Self::Lost) {
            Self::Ready(probe) => tokio::task::spawn_blocking(move || guarded(probe, tick_ms)),
            Self::Running(running) => running,
            Self::Lost => return Err(ProbeError::Panic("its thread is gone".to_owned())),
        };
        // Put back first: the wait below may be given up.
        *self = Self::Running(running);
        let Self::Running(running) = self else {
            unreachable!("put back above");
        };
        match tokio::time::timeout(timeout, running).await {
            Err(_elapsed) => Err(ProbeError::Timeout(timeout)),
            Ok(Err(error)) => {
                *self = Self::Lost;
                Err(ProbeError::Panic(error.to_string()))
            }
            Ok(Ok((probe, result))) => {
                *self = Self::Ready(probe);
                match result {
                    Ok(_) if is_late => Err(ProbeError::Timeout(timeout)),
                    other => other,
                }
            }
        }
    }
}

/// A panic of the probe ends its run, and nothing else. What it leaves of its own state is its
/// own affair: it is asked again.
fn guarded(mut probe: Box<dyn Probe>, tick_ms: i64) -> Returned {
    let result = catch_unwind(AssertUnwindSafe(|| probe.sample(tick_ms)));
    let result = match result {
        Ok(Ok(samples)) => Ok(samples),
        Ok(Err(error)) => Err(ProbeError::Own(error.to_string())),
        Err(panic) => {
            let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(ProbeError::Panic(said.unwrap_or_default()))
        }
    };
    (probe, result)
}
