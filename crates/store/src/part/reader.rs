//! Opens a part, and reads blocks of it.

use std::{
    io,
    sync::{Arc, Mutex},
};

use model::Run;

use super::{
    DAY_MS, END, Footer, MAGIC, TAIL_BYTES,
    index::{BlockEntry, Index, Place},
    name,
};
use crate::{
    chunk::{Chunk, read_values, times, windows},
    columns::Columns,
    disk::{Disk, ReadFile},
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
}

/// The last column of times a reader decoded: the next series mostly has the same.
#[derive(Debug, Default)]
pub(crate) struct SharedTimes {
    key: Option<(u64, u64, i64)>,
    /// The column itself, if it lies in an index, and where it starts.
    inline: Vec<u8>,
    from_ms: i64,
    times: Vec<i64>,
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

    /// Bytes of index in memory.
    pub(crate) fn index_memory(&self) -> usize {
        lock(&self.index)
            .as_ref()
            .map_or(0, |index| index.heap_bytes())
    }

    /// Gives the memory of the index back; it is read again when needed.
    pub(crate) fn drop_index(&self) {
        *lock(&self.index) = None;
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
        self.read_times(block, shared)?;
        let decoded = match &block.values {
            Place::Inline(bytes) => windows::decode(bytes, &shared.times, out),
            Place::Stored { at, bytes } => {
                windows::decode(&self.column(*at, *bytes)?, &shared.times, out)
            }
        };
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
        self.read_times(block, shared)?;
        out.times.extend_from_slice(&shared.times);
        let decoded = match &block.values {
            Place::Inline(bytes) => read_values(block.kind, bytes, block.count, out),
            Place::Stored { at, bytes } => {
                read_values(block.kind, &self.column(*at, *bytes)?, block.count, out)
            }
        };
        decoded.ok_or_else(|| self.corrupt("a column of values cannot be read"))
    }

    fn read_times(&self, block: &BlockEntry, shared: &mut SharedTimes) -> Result<(), PartError> {
        let key = match &block.times {
            Place::Inline(_) => None,
            Place::Stored { at, .. } => Some((self.footer.sequence, *at, block.from_ms)),
        };
        let is_same = match &block.times {
            Place::Inline(bytes) => {
                !bytes.is_empty() && shared.from_ms == block.from_ms && shared.inline == *bytes
            }
            Place::Stored { .. } => shared.key == key,
        };
        if is_same && shared.times.len() == block.count {
            return Ok(());
        }
        shared.key = None;
        shared.inline.clear();
        shared.times.clear();
        let decoded = match &block.times {
            Place::Inline(bytes) => {
                times::decode(bytes, block.from_ms, block.count, &mut shared.times)
            }
            Place::Stored { at, bytes } => {
                let column = self.column(*at, *bytes)?;
                times::decode(&column, block.from_ms, block.count, &mut shared.times)
            }
        };
        decoded.ok_or_else(|| self.corrupt("a column of times cannot be read"))?;
        if shared.times.last() != Some(&block.to_ms) {
            return Err(self.corrupt("a column of times ends elsewhere than its block"));
        }
        shared.key = key;
        if let Place::Inline(bytes) = &block.times {
            shared.from_ms = block.from_ms;
            shared.inline.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// A block as it is coded, its checksums verified.
    pub(crate) fn chunk(&self, block: &BlockEntry) -> Result<Chunk, PartError> {
        let load = |place: &Place| match place {
            Place::Inline(bytes) => Ok(bytes.clone()),
            Place::Stored { at, bytes } => self.column(*at, *bytes),
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
            Place::Stored { at, bytes } => self.column(*at, *bytes).map(drop),
        }
    }

    /// A stored column whose checksum holds.
    fn column(&self, at: u64, bytes: usize) -> Result<Vec<u8>, PartError> {
        let end = at.checked_add(bytes as u64 + 4);
        if end.is_none_or(|end| end > self.footer.index_at) {
            return Err(self.corrupt("a column lies outside the file"));
        }
        let mut column = vec![0; bytes + 4];
        self.file.read_at(at, &mut column)?;
        let (check, column_bytes) = column.split_at(4);
        if check != crc32c::crc32c(column_bytes).to_le_bytes() {
            return Err(self.corrupt(&format!("the column at {at} does not check")));
        }
        column.drain(..4);
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
