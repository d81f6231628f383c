//! A batch's way in: find each sample's series, write the log, add to memory.

use std::{
    io,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
};

use model::{
    AppendError, Appended, Batch, Durability, Labels, Metadata, Point, RejectReason, SeriesTable,
    Value, ports::REFUSED_MAX,
};

use crate::{
    disk::is_full,
    feed::{Points, Shown},
    head::Arrivals,
    log::{PAYLOAD_MAX, put_frame},
    record::Outgoing,
    registry::{NONE, Registry},
    stats::{State, count},
    store::{Core, Writer, lock},
};

/// Series numbers of a batch's samples; [`NONE`] for those refused.
#[derive(Debug, Default)]
struct Resolved {
    ids: Vec<u32>,
    rejected: Vec<(RejectReason, u64, Labels)>,
    /// The first of them by place.
    refused: Vec<(usize, RejectReason)>,
    /// The registry's evictions when the numbers were found.
    evictions: u64,
}

impl Resolved {
    fn reject(&mut self, reason: RejectReason, labels: &Labels) {
        if self.refused.len() < REFUSED_MAX {
            self.refused.push((self.ids.len(), reason));
        }
        self.ids.push(NONE);
        match self.rejected.iter_mut().find(|(r, ..)| *r == reason) {
            Some((_, n, _)) => *n += 1,
            None => self.rejected.push((reason, 1, labels.clone())),
        }
    }
}

impl Core {
    pub(crate) fn append(
        &self,
        batch: &Batch,
        durability: Durability,
    ) -> Result<Appended, AppendError> {
        self.check_ready()?;
        let (resolved, ticket, arrivals) = loop {
            let resolved = self.resolve(batch);
            if let Some((ticket, arrivals)) = self.write(batch, &resolved)? {
                break (resolved, ticket, arrivals);
            }
        };
        let (exemplars, with_exemplars) = self.append_exemplars(batch)?;
        let ticket = ticket.max(with_exemplars);
        self.publish(batch, &resolved);
        self.finish(resolved, ticket, (arrivals, exemplars), durability)
    }

    /// The same for points of a table: known series cost one look at the table.
    pub(crate) fn append_points(
        &self,
        table: &mut SeriesTable,
        points: &[Point],
        door: &'static str,
        durability: Durability,
    ) -> Result<Appended, AppendError> {
        self.check_ready()?;
        let (resolved, ticket, arrivals) = loop {
            let resolved = self.resolve_points(table, points);
            if let Some((ticket, arrivals)) = self.write_points(points, &resolved)? {
                break (resolved, ticket, arrivals);
            }
        };
        self.publish_points(table, points, door, &resolved);
        self.finish(resolved, ticket, (arrivals, 0), durability)
    }

    /// Shows the points that were stored to whoever subscribes.
    fn publish_points(
        &self,
        table: &SeriesTable,
        points: &[Point],
        door: &'static str,
        resolved: &Resolved,
    ) {
        let refused = resolved.ids.iter().filter(|id| **id == NONE).count();
        if refused == points.len() {
            return;
        }
        let stored = points.len() - refused;
        self.feed.publish(stored, self.clock.wall_ms(), || {
            let kept = points.iter().zip(&resolved.ids);
            let kept = kept.filter(|(_, id)| **id != NONE).map(|(point, _)| *point);
            let points = match refused {
                0 => points.to_vec(),
                _ => kept.collect(),
            };
            let labels = table.shared().clone();
            Shown::from(Points {
                labels,
                points,
                door,
            })
        });
    }

    /// What follows every append: the sync if asked for, relief of a long log, the counts.
    fn finish(
        &self,
        resolved: Resolved,
        ticket: u64,
        (arrivals, exemplars): (Arrivals, u64),
        durability: Durability,
    ) -> Result<Appended, AppendError> {
        if durability == Durability::Sync {
            self.sync_to(ticket)?;
        }
        self.relieve();
        let refused = resolved.rejected.iter().map(|(_, n, _)| n).sum::<u64>();
        let stored = resolved.ids.len() as u64 - refused;
        count(&self.counters.appended, stored);
        count(&self.counters.rejected, refused);
        Ok(Appended {
            stored,
            rejected: resolved.rejected,
            refused: resolved.refused,
            out_of_order: arrivals.late,
            repeated: arrivals.repeated,
            exemplars,
        })
    }

    /// Shows what was stored to whoever subscribes.
    fn publish(&self, batch: &Batch, resolved: &Resolved) {
        let kept = || batch.samples.iter().zip(&resolved.ids);
        let kept = || kept().filter(|(_, id)| **id != NONE);
        let points = kept().count();
        if points == 0 && batch.metadata.is_empty() {
            return;
        }
        self.feed.publish(points, self.clock.wall_ms(), || {
            Shown::from(Batch {
                samples: kept().map(|(sample, _)| sample.clone()).collect(),
                metadata: batch.metadata.clone(),
                door: batch.door,
                ..Batch::default()
            })
        });
    }

    fn check_ready(&self) -> Result<(), AppendError> {
        if self.closed.load(Relaxed) {
            return Err(AppendError::Closed);
        }
        match self.state() {
            State::Healthy => Ok(()),
            State::DiskFull if self.try_resume() => Ok(()),
            State::DiskFull => Err(AppendError::DiskFull),
            State::Failed => Err(failed("append: an earlier write or sync failed")),
        }
    }

    /// Finds or makes the series of each sample. New ones are made under a second, exclusive
    /// lock, so that the usual batch takes only the shared one.
    fn resolve(&self, batch: &Batch) -> Resolved {
        let bounds = self.time_bounds();
        let mut resolved = Resolved {
            ids: Vec::with_capacity(batch.samples.len()),
            ..<_>::default()
        };
        {
            let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
            resolved.evictions = registry.evictions;
            let mut previous = NONE;
            for sample in &batch.samples {
                let id = registry.find(&sample.labels, previous);
                if id == NONE {
                    break;
                }
                if bounds.contains(&sample.time_ms) {
                    resolved.ids.push(id);
                } else {
                    resolved.reject(RejectReason::OutOfBounds, &sample.labels);
                }
                previous = id;
            }
        }
        if resolved.ids.len() < batch.samples.len() {
            let mut registry = self
                .registry
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            if registry.evictions == resolved.evictions {
                self.resolve_rest(batch, &mut registry, &mut resolved);
            }
        }
        resolved
    }

    fn resolve_rest(&self, batch: &Batch, registry: &mut Registry, resolved: &mut Resolved) {
        let bounds = self.time_bounds();
        for sample in &batch.samples[resolved.ids.len()..] {
            if !bounds.contains(&sample.time_ms) {
                resolved.reject(RejectReason::OutOfBounds, &sample.labels);
                continue;
            }
            match registry.find_or_add(&sample.labels, &self.config) {
                Ok(id) => resolved.ids.push(id),
                Err(reason) => resolved.reject(reason, &sample.labels),
            }
        }
    }

    /// The series of each point: from the table, and for those it does not know from the
    /// registry.
    fn resolve_points(&self, table: &mut SeriesTable, points: &[Point]) -> Resolved {
        let bounds = self.time_bounds();
        let mut resolved = Resolved {
            ids: Vec::with_capacity(points.len()),
            ..<_>::default()
        };
        {
            let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
            resolved.evictions = registry.evictions;
            let numbers = table.numbers(registry.epoch());
            let known = |point: &Point| match numbers[point.series as usize] {
                NONE => None,
                id if bounds.contains(&point.time_ms) => Some(id),
                _ => None,
            };
            resolved.ids.extend(points.iter().map_while(known));
        }
        if resolved.ids.len() < points.len() {
            let mut registry = self
                .registry
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            if registry.evictions == resolved.evictions {
                self.resolve_rest_of_points(table, points, &mut registry, &mut resolved);
            }
        }
        resolved
    }

    fn resolve_rest_of_points(
        &self,
        table: &mut SeriesTable,
        points: &[Point],
        registry: &mut Registry,
        resolved: &mut Resolved,
    ) {
        let bounds = self.time_bounds();
        for point in &points[resolved.ids.len()..] {
            let known = table.numbers(registry.epoch())[point.series as usize];
            let labels = table
                .labels(point.series)
                .expect("a point's slot is of its table");
            if !bounds.contains(&point.time_ms) {
                resolved.reject(RejectReason::OutOfBounds, labels);
                continue;
            }
            if known != NONE {
                resolved.ids.push(known);
                continue;
            }
            match registry.find_or_add(labels, &self.config) {
                Ok(id) => {
                    table.number(point.series, id);
                    resolved.ids.push(id);
                }
                Err(reason) => resolved.reject(reason, labels),
            }
        }
    }

    fn write_points(
        &self,
        points: &[Point],
        resolved: &Resolved,
    ) -> Result<Option<(u64, Arrivals)>, AppendError> {
        let mut writer = lock(&self.writer);
        // Closing and failing happen under this lock: look again.
        self.check_writable()?;
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        if registry.evictions != resolved.evictions || resolved.ids.len() < points.len() {
            return Ok(None);
        }
        let (record, fresh) = outgoing_points(points, resolved, &registry, writer.segment.number);
        if record.floats.is_empty() {
            return Ok(Some((writer.written, Arrivals::default())));
        }
        self.log(&mut writer, &record, &registry, &fresh)?;
        let arrivals = self.add_to_head(&mut writer, record);
        Ok(Some((writer.written, arrivals)))
    }

    /// Writes the log and memory; the ticket of the record and what was not in order, or `None` if
    /// the numbers are stale.
    fn write(
        &self,
        batch: &Batch,
        resolved: &Resolved,
    ) -> Result<Option<(u64, Arrivals)>, AppendError> {
        let mut writer = lock(&self.writer);
        // Closing and failing happen under this lock: look again.
        self.check_writable()?;
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        if registry.evictions != resolved.evictions || resolved.ids.len() < batch.samples.len() {
            return Ok(None);
        }
        let metadata = self.fresh_metadata(batch);
        let number = writer.segment.number;
        let (record, fresh) = outgoing(batch, resolved, &registry, &metadata, number);
        if record.floats.is_empty() && record.histograms.is_empty() && metadata.is_empty() {
            return Ok(Some((writer.written, Arrivals::default())));
        }
        self.log(&mut writer, &record, &registry, &fresh)?;
        self.remember_metadata(metadata);
        let arrivals = self.add_to_head(&mut writer, record);
        Ok(Some((writer.written, arrivals)))
    }

    pub(crate) fn check_writable(&self) -> Result<(), AppendError> {
        if self.closed.load(Relaxed) {
            return Err(AppendError::Closed);
        }
        match self.state() {
            State::Healthy => Ok(()),
            State::DiskFull => Err(AppendError::DiskFull),
            State::Failed => Err(failed("append: an earlier write or sync failed")),
        }
    }

    /// Writes the record, and before it the `fresh` series that the segment does not know.
    fn log(
        &self,
        writer: &mut Writer,
        record: &Outgoing<'_>,
        registry: &Registry,
        fresh: &[u32],
    ) -> Result<(), AppendError> {
        let mut dictionary = std::mem::take(&mut writer.segment.dictionary);
        let mut told = Vec::new();
        if !fresh.is_empty() {
            put_frame(&mut told, |out| dictionary.put(registry, fresh, out));
        }
        let written = self.log_frames(writer, told, |out| record.encode(out));
        if written.is_ok() {
            writer.segment.dictionary = dictionary;
        } else {
            // The segment was perhaps not told: it is told again, should it be written again.
            fresh.iter().for_each(|id| registry.unknown(*id));
        }
        written
    }

    /// Writes one record.
    pub(crate) fn log_payload(
        &self,
        writer: &mut Writer,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), AppendError> {
        self.log_frames(writer, Vec::new(), encode)
    }

    /// Writes frames and one more record, together.
    fn log_frames(
        &self,
        writer: &mut Writer,
        frames: Vec<u8>,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), AppendError> {
        let mut buffer = std::mem::take(&mut writer.buffer);
        buffer.clear();
        buffer.extend_from_slice(&frames);
        put_frame(&mut buffer, encode);
        // Both together, so each of them.
        if buffer.len() > PAYLOAD_MAX {
            return Err(AppendError::Io {
                operation: "append a batch of more than 256 MiB".into(),
                source: io::ErrorKind::InvalidInput.into(),
            });
        }
        let written = writer.segment.append(&buffer);
        writer.buffer = buffer;
        written.map_err(|error| self.write_failed("write the log", error))?;
        writer.written += 1;
        Ok(())
    }

    /// What a failed write or sync of the log means: a full disk is waited out, anything else
    /// stops ingest for good, because the state of the file is no longer known.
    pub(crate) fn write_failed(&self, operation: &str, error: io::Error) -> AppendError {
        if is_full(&error) {
            self.stop_for_space();
            return AppendError::DiskFull;
        }
        tracing::error!(operation, %error, "ingest is stopped: the log cannot be written");
        self.set_state(State::Failed);
        AppendError::Io {
            operation: operation.into(),
            source: error,
        }
    }

    fn add_to_head(&self, writer: &mut Writer, record: Outgoing<'_>) -> Arrivals {
        writer.head_samples += (record.floats.len() + record.histograms.len()) as u64;
        let times = record.floats.iter().map(|(_, t, _)| *t);
        let times = times.chain(record.histograms.iter().map(|(_, t, _)| *t));
        let (oldest, newest) = times.fold((i64::MAX, i64::MIN), |(oldest, newest), t| {
            (oldest.min(t), newest.max(t))
        });
        self.newest_ms.fetch_max(newest, Relaxed);
        writer.oldest.get_or_insert_with(|| self.clock.monotonic());
        let floats = record
            .floats
            .into_iter()
            .map(|(id, t, v)| (id, t, Value::Float(v)));
        let histograms = record
            .histograms
            .into_iter()
            .map(|(id, t, h)| (id, t, Value::Histogram(h)));
        let samples = floats.chain(histograms);
        let arrivals = self
            .head
            .append(samples, self.config.chunk_samples, writer.generation);
        lock(&self.changes).note(oldest);
        arrivals
    }

    /// Metadata that says something new.
    fn fresh_metadata<'a>(&self, batch: &'a Batch) -> Vec<&'a Metadata> {
        if batch.metadata.is_empty() {
            return Vec::new();
        }
        let known = lock(&self.metadata);
        let mut room = self.config.metadata_max.saturating_sub(known.len());
        let mut fresh = Vec::new();
        for metadata in &batch.metadata {
            match known.get(&metadata.family) {
                Some(old) if old == metadata => continue,
                Some(_) => {}
                None if room == 0 => continue,
                None => room -= 1,
            }
            fresh.push(metadata);
        }
        fresh
    }

    fn remember_metadata(&self, fresh: Vec<&Metadata>) {
        if fresh.is_empty() {
            return;
        }
        let mut known = lock(&self.metadata);
        for metadata in fresh {
            known.insert(metadata.family.clone(), metadata.clone());
        }
    }
}

fn failed(operation: &str) -> AppendError {
    AppendError::Io {
        operation: operation.into(),
        source: io::ErrorKind::Other.into(),
    }
}

/// The batch as a record, floats and histograms apart; and the series the segment does not know,
/// rising.
fn outgoing<'a>(
    batch: &Batch,
    resolved: &Resolved,
    registry: &Registry,
    metadata: &[&'a Metadata],
    segment: u64,
) -> (Outgoing<'a>, Vec<u32>) {
    let mut record = Outgoing {
        metadata: metadata.to_vec(),
        ..Outgoing::default()
    };
    let mut fresh = Vec::new();
    record.floats.reserve(batch.samples.len());
    for (sample, id) in batch.samples.iter().zip(&resolved.ids) {
        if *id == NONE {
            continue;
        }
        if !registry.known_in(*id, segment) {
            fresh.push(*id);
        }
        match &sample.value {
            Value::Float(value) => record.floats.push((*id, sample.time_ms, *value)),
            Value::Histogram(h) => record.histograms.push((*id, sample.time_ms, Arc::clone(h))),
        }
    }
    fresh.sort_unstable();
    (record, fresh)
}

/// Points as a record, and the series the segment does not know, rising.
fn outgoing_points(
    points: &[Point],
    resolved: &Resolved,
    registry: &Registry,
    segment: u64,
) -> (Outgoing<'static>, Vec<u32>) {
    let mut record = Outgoing::default();
    let mut fresh = Vec::new();
    record.floats.reserve(points.len());
    for (point, id) in points.iter().zip(&resolved.ids) {
        if *id == NONE {
            continue;
        }
        if !registry.known_in(*id, segment) {
            fresh.push(*id);
        }
        record.floats.push((*id, point.time_ms, point.value));
    }
    fresh.sort_unstable();
    (record, fresh)
}
