//! What collection hands to storage: a batch of samples with what is known of their metrics.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Histogram, Labels};

/// One measured value of one series at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The series.
    pub labels: Labels,
    /// Milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// What was measured.
    pub value: Value,
}

/// A float, or a whole histogram.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Any float, NaN and infinities included; bits are kept.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// The kind of a metric, as OpenMetrics names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricType {
    /// Rises, falls back to zero on a restart.
    Counter,
    /// Any value.
    Gauge,
    /// Cumulative buckets.
    Histogram,
    /// A histogram whose buckets are gauges.
    GaugeHistogram,
    /// Quantiles computed by the source.
    Summary,
    /// Labels that never change, value 1.
    Info,
    /// One label per state, 0 or 1.
    StateSet,
    /// Not said.
    Unknown,
}

/// What a source says about a metric family.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Metadata {
    /// The family's name.
    pub family: String,
    /// Its type.
    pub metric_type: MetricType,
    /// Its help text; may be empty.
    pub help: String,
    /// Its unit; may be empty.
    pub unit: String,
}

/// An example behind a sample, such as a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// The series it belongs to.
    pub series: Labels,
    /// Its own labels; may be empty.
    pub labels: Labels,
    /// The value observed.
    pub value: f64,
    /// When, ms since the Unix epoch.
    pub time_ms: i64,
}

/// Samples that arrived together, and are acknowledged or refused together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// In any order; per series normally rising in time.
    pub samples: Vec<Sample>,
    /// Only what is new or changed since the source last said it.
    pub metadata: Vec<Metadata>,
    /// Examples behind samples, of this batch or earlier ones. Best effort: a sink may keep none.
    pub exemplars: Vec<Exemplar>,
    /// How the batch came in, as a label value: `scrape`, `host`, `remote_write`, ...; empty where
    /// nobody said. For counters and the quarantine only.
    pub door: &'static str,
}

impl Sample {
    /// A float sample.
    #[must_use]
    pub fn float(labels: Labels, time_ms: i64, value: f64) -> Self {
        Self {
            labels,
            time_ms,
            value: Value::Float(value),
        }
    }
}
