//! Opens a part, and reads blocks of it.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use model::Run;

use super::{
    DAY_MS, END, Footer, MAGIC, TAIL_BYTES,
    index::{BlockEntry, BlockView, Index, Place, PlaceView},
    name,
};
use crate::{
    block_cache::BlockCache,
    chunk::{Chunk, Kind, read_values, times, windows},
    columns::Columns,
    disk::{Disk, ReadFile},
    registry::NONE,
    store::lock,
};

/// Longest index taken: positions in it are 32 bits.
const INDEX_MAX: u64 = u32::MAX as u64;

/// Why a part or a block cannot be read.
#[derive(Debug)]
pub(crate) enum PartError {
    /// The disk said no.
    Io(io::Error),
    /// The bytes do not check; what and where.
    Corrupt(String),
}

impl From<io::Error> for PartError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An open part.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) footer: Footer,
    file: Arc<dyn ReadFile>,
    index: Mutex<Option<Arc<Index>>>,
    numbers: Mutex<Option<Arc<Numbers>>>,
}

/// The numbers by which the registry knows the series of a part, as far as readers found them:
/// who meets the same number twice need not compare labels.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// The registry's evictions when they were found: until the next one they hold.
    evictions: u64,
    by_series: Box<[AtomicU32]>,
}

impl Numbers {
    pub(crate) fn of(&self, series: u32) -> Option<u32> {
        let number = self.by_series.get(series as usize)?.load(Relaxed);
        (number != NONE).then_some(number)
    }

    /// Notes the number of a series, under the evictions these numbers are of.
    pub(crate) fn note(&self, series: u32, number: u32) {
        if let Some(slot) = self.by_series.get(series as usize) {
            slot.store(number, Relaxed);
        }
    }
}

/// What a reader keeps from block to block of a part: the last column of times it decoded, which
/// the next series mostly has too, and room.
#[derive(Debug, Default)]
pub(crate) struct SharedTimes {
    key: Option<(u64, u64, i64)>,
    /// The column itself, if it lies in an index, and where it starts.
    inline: Vec<u8>,
    from_ms: i64,
    times: Vec<i64>,
    /// Values decoded last.
    values: Columns,
    room: Vec<i64>,
    window: Window,
}

/// Bytes of a file around the column read last: who reads series after series finds the next one
/// there.
#[derive(Debug, Default)]
struct Window {
    part: u64,
    at: u64,
    bytes: Vec<u8>,
    /// How much to read at once: more each time that what is asked for follows what was.
    ahead: usize,
}

/// Columns this near behind one another are read at once.
const NEAR_BYTES: u64 = 4 << 10;
/// Most bytes read at once because of that.
const AHEAD_MAX: usize = 32 << 10;

impl Window {
    /// Bytes of a part from `at` on.
    fn read(&mut self, part: &Part, at: u64, bytes: usize) -> io::Result<&[u8]> {
        let sequence = part.footer.sequence;
        let end = self.at + self.bytes.len() as u64;
        let is_here = self.part == sequence && at >= self.at && at + bytes as u64 <= end;
        if !is_here {
            let follows = self.part == sequence && at >= self.at && at <= end + NEAR_BYTES;
            self.ahead = if follows {
                (2 * self.ahead).clamp(1 << 10, AHEAD_MAX)
            } else {
                0
            };
            let left = part.footer.index_at.saturating_sub(at);
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            self.bytes.resize(self.ahead.min(most).max(bytes), 0);
            // Should it fail, nothing is here.
            self.part = u64::MAX;
            part.file.read_at(at, &mut self.bytes)?;
            (self.part, self.at) = (sequence, at);
        }
        let start = (at - self.at) as usize;
        Ok(&self.bytes[start..start + bytes])
    }
}

impl Part {
    /// Opens a part and checks its footer and index.
    pub(crate) fn open(disk: &dyn Disk, sequence: u64) -> Result<Self, PartError> {
        let file = disk.open(&name(sequence))?;
        let footer = read_footer(&*file, sequence)?;
        let part = Self {
            footer,
            file,
            index: Mutex::new(None),
            numbers: Mutex::new(None),
        };
        part.load_index()?;
        Ok(part)
    }

    fn corrupt(&self, what: &str) -> PartError {
        PartError::Corrupt(format!("{}: {what}", name(self.footer.sequence)))
    }

    fn load_index(&self) -> Result<Index, PartError> {
        let mut bytes = vec![0; self.footer.index_bytes as usize];
        self.file.read_at(self.footer.index_at, &mut bytes)?;
        if crc32c::crc32c(&bytes) != self.footer.index_crc {
            return Err(self.corrupt("the index does not check"));
        }
        Index::new(bytes, self.footer.day.saturating_mul(DAY_MS))
            .ok_or_else(|| self.corrupt("the index cannot be read"))
    }

    /// The index, from memory or from the file.
    pub(crate) fn index(&self) -> Result<Arc<Index>, PartError> {
        let mut cached = lock(&self.index);
        if let Some(index) = &*cached {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(self.load_index()?);
        *cached = Some(Arc::clone(&index));
        Ok(index)
    }

    /// Numbers of its `series`, of the registry after so many evictions.
    pub(crate) fn numbers(&self, series: u32, evictions: u64) -> Arc<Numbers> {
        let mut cached = lock(&self.numbers);
        if let Some(numbers) = cached.as_ref().filter(|n| n.evictions == evictions) {
            return Arc::clone(numbers);
        }
        let numbers = Arc::new(Numbers {
            evictions,
            by_series: (0..series).map(|_| AtomicU32::new(NONE)).collect(),
        });
        *cached = Some(Arc::clone(&numbers));
        numbers
    }

    /// Bytes of index in memory.
    pub(crate) fn index_memory(&self) -> usize {
        let index = lock(&self.index).as_ref().map_or(0, |i| i.heap_bytes());
        let numbers = lock(&self.numbers)
            .as_ref()
            .map_or(0, |n| size_of_val(&*n.by_series));
        index + numbers
    }

    /// Gives the memory of the index back; it is read again when needed.
    pub(crate) fn drop_index(&self) {
        *lock(&self.index) = None;
        *lock(&self.numbers) = None;
    }

    pub(crate) fn touches(&self, from_ms: i64, to_ms: i64) -> bool {
        self.footer.from_ms <= to_ms && self.footer.to_ms >= from_ms
    }

    /// Whether the range and the part's day have a time in common.
    pub(crate) fn touches_day(&self, from_ms: i64, to_ms: i64) -> bool {
        let begin = self.footer.day.saturating_mul(DAY_MS);
        begin <= to_ms && begin.saturating_add(DAY_MS - 1) >= from_ms
    }

    /// Appends the points of a block of a roll-up.
    pub(crate) fn read_points(
        &self,
        block: &BlockEntry,
        shared: &mut SharedTimes,
        out: &mut Vec<Run>,
    ) -> Result<(), PartError> {
        self.read_times(&block.view(), shared)?;
        let SharedTimes { times, window, .. } = shared;
        let bytes = self.column(block.values.view(), window)?;
        let decoded = windows::decode(bytes, times, out);
        decoded.ok_or_else(|| self.corrupt("points of a roll-up cannot be read"))
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Appends the samples of a block.
    pub(crate) fn read_block(
        &self,
        block: &BlockEntry,
        shared: &mut SharedTimes,
        out: &mut Columns,
    ) -> Result<(), PartError> {
        self.read_view(&block.view(), shared, out)
    }

    /// As [`Part::read_block`].
    pub(crate) fn read_view(
        &self,
        block: &BlockView<'_>,
        shared: &mut SharedTimes,
        out: &mut Columns,
    ) -> Result<(), PartError> {
        self.read_times(block, shared)?;
        out.times.extend_from_slice(&shared.times);
        let bytes = self.column(block.values, &mut shared.window)?;
        let decoded = read_values(block.kind, bytes, block.count, out, &mut shared.room);
        decoded.ok_or_else(|| self.corrupt("a column of values cannot be read"))
    }

    /// As [`Part::read_view`]; of floats that are stored those alone that lie in the range, decoded
    /// only if they are not in the cache.
    pub(crate) fn read_range(
        &self,
        block: &BlockView<'_>,
        (from_ms, to_ms): (i64, i64),
        cache: &BlockCache,
        shared: &mut SharedTimes,
        out: &mut Columns,
    ) -> Result<(), PartError> {
        let (Kind::Floats, Some(at)) = (block.kind, block.values.stored_at()) else {
            return self.read_view(block, shared, out);
        };
        self.read_times(block, shared)?;
        let end = shared.times.partition_point(|t| *t <= to_ms);
        let start = shared.times[..end].partition_point(|t| *t < from_ms);
        let key = (self.footer.sequence, at);
        match cache.get(key).filter(|kept| kept.len() == block.count) {
            Some(kept) => out.push_floats(&shared.times[start..end], &kept[start..end]),
            None => {
                self.read_values_alone(block, shared)?;
                let values = &shared.values.values;
                cache.offer(key, values);
                out.push_floats(&shared.times[start..end], &values[start..end]);
            }
        }
        Ok(())
    }

    /// Decodes the floats of a block.
    fn read_values_alone(
        &self,
        block: &BlockView<'_>,
        shared: &mut SharedTimes,
    ) -> Result<(), PartError> {
        let SharedTimes {
            values,
            room,
            window,
            ..
        } = shared;
        values.truncate(0);
        let bytes = self.column(block.values, window)?;
        let decoded = read_values(Kind::Floats, bytes, block.count, values, room);
        decoded.ok_or_else(|| self.corrupt("a column of values cannot be read"))
    }

    fn read_times(&self, block: &BlockView<'_>, shared: &mut SharedTimes) -> Result<(), PartError> {
        let stored = block.times.stored_at();
        let key = stored.map(|at| (self.footer.sequence, at, block.from_ms));
        let is_same = match block.times {
            PlaceView::Inline(bytes) => {
                !bytes.is_empty() && shared.from_ms == block.from_ms && shared.inline == bytes
            }
            PlaceView::Stored { .. } => shared.key == key,
        };
        if is_same && shared.times.len() == block.count {
            return Ok(());
        }
        shared.key = None;
        shared.inline.clear();
        shared.times.clear();
        let SharedTimes { times, window, .. } = shared;
        let column = self.column(block.times, window)?;
        let decoded = times::decode(column, block.from_ms, block.count, times);
        decoded.ok_or_else(|| self.corrupt("a column of times cannot be read"))?;
        if shared.times.last() != Some(&block.to_ms) {
            return Err(self.corrupt("a column of times ends elsewhere than its block"));
        }
        shared.key = key;
        if let PlaceView::Inline(bytes) = block.times {
            shared.from_ms = block.from_ms;
            shared.inline.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// A block as it is coded, its checksums verified.
    pub(crate) fn chunk(&self, block: &BlockEntry) -> Result<Chunk, PartError> {
        let mut window = Window::default();
        let mut load = |place: &Place| {
            let column = self.column(place.view(), &mut window);
            column.map(<[u8]>::to_vec)
        };
        Ok(Chunk {
            kind: block.kind,
            count: block.count,
            from_ms: block.from_ms,
            to_ms: block.to_ms,
            times: load(&block.times)?,
            values: load(&block.values)?,
        })
    }

    /// Whether the bytes of a column are what was written.
    pub(crate) fn check_column(&self, place: &Place) -> Result<(), PartError> {
        match place {
            Place::Inline(_) => Ok(()),
            Place::Stored { .. } => self.column(place.view(), &mut Window::default()).map(drop),
        }
    }

    /// A column; of a stored one the checksum holds.
    fn column<'b>(
        &self,
        place: PlaceView<'b>,
        window: &'b mut Window,
    ) -> Result<&'b [u8], PartError> {
        let (at, bytes) = match place {
            PlaceView::Inline(bytes) => return Ok(bytes),
            PlaceView::Stored { at, bytes } => (at, bytes),
        };
        let end = at.checked_add(bytes as u64 + 4);
        if end.is_none_or(|end| end > self.footer.index_at) {
            return Err(self.corrupt("a column lies outside the file"));
        }
        let (check, column) = window.read(self, at, bytes + 4)?.split_at(4);
        if check != crc32c::crc32c(column).to_le_bytes() {
            return Err(self.corrupt(&format!("the column at {at} does not check")));
        }
        Ok(column)
    }
}

impl Footer {
    /// Reads a part's footer alone.
    pub(crate) fn read(disk: &dyn Disk, sequence: u64) -> Result<Self, PartError> {
        read_footer(&*disk.open(&name(sequence))?, sequence)
    }
}

fn read_footer(file: &dyn ReadFile, sequence: u64) -> Result<Footer, PartError> {
    let bad = |what: &str| PartError::Corrupt(format!("{}: {what}", name(sequence)));
    let bytes = file.bytes();
    if bytes < (MAGIC.len() + TAIL_BYTES) as u64 {
        return Err(bad("too short for a part"));
    }
    let mut magic = [0; 8];
    file.read_at(0, &mut magic)?;
    if &magic != MAGIC {
        return Err(bad("not a part, or of another version"));
    }
    let mut tail = [0; TAIL_BYTES];
    file.read_at(bytes - TAIL_BYTES as u64, &mut tail)?;
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if &tail[8..] != END || length > bytes - (MAGIC.len() + TAIL_BYTES) as u64 {
        return Err(bad("the end is missing"));
    }
    let mut footer = vec![0; length as usize];
    let footer_at = bytes - TAIL_BYTES as u64 - length;
    file.read_at(footer_at, &mut footer)?;
    if crc32c::crc32c(&footer).to_le_bytes() != tail[4..8] {
        return Err(bad("the footer does not check"));
    }
    Footer::decode(&footer)
        .filter(|f| f.sequence == sequence && f.index_at >= MAGIC.len() as u64)
        .filter(|f| f.index_bytes <= INDEX_MAX)
        .filter(|f| f.index_at.checked_add(f.index_bytes) == Some(footer_at))
        .ok_or_else(|| bad("the footer cannot be read"))
}
