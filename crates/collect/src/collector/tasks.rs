//! The running tasks by name: begun, replaced, ended, many at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
    time::Duration,
};

use model::Clock;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    Config, Dropped, Order, TargetStatus,
    shell::{Shell, Work},
};
use crate::{
    cgroup::Cgroups,
    discovery::Discoverer,
    host::Host,
    http::HttpClient,
    job::{Job, Targets},
    probe::ProbeRunner,
    process::{Process, ProcessConfig, ProcessFinder},
    scrape::{Scraper, Target},
    statsd_socket::StatsdSocket,
    trigger::Scope,
};

/// Longest wait for tasks to end: beyond it (a read that the kernel never answers) they are left
/// behind without their staleness markers.
const END_WAIT: Duration = Duration::from_secs(5);

/// Targets found that are none.
const INVALID: &str = "alluse_discovery_targets_invalid";
/// Targets by job.
const ACTIVE: &str = "alluse_discovery_targets_active";
const DROPPED: &str = "alluse_discovery_targets_dropped";

/// A job's name and what its discovery found.
type Found = (String, Targets);

/// The running tasks.
#[derive(Debug)]
pub(super) struct Tasks {
    pub(super) shell: Shell,
    finder: mpsc::Sender<Found>,
    clients: Vec<HttpClient>,
    running: BTreeMap<String, Running>,
    jobs: BTreeMap<String, (Arc<Job>, Running)>,
}

/// One task: dropping `stop` ends it.
#[derive(Debug)]
struct Running {
    stop: watch::Sender<()>,
    done: JoinSet<()>,
    target: Option<Target>,
}

impl Tasks {
    pub(super) fn new(shell: Shell, finder: mpsc::Sender<Found>) -> Self {
        Self {
            shell,
            finder,
            clients: Vec::new(),
            running: BTreeMap::new(),
            jobs: BTreeMap::new(),
        }
    }

    pub(super) async fn begin(&mut self, config: Config) {
        if let Some(host) = config.host {
            let sampler = Host::new(&host, self.shell.handle.tally.clone());
            let work = Work::Blocking("host", Box::new(sampler));
            self.spawn("host".to_owned(), Scope::Host, host.interval, work, None);
        }
        if let Some(cgroups) = config.cgroups {
            let sampler = Cgroups::new(&cgroups, self.shell.handle.tally.clone());
            let work = Work::Blocking("cgroup", Box::new(sampler));
            self.spawn(
                "cgroup".to_owned(),
                Scope::Host,
                cgroups.interval,
                work,
                None,
            );
        }
        for (name, selector, process) in config.found_processes {
            let tally = self.shell.handle.tally.clone();
            let interval = process.interval;
            let sampler = ProcessFinder::new(selector, process, tally);
            let work = Work::Blocking("process", Box::new(sampler));
            let key = format!("processes {name}");
            self.spawn(key, Scope::Process(name), interval, work, None);
        }
        for probe in config.probes {
            let (clock, tally) = (self.shell.clock.clone(), self.shell.handle.tally.clone());
            let runner = ProbeRunner::new(&probe, clock, tally);
            self.probe(&probe.name, probe.interval, runner);
        }
        for process in config.processes {
            self.process(format!("pid {}", process.pid), &process);
        }
        for target in config.targets {
            self.target(target);
        }
        self.set_jobs(config.jobs).await;
    }

    pub(super) async fn follow(&mut self, order: Order) {
        match order {
            Order::Target(target) => {
                self.end([target_key(&target)].into()).await;
                self.target(*target);
            }
            Order::RemoveTarget(url) => self.end([lone_key(&url)].into()).await,
            Order::Process(name, config) => {
                self.end([process_key(&name)].into()).await;
                self.process(name, &config);
            }
            Order::RemoveProcess(name) => self.end([process_key(&name)].into()).await,
            Order::Jobs(jobs) => self.set_jobs(jobs).await,
            Order::Probe(config, probe) => {
                self.end([probe_key(&config.name)].into()).await;
                let (clock, tally) = (self.shell.clock.clone(), self.shell.handle.tally.clone());
                let runner = ProbeRunner::inner(probe, &config, clock, tally);
                self.probe(&config.name, config.interval, runner);
            }
            Order::RemoveProbe(name) => self.end([probe_key(&name)].into()).await,
        }
    }

    /// A job's targets as its discovery found them. Those that are the same go on.
    pub(super) async fn found(&mut self, job: &str, targets: Targets) {
        if !self.jobs.contains_key(job) {
            return; // Found just before the job went.
        }
        self.show(job, &targets);
        let wanted: BTreeMap<String, Target> = targets
            .active
            .into_iter()
            .map(|target| (target_key(&target), target))
            .collect();
        let gone = self.running.iter().filter(|(key, running)| {
            let ours = running.target.as_ref().filter(|target| target.pool == job);
            ours.is_some_and(|target| wanted.get(*key) != Some(target))
        });
        let gone = gone.map(|(key, _)| key.clone()).collect();
        self.end(gone).await;
        for (key, target) in wanted {
            if !self.running.contains_key(&key) {
                self.target(target);
            }
        }
    }

    fn show(&self, job: &str, targets: &Targets) {
        for why in &targets.invalid {
            tracing::warn!(job, why, "a discovered target is none");
        }
        let counts = [
            (ACTIVE, targets.active.len()),
            (DROPPED, targets.dropped_count),
            (INVALID, targets.invalid.len()),
        ];
        for (name, count) in counts {
            self.shell
                .handle
                .tally
                .set(name, &[("job", job)], count as f64);
        }
        let dropped = Dropped {
            targets: targets.dropped.clone(),
            count: targets.dropped_count,
        };
        let mut board = self.shell.handle.board();
        board.dropped.insert(job.to_owned(), dropped);
    }

    async fn set_jobs(&mut self, jobs: Vec<Job>) {
        let wanted: BTreeMap<String, Job> = jobs.into_iter().map(|j| (j.name.clone(), j)).collect();
        let names: Vec<String> = self.jobs.keys().cloned().collect();
        for name in names {
            let (known, _) = &self.jobs[&name];
            if wanted.get(&name) == Some(known.as_ref()) {
                continue;
            }
            let (_, running) = self.jobs.remove(&name).expect("named above");
            end_all([running]).await;
            if !wanted.contains_key(&name) {
                self.remove_pool(&name).await;
            }
        }
        for (name, job) in wanted {
            if !self.jobs.contains_key(&name) {
                self.job(job);
            }
        }
        // Targets that go on keep theirs; new ones read their certificates anew.
        self.clients.clear();
    }

    async fn remove_pool(&mut self, pool: &str) {
        let of_pool = |running: &Running| running.target.as_ref().is_some_and(|t| t.pool == pool);
        let keys = self.running.iter().filter(|(_, running)| of_pool(running));
        let keys = keys.map(|(key, _)| key.clone()).collect();
        self.end(keys).await;
        let handle = &self.shell.handle;
        handle.board().dropped.remove(pool);
        for name in [ACTIVE, DROPPED, INVALID] {
            handle.tally.remove(name, &[("job", pool)]);
        }
    }

    /// Begins the discovery of a job.
    fn job(&mut self, job: Job) {
        let (stop, stopped) = watch::channel(());
        let mut done = JoinSet::new();
        let tally = Arc::clone(&self.shell.handle.tally);
        let discoverer = Discoverer::new(&job.name, &job.sources, tally);
        let (name, job) = (job.name.clone(), Arc::new(job));
        let clock = Arc::clone(&self.shell.clock);
        done.spawn(discover(
            Arc::clone(&job),
            discoverer,
            clock,
            self.finder.clone(),
            stopped,
        ));
        let running = Running {
            stop,
            done,
            target: None,
        };
        self.jobs.insert(name, (job, running));
    }

    fn process(&mut self, name: String, config: &ProcessConfig) {
        let sampler = Process::new(config, self.shell.handle.tally.clone());
        let work = Work::Blocking("process", Box::new(sampler));
        let (key, scope) = (process_key(&name), Scope::Process(name));
        self.spawn(key, scope, config.interval, work, None);
    }

    fn probe(&mut self, name: &str, interval: Duration, runner: ProbeRunner) {
        let work = Work::Probe(Box::new(runner));
        let scope = Scope::Probe(name.to_owned());
        self.spawn(probe_key(name), scope, interval, work, None);
    }

    /// Begins to hear StatsD.
    pub(super) fn hear(&mut self, socket: StatsdSocket) {
        let (stop, stopped) = watch::channel(());
        let mut done = JoinSet::new();
        done.spawn(self.shell.clone().hear(socket, stopped));
        let running = Running {
            stop,
            done,
            target: None,
        };
        self.running.insert("statsd".to_owned(), running);
    }

    fn target(&mut self, target: Target) {
        let (key, interval) = (target_key(&target), target.interval);
        let status = TargetStatus {
            target: target.clone(),
            up: None,
            last_error: None,
            last_scrape_ms: None,
            last_duration: Duration::ZERO,
        };
        self.shell
            .handle
            .board()
            .targets
            .insert(key.clone(), status);
        let client = self.client(&target);
        let scraper = Scraper::new(target.clone(), client, self.shell.clock.clone());
        let work = Work::Scrape(key.clone(), Box::new(scraper));
        let job = if target.pool.is_empty() {
            target.job.clone()
        } else {
            target.pool.clone()
        };
        self.spawn(key, Scope::Job(job), interval, work, Some(target));
    }

    /// The client for the target's settings: one for all with the same.
    fn client(&mut self, target: &Target) -> HttpClient {
        let known = self.clients.iter().find(|c| *c.settings() == target.http);
        if let Some(client) = known {
            return client.clone();
        }
        let client = HttpClient::new(Arc::clone(&target.http));
        self.clients.push(client.clone());
        client
    }

    fn spawn(
        &mut self,
        key: String,
        scope: Scope,
        usual: Duration,
        work: Work,
        target: Option<Target>,
    ) {
        let (stop, stopped) = watch::channel(());
        let mut done = JoinSet::new();
        let now = {
            let paces = self.shell.paces.lock();
            let mut paces = paces.unwrap_or_else(PoisonError::into_inner);
            paces.add(&key, scope, usual)
        };
        let (line, pace) = watch::channel(now);
        let lines = self.shell.lines.lock();
        let mut lines = lines.unwrap_or_else(PoisonError::into_inner);
        lines.insert(key.clone(), line);
        drop(lines);
        done.spawn(self.shell.clone().tick(pace, work, stopped));
        let running = Running { stop, done, target };
        self.running.insert(key, running);
    }

    /// Ends tasks, all at once.
    async fn end(&mut self, keys: BTreeSet<String>) {
        let ended: Vec<Running> = keys
            .iter()
            .filter_map(|key| self.running.remove(key))
            .collect();
        end_all(ended).await;
        let mut board = self.shell.handle.board();
        let paces = self.shell.paces.lock();
        let mut paces = paces.unwrap_or_else(PoisonError::into_inner);
        let lines = self.shell.lines.lock();
        let mut lines = lines.unwrap_or_else(PoisonError::into_inner);
        for key in &keys {
            board.targets.remove(key);
            paces.remove(key);
            lines.remove(key);
        }
    }

    pub(super) async fn end_all(&mut self) {
        let jobs = std::mem::take(&mut self.jobs).into_values();
        end_all(jobs.map(|(_, running)| running)).await;
        end_all(std::mem::take(&mut self.running).into_values()).await;
    }
}

/// Tells all to end before it waits for the first.
async fn end_all(all: impl IntoIterator<Item = Running>) {
    let ending: Vec<JoinSet<()>> = all
        .into_iter()
        .map(|running| {
            drop(running.stop);
            running.done
        })
        .collect();
    let joined = async {
        for mut done in ending {
            if let Some(Err(error)) = done.join_next().await {
                tracing::error!(%error, "a collecting task failed");
            }
        }
    };
    if tokio::time::timeout(END_WAIT, joined).await.is_err() {
        tracing::error!("collecting tasks do not end: they are left behind");
    }
}

/// Keeps a job's targets up to date until stopped.
async fn discover(
    job: Arc<Job>,
    mut discoverer: Discoverer,
    clock: Arc<dyn Clock>,
    finder: mpsc::Sender<Found>,
    mut stopped: watch::Receiver<()>,
) {
    let mut is_first = true;
    loop {
        // The sender says nothing: it is dropped when the task is to end.
        let changed = tokio::select! {
            changed = discoverer.refresh(clock.monotonic()) => changed,
            _ = stopped.changed() => return,
        };
        if changed || is_first {
            is_first = false;
            let found = (job.name.clone(), job.targets(&discoverer.groups()));
            tokio::select! {
                sent = finder.send(found) => if sent.is_err() { return },
                _ = stopped.changed() => return,
            }
        }
        let wait = async {
            match discoverer.due() {
                Some(due) => tokio::time::sleep(due.saturating_sub(clock.monotonic())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wait => {}
            _ = stopped.changed() => return,
        }
    }
}

/// The task of a target; a lone one is known by its URL.
fn target_key(target: &Target) -> String {
    if target.pool.is_empty() {
        return lone_key(&target.url);
    }
    let labels = target.own_labels();
    format!("target of {} {} {labels}", target.pool, target.url)
}

fn lone_key(url: &str) -> String {
    format!("target {url}")
}

fn probe_key(name: &str) -> String {
    format!("probe {name}")
}

fn process_key(name: &str) -> String {
    format!("process {name}")
}
