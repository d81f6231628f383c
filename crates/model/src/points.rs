//! Floats whose series are named by number, so that what a sender repeats is looked up once.
//!
//! A sender of many series names each of them again with every round. It keeps the label sets in
//! a [`SeriesTable`] and speaks of them by slot; the sink leaves its own number beside each slot,
//! and from then on neither side touches a label. Numbers hold for one epoch of one sink: when it
//! gives numbers back it changes its epoch, and the next batch is looked up anew.

use std::sync::Arc;

use crate::Labels;

/// Label sets a chunk of a table: what is copied when a table grows that somebody shares.
const CHUNK: usize = 512;

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

/// Label sets by slot as they were at one moment. A clone costs one count; the table copies a chunk
/// when it grows while somebody holds one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SharedLabels(Arc<Vec<Arc<Vec<Labels>>>>);

impl SharedLabels {
    /// The label set of a slot; `None` if nothing was added there.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: u32) -> Option<&Labels> {
        let slot = slot as usize;
        self.0.get(slot / CHUNK)?.get(slot % CHUNK)
    }

    /// Bytes that are at most not shared with the table, or with what is held of another moment.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        self.0.len() * size_of::<Arc<Vec<Labels>>>() + CHUNK * size_of::<Labels>()
    }

    fn push(&mut self, labels: Labels) {
        let chunks = Arc::make_mut(&mut self.0);
        if chunks.last().is_none_or(|last| last.len() == CHUNK) {
            chunks.push(Arc::default());
        }
        if let Some(last) = chunks.last_mut() {
            Arc::make_mut(last).push(labels);
        }
    }
}

/// Label sets by slot, each with the number a sink knows it by.
#[derive(Debug, Clone, Default)]
pub struct SeriesTable {
    labels: SharedLabels,
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
        let slot = u32::try_from(self.numbers.len()).expect("a table is bounded by its owner");
        self.labels.push(labels);
        self.numbers.push(Self::UNKNOWN);
        slot
    }

    /// Label sets in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether the table holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Forgets everything: slots given out before mean nothing any more.
    pub fn clear(&mut self) {
        self.labels = SharedLabels::default();
        self.numbers.clear();
    }

    /// The label set of a slot; `None` if nothing was added there.
    #[inline]
    #[must_use]
    pub fn labels(&self, slot: u32) -> Option<&Labels> {
        self.labels.get(slot)
    }

    /// The label sets as they are now, to be kept.
    #[must_use]
    pub fn shared(&self) -> &SharedLabels {
        &self.labels
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

    #[test]
    fn what_was_shared_stays_as_it_was_while_the_table_grows() {
        let of = |i: usize| Labels::from_pairs([("__name__", format!("m{i}"))]);
        let mut table = SeriesTable::default();
        let mut held = Vec::new();
        for i in 0..2 * CHUNK + 3 {
            held.push(table.shared().clone());
            assert_eq!(table.add(of(i)) as usize, i);
        }
        table.clear();
        for (length, shared) in held.iter().enumerate() {
            let last = length.checked_sub(1);
            assert_eq!(
                last.and_then(|i| shared.get(i as u32)),
                last.map(of).as_ref()
            );
            assert_eq!(shared.get(length as u32), None);
        }
    }
}
