//! The files in use that can change while running: a `prometheus.yml`, rule files, who is told of
//! alerts (`[notify]` and an `alertmanager.yml`). Read at the start and again when asked (SIGHUP,
//! `POST /-/reload`). All or nothing: a mistake in any of them changes nothing, and the last good
//! ones stay in force; how it went is a metric and a line of the log.

use std::{
    collections::BTreeMap,
    path::Path,
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
    config::Config,
    notifying::Notifying,
    ruling::{self, Loaded, Ruling},
    serve,
};

/// What of a file is in force, and how the last reading of it went.
#[derive(Debug)]
pub(crate) struct Scraping {
    parts: Parts,
    state: Arc<State>,
    shown: Mutex<Shown>,
}

/// What a reload changes, and how it was before the first.
#[derive(Debug)]
pub(crate) struct Parts {
    /// As the server was started.
    pub(crate) config: Config,
    pub(crate) ruling: Arc<Ruling>,
    pub(crate) notifying: Arc<Notifying>,
    pub(crate) collector: collect::Handle,
    pub(crate) clock: Arc<dyn Clock>,
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
    /// The mistakes of the files, a line each; what was in force before still is.
    Mistakes(Vec<String>),
}

impl Scraping {
    pub(crate) fn new(parts: Parts, registry: &Registry) -> Self {
        let state = Arc::new(State {
            succeeded: AtomicBool::new(true),
            succeeded_ms: AtomicI64::new(parts.clock.wall_ms()),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        });
        let shown = Shown {
            jobs: parts.config.collect.jobs.clone(),
            external_labels: parts.config.collect.external_labels.clone(),
        };
        let scraping = Self {
            parts,
            state,
            shown: Mutex::new(shown),
        };
        if scraping.has_files() {
            declare(registry, &scraping.state);
        }
        scraping
    }

    /// Whether there is anything to read again.
    fn has_files(&self) -> bool {
        let config = &self.parts.config;
        let is_named = config.file.is_some() || config.collect.prometheus_config.is_some();
        is_named || !config.rules.files.is_empty()
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
        if !self.has_files() {
            return Err(ReloadError::NoFile);
        }
        self.state.reloads.fetch_add(1, Ordering::Relaxed);
        match self.read() {
            Ok(fresh) => Ok(self.put_in_force(fresh)),
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

    /// What all files say now, or the mistakes of all.
    fn read(&self) -> Result<Fresh, Vec<String>> {
        let started = &self.parts.config;
        let mut mistakes = Vec::new();
        let mut config = match &started.file {
            Some(file) => serve::read_config(Some(file)).unwrap_or_else(|wrong| {
                mistakes.extend(wrong);
                started.clone()
            }),
            None => started.clone(),
        };
        let mut note = |notes: Vec<Note>| mistakes.extend(notes.iter().map(ToString::to_string));
        let path = started.collect.prometheus_config.as_deref();
        let prometheus = path.map(prometheus_config::read_file).transpose();
        let prometheus = prometheus.map_err(&mut note).ok().flatten();
        let loaded = ruling::load(&config.rules, prometheus.as_ref());
        let loaded = loaded.map_err(&mut note).unwrap_or_default();
        let notices = config.notify.load().map_err(&mut note).unwrap_or_default();
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        if let Some(prometheus) = &prometheus {
            let labels = prometheus.external_labels.iter().cloned();
            config.collect.external_labels = labels.collect();
            config.collect.alerting.clone_from(&prometheus.alerting);
        }
        log_notify(&notices);
        Ok(Fresh {
            config,
            prometheus,
            loaded,
        })
    }

    fn put_in_force(&self, fresh: Fresh) -> InForce {
        let in_force = InForce {
            jobs: fresh.prometheus.as_ref().map_or(0, |read| read.jobs.len()),
            groups: fresh.loaded.groups.len(),
            receivers: fresh.config.notify.receivers.len(),
        };
        if self.needs_restart(&fresh.config) {
            tracing::warn!(
                "other tables of the configuration than [rules] and [notify] have changed: they are read at the next start"
            );
        }
        log_rules(&fresh.loaded);
        if let Some(read) = fresh.prometheus {
            log(&read);
            *self.shown() = Shown {
                jobs: read.jobs.clone(),
                external_labels: read.external_labels.iter().cloned().collect(),
            };
            self.parts.collector.set_jobs(read.jobs);
        }
        // Who is told first: what new rules raise finds its receivers.
        self.parts.notifying.replace(&fresh.config.told());
        self.parts.ruling.replace(fresh.loaded);
        let now_ms = self.parts.clock.wall_ms();
        self.state.succeeded_ms.store(now_ms, Ordering::Relaxed);
        self.state.succeeded.store(true, Ordering::Relaxed);
        let InForce {
            jobs,
            groups,
            receivers,
        } = in_force;
        tracing::info!(
            jobs,
            groups,
            receivers,
            "the configuration files were read again"
        );
        in_force
    }

    /// Whether tables differ that a reload does not look at. Flags of the command line and what
    /// other files say are left out.
    fn needs_restart(&self, fresh: &Config) -> bool {
        let started = &self.parts.config;
        let mut fresh = fresh.clone();
        fresh.notify.clone_from(&started.notify);
        fresh.rules.clone_from(&started.rules);
        fresh.server.listen = started.server.listen;
        fresh.server.data.clone_from(&started.server.data);
        let (collect, before) = (&mut fresh.collect, &started.collect);
        collect
            .prometheus_config
            .clone_from(&before.prometheus_config);
        collect.jobs.clone_from(&before.jobs);
        collect.external_labels.clone_from(&before.external_labels);
        collect.alerting.clone_from(&before.alerting);
        fresh != *started
    }
}

/// What the files say.
struct Fresh {
    config: Config,
    prometheus: Option<PrometheusConfig>,
    loaded: Loaded,
}

/// What is in force after a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InForce {
    pub(crate) jobs: usize,
    /// Groups of rules.
    pub(crate) groups: usize,
    /// Those who are told of alerts.
    pub(crate) receivers: usize,
}

/// Notices of an `alertmanager.yml` go to the log.
pub(crate) fn log_notify(notices: &[Note]) {
    for notice in notices {
        tracing::warn!(%notice, "something in alertmanager.yml has no effect");
    }
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
