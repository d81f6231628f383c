//! A run: the clock thread, the queue, the connections' thread, and the handle to all of it.
//!
//! Two threads of its own, so that the generator's CPU time can be told from that of whatever
//! else lives in the process, and so that a busy connection never delays the clock.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::Builder,
    time::Duration,
};

use model::Clock;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    connection,
    dispatch::Dispatcher,
    exposition,
    plan::{Plan, PlanError, RATE_MAX, Schedule},
    queue::Queue,
    record::{Recorder, Snapshot},
    scenario::{Mix, Scenario},
};

/// Whom to load, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// `host:port` of the HTTP/1.1 server.
    pub address: String,
    /// When.
    pub plan: Plan,
    /// Keep-alive connections: as many requests are under way at once. The rest wait in the
    /// queue, and their latency goes on.
    pub connections: usize,
    /// Requests that may wait for a connection; beyond, they are dropped and the run is invalid.
    pub queue: usize,
    /// Longest time one exchange may take, seconds.
    pub timeout_seconds: f64,
    /// The latency the run is judged against, seconds: a generator late by more than a tenth of
    /// it makes the run invalid.
    pub latency_target_seconds: f64,
}

impl Config {
    /// A load with defaults: 64 connections, a queue of 16,384 (three seconds of 5,000/s, some
    /// 5 MB), 10 s for an exchange, judged against 100 ms.
    #[must_use]
    pub fn new(address: impl Into<String>, plan: Plan) -> Self {
        Self {
            address: address.into(),
            plan,
            connections: 64,
            queue: 16_384,
            timeout_seconds: 10.0,
            latency_target_seconds: 0.1,
        }
    }
}

/// Why a run could not begin.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The plan cannot be followed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// No operation, or a weight that is none.
    #[error("the scenario has no operation with a positive weight, or a weight that is negative")]
    Mix,
    /// A setting that cannot be.
    #[error("{setting} has to be above 0")]
    Setting {
        /// Its name.
        setting: &'static str,
    },
    /// The operating system refused.
    #[error("cannot start the generator's threads")]
    Threads {
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The settings as the threads use them.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) address: String,
    pub(crate) connections: usize,
    pub(crate) timeout: Duration,
}

/// What the threads and the handles share.
pub(crate) struct Shared {
    pub(crate) config: Ready,
    pub(crate) queue: Queue,
    pub(crate) recorder: Recorder,
    pub(crate) scenario: Mutex<Box<dyn Scenario>>,
    clock: Arc<dyn Clock>,
    begun: Duration,
    stopped: AtomicBool,
    /// Bits of a rate ordered and not yet taken; 0.0's bits cannot be told from nothing, so one
    /// more than the bits.
    new_rate: AtomicU64,
    shown_rate: AtomicU64,
    clock_thread: OnceLock<std::thread::Thread>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Time since the run began.
    pub(crate) fn now(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.begun)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn take_rate(&self) -> Option<f64> {
        let ordered = self.new_rate.swap(0, Ordering::Relaxed);
        (ordered > 0).then(|| f64::from_bits(ordered - 1))
    }

    pub(crate) fn show_rate(&self, rate: f64) {
        self.shown_rate.store(rate.to_bits(), Ordering::Relaxed);
    }

    fn wake_clock(&self) {
        if let Some(thread) = self.clock_thread.get() {
            thread.unpark();
        }
    }
}

/// Starts runs.
#[derive(Debug)]
pub struct Engine;

/// A run under way. Clones are the same run; it goes on when all are dropped.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
}

impl Engine {
    /// Begins a run.
    pub fn start(
        config: &Config,
        scenario: Box<dyn Scenario>,
        clock: Arc<dyn Clock>,
    ) -> Result<Handle, EngineError> {
        let schedule = Schedule::new(&config.plan)?;
        let operations = scenario.operations();
        let mix = Mix::new(&operations).ok_or(EngineError::Mix)?;
        let names = operations
            .into_iter()
            .map(|operation| operation.name)
            .collect();
        let target = positive("latency_target_seconds", config.latency_target_seconds)?;
        let shared = Arc::new(Shared {
            config: ready(config)?,
            queue: Queue::new(config.queue),
            recorder: Recorder::new(names, target),
            scenario: Mutex::new(scenario),
            begun: clock.monotonic(),
            clock,
            stopped: AtomicBool::new(false),
            new_rate: AtomicU64::new(0),
            shown_rate: AtomicU64::new(0),
            clock_thread: OnceLock::new(),
        });
        let dispatcher = Dispatcher::new(shared.clone(), schedule, mix, config.plan.seed);
        let ended = spawn(&shared, dispatcher);
        let ended = ended.map_err(|source| EngineError::Threads { source })?;
        Ok(Handle { shared, ended })
    }
}

fn ready(config: &Config) -> Result<Ready, EngineError> {
    for (setting, value) in [("connections", config.connections), ("queue", config.queue)] {
        if value == 0 {
            return Err(EngineError::Setting { setting });
        }
    }
    Ok(Ready {
        address: config.address.clone(),
        connections: config.connections,
        timeout: positive("timeout_seconds", config.timeout_seconds)?,
    })
}

fn positive(setting: &'static str, seconds: f64) -> Result<Duration, EngineError> {
    let time = Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| !time.is_zero());
    time.ok_or(EngineError::Setting { setting })
}

/// Starts both threads; the receiver turns true when the last request is done.
fn spawn(shared: &Arc<Shared>, dispatcher: Dispatcher) -> std::io::Result<watch::Receiver<bool>> {
    let (end, ended) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let serving = shared.clone();
    Builder::new()
        .name("load-connections".to_owned())
        .spawn(move || {
            runtime.block_on(connection::serve(serving));
            end.send_replace(true);
        })?;
    let clock = Builder::new()
        .name("load-clock".to_owned())
        .spawn(move || dispatcher.run());
    match clock {
        Ok(thread) => {
            // Set once, here.
            drop(shared.clock_thread.set(thread.thread().clone()));
            Ok(ended)
        }
        Err(error) => {
            shared.queue.close();
            Err(error)
        }
    }
}

impl Handle {
    /// From now on, so many requests a second, without end; the plan's stages to come are
    /// dropped. Refused if it is not between 0 and [`RATE_MAX`].
    pub fn set_rate(&self, rate: f64) -> Result<(), PlanError> {
        if !(0.0..=RATE_MAX).contains(&rate) {
            return Err(PlanError::Rate { stage: 1, rate });
        }
        self.shared
            .new_rate
            .store(rate.abs().to_bits() + 1, Ordering::Relaxed);
        self.shared.wake_clock();
        Ok(())
    }

    /// Requests a second planned for now.
    #[must_use]
    pub fn rate(&self) -> f64 {
        f64::from_bits(self.shared.shown_rate.load(Ordering::Relaxed))
    }

    /// Figures since the run began.
    #[must_use]
    pub fn total(&self) -> Snapshot {
        self.shared
            .recorder
            .total(self.shared.now(), self.shared.queue.length())
    }

    /// Figures since the last call of this function by anybody; at first since the beginning.
    #[must_use]
    pub fn interval(&self) -> Snapshot {
        self.shared
            .recorder
            .interval(self.shared.now(), self.shared.queue.length())
    }

    /// The cumulative figures as Prometheus text ([`exposition::CONTENT_TYPE`]).
    #[must_use]
    pub fn exposition(&self) -> String {
        exposition::render(
            &self.shared.recorder,
            self.shared.queue.length(),
            self.rate(),
        )
    }

    /// Stops: nothing more is sent, what waits is abandoned, what is under way is finished.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.shared.recorder.abandoned(self.shared.queue.abandon());
        self.shared.wake_clock();
    }

    /// Waits until the plan is over (or the run is stopped) and every request is done.
    pub async fn ended(&self) -> Snapshot {
        // An error means that the thread is gone without a word: it has ended, too.
        drop(self.ended.clone().wait_for(|ended| *ended).await);
        self.total()
    }

    /// What the scenario knows, for a moment; the run waits meanwhile.
    pub fn with_scenario<T>(&self, look: impl FnOnce(&mut dyn Scenario) -> T) -> T {
        let scenario = self.shared.scenario.lock();
        let mut scenario = scenario.unwrap_or_else(PoisonError::into_inner);
        look(&mut **scenario)
    }
}
