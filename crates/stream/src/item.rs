//! What flows between steps.

use model::Labels;

use crate::dead::{DeadLetter, DeadReason};

/// A sample on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The series, with its name.
    pub labels: Labels,
    /// Event time, ms since the Unix epoch.
    pub time_ms: i64,
    /// Never a stale marker; may be not-a-number.
    pub value: f64,
}

/// What a step has made of what it was given.
#[derive(Debug, Default)]
pub(crate) struct Out {
    /// For the next step, in the order they came to be.
    pub(crate) items: Vec<Item>,
    /// What no step can use.
    pub(crate) dead: Vec<DeadLetter>,
}

impl Out {
    pub(crate) fn bury(&mut self, item: Item, reason: DeadReason) {
        self.dead.push(DeadLetter { item, reason });
    }
}

/// One step. The watermark it works by is the one it was last advanced to.
pub(crate) trait Operator: std::fmt::Debug + Send {
    /// Takes an item of the stream.
    fn take(&mut self, item: Item, out: &mut Out);

    /// Takes an item of the other side; only a join has one.
    fn take_other(&mut self, _item: Item, _out: &mut Out) {}

    /// Event time has passed `watermark_ms`: whatever waited for it is done.
    fn advance(&mut self, _watermark_ms: i64, _out: &mut Out) {}

    /// Items or windows held.
    fn held(&self) -> usize {
        0
    }
}
