//! A histogram with fixed bounds; an observation is two relaxed additions and a binary search.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Bounds of a decade, in tenths: log-linear, neighbours at most 1.67 apart.
const STEPS: [u64; 6] = [10, 15, 20, 30, 50, 70];

/// Shares its buckets with its clones.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    /// Inclusive upper bounds, rising, in the unit of an observation.
    bounds: Vec<u64>,
    /// One more than bounds: the last takes what is above all of them.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
    /// What one unit is worth in the exposition: 1e-9 for nanoseconds told as seconds.
    unit: f64,
}

/// A reading: cumulative counts by upper bound, the last bound infinite.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) cumulative: Vec<(f64, u64)>,
    pub(super) sum: f64,
}

impl Histogram {
    /// Durations from 100 µs to 10 s.
    pub(super) fn latency() -> Self {
        let decades = [10_000_u64, 100_000, 1_000_000, 10_000_000, 100_000_000];
        let bounds = decades.iter().flat_map(|d| STEPS.map(|s| s * d));
        Self::new(bounds.chain([10_000_000_000]).collect(), 1e-9)
    }

    /// Counts by powers of two.
    pub(super) fn sizes(largest: u64) -> Self {
        let powers = std::iter::successors(Some(1_u64), |n| n.checked_mul(2));
        Self::new(powers.take_while(|n| *n <= largest).collect(), 1.0)
    }

    fn new(bounds: Vec<u64>, unit: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Buckets {
            bounds,
            counts,
            sum: AtomicU64::new(0),
            unit,
        }))
    }

    /// Counts one value, in the histogram's own unit: nanoseconds for a latency.
    pub fn observe(&self, value: u64) {
        let bucket = self.0.bounds.partition_point(|bound| *bound < value);
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts one duration of a latency histogram.
    pub fn observe_duration(&self, took: Duration) {
        self.observe(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        let each = self.0.counts.iter();
        each.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn read(&self) -> Reading {
        let mut total = 0;
        let bounds = self
            .0
            .bounds
            .iter()
            .map(|bound| *bound as f64 * self.0.unit);
        let cumulative = bounds
            .chain([f64::INFINITY])
            .zip(&self.0.counts)
            .map(|(bound, count)| {
                total += count.load(Ordering::Relaxed);
                (bound, total)
            })
            .collect();
        Reading {
            cumulative,
            sum: self.0.sum.load(Ordering::Relaxed) as f64 * self.0.unit,
        }
    }
}
