//! A series as readers hand it out: parallel columns of times and values.

use std::sync::Arc;

use crate::{Histogram, Labels};

/// Bits of the NaN that marks the end of a series (Prometheus's staleness marker).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The staleness marker.
#[must_use]
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether a value is the staleness marker (other NaNs are ordinary values).
#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// One series over one time range. Columns are as long as `times_ms` or, where noted, empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its identity.
    pub labels: Labels,
    /// Strictly rising, ms since the Unix epoch.
    pub times_ms: Vec<i64>,
    /// Values, staleness markers included. Where the sample is a histogram, its `sum`.
    pub values: Vec<f64>,
    /// Histograms: empty for a series of floats only, else one slot a sample.
    pub histograms: Vec<Option<Arc<Histogram>>>,
    /// Start timestamps (ms; when the counter began): empty when none is known, else one slot a
    /// sample with 0 for unknown.
    pub starts_ms: Vec<i64>,
}

impl Series {
    /// An empty series.
    #[must_use]
    pub fn new(labels: Labels) -> Self {
        Self {
            labels,
            times_ms: Vec::new(),
            values: Vec::new(),
            histograms: Vec::new(),
            starts_ms: Vec::new(),
        }
    }

    /// Adds a float at the end.
    pub fn push(&mut self, time_ms: i64, value: f64) {
        debug_assert!(self.times_ms.last().is_none_or(|last| *last < time_ms));
        self.times_ms.push(time_ms);
        self.values.push(value);
        if !self.histograms.is_empty() {
            self.histograms.push(None);
        }
        if !self.starts_ms.is_empty() {
            self.starts_ms.push(0);
        }
    }

    /// Adds a histogram at the end.
    pub fn push_histogram(&mut self, time_ms: i64, histogram: Arc<Histogram>) {
        self.histograms.resize(self.times_ms.len(), None);
        self.times_ms.push(time_ms);
        self.values.push(histogram.sum);
        self.histograms.push(Some(histogram));
        if !self.starts_ms.is_empty() {
            self.starts_ms.push(0);
        }
    }
}
