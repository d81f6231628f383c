//! The step `order`: holds samples until the watermark has passed them, then lets them go in
//! order of time, each (series, time) once.

use std::collections::BTreeMap;

use model::Labels;

use crate::{
    Item,
    dead::DeadReason,
    item::{Operator, Out},
};

/// What waits, by time and then by series.
#[derive(Debug)]
pub(crate) struct Order {
    waiting: BTreeMap<(i64, Labels), f64>,
    held_max: usize,
    watermark_ms: i64,
}

impl Order {
    pub(crate) fn new(held_max: usize) -> Self {
        Self {
            waiting: BTreeMap::new(),
            held_max,
            watermark_ms: i64::MIN,
        }
    }
}

impl Operator for Order {
    fn take(&mut self, item: Item, out: &mut Out) {
        let key = (item.time_ms, item.labels.clone());
        if item.time_ms <= self.watermark_ms {
            out.bury(item, DeadReason::Late);
        } else if self.waiting.contains_key(&key) {
            out.bury(item, DeadReason::Duplicate);
        } else if self.waiting.len() >= self.held_max {
            out.bury(item, DeadReason::Full);
        } else {
            self.waiting.insert(key, item.value);
        }
    }

    fn advance(&mut self, watermark_ms: i64, out: &mut Out) {
        self.watermark_ms = watermark_ms;
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > watermark_ms {
                return;
            }
            let ((time_ms, labels), value) = first.remove_entry();
            out.items.push(Item {
                labels,
                time_ms,
                value,
            });
        }
    }

    fn held(&self) -> usize {
        self.waiting.len()
    }
}
