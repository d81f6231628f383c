//! Floats whose series are named by number, so that what a sender repeats is looked up once.
//!
//! A sender of many series names each of them again with every round. It keeps the label sets in
//! a [`SeriesTable`] and speaks of them by slot; the sink leaves its own number beside each slot,
//! and from then on neither side touches a label. Numbers hold for one epoch of one sink: when it
//! gives numbers back it changes its epoch, and the next batch is looked up anew.

use crate::Labels;

/// One float of a series of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The series' slot in the table.
    pub series: u32,
    /// Milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Any float; bits are kept.
    pub value: f64,
}

/// Label sets by slot, each with the number a sink knows it by.
#[derive(Debug, Clone, Default)]
pub struct SeriesTable {
    labels: Vec<Labels>,
    numbers: Vec<u32>,
    epoch: u64,
}

impl SeriesTable {
    /// The number of a series that no sink has numbered.
    pub const UNKNOWN: u32 = u32::MAX;

    /// Adds a label set; its slot.
    ///
    /// # Panics
    /// After 2^32 - 1 label sets: the owner bounds its table far below.
    pub fn add(&mut self, labels: Labels) -> u32 {
        let slot = u32::try_from(self.labels.len()).expect("a table is bounded by its owner");
        self.labels.push(labels);
        self.numbers.push(Self::UNKNOWN);
        slot
    }

    /// Label sets in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the table holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Forgets everything: slots given out before mean nothing any more.
    pub fn clear(&mut self) {
        self.labels.clear();
        self.numbers.clear();
    }

    /// The label set of a slot; `None` if nothing was added there.
    #[inline]
    #[must_use]
    pub fn labels(&self, slot: u32) -> Option<&Labels> {
        self.labels.get(slot as usize)
    }

    /// For the sink: its numbers by slot. Those of another epoch are forgotten first. Epochs must
    /// differ between sinks and whenever a number of a sink changes its meaning; 0 is nobody's.
    #[inline]
    pub fn numbers(&mut self, epoch: u64) -> &[u32] {
        if self.epoch != epoch {
            self.numbers.fill(Self::UNKNOWN);
            self.epoch = epoch;
        }
        &self.numbers
    }

    /// For the sink: numbers a slot under the epoch of the last [`SeriesTable::numbers`].
    pub fn number(&mut self, slot: u32, number: u32) {
        self.numbers[slot as usize] = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_another_epoch_are_forgotten_and_labels_stay() {
        let up = Labels::from_pairs([("__name__", "up")]);
        let mut table = SeriesTable::default();
        let slot = table.add(up.clone());
        assert_eq!(table.numbers(1), [SeriesTable::UNKNOWN]);
        table.number(slot, 7);
        assert_eq!(table.numbers(1), [7]);
        assert_eq!(table.numbers(2), [SeriesTable::UNKNOWN]);
        assert_eq!(table.labels(slot), Some(&up));
        table.clear();
        assert!(table.is_empty() && table.labels(slot).is_none());
    }
}
