//! Builds every stage from the configuration, one block each; starts nothing.

use std::{path::Path, sync::Arc};

use act::{Actuator, HttpTarget};
use govern::{Governor, Policy};
use journal::Journal;
use model::{Clock, Order, ProposalId, SampleSink, SeriesReader, StudyId, StudyState};
use query::{Engine, Limits, Options, ResultsCache};
use store::Store;
use tokio::sync::{Semaphore, broadcast, mpsc, watch};

use crate::{
    api::{
        App, Reader,
        admin::Admin,
        convert, feed,
        ingest::{Behind, Doors, Places},
    },
    capacity::Capacities,
    config::Config,
    driver::Driver,
    finding_series::{self, FindingSeries},
    health::{Health, checks},
    helpers::Helpers,
    keep::{Elsewhere, ElsewhereError, Keep},
    mailbox::{Mail, Mailbox},
    measure::Measure,
    notifying::Notifying,
    pipeline::{Parts, Pipeline},
    queries::Queries,
    ruling::{self, Ruling},
    scraping::{self, Scraping},
    streams::Streams,
    telemetry::Telemetry,
    tuner::Tuner,
    view::View,
};

/// Events a listener of the loop may lag behind.
const EVENTS_AHEAD: usize = 256;

/// Findings shown after a restart.
const FINDINGS_SHOWN: u32 = 200;

/// A server, not yet running.
pub(crate) struct Assembly {
    pub(crate) app: Arc<App>,
    pub(crate) driver: Driver,
    pub(crate) mails: mpsc::Receiver<Mail>,
    pub(crate) orders: mpsc::UnboundedReceiver<Order>,
    pub(crate) collector: collect::Collector,
    pub(crate) targets: Vec<TargetLink>,
    pub(crate) keep: Keep,
    /// The streams, and what they are shown.
    pub(crate) streams: Option<(Arc<Streams>, store::Subscription)>,
}

/// A target and the way to it.
#[derive(Debug)]
pub(crate) struct TargetLink {
    pub(crate) name: String,
    pub(crate) actuator: Arc<dyn Actuator>,
}

/// Why a server cannot be assembled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssembleError {
    #[error("cannot make the data folder {path}")]
    Folder {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot open the store in {path}")]
    Store {
        path: String,
        #[source]
        source: store::OpenError,
    },
    #[error(transparent)]
    Elsewhere(ElsewhereError),
    #[error("cannot open the journal {path}")]
    Journal {
        path: String,
        #[source]
        source: journal::JournalError,
    },
    #[error("cannot open what was notified, in {path}")]
    Notified {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the governor's record in the journal cannot be replayed")]
    Replay(#[source] govern::record::ReplayError),
    #[error("study {study} cannot go on")]
    Study {
        study: StudyId,
        #[source]
        source: crate::tuner::ResumeError,
    },
    #[error("the address of target {name} cannot be used")]
    Target {
        name: String,
        #[source]
        source: act::ActError,
    },
}

/// Builds a server.
pub(crate) fn assemble(config: Config, clock: Arc<dyn Clock>) -> Result<Assembly, AssembleError> {
    let data = config.server.data.clone();
    std::fs::create_dir_all(&data).map_err(|source| AssembleError::Folder {
        path: data.display().to_string(),
        source,
    })?;

    let keep = keep(&config, &data, &clock)?;
    let reader: Arc<dyn SeriesReader> = keep.reader();
    let engine = engine(&config);
    let measure = Measure::new(engine.clone());
    let policy = policy(&config);

    let journal_path = data.join("journal.sqlite");
    let journal_error = |source| AssembleError::Journal {
        path: journal_path.display().to_string(),
        source,
    };
    let journal = Journal::open(&journal_path).map_err(journal_error)?;
    let past = Past::read(&journal, &config).map_err(|error| match error {
        PastError::Journal(source) => journal_error(source),
        PastError::Assemble(error) => error,
    })?;

    let telemetry = Arc::new(Telemetry::new());
    keep.watch(&telemetry);
    let changes = keep.feed();
    telemetry.watch_feed(&changes);
    if let Some(cache) = engine.cache() {
        telemetry.watch_cache(cache);
    }
    let streams = streams(&config, &changes, &telemetry, &clock);
    let collector = collector(&config, Arc::clone(&clock));
    let tally = Arc::clone(collector.handle().tally());
    let notifying = Notifying::open(&config.told(), &data, &clock, &telemetry, tally);
    let notifying = notifying.map_err(|source| AssembleError::Notified {
        path: data.display().to_string(),
        source,
    })?;
    let notifying = Arc::new(notifying);
    let (view, viewed) = watch::channel(past.view(clock.wall_ms()));
    let (events, _) = broadcast::channel(EVENTS_AHEAD);
    let (mailbox, mails) = Mailbox::new();
    let (order_sender, orders) = mpsc::unbounded_channel();

    let targets = config
        .targets
        .iter()
        .map(|t| link(t, &clock))
        .collect::<Result<_, _>>()?;
    let pipeline = Pipeline::new(Parts {
        reader: Arc::clone(&reader),
        feed: changes.subscribe(Vec::new()),
        measure: measure.clone(),
        targets: config.targets.clone(),
        seed: config.governor.seed,
        governor: past.governor,
        tuners: past.tuners,
        next_proposal: past.next_proposal,
        next_study: past.next_study,
    });
    let quality = Arc::clone(collector.handle().quality());
    let receiver = receiver(&config).inspected(Arc::clone(&quality));
    let sink: Arc<dyn SampleSink> = Arc::new(collect::Inspected::new(
        keep.sink(),
        quality,
        Arc::clone(&clock),
    ));
    let driver = Driver {
        sink: finding_series::Sink(Arc::clone(&sink)),
        finding_series: FindingSeries::default(),
        pipeline,
        policy,
        journal,
        keep: keep.clone(),
        clock: Arc::clone(&clock),
        capacities: Capacities::new(config.capacity.clone()),
        view,
        events: events.clone(),
        orders: order_sender,
        telemetry: Arc::clone(&telemetry),
        record: crate::driver::Record::default(),
    };
    let ruling = Arc::new(Ruling::new(
        ruling::Parts {
            engine: engine.clone(),
            reader: Arc::clone(&reader),
            sink: Arc::clone(&sink),
            clock: Arc::clone(&clock),
            alerts: Some(Arc::clone(&notifying) as Arc<dyn model::AlertSink>),
            query_timeout: config.server.query_timeout,
            external_url: config.rules.external_url.clone(),
        },
        config.rules.loaded.clone(),
    ));
    let parts = scraping::Parts {
        config: config.clone(),
        ruling: Arc::clone(&ruling),
        notifying: Arc::clone(&notifying),
        collector: collector.handle(),
        clock: Arc::clone(&clock),
    };
    let scraping = Scraping::new(parts, &telemetry.registry);
    let doors = Doors(Arc::new(Behind {
        receiver,
        sink,
        places: Places::default(),
        clock: Arc::clone(&clock),
        durability: config.store.durability,
    }));
    let health = Arc::new(Health::new(Arc::clone(&clock), telemetry.registry.clone()));
    let admin = keep.here().filter(|_| config.server.admin_api);
    let admin = admin.map(|store| Admin {
        store: Arc::clone(store),
        data: data.clone(),
    });
    let app = App {
        admin,
        queries: Queries::new(
            config.server.queries.clone(),
            Arc::clone(&clock),
            &telemetry.registry,
        ),
        live: Arc::new(Semaphore::new(config.server.live_max)),
        config,
        clock,
        reader: Reader(reader),
        engine,
        measure,
        view: viewed,
        loop_mail: mailbox,
        events,
        telemetry,
        health,
        collector: collector.handle(),
        scraping: Arc::new(scraping),
        ruling,
        doors,
        answers: keep.answers(),
        store: keep.here().cloned(),
        streams: streams.as_ref().map(|(streams, _)| Arc::clone(streams)),
        feed: changes,
        feeds: Arc::new(Semaphore::new(feed::READERS_MAX)),
        notifying,
    };
    checks::register(&app.health, &app, &keep);
    Ok(Assembly {
        app: Arc::new(app),
        driver,
        mails,
        orders,
        collector,
        targets,
        keep,
        streams,
    })
}

/// The streams of the configuration, if it has any, subscribed to what enters them.
fn streams(
    config: &Config,
    changes: &store::Feed,
    telemetry: &Telemetry,
    clock: &Arc<dyn Clock>,
) -> Option<(Arc<Streams>, store::Subscription)> {
    if config.streams.is_empty() {
        return None;
    }
    let missed = telemetry.registry.counter(
        "alluse_stream_missed_points_total",
        "Points that left the change feed before the streams took them.",
        &[],
    );
    let streams = Streams::new(config.streams.clone(), missed, clock.wall_ms());
    let subscription = changes.subscribe(streams.inputs());
    Some((Arc::new(streams), subscription))
}

fn keep(config: &Config, data: &Path, clock: &Arc<dyn Clock>) -> Result<Keep, AssembleError> {
    let Some(said) = &config.store.remote else {
        return Ok(Keep::Here(store(config, data, Arc::clone(clock))?));
    };
    let (queue, samples) = (data.join("queue"), config.server.query_samples_max);
    let there = Elsewhere::open(said, &queue, samples, clock);
    Ok(Keep::Elsewhere(there.map_err(AssembleError::Elsewhere)?))
}

fn store(config: &Config, data: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Store>, AssembleError> {
    let path = data.join("store");
    let said = &config.store;
    let settings = store::Config {
        retention: said.retention,
        retention_1m: said.retention_1m,
        retention_1h: said.retention_1h,
        retention_bytes: said.retention_bytes,
        archive: said.archive.clone(),
        archive_after: said.archive_after,
        archive_bytes: said.archive_bytes,
        merge_bytes_per_s: said.merge_bytes_per_s,
        block_cache_bytes: said.block_cache_bytes,
        retention_rules: said.retention_rules.clone(),
        series_max: usize::try_from(said.series_max).unwrap_or(usize::MAX),
        series_max_per_metric: usize::try_from(said.series_max_per_metric).unwrap_or(usize::MAX),
        label_values_max: usize::try_from(said.label_values_max).unwrap_or(usize::MAX),
        series_limits: said.series_limits.clone(),
        // Synced twice in the window, so that a sync that takes its time still keeps it.
        sync_every: said.flush_window / 2,
        flush_every: said.flush_every,
        flush_bytes: said.flush_bytes,
        ..store::Config::default()
    };
    let store = Store::open(&path, settings, clock);
    let store = store.map_err(|source| AssembleError::Store {
        path: path.display().to_string(),
        source,
    })?;
    Ok(Arc::new(store))
}

pub(crate) fn receiver(config: &Config) -> collect::receive::Receiver {
    collect::receive::Receiver::new(collect::receive::Limits {
        body_bytes: config.server.body_bytes_max,
        ..collect::receive::Limits::default()
    })
}

fn engine(config: &Config) -> Engine {
    let limits = Limits {
        query_bytes: config.server.query_bytes_max,
        samples: config.server.query_samples_max,
        series: config.server.query_series_max,
        steps: config.server.query_points_max,
        bytes: config.server.query_memory_max,
        ..Limits::default()
    };
    let threads = config.server.query_threads;
    let engine = Engine::new(Options {
        limits,
        threads,
        ..Options::default()
    });
    let engine = engine.with_workers(Arc::new(Helpers::new(threads - 1)));
    match config.server.query_cache_bytes {
        0 => engine,
        bytes => engine.with_cache(Arc::new(ResultsCache::new(bytes))),
    }
}

fn policy(config: &Config) -> Policy {
    let said = &config.governor;
    let ms = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let default = Policy::default();
    Policy {
        trust: convert::trust_meant(said.trust),
        cool_down_ms: ms(said.cool_down),
        cool_down_max_ms: default.cool_down_max_ms.max(ms(said.cool_down)),
        budget_changes: said.changes_an_hour,
        lease_ms: ms(said.lease),
        order_timeout_ms: default.order_timeout_ms.min(ms(said.lease) / 2),
        ..default
    }
}

pub(crate) fn collector(config: &Config, clock: Arc<dyn Clock>) -> collect::Collector {
    let scrapes = config.collect.scrapes.iter().map(|scrape| collect::Target {
        interval: scrape.interval,
        timeout: scrape.timeout,
        ..collect::Target::new(&scrape.job, &scrape.url)
    });
    let tuned = config.targets.iter().map(|target| collect::Target {
        interval: target.interval,
        timeout: target.interval,
        ..collect::Target::new(&target.name, format!("{}/metrics", target.url))
    });
    let settings = collect::Config {
        host: config
            .collect
            .host_interval
            .map(|interval| collect::HostConfig {
                interval,
                ..collect::HostConfig::default()
            }),
        found_processes: config.collect.processes.iter().map(process).collect(),
        cgroups: cgroups(&config.collect),
        probes: config.collect.probes.clone(),
        triggers: config.collect.triggers.clone(),
        targets: scrapes.chain(tuned).collect(),
        jobs: config.collect.jobs.clone(),
        ..collect::Config::default()
    };
    collect::Collector::new(settings, clock)
}

fn process(
    said: &crate::config::doors::Process,
) -> (String, collect::process::Selector, collect::ProcessConfig) {
    let config = collect::ProcessConfig {
        interval: said.interval,
        ..collect::ProcessConfig::new(0, &said.job)
    };
    (said.job.clone(), said.selector.clone(), config)
}

fn cgroups(said: &crate::config::Collect) -> Option<collect::CgroupConfig> {
    let default = collect::CgroupConfig::default();
    (said.own_cgroup || !said.cgroups.is_empty()).then(|| collect::CgroupConfig {
        own: said.own_cgroup,
        names: said.cgroups.clone(),
        interval: said.host_interval.unwrap_or(default.interval),
        ..default
    })
}

fn link(
    target: &crate::config::Target,
    clock: &Arc<dyn Clock>,
) -> Result<TargetLink, AssembleError> {
    let name = target.name.clone();
    let actuator =
        HttpTarget::new(&target.name, &target.url, Arc::clone(clock)).map_err(|source| {
            AssembleError::Target {
                name: name.clone(),
                source,
            }
        })?;
    Ok(TargetLink {
        name,
        actuator: Arc::new(actuator),
    })
}

/// What the journal knows of earlier lives.
struct Past {
    governor: Governor,
    tuners: Vec<Tuner>,
    next_proposal: ProposalId,
    next_study: StudyId,
    decisions: Vec<model::Decision>,
    findings: Vec<model::Finding>,
}

enum PastError {
    Journal(journal::JournalError),
    Assemble(AssembleError),
}

impl From<journal::JournalError> for PastError {
    fn from(error: journal::JournalError) -> Self {
        Self::Journal(error)
    }
}

impl Past {
    fn read(journal: &Journal, config: &Config) -> Result<Self, PastError> {
        let lines = journal.events()?;
        let governor = govern::record::replay(lines.iter().map(String::as_str))
            .map_err(|error| PastError::Assemble(AssembleError::Replay(error)))?;
        Ok(Self {
            governor,
            tuners: Self::tuners(journal, config)?,
            next_proposal: journal.newest_proposal()?,
            next_study: journal.newest_study()?,
            decisions: journal.decisions(FINDINGS_SHOWN)?,
            findings: journal.findings(FINDINGS_SHOWN)?,
        })
    }

    /// The newest running study of each target that is still to be searched.
    fn tuners(journal: &Journal, config: &Config) -> Result<Vec<Tuner>, PastError> {
        let mut tuners: Vec<Tuner> = Vec::new();
        for study in journal.studies()? {
            let said = config.targets.iter().find(|t| t.name == study.target);
            let Some(said) = said.and_then(|t| t.study.as_ref()) else {
                continue;
            };
            let taken = tuners.iter().any(|t| t.study.target == study.target);
            if taken || study.state != StudyState::Running {
                continue;
            }
            let (id, lines) = (study.id, journal.study_log(study.id)?);
            let trials = journal.trials(id)?;
            let tuner =
                Tuner::resume(study, trials, &lines, said.trials_max).map_err(|source| {
                    PastError::Assemble(AssembleError::Study { study: id, source })
                })?;
            tuners.push(tuner);
        }
        Ok(tuners)
    }

    /// What is shown before the first turn.
    fn view(&self, now_ms: i64) -> View {
        let mut view = View::new(now_ms);
        for change in self.governor.changes() {
            view.note_change(convert::change(change, convert::Timing::default()));
        }
        for decision in self.decisions.iter().rev() {
            view.note_decision(convert::decision(decision));
        }
        for finding in self.findings.iter().rev() {
            view.note_finding(convert::finding(finding));
        }
        view
    }
}
