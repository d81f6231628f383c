//! Runs `load`: puts the points of a script into a store, as Prometheus's storage would keep them.
//!
//! Two things happen on the way. A histogram that continues a counter without a reset is marked
//! "not reset", any other "unknown": the storage starts a chunk at each reset and can say no more
//! of it. And `load_with_nhcb` adds, under the base name, what the classic series amount to.

use std::{collections::BTreeMap, sync::Arc};

use model::{Histogram, Labels, METRIC_NAME, ResetHint, Sample, Value};
use query::histogram::{self, ClassicHistogram};
use testkit::MemoryStore;

use super::{
    script::Load,
    series::{Point, SeriesLine},
};

/// What a script has loaded.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) store: MemoryStore,
    /// The newest histogram of each series, if its newest sample is one.
    newest: BTreeMap<Labels, Arc<Histogram>>,
}

impl Loaded {
    pub(super) fn load(&mut self, load: &Load) -> Result<(), String> {
        for series in &load.series {
            for (i, (time_ms, value)) in points(&series.line, load.interval_ms) {
                let start = series
                    .starts_ms
                    .get(i)
                    .copied()
                    .flatten()
                    .map(|s| time_ms + s);
                self.push(&series.line.labels, time_ms, value, start);
            }
        }
        if load.with_nhcb {
            for ((labels, time_ms), classic) in classic_histograms(load) {
                let converted = classic.convert().map_err(|e| format!("{labels}: {e}"))?;
                self.push(
                    &labels,
                    time_ms,
                    Value::Histogram(Arc::new(converted)),
                    None,
                );
            }
        }
        Ok(())
    }

    fn push(&mut self, labels: &Labels, time_ms: i64, value: Value, start_ms: Option<i64>) {
        let value = match value {
            Value::Histogram(histogram) => {
                let stored = Arc::new(self.with_stored_hint(labels, &histogram));
                self.newest.insert(labels.clone(), stored.clone());
                Value::Histogram(stored)
            }
            Value::Float(float) => {
                self.newest.remove(labels);
                Value::Float(float)
            }
        };
        self.store.insert(
            &Sample {
                labels: labels.clone(),
                time_ms,
                value,
            },
            start_ms,
        );
    }

    fn with_stored_hint(&self, labels: &Labels, histogram: &Histogram) -> Histogram {
        let previous = self.newest.get(labels);
        let reset_hint = match histogram.reset_hint {
            ResetHint::Gauge => ResetHint::Gauge,
            ResetHint::Reset => ResetHint::Unknown,
            ResetHint::Unknown | ResetHint::NotReset => match previous {
                Some(previous) if continues(histogram, previous) => ResetHint::NotReset,
                Some(_) | None => ResetHint::Unknown,
            },
        };
        Histogram {
            reset_hint,
            ..histogram.clone()
        }
    }
}

/// Whether a storage would append the histogram to the chunk of the previous one.
fn continues(histogram: &Histogram, previous: &Histogram) -> bool {
    let unmarked = Histogram {
        reset_hint: ResetHint::Unknown,
        ..histogram.clone()
    };
    previous.reset_hint != ResetHint::Gauge
        && histogram.schema == previous.schema
        && histogram.zero_threshold == previous.zero_threshold
        && histogram.custom_values == previous.custom_values
        && !histogram::detect_reset(&unmarked, previous)
}

/// The points of a series with their place in the line and their time.
fn points(line: &SeriesLine, interval_ms: i64) -> impl Iterator<Item = (usize, (i64, Value))> + '_ {
    let times = (0..).map(move |i: i64| i * interval_ms);
    line.points
        .iter()
        .zip(times)
        .enumerate()
        .filter_map(|(i, (point, time_ms))| match point {
            Point::Missing => None,
            Point::Float(float) => Some((i, (time_ms, Value::Float(*float)))),
            Point::Histogram { histogram, .. } => {
                Some((i, (time_ms, Value::Histogram(histogram.clone()))))
            }
        })
}

/// The classic histograms among the series, by base labels and time.
fn classic_histograms(load: &Load) -> BTreeMap<(Labels, i64), ClassicHistogram> {
    let mut found: BTreeMap<(Labels, i64), ClassicHistogram> = BTreeMap::new();
    for series in &load.series {
        let labels = &series.line.labels;
        let name = labels.metric_name();
        let Some((base, kind)) = ["bucket", "count", "sum"]
            .iter()
            .find_map(|kind| Some((name.strip_suffix(kind)?.strip_suffix('_')?, *kind)))
        else {
            continue;
        };
        let le = labels
            .get("le")
            .and_then(|le| le.parse::<f64>().ok())
            .filter(|le| !le.is_nan());
        let base = labels.with("le", "").with(METRIC_NAME, base);
        for (_, (time_ms, value)) in points(&series.line, load.interval_ms) {
            let Value::Float(float) = value else { continue };
            if kind == "bucket" && le.is_none() {
                continue;
            }
            let classic = found.entry((base.clone(), time_ms)).or_default();
            match kind {
                "bucket" => classic.buckets.extend(le.map(|le| (le, float))),
                "count" => classic.count = Some(float),
                _ => classic.sum = Some(float),
            }
        }
    }
    found
}
