//! The composition: the host, processes, scrape targets, jobs, each on its own tick, into one
//! channel of batches.
//!
//! Each source is a task with its own [`Ticker`](crate::Ticker). Batches go into a bounded channel
//! without waiting: a sink that does not keep up costs samples, which are counted, and never the
//! rhythm. Targets, processes and whole jobs come and go through a [`Handle`] while the collector
//! runs; what is removed gets its staleness markers.

mod shell;
mod statsd;
mod tasks;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use model::{Batch, Clock, Labels, Sample};
use tokio::sync::mpsc;

use crate::{
    cgroup::CgroupConfig,
    host::HostConfig,
    job::Job,
    probe::{Probe, ProbeConfig},
    process::{ProcessConfig, Selector},
    quality::Quality,
    scrape::Target,
    statsd_socket::StatsdSocket,
    tally::Tally,
    trigger::{Paces, TriggerConfig},
};
use shell::Shell;
use tasks::Tasks;

const ORDERS_LOST: &str = "alluse_collect_orders_lost_total";

/// Orders that may wait.
const ORDERS_MAX: usize = 1024;

/// Answers of discoveries that may wait; their senders wait then.
const FOUND_MAX: usize = 16;

/// What to collect from the start. More can be added through the [`Handle`].
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// This host, if it is to be sampled.
    pub host: Option<HostConfig>,
    /// Processes.
    pub processes: Vec<ProcessConfig>,
    /// Processes found by name, number or file; each with a name of its own. The numbers in their
    /// configurations do not count.
    pub found_processes: Vec<(String, Selector, ProcessConfig)>,
    /// Control groups.
    pub cgroups: Option<CgroupConfig>,
    /// Scrape targets.
    pub targets: Vec<Target>,
    /// Jobs that find their targets themselves.
    pub jobs: Vec<Job>,
    /// Commands and endpoints of the user's own.
    pub probes: Vec<ProbeConfig>,
    /// When to look closer.
    pub triggers: Vec<TriggerConfig>,
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

/// What a job's rules left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dropped {
    /// As discovered; not all of them where there are many.
    pub targets: Vec<Labels>,
    /// How many there are.
    pub count: usize,
}

/// What a running collector can be asked and told. Clones are the same collector.
#[derive(Debug, Clone)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
    tally: Arc<Tally>,
    quality: Arc<Quality>,
    board: Arc<Mutex<Board>>,
}

/// What is shown of the targets.
#[derive(Debug, Default)]
struct Board {
    /// By the key of the task.
    targets: BTreeMap<String, TargetStatus>,
    /// By job.
    dropped: BTreeMap<String, Dropped>,
}

/// A change of what is collected.
#[derive(Debug)]
enum Order {
    Target(Box<Target>),
    RemoveTarget(String),
    Process(String, Box<ProcessConfig>),
    RemoveProcess(String),
    Jobs(Vec<Job>),
    Probe(Box<ProbeConfig>, Box<dyn Probe>),
    RemoveProbe(String),
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

    /// These are the jobs from now on. Those that did not change go on undisturbed.
    pub fn set_jobs(&self, jobs: Vec<Job>) {
        self.order(Order::Jobs(jobs));
    }

    /// Begins to run a probe inside this process; one with the same name is replaced. The
    /// configuration's action and format do not count.
    pub fn add_probe(&self, config: ProbeConfig, probe: Box<dyn Probe>) {
        self.order(Order::Probe(Box::new(config), probe));
    }

    /// Stops running the probe with that name.
    pub fn remove_probe(&self, name: &str) {
        self.order(Order::RemoveProbe(name.to_owned()));
    }

    /// The targets and how they fare, those of jobs after the others.
    #[must_use]
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.board().targets.values().cloned().collect()
    }

    /// What the rules of each job left out.
    #[must_use]
    pub fn dropped(&self) -> BTreeMap<String, Dropped> {
        self.board().dropped.clone()
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

    fn board(&self) -> std::sync::MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects until told to stop.
#[derive(Debug)]
pub struct Collector {
    config: Config,
    clock: Arc<dyn Clock>,
    handle: Handle,
    orders: mpsc::Receiver<Order>,
    statsd: Option<StatsdSocket>,
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
            board: Arc::default(),
        };
        Self {
            config,
            clock,
            handle,
            orders,
            statsd: None,
        }
    }

    /// Also hears StatsD, once it runs.
    pub fn hear_statsd(&mut self, socket: StatsdSocket) {
        self.statsd = Some(socket);
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
            paces: Arc::new(Mutex::new(Paces::new(std::mem::take(
                &mut self.config.triggers,
            )))),
            lines: Arc::default(),
        };
        shell.show_triggers();
        let (finder, mut found) = mpsc::channel(FOUND_MAX);
        let mut tasks = Tasks::new(shell, finder);
        tasks.begin(std::mem::take(&mut self.config)).await;
        if let Some(socket) = self.statsd.take() {
            tasks.hear(socket);
        }
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                () = tasks.shell.sink.closed() => break,
                Some(order) = self.orders.recv() => tasks.follow(order).await,
                Some((job, targets)) = found.recv() => tasks.found(&job, targets).await,
            }
        }
        tasks.end_all().await;
    }
}
