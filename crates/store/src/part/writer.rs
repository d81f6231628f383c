//! Writes a part from front to back, series by series.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::Arc,
};

use model::Labels;
use rustc_hash::FxBuildHasher;

use super::{
    END, Footer, MAGIC,
    index::{BlockEntry, EntryState, INLINE_MAX, IndexBuilder, Place},
    name, temporary,
};
use crate::{
    chunk::{Chunk, Effort, compress, pieces},
    columns::Columns,
    disk::{Disk, WriteFile},
    summary::Summary,
};

/// Bytes gathered before they go to the file.
const BUFFER_BYTES: usize = 1 << 18;
/// Columns of times remembered, so that a series with the same times can share one.
const SHARED_TIMES_MAX: usize = 1024;

/// A part being written, under a temporary name.
#[derive(Debug)]
pub(crate) struct PartWriter {
    file: Arc<dyn WriteFile>,
    footer: Footer,
    buffer: Vec<u8>,
    at: u64,
    index: IndexBuilder,
    shared: HashMap<Vec<u8>, u64, FxBuildHasher>,
    shared_order: VecDeque<Vec<u8>>,
    /// The first block's time starts the coding of every series' first block.
    base_ms: i64,
}

impl PartWriter {
    /// Starts a part; `footer` says its sequence, rank, level, day, floor and inputs.
    pub(crate) fn create(disk: &dyn Disk, footer: Footer) -> io::Result<Self> {
        let file = disk.create(&temporary(footer.sequence))?;
        let base_ms = footer.day.saturating_mul(super::DAY_MS);
        Ok(Self {
            file,
            footer: Footer {
                from_ms: i64::MAX,
                to_ms: i64::MIN,
                ..footer
            },
            buffer: MAGIC.to_vec(),
            at: MAGIC.len() as u64,
            index: IndexBuilder::default(),
            shared: HashMap::default(),
            shared_order: VecDeque::new(),
            base_ms,
        })
    }

    /// Adds a series' samples of the day; series come in the order of their label bytes.
    pub(crate) fn series(
        &mut self,
        labels: &Labels,
        columns: &Columns,
        block_samples: usize,
        effort: Effort,
    ) -> io::Result<()> {
        let coded = pieces(columns, block_samples).into_iter().map(|piece| {
            let chunk = compress(columns, piece.clone(), effort);
            (chunk, Summary::of(&columns.values[piece]))
        });
        self.chunks(labels, coded)
    }

    /// Adds a series' coded blocks, in order of time.
    pub(crate) fn chunks(
        &mut self,
        labels: &Labels,
        chunks: impl IntoIterator<Item = (Chunk, Summary)>,
    ) -> io::Result<()> {
        let mut entries = Vec::new();
        let mut state = EntryState::starting(self.base_ms);
        for (chunk, summary) in chunks {
            let entry = BlockEntry {
                kind: chunk.kind,
                count: chunk.count,
                from_ms: chunk.from_ms,
                to_ms: chunk.to_ms,
                times: self.times(&chunk.times)?,
                values: self.column(&chunk.values)?,
                summary,
            };
            entry.encode(&mut entries, &mut state);
            self.footer.from_ms = self.footer.from_ms.min(chunk.from_ms);
            self.footer.to_ms = self.footer.to_ms.max(chunk.to_ms);
            self.footer.samples += chunk.count as u64;
        }
        self.index.series(labels, &entries);
        Ok(())
    }

    /// Whether it has no series yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.index.series_count() == 0
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.at
    }

    fn times(&mut self, bytes: &[u8]) -> io::Result<Place> {
        if bytes.len() <= INLINE_MAX {
            return Ok(Place::Inline(bytes.to_vec()));
        }
        if let Some(at) = self.shared.get(bytes) {
            return Ok(Place::Stored {
                at: *at,
                bytes: bytes.len(),
            });
        }
        let place = self.store(bytes)?;
        if let Place::Stored { at, .. } = &place {
            self.shared.insert(bytes.to_vec(), *at);
            self.shared_order.push_back(bytes.to_vec());
        }
        if self.shared_order.len() > SHARED_TIMES_MAX
            && let Some(oldest) = self.shared_order.pop_front()
        {
            self.shared.remove(&oldest);
        }
        Ok(place)
    }

    fn column(&mut self, bytes: &[u8]) -> io::Result<Place> {
        if bytes.len() <= INLINE_MAX {
            return Ok(Place::Inline(bytes.to_vec()));
        }
        self.store(bytes)
    }

    fn store(&mut self, bytes: &[u8]) -> io::Result<Place> {
        let at = self.at;
        self.put(&crc32c::crc32c(bytes).to_le_bytes())?;
        self.put(bytes)?;
        Ok(Place::Stored {
            at,
            bytes: bytes.len(),
        })
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.at += bytes.len() as u64;
        if self.buffer.len() >= BUFFER_BYTES {
            self.file.append(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Writes index and footer, syncs, and gives the file its name. The directory is left for
    /// the caller to sync.
    pub(crate) fn finish(mut self, disk: &dyn Disk) -> io::Result<Footer> {
        self.footer.series = self.index.series_count() as u64;
        let index = std::mem::take(&mut self.index).encode();
        self.footer.index_at = self.at;
        self.footer.index_bytes = index.len() as u64;
        self.footer.index_crc = crc32c::crc32c(&index);
        let mut footer = Vec::new();
        self.footer.encode(&mut footer);
        self.put(&index)?;
        self.put(&footer)?;
        self.put(&(footer.len() as u32).to_le_bytes())?;
        self.put(&crc32c::crc32c(&footer).to_le_bytes())?;
        self.put(END)?;
        self.file.append(&self.buffer)?;
        self.file.sync()?;
        disk.rename(
            &temporary(self.footer.sequence),
            &name(self.footer.sequence),
        )?;
        Ok(self.footer)
    }
}
