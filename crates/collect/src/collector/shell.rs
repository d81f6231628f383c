//! What every task is made of: its rhythm, its sampling, and the way to the sink.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use model::{Batch, Clock, Metadata};
use tokio::sync::{mpsc, mpsc::error::TrySendError, watch};

use super::Handle;
use crate::{
    cgroup::Cgroups,
    host::Host,
    probe::ProbeRunner,
    process::{Process, ProcessFinder},
    scrape::{Scraper, Target, with_causes},
    ticker::{Tick, Ticker},
    trigger::{Paces, Turn},
};

const TICKS: &str = "alluse_collect_ticks_total";
const TICKS_SKIPPED: &str = "alluse_collect_ticks_skipped_total";
const CLOCK_JUMPS: &str = "alluse_collect_clock_jumps_total";
const SAMPLES: &str = "alluse_collect_samples_total";
const SAMPLES_DROPPED: &str = "alluse_collect_samples_dropped_total";
const BATCHES_DROPPED: &str = "alluse_collect_batches_dropped_total";
const SCRAPE_FAILURES: &str = "alluse_collect_scrape_failures_total";
const TRIGGER_ACTIVE: &str = "alluse_trigger_active";
const TRIGGER_TURNS: &str = "alluse_trigger_turns_total";
const GAPS: &str = "alluse_collect_gaps_total";
const MISSED_SCRAPES: &str = "alluse_collect_missed_scrapes_total";
const COMPLETENESS: &str = "alluse_collect_completeness_ratio";
const SAMPLING_SECONDS: &str = "alluse_collect_sampling_seconds";

/// Something that is read where a read may block.
pub(super) trait Sampler: std::fmt::Debug + Send {
    /// Reads once. `monotonic` is when, for rates; samples carry `tick_ms`.
    fn sample(&mut self, tick_ms: i64, monotonic: Duration) -> Batch;

    /// Staleness markers for every series: sampling ends.
    fn end(&mut self, tick_ms: i64) -> Batch;
}

impl Sampler for Host {
    fn sample(&mut self, tick_ms: i64, monotonic: Duration) -> Batch {
        Self::sample(self, tick_ms, monotonic)
    }

    fn end(&mut self, tick_ms: i64) -> Batch {
        Self::end(self, tick_ms)
    }
}

impl Sampler for Process {
    fn sample(&mut self, tick_ms: i64, monotonic: Duration) -> Batch {
        Self::sample(self, tick_ms, monotonic)
    }

    fn end(&mut self, tick_ms: i64) -> Batch {
        Self::end(self, tick_ms)
    }
}

impl Sampler for ProcessFinder {
    fn sample(&mut self, tick_ms: i64, monotonic: Duration) -> Batch {
        Self::sample(self, tick_ms, monotonic)
    }

    fn end(&mut self, tick_ms: i64) -> Batch {
        Self::end(self, tick_ms)
    }
}

impl Sampler for Cgroups {
    fn sample(&mut self, tick_ms: i64, monotonic: Duration) -> Batch {
        Self::sample(self, tick_ms, monotonic)
    }

    fn end(&mut self, tick_ms: i64) -> Batch {
        Self::end(self, tick_ms)
    }
}

/// What a task samples.
#[derive(Debug)]
pub(super) enum Work {
    /// Of this kind, read on a thread that may block.
    Blocking(&'static str, Box<dyn Sampler>),
    /// A target, shown on the board under this key.
    Scrape(String, Box<Scraper>),
    /// A probe of the user's.
    Probe(Box<ProbeRunner>),
}

impl Work {
    fn kind(&self) -> &'static str {
        match self {
            Self::Blocking(kind, _) => kind,
            Self::Scrape(..) => "scrape",
            Self::Probe(_) => "probe",
        }
    }

    fn end(&mut self, now_ms: i64) -> Batch {
        match self {
            Self::Blocking(_, sampler) => sampler.end(now_ms),
            Self::Scrape(_, scraper) => scraper.end(now_ms),
            Self::Probe(probe) => probe.end(now_ms),
        }
    }
}

/// What every task needs.
#[derive(Debug, Clone)]
pub(super) struct Shell {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) handle: Handle,
    pub(super) sink: mpsc::Sender<Batch>,
    /// What is sampled how often, and the triggers over it.
    pub(super) paces: Arc<Mutex<Paces>>,
    /// The ways to tell running tasks their interval, by key.
    pub(super) lines: Arc<Mutex<BTreeMap<String, watch::Sender<Duration>>>>,
}

impl Shell {
    /// Samples at each tick until stopped, then marks everything stale.
    pub(super) async fn tick(
        self,
        mut pace: watch::Receiver<Duration>,
        mut work: Work,
        mut stopped: watch::Receiver<()>,
    ) {
        let interval = *pace.borrow_and_update();
        let mut ticker = Ticker::new(interval, self.clock.wall_ms(), self.clock.monotonic());
        let kind = work.kind();
        let labels = [("kind", kind)];
        let mut last_ms = i64::MIN;
        let mut owed = Vec::new();
        loop {
            let wait = ticker.deadline().saturating_sub(self.clock.monotonic());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                Ok(()) = pace.changed() => {
                    let interval = *pace.borrow_and_update();
                    // Never a time again that was sampled already.
                    let wall_ms = self.clock.wall_ms().max(last_ms.saturating_add(1));
                    ticker = Ticker::new(interval, wall_ms, self.clock.monotonic());
                    continue;
                }
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
            let batch = match &mut work {
                // A scrape that is under way is given up when the task is to end.
                Work::Scrape(key, scraper) => tokio::select! {
                    batch = self.scrape(key, scraper, &tick) => batch,
                    _ = stopped.changed() => break,
                },
                Work::Probe(probe) => tokio::select! {
                    batch = probe.run(tick.stamp_ms) => batch,
                    _ = stopped.changed() => break,
                },
                Work::Blocking(..) => {
                    let (batch, back) = self.read(work, tick.stamp_ms).await;
                    let Some(back) = back else { return };
                    work = back;
                    batch
                }
            };
            self.send(kind, batch, &mut owed);
        }
        if let Work::Scrape(_, scraper) = &work {
            for name in [GAPS, MISSED_SCRAPES, COMPLETENESS] {
                let labels = target_labels(scraper.target());
                self.handle.tally.remove(name, &labels);
            }
        }
        let last = work.end(self.clock.wall_ms().max(last_ms.saturating_add(1)));
        self.send(kind, last, &mut owed);
    }

    /// The kernel may block a read (a dying disk): never on a thread of the runtime.
    async fn read(&self, work: Work, tick_ms: i64) -> (Batch, Option<Work>) {
        let begun = self.clock.monotonic();
        let Work::Blocking(kind, mut sampler) = work else {
            return (Batch::default(), Some(work));
        };
        let read = tokio::task::spawn_blocking(move || {
            let batch = sampler.sample(tick_ms, begun);
            (batch, sampler)
        });
        let read = read.await;
        let taken = self.clock.monotonic().saturating_sub(begun).as_secs_f64();
        self.handle.tally.set(SAMPLING_SECONDS, &[], taken);
        match read {
            Ok((batch, sampler)) => (batch, Some(Work::Blocking(kind, sampler))),
            Err(error) => {
                tracing::error!(%error, "host sampling failed: it ends");
                (Batch::default(), None)
            }
        }
    }

    async fn scrape(&self, key: &str, scraper: &mut Scraper, tick: &Tick) -> Batch {
        let tick_ms = tick.stamp_ms;
        let scrape = scraper.scrape(tick_ms).await;
        self.complete(scraper, tick.skipped, scrape.error.is_none());
        let target = scraper.target();
        if let Some(error) = &scrape.error {
            let labels = [("job", target.job.as_str()), ("reason", error.reason())];
            self.count(SCRAPE_FAILURES, &labels, 1.0);
            let (source, at_ms) = (target.url.clone(), self.clock.wall_ms());
            let quality = self.handle.quality();
            quality.source("scrape", error.reason(), source, with_causes(error), at_ms);
        }
        let error = scrape.error.as_ref().map(|error| with_causes(error));
        if let Some(status) = self.handle.board().targets.get_mut(key) {
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
    pub(super) fn send(&self, kind: &'static str, mut batch: Batch, owed: &mut Vec<Metadata>) {
        let count = batch.samples.len() as f64;
        batch.metadata.splice(..0, owed.drain(..));
        batch.door = kind;
        self.look(&batch);
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

    /// Every trigger is a series from the start.
    pub(super) fn show_triggers(&self) {
        let paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        for name in paces.names() {
            self.handle
                .tally
                .set(TRIGGER_ACTIVE, &[("trigger", name)], 0.0);
        }
    }

    /// Shows the triggers what was sampled, and tells whoever's interval changed.
    fn look(&self, batch: &Batch) {
        let (turned, changed) = {
            let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
            if paces.is_idle() {
                return;
            }
            paces.look(&batch.samples)
        };
        for (name, turn) in turned {
            let (active, to) = match turn {
                Turn::Entered => (1.0, "entered"),
                Turn::Left => (0.0, "left"),
            };
            tracing::info!(trigger = name, to, "a trigger turned");
            self.handle
                .tally
                .set(TRIGGER_ACTIVE, &[("trigger", &name)], active);
            self.count(TRIGGER_TURNS, &[("trigger", &name), ("to", to)], 1.0);
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, interval) in changed {
            if let Some(line) = lines.get(&key) {
                line.send_replace(interval);
            }
        }
    }

    fn count(&self, name: &str, labels: &[(&str, &str)], by: f64) {
        self.handle.tally.add(name, labels, by);
    }
}

fn target_labels(target: &Target) -> [(&str, &str); 2] {
    [("job", &target.job), ("instance", &target.instance)]
}
