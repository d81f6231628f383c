//! The rules of the configuration at work: each group evaluated on time, what it makes stored
//! through the ordinary door, and its alerts handed to whoever tells people.
//!
//! One task looks which groups are due and gives each a thread to be evaluated on; a group that is
//! still busy when it is due again skips that time, which is counted (`rules::Schedule`). After a
//! restart the `for` clock of alerts goes on from what was stored (`rules::restore`). Reloads are
//! all or nothing; groups that have not changed go on untouched, and rules of the same name and
//! labels keep their alerts.

pub(crate) mod defaults;
mod metrics;
mod read;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Release},
    },
    time::Duration,
};

use model::{AlertSink, Batch, Clock, Durability, Labels, SampleSink, SeriesReader, Value};
use query::{Account, Engine, QueryValue, Stop, Watch};
use rules::{Due, Evaluate, Group, GroupStatus, Schedule, Surroundings};
use tokio::sync::Notify;

#[cfg(test)]
pub(crate) use read::check;
pub(crate) use read::{Loaded, beside, load, read_file};

/// Groups evaluated at once; more wait for a moment. Their queries are beside those of the API.
const EVALUATIONS_MAX: usize = 4;

/// Longest sleep of the task that looks what is due: how late it notices that the wall clock was
/// set.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Evaluations before the state of an earlier life is looked for: as in Prometheus, so that what
/// recording rules make is there again.
const EVALUATIONS_BEFORE_RESTORE: u64 = 2;

/// All groups in force.
pub(crate) struct Ruling {
    parts: Parts,
    in_force: Mutex<InForce>,
    busy: AtomicUsize,
    /// Something became due, or free.
    changed: Notify,
}

/// What rules work with.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) reader: Arc<dyn SeriesReader>,
    pub(crate) sink: Arc<dyn SampleSink>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Who is told of alerts, if anybody is.
    pub(crate) alerts: Option<Arc<dyn AlertSink>>,
    /// Longest time one expression may take.
    pub(crate) query_timeout: Duration,
    pub(crate) external_url: String,
}

#[derive(Default)]
struct InForce {
    groups: Vec<Arc<Running>>,
    external_labels: Labels,
}

/// A group in force.
pub(crate) struct Running {
    work: Mutex<Work>,
    status: Mutex<Arc<GroupStatus>>,
    is_busy: AtomicBool,
}

struct Work {
    group: Group,
    schedule: Schedule,
    evaluations: u64,
    restores: bool,
    /// Replaced or removed: an evaluation that comes too late does nothing.
    is_retired: bool,
}

impl std::fmt::Debug for Ruling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ruling({})", self.in_force().groups.len())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    fn new(group: Group, schedule: Schedule, restores: bool) -> Self {
        let status = Mutex::new(Arc::new(group.status()));
        Self {
            work: Mutex::new(Work {
                group,
                schedule,
                evaluations: 0,
                restores,
                is_retired: false,
            }),
            status,
            is_busy: AtomicBool::new(false),
        }
    }

    fn publish(&self, group: &Group) {
        *locked(&self.status) = Arc::new(group.status());
    }
}

impl Ruling {
    /// Rules before their first evaluation; what an earlier life left is taken up.
    pub(crate) fn new(parts: Parts, loaded: Loaded) -> Self {
        let ruling = Self {
            parts,
            in_force: Mutex::default(),
            busy: AtomicUsize::new(0),
            changed: Notify::new(),
        };
        ruling.put_in_force(loaded, true);
        ruling
    }

    fn in_force(&self) -> MutexGuard<'_, InForce> {
        locked(&self.in_force)
    }

    /// Replaces what is in force, after a reload. Blocks until evaluations under way of groups
    /// that change have ended.
    pub(crate) fn replace(&self, loaded: Loaded) {
        self.put_in_force(loaded, false);
        self.changed.notify_one();
    }

    fn put_in_force(&self, loaded: Loaded, restores: bool) {
        let now_ms = self.parts.clock.wall_ms();
        let mut in_force = self.in_force();
        let mut old = std::mem::take(&mut in_force.groups);
        for spec in loaded.groups {
            let key = spec.key();
            let before = old
                .iter()
                .position(|running| locked(&running.status).spec.key() == key);
            let before = before.map(|index| old.swap_remove(index));
            let same = before
                .as_ref()
                .filter(|running| *locked(&running.status).spec == spec);
            if let Some(same) = same {
                in_force.groups.push(Arc::clone(same));
                continue;
            }
            let interval_ms = i64::try_from(spec.interval.as_millis()).unwrap_or(i64::MAX);
            let mut group = Group::new(Arc::new(spec), restores);
            if let Some(before) = before {
                let mut work = locked(&before.work);
                work.is_retired = true;
                group.take_over(&mut work.group);
            }
            let schedule = Schedule::new(&key, interval_ms, now_ms);
            let running = Running::new(group, schedule, restores);
            in_force.groups.push(Arc::new(running));
        }
        in_force.external_labels = loaded.external_labels;
        drop(in_force);
        for gone in old {
            let mut work = locked(&gone.work);
            work.is_retired = true;
            self.end(work.group.farewell(now_ms));
        }
    }

    /// Ends the series of a group that is gone.
    fn end(&self, samples: Vec<model::Sample>) {
        if samples.is_empty() {
            return;
        }
        let batch = Batch {
            samples,
            door: rules::DOOR,
            ..Batch::default()
        };
        if let Err(error) = self.parts.sink.append(&batch, Durability::Fast) {
            tracing::warn!(%error, "series of rules that are gone could not be ended");
        }
    }

    /// Every group as of its last evaluation, in the order of the files.
    pub(crate) fn status(&self) -> Vec<Arc<GroupStatus>> {
        let in_force = self.in_force();
        let groups = in_force.groups.iter();
        groups
            .map(|running| Arc::clone(&locked(&running.status)))
            .collect()
    }

    /// Groups that are due now and free, each with the time it is evaluated for; and when to look
    /// again, ms.
    pub(crate) fn due(&self) -> (Vec<(Arc<Running>, Due)>, i64) {
        let now_ms = self.parts.clock.wall_ms();
        let groups = self.in_force().groups.clone();
        let mut next_ms = now_ms + i64::try_from(LOOK_EVERY.as_millis()).unwrap_or(i64::MAX);
        let mut due = Vec::new();
        for running in groups {
            if running.is_busy.load(Acquire) {
                continue;
            }
            let mut work = locked(&running.work);
            if self.busy.load(Acquire) < EVALUATIONS_MAX
                && let Some(time) = work.schedule.fire(now_ms)
            {
                work.group.count(1 + time.missed, time.missed);
                running.is_busy.store(true, Release);
                self.busy.fetch_add(1, AcqRel);
                drop(work);
                due.push((running, time));
            } else if work.schedule.next_ms() > now_ms {
                // One that is due and finds no place is looked at when a place is free.
                next_ms = next_ms.min(work.schedule.next_ms());
            }
        }
        (due, next_ms)
    }

    /// Evaluates a group that was due.
    pub(crate) fn evaluate(&self, running: &Running, due: Due) {
        let _busy = Busy(self, running);
        let alerts = self.evaluated(running, due);
        if let (Some(sink), false) = (&self.parts.alerts, alerts.is_empty()) {
            sink.post(&alerts);
        }
    }

    fn evaluated(&self, running: &Running, due: Due) -> Vec<model::Alert> {
        let external_labels = self.in_force().external_labels.clone();
        let mut work = locked(&running.work);
        if work.is_retired {
            return Vec::new();
        }
        if due.missed > 0 {
            let group = &work.group.spec().name;
            tracing::warn!(group, missed = due.missed, "evaluations were skipped");
        }
        let answers = Answers(&self.parts);
        let around = Surroundings {
            evaluator: &answers,
            sink: &*self.parts.sink,
            clock: &*self.parts.clock,
            external_labels: &external_labels,
            external_url: &self.parts.external_url,
        };
        let alerts = work.group.evaluate(due.at_ms, &around);
        work.evaluations += 1;
        if work.restores && work.evaluations >= EVALUATIONS_BEFORE_RESTORE {
            match work.group.restore(due.at_ms, &*self.parts.reader) {
                Ok(()) => work.restores = false,
                Err(error) => {
                    tracing::warn!(%error, "the state of alerts cannot be read: tried again");
                }
            }
        }
        running.publish(&work.group);
        alerts
    }

    /// Evaluates what is due, each group on a thread of its own, until `stop` resolves.
    pub(crate) async fn run(self: Arc<Self>, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let (due, next_ms) = self.due();
            for (running, time) in due {
                let ruling = Arc::clone(&self);
                // How it went is in the group's status.
                drop(tokio::task::spawn_blocking(move || {
                    ruling.evaluate(&running, time);
                }));
            }
            let wait_ms = u64::try_from(next_ms - self.parts.clock.wall_ms()).unwrap_or(0);
            // A reload or a free place makes a group due; at the latest the next one's time does.
            let until_due = Duration::from_millis(wait_ms);
            let sooner = tokio::time::timeout(until_due, self.changed.notified());
            tokio::select! {
                () = &mut stop => return,
                _changed_or_due = sooner => {}
            }
        }
    }

    /// What is counted, as exposition text: groups come and go with reloads.
    pub(crate) fn metrics_text(&self) -> String {
        metrics::text(&self.status())
    }
}

/// A group being evaluated: free again when this is dropped, even by a panic.
struct Busy<'a>(&'a Ruling, &'a Running);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.1.is_busy.store(false, Release);
        self.0.busy.fetch_sub(1, AcqRel);
        self.0.changed.notify_one();
    }
}

/// Answers from the own engine and store.
struct Answers<'a>(&'a Parts);

impl Evaluate for Answers<'_> {
    fn evaluate(&self, expr: &str, at_ms: i64) -> Result<Vec<(Labels, Value)>, String> {
        let deadline = self.0.clock.monotonic() + self.0.query_timeout;
        let late = || (self.0.clock.monotonic() >= deadline).then_some(Stop::Timeout);
        let watch = Watch {
            stop: &late,
            account: &Account::default(),
        };
        let answer = self
            .0
            .engine
            .instant_watched(&*self.0.reader, expr, at_ms, watch)
            .map_err(|error| crate::api::problem::chain(&error))?;
        elements(answer.value)
    }
}

/// The elements of an answer, as rules take them.
pub(crate) fn elements(value: QueryValue) -> Result<Vec<(Labels, Value)>, String> {
    match value {
        QueryValue::Vector(samples) => {
            Ok(samples.into_iter().map(|s| (s.labels, s.value)).collect())
        }
        QueryValue::Scalar { value, .. } => Ok(vec![(Labels::empty(), Value::Float(value))]),
        QueryValue::String { .. } | QueryValue::Matrix(_) => {
            Err("rule result is not a vector or scalar".to_owned())
        }
    }
}

#[cfg(test)]
mod tests;
