//! The scrape configuration in use: a `prometheus.yml`, read at the start and again when asked
//! (SIGHUP, `POST /-/reload`). All or nothing: a file with a mistake changes nothing, and the
//! last good one stays in force; how it went is a metric and a line of the log.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use collect::prometheus_config::{self, Note, PrometheusConfig};
use model::Clock;
use runtime::metrics::Registry;

/// What of a file is in force, and how the last reading of it went.
#[derive(Debug)]
pub(crate) struct Scraping {
    path: Option<PathBuf>,
    collector: collect::Handle,
    clock: Arc<dyn Clock>,
    state: Arc<State>,
}

/// How reloads went, for `/metrics`.
#[derive(Debug)]
struct State {
    succeeded: AtomicBool,
    succeeded_ms: AtomicI64,
    reloads: AtomicU64,
    failures: AtomicU64,
}

/// Why there was no reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReloadError {
    /// No file was named at the start.
    NoFile,
    /// The file's mistakes; what was in force before still is.
    Mistakes(Vec<Note>),
}

impl Scraping {
    pub(crate) fn new(
        path: Option<PathBuf>,
        collector: collect::Handle,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Self {
        let state = Arc::new(State {
            succeeded: AtomicBool::new(true),
            succeeded_ms: AtomicI64::new(clock.wall_ms()),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        });
        if path.is_some() {
            declare(registry, &state);
        }
        Self {
            path,
            collector,
            clock,
            state,
        }
    }

    /// Reads the file again. Blocks while it does. The number of jobs in force then.
    pub(crate) fn reload(&self) -> Result<usize, ReloadError> {
        let path = self.path.as_deref().ok_or(ReloadError::NoFile)?;
        self.state.reloads.fetch_add(1, Ordering::Relaxed);
        match prometheus_config::read_file(path) {
            Ok(config) => {
                log(&config);
                let jobs = config.jobs.len();
                self.collector.set_jobs(config.jobs);
                let now_ms = self.clock.wall_ms();
                self.state.succeeded_ms.store(now_ms, Ordering::Relaxed);
                self.state.succeeded.store(true, Ordering::Relaxed);
                tracing::info!(path = %path.display(), jobs, "the scrape configuration was read again");
                Ok(jobs)
            }
            Err(mistakes) => {
                self.state.failures.fetch_add(1, Ordering::Relaxed);
                self.state.succeeded.store(false, Ordering::Relaxed);
                for mistake in &mistakes {
                    tracing::error!(%mistake, "the scrape configuration is not taken: the last good one stays in force");
                }
                Err(ReloadError::Mistakes(mistakes))
            }
        }
    }
}

fn declare(registry: &Registry, state: &Arc<State>) {
    let gauge = |name: &str, help: &str, read: fn(&State) -> f64| {
        let state = Arc::clone(state);
        registry.gauge_fn(name, help, &[], move || read(&state));
    };
    gauge(
        "alluse_config_last_reload_successful",
        "Whether the last reading of the scrape configuration succeeded.",
        |state| f64::from(u8::from(state.succeeded.load(Ordering::Relaxed))),
    );
    gauge(
        "alluse_config_last_reload_success_timestamp_seconds",
        "When the scrape configuration in force was read.",
        |state| state.succeeded_ms.load(Ordering::Relaxed) as f64 / 1e3,
    );
    let counter = |name: &str, help: &str, read: fn(&State) -> u64| {
        let state = Arc::clone(state);
        registry.counter_fn(name, help, &[], move || read(&state) as f64);
    };
    counter(
        "alluse_config_reloads_total",
        "Readings of the scrape configuration asked for while running.",
        |state| state.reloads.load(Ordering::Relaxed),
    );
    counter(
        "alluse_config_reload_failures_total",
        "Those of them that found a mistake and changed nothing.",
        |state| state.failures.load(Ordering::Relaxed),
    );
}

/// Reads the file at the start; its notices go to the log.
pub(crate) fn load(path: &Path) -> Result<PrometheusConfig, Vec<Note>> {
    let config = prometheus_config::read_file(path)?;
    log(&config);
    Ok(config)
}

fn log(config: &PrometheusConfig) {
    for notice in &config.notices {
        tracing::warn!(%notice, "a key of the scrape configuration has no effect");
    }
}
