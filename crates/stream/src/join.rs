//! The step `join`: a symmetric join of two selectors within a time.
//!
//! Each side keeps what it has seen, by the labels joined on; an item that comes is paired with
//! what the other side keeps, then kept itself until the watermark says that no partner can come
//! any more (Wilschut and Apers, "Dataflow query execution in a parallel main-memory
//! environment", 1991, with windows). So the result does not depend on which side comes first.

use std::collections::{BTreeMap, HashMap};

use model::{Labels, METRIC_NAME};

use crate::{
    Item, JoinSpec,
    dead::DeadReason,
    item::{Operator, Out},
};

#[derive(Debug)]
pub(crate) struct Join {
    spec: JoinSpec,
    /// Name of the results.
    name: String,
    sides: [Side; 2],
    held: usize,
    held_max: usize,
    watermark_ms: i64,
}

/// What one selector has brought, by the labels joined on, then by time and series.
type Side = HashMap<Labels, BTreeMap<(i64, Labels), Kept>>;

#[derive(Debug)]
struct Kept {
    value: f64,
    paired: bool,
}

const LEFT: usize = 0;
const RIGHT: usize = 1;

impl Join {
    pub(crate) fn new(spec: JoinSpec, name: &str, held_max: usize) -> Self {
        Self {
            spec,
            name: name.to_owned(),
            sides: [Side::new(), Side::new()],
            held: 0,
            held_max,
            watermark_ms: i64::MIN,
        }
    }

    fn take_on(&mut self, side: usize, item: Item, out: &mut Out) {
        if item.time_ms < self.oldest_useful() {
            return out.bury(item, DeadReason::Late);
        }
        if self.held >= self.held_max {
            return out.bury(item, DeadReason::Full);
        }
        let key = self.key(&item.labels);
        let paired = self.pair(side, &key, &item, out);
        let kept = Kept {
            value: item.value,
            paired,
        };
        let place = self.sides[side].entry(key).or_default();
        if place.insert((item.time_ms, item.labels), kept).is_none() {
            self.held += 1;
        }
    }

    /// Items older than this can have no partner that is not late itself.
    fn oldest_useful(&self) -> i64 {
        self.watermark_ms.saturating_sub(self.spec.within_ms)
    }

    fn key(&self, labels: &Labels) -> Labels {
        let pair = |name: &String| Some((name.clone(), labels.get(name)?.to_owned()));
        Labels::from_pairs(self.spec.on.iter().filter_map(pair))
    }

    /// Pairs an item with all its partners; says whether there was one.
    fn pair(&mut self, side: usize, key: &Labels, item: &Item, out: &mut Out) -> bool {
        let Some(others) = self.sides[1 - side].get_mut(key) else {
            return false;
        };
        let from = (
            item.time_ms.saturating_sub(self.spec.within_ms),
            Labels::empty(),
        );
        let last = item.time_ms.saturating_add(self.spec.within_ms);
        let mut paired = false;
        for ((time_ms, labels), other) in others.range_mut(from..) {
            if *time_ms > last {
                break;
            }
            paired = true;
            other.paired = true;
            let (left, right) = if side == LEFT {
                (item.value, other.value)
            } else {
                (other.value, item.value)
            };
            let labels = if side == LEFT { &item.labels } else { labels };
            out.items.push(Item {
                labels: labels.with(METRIC_NAME, &self.name),
                time_ms: item.time_ms.max(*time_ms),
                value: self.spec.arithmetic.of(left, right),
            });
        }
        paired
    }

    /// Forgets what is too old for a partner; says which of the left found none.
    fn forget(&mut self, side: usize, out: &mut Out) {
        let before = self.oldest_useful();
        let held = &mut self.held;
        let mut alone = Vec::new();
        self.sides[side].retain(|_, kept| {
            while let Some(first) = kept.first_entry() {
                if first.key().0 >= before {
                    break;
                }
                let ((time_ms, labels), item) = first.remove_entry();
                *held -= 1;
                if side == LEFT && !item.paired {
                    alone.push(Item {
                        labels,
                        time_ms,
                        value: item.value,
                    });
                }
            }
            !kept.is_empty()
        });
        alone.sort_by(|a, b| (a.time_ms, &a.labels).cmp(&(b.time_ms, &b.labels)));
        for item in alone {
            out.bury(item, DeadReason::Unmatched);
        }
    }
}

impl Operator for Join {
    fn take(&mut self, item: Item, out: &mut Out) {
        self.take_on(LEFT, item, out);
    }

    fn take_other(&mut self, item: Item, out: &mut Out) {
        self.take_on(RIGHT, item, out);
    }

    fn advance(&mut self, watermark_ms: i64, out: &mut Out) {
        self.watermark_ms = watermark_ms;
        self.forget(LEFT, out);
        self.forget(RIGHT, out);
    }

    fn held(&self) -> usize {
        self.held
    }
}
