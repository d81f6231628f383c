//! The store: open, append, select, flush, close.

use std::{
    collections::BTreeMap,
    io,
    ops::RangeInclusive,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use model::{
    AppendError, Appended, Batch, Clock, DigestIter, Durability, Exemplar, LabelQuery, Labels,
    Matcher, Metadata, Point, ReadError, SampleSink, Selection, SeriesIter, SeriesReader,
    SeriesTable, Thinned, Windows,
};
use thiserror::Error;

pub use crate::compact::MaintainError;
use crate::{
    archive, ballast,
    block_cache::BlockCache,
    carry::{Carrier, Dictionary},
    changes::Changes,
    compact::{Pace, Upkeep},
    config::Config,
    delete::DeleteError,
    disk::Disk,
    exemplars::Exemplars,
    feed::Feed,
    head::{Frozen, Head},
    limits::Cardinality,
    part::reader::Part,
    read_only::ReadOnlyDisk,
    recover::{Found, NoFile, Replay, cannot, unless_full},
    registry::Registry,
    rollup::before,
    stats::{Counters, HeadExtent, State, Stats, count},
    summary::Summary,
    sync::GroupCommit,
    tombstones::Tombstones,
    wal::{self, Segment},
};

/// Why a store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("cannot {operation}")]
    Io {
        /// What was tried, on which file.
        operation: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// An embedded time-series store in one directory.
#[derive(Debug)]
pub struct Store {
    core: Arc<Core>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

/// What threads of the store share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Counters,
    pub(crate) registry: RwLock<Registry>,
    pub(crate) head: Head,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) commit: GroupCommit,
    pub(crate) upkeep: Mutex<Upkeep>,
    /// Held through a merge; taken before `upkeep`.
    pub(crate) merging: Mutex<()>,
    pub(crate) view: Mutex<Arc<View>>,
    /// Taken last.
    pub(crate) changes: Mutex<Changes>,
    pub(crate) metadata: Mutex<BTreeMap<String, Metadata>>,
    pub(crate) block_cache: BlockCache,
    /// Blocks found bad, by part and position, with what is wrong.
    pub(crate) quarantined: Mutex<Quarantined>,
    /// Taken after the lock of the log.
    pub(crate) exemplars: Mutex<Exemplars>,
    /// Newest time of any sample stored; `i64::MIN` when there is none.
    pub(crate) newest_ms: AtomicI64,
    /// The time that retention rules go by, ms: the latest that is believed.
    pub(crate) rules_ms: AtomicI64,
    pub(crate) feed: Feed,
    pub(crate) closed: AtomicBool,
    state: AtomicU8,
    sync_wake: Wake,
    upkeep_wake: Wake,
    pub(crate) merge_wake: Wake,
}

/// Lets a thread of the store wait for its next turn, or for being called earlier.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    called: Mutex<bool>,
    bell: Condvar,
}

impl Wake {
    /// Calls the thread: its next wait, or the one it is in, ends at once.
    fn call(&self) {
        *lock(&self.called) = true;
        self.bell.notify_all();
    }

    /// Waits; `false` once the store is closed.
    pub(crate) fn pause(&self, closed: &AtomicBool, time: Duration) -> bool {
        let called = lock(&self.called);
        let waiting = |called: &mut bool| !*called && !closed.load(Relaxed);
        let (mut called, _) = self
            .bell
            .wait_timeout_while(called, time, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        *called = false;
        !closed.load(Relaxed)
    }
}

/// Bad blocks by part and by where their columns are.
pub(crate) type Quarantined = BTreeMap<(u64, (Option<u64>, Option<u64>)), String>;

/// What appends change, one at a time.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) segment: Segment,
    /// Bytes of the segments before it, and of them those of carried series.
    pub(crate) older_bytes: u64,
    pub(crate) older_carried_bytes: u64,
    /// Records written since opening: the ticket of the last one.
    pub(crate) written: u64,
    /// Times the head was frozen.
    pub(crate) generation: u64,
    /// Samples in the head.
    pub(crate) head_samples: u64,
    /// When the first of them came, monotonic.
    pub(crate) oldest: Option<Duration>,
    pub(crate) buffer: Vec<u8>,
    /// A sync of the segment failed: what of it is on the disk is not known.
    pub(crate) in_doubt: bool,
}

impl Writer {
    /// Bytes of log on disk.
    fn log_bytes(&self) -> u64 {
        self.segment.bytes + self.older_bytes
    }

    /// Bytes of log that a flush would get rid of: what the newest segment begins with comes
    /// again with the next. That of older segments is half as bad as samples.
    fn log_due(&self) -> u64 {
        let samples = self.log_bytes() - self.segment.carried_bytes - self.older_carried_bytes;
        samples + self.older_carried_bytes / 2
    }
}

/// Everything readers need beside the head; replaced as a whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Freezes so far; a head of another generation belongs to another view.
    pub(crate) generation: u64,
    pub(crate) frozen: Vec<Arc<Frozen>>,
    /// In order of rank: of equal times the later part wins.
    pub(crate) parts: Vec<Arc<Part>>,
    /// What is deleted and still in parts.
    pub(crate) tombstones: Arc<Tombstones>,
    /// In order of rank.
    pub(crate) rollups: Vec<Arc<Part>>,
}

/// Locks; a panic elsewhere does not spread.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens or creates the store in `dir`, replaying its log.
    pub fn open(dir: &Path, config: Config, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let disk = archive::open(dir, config.archive.as_deref())?;
        Self::open_on(disk, config, clock)
    }

    /// Opens the store on a disk of the caller's: simulations and tests.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let core = Arc::new(Core::open(disk, config, clock)?);
        Ok(Self::start(core))
    }

    /// Opens what is in `dir` now to be read: without a lock and without a write, also while
    /// another process has it open. Appends are refused.
    pub fn open_read_only(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let disk = ReadOnlyDisk::open(dir);
        let disk = disk.map_err(cannot(&format!("read the directory {}", dir.display())))?;
        let config = Config {
            background: false,
            ballast_bytes: 0,
            ..Config::default()
        };
        let core = Arc::new(Core::open(Arc::new(disk), config, clock)?);
        core.closed.store(true, Relaxed);
        Ok(Self::start(core))
    }

    fn start(core: Arc<Core>) -> Self {
        let workers = if core.config.background {
            Core::spawn(&core)
        } else {
            Vec::new()
        };
        Self {
            core,
            workers: Mutex::new(workers),
        }
    }

    /// Makes everything appended so far durable and moves memory to parts.
    pub fn flush(&self) -> Result<(), MaintainError> {
        self.core.flush()
    }

    /// Merges parts until nothing is worth merging; how many merges it took. The store's own
    /// threads do this, too.
    pub fn compact(&self) -> Result<u64, MaintainError> {
        let mut merges = 0;
        while self.core.merge_once(Pace::Full)? {
            merges += 1;
        }
        Ok(merges)
    }

    /// Deletes the samples from `from_ms` to `to_ms`, both included, of series for which any list
    /// of `any_of` holds whole. They are gone for readers when it returns, and for good: also
    /// after a restart. Samples written later are visible, wherever in time they lie. Merges, or
    /// [`Store::clean_tombstones`], take the space back.
    pub fn delete(
        &self,
        any_of: &[Vec<Matcher>],
        from_ms: i64,
        to_ms: i64,
    ) -> Result<(), DeleteError> {
        self.core.delete(any_of, from_ms, to_ms)
    }

    /// Rewrites every part that still holds deleted samples; how many. The store's own threads
    /// do this, too, a part at a time.
    pub fn clean_tombstones(&self) -> Result<u64, MaintainError> {
        self.core.clean_tombstones(u64::MAX)
    }

    /// Makes a snapshot in the store's directory, `snapshots/NAME`, which is a store itself: all
    /// that is acknowledged when the call begins, linked where possible, while samples go on
    /// being appended. Without `with_log`, only what is in parts.
    pub fn snapshot(&self, name: &str, with_log: bool) -> Result<(), MaintainError> {
        self.core.snapshot(name, with_log)
    }

    /// Does what is due: sync, flush, one merge, retention, resuming after a full disk. The
    /// store's own threads do the same when `Config::background` is set.
    pub fn maintain(&self) -> Result<(), MaintainError> {
        self.core.sync().map_err(|error| MaintainError::Io {
            operation: "sync the log".into(),
            source: io::Error::other(error),
        })?;
        self.core.tend()?;
        if self.core.state() == State::Healthy {
            self.core.improve(Pace::Full)?;
        }
        Ok(())
    }

    /// Syncs the log and stops the store's threads; later appends are refused. The log is
    /// replayed by the next opening.
    pub fn close(&self) -> Result<(), AppendError> {
        self.core.closed.store(true, Relaxed);
        for wake in [
            &self.core.sync_wake,
            &self.core.upkeep_wake,
            &self.core.merge_wake,
        ] {
            wake.call();
        }
        for worker in lock(&self.workers).drain(..) {
            // A worker that panicked has said so; there is nothing left to stop.
            drop(worker.join());
        }
        self.core.feed.close();
        self.core.sync()
    }

    /// What is written from now on: see [`Feed::subscribe`].
    pub fn feed(&self) -> &Feed {
        &self.core.feed
    }

    /// What can be said of the floats of each matching series in the range, from block headers
    /// where they suffice: a roll-up that decodes only the blocks at the edges.
    pub fn summaries(&self, selection: &Selection) -> Result<Vec<(Labels, Summary)>, ReadError> {
        self.core.summaries(selection)
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// Who has the active series, `limit` names a list; walks all label pairs.
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        let registry = self.core.registry.read();
        registry
            .unwrap_or_else(PoisonError::into_inner)
            .cardinality(limit)
    }

    /// Times of the first and last sample that can be found, ms; `None` when there is none.
    pub fn newest_ms(&self) -> Option<i64> {
        let newest = self.core.newest_ms.load(Relaxed);
        (newest != i64::MIN).then_some(newest)
    }

    /// How far the samples in memory reach; walks all series.
    pub fn head_extent(&self) -> HeadExtent {
        self.core.head.extent()
    }

    /// Memory held by samples of the head, bytes; walks all series.
    pub fn head_bytes(&self) -> usize {
        self.core.head.heap_bytes()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the log could not be synced at closing");
        }
    }
}

impl SampleSink for Store {
    fn append(&self, batch: &Batch, durability: Durability) -> Result<Appended, AppendError> {
        self.core.append(batch, durability)
    }

    fn append_points(
        &self,
        table: &mut SeriesTable,
        points: &[Point],
        door: &'static str,
        durability: Durability,
    ) -> Result<Appended, AppendError> {
        self.core.append_points(table, points, door, durability)
    }
}

impl SeriesReader for Store {
    fn select<'a>(&'a self, selection: &Selection) -> Result<SeriesIter<'a>, ReadError> {
        self.core.select(selection)
    }

    fn newest<'a>(&'a self, selection: &Selection) -> Result<SeriesIter<'a>, ReadError> {
        self.core.newest(selection)
    }

    fn pieces<'a>(
        &'a self,
        selection: &Selection,
        only_newest: bool,
        series: usize,
    ) -> Result<Vec<SeriesIter<'a>>, ReadError> {
        self.core.pieces(selection, only_newest, series)
    }

    fn series(&self, query: &LabelQuery) -> Result<Vec<Labels>, ReadError> {
        self.core.series(query)
    }

    fn digest<'a>(
        &'a self,
        selection: &Selection,
        windows: &Windows,
    ) -> Result<Option<DigestIter<'a>>, ReadError> {
        self.core.digest(selection, windows).map(Some)
    }

    fn thinned(&self, from_ms: i64, to_ms: i64) -> Vec<Thinned> {
        self.core.thinned(from_ms, to_ms)
    }

    fn changes(&self, version: u64) -> Option<model::Changes> {
        Some(lock(&self.core.changes).since(version))
    }

    fn label_names(&self, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        self.core.label_names(query)
    }

    fn label_values(&self, name: &str, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        self.core.label_values(name, query)
    }

    fn exemplars(
        &self,
        any_of: &[Vec<Matcher>],
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<Exemplar>, ReadError> {
        Ok(self.core.select_exemplars(any_of, from_ms, to_ms))
    }

    fn metadata(&self, family: Option<&str>) -> Result<Vec<Metadata>, ReadError> {
        let known = lock(&self.core.metadata);
        Ok(match family {
            Some(family) => known.get(family).cloned().into_iter().collect(),
            None => known.values().cloned().collect(),
        })
    }
}

impl Core {
    fn open(disk: Arc<dyn Disk>, config: Config, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let counters = Counters::default();
        let files = disk.list().map_err(cannot("list the store's directory"))?;
        let found = Found::new(&*disk, &files, &counters)?;
        let (floor, next_part) = (found.contents.wal_floor, found.next_part);
        let mut replay = Replay::new(&config, counters);
        replay.metadata = found.contents.metadata.clone();
        replay.newest_ms = found
            .parts
            .iter()
            .map(|p| p.footer.to_ms)
            .max()
            .unwrap_or(i64::MIN);
        let mut segments: Vec<u64> = files.iter().filter_map(|(n, _)| wal::number(n)).collect();
        segments.retain(|segment| *segment >= floor);
        segments.sort_unstable();
        for segment in &segments {
            replay.segment(&*disk, *segment)?;
        }
        replay.registry.recount(&config);
        let settled = found.settle(&*disk, &files)?;
        let number = segments.last().map_or(floor.max(1), |last| last + 1);
        let carrier = Carrier::new(0, number);
        let segment = Segment::create(&*disk, number, carrier, || &replay.registry);
        let segment = unless_full(segment, "create a log segment")?;
        let space = unless_full(
            ballast::take(&*disk, config.ballast_bytes),
            "take the ballast",
        )?;
        let healthy = segment.is_some() && space.is_some() && !settled.full;
        let writer = Writer {
            segment: segment.unwrap_or(Segment {
                file: Arc::new(NoFile),
                number,
                bytes: 0,
                carried_bytes: 0,
                dictionary: Dictionary::default(),
            }),
            older_bytes: replay.bytes,
            older_carried_bytes: replay.carried_bytes,
            written: 0,
            generation: 0,
            head_samples: replay.samples,
            oldest: (replay.samples > 0).then(|| clock.monotonic()),
            buffer: Vec::new(),
            in_doubt: false,
        };
        let graves = Tombstones::read(&*disk).map_err(cannot("read the tombstones"))?;
        if let Some(at) = graves.damaged_at {
            tracing::error!(
                at,
                "the tombstones do not check: deleted samples may be back"
            );
            count(&replay.counters.tombstones_corrupt, 1);
        }
        let (rollups, parts) = settled
            .parts
            .into_iter()
            .partition(|p| p.footer.is_rollup());
        let view = View {
            parts,
            rollups,
            tombstones: Arc::new(graves.tombstones),
            ..View::default()
        };
        let block_cache = BlockCache::new(config.block_cache_bytes);
        let core = Self {
            disk,
            feed: Feed::new(config.feed, clock.wall_ms()),
            config,
            clock,
            counters: replay.counters,
            registry: RwLock::new(replay.registry),
            head: replay.head,
            writer: Mutex::new(writer),
            commit: GroupCommit::default(),
            upkeep: Mutex::new(Upkeep {
                manifest: settled.manifest,
                next_part,
                next_probe: None,
                leap_since: None,
                next_archive: None,
                rules_leap_since: None,
                damaged: Vec::new(),
                ruled: BTreeMap::new(),
            }),
            merging: Mutex::new(()),
            view: Mutex::new(Arc::new(view)),
            changes: Mutex::default(),
            metadata: Mutex::new(replay.metadata),
            block_cache,
            quarantined: Mutex::default(),
            exemplars: Mutex::new(replay.exemplars),
            newest_ms: AtomicI64::new(replay.newest_ms),
            rules_ms: AtomicI64::new(i64::MIN),
            closed: AtomicBool::new(false),
            state: AtomicU8::new(State::Healthy as u8),
            sync_wake: Wake::default(),
            upkeep_wake: Wake::default(),
            merge_wake: Wake::default(),
        };
        core.rules_ms.store(core.latest_ms(), Relaxed);
        if !healthy {
            core.stop_for_space();
        }
        Ok(core)
    }

    fn spawn(core: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let start = |name: &str, run: fn(&Self)| {
            let shared = Arc::clone(core);
            std::thread::Builder::new()
                .name(name.into())
                .spawn(move || run(&shared))
        };
        let mut workers = Vec::new();
        for worker in [
            start("store-sync", Self::sync_in_turn),
            start("store-upkeep", Self::tend_in_turn),
            start("store-merge", Self::merge_in_turn),
        ] {
            match worker {
                Ok(worker) => workers.push(worker),
                Err(error) => tracing::error!(%error, "a thread of the store cannot start"),
            }
        }
        workers
    }

    /// The upkeep thread.
    fn tend_in_turn(&self) {
        while self.upkeep_wake.pause(&self.closed, UPKEEP_EVERY) {
            if let Err(error) = self.tend() {
                tracing::error!(error = &error as &dyn std::error::Error, "upkeep failed");
            }
        }
    }

    /// The merging thread: apart from upkeep, so that a long merge keeps no flush waiting.
    fn merge_in_turn(&self) {
        while self.merge_wake.pause(&self.closed, UPKEEP_EVERY) {
            if self.state() != State::Healthy {
                continue;
            }
            match self.improve(Pace::Limited) {
                Ok(()) | Err(MaintainError::Closed) => {}
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a merge failed");
                }
            }
        }
    }

    /// One merge, or else one part rid of what was deleted; and retention.
    fn improve(&self, pace: Pace) -> Result<(), MaintainError> {
        if !self.merge_once(pace)? {
            self.clean_tombstones(1)?;
            self.archive_once(pace)?;
        }
        // A merge may have made roll-ups: the byte limit is about them, too.
        self.forget()?;
        Ok(())
    }

    /// Flush and retention; resuming after a full disk.
    fn tend(&self) -> Result<(), MaintainError> {
        match self.state() {
            State::Healthy => {}
            State::DiskFull => {
                self.try_resume();
                return Ok(());
            }
            State::Failed => return Ok(()),
        }
        if self.flush_is_due() {
            self.flush()?;
            // Under a heavy load parts come faster than the merger looks by itself.
            self.merge_wake.call();
        }
        self.pass_time();
        self.forget()?;
        Ok(())
    }

    fn flush_is_due(&self) -> bool {
        let writer = lock(&self.writer);
        let old = writer.oldest.is_some_and(|oldest| {
            self.clock.monotonic().saturating_sub(oldest) >= self.config.flush_every
        });
        let frozen = !lock(&self.view).frozen.is_empty();
        frozen || old || writer.log_due() >= self.config.flush_bytes || self.head_is_heavy(1)
    }

    /// Whether samples in memory take more than so many times what they may.
    fn head_is_heavy(&self, times: usize) -> bool {
        let bytes = self.head.bytes() / times;
        bytes > self.config.head_bytes_min && {
            let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
            bytes > self.config.head_bytes_per_series * registry.len()
        }
    }

    /// After an append: starts a flush when the log is long or memory heavy, and waits for it
    /// when they are far too much so.
    pub(crate) fn relieve(&self) {
        let writer = lock(&self.writer);
        let bytes = writer.log_due();
        drop(writer);
        if bytes >= self.config.wal_bytes_max || self.head_is_heavy(HEAVY_WAIT) {
            if let Err(error) = self.flush() {
                tracing::error!(error = &error as &dyn std::error::Error, "a flush failed");
            }
        } else if bytes >= self.config.flush_bytes || self.head_is_heavy(1) {
            self.upkeep_wake.call();
        }
    }

    /// The sync thread: keeps the promise of [`Durability::Fast`].
    fn sync_in_turn(&self) {
        while self.sync_wake.pause(&self.closed, self.config.sync_every) {
            if let Err(error) = self.sync() {
                tracing::error!(%error, "the log could not be synced");
            }
        }
    }

    /// Syncs the log up to the last record written.
    pub(crate) fn sync(&self) -> Result<(), AppendError> {
        let ticket = lock(&self.writer).written;
        self.sync_to(ticket)
    }

    /// A failed sync has dropped what it was to write, and the next one of the same file says yes:
    /// it must not be asked. Memory still has the samples, until a new segment begins.
    pub(crate) fn check_undoubted(&self, writer: &Writer) -> Result<(), AppendError> {
        match self.state() {
            _ if !writer.in_doubt => Ok(()),
            State::Healthy | State::DiskFull => Err(AppendError::DiskFull),
            State::Failed => Err(AppendError::Io {
                operation: "sync the log: an earlier sync failed".into(),
                source: io::ErrorKind::Other.into(),
            }),
        }
    }

    pub(crate) fn sync_to(&self, ticket: u64) -> Result<(), AppendError> {
        self.commit.wait(ticket, || {
            let (file, written) = {
                let writer = lock(&self.writer);
                self.check_undoubted(&writer)?;
                (Arc::clone(&writer.segment.file), writer.written)
            };
            count(&self.counters.syncs, 1);
            file.sync().map_err(|error| {
                lock(&self.writer).in_doubt = true;
                self.write_failed("sync the log", error)
            })?;
            Ok(written)
        })
    }

    pub(crate) fn state(&self) -> State {
        match self.state.load(Relaxed) {
            0 => State::Healthy,
            1 => State::DiskFull,
            _ => State::Failed,
        }
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Relaxed);
    }

    /// Times a sample may have.
    pub(crate) fn time_bounds(&self) -> RangeInclusive<i64> {
        let future = i64::try_from(self.config.future_max.as_millis()).unwrap_or(i64::MAX);
        before(self.latest_ms(), self.config.retention)
            ..=self.clock.wall_ms().saturating_add(future)
    }

    /// What ages are counted from: the newest sample, or the wall clock if that is earlier.
    pub(crate) fn latest_ms(&self) -> i64 {
        let wall = self.clock.wall_ms();
        match self.newest_ms.load(Relaxed) {
            i64::MIN => wall,
            newest => newest.min(wall),
        }
    }

    fn stats(&self) -> Stats {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
        let c = &self.counters;
        let writer = lock(&self.writer);
        let view = Arc::clone(&lock(&self.view));
        let frozen: u64 = view.frozen.iter().map(|f| f.samples).sum();
        let columns = |p: &Arc<Part>| p.footer.column_bytes();
        let (block_cache_hits, block_cache_misses) = self.block_cache.asked();
        let archived = || view.parts.iter().filter(|p| self.is_archived(p));
        Stats {
            state: self.state(),
            series: self
                .registry
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .len() as u64,
            head_samples: writer.head_samples + frozen,
            part_samples: view.parts.iter().map(|p| p.footer.samples).sum(),
            parts: view.parts.len() as u64,
            wal_bytes: writer.log_bytes(),
            chunk_bytes: view.parts.iter().map(columns).sum(),
            index_bytes: view.parts.iter().map(|p| p.bytes() - columns(p)).sum(),
            appended: read(&c.appended),
            rejected: read(&c.rejected),
            exemplars: read(&c.exemplars),
            exemplars_kept: lock(&self.exemplars).len() as u64,
            wal_truncated: read(&c.wal_truncated),
            wal_truncated_bytes: read(&c.wal_truncated_bytes),
            wal_skipped: read(&c.wal_skipped),
            parts_quarantined: read(&c.parts_quarantined),
            blocks_corrupt: read(&c.blocks_corrupt),
            block_cache_bytes: self.block_cache.bytes() as u64,
            block_cache_hits,
            block_cache_misses,
            manifest_rebuilt: read(&c.manifest_rebuilt),
            flushes: read(&c.flushes),
            merges: read(&c.merges),
            rolled_up: read(&c.rolled_up),
            archived: archived().count() as u64,
            archived_bytes: archived().map(|p| p.bytes()).sum(),
            archive_failed: read(&c.archive_failed),
            rollups: view.rollups.len() as u64,
            rollup_points: view.rollups.iter().map(|p| p.footer.samples).sum(),
            rollup_bytes: view.rollups.iter().map(|p| p.bytes()).sum(),
            forgotten_by_age: read(&c.forgotten_by_age),
            forgotten_by_bytes: read(&c.forgotten_by_bytes),
            forgotten_by_rule: read(&c.forgotten_by_rule),
            forgotten_bytes: read(&c.forgotten_bytes),
            maintenance_failed: read(&c.maintenance_failed),
            syncs: read(&c.syncs),
            tombstones: view.tombstones.0.len() as u64,
            parts_cleaned: read(&c.parts_cleaned),
            tombstones_corrupt: read(&c.tombstones_corrupt),
        }
    }
}

/// Appends wait for a flush once samples take this many times the memory that causes one.
const HEAVY_WAIT: usize = 2;
/// Time between looks at what is due.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);
