//! What the store says of itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Whether the store takes samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Healthy,
    /// No: the disk is full. Reads go on; ingest resumes by itself when space returns.
    DiskFull,
    /// No: a write or a sync failed, so what the disk holds is no longer known. Reads go on;
    /// the store has to be opened anew.
    Failed,
}

/// How far the samples in memory reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeadExtent {
    /// Runs of samples that are compressed together.
    pub chunks: u64,
    /// Times of the first and the last sample, ms; `None` while there is none.
    pub span_ms: Option<(i64, i64)>,
}

/// Counters since the store was opened, and sizes now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Whether samples are taken.
    pub state: State,
    /// Active series (in memory).
    pub series: u64,
    /// Samples in memory, duplicates included.
    pub head_samples: u64,
    /// Samples in parts, those overwritten by later parts included.
    pub part_samples: u64,
    /// Parts on disk.
    pub parts: u64,
    /// Bytes of log on disk.
    pub wal_bytes: u64,
    /// Bytes of compressed samples in parts.
    pub chunk_bytes: u64,
    /// Bytes of everything else in parts: labels, postings, block headers.
    pub index_bytes: u64,
    /// Samples stored.
    pub appended: u64,
    /// Samples refused, for any reason.
    pub rejected: u64,
    /// Exemplars stored, repeats included.
    pub exemplars: u64,
    /// Exemplars in memory.
    pub exemplars_kept: u64,
    /// Log tails cut off at opening: torn or corrupt.
    pub wal_truncated: u64,
    /// Bytes of those tails.
    pub wal_truncated_bytes: u64,
    /// Samples in the log whose series is not known: only after corruption.
    pub wal_skipped: u64,
    /// Parts set aside at opening because they do not check.
    pub parts_quarantined: u64,
    /// Blocks that did not check when read or merged.
    pub blocks_corrupt: u64,
    /// Memory held by decoded columns of parts, bytes.
    pub block_cache_bytes: u64,
    /// Columns of parts that readers found decoded.
    pub block_cache_hits: u64,
    /// Columns of parts that readers had to decode.
    pub block_cache_misses: u64,
    /// Times the manifest was rebuilt from the parts because it did not check.
    pub manifest_rebuilt: u64,
    /// Memory flushed to parts, times.
    pub flushes: u64,
    /// Parts merged, times.
    pub merges: u64,
    /// Roll-ups made.
    pub rolled_up: u64,
    /// Parts in the archive.
    pub archived: u64,
    /// Their bytes.
    pub archived_bytes: u64,
    /// Moves to the archive that failed; each is tried again.
    pub archive_failed: u64,
    /// Roll-ups on disk.
    pub rollups: u64,
    /// Points in them.
    pub rollup_points: u64,
    /// Their bytes.
    pub rollup_bytes: u64,
    /// Parts and roll-ups dropped by age.
    pub forgotten_by_age: u64,
    /// Parts and roll-ups dropped because of `retention_bytes`.
    pub forgotten_by_bytes: u64,
    /// Parts and roll-ups written anew without series that a rule forgets.
    pub forgotten_by_rule: u64,
    /// Bytes of parts and roll-ups dropped by age or because of `retention_bytes`.
    pub forgotten_bytes: u64,
    /// Flushes and merges that failed and will be tried again.
    pub maintenance_failed: u64,
    /// Times the log was synced.
    pub syncs: u64,
    /// Deletes that parts do not yet show by themselves.
    pub tombstones: u64,
    /// Parts rewritten without what was deleted.
    pub parts_cleaned: u64,
    /// Times the file of tombstones did not check: what was deleted may be visible again.
    pub tombstones_corrupt: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appended: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) exemplars: AtomicU64,
    pub(crate) wal_truncated: AtomicU64,
    pub(crate) wal_truncated_bytes: AtomicU64,
    pub(crate) wal_skipped: AtomicU64,
    pub(crate) parts_quarantined: AtomicU64,
    pub(crate) blocks_corrupt: AtomicU64,
    pub(crate) manifest_rebuilt: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) merges: AtomicU64,
    pub(crate) rolled_up: AtomicU64,
    pub(crate) forgotten_by_age: AtomicU64,
    pub(crate) forgotten_by_bytes: AtomicU64,
    pub(crate) archive_failed: AtomicU64,
    pub(crate) forgotten_by_rule: AtomicU64,
    pub(crate) forgotten_bytes: AtomicU64,
    pub(crate) maintenance_failed: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) parts_cleaned: AtomicU64,
    pub(crate) tombstones_corrupt: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Relaxed);
}
