//! The one writer: a thread that takes requests from a queue and commits them in groups.
//!
//! A group is what is waiting when the writer comes back, up to `writer.group.size`; if that is
//! not full yet, the writer waits for more for `writer.group.linger_us`. A requester is answered
//! after the commit of its group has returned, that is, when its transaction is on disk.

use std::{
    sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use knob::{Apply, DeclareError, Knob, Scale};
use runtime::{
    Clock,
    metrics::{Counter, Gauge, Histogram, Registry},
};
use tokio::sync::oneshot;

use super::{
    Failure,
    readers::{Settings, tune},
    session::{Done, Request, Session},
};
use crate::{rules::Refusal, transaction::Change};

/// Requests that may wait for the writer. The executor admits fewer, so this bound is met only
/// by a program that uses the store directly.
const QUEUE: usize = 1_024;
/// Largest group; also what the histogram of sizes ends with.
const LARGEST_GROUP: i64 = 256;

/// Hands requests to the writer thread.
#[derive(Debug)]
pub struct Writer {
    queue: SyncSender<Job>,
    waiting: Gauge,
    clock: Clock,
    thread: JoinHandle<()>,
}

/// What the writer calls with each change after its commit and before the answer.
pub type OnCommit = Box<dyn Fn(&Change) + Send>;

struct Job {
    request: Request,
    queued: Duration,
    answer: oneshot::Sender<Result<Done, Failure>>,
}

/// The thread's side.
struct Loop {
    session: Session,
    queue: Receiver<Job>,
    size: Knob<i64>,
    linger: Knob<Duration>,
    checkpoint: Knob<i64>,
    settings: Settings,
    applied: Applied,
    on_commit: OnCommit,
    clock: Clock,
    metrics: Metrics,
}

/// Settings in force on the connection.
#[derive(Default)]
struct Applied {
    checkpoint: i64,
    connection: super::readers::Applied,
}

struct Metrics {
    waiting: Gauge,
    wait: Histogram,
    commit: Histogram,
    size: Histogram,
    commits: Counter,
    failed: Counter,
}

impl Writer {
    /// Declares knobs and metrics and starts the thread.
    ///
    /// # Errors
    /// The registry has a writer already.
    pub fn start(
        session: Session,
        settings: Settings,
        on_commit: OnCommit,
        clock: Clock,
        knobs: &knob::Registry,
        registry: &Registry,
    ) -> Result<Self, DeclareError> {
        let (sender, queue) = sync_channel(QUEUE);
        let metrics = Metrics::new(registry);
        let waiting = metrics.waiting.clone();
        let work = Loop {
            session,
            queue,
            size: declare_size(knobs)?,
            linger: declare_linger(knobs)?,
            checkpoint: declare_checkpoint(knobs)?,
            settings,
            applied: Applied::default(),
            on_commit,
            clock,
            metrics,
        };
        let thread = thread::Builder::new()
            .name("writer".into())
            .spawn(move || work.run())
            .expect("a process that starts can start a thread");
        Ok(Self {
            queue: sender,
            waiting,
            clock,
            thread,
        })
    }

    /// Carries a request out; returns when it is on disk, or refused.
    ///
    /// # Errors
    /// A rule is against it, the database failed, or too much is waiting.
    pub async fn execute(&self, request: Request) -> Result<Done, Failure> {
        let (answer, result) = oneshot::channel();
        let job = Job {
            request,
            queued: self.clock.now(),
            answer,
        };
        self.waiting.add(1);
        if let Err(unsent) = self.queue.try_send(job) {
            self.waiting.add(-1);
            return Err(match unsent {
                TrySendError::Full(_) => Failure::Overloaded,
                TrySendError::Disconnected(_) => Failure::Stopping,
            });
        }
        result.await.unwrap_or(Err(Failure::Stopping))
    }

    /// Waits until everything queued is done and the books are closed.
    pub fn stop(self) {
        drop(self.queue);
        if self.thread.join().is_err() {
            tracing::error!("the writer thread panicked");
        }
    }
}

impl Loop {
    fn run(mut self) {
        while let Ok(first) = self.queue.recv() {
            let jobs = self.gather(first);
            self.refresh();
            self.commit(jobs);
        }
    }

    fn gather(&self, first: Job) -> Vec<Job> {
        let size = self.size.size();
        let deadline = self.clock.now() + self.linger.get();
        let mut jobs = Vec::with_capacity(size.min(64));
        jobs.push(first);
        while jobs.len() < size {
            match self.queue.try_recv() {
                Ok(job) => jobs.push(job),
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    let left = deadline.saturating_sub(self.clock.now());
                    if left.is_zero() {
                        break;
                    }
                    match self.queue.recv_timeout(left) {
                        Ok(job) => jobs.push(job),
                        Err(_nothing_came) => break,
                    }
                }
            }
        }
        jobs
    }

    /// Carries changed knobs over to the connection.
    fn refresh(&mut self) {
        let connection = self.session.connection();
        tune(connection, &self.settings, &mut self.applied.connection);
        let pages = self.checkpoint.get();
        if pages != self.applied.checkpoint {
            match connection.pragma_update(None, "wal_autocheckpoint", pages) {
                Ok(()) => self.applied.checkpoint = pages,
                Err(error) => tracing::warn!(%error, "cannot set wal_autocheckpoint"),
            }
        }
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        let start = self.clock.now();
        self.metrics
            .waiting
            .add(-i64::try_from(jobs.len()).unwrap_or(0));
        for job in &jobs {
            let waited = start.saturating_sub(job.queued);
            self.metrics.wait.observe_duration(waited);
        }
        let outcome = self.session.group(jobs.iter().map(|job| &job.request));
        let took = self.clock.now().saturating_sub(start);
        match outcome {
            Ok(results) => self.answer(jobs, results, took),
            Err(failure) => self.fail(jobs, &failure),
        }
    }

    fn answer(&self, jobs: Vec<Job>, results: Vec<Result<Done, Refusal>>, took: Duration) {
        let changes = results
            .iter()
            .flatten()
            .filter_map(|done| done.change.as_ref());
        let mut written = 0;
        for change in changes {
            (self.on_commit)(change);
            written += 1;
        }
        if written > 0 {
            self.metrics.commits.increment();
            self.metrics.commit.observe_duration(took);
            self.metrics.size.observe(written);
        }
        for (job, result) in jobs.into_iter().zip(results) {
            // A requester that has gone away is not told; its transaction stands.
            drop(job.answer.send(result.map_err(Failure::Refused)));
        }
    }

    fn fail(&self, jobs: Vec<Job>, failure: &Failure) {
        self.metrics.failed.increment();
        tracing::error!(error = ?failure, jobs = jobs.len(), "a group of transactions failed");
        for job in jobs {
            drop(job.answer.send(Err(failure.clone())));
        }
    }
}

impl Metrics {
    fn new(registry: &Registry) -> Self {
        let largest = u64::try_from(LARGEST_GROUP).expect("above zero");
        Self {
            waiting: registry.gauge(
                "ledger_writer_queue_depth",
                "Requests waiting for the writer.",
                &[],
            ),
            wait: registry.latency(
                "ledger_writer_queue_wait_seconds",
                "Time from handing over to the start of the group.",
                &[],
            ),
            commit: registry.latency(
                "ledger_commit_duration_seconds",
                "Time of a group from its begin until its commit was on disk.",
                &[],
            ),
            size: registry.sizes(
                "ledger_commit_group_size",
                "Transactions written by one commit.",
                &[],
                largest,
            ),
            commits: registry.counter(
                "ledger_commits_total",
                "Commits that wrote; each syncs the write-ahead log once.",
                &[],
            ),
            failed: registry.counter(
                "ledger_commits_failed_total",
                "Groups the database failed to store.",
                &[],
            ),
        }
    }
}

fn declare_size(knobs: &knob::Registry) -> Result<Knob<i64>, DeclareError> {
    Knob::int("writer.group.size", 1)
        .unit("transactions")
        .range(1..=LARGEST_GROUP)
        .scale(Scale::Log)
        .max_step(0.5)
        .apply(Apply::Free)
        .help("Most transactions written by one synced commit.")
        .register(knobs)
}

fn declare_linger(knobs: &knob::Registry) -> Result<Knob<Duration>, DeclareError> {
    Knob::micros("writer.group.linger_us", 0)
        .range(0..=100_000)
        .max_step(0.25)
        .apply(Apply::Free)
        .help("How long a commit that is not full waits for more transactions.")
        .register(knobs)
}

fn declare_checkpoint(knobs: &knob::Registry) -> Result<Knob<i64>, DeclareError> {
    // At most 16,384 pages of 4 KiB: a log of 64 MiB, replayed in about a second after a crash.
    Knob::int("sqlite.wal_autocheckpoint_pages", 1_000)
        .unit("pages")
        .range(100..=16_384)
        .scale(Scale::Log)
        .max_step(0.5)
        .apply(Apply::Settles)
        .help("Pages in the write-ahead log at which a commit copies them into the database.")
        .register(knobs)
}
