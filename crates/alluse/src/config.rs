//! The configuration: what the user said in `alluse.toml`, and what each stage means by it.
//!
//! Everything is optional. A flag of the command line wins over the environment
//! (`ALLUSE__SERVER__LISTEN`), that over the file, that over the default. All mistakes are
//! reported at once, each with its place and key.

pub(crate) mod alertmanager_yml;
pub(crate) mod doors;
pub(crate) mod duration;
pub(crate) mod notification;
pub(crate) mod outlet;
pub(crate) mod rules;
mod said;
mod stream;
mod zone;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use model::{Durability, Goal};
use outlet::{Outlet, outlet};
pub(crate) use said::Mistake;
use said::{Section, Source};
use store::SeriesLimit;
use toml::de::DeTable;
use wire::control::TrustLevel;

/// The whole configuration, as meant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// Where it was read from.
    pub(crate) file: Option<PathBuf>,
    pub(crate) server: Server,
    pub(crate) store: Store,
    pub(crate) agent: Agent,
    pub(crate) collect: Collect,
    pub(crate) governor: Governor,
    pub(crate) targets: Vec<Target>,
    pub(crate) capacity: Vec<Capacity>,
    /// What is windowed, joined and reshaped in flight.
    pub(crate) streams: Vec<::stream::StreamSpec>,
    pub(crate) rules: rules::Rules,
    /// Who is told of alerts.
    pub(crate) notify: notification::Notification,
}

/// Where the server listens and what it accepts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Server {
    /// Loopback by default: nothing is offered to a network unless asked for.
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    /// Largest request body, bytes.
    pub(crate) body_bytes_max: usize,
    /// Longest time a query may take.
    pub(crate) query_timeout: Duration,
    /// Longest query text, bytes.
    pub(crate) query_bytes_max: usize,
    /// Samples a query may hold in memory.
    pub(crate) query_samples_max: usize,
    /// Series one selector of a query may read.
    pub(crate) query_series_max: usize,
    /// Points a series of a range query may have.
    pub(crate) query_points_max: usize,
    /// Bytes of samples and results one query may hold.
    pub(crate) query_memory_max: usize,
    /// Threads a query of many series may use, if no other query has them.
    pub(crate) query_threads: usize,
    /// Bytes of answers to range queries that are kept; 0: none are.
    pub(crate) query_cache_bytes: usize,
    pub(crate) queries: Queries,
    /// Pages listening to the live stream at once.
    pub(crate) live_max: usize,
    /// Whether snapshots, deletes and backups can be asked for over HTTP.
    pub(crate) admin_api: bool,
}

/// How many queries run and wait at once, and what they may take together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queries {
    /// Queries running at once; more wait their turn.
    pub(crate) running_max: usize,
    /// Queries waiting at once; more get 503.
    pub(crate) waiting_max: usize,
    /// Longest wait; then 503.
    pub(crate) wait_max: Duration,
    /// Bytes of samples and results all running queries may hold together.
    pub(crate) memory_max: usize,
    /// A query that runs longer is logged and kept to be looked at.
    pub(crate) slow: Duration,
}

/// How much is kept, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Store {
    /// The store elsewhere that keeps the samples instead of the own one.
    pub(crate) remote: Option<Outlet>,
    pub(crate) retention: Duration,
    /// Age of one-minute and one-hour roll-ups; zero: none are made.
    pub(crate) retention_1m: Duration,
    pub(crate) retention_1h: Duration,
    /// Bytes the store may take; 0: no limit.
    pub(crate) retention_bytes: u64,
    /// A second folder, on a slower or cheaper disk, and the age at which whole days move there.
    pub(crate) archive: Option<PathBuf>,
    pub(crate) archive_after: Option<Duration>,
    /// Bytes it may take; 0: no limit.
    pub(crate) archive_bytes: u64,
    /// Bytes a second that merges write at most; 0: no limit.
    pub(crate) merge_bytes_per_s: u64,
    /// Bytes of decoded columns that are kept for the next query; 0: none are.
    pub(crate) block_cache_bytes: usize,
    pub(crate) retention_rules: Vec<store::RetentionRule>,
    pub(crate) series_max: u64,
    /// Active series of one metric.
    pub(crate) series_max_per_metric: u64,
    /// Distinct values of one label.
    pub(crate) label_values_max: u64,
    /// Further limits.
    pub(crate) series_limits: Vec<SeriesLimit>,
    /// What a power cut may lose at most.
    pub(crate) flush_window: Duration,
    /// When a pushed batch is acknowledged, unless its request says otherwise.
    pub(crate) durability: Durability,
    /// Age of the oldest sample in memory at which memory becomes parts.
    pub(crate) flush_every: Duration,
    /// Bytes of log at which memory becomes parts: bounds the replay after a crash.
    pub(crate) flush_bytes: u64,
}

/// How `alluse agent` works; `serve` does not look at it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Agent {
    /// Where its own metrics and its doors are.
    pub(crate) listen: SocketAddr,
    /// Folder of its queue.
    pub(crate) data: PathBuf,
    /// Put on samples that have no such label: what tells one agent's host from another's.
    pub(crate) labels: Vec<(String, String)>,
    /// Where samples go; the address is empty when only the command line says it.
    pub(crate) outlet: Outlet,
}

/// What is collected.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Collect {
    /// Between two samples of this host; `None` to leave the host alone.
    pub(crate) host_interval: Option<Duration>,
    pub(crate) scrapes: Vec<Scrape>,
    /// A `prometheus.yml`; relative to this configuration's folder.
    pub(crate) prometheus_config: Option<PathBuf>,
    /// Whether the control group of this server is sampled.
    pub(crate) own_cgroup: bool,
    /// Further control groups, by path.
    pub(crate) cgroups: Vec<String>,
    pub(crate) processes: Vec<doors::Process>,
    pub(crate) statsd: Option<collect::StatsdConfig>,
    pub(crate) otlp_grpc: Option<doors::OtlpGrpc>,
    pub(crate) probes: Vec<collect::ProbeConfig>,
    pub(crate) triggers: Vec<collect::TriggerConfig>,
    /// Its jobs, once it is read.
    pub(crate) jobs: Vec<collect::Job>,
    /// Its Alertmanagers, once it is read.
    pub(crate) alerting: collect::prometheus_config::Alerting,
    /// Its external labels, once it is read: put on what other servers read from this one.
    pub(crate) external_labels: std::collections::BTreeMap<String, String>,
}

/// One endpoint scraped for metrics.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scrape {
    pub(crate) job: String,
    pub(crate) url: String,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// What the loop may do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Governor {
    pub(crate) trust: TrustLevel,
    pub(crate) seed: u64,
    /// Rest of a target after a change.
    pub(crate) cool_down: Duration,
    /// Changes of one target in an hour.
    pub(crate) changes_an_hour: u32,
    /// How long a value holds when this server is gone.
    pub(crate) lease: Duration,
}

/// One service under tuning.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// Base address; speaks the knob protocol under `/knobs` and metrics under `/metrics`.
    pub(crate) url: String,
    pub(crate) interval: Duration,
    pub(crate) objective: Objective,
    pub(crate) guards: Vec<Guard>,
    pub(crate) trial: Trial,
    /// `None`: watched, and changed on proposals only.
    pub(crate) study: Option<Study>,
}

/// What is optimized. `$window` in the query stands for the length of a measured window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Objective {
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) goal: Goal,
    pub(crate) unit: String,
}

/// What must hold while a change is tried.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Guard {
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) bound: Bound,
    /// So many breaches ...
    pub(crate) breaches: u32,
    /// ... among so many scrapes end the trial.
    pub(crate) of: u32,
}

/// Which side of a guard's bound is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// How a change is tried.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trial {
    pub(crate) window: Duration,
    /// Left out after a switch, until the service has settled.
    pub(crate) settle: Duration,
    pub(crate) pairs_max: u32,
    /// Error rate of a verdict.
    pub(crate) alpha: f64,
    /// Smallest relative effect worth having.
    pub(crate) mde: f64,
}

/// A search for better values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Study {
    /// Knobs searched; empty for all that can be changed live.
    pub(crate) knobs: Vec<String>,
    pub(crate) method: String,
    pub(crate) trials_max: u32,
    /// Longest step of a trial, as a share of each knob's range; the knob's own limit holds too.
    pub(crate) step: f64,
    /// Values to try before anything else: what the service's maker or a person expects to help.
    pub(crate) try_first: Vec<model::Params>,
}

/// A resource that must not run out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Capacity {
    pub(crate) name: String,
    /// PromQL; each series of the answer is forecast.
    pub(crate) query: String,
    pub(crate) threshold: f64,
    /// Whether running out means rising above the threshold, or falling below.
    pub(crate) above: bool,
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
/// Longest an agent's sample waits for others: five samples of a 1 s series share their labels.
const AGENT_DELAY: Duration = Duration::from_secs(5);
/// The same in a server, whose analysis and trials read what they wait for.
const SERVER_DELAY: Duration = Duration::from_millis(200);
const YEARS: Duration = Duration::from_secs(20 * 365 * 86_400);

impl Config {
    /// Who is told of alerts; address and labels that it does not say are those of the rules.
    pub(crate) fn told(&self) -> notification::Notification {
        let mut told = self.notify.clone().with(&self.collect.alerting);
        if told.external_url.is_empty() {
            told.external_url.clone_from(&self.rules.external_url);
        }
        let rules = self
            .rules
            .external_labels
            .iter()
            .map(|(name, value)| (name, value));
        for (name, value) in rules.chain(&self.collect.external_labels) {
            if !told.external_labels.iter().any(|(known, _)| known == name) {
                told.external_labels.push((name.clone(), value.clone()));
            }
        }
        told
    }
}

impl Default for Config {
    fn default() -> Self {
        read("built-in", "", &[]).expect("an empty configuration has no mistakes")
    }
}

/// Reads a configuration. `name` is its file, `environment` the variables of the process.
pub(crate) fn read(
    name: &str,
    text: &str,
    environment: &[(String, String)],
) -> Result<Config, Vec<Mistake>> {
    let overlay = environment_overlay(environment);
    let (table, errors) = DeTable::parse_recoverable(text);
    let source = Source::new(name, text);
    for error in errors {
        let at = error.span().map_or(0, |s| s.start);
        source.note(at, "", error.message().trim().to_owned());
    }
    let root = Section::root(&source, table.get_ref());
    let mut config = meant(&root);
    root.finish();
    let mut mistakes = source.into_mistakes();
    if let Err(more) = apply_environment(&mut config, &overlay) {
        mistakes.extend(more);
    }
    if mistakes.is_empty() {
        Ok(config)
    } else {
        Err(mistakes)
    }
}

/// Variables that set a key, as `(variable, lower-case path, value)`.
fn environment_overlay(environment: &[(String, String)]) -> Vec<(String, String, String)> {
    let key = |name: &str| {
        name.strip_prefix("ALLUSE__")
            .map(|path| path.to_lowercase().replace("__", "."))
    };
    environment
        .iter()
        .filter_map(|(n, v)| Some((n.clone(), key(n)?, v.clone())))
        .collect()
}

/// The settings that deployments set by environment. Lists of tables are the file's alone.
fn apply_environment(
    config: &mut Config,
    overlay: &[(String, String, String)],
) -> Result<(), Vec<Mistake>> {
    let mut mistakes = Vec::new();
    for (variable, path, value) in overlay {
        let result = match path.as_str() {
            "server.listen" => value
                .parse()
                .map(|v| config.server.listen = v)
                .map_err(|_address| format!("{value:?} is not an address such as 127.0.0.1:9400")),
            "server.data" => {
                config.server.data = value.into();
                Ok(())
            }
            "store.retention" => duration::parse(value).map(|v| config.store.retention = v),
            "store.retention_1m" => duration::parse(value).map(|v| config.store.retention_1m = v),
            "store.retention_1h" => duration::parse(value).map(|v| config.store.retention_1h = v),
            "governor.trust" => TRUST
                .iter()
                .find(|(name, _)| name == value)
                .map(|(_, v)| config.governor.trust = *v)
                .ok_or_else(|| format!("{value:?} is none of recommend, approve, autonomous")),
            "governor.seed" => value
                .parse()
                .map(|v| config.governor.seed = v)
                .map_err(|_number| format!("{value:?} is not a whole number")),
            _ => Err(
                "is not a setting the environment can change; see `alluse config check --help`"
                    .to_owned(),
            ),
        };
        if let Err(message) = result {
            mistakes.push(Mistake {
                place: variable.clone(),
                key: path.clone(),
                message,
            });
        }
    }
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(mistakes)
    }
}

/// What a setting or a request may say of when a batch counts as stored.
pub(crate) const DURABILITY: [(&str, Durability); 2] =
    [("fast", Durability::Fast), ("sync", Durability::Sync)];

const TRUST: [(&str, TrustLevel); 3] = [
    ("recommend", TrustLevel::Recommend),
    ("approve", TrustLevel::Approve),
    ("autonomous", TrustLevel::Autonomous),
];

fn meant(root: &Section<'_, '_>) -> Config {
    Config {
        file: None,
        server: server(root.section("server")),
        store: store(root.section("store")),
        agent: agent(root.section("agent")),
        collect: collect(root.section("collect")),
        governor: governor(root.section("governor")),
        targets: root.sections("target").into_iter().map(target).collect(),
        capacity: capacities(root),
        streams: stream::streams(root),
        rules: rules::rules(root.section("rules")),
        notify: notification::notification(root.section("notify")),
    }
}

fn server(said: Section<'_, '_>) -> Server {
    let address = |text: &str| {
        text.parse()
            .map_err(|_address| format!("{text:?} is not an address such as 127.0.0.1:9400"))
    };
    let server = Server {
        listen: said
            .parsed("listen", address)
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9_400))),
        data: said
            .text("data")
            .map_or_else(|| "alluse-data".into(), PathBuf::from),
        // 32 MiB: a remote-write shard's worth; 16 KiB: no honest query is longer.
        body_bytes_max: size(&said, "body_bytes_max", 32 << 20, 1 << 30),
        query_bytes_max: size(&said, "query_bytes_max", 16 << 10, 1 << 20),
        query_samples_max: size(&said, "query_samples_max", 50_000_000, usize::MAX >> 8),
        // As Prometheus has it: more points than any screen has columns.
        query_points_max: size(&said, "query_points_max", 11_000, 1 << 24),
        query_series_max: size(&said, "query_series_max", 1_000_000, 1 << 32),
        query_memory_max: size(&said, "query_memory_max", 1 << 30, usize::MAX >> 8),
        query_threads: size(&said, "query_threads", cores(), 1 << 10),
        query_cache_bytes: size_or_none(&said, "query_cache_bytes", CACHE_BYTES),
        queries: queries(&said),
        live_max: size(&said, "live_max", 64, 1 << 14),
        admin_api: said.flag("admin_api").unwrap_or(false),
        query_timeout: said
            .duration("query_timeout", Duration::from_millis(1)..=HOUR)
            .unwrap_or(Duration::from_secs(30)),
    };
    said.finish();
    server
}

/// What a cache may take, 32 MiB. Of answers a panel of 100 series and 240 points takes 0.4, so
/// that is the dashboards of a few people; of columns it is what `store::Config` says.
const CACHE_BYTES: usize = 32 << 20;

/// As [`size`], with 0 for what is not wanted.
fn size_or_none(said: &Section<'_, '_>, key: &'static str, default: usize) -> usize {
    let said = said.integer(key, 0..=1 << 40);
    said.and_then(|n| usize::try_from(n).ok())
        .unwrap_or(default)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn queries(said: &Section<'_, '_>) -> Queries {
    let span = |key, most, default| {
        said.duration(key, Duration::from_millis(1)..=most)
            .unwrap_or(default)
    };
    Queries {
        running_max: size(said, "queries_max", 16, 1 << 10),
        waiting_max: size(said, "queries_waiting_max", 128, 1 << 14),
        // Twice what a query may hold: two of the largest together, or many of the usual.
        memory_max: size(said, "queries_memory_max", 2 << 30, usize::MAX >> 8),
        wait_max: span("query_wait_max", HOUR, Duration::from_secs(10)),
        slow: span("query_slow_after", HOUR, Duration::from_secs(5)),
    }
}

fn size(said: &Section<'_, '_>, key: &'static str, default: usize, most: usize) -> usize {
    let said = said.integer(key, 1..=most as u64);
    said.map_or(default, |n| {
        usize::try_from(n).expect("checked against usize")
    })
}

/// What merging leaves to ingest and queries: see `store::Config::merge_bytes_per_s`.
const MERGE_BYTES_PER_S: u64 = 4 << 20;
/// Least byte limit: below the bound of the log it would leave no room for samples.
const RETENTION_BYTES_MIN: u64 = 512 << 20;

fn retention_bytes(said: &Section<'_, '_>) -> u64 {
    let bytes = said.integer("retention_bytes", 0..=1 << 60).unwrap_or(0);
    if (1..RETENTION_BYTES_MIN).contains(&bytes) {
        let least = format!("expected 0 (no limit) or at least {RETENTION_BYTES_MIN} bytes");
        said.mistake("retention_bytes", least);
    }
    bytes
}

/// Series that are forgotten earlier: a selector, and an age.
fn retention_rule(said: Section<'_, '_>) -> store::RetentionRule {
    let text = said.required_text("match");
    let matchers = query::parse_selector(&text).unwrap_or_else(|error| {
        said.mistake("match", error.to_string());
        Vec::new()
    });
    said.require("age");
    let age = said.duration("age", HOUR..=YEARS).unwrap_or(YEARS);
    said.finish();
    store::RetentionRule { matchers, age }
}

fn store(said: Section<'_, '_>) -> Store {
    let url = said.text("remote");
    if url.as_ref().is_some_and(|url| !outlet::is_address(url)) {
        let what = "expected an address that begins with http:// or https://";
        said.mistake("remote", what);
    }
    let url_given = url.is_some();
    let url = url.unwrap_or_default().trim_end_matches('/').to_owned();
    let remote = outlet(&said, url, SERVER_DELAY);
    let archive = said.text("archive");
    if archive.is_some() {
        said.require("archive_after");
    }
    let series_max = said.integer("series_max", 1..=1 << 40).unwrap_or(1_000_000);
    // One metric, or one label, may take half of what there is room for.
    let half = (series_max / 2).max(1);
    let store = Store {
        remote: url_given.then_some(remote),
        retention: said
            .duration("retention", HOUR..=YEARS)
            .unwrap_or(Duration::from_secs(15 * 86_400)),
        retention_1m: said
            .duration("retention_1m", Duration::ZERO..=YEARS)
            .unwrap_or(Duration::ZERO),
        retention_1h: said
            .duration("retention_1h", Duration::ZERO..=YEARS)
            .unwrap_or(Duration::ZERO),
        retention_bytes: retention_bytes(&said),
        archive: archive.map(PathBuf::from),
        archive_after: said.duration("archive_after", HOUR..=YEARS),
        archive_bytes: said.integer("archive_bytes", 0..=1 << 60).unwrap_or(0),
        merge_bytes_per_s: said
            .integer("merge_bytes_per_s", 0..=1 << 40)
            .unwrap_or(MERGE_BYTES_PER_S),
        block_cache_bytes: size_or_none(&said, "block_cache_bytes", CACHE_BYTES),
        retention_rules: said
            .sections("retention_rules")
            .into_iter()
            .map(retention_rule)
            .collect(),
        series_max,
        series_max_per_metric: said
            .integer("series_max_per_metric", 1..=1 << 40)
            .unwrap_or(half),
        label_values_max: said
            .integer("label_values_max", 1..=1 << 40)
            .unwrap_or(half),
        series_limits: said
            .sections("series_limit")
            .into_iter()
            .filter_map(series_limit)
            .collect(),
        flush_window: said
            .duration(
                "flush_window",
                Duration::from_millis(10)..=Duration::from_secs(60),
            )
            .unwrap_or(SECOND),
        durability: said
            .choice("durability", &DURABILITY)
            .unwrap_or(Durability::Fast),
        flush_every: said
            .duration("flush_every", SECOND..=24 * HOUR)
            .unwrap_or(Duration::from_secs(600)),
        flush_bytes: said
            .integer("flush_bytes", 1 << 14..=128 << 20)
            .unwrap_or(64 << 20),
    };
    said.finish();
    store
}

fn agent(said: Section<'_, '_>) -> Agent {
    let address = |text: &str| {
        text.parse()
            .map_err(|_address| format!("{text:?} is not an address such as 127.0.0.1:9401"))
    };
    let listen = said.parsed("listen", address);
    let to = said.text("to").unwrap_or_default();
    if !to.is_empty() && !outlet::is_address(&to) {
        let what = format!("{to:?} begins with neither http:// nor https://");
        said.mistake("to", what);
    }
    let agent = Agent {
        listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9_401))),
        data: said
            .text("data")
            .map_or_else(|| "alluse-agent".into(), PathBuf::from),
        labels: said.section("labels").plain_texts(),
        outlet: outlet(&said, to.trim_end_matches('/').to_owned(), AGENT_DELAY),
    };
    said.finish();
    agent
}

/// `[[store.series_limit]]`: `selector` or `label`, and `max`.
fn series_limit(said: Section<'_, '_>) -> Option<SeriesLimit> {
    let (selector, label) = (said.text("selector"), said.text("label"));
    let max = said.integer("max", 0..=1 << 40);
    if max.is_none() {
        said.mistake("max", "is missing: how many series, or values of the label");
    }
    let max = usize::try_from(max.unwrap_or_default()).unwrap_or(usize::MAX);
    let limit = match (selector, label) {
        (Some(text), None) => match query::parse_selector(&text) {
            Ok(matchers) => Some(SeriesLimit::Selector { matchers, max }),
            Err(error) => {
                said.mistake("selector", error.to_string());
                None
            }
        },
        (None, Some(name)) => Some(SeriesLimit::Label { name, max }),
        _ => {
            said.mistake("selector", "give either `selector` or `label`");
            None
        }
    };
    said.finish();
    limit
}

fn collect(said: Section<'_, '_>) -> Collect {
    let host = said.choice("host", &SWITCH).unwrap_or(true);
    // Who leaves the host alone leaves its control groups alone too, unless told otherwise.
    let own_cgroup = said.choice("cgroup", &SWITCH).unwrap_or(host);
    let interval = said
        .duration("host_interval", interval_range())
        .unwrap_or(SECOND);
    let collect = Collect {
        host_interval: host.then_some(interval),
        scrapes: said.sections("scrape").into_iter().map(scrape).collect(),
        prometheus_config: said.text("prometheus_config").map(PathBuf::from),
        own_cgroup,
        cgroups: said.texts("cgroups"),
        processes: said
            .sections("process")
            .into_iter()
            .map(doors::process)
            .collect(),
        statsd: doors::statsd(said.section("statsd")),
        otlp_grpc: doors::otlp_grpc(said.section("otlp_grpc")),
        probes: said
            .sections("probes")
            .into_iter()
            .map(doors::probe)
            .collect(),
        triggers: said
            .sections("triggers")
            .into_iter()
            .map(doors::trigger)
            .collect(),
        jobs: Vec::new(),
        alerting: collect::prometheus_config::Alerting::default(),
        external_labels: std::collections::BTreeMap::new(),
    };
    said.finish();
    collect
}

const SWITCH: [(&str, bool); 2] = [("on", true), ("off", false)];

fn interval_range() -> std::ops::RangeInclusive<Duration> {
    Duration::from_millis(100)..=HOUR
}

fn scrape(said: Section<'_, '_>) -> Scrape {
    let interval = said
        .duration("interval", interval_range())
        .unwrap_or(SECOND);
    let scrape = Scrape {
        job: said.required_text("job"),
        url: url(&said),
        interval,
        timeout: said
            .duration("timeout", interval_range())
            .unwrap_or(interval),
    };
    said.finish();
    scrape
}

fn url(said: &Section<'_, '_>) -> String {
    let url = said.required_text("url");
    if !url.is_empty() && !url.starts_with("http://") {
        said.mistake("url", format!("{url:?} does not begin with http://"));
    }
    url.trim_end_matches('/').to_owned()
}

fn governor(said: Section<'_, '_>) -> Governor {
    let governor = Governor {
        // Without a word from the user nothing is changed: trust is given, not assumed.
        trust: said
            .choice("trust", &TRUST)
            .unwrap_or(TrustLevel::Recommend),
        seed: said.integer("seed", 0..=u64::MAX >> 1).unwrap_or(1),
        cool_down: said
            .duration("cool_down", Duration::ZERO..=YEARS)
            .unwrap_or(Duration::from_secs(60)),
        changes_an_hour: said
            .integer("changes_an_hour", 1..=10_000)
            .map_or(60, |n| u32::try_from(n).expect("at most 10,000")),
        lease: said
            .duration("lease", SECOND..=HOUR)
            .unwrap_or(Duration::from_secs(10)),
    };
    said.finish();
    governor
}

fn target(said: Section<'_, '_>) -> Target {
    let study = said.section("study");
    let target = Target {
        name: said.required_text("name"),
        url: url(&said),
        interval: said
            .duration("interval", interval_range())
            .unwrap_or(SECOND),
        objective: objective(said.section("objective")),
        guards: said.sections("guard").into_iter().map(guard).collect(),
        trial: trial(said.section("trial")),
        study: study.is_present().then(|| self::study(&study)),
    };
    study.finish();
    said.finish();
    target
}

fn objective(said: Section<'_, '_>) -> Objective {
    let goals = [("minimize", Goal::Minimize), ("maximize", Goal::Maximize)];
    let objective = Objective {
        name: said.required_text("name"),
        query: promql(&said),
        goal: said.choice("goal", &goals).unwrap_or(Goal::Minimize),
        unit: said.text("unit").unwrap_or_default(),
    };
    said.finish();
    objective
}

/// A query, parsed now so that a mistake shows at the start and not at the first trial.
fn promql(said: &Section<'_, '_>) -> String {
    let text = said.required_text("query");
    if !text.is_empty()
        && let Err(error) = query::parse(&text.replace("$window", "1m"))
    {
        said.mistake("query", error.to_string());
    }
    text
}

fn guard(said: Section<'_, '_>) -> Guard {
    let (most, least) = (said.number("at_most"), said.number("at_least"));
    let bound = match (most, least) {
        (Some(most), None) => Bound::AtMost(most),
        (None, Some(least)) => Bound::AtLeast(least),
        _ => {
            said.mistake("at_most", "give either `at_most` or `at_least`");
            Bound::AtMost(f64::INFINITY)
        }
    };
    let count = |key, default| {
        let said = said.integer(key, 1..=60);
        said.map_or(default, |n| u32::try_from(n).expect("at most 60"))
    };
    let guard = Guard {
        name: said.required_text("name"),
        query: promql(&said),
        bound,
        breaches: count("breaches", 2),
        of: count("of", 3),
    };
    if guard.breaches > guard.of {
        said.mistake(
            "breaches",
            format!("{} cannot happen among {}", guard.breaches, guard.of),
        );
    }
    said.finish();
    guard
}

fn trial(said: Section<'_, '_>) -> Trial {
    let spans = Duration::from_millis(100)..=HOUR;
    let trial = Trial {
        window: said
            .duration("window", spans.clone())
            .unwrap_or(Duration::from_secs(10)),
        settle: said
            .duration("settle", Duration::ZERO..=HOUR)
            .unwrap_or(Duration::from_secs(2)),
        pairs_max: said
            .integer("pairs_max", 1..=u64::from(validate::test::PAIRS_LIMIT))
            .map_or(40, |n| u32::try_from(n).expect("at most PAIRS_LIMIT")),
        alpha: said.number_in("alpha", 1e-6..=0.5).unwrap_or(0.05),
        mde: said.number_in("mde", 0.001..=0.9).unwrap_or(0.03),
    };
    said.finish();
    trial
}

fn study(said: &Section<'_, '_>) -> Study {
    let methods = [("random", "random"), ("gp", "gp")];
    Study {
        knobs: said.texts("knobs"),
        method: said.choice("method", &methods).unwrap_or("gp").to_owned(),
        trials_max: said
            .integer("trials_max", 1..=100_000)
            .map_or(200, |n| u32::try_from(n).expect("at most 100,000")),
        step: said.number_in("step", 0.01..=1.0).unwrap_or(0.25),
        try_first: said
            .sections("try_first")
            .iter()
            .map(Section::plain_values)
            .collect(),
    }
}

/// The resources named, or this host's disks and memory.
fn capacities(root: &Section<'_, '_>) -> Vec<Capacity> {
    let said = root.sections("capacity");
    if said.is_empty() {
        return vec![
            Capacity {
                name: "disk".to_owned(),
                query: "node_filesystem_avail_bytes / node_filesystem_size_bytes".to_owned(),
                threshold: 0.05,
                above: false,
            },
            Capacity {
                name: "memory".to_owned(),
                query: "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes".to_owned(),
                threshold: 0.05,
                above: false,
            },
        ];
    }
    said.into_iter().map(capacity).collect()
}

fn capacity(said: Section<'_, '_>) -> Capacity {
    let (above, below) = (said.number("above"), said.number("below"));
    if above.is_some() == below.is_some() {
        said.mistake("above", "give either `above` or `below`");
    }
    let capacity = Capacity {
        name: said.required_text("name"),
        query: promql(&said),
        threshold: above.or(below).unwrap_or_default(),
        above: above.is_some(),
    };
    said.finish();
    capacity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_means_the_defaults() {
        let config = Config::default();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:9400");
        assert_eq!(config.governor.trust, TrustLevel::Recommend);
        assert_eq!(config.collect.host_interval, Some(SECOND));
        assert_eq!(config.capacity.len(), 2);
    }

    #[test]
    fn every_mistake_is_reported_with_its_place_and_key() {
        let text = "[server]\nlisen = \"x\"\nlisten = 7\n[store]\nretention = \"5 years\"\n\
                    [[target]]\nname = \"a\"\nurl = \"ftp://b\"\n";
        let mistakes = read("alluse.toml", text, &[]).unwrap_err();
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let has = |part: &str| lines.iter().any(|l| l.contains(part));
        assert!(has(
            "alluse.toml:2:1: server.lisen: is not a known key; did you mean `listen`?"
        ));
        assert!(has(
            "alluse.toml:3:10: server.listen: expected a text, found integer"
        ));
        assert!(has(
            "alluse.toml:5:13: store.retention: \"5 years\" is not a time span"
        ));
        assert!(has(
            "target[0].url: \"ftp://b\" does not begin with http://"
        ));
        assert!(has("target[0].objective.query: is missing"));
    }

    #[test]
    fn retention_has_tiers_a_byte_limit_and_rules() {
        let text = "[store]\nretention_1m = \"30d\"\nretention_1h = \"0s\"\n\
                    retention_bytes = 1073741824\n[[store.retention_rules]]\n\
                    match = '{__name__=~\"debug_.*\"}'\nage = \"1d\"\n";
        let store = read("a", text, &[]).unwrap().store;
        assert_eq!(store.retention_1m, Duration::from_secs(30 * 86_400));
        assert_eq!(
            (store.retention_1h, store.retention_bytes),
            (Duration::ZERO, 1 << 30)
        );
        assert_eq!(store.retention_rules[0].matchers[0].value, "debug_.*");
        let text = "[store]\nretention_bytes = 7\n[[store.retention_rules]]\nmatch = \"{\"\n";
        let mistakes = read("a", text, &[]).unwrap_err();
        let keys: Vec<&str> = mistakes.iter().map(|m| m.key.as_str()).collect();
        assert!(keys.contains(&"store.retention_bytes"), "{keys:?}");
        assert!(keys.contains(&"store.retention_rules[0].match"), "{keys:?}");
        assert!(keys.contains(&"store.retention_rules[0].age"), "{keys:?}");
    }

    #[test]
    fn an_archive_says_from_when_on() {
        let text = "[store]\narchive = \"/slow\"\narchive_after = \"30d\"\n";
        let store = read("a", text, &[]).unwrap().store;
        assert_eq!(store.archive, Some(PathBuf::from("/slow")));
        assert_eq!(store.archive_after, Some(Duration::from_secs(30 * 86_400)));
        let mistakes = read("a", "[store]\narchive = \"/slow\"\n", &[]).unwrap_err();
        assert_eq!(mistakes[0].key, "store.archive_after");
    }

    #[test]
    fn syntax_errors_have_a_place() {
        let mistakes = read("a.toml", "[server\nlisten = ", &[]).unwrap_err();
        assert!(mistakes[0].place.starts_with("a.toml:1:"), "{mistakes:?}");
    }

    #[test]
    fn the_environment_wins_over_the_file_and_is_checked() {
        let set = |k: &str, v: &str| vec![(k.to_owned(), v.to_owned())];
        let text = "[server]\nlisten = \"127.0.0.1:1\"";
        let config = read("a", text, &set("ALLUSE__SERVER__LISTEN", "127.0.0.1:2")).unwrap();
        assert_eq!(config.server.listen.port(), 2);
        let wrong = read("a", text, &set("ALLUSE__SERVER__LISTN", "127.0.0.1:2")).unwrap_err();
        assert_eq!(wrong[0].place, "ALLUSE__SERVER__LISTN");
    }

    #[test]
    fn a_query_that_does_not_parse_is_a_mistake_of_the_configuration() {
        let text = "[[capacity]]\nname = \"x\"\nquery = \"sum(\"\nabove = 1";
        let mistakes = read("a", text, &[]).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert_eq!(mistakes[0].key, "capacity[0].query");
    }
}
