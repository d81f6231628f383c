//! ALL-USE's own metrics. The server scrapes itself like any other service.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use query::{CacheStats, ResultsCache};
use runtime::metrics::{Counter, Gauge, Histogram, Registry};
use store::{Feed, FeedStats, Store};
use wire::control::Own;

/// Handles to the metrics the program itself counts.
#[derive(Debug)]
pub(crate) struct Telemetry {
    pub(crate) registry: Registry,
    /// How far the analysis is behind the store.
    pub(crate) analysis_behind_points: Gauge,
    pub(crate) analysis_behind_ms: Arc<AtomicU64>,
    pub(crate) analysis_not_judged: Counter,
    pub(crate) findings: Counter,
    pub(crate) turns: Counter,
    pub(crate) turn_seconds: Histogram,
    pub(crate) orders: Counter,
    pub(crate) journal_errors: Counter,
    /// Times a person was called.
    pub(crate) pages: Counter,
    pub(crate) targets_frozen: Gauge,
    pub(crate) finding_series_dropped: Counter,
}

impl Telemetry {
    pub(crate) fn new() -> Self {
        let registry = Registry::default();
        runtime::process::declare(&registry);
        let counter = |name, help| registry.counter(name, help, &[]);
        Self {
            analysis_behind_points: registry.gauge(
                "alluse_analysis_behind_points",
                "Points stored and not analyzed yet.",
                &[],
            ),
            analysis_behind_ms: behind(&registry),
            analysis_not_judged: counter(
                "alluse_analysis_not_judged_points_total",
                "Points that were too old when they came, or said by the analysis itself.",
            ),
            findings: counter("alluse_findings_total", "Findings of the analysis."),
            turns: counter("alluse_loop_turns_total", "Turns of the loop."),
            turn_seconds: registry.latency(
                "alluse_loop_turn_seconds",
                "What a turn of the loop took, its record on disk included.",
                &[],
            ),
            orders: counter("alluse_orders_total", "Orders sent to targets."),
            journal_errors: counter(
                "alluse_journal_errors_total",
                "Turns whose record could not be written; their orders were not sent.",
            ),
            pages: counter(
                "alluse_pages_total",
                "Times the loop called a person: something it cannot put right by itself.",
            ),
            targets_frozen: registry.gauge(
                "alluse_targets_frozen",
                "Targets in which nothing is changed until a person has looked.",
                &[],
            ),
            finding_series_dropped: counter(
                "alluse_finding_series_dropped_total",
                "Findings that are in the journal only: too many series of findings at once.",
            ),
            registry,
        }
    }

    /// Shows what the answers kept for range queries count.
    pub(crate) fn watch_cache(&self, cache: &Arc<ResultsCache>) {
        let counter = |name: &str, help: &str, read: fn(&CacheStats) -> u64| {
            let cache = Arc::clone(cache);
            self.registry
                .counter_fn(name, help, &[], move || read(&cache.stats()) as f64);
        };
        counter(
            "alluse_query_cache_hits_total",
            "Range queries that found steps of theirs in an answer that was kept.",
            |s| s.hits,
        );
        counter(
            "alluse_query_cache_misses_total",
            "Range queries that could have, and found none.",
            |s| s.misses,
        );
        counter(
            "alluse_query_cache_steps_reused_total",
            "Steps of range queries that were not evaluated again.",
            |s| s.steps_reused,
        );
        counter(
            "alluse_query_cache_evictions_total",
            "Answers that left to make room: server.query_cache_bytes is small for what is asked.",
            |s| s.evictions,
        );
        let gauge = |name: &str, help: &str, read: fn(&CacheStats) -> usize| {
            let cache = Arc::clone(cache);
            self.registry
                .gauge_fn(name, help, &[], move || read(&cache.stats()) as f64);
        };
        gauge("alluse_query_cache_entries", "Answers kept.", |s| s.entries);
        gauge(
            "alluse_query_cache_bytes",
            "Memory that answers take that are kept.",
            |s| s.bytes,
        );
    }

    /// Shows what the change feed counts.
    pub(crate) fn watch_feed(&self, feed: &Feed) {
        let counter = |name: &str, help: &str, read: fn(&FeedStats) -> u64| {
            let feed = feed.clone();
            self.registry
                .counter_fn(name, help, &[], move || read(&feed.stats()) as f64);
        };
        counter(
            "alluse_feed_published_points_total",
            "Points the change feed showed, or would have shown had anybody listened.",
            |s| s.published,
        );
        counter(
            "alluse_feed_missed_points_total",
            "Points that left the change feed before a subscriber took them, summed over all.",
            |s| s.missed,
        );
        let feed = feed.clone();
        self.registry.gauge_fn(
            "alluse_feed_subscribers",
            "Subscribers of the change feed, the analysis included.",
            &[],
            move || feed.stats().subscribers as f64,
        );
    }

    /// Shows what the store counts.
    pub(crate) fn watch_store(&self, store: &Arc<Store>) {
        let gauge = |name: &str, help: &str, read: fn(&store::Stats) -> u64| {
            let store = Arc::clone(store);
            self.registry
                .gauge_fn(name, help, &[], move || read(&store.stats()) as f64);
        };
        gauge("alluse_store_series", "Active series.", |s| s.series);
        gauge(
            "alluse_store_archived_parts",
            "Parts that are in the archive.",
            |s| s.archived,
        );
        gauge(
            "alluse_store_archived_bytes",
            "Bytes of the parts that are in the archive.",
            |s| s.archived_bytes,
        );
        gauge(
            "alluse_store_wal_bytes",
            "Bytes of the write-ahead log.",
            |s| s.wal_bytes,
        );
        gauge(
            "alluse_store_tombstones",
            "Deletes that parts do not show by themselves yet.",
            |s| s.tombstones,
        );
        gauge(
            "alluse_store_disk_full",
            "1 while ingest is stopped for lack of space.",
            |s| u64::from(s.state == store::State::DiskFull),
        );
        gauge(
            "alluse_store_block_cache_bytes",
            "Memory held by decoded columns of parts.",
            |s| s.block_cache_bytes,
        );
        self.count_work(store);
        self.count_damage(store);
    }

    /// What the store did to keep what it acknowledged.
    fn count_work(&self, store: &Arc<Store>) {
        let counter = |name: &str, help: &str, read: fn(&store::Stats) -> u64| {
            let store = Arc::clone(store);
            self.registry
                .counter_fn(name, help, &[], move || read(&store.stats()) as f64);
        };
        counter(
            "alluse_store_flushes_total",
            "Times memory became parts.",
            |s| s.flushes,
        );
        counter(
            "alluse_store_block_cache_hits_total",
            "Columns of parts that queries found decoded.",
            |s| s.block_cache_hits,
        );
        counter(
            "alluse_store_block_cache_misses_total",
            "Columns of parts that queries had to decode.",
            |s| s.block_cache_misses,
        );
        counter(
            "alluse_store_merges_total",
            "Times parts became one.",
            |s| s.merges,
        );
        counter(
            "alluse_store_syncs_total",
            "Times the log was forced to the disk.",
            |s| s.syncs,
        );
        counter(
            "alluse_store_rolled_up_total",
            "Roll-ups made of whole days.",
            |s| s.rolled_up,
        );
        counter(
            "alluse_store_forgotten_by_age_total",
            "Parts and roll-ups dropped because they were older than their retention.",
            |s| s.forgotten_by_age,
        );
        counter(
            "alluse_store_forgotten_by_bytes_total",
            "Parts and roll-ups dropped because of store.retention_bytes.",
            |s| s.forgotten_by_bytes,
        );
        counter(
            "alluse_store_archive_failed_total",
            "Moves of a day to the archive that failed and are tried again.",
            |s| s.archive_failed,
        );
        counter(
            "alluse_store_forgotten_by_rule_total",
            "Parts and roll-ups written anew without series that store.retention_rules forget.",
            |s| s.forgotten_by_rule,
        );
        counter(
            "alluse_store_forgotten_bytes_total",
            "Bytes of all parts and roll-ups that the retention dropped.",
            |s| s.forgotten_bytes,
        );
    }

    /// What the store found damaged, and what it did about it.
    fn count_damage(&self, store: &Arc<Store>) {
        let counter = |name: &str, help: &str, read: fn(&store::Stats) -> u64| {
            let store = Arc::clone(store);
            self.registry
                .counter_fn(name, help, &[], move || read(&store.stats()) as f64);
        };
        counter(
            "alluse_store_rejected_samples_total",
            "Samples the store refused, for any reason.",
            |s| s.rejected,
        );
        counter(
            "alluse_store_wal_truncated_total",
            "Tails of the log cut off at opening: torn or corrupt.",
            |s| s.wal_truncated,
        );
        counter(
            "alluse_store_wal_truncated_bytes_total",
            "Bytes of those tails.",
            |s| s.wal_truncated_bytes,
        );
        counter(
            "alluse_store_parts_quarantined_total",
            "Parts set aside at opening because they do not check.",
            |s| s.parts_quarantined,
        );
        counter(
            "alluse_store_blocks_corrupt_total",
            "Blocks that did not check when read or merged.",
            |s| s.blocks_corrupt,
        );
        counter(
            "alluse_store_tombstones_corrupt_total",
            "Times the deletes waiting to be carried out did not check.",
            |s| s.tombstones_corrupt,
        );
        counter(
            "alluse_store_parts_cleaned_total",
            "Parts rewritten without what was deleted.",
            |s| s.parts_cleaned,
        );
    }
}

/// How long the oldest point not analyzed has waited: a cell to write, shown in seconds.
fn behind(registry: &Registry) -> Arc<AtomicU64> {
    let ms = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&ms);
    registry.gauge_fn(
        "alluse_analysis_behind_seconds",
        "How long the oldest point that is not analyzed yet has been stored.",
        &[],
        move || shown.load(Relaxed) as f64 / 1e3,
    );
    ms
}

/// CPU and memory of this process since its start; `None` where the system does not say.
pub(crate) fn own(uptime_s: f64) -> Option<Own> {
    let cpu_seconds = runtime::process::cpu_seconds()?;
    Some(Own {
        cpu_seconds,
        cpu_share: cpu_seconds / uptime_s.max(1.0),
        memory_bytes: runtime::process::resident_bytes()? as u64,
    })
}

/// The collector's counters as exposition text: it keeps them itself.
pub(crate) fn collector_text(collector: &collect::Handle) -> String {
    let mut text = String::new();
    for sample in collector.metrics(0) {
        if let model::Value::Float(value) = sample.value {
            text.push_str(&format!("{} {value}\n", sample.labels));
        }
    }
    text
}
