//! The reading side of a knob: a shared word and how to understand it.

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A handle on one setting; clones read the same value.
#[derive(Debug)]
pub struct Knob<T> {
    cell: Arc<AtomicU64>,
    kind: PhantomData<fn() -> T>,
    /// Nanoseconds in one unit of a duration; 1 for every other type.
    unit_ns: u64,
}

impl<T> Clone for Knob<T> {
    fn clone(&self) -> Self {
        Self {
            cell: Arc::clone(&self.cell),
            kind: PhantomData,
            unit_ns: self.unit_ns,
        }
    }
}

impl<T> Knob<T> {
    pub(crate) fn new(cell: Arc<AtomicU64>, unit_ns: u64) -> Self {
        Self {
            cell,
            kind: PhantomData,
            unit_ns,
        }
    }

    /// One relaxed load: knobs are independent, so no order between them is promised.
    fn bits(&self) -> u64 {
        self.cell.load(Ordering::Relaxed)
    }
}

impl Knob<i64> {
    /// The value in force.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.bits().cast_signed()
    }

    /// The value in force as a size; a negative value counts as zero.
    #[must_use]
    pub fn size(&self) -> usize {
        usize::try_from(self.get()).unwrap_or(0)
    }
}

impl Knob<f64> {
    /// The value in force.
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.bits())
    }
}

impl Knob<bool> {
    /// The value in force.
    #[must_use]
    pub fn get(&self) -> bool {
        self.bits() != 0
    }
}

impl Knob<usize> {
    /// Position of the choice in force, in the order declared.
    #[must_use]
    pub fn get(&self) -> usize {
        usize::try_from(self.bits()).expect("a choice index came from a usize")
    }
}

impl Knob<Duration> {
    /// The value in force.
    #[must_use]
    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.bits().saturating_mul(self.unit_ns))
    }
}
