//! A queue of batches on the disk between collecting and sending: what was appended survives a
//! kill at once and a power cut after the next sync, is taken in order, and is bounded in bytes.
//!
//! Segments of checksummed records are appended to, read behind, and removed when all they hold
//! was acknowledged; how far that is stands in a cursor. One queue serves a healthy sink (its
//! records are read back from the page cache) and an outage alike, so nothing has to be noticed
//! in time. When the queue is full the overflow policy decides; by default the oldest segment
//! goes, and what it held is counted. After a crash the unacknowledged records are taken again:
//! at least once, which is exactly once in effect, because samples are identified by series and
//! time. Formats: `docs/formats/spill.md`.

mod cursor;
mod record;
mod segment;

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use model::{Batch, Clock};
use thiserror::Error;

/// Longest a waiting thread sleeps without looking: a clock set by hand moves without a signal.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Segments a full queue has, at least: dropping the oldest must not empty it.
const SEGMENTS: u64 = 8;

/// What happens to new batches while the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The oldest segment is dropped: what is newest matters most.
    #[default]
    DropOldest,
    /// The new batch is dropped: the beginning of an incident is kept.
    DropNewest,
    /// The appending thread waits: for sources that wait too.
    Block,
}

/// Where the queue is and what it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpillConfig {
    /// Its folder; one process at a time.
    pub folder: PathBuf,
    /// Bytes of all segments.
    pub bytes_max: u64,
    /// Bytes of one segment, at most an eighth of the bound. 8 MiB.
    pub segment_bytes: u64,
    /// What happens when it is full.
    pub overflow: Overflow,
    /// Between two syncs: what a power cut may lose. 1 s.
    pub sync_every: Duration,
}

impl SpillConfig {
    /// A queue in a folder, everything else as usual.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            bytes_max: 1 << 30,
            segment_bytes: 8 << 20,
            overflow: Overflow::DropOldest,
            sync_every: Duration::from_secs(1),
        }
    }
}

/// Why the queue cannot be used.
#[derive(Debug, Error)]
pub enum SpillError {
    /// The file system refuses.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another process has the folder.
    #[error("{path} is in use by another process")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// One batch is larger than a record may be.
    #[error("a batch of {bytes} bytes is larger than a record may be")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
    },
    /// The queue is being closed.
    #[error("the spill queue is closed")]
    Closed,
}

/// A place between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// Batches taken together, to be sent and then committed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Window {
    /// All of them in one, in order.
    pub batch: Batch,
    /// Where the queue goes on behind them.
    pub to: Position,
    /// Samples by segment.
    from: Vec<(u64, u64)>,
}

/// What the queue holds and has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpillStats {
    /// Samples appended since it was opened.
    pub appended: u64,
    /// Samples found when it was opened.
    pub recovered: u64,
    /// Samples not yet committed.
    pub queued: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Samples of segments dropped because the queue was full. A request in flight may still
    /// deliver some of them.
    pub dropped_oldest: u64,
    /// Samples of batches refused because the queue was full.
    pub dropped_newest: u64,
    /// Bytes that did not check and were cut off or passed over.
    pub damaged_bytes: u64,
}

/// When a window is worth taking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Samples of a window; one record more than that at most.
    pub samples_max: usize,
    /// Longest a sample waits for others.
    pub delay_max: Duration,
}

/// The queue. Appended to from any thread, taken from by one.
#[derive(Debug)]
pub struct Spill {
    config: SpillConfig,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Condvar,
    reader: Mutex<Reader>,
    cursor: File,
    /// Held as long as the queue lives.
    _lock: File,
}

/// A segment on the disk.
#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u64,
    /// Bytes that hold whole records, magic included.
    bytes: u64,
    samples: u64,
    /// Samples before the committed position.
    committed: u64,
}

#[derive(Debug)]
struct State {
    /// Oldest first; the last is written to while `writer` is there.
    segments: VecDeque<Segment>,
    writer: Option<Writer>,
    committed: Position,
    /// Samples appended and not yet in a window.
    unread: u64,
    /// Monotonic time since when there are unread samples.
    unread_since: Duration,
    synced_at: Duration,
    closed: bool,
    stats: SpillStats,
}

#[derive(Debug)]
struct Writer {
    file: File,
    path: PathBuf,
    introduced: record::Introduced,
    unsynced: bool,
}

/// A record, ready to be written.
#[derive(Debug)]
struct Frame {
    bytes: Vec<u8>,
    /// What it introduces, when it is the first of its segment.
    first: Option<record::Introduced>,
}

impl Frame {
    /// What it adds to the queue.
    fn bytes(&self) -> u64 {
        let magic = if self.first.is_some() {
            segment::MAGIC.len()
        } else {
            0
        };
        (self.bytes.len() + magic) as u64
    }
}

/// The taking side: where it is and what it knows of the segment there.
#[derive(Debug, Default)]
struct Reader {
    at: Position,
    file: Option<File>,
    known: record::Known,
}

impl Spill {
    /// Opens or creates a queue; what an earlier life left is taken first.
    pub fn open(config: SpillConfig, clock: Arc<dyn Clock>) -> Result<Self, SpillError> {
        fs::create_dir_all(&config.folder).map_err(failed("create", &config.folder))?;
        let lock = lock(&config.folder)?;
        let path = config.folder.join("CURSOR");
        let cursor = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed("open", &path))?;
        let said = cursor::read(&cursor).map_err(failed("read", &path))?;
        let recovered = recover(&config.folder, said)?;
        let reader = Reader {
            at: recovered.committed,
            ..Reader::default()
        };
        let now = clock.monotonic();
        let state = State {
            unread: recovered.stats.queued,
            // What an earlier life left has waited long enough.
            unread_since: Duration::ZERO,
            segments: recovered.segments,
            writer: None,
            committed: recovered.committed,
            synced_at: now,
            closed: false,
            stats: recovered.stats,
        };
        Ok(Self {
            config,
            clock,
            state: Mutex::new(state),
            changed: Condvar::new(),
            reader: Mutex::new(reader),
            cursor,
            _lock: lock,
        })
    }

    /// Appends a batch: when it returns `Ok(true)` the batch outlives this process. `Ok(false)`:
    /// the queue is full and drops what is newest.
    pub fn append(&self, batch: &Batch) -> Result<bool, SpillError> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(SpillError::Closed);
            }
            let frame = self.encode(&mut state, batch)?;
            let there = written_to(&state);
            let room = self.make_room(state, frame.bytes());
            state = room.0;
            match room.1 {
                Ok(true) if there == written_to(&state) => {
                    self.put(&mut state, frame, batch.samples.len() as u64)?;
                    break;
                }
                // Its segment has ended meanwhile: what it refers to is in another one.
                Ok(true) => {}
                // What the record introduced was not written: the segment cannot go on.
                Ok(false) => {
                    state.stats.dropped_newest += batch.samples.len() as u64;
                    finish_segment(&mut state)?;
                    return Ok(false);
                }
                Err(error) => {
                    finish_segment(&mut state)?;
                    return Err(error);
                }
            }
        }
        drop(state);
        self.changed.notify_all();
        Ok(true)
    }

    /// The batch as a frame of the segment being written, or, when that is full, of the next.
    fn encode(&self, state: &mut State, batch: &Batch) -> Result<Frame, SpillError> {
        if let Some(writer) = &mut state.writer {
            let mut bytes = Vec::new();
            let introduced = &mut writer.introduced;
            segment::put_frame(&mut bytes, |out| record::encode(out, batch, introduced));
            let before = state.segments.back().map_or(0, |s| s.bytes);
            if before + bytes.len() as u64 <= self.segment_bytes() {
                return Ok(Frame { bytes, first: None });
            }
            finish_segment(state)?;
        }
        let (mut bytes, mut first) = (Vec::new(), record::Introduced::default());
        segment::put_frame(&mut bytes, |out| record::encode(out, batch, &mut first));
        if bytes.len() > segment::PAYLOAD_MAX {
            return Err(SpillError::TooLarge { bytes: bytes.len() });
        }
        let first = Some(first);
        Ok(Frame { bytes, first })
    }

    /// Room for so many bytes as the policy has it; `false` when there is none. The segment being
    /// written may end for it.
    fn make_room<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        bytes: u64,
    ) -> (MutexGuard<'s, State>, Result<bool, SpillError>) {
        while state.stats.bytes + bytes > self.config.bytes_max {
            let made = match self.config.overflow {
                Overflow::DropOldest => self.drop_oldest(&mut state),
                Overflow::DropNewest => self.end_and_remove(&mut state, bytes),
                Overflow::Block => {
                    let removed = self.end_and_remove(&mut state, bytes);
                    if matches!(removed, Ok(false)) && !state.closed {
                        // Others may write meanwhile, and what our record introduced was not.
                        if let Err(error) = finish_segment(&mut state) {
                            return (state, Err(error));
                        }
                        state = self.waited(state, LOOK_EVERY);
                        continue;
                    }
                    removed
                }
            };
            match made {
                Ok(true) => {}
                Ok(false) if state.closed => return (state, Err(SpillError::Closed)),
                // A single record over the bound fits nowhere.
                Ok(false) => return (state, Ok(false)),
                Err(error) => return (state, Err(error)),
            }
        }
        (state, Ok(true))
    }

    /// What is being written may be all there is, and acknowledged: it is ended to be removed.
    /// Whether there is room for so many bytes then.
    fn end_and_remove(&self, state: &mut State, bytes: u64) -> Result<bool, SpillError> {
        if state.committed >= end(state) {
            finish_segment(state)?;
            self.remove_committed(state)?;
        }
        Ok(state.stats.bytes + bytes <= self.config.bytes_max)
    }

    fn put(&self, state: &mut State, frame: Frame, samples: u64) -> Result<(), SpillError> {
        if let Some(first) = frame.first {
            self.begin_segment(state, first)?;
        }
        self.write(state, &frame.bytes, samples)?;
        self.sync_if_due(state)
    }

    fn segment_bytes(&self) -> u64 {
        self.config
            .segment_bytes
            .min(self.config.bytes_max / SEGMENTS)
    }

    /// Drops the oldest segment; `false` when there is none.
    fn drop_oldest(&self, state: &mut State) -> Result<bool, SpillError> {
        let Some(oldest) = state.segments.pop_front() else {
            return Ok(false);
        };
        if state.segments.is_empty() {
            finish_segment(state)?;
            state.writer = None;
        }
        let lost = oldest.samples - oldest.committed;
        state.stats.dropped_oldest += lost;
        state.stats.queued -= lost;
        state.unread = state.unread.min(state.stats.queued);
        state.stats.bytes -= oldest.bytes;
        tracing::warn!(
            samples = lost,
            "the spill queue is full: its oldest are dropped"
        );
        self.remove(oldest.number)?;
        Ok(true)
    }

    fn begin_segment(
        &self,
        state: &mut State,
        introduced: record::Introduced,
    ) -> Result<(), SpillError> {
        let next = state
            .segments
            .back()
            .map_or(state.committed.segment, |s| s.number)
            + 1;
        let path = segment::path(&self.config.folder, next);
        let mut file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(failed("create", &path))?;
        file.write_all(segment::MAGIC)
            .map_err(failed("write", &path))?;
        sync_folder(&self.config.folder)?;
        state.writer = Some(Writer {
            file,
            path,
            introduced,
            unsynced: true,
        });
        let bytes = segment::MAGIC.len() as u64;
        state.stats.bytes += bytes;
        state.segments.push_back(Segment {
            number: next,
            bytes,
            samples: 0,
            committed: 0,
        });
        Ok(())
    }

    fn write(&self, state: &mut State, frame: &[u8], samples: u64) -> Result<(), SpillError> {
        let now = self.clock.monotonic();
        let writer = state.writer.as_mut().expect("a segment was begun");
        let segment = state.segments.back_mut().expect("a segment was begun");
        if let Err(source) = writer.file.write_all(frame) {
            let failure = failed("write", &writer.path)(source);
            // Half a record would end the segment for its reader: cut it off, or begin anew.
            if let Err(error) = writer.file.set_len(segment.bytes) {
                tracing::error!(%error, "a half-written record stays at the end of a segment");
            }
            state.writer = None;
            return Err(failure);
        }
        writer.unsynced = true;
        segment.bytes += frame.len() as u64;
        segment.samples += samples;
        state.stats.bytes += frame.len() as u64;
        state.stats.appended += samples;
        state.stats.queued += samples;
        if state.unread == 0 {
            state.unread_since = now;
        }
        state.unread += samples;
        Ok(())
    }

    fn sync_if_due(&self, state: &mut State) -> Result<(), SpillError> {
        let now = self.clock.monotonic();
        if now.saturating_sub(state.synced_at) >= self.config.sync_every {
            state.synced_at = now;
            sync(state)?;
        }
        Ok(())
    }

    /// Waits until a window is worth taking and takes it; `None` once the queue is closed and
    /// empty, or closed and told not to drain. A window not committed before the next call is
    /// not given again in this life: whoever takes sends until it is acknowledged.
    pub fn take(&self, batching: Batching) -> Result<Option<Window>, SpillError> {
        let mut state = self.lock();
        loop {
            let waited = self.clock.monotonic().saturating_sub(state.unread_since);
            let due = state.unread > 0
                && (state.unread >= batching.samples_max as u64
                    || waited >= batching.delay_max
                    || state.closed);
            if due {
                break;
            }
            if state.closed {
                return Ok(None);
            }
            let left = batching.delay_max.saturating_sub(waited);
            let wait = if state.unread > 0 { left } else { LOOK_EVERY };
            state = self.waited(state, wait.min(LOOK_EVERY));
        }
        let bounds: Vec<(u64, u64)> = state.segments.iter().map(|s| (s.number, s.bytes)).collect();
        drop(state);
        let window = self.read(&bounds, batching.samples_max)?;
        let mut state = self.lock();
        state.unread = state
            .unread
            .saturating_sub(window.batch.samples.len() as u64);
        if window.to >= end(&state) {
            state.unread = 0;
        }
        Ok(Some(window))
    }

    /// Reads records until there are enough samples or no more records in `bounds`.
    fn read(&self, bounds: &[(u64, u64)], samples_max: usize) -> Result<Window, SpillError> {
        let mut reader = self.reader();
        let mut batch = Batch::default();
        let mut from: Vec<(u64, u64)> = Vec::new();
        while batch.samples.len() < samples_max {
            let Some(&(number, end)) = bounds.iter().find(|(n, end)| {
                *n > reader.at.segment || (*n == reader.at.segment && *end > reader.at.offset)
            }) else {
                break;
            };
            if !reader.is_in(number) && !self.enter(&mut reader, number)? {
                continue;
            }
            let before = batch.samples.len();
            let passed = reader.record(end, &mut batch);
            let samples = (batch.samples.len() - before) as u64;
            match from.last_mut() {
                Some((last, count)) if *last == number => *count += samples,
                Some(_) | None => from.push((number, samples)),
            }
            let path = segment::path(&self.config.folder, number);
            let damaged = passed.map_err(failed("read", &path))?;
            if damaged > 0 {
                self.lock().stats.damaged_bytes += damaged;
                tracing::error!(damaged, path = %path.display(), "damage in the spill queue");
            }
        }
        Ok(Window {
            batch,
            to: reader.at,
            from,
        })
    }

    /// Opens a segment and learns what it introduced before the reader's place in it; `false`
    /// when it was dropped meanwhile.
    fn enter(&self, reader: &mut Reader, number: u64) -> Result<bool, SpillError> {
        let path = segment::path(&self.config.folder, number);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                reader.at = Position {
                    segment: number,
                    offset: u64::MAX,
                };
                return Ok(false);
            }
            Err(source) => return Err(failed("open", &path)(source)),
        };
        let begin = segment::MAGIC.len() as u64;
        let skip_to = if reader.at.segment == number {
            reader.at.offset
        } else {
            begin
        };
        reader.known = record::Known::default();
        let mut at = begin;
        while at < skip_to {
            let Some((payload, next)) =
                segment::frame(&file, at, skip_to).map_err(failed("read", &path))?
            else {
                break;
            };
            if record::skim(&payload, &mut reader.known).is_err() {
                break;
            }
            at = next;
        }
        reader.at = Position {
            segment: number,
            offset: at,
        };
        reader.file = Some(file);
        Ok(true)
    }

    /// A window was acknowledged: what lies before its end is not needed any more.
    pub fn commit(&self, window: &Window) -> Result<(), SpillError> {
        let mut state = self.lock();
        if window.to <= state.committed {
            return Ok(());
        }
        let path = self.config.folder.join("CURSOR");
        cursor::write(&self.cursor, window.to).map_err(failed("write", &path))?;
        state.committed = window.to;
        for (number, samples) in &window.from {
            // One that is not there any more was dropped, and its samples counted so.
            if let Some(segment) = state.segments.iter_mut().find(|s| s.number == *number) {
                segment.committed += samples;
                state.stats.queued = state.stats.queued.saturating_sub(*samples);
            }
        }
        self.remove_committed(&mut state)?;
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Removes segments that are committed whole and not being written.
    fn remove_committed(&self, state: &mut State) -> Result<(), SpillError> {
        while let Some(oldest) = state.segments.front().copied() {
            let written = state.writer.is_some() && state.segments.len() == 1;
            let behind = oldest.number < state.committed.segment
                || (oldest.number == state.committed.segment
                    && oldest.bytes <= state.committed.offset);
            if written || !behind {
                return Ok(());
            }
            state.segments.pop_front();
            state.stats.bytes -= oldest.bytes;
            self.remove(oldest.number)?;
        }
        Ok(())
    }

    fn remove(&self, number: u64) -> Result<(), SpillError> {
        let path = segment::path(&self.config.folder, number);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &path)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Puts everything on the disk, now.
    pub fn sync(&self) -> Result<(), SpillError> {
        sync(&mut self.lock())
    }

    /// No more is appended; what is there is still taken. Everything is synced.
    pub fn close(&self) -> Result<(), SpillError> {
        let mut state = self.lock();
        state.closed = true;
        let synced = sync(&mut state);
        drop(state);
        self.changed.notify_all();
        synced
    }

    /// What it holds and has lost.
    #[must_use]
    pub fn stats(&self) -> SpillStats {
        self.lock().stats
    }

    /// The end of what was appended so far.
    #[must_use]
    pub fn end(&self) -> Position {
        end(&self.lock())
    }

    /// Waits until everything before a position is committed; `false` when that takes longer.
    #[must_use]
    pub fn wait_committed(&self, to: Position, longest: Duration) -> bool {
        let begun = self.clock.monotonic();
        let mut state = self.lock();
        while state.committed < to {
            if state.closed || self.clock.monotonic().saturating_sub(begun) >= longest {
                return false;
            }
            state = self.waited(state, LOOK_EVERY);
        }
        true
    }

    fn waited<'s>(&self, state: MutexGuard<'s, State>, longest: Duration) -> MutexGuard<'s, State> {
        let waited = self.changed.wait_timeout(state, longest);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is whole before anything that can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn is_in(&self, number: u64) -> bool {
        self.file.is_some() && self.at.segment == number
    }

    /// The record at the reader's place, added to `batch`; where none checks, passes over the
    /// rest of the segment and says how many bytes that were.
    fn record(&mut self, end: u64, batch: &mut Batch) -> io::Result<u64> {
        let file = self.file.as_ref().expect("the segment was entered");
        let read = segment::frame(file, self.at.offset, end)?;
        if let Some((payload, next)) = read
            && record::decode(&payload, &mut self.known, batch).is_ok()
        {
            self.at.offset = next;
            return Ok(0);
        }
        let damaged = end.saturating_sub(self.at.offset);
        self.at.offset = end;
        Ok(damaged)
    }
}

/// The segment being written.
fn written_to(state: &State) -> Option<u64> {
    let newest = state.segments.back().map(|s| s.number);
    newest.filter(|_| state.writer.is_some())
}

fn end(state: &State) -> Position {
    state.segments.back().map_or(state.committed, |s| Position {
        segment: s.number,
        offset: s.bytes,
    })
}

fn sync(state: &mut State) -> Result<(), SpillError> {
    if let Some(writer) = &mut state.writer
        && writer.unsynced
    {
        if let Err(source) = writer.file.sync_data() {
            // What a failed sync left is unknown: nothing more goes into this file.
            let failure = failed("sync", &writer.path)(source);
            state.writer = None;
            return Err(failure);
        }
        writer.unsynced = false;
    }
    Ok(())
}

/// Syncs and ends the segment being written.
fn finish_segment(state: &mut State) -> Result<(), SpillError> {
    sync(state)?;
    state.writer = None;
    Ok(())
}

/// What an earlier life left.
struct Recovered {
    segments: VecDeque<Segment>,
    committed: Position,
    stats: SpillStats,
}

fn recover(folder: &Path, cursor: Option<Position>) -> Result<Recovered, SpillError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let entry = entry.map_err(failed("list", folder))?;
        numbers.extend(entry.file_name().to_str().and_then(segment::number));
    }
    numbers.sort_unstable();
    let newest = numbers.last().copied().unwrap_or(0);
    // A cursor of another queue, or of lost segments, is no cursor.
    let committed = cursor.filter(|c| c.segment <= newest || numbers.is_empty());
    let committed = committed.unwrap_or_default();
    let mut recovered = Recovered {
        segments: VecDeque::new(),
        committed,
        stats: SpillStats::default(),
    };
    for number in numbers {
        let path = segment::path(folder, number);
        if number < committed.segment {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
            continue;
        }
        let before = if number == committed.segment {
            committed.offset
        } else {
            0
        };
        let (segment, damaged) = scan(&path, number, before)?;
        recovered.stats.damaged_bytes += damaged;
        if segment.samples == 0 {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
            continue;
        }
        recovered.stats.bytes += segment.bytes;
        recovered.stats.queued += segment.samples - segment.committed;
        recovered.segments.push_back(segment);
    }
    recovered.stats.recovered = recovered.stats.queued;
    Ok(recovered)
}

/// Checks a segment's records and cuts off what follows the last sound one.
fn scan(path: &Path, number: u64, committed: u64) -> Result<(Segment, u64), SpillError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(failed("open", path))?;
    let whole = file.metadata().map_err(failed("read", path))?.len();
    let mut segment = Segment {
        number,
        bytes: 0,
        samples: 0,
        committed: 0,
    };
    if segment::begins_well(&file).map_err(failed("read", path))? {
        segment.bytes = segment::MAGIC.len() as u64;
        while let Some((payload, next)) =
            segment::frame(&file, segment.bytes, whole).map_err(failed("read", path))?
        {
            let Ok(samples) = record::samples(&payload) else {
                break;
            };
            segment.samples += samples;
            segment.bytes = next;
            if next <= committed {
                segment.committed = segment.samples;
            }
        }
    }
    let damaged = whole - segment.bytes;
    if damaged > 0 {
        tracing::warn!(damaged, path = %path.display(), "a torn tail of the spill queue is cut off");
        file.set_len(segment.bytes).map_err(failed("cut", path))?;
        file.sync_all().map_err(failed("sync", path))?;
    }
    Ok((segment, damaged))
}

fn lock(folder: &Path) -> Result<File, SpillError> {
    let path = folder.join("LOCK");
    let file = File::create(&path).map_err(failed("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(SpillError::Locked {
            path: folder.to_owned(),
        }),
        Err(fs::TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
    }
}

fn sync_folder(folder: &Path) -> Result<(), SpillError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync", folder))
}

fn failed<'p>(operation: &'static str, path: &'p Path) -> impl Fn(io::Error) -> SpillError + 'p {
    move |source| SpillError::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use model::{Labels, Sample};
    use testkit::VirtualClock;

    use super::*;

    /// A sample of each of so many series, whose labels take some 30 bytes each.
    fn batch(series: std::ops::Range<usize>) -> Batch {
        let sample = |i: usize| {
            let labels =
                Labels::from_pairs([("__name__", "waiting".to_owned()), ("i", i.to_string())]);
            Sample::float(labels, 1, i as f64)
        };
        Batch {
            samples: series.map(sample).collect(),
            ..Batch::default()
        }
    }

    #[test]
    fn a_small_record_overtakes_one_that_waits_for_room_and_says_its_series_itself() {
        let folder = tempfile::tempdir().unwrap();
        let config = SpillConfig {
            bytes_max: 16 << 10,
            segment_bytes: 16 << 10,
            overflow: Overflow::Block,
            ..SpillConfig::new(folder.path())
        };
        let spill = Spill::open(config, Arc::new(VirtualClock::at(1_000_000))).unwrap();
        let free = |spill: &Spill| spill.config.bytes_max - spill.stats().bytes;
        let (mut written, mut next) = (Vec::new(), 0);
        while free(&spill) > 600 {
            // Records that leave most segments with a rest too small for another.
            let some = batch(next..next + if free(&spill) > 2_000 { 25 } else { 5 });
            next += some.samples.len();
            assert!(spill.append(&some).unwrap());
            written.extend(some.samples);
        }
        // The small one still fits, the large one fits into its segment only.
        let (small, large) = (batch(9_000..9_001), batch(9_000..9_020));
        let alone = |batch: &Batch| {
            let mut bytes = Vec::new();
            segment::put_frame(&mut bytes, |out| {
                record::encode(out, batch, &mut <_>::default())
            });
            bytes.len() as u64
        };
        let of_segment = spill.lock().segments.back().map_or(0, |s| s.bytes);
        assert!(alone(&large) > free(&spill) && alone(&small) + 8 < free(&spill));
        assert!(of_segment + alone(&large) <= spill.segment_bytes());
        assert!(written_to(&spill.lock()).is_some());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| spill.append(&large));
            // It has let go of the state, so it waits: its series are claimed, or the segment is over.
            let it_waits = || {
                let state = spill.lock();
                let claimed = |w: &Writer| w.introduced.has(&large.samples[0].labels);
                state.writer.as_ref().is_none_or(claimed)
            };
            while !it_waits() {
                std::thread::yield_now();
            }
            assert!(spill.append(&small).unwrap(), "there is room for it");
            written.extend(small.samples.iter().cloned());
            let now = Batching {
                samples_max: usize::MAX,
                delay_max: Duration::ZERO,
            };
            let mut taken = Vec::new();
            while taken.len() < written.len() + large.samples.len() {
                let window = spill.take(now).unwrap().expect("it is not closed");
                taken.extend_from_slice(&window.batch.samples);
                spill.commit(&window).unwrap();
                assert_eq!(spill.stats().damaged_bytes, 0);
            }
            assert!(waits.join().unwrap().unwrap());
            written.extend(large.samples.iter().cloned());
            assert_eq!(taken, written);
        });
    }
}
