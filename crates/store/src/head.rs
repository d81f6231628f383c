//! The recent window, in memory: an open chunk a series, sealed chunks behind it, and late
//! samples beside it.
//!
//! Series are kept in blocks of 1,024 consecutive numbers with a lock each: appenders and readers
//! meet only within a block. Freezing moves all samples out at once, under a new generation.

use std::{
    cmp::Ordering,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use model::Value;

use crate::{
    chunk::{Chunk, Effort, Room, compress, pieces, xor::OpenChunk},
    columns::Columns,
    sealed::Sealed,
    stats::HeadExtent,
};

/// Series a block; a power of two.
const BLOCK_SERIES: u32 = 1024;
/// Bytes an open chunk may take before it is compressed: noisy values cost 7 to 9 bytes each
/// while open, and seldom half of it compressed.
const OPEN_BYTES_MAX: usize = 384;
/// Late samples a series gathers before they are compressed.
const LATE_MAX: usize = 128;

/// When a sample came, by the series' own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    InOrder,
    /// At the time of the newest.
    Repeat,
    /// Before the newest.
    Late,
}

/// Samples that did not come in order, as far as memory knows: after a flush each series begins
/// anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Arrivals {
    pub(crate) repeated: u64,
    pub(crate) late: u64,
}

/// One series' samples in memory.
#[derive(Debug, Default)]
pub(crate) struct SeriesData {
    /// Floats in rising order of time, newest run; behind it `past.sealed`.
    open: OpenChunk,
    past: Option<Box<Past>>,
    /// Latest time of any sample.
    last_ms: i64,
    first_ms: i64,
}

/// What few series have for long: samples beside the open chunk.
#[derive(Debug, Default)]
struct Past {
    sealed: Sealed,
    late: Option<Late>,
}

/// Samples that came out of order, overwrite others or are histograms, in the order written:
/// each is newer than anything in order at its time.
#[derive(Debug, Default)]
struct Late {
    sealed: Vec<Chunk>,
    buffer: Columns,
}

impl SeriesData {
    pub(crate) fn is_empty(&self) -> bool {
        self.open.count() == 0 && self.past.is_none()
    }

    /// First and last time of the samples; `None` while empty.
    pub(crate) fn span_ms(&self) -> Option<(i64, i64)> {
        (!self.is_empty()).then_some((self.first_ms, self.last_ms))
    }

    /// Adds a sample; how it came, and by how much the memory held grew, bytes.
    fn push(&mut self, time_ms: i64, value: &Value, chunk_samples: usize) -> (Arrival, isize) {
        let first = self.is_empty();
        let arrival = match time_ms.cmp(&self.last_ms) {
            _ if first => Arrival::InOrder,
            Ordering::Greater => Arrival::InOrder,
            Ordering::Equal => Arrival::Repeat,
            Ordering::Less => Arrival::Late,
        };
        let grown = match value {
            Value::Float(float) if first || time_ms > self.last_ms => {
                self.push_in_order(time_ms, *float, chunk_samples)
            }
            Value::Float(_) | Value::Histogram(_) => {
                let before = self.past_bytes();
                let past = self.past.get_or_insert_default();
                past.late.get_or_insert_default().push(time_ms, value);
                self.past_bytes() as isize - before as isize
            }
        };
        self.last_ms = if first {
            time_ms
        } else {
            self.last_ms.max(time_ms)
        };
        self.first_ms = if first {
            time_ms
        } else {
            self.first_ms.min(time_ms)
        };
        (arrival, grown)
    }

    fn push_in_order(&mut self, time_ms: i64, value: f64, chunk_samples: usize) -> isize {
        let before = self.open.heap_bytes();
        self.open.push(time_ms, value);
        let after = self.open.heap_bytes();
        let full = self.open.count() >= chunk_samples || after > OPEN_BYTES_MAX;
        if !full {
            return after as isize - before as isize;
        }
        let past_before = self.past_bytes();
        self.seal();
        self.past_bytes() as isize - (past_before + before) as isize
    }

    fn seal(&mut self) {
        let mut columns = Columns::default();
        let Columns { times, values, .. } = &mut columns;
        self.open.read(times, values, &mut Vec::new());
        let past = self.past.get_or_insert_default();
        past.sealed.push(&columns.times, &columns.values);
        self.open = OpenChunk::default();
    }

    /// Appends the runs that touch `from_ms..=to_ms`, in the order they were written.
    pub(crate) fn runs(
        &self,
        (from_ms, to_ms): (i64, i64),
        room: &mut Room,
        runs: &mut Vec<Columns>,
    ) {
        let touches = |from: i64, to: i64| from <= to_ms && to >= from_ms;
        let (open_from, open_to) = self.open.span_ms();
        let is_open = self.open.count() > 0 && touches(open_from, open_to);
        let mut run = Columns::with_capacity(room.usual);
        if let Some(past) = &self.past {
            past.sealed
                .read((from_ms, to_ms), &mut room.units, &mut run);
        }
        if is_open {
            self.open
                .read(&mut run.times, &mut run.values, &mut room.bits);
        }
        if !run.is_empty() {
            runs.push(run);
        }
        let Some(late) = self.past.as_ref().and_then(|past| past.late.as_ref()) else {
            return;
        };
        for chunk in late.sealed.iter().filter(|c| touches(c.from_ms, c.to_ms)) {
            let mut run = Columns::default();
            read_own(chunk, &mut run);
            runs.push(run);
        }
        runs.push(late.buffer.clone());
    }

    /// Runs of samples that are compressed together.
    fn chunks(&self) -> u64 {
        let past = self.past.as_ref().map_or(0, |past| {
            let late = past.late.as_ref().map_or(0, |late| {
                late.sealed.len() + usize::from(!late.buffer.is_empty())
            });
            past.sealed.runs() + late
        });
        (usize::from(self.open.count() > 0) + past) as u64
    }

    /// The sample in order that is the newest of all, if nothing was written out of order.
    pub(crate) fn newest(&self) -> Option<(i64, f64)> {
        let in_order = self.past.as_ref().is_none_or(|past| past.late.is_none());
        self.open.last().filter(|_| in_order)
    }

    /// Memory held beyond the struct itself, bytes.
    fn heap_bytes(&self) -> usize {
        self.open.heap_bytes() + self.past_bytes()
    }

    fn past_bytes(&self) -> usize {
        let Some(past) = &self.past else { return 0 };
        let late = past.late.as_ref().map_or(0, |late| {
            late.sealed.iter().map(Chunk::heap_bytes).sum::<usize>() + 24 * late.buffer.len()
        });
        size_of::<Past>() + past.sealed.heap_bytes() + late
    }
}

fn read_own(chunk: &Chunk, run: &mut Columns) {
    chunk
        .read(run)
        .expect("a chunk in memory reads back what was compressed");
}

impl Late {
    fn push(&mut self, time_ms: i64, value: &Value) {
        self.buffer.push(time_ms, value);
        if self.buffer.len() >= LATE_MAX {
            let buffer = Columns::merge(vec![std::mem::take(&mut self.buffer)]);
            for piece in pieces(&buffer, LATE_MAX) {
                self.sealed.push(compress(&buffer, piece, Effort::Quick));
            }
        }
    }
}

/// The samples of [`BLOCK_SERIES`] series.
#[derive(Debug, Default)]
struct Block {
    series: Vec<SeriesData>,
    generation: u64,
}

/// All samples in memory that are not being flushed.
#[derive(Debug, Default)]
pub(crate) struct Head {
    blocks: RwLock<Vec<Arc<Mutex<Block>>>>,
    /// Memory held by samples beyond the series' own structs, bytes.
    bytes: AtomicUsize,
}

/// Samples moved out of the head to be flushed; immutable.
#[derive(Debug)]
pub(crate) struct Frozen {
    blocks: Vec<Block>,
    /// Log segments before this one hold nothing that is not in here or in parts.
    pub(crate) wal_floor: u64,
    /// How many samples, duplicates included.
    pub(crate) samples: u64,
}

impl Frozen {
    pub(crate) fn series(&self, id: u32) -> Option<&SeriesData> {
        let block = self.blocks.get((id / BLOCK_SERIES) as usize)?;
        block
            .series
            .get((id % BLOCK_SERIES) as usize)
            .filter(|data| !data.is_empty())
    }

    /// Numbers of series with samples, rising.
    pub(crate) fn ids(&self) -> Vec<u32> {
        let end = self.blocks.len() as u32 * BLOCK_SERIES;
        (0..end).filter(|id| self.series(*id).is_some()).collect()
    }
}

/// What a head says about one series.
pub(crate) struct Reading<T> {
    /// Freezes so far: a reader whose view of the rest is older has to look again.
    pub(crate) generation: u64,
    pub(crate) answer: T,
}

impl Head {
    /// Adds samples; `(series, time, value)` in the order they are to count.
    pub(crate) fn append(
        &self,
        samples: impl Iterator<Item = (u32, i64, Value)>,
        chunk_samples: usize,
        generation: u64,
    ) -> Arrivals {
        let mut arrivals = Arrivals::default();
        let mut samples = samples.peekable();
        let mut grown = 0isize;
        while let Some((first, ..)) = samples.peek() {
            // Neighbours in a batch are mostly neighbours in number: one lock for all of them.
            let index = first / BLOCK_SERIES;
            let block = self.block(index as usize, generation);
            let mut block = lock(&block);
            while let Some((id, time_ms, value)) =
                samples.next_if(|(id, ..)| id / BLOCK_SERIES == index)
            {
                let (arrival, more) = block.data(id).push(time_ms, &value, chunk_samples);
                grown += more;
                match arrival {
                    Arrival::InOrder => {}
                    Arrival::Repeat => arrivals.repeated += 1,
                    Arrival::Late => arrivals.late += 1,
                }
            }
        }
        if grown >= 0 {
            self.bytes.fetch_add(grown.unsigned_abs(), Relaxed);
        } else {
            self.bytes.fetch_sub(grown.unsigned_abs(), Relaxed);
        }
        arrivals
    }

    /// Memory held by samples beyond the series' own structs, bytes; costs nothing.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    fn block(&self, index: usize, generation: u64) -> Arc<Mutex<Block>> {
        if let Some(block) = read(&self.blocks).get(index) {
            return Arc::clone(block);
        }
        let mut blocks = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
        while blocks.len() <= index {
            let block = Block {
                series: Vec::new(),
                generation,
            };
            blocks.push(Arc::new(Mutex::new(block)));
        }
        Arc::clone(&blocks[index])
    }

    /// Asks about one series. A series without samples is `None` to `ask`.
    pub(crate) fn ask<T>(
        &self,
        id: u32,
        ask: impl FnOnce(Option<&SeriesData>) -> T,
    ) -> Option<Reading<T>> {
        let block = read(&self.blocks)
            .get((id / BLOCK_SERIES) as usize)
            .map(Arc::clone)?;
        let block = lock(&block);
        let data = block
            .series
            .get((id % BLOCK_SERIES) as usize)
            .filter(|d| !d.is_empty());
        Some(Reading {
            generation: block.generation,
            answer: ask(data),
        })
    }

    /// Moves all samples out. Appends must be kept out by the caller.
    pub(crate) fn freeze(&self, generation: u64, wal_floor: u64, samples: u64) -> Frozen {
        let blocks = read(&self.blocks);
        self.bytes.store(0, Relaxed);
        let moved = blocks.iter().map(|block| {
            let mut block = lock(block);
            // Room is made again as samples come.
            let series = Vec::new();
            std::mem::replace(&mut *block, Block { series, generation })
        });
        Frozen {
            blocks: moved.collect(),
            wal_floor,
            samples,
        }
    }

    /// Chunks, and the times of the first and the last sample; walks all series.
    pub(crate) fn extent(&self) -> HeadExtent {
        let mut extent = HeadExtent::default();
        for block in read(&self.blocks).iter() {
            for data in &lock(block).series {
                let Some((first, last)) = data.span_ms() else {
                    continue;
                };
                extent.chunks += data.chunks();
                let (from, to) = extent.span_ms.unwrap_or((first, last));
                extent.span_ms = Some((from.min(first), to.max(last)));
            }
        }
        extent
    }

    /// Memory held by samples, bytes; walks all series.
    pub(crate) fn heap_bytes(&self) -> usize {
        let blocks = read(&self.blocks);
        let of_block = |block: &Arc<Mutex<Block>>| {
            let block = lock(block);
            block.series.capacity() * size_of::<SeriesData>()
                + block
                    .series
                    .iter()
                    .map(SeriesData::heap_bytes)
                    .sum::<usize>()
        };
        blocks.iter().map(of_block).sum()
    }
}

impl Block {
    fn data(&mut self, id: u32) -> &mut SeriesData {
        let slot = (id % BLOCK_SERIES) as usize;
        if self.series.len() <= slot {
            let room = slot + 1 - self.series.len();
            if self.series.capacity() <= slot {
                self.series.reserve_exact(room.max(self.series.len() / 2));
            }
            self.series.resize_with(slot + 1, SeriesData::default);
        }
        &mut self.series[slot]
    }
}

fn lock(block: &Mutex<Block>) -> MutexGuard<'_, Block> {
    block.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(samples: &[(i64, f64)]) -> Columns {
        let mut data = SeriesData::default();
        for (time, value) in samples {
            let before = data.heap_bytes() as isize;
            let (_, grown) = data.push(*time, &Value::Float(*value), 4);
            assert_eq!(data.heap_bytes() as isize, before + grown);
        }
        let mut runs = Vec::new();
        data.runs((i64::MIN, i64::MAX), &mut Room::default(), &mut runs);
        Columns::merge(runs)
    }

    #[test]
    fn late_samples_and_second_writes_end_up_in_order() {
        let samples: Vec<(i64, f64)> = (0..900).map(|i| ((i * 7919) % 300, i as f64)).collect();
        let merged = floats(&samples);
        assert_eq!(merged.times, (0..300).collect::<Vec<_>>());
        // Each time was written three times; the third round stays.
        assert!(merged.values.iter().all(|v| *v >= 600.0));
    }
}
