//! Targets that keep the knob protocol in memory, and lose messages: the world of the storms.

use std::collections::BTreeMap;

use model::{Generation, KnobSpec, KnobValue, Order, OrderKind, Outcome};

use crate::script::knob;

/// SplitMix64 (Steele, Lea, Flood, 2014): enough randomness for a storm.
#[derive(Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) instance: u64,
    pub(crate) generation: Generation,
    pub(crate) knobs: BTreeMap<String, KnobSpec>,
    leased: BTreeMap<String, i64>,
}

impl Target {
    pub(crate) fn new() -> Self {
        let knobs = [
            "cache.size int 100..100000 log step=0.6 = 1000",
            "linger.ms float 0..50 = 2.5",
            "pool.size int 1..256 log step=0.6 = 16",
            "read.ahead bool = off",
        ];
        Self {
            instance: 1,
            generation: Generation(0),
            knobs: knobs.map(knob).map(|k| (k.name.clone(), k)).into(),
            leased: BTreeMap::new(),
        }
    }

    pub(crate) fn restart(&mut self) {
        let instance = self.instance + 1;
        *self = Self::new();
        self.instance = instance;
    }

    pub(crate) fn expire(&mut self, now_ms: i64) {
        let over: Vec<String> = self
            .leased
            .iter()
            .filter(|(_, end)| **end <= now_ms)
            .map(|(name, _)| name.clone())
            .collect();
        over.iter().for_each(|name| self.revert(name));
    }

    fn revert(&mut self, name: &str) {
        self.leased.remove(name);
        let knob = self.knobs.get_mut(name).unwrap();
        knob.value = knob.baseline.clone();
    }

    /// Carries the order out; a stale one is refused.
    pub(crate) fn carry(&mut self, order: &Order, now_ms: i64) -> Result<(), String> {
        self.expire(now_ms);
        if order.generation < self.generation {
            return Err("stale_generation".into());
        }
        self.generation = order.generation;
        match order.kind {
            OrderKind::Set => {
                for (name, value) in &order.values {
                    self.knobs.get_mut(name).unwrap().value = value.clone();
                    let end = now_ms + i64::try_from(order.lease_ms).unwrap();
                    self.leased.insert(name.clone(), end);
                }
            }
            OrderKind::Commit => {
                for (name, value) in &order.values {
                    let knob = self.knobs.get_mut(name).unwrap();
                    knob.value = value.clone();
                    knob.baseline = value.clone();
                    self.leased.remove(name);
                }
            }
            OrderKind::Restore => {
                let names: Vec<String> = self.leased.keys().cloned().collect();
                names.iter().for_each(|name| self.revert(name));
            }
        }
        Ok(())
    }

    pub(crate) fn read(&self, order: &Order) -> Vec<(String, KnobValue)> {
        let value =
            |(name, _): &(String, KnobValue)| (name.clone(), self.knobs[name].value.clone());
        order.values.iter().map(value).collect()
    }

    pub(crate) fn holds(&self, values: &[(String, KnobValue)]) -> bool {
        values
            .iter()
            .all(|(name, value)| self.knobs[name].value == *value)
    }

    pub(crate) fn answer(&mut self, order: &Order, now_ms: i64) -> Outcome {
        let result = self.carry(order, now_ms).map(|()| self.read(order));
        Outcome {
            order: order.clone(),
            result,
            at_ms: now_ms,
        }
    }
}
