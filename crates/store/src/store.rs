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
    AppendError, Appended, Batch, Clock, Durability, LabelQuery, Labels, Metadata, ReadError,
    SampleSink, Selection, SeriesIter, SeriesReader, Value,
};
use thiserror::Error;

use crate::{
    config::Config,
    disk::{Disk, RealDisk},
    head::{Frozen, Head},
    record::Incoming,
    registry::Registry,
    stats::{Counters, State, Stats, count},
    sync::GroupCommit,
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
    pub(crate) view: Mutex<Arc<View>>,
    pub(crate) metadata: Mutex<BTreeMap<String, Metadata>>,
    /// Newest time of any sample stored; `i64::MIN` when there is none.
    pub(crate) newest_ms: AtomicI64,
    pub(crate) closed: AtomicBool,
    state: AtomicU8,
    wake: (Mutex<()>, Condvar),
}

/// What appends change, one at a time.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) segment: Segment,
    /// Records written since opening: the ticket of the last one.
    pub(crate) written: u64,
    /// Times the head was frozen.
    pub(crate) generation: u64,
    /// Samples in the head.
    pub(crate) head_samples: u64,
    /// When the first of them came, monotonic.
    pub(crate) oldest: Option<Duration>,
    pub(crate) buffer: Vec<u8>,
}

/// Everything readers need beside the head; replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// Freezes so far; a head of another generation belongs to another view.
    pub(crate) generation: u64,
    pub(crate) frozen: Vec<Arc<Frozen>>,
}

/// Locks; a panic elsewhere does not spread.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens or creates the store in `dir`, replaying its log.
    pub fn open(dir: &Path, config: Config, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let disk = RealDisk::new(dir).map_err(|source| OpenError::Io {
            operation: format!("open the directory {}", dir.display()),
            source,
        })?;
        Self::open_on(Arc::new(disk), config, clock)
    }

    /// Opens the store on a disk of the caller's: simulations and tests.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let core = Arc::new(Core::open(disk, config, clock)?);
        let workers = if core.config.background {
            Core::spawn(&core)
        } else {
            Vec::new()
        };
        Ok(Self {
            core,
            workers: Mutex::new(workers),
        })
    }

    /// Makes everything appended so far durable.
    pub fn flush(&self) -> Result<(), AppendError> {
        self.core.sync()
    }

    /// Does what is due: sync. The store's own threads do the same when `Config::background` is
    /// set.
    pub fn maintain(&self) -> Result<(), AppendError> {
        self.core.sync()
    }

    /// Syncs the log and stops the store's threads; later appends are refused. The log is
    /// replayed by the next opening.
    pub fn close(&self) -> Result<(), AppendError> {
        self.core.closed.store(true, Relaxed);
        self.core.wake.1.notify_all();
        for worker in lock(&self.workers).drain(..) {
            // A worker that panicked has said so; there is nothing left to stop.
            drop(worker.join());
        }
        self.core.sync()
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        self.core.stats()
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
}

impl SeriesReader for Store {
    fn select<'a>(&'a self, selection: &Selection) -> Result<SeriesIter<'a>, ReadError> {
        self.core.select(selection)
    }

    fn series(&self, query: &LabelQuery) -> Result<Vec<Labels>, ReadError> {
        self.core.series(query)
    }

    fn label_names(&self, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        self.core.label_names(query)
    }

    fn label_values(&self, name: &str, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        self.core.label_values(name, query)
    }

    fn metadata(&self, family: Option<&str>) -> Result<Vec<Metadata>, ReadError> {
        let known = lock(&self.core.metadata);
        Ok(match family {
            Some(family) => known.get(family).cloned().into_iter().collect(),
            None => known.values().cloned().collect(),
        })
    }
}

/// An error of opening, with what was tried.
fn cannot(operation: impl Into<String>) -> impl FnOnce(io::Error) -> OpenError {
    let operation = operation.into();
    |source| OpenError::Io { operation, source }
}

impl Core {
    fn open(disk: Arc<dyn Disk>, config: Config, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let files = disk.list().map_err(cannot("list the store's directory"))?;
        let mut segments: Vec<u64> = files.iter().filter_map(|(n, _)| wal::number(n)).collect();
        segments.sort_unstable();
        let next = segments.last().map_or(1, |last| last + 1);
        let mut replay = Replay::new(config.chunk_samples);
        for segment in &segments {
            replay.segment(&*disk, *segment)?;
        }
        let segment = Segment::create(&*disk, next).map_err(cannot("create a log segment"))?;
        let writer = Writer {
            segment,
            written: 0,
            generation: 0,
            head_samples: replay.samples,
            oldest: (replay.samples > 0).then(|| clock.monotonic()),
            buffer: Vec::new(),
        };
        Ok(Self {
            disk,
            config,
            clock,
            counters: replay.counters,
            registry: RwLock::new(replay.registry),
            head: replay.head,
            writer: Mutex::new(writer),
            commit: GroupCommit::default(),
            view: Mutex::default(),
            metadata: Mutex::new(replay.metadata),
            newest_ms: AtomicI64::new(replay.newest_ms),
            closed: AtomicBool::new(false),
            state: AtomicU8::new(State::Healthy as u8),
            wake: Default::default(),
        })
    }

    fn spawn(core: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let shared = Arc::clone(core);
        let syncing = std::thread::Builder::new()
            .name("store-sync".into())
            .spawn(move || shared.sync_in_turn());
        match syncing {
            Ok(worker) => vec![worker],
            Err(error) => {
                tracing::error!(%error, "no thread for syncing: every append syncs instead");
                Vec::new()
            }
        }
    }

    /// The sync thread: keeps the promise of [`Durability::Fast`].
    fn sync_in_turn(&self) {
        while self.pause(self.config.sync_every) {
            if let Err(error) = self.sync() {
                tracing::error!(%error, "the log could not be synced");
            }
        }
    }

    /// Waits; `false` once the store is closed.
    fn pause(&self, time: Duration) -> bool {
        let guard = lock(&self.wake.0);
        if !self.closed.load(Relaxed) {
            drop(self.wake.1.wait_timeout(guard, time));
        }
        !self.closed.load(Relaxed)
    }

    /// Syncs the log up to the last record written.
    pub(crate) fn sync(&self) -> Result<(), AppendError> {
        let ticket = lock(&self.writer).written;
        self.sync_to(ticket)
    }

    pub(crate) fn sync_to(&self, ticket: u64) -> Result<(), AppendError> {
        self.commit.wait(ticket, || {
            let (file, written) = {
                let writer = lock(&self.writer);
                (Arc::clone(&writer.segment.file), writer.written)
            };
            count(&self.counters.syncs, 1);
            file.sync()
                .map_err(|error| self.write_failed("sync the log", error))?;
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

    pub(crate) fn stop_for_space(&self) {
        tracing::error!("the disk is full: ingest is stopped until space is free");
        self.set_state(State::DiskFull);
    }

    pub(crate) fn try_resume(&self) -> bool {
        false
    }

    /// Times a sample may have.
    pub(crate) fn time_bounds(&self) -> RangeInclusive<i64> {
        let wall = self.clock.wall_ms();
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let newest = match self.newest_ms.load(Relaxed) {
            i64::MIN => wall,
            newest => newest.min(wall),
        };
        newest.saturating_sub(ms(self.config.retention))
            ..=wall.saturating_add(ms(self.config.future_max))
    }

    fn stats(&self) -> Stats {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
        let c = &self.counters;
        let writer = lock(&self.writer);
        let frozen: u64 = lock(&self.view).frozen.iter().map(|f| f.samples).sum();
        Stats {
            state: self.state(),
            series: self
                .registry
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .len() as u64,
            head_samples: writer.head_samples + frozen,
            part_samples: 0,
            parts: 0,
            wal_bytes: writer.segment.bytes,
            chunk_bytes: 0,
            index_bytes: 0,
            appended: read(&c.appended),
            rejected: read(&c.rejected),
            wal_truncated: read(&c.wal_truncated),
            wal_truncated_bytes: read(&c.wal_truncated_bytes),
            wal_skipped: read(&c.wal_skipped),
            parts_quarantined: read(&c.parts_quarantined),
            blocks_corrupt: read(&c.blocks_corrupt),
            manifest_rebuilt: read(&c.manifest_rebuilt),
            flushes: read(&c.flushes),
            merges: read(&c.merges),
            maintenance_failed: read(&c.maintenance_failed),
            syncs: read(&c.syncs),
        }
    }
}

/// What is rebuilt from the log.
struct Replay {
    chunk_samples: usize,
    counters: Counters,
    registry: Registry,
    head: Head,
    metadata: BTreeMap<String, Metadata>,
    samples: u64,
    newest_ms: i64,
}

impl Replay {
    fn new(chunk_samples: usize) -> Self {
        Self {
            chunk_samples,
            counters: Counters::default(),
            registry: Registry::new(),
            head: Head::default(),
            metadata: BTreeMap::new(),
            samples: 0,
            newest_ms: i64::MIN,
        }
    }

    fn segment(&mut self, disk: &dyn Disk, segment: u64) -> Result<(), OpenError> {
        // Numbers of the segment to numbers of today.
        let mut ids = BTreeMap::new();
        let replayed = wal::replay(disk, segment, &mut |record| self.record(record, &mut ids))
            .map_err(cannot(format!("replay {}", wal::name(segment))))?;
        if replayed.truncated_bytes > 0 {
            count(&self.counters.wal_truncated, 1);
            count(&self.counters.wal_truncated_bytes, replayed.truncated_bytes);
        }
        Ok(())
    }

    fn record(&mut self, record: Incoming, ids: &mut BTreeMap<u32, u32>) {
        for (id, labels) in &record.series {
            let today = match self.registry.find(labels, crate::registry::NONE) {
                crate::registry::NONE => self.registry.add(labels),
                known => known,
            };
            ids.insert(*id, today);
        }
        for metadata in record.metadata {
            self.metadata.insert(metadata.family.clone(), metadata);
        }
        let floats = record
            .floats
            .into_iter()
            .map(|(id, t, v)| (id, t, Value::Float(v)));
        let histograms = record
            .histograms
            .into_iter()
            .map(|(id, t, h)| (id, t, Value::Histogram(h)));
        let (mut skipped, mut samples, mut newest) = (0, 0, self.newest_ms);
        let known = floats.chain(histograms).filter_map(|(id, time_ms, value)| {
            let Some(id) = ids.get(&id) else {
                skipped += 1;
                return None;
            };
            samples += 1;
            newest = newest.max(time_ms);
            Some((*id, time_ms, value))
        });
        self.head.append(known, self.chunk_samples, 0);
        count(&self.counters.wal_skipped, skipped);
        self.samples += samples;
        self.newest_ms = newest;
    }
}
