//! Steps that look at one sample: validate, filter, map, normalize, enrich.

use std::collections::HashMap;

use model::{Labels, Matcher};

use crate::{
    Enrich, Filter, Item, MapSpec, Normalize, Validate,
    dead::DeadReason,
    item::{Operator, Out},
};

/// Whether all matchers hold of a label set.
pub(crate) fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers
        .iter()
        .all(|m| m.matches(labels.get(&m.name).unwrap_or_default()))
}

impl Operator for Validate {
    fn take(&mut self, item: Item, out: &mut Out) {
        let has_all = self.require.iter().all(|l| item.labels.get(l).is_some());
        if has_all && self.range.holds(item.value) {
            out.items.push(item);
        } else {
            out.bury(item, DeadReason::Invalid);
        }
    }
}

impl Operator for Filter {
    fn take(&mut self, item: Item, out: &mut Out) {
        if self.range.holds(item.value) && all_match(&self.matchers, &item.labels) {
            out.items.push(item);
        }
    }
}

impl Operator for MapSpec {
    fn take(&mut self, item: Item, out: &mut Out) {
        let value = item.value * self.scale + self.offset;
        out.items.push(Item { value, ..item });
    }
}

impl Operator for Enrich {
    fn take(&mut self, item: Item, out: &mut Out) {
        let key = self.on.as_ref().and_then(|on| item.labels.get(on));
        let found = key.and_then(|key| self.table.get(key));
        if self.required && found.is_none() {
            return out.bury(item, DeadReason::Unknown);
        }
        let mut labels = item.labels.to_builder();
        for (name, value) in self.labels.iter().chain(found.into_iter().flatten()) {
            labels.set(name, value);
        }
        for name in &self.drop {
            labels.remove(name);
        }
        out.items.push(Item {
            labels: labels.build(),
            ..item
        });
    }
}

/// Normalizes each series by its own past: exponentially weighted mean and variance (West, 1979),
/// the weight of the past halved each half-life of event time.
#[derive(Debug)]
pub(crate) struct Normalizer {
    spec: Normalize,
    held_max: usize,
    series: HashMap<Labels, Past>,
}

#[derive(Debug)]
struct Past {
    time_ms: i64,
    weight: f64,
    mean: f64,
    variance: f64,
}

/// A series quiet for so many half-lives has forgotten its past: its place is free for another.
const HALF_LIVES_REMEMBERED: i64 = 20;

impl Normalizer {
    pub(crate) fn new(spec: Normalize, held_max: usize) -> Self {
        Self {
            spec,
            held_max,
            series: HashMap::new(),
        }
    }
}

impl Past {
    /// The distance of a value from the past in standard deviations, before it becomes part of
    /// it; `None` while the past has no spread.
    fn distance(&mut self, item: &Item, half_life_ms: i64) -> Option<f64> {
        let deviation = self.variance.sqrt();
        let distance = (deviation > 0.0).then(|| (item.value - self.mean) / deviation);
        let passed = (item.time_ms - self.time_ms).max(0) as f64;
        let kept = self.weight * 0.5_f64.powf(passed / half_life_ms as f64);
        let share = 1.0 / (kept + 1.0);
        let apart = item.value - self.mean;
        self.mean += share * apart;
        self.variance = (1.0 - share) * (self.variance + share * apart * apart);
        self.weight = kept + 1.0;
        self.time_ms = self.time_ms.max(item.time_ms);
        distance
    }
}

impl Operator for Normalizer {
    fn take(&mut self, item: Item, out: &mut Out) {
        if !item.value.is_finite() {
            return out.bury(item, DeadReason::Invalid);
        }
        let Some(past) = self.series.get_mut(&item.labels) else {
            if self.series.len() >= self.held_max {
                return out.bury(item, DeadReason::Full);
            }
            let first = Past {
                time_ms: item.time_ms,
                weight: 1.0,
                mean: item.value,
                variance: 0.0,
            };
            self.series.insert(item.labels, first);
            return;
        };
        if let Some(value) = past.distance(&item, self.spec.half_life_ms) {
            out.items.push(Item { value, ..item });
        }
    }

    fn advance(&mut self, watermark_ms: i64, _out: &mut Out) {
        let remembered = self.spec.half_life_ms * HALF_LIVES_REMEMBERED;
        self.series
            .retain(|_, past| watermark_ms - past.time_ms <= remembered);
    }

    fn held(&self) -> usize {
        self.series.len()
    }
}
