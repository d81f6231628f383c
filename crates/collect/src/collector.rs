//! The composition: the host, processes and scrape targets, each on its own tick, into one
//! channel of batches.
//!
//! Each source is a task with its own [`Ticker`]. Batches go into a bounded channel without
//! waiting: a sink that does not keep up costs samples, which are counted, and never the rhythm.
//! Targets and processes come and go through a [`Handle`] while the collector runs; what is
//! removed gets its staleness markers.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use model::{Batch, Clock, Metadata, Sample};
use tokio::{
    sync::{mpsc, mpsc::error::TrySendError, watch},
    task::JoinSet,
};

use crate::{
    host::{Host, HostConfig},
    process::{Process, ProcessConfig},
    quality::Quality,
    scrape::{Scraper, Target},
    tally::Tally,
    ticker::{Tick, Ticker},
};

const TICKS: &str = "alluse_collect_ticks_total";
const TICKS_SKIPPED: &str = "alluse_collect_ticks_skipped_total";
const CLOCK_JUMPS: &str = "alluse_collect_clock_jumps_total";
const SAMPLES: &str = "alluse_collect_samples_total";
const SAMPLES_DROPPED: &str = "alluse_collect_samples_dropped_total";
const BATCHES_DROPPED: &str = "alluse_collect_batches_dropped_total";
const SCRAPE_FAILURES: &str = "alluse_collect_scrape_failures_total";
const ORDERS_LOST: &str = "alluse_collect_orders_lost_total";
const GAPS: &str = "alluse_collect_gaps_total";
const MISSED_SCRAPES: &str = "alluse_collect_missed_scrapes_total";
const COMPLETENESS: &str = "alluse_collect_completeness_ratio";
const SAMPLING_SECONDS: &str = "alluse_collect_sampling_seconds";

/// Orders that may wait: a discovery of a thousand targets at once.
const ORDERS_MAX: usize = 1024;

/// Longest wait for a task to end: beyond it (a read that the kernel never answers) the task is
/// left behind without its staleness markers.
const END_WAIT: Duration = Duration::from_secs(5);

/// What to collect from the start. More can be added through the [`Handle`].
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// This host, if it is to be sampled.
    pub host: Option<HostConfig>,
    /// Processes.
    pub processes: Vec<ProcessConfig>,
    /// Scrape targets.
    pub targets: Vec<Target>,
}

/// How a target's last scrape went, for an API.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetStatus {
    /// The target.
    pub target: Target,
    /// `None` before the first scrape.
    pub up: Option<bool>,
    /// Why the last scrape failed, with its causes.
    pub last_error: Option<String>,
    /// Tick of the last scrape, ms since the Unix epoch.
    pub last_scrape_ms: Option<i64>,
    /// How long the last scrape took.
    pub last_duration: Duration,
}

/// What a running collector can be asked and told. Clones are the same collector.
#[derive(Debug, Clone)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
    tally: Arc<Tally>,
    quality: Arc<Quality>,
    targets: Arc<Mutex<BTreeMap<String, TargetStatus>>>,
}

/// A change of what is collected.
#[derive(Debug)]
enum Order {
    Target(Box<Target>),
    RemoveTarget(String),
    Process(String, Box<ProcessConfig>),
    RemoveProcess(String),
}

impl Handle {
    /// Begins to scrape a target; one with the same URL is replaced.
    pub fn add_target(&self, target: Target) {
        self.order(Order::Target(Box::new(target)));
    }

    /// Stops scraping the target with that URL.
    pub fn remove_target(&self, url: &str) {
        self.order(Order::RemoveTarget(url.to_owned()));
    }

    /// Begins to sample a process under a name of the caller's; one with the same name is
    /// replaced.
    pub fn add_process(&self, name: impl Into<String>, process: ProcessConfig) {
        self.order(Order::Process(name.into(), Box::new(process)));
    }

    /// Stops sampling the process with that name.
    pub fn remove_process(&self, name: &str) {
        self.order(Order::RemoveProcess(name.to_owned()));
    }

    /// The targets and how they fare, by URL.
    #[must_use]
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.lock().values().cloned().collect()
    }

    /// What came by each door: for the sink and the receivers of the same program, too.
    #[must_use]
    pub fn quality(&self) -> &Arc<Quality> {
        &self.quality
    }

    /// The collector's own counters, as samples of the time given.
    #[must_use]
    pub fn metrics(&self, time_ms: i64) -> Vec<Sample> {
        let mut samples = self.tally.samples(time_ms);
        samples.extend(self.quality.samples(time_ms));
        samples
    }

    /// The collector's own counters.
    #[must_use]
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// One that is lost is counted: the collector has ended, or cannot keep up with orders.
    fn order(&self, order: Order) {
        if let Err(error) = self.orders.try_send(order) {
            self.tally.add(ORDERS_LOST, &[], 1.0);
            tracing::error!(%error, "an order to the collector is lost");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, TargetStatus>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects until told to stop.
#[derive(Debug)]
pub struct Collector {
    config: Config,
    clock: Arc<dyn Clock>,
    handle: Handle,
    orders: mpsc::Receiver<Order>,
}

impl Collector {
    /// A collector that has not begun.
    #[must_use]
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Self {
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        let handle = Handle {
            orders: sender,
            tally: Arc::default(),
            quality: Arc::default(),
            targets: Arc::default(),
        };
        Self {
            config,
            clock,
            handle,
            orders,
        }
    }

    /// A handle, before or while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Collects into `sink` until `shutdown` resolves or the sink's receiver is gone, then sends
    /// the staleness markers of everything and returns.
    pub async fn run(mut self, sink: mpsc::Sender<Batch>, shutdown: impl Future<Output = ()>) {
        let shell = Shell {
            clock: self.clock.clone(),
            handle: self.handle.clone(),
            sink,
        };
        let mut tasks = Tasks::new(shell);
        tasks.begin(std::mem::take(&mut self.config));
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                () = tasks.shell.sink.closed() => break,
                Some(order) = self.orders.recv() => tasks.follow(order).await,
            }
        }
        tasks.end_all().await;
    }
}

/// The running tasks by name.
#[derive(Debug)]
struct Tasks {
    shell: Shell,
    client: reqwest::Client,
    stops: BTreeMap<String, Running>,
}

/// One task: dropping `stop` ends it.
#[derive(Debug)]
struct Running {
    stop: watch::Sender<()>,
    done: JoinSet<()>,
}

impl Tasks {
    fn new(shell: Shell) -> Self {
        Self {
            shell,
            client: reqwest::Client::new(),
            stops: BTreeMap::new(),
        }
    }

    fn begin(&mut self, config: Config) {
        if let Some(host) = config.host {
            let sampler = Host::new(&host, self.shell.handle.tally.clone());
            self.spawn(
                "host".to_owned(),
                "host",
                host.interval,
                Job::Host(Box::new(sampler)),
            );
        }
        for process in config.processes {
            self.process(format!("pid {}", process.pid), &process);
        }
        for target in config.targets {
            self.target(target);
        }
    }

    async fn follow(&mut self, order: Order) {
        match order {
            Order::Target(target) => {
                self.end(&target_key(&target.url)).await;
                self.target(*target);
            }
            Order::RemoveTarget(url) => {
                self.end(&target_key(&url)).await;
                self.shell.handle.lock().remove(&url);
            }
            Order::Process(name, config) => {
                self.end(&process_key(&name)).await;
                self.process(name, &config);
            }
            Order::RemoveProcess(name) => self.end(&process_key(&name)).await,
        }
    }

    fn process(&mut self, name: String, config: &ProcessConfig) {
        let sampler = Process::new(config, self.shell.handle.tally.clone());
        let job = Job::Process(Box::new(sampler));
        self.spawn(process_key(&name), "process", config.interval, job);
    }

    fn target(&mut self, target: Target) {
        let (key, interval) = (target_key(&target.url), target.interval);
        let status = TargetStatus {
            target: target.clone(),
            up: None,
            last_error: None,
            last_scrape_ms: None,
            last_duration: Duration::ZERO,
        };
        self.shell.handle.lock().insert(target.url.clone(), status);
        let scraper = Scraper::new(target, self.client.clone(), self.shell.clock.clone());
        self.spawn(key, "scrape", interval, Job::Scrape(Box::new(scraper)));
    }

    fn spawn(&mut self, key: String, kind: &'static str, interval: Duration, job: Job) {
        let (stop, stopped) = watch::channel(());
        let mut done = JoinSet::new();
        done.spawn(self.shell.clone().tick(kind, interval, job, stopped));
        self.stops.insert(key, Running { stop, done });
    }

    async fn end(&mut self, key: &str) {
        if let Some(running) = self.stops.remove(key) {
            running.end().await;
        }
    }

    async fn end_all(&mut self) {
        for (_, running) in std::mem::take(&mut self.stops) {
            running.end().await;
        }
    }
}

impl Running {
    async fn end(mut self) {
        drop(self.stop);
        match tokio::time::timeout(END_WAIT, self.done.join_next()).await {
            Ok(Some(Err(error))) => tracing::error!(%error, "a collecting task failed"),
            Err(_elapsed) => tracing::error!("a collecting task does not end: it is left behind"),
            Ok(_) => {}
        }
    }
}

fn target_labels(target: &Target) -> [(&str, &str); 2] {
    [("job", &target.job), ("instance", &target.instance)]
}

fn target_key(url: &str) -> String {
    format!("target {url}")
}

fn process_key(name: &str) -> String {
    format!("process {name}")
}

/// What a task samples.
#[derive(Debug)]
enum Job {
    Host(Box<Host>),
    Process(Box<Process>),
    Scrape(Box<Scraper>),
}

/// What every task needs.
#[derive(Debug, Clone)]
struct Shell {
    clock: Arc<dyn Clock>,
    handle: Handle,
    sink: mpsc::Sender<Batch>,
}

impl Shell {
    /// Samples at each tick until stopped, then marks everything stale.
    async fn tick(
        self,
        kind: &'static str,
        interval: Duration,
        mut job: Job,
        mut stopped: watch::Receiver<()>,
    ) {
        let mut ticker = Ticker::new(interval, self.clock.wall_ms(), self.clock.monotonic());
        let labels = [("kind", kind)];
        let mut last_ms = i64::MIN;
        let mut owed = Vec::new();
        loop {
            let wait = ticker.deadline().saturating_sub(self.clock.monotonic());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // The sender says nothing: it is dropped when the task is to end.
                _ = stopped.changed() => break,
            }
            let jumps = ticker.jumps();
            let Some(tick) = ticker.fire(self.clock.wall_ms(), self.clock.monotonic()) else {
                continue;
            };
            self.count(TICKS, &labels, 1.0);
            self.count(TICKS_SKIPPED, &labels, tick.skipped as f64);
            self.count(CLOCK_JUMPS, &labels, (ticker.jumps() - jumps) as f64);
            last_ms = tick.stamp_ms;
            let (batch, back) = self.sample(job, &tick).await;
            let Some(back) = back else { return };
            job = back;
            self.send(kind, batch, &mut owed);
        }
        if let Job::Scrape(scraper) = &job {
            for name in [GAPS, MISSED_SCRAPES, COMPLETENESS] {
                let labels = target_labels(scraper.target());
                self.handle.tally.remove(name, &labels);
            }
        }
        let last = job.end(self.clock.wall_ms().max(last_ms.saturating_add(1)));
        self.send(kind, last, &mut owed);
    }

    async fn sample(&self, job: Job, tick: &Tick) -> (Batch, Option<Job>) {
        let tick_ms = tick.stamp_ms;
        let begun = self.clock.monotonic();
        match job {
            Job::Scrape(mut scraper) => {
                let batch = self.scrape(&mut scraper, tick).await;
                (batch, Some(Job::Scrape(scraper)))
            }
            // The kernel may block a read (a dying disk): never on a thread of the runtime.
            Job::Host(_) | Job::Process(_) => {
                let read = tokio::task::spawn_blocking(move || job.read(tick_ms, begun)).await;
                let taken = self.clock.monotonic().saturating_sub(begun).as_secs_f64();
                self.handle.tally.set(SAMPLING_SECONDS, &[], taken);
                match read {
                    Ok((batch, job)) => (batch, Some(job)),
                    Err(error) => {
                        tracing::error!(%error, "host sampling failed: it ends");
                        (Batch::default(), None)
                    }
                }
            }
        }
    }

    async fn scrape(&self, scraper: &mut Scraper, tick: &Tick) -> Batch {
        let tick_ms = tick.stamp_ms;
        let scrape = scraper.scrape(tick_ms).await;
        self.complete(scraper, tick.skipped, scrape.error.is_none());
        let target = scraper.target();
        if let Some(error) = &scrape.error {
            let labels = [("job", target.job.as_str()), ("reason", error.reason())];
            self.count(SCRAPE_FAILURES, &labels, 1.0);
            let (source, at_ms) = (target.url.clone(), self.clock.wall_ms());
            let quality = &self.handle.quality;
            quality.source("scrape", error.reason(), source, with_causes(error), at_ms);
        }
        let error = scrape.error.as_ref().map(with_causes);
        if let Some(status) = self.handle.lock().get_mut(&target.url) {
            status.up = Some(error.is_none());
            status.last_error = error;
            status.last_scrape_ms = Some(tick_ms);
            status.last_duration = scrape.duration;
        }
        scrape.batch
    }

    /// Counts what of a target was expected and did not come.
    fn complete(&self, scraper: &mut Scraper, skipped: u64, answered: bool) {
        let told = scraper.completeness.tick(skipped, answered);
        let target = scraper.target();
        let labels = target_labels(target);
        self.count(GAPS, &labels, told.gaps as f64);
        self.count(MISSED_SCRAPES, &labels, told.missed as f64);
        self.handle.tally.set(COMPLETENESS, &labels, told.ratio);
    }

    /// Hands a batch to the sink. Samples that it does not take are lost and counted; metadata is
    /// said only once, so it is `owed` and goes with the next batch.
    fn send(&self, kind: &'static str, mut batch: Batch, owed: &mut Vec<Metadata>) {
        let count = batch.samples.len() as f64;
        batch.metadata.splice(..0, owed.drain(..));
        batch.door = kind;
        if batch.samples.is_empty() && batch.metadata.is_empty() {
            return;
        }
        let labels = [("kind", kind)];
        match self.sink.try_send(batch) {
            Ok(()) => self.count(SAMPLES, &labels, count),
            Err(TrySendError::Full(batch) | TrySendError::Closed(batch)) => {
                *owed = batch.metadata;
                self.count(SAMPLES_DROPPED, &labels, count);
                self.count(BATCHES_DROPPED, &labels, 1.0);
            }
        }
    }

    fn count(&self, name: &str, labels: &[(&str, &str)], by: f64) {
        self.handle.tally.add(name, labels, by);
    }
}

impl Job {
    fn read(mut self, tick_ms: i64, monotonic: Duration) -> (Batch, Self) {
        let batch = match &mut self {
            Self::Host(host) => host.sample(tick_ms, monotonic),
            Self::Process(process) => process.sample(tick_ms, monotonic),
            Self::Scrape(_) => Batch::default(),
        };
        (batch, self)
    }

    fn end(&mut self, now_ms: i64) -> Batch {
        match self {
            Self::Host(host) => host.end(now_ms),
            Self::Process(process) => process.end(now_ms),
            Self::Scrape(scraper) => scraper.end(now_ms),
        }
    }
}

/// An error with its causes, on one line.
fn with_causes(error: &crate::scrape::ScrapeError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
