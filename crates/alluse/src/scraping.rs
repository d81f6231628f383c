//! The files in use that can change while running: a `prometheus.yml` and rule files, read at the
//! start and again when asked (SIGHUP, `POST /-/reload`). All or nothing: a mistake in any of them changes nothing, and the
//! last good one stays in force; how it went is a metric and a line of the log.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use collect::{
    Job,
    prometheus_config::{self, Note, PrometheusConfig},
};
use model::Clock;
use runtime::metrics::Registry;

use crate::{
    config::rules::Rules,
    ruling::{self, Loaded, Ruling},
};

/// What of a file is in force, and how the last reading of it went.
#[derive(Debug)]
pub(crate) struct Scraping {
    path: Option<PathBuf>,
    rules: Rules,
    ruling: Arc<Ruling>,
    collector: collect::Handle,
    clock: Arc<dyn Clock>,
    state: Arc<State>,
    shown: Mutex<Shown>,
}

/// What of the `prometheus.yml` in force others ask for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(crate) jobs: Vec<Job>,
    pub(crate) external_labels: BTreeMap<String, String>,
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
        shown: Shown,
        rules: Rules,
        ruling: Arc<Ruling>,
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
        if path.is_some() || !rules.files.is_empty() {
            declare(registry, &state);
        }
        Self {
            path,
            rules,
            ruling,
            collector,
            clock,
            state,
            shown: Mutex::new(shown),
        }
    }

    /// The jobs in force.
    pub(crate) fn jobs(&self) -> Vec<Job> {
        self.shown().jobs.clone()
    }

    /// Labels for whoever this server reports to.
    pub(crate) fn external_labels(&self) -> BTreeMap<String, String> {
        self.shown().external_labels.clone()
    }

    /// Whether the last reading succeeded, and when the last good one was, ms.
    pub(crate) fn last_reading(&self) -> (bool, i64) {
        let state = &self.state;
        (
            state.succeeded.load(Ordering::Relaxed),
            state.succeeded_ms.load(Ordering::Relaxed),
        )
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files again. Blocks while it does.
    pub(crate) fn reload(&self) -> Result<InForce, ReloadError> {
        if self.path.is_none() && self.rules.files.is_empty() {
            return Err(ReloadError::NoFile);
        }
        self.state.reloads.fetch_add(1, Ordering::Relaxed);
        match self.read() {
            Ok((config, loaded)) => Ok(self.put_in_force(config, loaded)),
            Err(mistakes) => {
                self.state.failures.fetch_add(1, Ordering::Relaxed);
                self.state.succeeded.store(false, Ordering::Relaxed);
                for mistake in &mistakes {
                    tracing::error!(%mistake, "the files are not taken: the last good ones stay in force");
                }
                Err(ReloadError::Mistakes(mistakes))
            }
        }
    }

    /// Both kinds of files, or the mistakes of both.
    fn read(&self) -> Result<(Option<PrometheusConfig>, Loaded), Vec<Note>> {
        let config = self.path.as_deref().map(prometheus_config::read_file);
        let (config, mut mistakes) = match config.transpose() {
            Ok(config) => (config, Vec::new()),
            Err(mistakes) => (None, mistakes),
        };
        match ruling::load(&self.rules, config.as_ref()) {
            Ok(loaded) if mistakes.is_empty() => return Ok((config, loaded)),
            Ok(_) => {}
            Err(more) => mistakes.extend(more),
        }
        Err(mistakes)
    }

    fn put_in_force(&self, config: Option<PrometheusConfig>, loaded: Loaded) -> InForce {
        let in_force = InForce {
            jobs: config.as_ref().map_or(0, |config| config.jobs.len()),
            groups: loaded.groups.len(),
        };
        log_rules(&loaded);
        if let Some(config) = config {
            log(&config);
            *self.shown() = Shown {
                jobs: config.jobs.clone(),
                external_labels: config.external_labels.iter().cloned().collect(),
            };
            self.collector.set_jobs(config.jobs);
        }
        self.ruling.replace(loaded);
        let now_ms = self.clock.wall_ms();
        self.state.succeeded_ms.store(now_ms, Ordering::Relaxed);
        self.state.succeeded.store(true, Ordering::Relaxed);
        let InForce { jobs, groups } = in_force;
        tracing::info!(jobs, groups, "the configuration files were read again");
        in_force
    }
}

/// What is in force after a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InForce {
    pub(crate) jobs: usize,
    /// Groups of rules.
    pub(crate) groups: usize,
}

/// Notices of rule files go to the log.
pub(crate) fn log_rules(loaded: &Loaded) {
    for notice in &loaded.notices {
        tracing::warn!(%notice, "something odd in a rule file");
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
