//! Quality in flight: what came in by each door and what became of it, counted; what was refused,
//! kept to be looked at.
//!
//! [`Inspected`] stands between the doors and the sink, so that every door is counted one way; the
//! [receiver](crate::receive) tells of what did not become samples at all.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::{
    AppendError, Appended, Batch, Clock, Durability, Labels, METRIC_NAME, Point, RejectReason,
    Sample, SampleSink, SeriesTable, Value,
};

use crate::{
    quarantine::{Quarantine, Quarantined},
    receive::{Refusal, Rejected},
};

/// What came by one door. All counters.
#[derive(Debug, Default)]
struct Door {
    stored: u64,
    exemplars: u64,
    repeated: u64,
    out_of_order: u64,
    /// Batches the sink did not take.
    failed: u64,
    /// Samples (series, lines or points, where it did not come to samples) by reason.
    refused: BTreeMap<&'static str, u64>,
    /// Bodies refused whole, by reason.
    bodies: BTreeMap<&'static str, u64>,
}

/// Counts by door, and the quarantine.
#[derive(Debug, Default)]
pub struct Quality {
    doors: Mutex<BTreeMap<&'static str, Door>>,
    quarantine: Quarantine,
}

impl Quality {
    /// What was refused lately.
    #[must_use]
    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// The counters as samples of one time, in order of door.
    #[must_use]
    pub fn samples(&self, time_ms: i64) -> Vec<Sample> {
        let mut samples = Vec::new();
        for (door, counts) in &*self.doors() {
            let mut tell = |name: &str, reason: Option<&str>, count: u64| {
                let mut pairs = vec![(METRIC_NAME, name), ("door", door)];
                pairs.extend(reason.map(|reason| ("reason", reason)));
                let labels = Labels::from_pairs(pairs);
                samples.push(Sample::float(labels, time_ms, count as f64));
            };
            tell("alluse_ingested_samples_total", None, counts.stored);
            tell("alluse_ingested_exemplars_total", None, counts.exemplars);
            tell("alluse_repeated_samples_total", None, counts.repeated);
            tell(
                "alluse_out_of_order_samples_total",
                None,
                counts.out_of_order,
            );
            tell("alluse_refused_batches_total", None, counts.failed);
            for (reason, count) in &counts.refused {
                tell("alluse_refused_samples_total", Some(reason), *count);
            }
            for (reason, count) in &counts.bodies {
                tell("alluse_refused_bodies_total", Some(reason), *count);
            }
        }
        samples
    }

    /// What a decoder found invalid in a body that reads well.
    pub fn faults(&self, door: &'static str, rejected: &Rejected, at_ms: i64) {
        if rejected.is_empty() {
            return;
        }
        for (fault, (count, example)) in &rejected.reasons {
            let reason = fault.as_str();
            let mut doors = self.doors();
            let refused = &mut doors.entry(door).or_default().refused;
            *refused.entry(reason).or_default() += count;
            drop(doors);
            self.keep(door, reason, at_ms, example.clone(), of_so_many(*count));
        }
    }

    /// A body refused whole.
    pub fn body(&self, door: &'static str, refusal: &Refusal, at_ms: i64) {
        let reason = match refusal.status {
            413 => "too_large",
            415 => "unsupported",
            429 => "too_many",
            503 => "unavailable",
            _ => "malformed",
        };
        self.source(door, reason, String::new(), refusal.message.clone(), at_ms);
    }

    /// A source whose answer was refused whole, such as a target that cannot be scraped.
    pub fn source(
        &self,
        door: &'static str,
        reason: &'static str,
        source: String,
        detail: String,
        at_ms: i64,
    ) {
        let mut doors = self.doors();
        let bodies = &mut doors.entry(door).or_default().bodies;
        *bodies.entry(reason).or_default() += 1;
        drop(doors);
        self.keep(door, reason, at_ms, source, detail);
    }

    fn keep(
        &self,
        door: &'static str,
        reason: &'static str,
        at_ms: i64,
        series: String,
        detail: String,
    ) {
        self.quarantine.push(Quarantined {
            id: 0,
            at_ms,
            door,
            reason,
            series,
            time_ms: None,
            value: None,
            detail,
        });
    }

    /// What a sink made of a batch.
    /// Counts what a sink made of samples that came by a door; `sample` gives the one at a place.
    fn appended(
        &self,
        name: &'static str,
        appended: &Appended,
        sample: impl Fn(usize) -> Option<Sample>,
        at_ms: i64,
    ) {
        let mut doors = self.doors();
        let door = doors.entry(name).or_default();
        door.stored += appended.stored;
        door.exemplars += appended.exemplars;
        door.repeated += appended.repeated;
        door.out_of_order += appended.out_of_order;
        for (reason, count, _) in &appended.rejected {
            *door.refused.entry(reason.as_str()).or_default() += count;
        }
        drop(doors);
        for (index, reason) in &appended.refused {
            if let Some(sample) = sample(*index) {
                self.sample(name, *reason, &sample, at_ms);
            }
        }
    }

    /// Counts a batch that could not be taken at all.
    fn failed(&self, door: &'static str) {
        self.doors().entry(door).or_default().failed += 1;
    }

    fn sample(&self, door: &'static str, reason: RejectReason, sample: &Sample, at_ms: i64) {
        let (value, detail) = match &sample.value {
            Value::Float(value) => (Some(*value), ""),
            Value::Histogram(_) => (None, "a histogram"),
        };
        self.quarantine.push(Quarantined {
            id: 0,
            at_ms,
            door,
            reason: reason.as_str(),
            series: sample.labels.to_string(),
            time_ms: Some(sample.time_ms),
            value,
            detail: detail.to_owned(),
        });
    }

    fn doors(&self) -> MutexGuard<'_, BTreeMap<&'static str, Door>> {
        // A panic elsewhere leaves whole numbers behind.
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn door_of(batch: &Batch) -> &'static str {
    match batch.door {
        "" => "unknown",
        door => door,
    }
}

fn of_so_many(count: u64) -> String {
    match count {
        1 => String::new(),
        _ => format!("the first of {count}"),
    }
}

/// A sink that counts what passes.
pub struct Inspected {
    sink: Arc<dyn SampleSink>,
    quality: Arc<Quality>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Inspected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inspected")
    }
}

impl Inspected {
    /// `sink`, with `quality` looking on.
    #[must_use]
    pub fn new(sink: Arc<dyn SampleSink>, quality: Arc<Quality>, clock: Arc<dyn Clock>) -> Self {
        Self {
            sink,
            quality,
            clock,
        }
    }

    /// Who looks on.
    #[must_use]
    pub fn quality(&self) -> &Arc<Quality> {
        &self.quality
    }
}

impl SampleSink for Inspected {
    fn append(&self, batch: &Batch, durability: Durability) -> Result<Appended, AppendError> {
        let result = self.sink.append(batch, durability);
        match &result {
            Ok(appended) => {
                let sample = |index: usize| batch.samples.get(index).cloned();
                let at_ms = self.clock.wall_ms();
                self.quality
                    .appended(door_of(batch), appended, sample, at_ms);
            }
            Err(_said_to_the_sender) => self.quality.failed(door_of(batch)),
        }
        result
    }

    fn append_points(
        &self,
        table: &mut SeriesTable,
        points: &[Point],
        door: &'static str,
        durability: Durability,
    ) -> Result<Appended, AppendError> {
        let result = self.sink.append_points(table, points, door, durability);
        match &result {
            Ok(appended) => {
                let sample = |index: usize| {
                    let point = points.get(index)?;
                    let labels = table.labels(point.series)?.clone();
                    Some(Sample::float(labels, point.time_ms, point.value))
                };
                self.quality
                    .appended(door, appended, sample, self.clock.wall_ms());
            }
            Err(_said_to_the_sender) => self.quality.failed(door),
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::quarantine::Wanted;

    #[derive(Debug)]
    struct At(i64);

    impl Clock for At {
        fn wall_ms(&self) -> i64 {
            self.0
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    /// Refuses every second sample, or everything.
    struct Sink {
        full: bool,
    }

    impl SampleSink for Sink {
        fn append(&self, batch: &Batch, _: Durability) -> Result<Appended, AppendError> {
            if self.full {
                return Err(AppendError::DiskFull);
            }
            let refused: Vec<_> = (1..batch.samples.len())
                .step_by(2)
                .map(|i| (i, RejectReason::MetricLimit))
                .collect();
            let count = refused.len() as u64;
            Ok(Appended {
                stored: batch.samples.len() as u64 - count,
                rejected: vec![(RejectReason::MetricLimit, count, Labels::empty())],
                refused,
                repeated: 1,
                ..Appended::default()
            })
        }
    }

    #[test]
    fn each_door_has_its_counts_and_refused_samples_can_be_looked_at() {
        let quality = Arc::new(Quality::default());
        let sample = |i: i64| {
            let labels = Labels::from_pairs([(METRIC_NAME, "m".to_owned()), ("i", i.to_string())]);
            Sample::float(labels, 10 + i, i as f64)
        };
        let batch = |door| Batch {
            samples: (0..4).map(sample).collect(),
            door,
            ..Batch::default()
        };
        for (door, full) in [("otlp", false), ("csv", true)] {
            let sink = Inspected::new(Arc::new(Sink { full }), quality.clone(), Arc::new(At(99)));
            let taken = sink.append(&batch(door), Durability::Fast);
            assert_eq!(taken.is_err(), full);
        }
        let count = |name: &str, pairs: &[(&'static str, &'static str)]| {
            let labels = Labels::from_pairs(pairs.iter().copied().chain([(METRIC_NAME, name)]));
            let found = quality.samples(0).into_iter().find(|s| s.labels == labels);
            found.map(|s| s.value)
        };
        let is = |n: f64| Some(Value::Float(n));
        assert_eq!(
            count("alluse_ingested_samples_total", &[("door", "otlp")]),
            is(2.0)
        );
        assert_eq!(
            count("alluse_repeated_samples_total", &[("door", "otlp")]),
            is(1.0)
        );
        assert_eq!(
            count("alluse_refused_batches_total", &[("door", "csv")]),
            is(1.0)
        );
        let refused = [("door", "otlp"), ("reason", "metric_limit")];
        assert_eq!(count("alluse_refused_samples_total", &refused), is(2.0));
        assert_eq!(
            count("alluse_ingested_samples_total", &[("door", "scrape")]),
            None
        );
        let found = quality.quarantine().newest(&Wanted::default());
        assert_eq!(found.len(), 2);
        let newest = &found[0];
        assert_eq!(newest.series, r#"m{i="3"}"#);
        assert_eq!(
            (
                newest.door,
                newest.reason,
                newest.time_ms,
                newest.value,
                newest.at_ms
            ),
            ("otlp", "metric_limit", Some(13), Some(3.0), 99)
        );
    }
}
