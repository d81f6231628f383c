//! A batch being filled: what each piece costs is charged before it is kept.

use std::{collections::HashMap, sync::Arc};

use model::{Exemplar, Histogram, Labels, Metadata, Point, Sample, Value};

use super::{
    Fault, Limits, Received, Refusal,
    interner::{Interner, Order, Scratch},
    protobuf::Malformed,
};

/// Why decoding stopped: the whole body is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes are not what they should be.
    Bad(String),
    /// The batch would grow over its limit.
    TooLarge(usize),
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Self {
        Self::Bad(malformed.to_string())
    }
}

impl From<Stop> for Refusal {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Bad(message) => Self::bad(message),
            Stop::TooLarge(limit) => Self::too_large(format!(
                "the request's samples take more than {limit} bytes"
            )),
        }
    }
}

/// Metric families whose metadata is remembered; more, and all are told anew.
const FAMILIES_MAX: usize = 50_000;

/// What a lane remembers between requests.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) interner: Interner,
    pub(super) scratch: Scratch,
    families: HashMap<String, Metadata>,
    /// See [`super::Receiver::forget_metadata`].
    epoch: u64,
}

impl Memory {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            interner: Interner::new(limits.remembered_series),
            scratch: Scratch::default(),
            families: HashMap::new(),
            epoch: 0,
        }
    }

    /// Forgets the metadata if a batch was lost since.
    pub(super) fn catch_up(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.families.clear();
            self.epoch = epoch;
        }
    }
}

/// One request on its way into a [`Received`].
#[derive(Debug)]
pub(super) struct Intake<'m> {
    pub(super) memory: &'m mut Memory,
    pub(super) limits: &'m Limits,
    pub(super) received: Received,
    /// Floats by slot of the memory's table.
    pub(super) points: Vec<Point>,
    charged: usize,
    /// Bytes that may be charged.
    pub(super) bytes_max: usize,
}

/// Points of one request, or of one piece of it: 3 MiB. A body of a mebibyte has no room for more
/// that say anything.
const POINTS_MAX: usize = 1 << 17;

impl<'m> Intake<'m> {
    /// `points` is an empty buffer to fill.
    pub(super) fn new(memory: &'m mut Memory, limits: &'m Limits, points: Vec<Point>) -> Self {
        debug_assert!(points.is_empty());
        memory.interner.make_room();
        Self {
            memory,
            limits,
            received: Received::default(),
            points,
            charged: 0,
            bytes_max: limits.batch_bytes,
        }
    }

    /// Lets go of the samples gathered so far: they are stored, or only looked at. Slots named
    /// before mean nothing any more.
    pub(super) fn discard(&mut self) {
        self.points.clear();
        self.received.batch = model::Batch::default();
        self.received.histograms = 0;
        self.received.starts_ms.clear();
        self.received.point_starts_ms.clear();
        self.charged = 0;
        self.memory.interner.make_room();
    }

    /// Metadata told so far counts as untold.
    pub(super) fn forget_families(&mut self) {
        self.memory.families.clear();
    }

    /// Counts bytes the batch is going to take.
    #[inline]
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), Stop> {
        self.charged = self.charged.saturating_add(bytes);
        if self.charged > self.bytes_max {
            return Err(Stop::TooLarge(self.bytes_max));
        }
        Ok(())
    }

    /// Bytes charged for what has gathered.
    pub(super) fn charged(&self) -> usize {
        self.charged
    }

    #[inline]
    pub(super) fn float(&mut self, labels: Labels, time_ms: i64, value: f64) -> Result<(), Stop> {
        self.charge(size_of::<Sample>())?;
        let sample = Sample::float(labels, time_ms, value);
        self.received.batch.samples.push(sample);
        Ok(())
    }

    /// A float of a known slot.
    #[inline]
    pub(super) fn point(&mut self, series: u32, time_ms: i64, value: f64) -> Result<(), Stop> {
        self.charge(size_of::<Point>())?;
        if self.points.len() == POINTS_MAX {
            return Err(Stop::TooLarge(POINTS_MAX * size_of::<Point>()));
        }
        self.points.push(Point {
            series,
            time_ms,
            value,
        });
        Ok(())
    }

    pub(super) fn histogram(
        &mut self,
        labels: Labels,
        time_ms: i64,
        histogram: Histogram,
    ) -> Result<(), Stop> {
        self.charge(size_of::<Sample>())?;
        self.received.histograms += 1;
        let value = Value::Histogram(Arc::new(histogram));
        self.received.batch.samples.push(Sample {
            labels,
            time_ms,
            value,
        });
        Ok(())
    }

    pub(super) fn exemplar(&mut self, exemplar: Exemplar) -> Result<(), Stop> {
        let labels = exemplar.labels.as_bytes().len();
        self.charge(size_of::<Exemplar>() + labels)?;
        self.received.batch.exemplars.push(exemplar);
        Ok(())
    }

    /// Notes when the series of the last sample of the batch began; 0 means that nobody knows.
    #[inline]
    pub(super) fn start(&mut self, start_ms: i64) -> Result<(), Stop> {
        if start_ms == 0 {
            return Ok(());
        }
        self.charge(size_of::<(usize, i64)>())?;
        let last = self.received.batch.samples.len().saturating_sub(1);
        self.received.starts_ms.push((last, start_ms));
        Ok(())
    }

    /// The same for the last point.
    #[inline]
    pub(super) fn point_start(&mut self, start_ms: i64) -> Result<(), Stop> {
        if start_ms == 0 {
            return Ok(());
        }
        self.charge(size_of::<(usize, i64)>())?;
        let last = self.points.len().saturating_sub(1);
        self.received.point_starts_ms.push((last, start_ms));
        Ok(())
    }

    /// Keeps metadata that is new or has changed.
    pub(super) fn metadata(&mut self, metadata: Metadata) -> Result<(), Stop> {
        if metadata.family.is_empty()
            || self.memory.families.get(&metadata.family) == Some(&metadata)
        {
            return Ok(());
        }
        let text = metadata.family.len() + metadata.help.len() + metadata.unit.len();
        self.charge(2 * (size_of::<Metadata>() + text))?;
        if self.memory.families.len() >= FAMILIES_MAX {
            self.memory.families.clear();
        }
        let family = metadata.family.clone();
        self.memory.families.insert(family, metadata.clone());
        self.received.batch.metadata.push(metadata);
        Ok(())
    }

    /// Begins a label set in the scratch.
    #[inline]
    pub(super) fn begin_labels(&mut self) {
        let expected = self.memory.interner.expected();
        self.memory.scratch.begin(expected);
    }

    /// The slot of the label set the scratch spells.
    #[inline]
    pub(super) fn slot(&mut self, order: Order) -> Result<u32, Fault> {
        let Memory {
            interner, scratch, ..
        } = &mut *self.memory;
        interner.get(scratch, self.limits, order)
    }

    /// The label set of a slot of this request.
    pub(super) fn labels(&self, slot: u32) -> &Labels {
        let labels = self.memory.interner.table().labels(slot);
        labels.expect("slots hold until the next request")
    }

    /// The label set of pairs in any order; those with empty values are left out. Sorts them.
    pub(super) fn labels_of<N, V>(&mut self, pairs: &mut [(N, V)]) -> Result<Labels, Fault>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        pairs.sort_unstable_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        self.begin_labels();
        for (name, value) in pairs.iter() {
            let (name, value) = (name.as_ref().as_bytes(), value.as_ref().as_bytes());
            if !value.is_empty() {
                self.memory.scratch.push(name, value, self.limits)?;
            }
        }
        let slot = self.slot(Order::Free)?;
        Ok(self.labels(slot).clone())
    }

    /// Counts one refused sample.
    pub(super) fn reject(&mut self, fault: Fault, example: impl FnOnce() -> String) {
        self.received.rejected.samples += 1;
        self.received.rejected.note(fault, example);
    }
}
