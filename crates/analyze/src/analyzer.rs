//! The table of live series: finds each sample's detector, turns counters into rates, words what
//! the detectors report, and forgets series that went away.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher as _, RandomState},
};

use model::{
    Batch, Finding, FindingId, FindingKind, Labels, Metadata, MetricType, Point, SharedLabels,
    Value,
};

use rustc_hash::FxSeededState;

use crate::{
    Config,
    detector::{Detector, Report},
    rate::Rate,
    sentence,
};

/// How often the table is searched for series to forget, ms of data time.
const SWEEP_EVERY_MS: i64 = 60_000;

/// What an [`Analyzer`] has seen and done since it was made; counters never fall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series watched now.
    pub series: usize,
    /// Bytes their state takes, without their labels and the table's index.
    pub state_bytes: usize,
    /// Samples judged.
    pub points: u64,
    /// Samples of series that found no room.
    pub overflow: u64,
    /// Samples not judged: not after the series' last one, not finite, or a histogram.
    pub skipped: u64,
    /// Series forgotten.
    pub forgotten: u64,
    /// Findings returned.
    pub findings: u64,
}

/// Watches every series that passes through [`Analyzer::observe`].
///
/// Pure: the same batches give the same findings, and what is said about a moment does not depend
/// on what follows it.
#[derive(Debug)]
pub struct Analyzer {
    config: Config,
    /// Seeded, so that labels cannot be chosen to collide.
    index: HashMap<Labels, u32, FxSeededState>,
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// What sources said of metric families; at most `max_series` of them.
    types: BTreeMap<String, MetricType>,
    /// Rises when `types` changes, so that entries look up their kind again.
    types_epoch: u32,
    now_ms: i64,
    swept_ms: i64,
    stats: Stats,
}

/// One watched series.
#[derive(Debug)]
struct Entry {
    labels: Labels,
    /// Data time at its last sample.
    seen_ms: i64,
    types_epoch: u32,
    /// For a counter: what turns it into a rate.
    rate: Option<Rate>,
    last_ms: i64,
    detector: Detector,
}

impl Analyzer {
    /// An analyzer that has seen nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let seed = RandomState::new().hash_one(0_u8);
        Self {
            config,
            index: HashMap::with_hasher(FxSeededState::with_seed(seed as usize)),
            slots: Vec::new(),
            free: Vec::new(),
            types: BTreeMap::new(),
            types_epoch: 0,
            now_ms: i64::MIN,
            swept_ms: i64::MIN,
            stats: Stats::default(),
        }
    }

    /// Judges the samples of a batch, in their order; returns what is worth telling, normally
    /// nothing. O(1) per sample.
    pub fn observe(&mut self, batch: &Batch) -> Vec<Finding> {
        self.learn_types(&batch.metadata);
        let samples = &batch.samples;
        if let Some(middle) = samples.get(samples.len() / 2) {
            self.advance(middle.time_ms);
        }
        let mut findings = Vec::new();
        for sample in samples {
            match sample.value {
                Value::Float(value) => {
                    self.judge(&sample.labels, sample.time_ms, value, &mut findings);
                }
                Value::Histogram(_) => self.stats.skipped += 1,
            }
        }
        self.stats.findings += findings.len() as u64;
        findings
    }

    /// The same for floats of a table.
    pub fn observe_points(&mut self, series: &SharedLabels, points: &[Point]) -> Vec<Finding> {
        if let Some(middle) = points.get(points.len() / 2) {
            self.advance(middle.time_ms);
        }
        let mut findings = Vec::new();
        for point in points {
            if let Some(labels) = series.get(point.series) {
                self.judge(labels, point.time_ms, point.value, &mut findings);
            }
        }
        self.stats.findings += findings.len() as u64;
        findings
    }

    /// What has been seen and done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let entries = self.slots.iter().flatten();
        Stats {
            series: self.index.len(),
            state_bytes: entries
                .map(|e| size_of::<Entry>() + e.detector.heap_bytes())
                .sum(),
            ..self.stats
        }
    }

    fn learn_types(&mut self, metadata: &[Metadata]) {
        for said in metadata {
            if self.types.get(&said.family) == Some(&said.metric_type) {
                continue;
            }
            if self.types.len() < self.config.max_series || self.types.contains_key(&said.family) {
                self.types.insert(said.family.clone(), said.metric_type);
                self.types_epoch = self.types_epoch.wrapping_add(1);
            }
        }
    }

    /// Moves data time to that of a batch's middle sample (one source with a wrong clock must not
    /// make all others look gone), and now and then forgets.
    fn advance(&mut self, middle_ms: i64) {
        self.now_ms = self.now_ms.max(middle_ms);
        if self.now_ms.saturating_sub(self.swept_ms) >= SWEEP_EVERY_MS {
            self.swept_ms = self.now_ms;
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        let oldest = self.now_ms.saturating_sub(self.config.forget_after_ms);
        for (slot, place) in (0_u32..).zip(&mut self.slots) {
            if let Some(gone) = place.take_if(|entry| entry.seen_ms < oldest) {
                self.index.remove(&gone.labels);
                self.free.push(slot);
                self.stats.forgotten += 1;
            }
        }
    }

    fn judge(&mut self, labels: &Labels, time_ms: i64, value: f64, findings: &mut Vec<Finding>) {
        if !value.is_finite() {
            self.stats.skipped += 1;
            return;
        }
        let Some(slot) = self.slot(labels) else {
            self.stats.overflow += 1;
            return;
        };
        let entry = self.slots[slot as usize]
            .as_mut()
            .expect("an indexed slot is taken");
        if entry.last_ms >= time_ms {
            self.stats.skipped += 1;
            return;
        }
        self.stats.points += 1;
        if entry.types_epoch != self.types_epoch {
            entry.types_epoch = self.types_epoch;
            entry.choose_rate(is_counter(&self.types, labels.metric_name()));
        }
        entry.seen_ms = self.now_ms;
        entry.last_ms = time_ms;
        entry.observe(time_ms, value, &self.config, findings);
    }

    /// The series' slot, made if there is room.
    fn slot(&mut self, labels: &Labels) -> Option<u32> {
        if let Some(slot) = self.index.get(labels) {
            return Some(*slot);
        }
        if self.index.len() >= self.config.max_series {
            return None;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("max_series is below 4 billion")
        });
        let counter = is_counter(&self.types, labels.metric_name());
        self.slots[slot as usize] = Some(Entry {
            labels: labels.clone(),
            seen_ms: self.now_ms,
            types_epoch: self.types_epoch,
            rate: counter.then(Rate::default),
            last_ms: i64::MIN,
            detector: Detector::new(),
        });
        self.index.insert(labels.clone(), slot);
        Some(slot)
    }
}

impl Entry {
    /// Starts over when the series turns out to be of the other kind.
    fn choose_rate(&mut self, counter: bool) {
        if counter != self.rate.is_some() {
            self.rate = counter.then(Rate::default);
            self.detector = Detector::new();
        }
    }

    fn observe(&mut self, time_ms: i64, value: f64, config: &Config, out: &mut Vec<Finding>) {
        let value = match &mut self.rate {
            Some(rate) => rate.observe(time_ms, value),
            None => Some(value),
        };
        let Some(value) = value else { return };
        let reports = self.detector.observe(time_ms, value, config);
        for report in reports.anomaly.into_iter().chain(reports.change_point) {
            out.push(self.finding(time_ms, report));
        }
    }

    fn finding(&self, at_ms: i64, report: Report) -> Finding {
        let Report { mut what, severity } = report;
        if let (Some(_), FindingKind::Anomaly { normal, .. }) = (&self.rate, &mut what) {
            normal.low = normal.low.max(0.0);
        }
        let summary = match &what {
            FindingKind::Anomaly {
                observed,
                expected,
                normal,
            } => sentence::anomaly(
                &self.labels,
                self.rate.is_some(),
                *observed,
                *expected,
                *normal,
            ),
            FindingKind::ChangePoint {
                since_ms,
                before,
                after,
            } => {
                let seconds = (at_ms - since_ms) as f64 / 1e3;
                sentence::change_point(&self.labels, self.rate.is_some(), *before, *after, seconds)
            }
            FindingKind::Exhaustion {
                threshold,
                seconds,
                interval,
            } => sentence::exhaustion(&self.labels, *threshold, *seconds, *interval),
        };
        Finding {
            id: FindingId(0),
            series: self.labels.clone(),
            at_ms,
            what,
            severity,
            summary,
        }
    }
}

/// What the source said, else what the name says.
fn is_counter(types: &BTreeMap<String, MetricType>, name: &str) -> bool {
    const SUFFIXES: [&str; 4] = ["_total", "_count", "_sum", "_bucket"];
    let stem = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
    let said = types
        .get(name)
        .or_else(|| stem.and_then(|stem| types.get(stem)));
    match said {
        Some(MetricType::Counter) => true,
        // Their quantiles have the bare name and are gauges.
        Some(MetricType::Histogram | MetricType::Summary) => stem.is_some(),
        Some(
            MetricType::Gauge
            | MetricType::GaugeHistogram
            | MetricType::Info
            | MetricType::StateSet,
        ) => false,
        Some(MetricType::Unknown) | None => stem.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_knows_better_than_the_name_which_series_are_counters() {
        let types = BTreeMap::from([
            ("threads_total".to_owned(), MetricType::Gauge),
            ("latency_seconds".to_owned(), MetricType::Summary),
            ("ops".to_owned(), MetricType::Counter),
        ]);
        for (name, expected) in [
            ("threads_total", false),
            ("latency_seconds_sum", true),
            ("latency_seconds", false),
            ("ops", true),
            ("ops_total", true),
            ("requests_total", true),
            ("free_bytes", false),
        ] {
            assert_eq!(is_counter(&types, name), expected, "{name}");
        }
    }
}
