//! Dead letters: what a stream could not use, and why.

use std::collections::{BTreeMap, VecDeque};

use crate::Item;

/// Why an item was put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeadReason {
    /// Older than the watermark: what it belonged to is done.
    Late,
    /// The same series had a sample at that time already.
    Duplicate,
    /// Outside the range, or without the labels, that `validate` asks for.
    Invalid,
    /// `enrich` requires an entry in its table, and there is none.
    Unknown,
    /// No partner came within the time of a join.
    Unmatched,
    /// The step holds as much as it may.
    Full,
}

impl DeadReason {
    /// As a label value of a metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Duplicate => "duplicate",
            Self::Invalid => "invalid",
            Self::Unknown => "unknown",
            Self::Unmatched => "unmatched",
            Self::Full => "full",
        }
    }
}

/// An item put aside.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// As it was when the step could not use it.
    pub item: Item,
    /// Why.
    pub reason: DeadReason,
}

/// The newest dead letters, and how many there were of each kind.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    newest: VecDeque<DeadLetter>,
    kept_max: usize,
    counts: BTreeMap<DeadReason, u64>,
}

impl DeadLetters {
    pub(crate) fn new(kept_max: usize) -> Self {
        Self {
            newest: VecDeque::new(),
            kept_max,
            counts: BTreeMap::new(),
        }
    }

    pub(crate) fn put(&mut self, letters: impl IntoIterator<Item = DeadLetter>) {
        for letter in letters {
            *self.counts.entry(letter.reason).or_default() += 1;
            self.newest.push_back(letter);
            if self.newest.len() > self.kept_max {
                self.newest.pop_front();
            }
        }
    }

    pub(crate) fn newest(&self) -> impl Iterator<Item = &DeadLetter> {
        self.newest.iter().rev()
    }

    pub(crate) fn counts(&self) -> &BTreeMap<DeadReason, u64> {
        &self.counts
    }
}
