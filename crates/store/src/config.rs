//! Settings of the engine, each with its unit and the reason for its default.

use std::{path::PathBuf, time::Duration};

use model::Matcher;

/// How the store behaves. `Config::default()` suits a server that samples its host.
#[derive(Debug, Clone)]
pub struct Config {
    /// Age at which samples are forgotten; whole parts go once all of them are older. Samples
    /// older than this are refused. Counted from the newest sample, or the wall clock if that is
    /// earlier, so that a clock set to the future cannot empty the store. 15 days, as Prometheus.
    pub retention: Duration,
    /// Age at which points of one minute are forgotten; zero: none are made.
    pub retention_1m: Duration,
    /// Age at which points of one hour are forgotten; zero: none are made.
    pub retention_1h: Duration,
    /// Bytes the store's directory may hold, log and ballast included; the oldest
    /// samples go first, then the oldest roll-ups, finest first. What is not yet flushed
    /// comes on top for a moment. 0: no limit.
    pub retention_bytes: u64,
    /// A second directory, on a slower or cheaper disk, that old days move to. Once a store has
    /// one it is read even if this is `None` again; it must be there for the store to open.
    pub archive: Option<PathBuf>,
    /// Age at which whole days move to the archive; `None`: none do.
    pub archive_after: Option<Duration>,
    /// Bytes that parts in the archive may take; the oldest go first. 0: no limit.
    /// [`Config::retention_bytes`] is about the store's own directory.
    pub archive_bytes: u64,
    /// Series that are forgotten earlier.
    pub retention_rules: Vec<RetentionRule>,
    /// How far in the future of the wall clock a sample may lie: room for skewed clocks.
    pub future_max: Duration,
    /// Longest time between syncs of the log: what a power cut may cost at `Durability::Fast`.
    pub sync_every: Duration,
    /// Age of the oldest sample in memory at which memory is flushed to a part.
    pub flush_every: Duration,
    /// Bytes of log at which memory is flushed to a part: bounds the replay after a crash.
    pub flush_bytes: u64,
    /// Bytes of log at which an append waits for a flush: the hard bound of the log.
    pub wal_bytes_max: u64,
    /// Samples after which an open chunk is compressed.
    pub chunk_samples: usize,
    /// Samples a block of a part aims at.
    pub block_samples: usize,
    /// Active series; beyond it only new series are refused.
    pub series_max: usize,
    /// Active series of one metric name; beyond it only new series of that metric are refused.
    pub series_max_per_metric: usize,
    /// Distinct values one label may have among active series; beyond it only series that would
    /// bring another value are refused.
    pub label_values_max: usize,
    /// Further limits, by selector or label.
    pub series_limits: Vec<crate::limits::SeriesLimit>,
    /// Labels a series may have.
    pub labels_max: usize,
    /// Bytes of a label's name.
    pub label_name_bytes_max: usize,
    /// Bytes of a label's value.
    pub label_value_bytes_max: usize,
    /// Metric families whose metadata is kept.
    pub metadata_max: usize,
    /// Flushes a series may miss before it no longer counts as active; its samples stay.
    pub idle_flushes: u8,
    /// Space kept aside, given back when the disk is full so that others (the journal) can go
    /// on, and taken again before ingest resumes. Bytes.
    pub ballast_bytes: u64,
    /// Time between attempts to resume after the disk was full.
    pub probe_every: Duration,
    /// Neighbouring parts of one size that are merged into one.
    pub merge_width: usize,
    /// Bytes a second that the store's own merges write at most, so that they leave the disk and
    /// the processor to ingest and queries; 0: no limit. Each sample is merged about three times
    /// in its life at about half a byte: 4 MiB/s keep up with some 2 million samples a second.
    pub merge_bytes_per_s: u64,
    /// Memory for samples a series may take on average before memory is flushed to a part, bytes:
    /// noisy series that do not compress are flushed earlier than `flush_every`, so that an
    /// active series stays below 1 KB, labels and flush included. Counts from
    /// [`Config::head_bytes_min`] on.
    pub head_bytes_per_series: usize,
    /// Memory for samples that never causes a flush, bytes: small stores flush by time.
    pub head_bytes_min: usize,
    /// Memory for the indexes of parts that queries touched; those of old parts go first. Bytes.
    pub index_cache_bytes: usize,
    /// Memory for decoded columns of parts that queries read more than once: what 4 million
    /// samples take, or ten hours of 2,000 series at 15 s. Bytes; 0: none are kept.
    pub block_cache_bytes: usize,
    /// What is kept of exemplars.
    pub exemplars: crate::exemplars::ExemplarLimits,
    /// What the change feed keeps for subscribers that lag.
    pub feed: crate::feed::FeedLimits,
    /// Run sync, flush, merge and retention on threads of the store's own. Without them the
    /// owner calls [`crate::Store::maintain`]: simulations do.
    pub background: bool,
}

/// Forgets some series earlier than the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct RetentionRule {
    /// All must hold; none at all match nothing.
    pub matchers: Vec<Matcher>,
    /// Age at which whole days of these series are forgotten.
    pub age: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(15 * 86_400),
            retention_1m: Duration::ZERO,
            retention_1h: Duration::ZERO,
            retention_bytes: 0,
            archive: None,
            archive_after: None,
            archive_bytes: 0,
            retention_rules: Vec::new(),
            future_max: Duration::from_secs(3600),
            sync_every: Duration::from_millis(500),
            flush_every: Duration::from_secs(600),
            flush_bytes: 64 << 20,
            wal_bytes_max: 256 << 20,
            chunk_samples: 256,
            block_samples: 2048,
            series_max: 1_000_000,
            series_max_per_metric: usize::MAX,
            label_values_max: usize::MAX,
            series_limits: Vec::new(),
            labels_max: 40,
            label_name_bytes_max: 256,
            label_value_bytes_max: 4096,
            metadata_max: 50_000,
            idle_flushes: 3,
            ballast_bytes: 16 << 20,
            probe_every: Duration::from_secs(1),
            merge_width: 6,
            merge_bytes_per_s: 4 << 20,
            head_bytes_per_series: 512,
            head_bytes_min: 4 << 20,
            index_cache_bytes: 128 << 20,
            block_cache_bytes: 32 << 20,
            exemplars: crate::exemplars::ExemplarLimits::default(),
            feed: crate::feed::FeedLimits::default(),
            background: true,
        }
    }
}
