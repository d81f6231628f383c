//! Bounded concurrency with a bounded queue: requests wait their turn, and the wait is measured.
//!
//! `executor.concurrency` is a live knob on a [`Semaphore`] with permit debt. First come, first
//! served; what finds the queue full is turned away at once, which is cheaper for everyone than
//! an answer that comes too late.

use std::time::Duration;

use knob::{Apply, DeclareError, Knob, Scale};

use crate::{
    Clock,
    metrics::{Counter, Histogram, Registry},
    semaphore::{Permit, Semaphore},
};

/// Admits requests to the service; clones share the limit.
#[derive(Debug, Clone)]
pub struct Executor {
    semaphore: Semaphore,
    queue: usize,
    clock: Clock,
    wait: Histogram,
    turned_away: Counter,
}

/// The right to work on one request; dropping it lets the next one in.
#[derive(Debug)]
#[must_use = "an admission dropped at once admits nobody"]
pub struct Admission {
    _permit: Permit,
    /// How long the request stood in the queue.
    pub waited: Duration,
}

/// The queue is full: try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// How an executor starts out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Requests worked on at once, the default of `executor.concurrency`.
    pub concurrency: i64,
    /// Requests that may wait; one costs a few hundred bytes beside its connection.
    pub queue: usize,
}

impl Executor {
    /// Declares the knob and the metrics, and admits.
    ///
    /// # Errors
    /// The registry has an executor already, or the default is out of range.
    pub fn new(
        config: Config,
        clock: Clock,
        knobs: &knob::Registry,
        metrics: &Registry,
    ) -> Result<Self, DeclareError> {
        let semaphore = Semaphore::new(usize::try_from(config.concurrency).unwrap_or(1));
        declare_concurrency(config.concurrency, &semaphore, knobs)?;
        declare_gauges(&semaphore, metrics);
        Ok(Self {
            semaphore,
            queue: config.queue,
            clock,
            wait: metrics.latency(
                "executor_queue_wait_seconds",
                "Time from arrival to the start of work.",
                &[],
            ),
            turned_away: metrics.counter(
                "executor_turned_away_total",
                "Requests that found the queue full.",
                &[],
            ),
        })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// The queue is full.
    pub async fn enter(&self) -> Result<Admission, Busy> {
        let arrival = self.clock.now();
        let Ok(permit) = self.semaphore.acquire(self.queue).await else {
            self.turned_away.increment();
            return Err(Busy);
        };
        let waited = self.clock.now().saturating_sub(arrival);
        self.wait.observe_duration(waited);
        Ok(Admission {
            _permit: permit,
            waited,
        })
    }
}

fn declare_concurrency(
    default: i64,
    semaphore: &Semaphore,
    knobs: &knob::Registry,
) -> Result<(), DeclareError> {
    let semaphore = semaphore.clone();
    Knob::int("executor.concurrency", default)
        .unit("requests")
        .range(1..=512)
        .scale(Scale::Log)
        .max_step(0.5)
        .apply(Apply::Free)
        .help("Requests worked on at once; the others wait their turn.")
        .on_change(move |limit| semaphore.resize(limit.size()))
        .register(knobs)?;
    Ok(())
}

fn declare_gauges(semaphore: &Semaphore, metrics: &Registry) {
    let gauge = |name, help, read: fn(&Semaphore) -> usize| {
        let semaphore = semaphore.clone();
        metrics.gauge_fn(name, help, &[], move || read(&semaphore) as f64);
    };
    gauge(
        "executor_concurrency_limit",
        "Requests that may be worked on at once.",
        |s| s.usage().limit,
    );
    gauge("executor_in_flight", "Requests being worked on.", |s| {
        s.usage().out
    });
    gauge(
        "executor_queue_depth",
        "Requests waiting for a turn.",
        |s| s.usage().waiting,
    );
}
