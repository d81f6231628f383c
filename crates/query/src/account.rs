//! What a query takes, counted where others can see it while it runs, and the memory that all
//! queries together may take.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use model::Clock;

use crate::error::QueryError;
use crate::meter::Meter;

/// Memory that running queries share.
#[derive(Debug)]
pub struct Pool {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl Pool {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: AtomicUsize::new(0),
        }
    }

    /// Bytes taken at the moment.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Bytes there are.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    fn take(&self, bytes: usize) -> Result<(), QueryError> {
        let fits = |now: usize| now.checked_add(bytes).filter(|all| *all <= self.bytes_max);
        match self.bytes.fetch_update(Relaxed, Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(_) => Err(QueryError::TooLarge(format!(
                "the queries that run now would hold more than {} bytes together; try again \
                 later, or ask for less",
                self.bytes_max
            ))),
        }
    }

    fn give(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

/// The counts of one query. What it holds is given back when it ends.
#[derive(Debug, Default)]
pub struct Account {
    pool: Option<Arc<Pool>>,
    clock: Option<Arc<dyn Clock>>,
    phases: [AtomicU64; PHASES],
    /// Samples looked at, by step of the query; only if somebody wants to know.
    steps: OnceLock<Steps>,
    wants_steps: bool,
    /// Measures each operator; only if somebody wants to know.
    meter: Option<Meter>,
    series: AtomicU64,
    samples_read: AtomicU64,
    samples_seen: AtomicU64,
    steps_reused: AtomicU64,
    samples: AtomicUsize,
    samples_peak: AtomicUsize,
    bytes: AtomicUsize,
    bytes_peak: AtomicUsize,
}

/// What a query does one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its text is parsed and its bounds are checked.
    Prepare,
    /// It is evaluated, which includes reading.
    Evaluate,
    /// Rows become the answer, and are sorted.
    Sort,
}

const PHASES: usize = 3;

/// Samples by step.
#[derive(Debug)]
struct Steps {
    start_ms: i64,
    step_ms: i64,
    counts: Box<[AtomicU64]>,
}

impl Account {
    /// With a clock: says afterwards how long each [`Phase`] took.
    #[must_use]
    pub fn timed_by(self, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock: Some(clock),
            ..self
        }
    }

    /// Counts the samples looked at by step, too ([`Account::samples_by_step`]).
    #[must_use]
    pub fn by_step(self) -> Self {
        Self {
            wants_steps: true,
            ..self
        }
    }

    /// Measures each operator, too ([`crate::Engine::analyze_instant`]).
    #[must_use]
    pub fn by_operator(self) -> Self {
        Self {
            meter: Some(Meter::default()),
            ..self
        }
    }

    /// What measures the operators, if somebody wants to know.
    pub(crate) fn meter(&self) -> Option<&Meter> {
        self.meter.as_ref()
    }

    /// Time on the clock; zero without one.
    pub(crate) fn now(&self) -> Duration {
        self.clock
            .as_ref()
            .map(|clock| clock.monotonic())
            .unwrap_or_default()
    }

    /// How long a phase took; zero without a clock.
    #[must_use]
    pub fn took(&self, phase: Phase) -> Duration {
        Duration::from_nanos(self.phases[phase as usize].load(Relaxed))
    }

    /// Time of each step (ms) and the samples looked at for it; what is looked at for no step
    /// alone, as within a subquery, counts for the last. Empty unless asked for.
    #[must_use]
    pub fn samples_by_step(&self) -> Vec<(i64, u64)> {
        let Some(steps) = self.steps.get() else {
            return Vec::new();
        };
        let step = |i: usize| steps.step_ms.saturating_mul(i as i64);
        let time = |i: usize| steps.start_ms.saturating_add(step(i));
        let counts = steps.counts.iter().enumerate();
        counts.map(|(i, n)| (time(i), n.load(Relaxed))).collect()
    }

    /// Does a phase, and notes how long it took.
    pub(crate) fn timed<T>(&self, phase: Phase, work: impl FnOnce() -> T) -> T {
        let now = || self.clock.as_ref().map(|clock| clock.monotonic());
        let before = now();
        let done = work();
        if let (Some(before), Some(after)) = (before, now()) {
            let took = after.saturating_sub(before).as_nanos();
            let took = u64::try_from(took).unwrap_or(u64::MAX);
            self.phases[phase as usize].fetch_add(took, Relaxed);
        }
        done
    }

    /// The query has these steps.
    pub(crate) fn begin_steps(&self, start_ms: i64, step_ms: i64, count: usize) {
        if self.wants_steps {
            self.steps.get_or_init(|| Steps {
                start_ms,
                step_ms,
                counts: (0..count).map(|_| AtomicU64::new(0)).collect(),
            });
        }
    }

    /// Samples were looked at: in all, and at each step of a grid that begins at `start_ms`.
    pub(crate) fn saw(
        &self,
        all: usize,
        start_ms: i64,
        at_steps: impl ExactSizeIterator<Item = usize>,
    ) {
        self.samples_seen.fetch_add(all as u64, Relaxed);
        let Some(steps) = self.steps.get() else {
            return;
        };
        if start_ms == steps.start_ms && at_steps.len() == steps.counts.len() {
            for (count, more) in steps.counts.iter().zip(at_steps) {
                count.fetch_add(more as u64, Relaxed);
            }
        } else if let Some(last) = steps.counts.last() {
            last.fetch_add(all as u64, Relaxed);
        }
    }

    /// A query that shares its memory with others.
    #[must_use]
    pub fn drawing_on(pool: Arc<Pool>) -> Self {
        Self {
            pool: Some(pool),
            ..Self::default()
        }
    }

    /// Series read so far; one read by two selectors counts twice.
    #[must_use]
    pub fn series(&self) -> u64 {
        self.series.load(Relaxed)
    }

    /// Samples read so far.
    #[must_use]
    pub fn samples_read(&self) -> u64 {
        self.samples_read.load(Relaxed)
    }

    /// Samples looked at, at each step those in its window: what Prometheus calls queryable.
    #[must_use]
    pub fn samples_seen(&self) -> u64 {
        self.samples_seen.load(Relaxed)
    }

    /// Steps that came from a cache.
    #[must_use]
    pub fn steps_reused(&self) -> u64 {
        self.steps_reused.load(Relaxed)
    }

    /// Most samples held at once.
    #[must_use]
    pub fn samples_peak(&self) -> usize {
        self.samples_peak.load(Relaxed)
    }

    /// Bytes of samples and results held at the moment.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Most bytes of samples and results held at once.
    #[must_use]
    pub fn bytes_peak(&self) -> usize {
        self.bytes_peak.load(Relaxed)
    }

    /// Takes room for an answer on its way out.
    pub fn hold(&self, bytes: usize) -> Result<Lease<'_>, QueryError> {
        self.take(0, bytes)?;
        Ok(Lease {
            account: self,
            bytes,
        })
    }

    pub(crate) fn read(&self, series: u64, samples: usize) {
        self.series.fetch_add(series, Relaxed);
        self.samples_read.fetch_add(samples as u64, Relaxed);
    }

    pub(crate) fn reused(&self, steps: usize) {
        self.steps_reused.fetch_add(steps as u64, Relaxed);
    }

    /// Samples held at the moment.
    pub(crate) fn samples(&self) -> usize {
        self.samples.load(Relaxed)
    }

    pub(crate) fn take(&self, samples: usize, bytes: usize) -> Result<(), QueryError> {
        if let Some(pool) = &self.pool {
            pool.take(bytes)?;
        }
        let all = self.samples.fetch_add(samples, Relaxed) + samples;
        self.samples_peak.fetch_max(all, Relaxed);
        let all = self.bytes.fetch_add(bytes, Relaxed) + bytes;
        self.bytes_peak.fetch_max(all, Relaxed);
        Ok(())
    }

    pub(crate) fn give(&self, samples: usize, bytes: usize) {
        self.samples.fetch_sub(samples, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
        if let Some(pool) = &self.pool {
            pool.give(bytes);
        }
    }
}

/// Room taken; given back when dropped.
#[derive(Debug)]
pub struct Lease<'a> {
    account: &'a Account,
    bytes: usize,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.account.give(0, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_share_a_pool_and_give_back_what_they_took() {
        let pool = Arc::new(Pool::new(100));
        let [a, b] = [(); 2].map(|()| Account::drawing_on(Arc::clone(&pool)));
        let lease = a.hold(60).unwrap();
        let refused = b.hold(41).unwrap_err().to_string();
        assert!(
            refused.contains("more than 100 bytes together"),
            "{refused}"
        );
        assert_eq!((b.bytes(), pool.bytes()), (0, 60));
        drop(lease);
        let lease = b.hold(100).unwrap();
        assert_eq!((a.bytes(), a.bytes_peak(), b.bytes()), (0, 60, 100));
        drop(lease);
        assert_eq!(pool.bytes(), 0);
    }
}
