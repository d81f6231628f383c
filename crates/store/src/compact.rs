//! Head -> parts, parts -> part.
//!
//! A flush freezes the head under the lock of the log, so that a log segment ends exactly where
//! frozen memory ends; writes it to a part a day; commits one manifest edit; and only then drops
//! the segments. A merge takes neighbours in rank of one day, small ones first, the whole day at
//! its end, and streams them series by series.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use model::{Labels, Metadata};
use thiserror::Error;

use crate::{
    carry::Carrier,
    chunk::{Effort, Room},
    columns::Columns,
    disk::is_full,
    head::Frozen,
    manifest::{Edit, Manifest},
    part::{
        self, DAY_LEVEL, DAY_MS, Footer,
        index::Index,
        reader::{Part, PartError, SharedTimes},
        writer::PartWriter,
    },
    retain::expired,
    rollup::inherited,
    stats::count,
    store::{Core, View, lock},
    tombstones::Veil,
    wal::{self, Segment},
};

/// Why a flush, a merge or a sync failed. It will be tried again.
#[derive(Debug, Error)]
pub enum MaintainError {
    /// The disk said no.
    #[error("cannot {operation}")]
    Io {
        /// What was tried.
        operation: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Stored bytes do not check; they are left alone.
    #[error("corrupt data in {place}")]
    Corrupt {
        /// File and what is wrong.
        place: String,
    },
    /// The store is closing: the work is left for the next time.
    #[error("the store is closing")]
    Closed,
}

/// Whether a merge keeps to the rate of `Config::merge_bytes_per_s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Limited,
    Full,
}

/// A merge that is ahead of its rate by less goes on: waiting has a price, too.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// What flush and merge change, one at a time.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) manifest: Manifest,
    /// Number of the next part.
    pub(crate) next_part: u64,
    /// When a full disk may be tried again, monotonic.
    pub(crate) next_probe: Option<Duration>,
    /// Since when the retention's horizon is suspiciously far ahead, monotonic.
    pub(crate) leap_since: Option<Duration>,
    /// Since when the time that retention rules go by is suspiciously far ahead, monotonic.
    pub(crate) rules_leap_since: Option<Duration>,
    /// When the archive may be tried again after it failed, monotonic.
    pub(crate) next_archive: Option<Duration>,
    /// Parts with blocks that do not check: never merged, so that nothing is dropped.
    pub(crate) damaged: Vec<u64>,
    /// How many retention rules were looked for in a part, in vain.
    pub(crate) ruled: BTreeMap<u64, usize>,
}

fn cannot(operation: &str) -> impl FnOnce(io::Error) -> MaintainError + '_ {
    move |source| MaintainError::Io {
        operation: operation.into(),
        source,
    }
}

impl Core {
    /// Flushes memory to parts.
    pub(crate) fn flush(&self) -> Result<(), MaintainError> {
        self.flush_and_rotate(false)
    }

    /// The same; `always`: a new segment is begun even if memory holds no samples.
    pub(crate) fn flush_and_rotate(&self, always: bool) -> Result<(), MaintainError> {
        let mut upkeep = lock(&self.upkeep);
        let flushed = self.flush_pending(&mut upkeep).and_then(|()| {
            if !always && lock(&self.writer).head_samples == 0 {
                return Ok(());
            }
            self.sync().map_err(|error| MaintainError::Io {
                operation: "sync the log before a flush".into(),
                source: io::Error::other(error),
            })?;
            self.rotate(&upkeep)
                .map_err(|e| self.note_full("rotate the log", e))?;
            self.flush_pending(&mut upkeep)
        });
        if flushed.is_err() {
            count(&self.counters.maintenance_failed, 1);
        }
        flushed
    }

    pub(crate) fn note_full(&self, operation: &str, error: io::Error) -> MaintainError {
        if is_full(&error) {
            self.stop_for_space();
        }
        cannot(operation)(error)
    }

    /// Ends the log segment and freezes the head at the same place.
    fn rotate(&self, _upkeep: &Upkeep) -> io::Result<()> {
        let segment = self.next_segment()?;
        let mut writer = lock(&self.writer);
        self.check_undoubted(&writer).map_err(io::Error::other)?;
        if let Err(error) = writer.segment.file.sync() {
            writer.in_doubt = true;
            let kind = error.kind();
            // The doubt is noted; the caller gets the reason.
            drop(self.write_failed("sync the log", error));
            return Err(kind.into());
        }
        self.commit.note(writer.written);
        self.freeze(&mut writer, segment);
        Ok(())
    }

    /// Creates the segment after the one being written; it begins with the series that one knows.
    fn next_segment(&self) -> io::Result<Segment> {
        let number = lock(&self.writer).segment.number;
        let carrier = Carrier::new(number, number + 1);
        Segment::create(&*self.disk, number + 1, carrier, || {
            self.registry.read().unwrap_or_else(PoisonError::into_inner)
        })
    }

    /// Starts a fresh segment after the old one failed for want of space, and flushes memory,
    /// since what of the old segment is on the disk is in doubt.
    pub(crate) fn rotate_in_doubt(&self, upkeep: &mut Upkeep) -> io::Result<()> {
        let as_io = |error: MaintainError| match error {
            MaintainError::Io { source, .. } => source,
            MaintainError::Corrupt { place } => io::Error::other(place),
            MaintainError::Closed => io::Error::other("the store is closing"),
        };
        self.flush_pending(upkeep).map_err(as_io)?;
        let segment = self.next_segment()?;
        let mut writer = lock(&self.writer);
        let written = writer.written;
        self.freeze(&mut writer, segment);
        drop(writer);
        self.flush_pending(upkeep).map_err(as_io)?;
        // Only now: a sync of the new segment would vouch for what only the old one had.
        lock(&self.writer).in_doubt = false;
        self.commit.note(written);
        Ok(())
    }

    /// Moves the head's samples into a view of their own. The caller keeps appends out.
    fn freeze(&self, writer: &mut crate::store::Writer, segment: Segment) {
        let floor = segment.number;
        let old = std::mem::replace(&mut writer.segment, segment);
        writer.older_bytes += old.bytes;
        writer.older_carried_bytes += old.carried_bytes;
        writer.generation += 1;
        let samples = std::mem::take(&mut writer.head_samples);
        writer.oldest = None;
        self.carry_exemplars(writer);
        let mut view = lock(&self.view);
        let frozen = Arc::new(self.head.freeze(writer.generation, floor, samples));
        let mut frozen_ones = view.frozen.clone();
        frozen_ones.push(Arc::clone(&frozen));
        *view = Arc::new(View {
            generation: writer.generation,
            frozen: frozen_ones,
            ..View::clone(&view)
        });
        drop(view);
        // After the view: a reader that misses an evicted series sees that its view is old.
        let mut registry = self
            .registry
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if registry.evict(self.config.idle_flushes, &|id| frozen.series(id).is_some()) > 0 {
            registry.recount(&self.config);
        }
    }

    /// Writes frozen memory to parts, oldest first.
    fn flush_pending(&self, upkeep: &mut Upkeep) -> Result<(), MaintainError> {
        loop {
            let view = Arc::clone(&lock(&self.view));
            let Some(frozen) = view.frozen.first() else {
                return Ok(());
            };
            self.flush_frozen(upkeep, frozen)?;
        }
    }

    fn flush_frozen(&self, upkeep: &mut Upkeep, frozen: &Arc<Frozen>) -> Result<(), MaintainError> {
        let first = upkeep.next_part;
        let written = self.write_frozen(first, frozen).and_then(|footers| {
            self.disk.sync_dir()?;
            Ok(footers)
        });
        let footers = written.map_err(|error| {
            self.remove_temporaries();
            self.note_full("write a part", error)
        })?;
        upkeep.next_part += footers.len() as u64;
        let added = self.open_parts(&footers)?;
        let edit = Edit {
            wal_floor: frozen.wal_floor,
            added: footers.iter().map(|f| f.sequence).collect(),
            removed: Vec::new(),
            metadata: self.metadata_not_in(&upkeep.manifest),
        };
        upkeep
            .manifest
            .commit(&*self.disk, edit)
            .map_err(|error| self.note_full("commit a flush", error))?;
        self.install(added, &[], Some(frozen));
        self.drop_segments(frozen.wal_floor);
        count(&self.counters.flushes, 1);
        Ok(())
    }

    fn metadata_not_in(&self, manifest: &Manifest) -> Vec<Metadata> {
        let known = lock(&self.metadata);
        let is_new = |m: &&Metadata| manifest.contents.metadata.get(&m.family) != Some(*m);
        known.values().filter(is_new).cloned().collect()
    }

    fn write_frozen(&self, first: u64, frozen: &Frozen) -> io::Result<Vec<Footer>> {
        let mut writers: BTreeMap<i64, PartWriter> = BTreeMap::new();
        let mut next = first;
        let mut room = Room::default();
        for id in self.sorted(frozen) {
            let labels = self.labels_of(id);
            let mut runs = Vec::new();
            let data = frozen
                .series(id)
                .expect("only series with samples are listed");
            data.runs((i64::MIN, i64::MAX), &mut room, &mut runs);
            let columns = Columns::merge(runs);
            let days = columns.days();
            let whole = days.len() == 1;
            for (day, piece) in days {
                let writer = match writers.entry(day) {
                    Entry::Occupied(open) => open.into_mut(),
                    Entry::Vacant(free) => {
                        let footer = Footer {
                            sequence: next,
                            rank: next,
                            day,
                            wal_floor: frozen.wal_floor,
                            ..Footer::default()
                        };
                        next += 1;
                        free.insert(PartWriter::create(&*self.disk, footer)?)
                    }
                };
                let block = self.config.block_samples;
                if whole {
                    writer.series(&labels, &columns, block, Effort::Quick)?;
                } else {
                    writer.series(&labels, &columns.slice(piece), block, Effort::Quick)?;
                }
            }
        }
        writers
            .into_values()
            .map(|writer| writer.finish(&*self.disk))
            .collect()
    }

    /// Series with samples in frozen memory, by label bytes.
    fn sorted(&self, frozen: &Frozen) -> Vec<u32> {
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        let mut ids = frozen.ids();
        registry.sort_many(&mut ids);
        ids
    }

    /// Labels of a series with samples in frozen memory.
    fn labels_of(&self, id: u32) -> Labels {
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        registry
            .labels(id)
            .expect("a series with samples is not evicted before they are flushed")
    }

    pub(crate) fn open_parts(&self, footers: &[Footer]) -> Result<Vec<Arc<Part>>, MaintainError> {
        let open = |footer: &Footer| match Part::open(&*self.disk, footer.sequence) {
            Ok(part) => Ok(Arc::new(part)),
            Err(error) => Err(self.part_failed(&part::name(footer.sequence), error)),
        };
        footers.iter().map(open).collect()
    }

    pub(crate) fn part_failed(&self, name: &str, error: PartError) -> MaintainError {
        match error {
            PartError::Io(error) => cannot(&format!("read {name}"))(error),
            PartError::Corrupt(place) => {
                count(&self.counters.blocks_corrupt, 1);
                tracing::error!(place, "stored bytes do not check");
                MaintainError::Corrupt { place }
            }
        }
    }

    /// Replaces the view: parts in, parts out, frozen memory out.
    pub(crate) fn install(
        &self,
        added: Vec<Arc<Part>>,
        removed: &[u64],
        flushed: Option<&Arc<Frozen>>,
    ) {
        let mut view = lock(&self.view);
        let known = view.parts.iter().chain(&view.rollups);
        let replaced = known.filter(|p| removed.contains(&p.footer.sequence));
        // What is flushed was seen in memory; what is replaced may have lost samples.
        let touched = replaced.chain(added.iter().filter(|_| flushed.is_none()));
        let touched_ms = touched.map(|p| p.footer.from_ms).min();
        let mut parts: Vec<Arc<Part>> = view
            .parts
            .iter()
            .chain(&view.rollups)
            .filter(|p| !removed.contains(&p.footer.sequence))
            .cloned()
            .chain(added)
            .collect();
        parts.sort_by_key(|p| p.footer.rank);
        let (rollups, parts) = parts.into_iter().partition(|p| p.footer.is_rollup());
        let frozen = view
            .frozen
            .iter()
            .filter(|f| !flushed.is_some_and(|flushed| Arc::ptr_eq(f, flushed)))
            .cloned()
            .collect();
        *view = Arc::new(View {
            frozen,
            parts,
            rollups,
            ..View::clone(&view)
        });
        drop(view);
        if let Some(from_ms) = touched_ms {
            lock(&self.changes).note(from_ms);
        }
    }

    fn drop_segments(&self, floor: u64) {
        let Ok(files) = self.disk.list() else { return };
        for (name, _) in files
            .iter()
            .filter(|(n, _)| wal::number(n).is_some_and(|s| s < floor))
        {
            if let Err(error) = self.disk.remove(name) {
                tracing::warn!(file = name, %error, "an old log segment could not be removed");
            }
        }
        let mut writer = lock(&self.writer);
        (writer.older_bytes, writer.older_carried_bytes) = (0, 0);
    }

    /// Removes what a failed flush left. No merge is disturbed: its file would fail to be renamed
    /// and the merge be tried again.
    fn remove_temporaries(&self) {
        let Ok(files) = self.disk.list() else { return };
        for (name, _) in files.iter().filter(|(n, _)| n.ends_with(part::TEMPORARY)) {
            drop(self.disk.remove(name));
        }
    }

    /// Removes what a failed merge left.
    pub(crate) fn remove_temporary(&self, sequence: u64) {
        // Failing that, the next opening removes it.
        drop(self.disk.remove(&part::temporary(sequence)));
    }

    /// Rolls a day up or merges once, if anything is worth it; whether it did. Flushes go on
    /// meanwhile.
    pub(crate) fn merge_once(&self, pace: Pace) -> Result<bool, MaintainError> {
        let _one_at_a_time = lock(&self.merging);
        let rolled = self.roll_up_once();
        if rolled.is_err() && !self.closed.load(Relaxed) {
            count(&self.counters.maintenance_failed, 1);
        }
        if rolled? {
            return Ok(true);
        }
        // A sample from the future must not end today.
        let newest = self.latest_ms();
        let chosen = {
            let upkeep = lock(&self.upkeep);
            let view = Arc::clone(&lock(&self.view));
            choose(
                &view.parts,
                &upkeep.damaged,
                self.config.merge_width,
                newest,
            )
        };
        let Some((inputs, level)) = chosen else {
            return self.expire_once();
        };
        let merged = self.merge(&inputs, level, pace);
        if merged.is_err() && !self.closed.load(Relaxed) {
            count(&self.counters.maintenance_failed, 1);
        }
        merged.map(|()| true)
    }

    pub(crate) fn merge(
        &self,
        inputs: &[Arc<Part>],
        level: u8,
        pace: Pace,
    ) -> Result<(), MaintainError> {
        let newest = inputs.last().expect("a merge has inputs");
        let replaces: Vec<u64> = inputs.iter().map(|p| p.footer.sequence).collect();
        let sequence = {
            let mut upkeep = lock(&self.upkeep);
            upkeep.next_part += 1;
            upkeep.next_part - 1
        };
        let footer = Footer {
            sequence,
            rank: newest.footer.rank,
            level,
            day: newest.footer.day,
            wal_floor: inputs.iter().map(|p| p.footer.wal_floor).max().unwrap_or(0),
            replaces: replaces.clone(),
            origin: inherited(inputs),
            ..Footer::default()
        };
        let merged = PartWriter::create(&*self.disk, footer)
            .map_err(|error| self.note_full("create a part", error))
            .and_then(|writer| self.merge_into(writer, inputs, pace));
        if !matches!(merged, Ok(Some(_))) {
            self.remove_temporary(sequence);
        }
        let footer = merged?;
        self.disk
            .sync_dir()
            .map_err(|error| self.note_full("sync the directory", error))?;
        self.replace_parts(&replaces, footer.as_ref())
    }

    /// Puts a merged part in the place of its inputs, unless the retention was faster; `None` if
    /// all they had is deleted.
    pub(crate) fn replace_parts(
        &self,
        replaces: &[u64],
        footer: Option<&Footer>,
    ) -> Result<(), MaintainError> {
        let merged: Vec<u64> = footer.iter().map(|f| f.sequence).collect();
        let mut upkeep = lock(&self.upkeep);
        if !replaces
            .iter()
            .all(|input| upkeep.manifest.contents.parts.contains(input))
        {
            self.remove_parts(&merged);
            return Ok(());
        }
        let added = self.open_parts(footer.map(std::slice::from_ref).unwrap_or_default())?;
        let edit = Edit {
            wal_floor: 0,
            added: merged,
            removed: replaces.to_vec(),
            metadata: Vec::new(),
        };
        upkeep
            .manifest
            .commit(&*self.disk, edit)
            .map_err(|error| self.note_full("commit a merge", error))?;
        self.install(added, replaces, None);
        self.remove_parts(replaces);
        count(&self.counters.merges, 1);
        Ok(())
    }

    /// The part of the inputs' samples, without those deleted; `None` if none are left.
    fn merge_into(
        &self,
        mut writer: PartWriter,
        inputs: &[Arc<Part>],
        pace: Pace,
    ) -> Result<Option<Footer>, MaintainError> {
        let begun = self.clock.monotonic();
        let tombstones = Arc::clone(&lock(&self.view).tombstones);
        let mut cursors = Vec::new();
        for part in inputs {
            let veil = tombstones.over(&part.footer);
            let cursor = Cursor::new(part, veil);
            cursors.push(cursor.map_err(|e| self.part_failed("an index to merge", e))?);
        }
        let day = inputs.first().map_or(0, |part| part.footer.day);
        let due = self.rules_due(day);
        let mut shared = SharedTimes::default();
        while let Some(key) = cursors
            .iter()
            .filter_map(Cursor::key)
            .min()
            .map(<[u8]>::to_vec)
        {
            let labels = Labels::from_bytes(&key).ok_or_else(|| MaintainError::Corrupt {
                place: "the labels of a series to merge".into(),
            })?;
            if self.closed.load(Relaxed) {
                return Err(MaintainError::Closed);
            }
            let mut runs = Vec::new();
            for cursor in cursors.iter_mut().filter(|c| c.key() == Some(&key)) {
                let run = cursor.take(&mut shared).map_err(|error| {
                    lock(&self.upkeep).damaged.push(cursor.part.footer.sequence);
                    self.part_failed("a block to merge", error)
                })?;
                runs.push(run);
            }
            let merged = Columns::merge(runs);
            if merged.is_empty() || expired(&due, &labels) {
                continue;
            }
            writer
                .series(&labels, &merged, self.config.block_samples, Effort::Best)
                .map_err(|error| self.note_full("write a part", error))?;
            if pace == Pace::Limited {
                self.hold_back(begun, writer.bytes());
            }
        }
        if writer.is_empty() {
            return Ok(None);
        }
        writer
            .finish(&*self.disk)
            .map(Some)
            .map_err(|error| self.note_full("finish a part", error))
    }

    /// Waits until so many bytes since `begun` are within the rate of merging, or the store is
    /// closed. Ingest and queries have the disk and the processor meanwhile.
    pub(crate) fn hold_back(&self, begun: Duration, bytes: u64) {
        if self.config.merge_bytes_per_s == 0 {
            return;
        }
        let due = Duration::from_secs_f64(bytes as f64 / self.config.merge_bytes_per_s as f64);
        let ahead = due.saturating_sub(self.clock.monotonic().saturating_sub(begun));
        if ahead >= PAUSE_MIN {
            self.merge_wake.pause(&self.closed, ahead);
        }
    }

    /// Removes the files of parts that are no longer live; what stays is removed at opening.
    pub(crate) fn remove_parts(&self, sequences: &[u64]) {
        for sequence in sequences {
            let name = part::name(*sequence);
            if let Err(error) = self.disk.remove(&name) {
                tracing::warn!(file = name, %error, "an old part could not be removed");
            }
        }
    }
}

/// Walks over the series of a part.
pub(crate) struct Cursor<'a> {
    part: &'a Part,
    index: Arc<Index>,
    series: u32,
    key: Vec<u8>,
    veil: Veil,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(part: &'a Part, veil: Veil) -> Result<Self, PartError> {
        let mut cursor = Self {
            part,
            veil,
            index: part.index()?,
            series: 0,
            key: Vec::new(),
        };
        cursor.load_key()?;
        Ok(cursor)
    }

    fn load_key(&mut self) -> Result<(), PartError> {
        if self.series < self.index.series_count() {
            self.index
                .key(self.series, &mut self.key)
                .ok_or_else(|| self.corrupt())?;
        }
        Ok(())
    }

    fn corrupt(&self) -> PartError {
        PartError::Corrupt(format!(
            "series {} of {}",
            self.series,
            part::name(self.part.footer.sequence)
        ))
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        (self.series < self.index.series_count()).then_some(&self.key)
    }

    /// The samples of this series that are not deleted; goes on to the next.
    pub(crate) fn take(&mut self, shared: &mut SharedTimes) -> Result<Columns, PartError> {
        let mut columns = Columns::default();
        for block in self
            .index
            .blocks(self.series)
            .ok_or_else(|| self.corrupt())?
        {
            self.part.read_block(&block, shared, &mut columns)?;
        }
        self.veil.cut(&self.key, &mut columns);
        self.series += 1;
        self.load_key()?;
        Ok(columns)
    }
}

/// Neighbours in rank of one day to merge, and the level they become.
fn choose(
    parts: &[Arc<Part>],
    damaged: &[u64],
    width: usize,
    newest_ms: i64,
) -> Option<(Vec<Arc<Part>>, u8)> {
    let mut days: BTreeMap<i64, Vec<&Arc<Part>>> = BTreeMap::new();
    for part in parts {
        days.entry(part.footer.day).or_default().push(part);
    }
    for (day, of_day) in days {
        if of_day.iter().any(|p| damaged.contains(&p.footer.sequence)) {
            continue;
        }
        let over = newest_ms >= (day + 1).saturating_mul(DAY_MS).saturating_add(HOUR_MS);
        let whole = of_day.len() == 1 && of_day[0].footer.level == DAY_LEVEL;
        if over && !whole {
            return Some((of_day.into_iter().cloned().collect(), DAY_LEVEL));
        }
        for run in of_day.chunk_by(|a, b| a.footer.level == b.footer.level) {
            let level = run[0].footer.level;
            if run.len() >= width.max(2) && level < DAY_LEVEL {
                return Some((run.iter().map(|p| Arc::clone(p)).collect(), level + 1));
            }
        }
    }
    None
}

/// Time after its end in which a day's late samples are waited for.
const HOUR_MS: i64 = 3_600_000;
