//! Random orders against the plainest possible registry: two maps and a number.

use std::{collections::BTreeMap, time::Duration};

use knob::{Knob, Order, Registry, Value};
use proptest::prelude::*;

const NAMES: [&str; 3] = ["a", "b", "c"];
const RANGE: std::ops::RangeInclusive<i64> = 1..=10;

#[derive(Debug, Clone)]
enum Act {
    Set(u64, Vec<(usize, i64)>, u64),
    Commit(u64, Vec<(usize, i64)>),
    Restore(u64),
    Wait(u64),
}

#[derive(Default)]
struct Naive {
    baseline: BTreeMap<usize, i64>,
    leased: BTreeMap<usize, (i64, u64)>,
    generation: u64,
    now: u64,
}

impl Naive {
    fn value(&self, knob: usize) -> i64 {
        let base = self.baseline.get(&knob).copied().unwrap_or(1);
        self.leased.get(&knob).map_or(base, |(value, _)| *value)
    }

    fn allowed(&self, generation: u64, values: &[(usize, i64)]) -> bool {
        generation >= self.generation
            && !values.is_empty()
            && values
                .iter()
                .all(|(knob, v)| *knob < NAMES.len() && RANGE.contains(v))
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Set(generation, values, lease) if self.allowed(*generation, values) => {
                self.generation = *generation;
                let end = self.now + lease;
                self.leased
                    .extend(values.iter().map(|(knob, v)| (*knob, (*v, end))));
            }
            Act::Commit(generation, values) if self.allowed(*generation, values) => {
                self.generation = *generation;
                for (knob, value) in values {
                    self.baseline.insert(*knob, *value);
                    self.leased.remove(knob);
                }
            }
            Act::Restore(generation) if *generation >= self.generation => {
                self.generation = *generation;
                self.leased.clear();
            }
            Act::Wait(ms) => {
                self.now += ms;
                self.leased.retain(|_, (_, end)| *end > self.now);
            }
            Act::Set(..) | Act::Commit(..) | Act::Restore(_) => {}
        }
    }
}

fn values() -> impl Strategy<Value = Vec<(usize, i64)>> {
    // Position 3 names no knob; 0 and 11 are out of range. Unique: an order is a map.
    prop::collection::btree_map(0..4_usize, 0..=11_i64, 0..3).prop_map(|m| m.into_iter().collect())
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..20_u64, values(), 1..100_u64).prop_map(|(g, v, l)| Act::Set(g, v, l)),
        (0..20_u64, values()).prop_map(|(g, v)| Act::Commit(g, v)),
        (0..20_u64).prop_map(Act::Restore),
        (0..60_u64).prop_map(Act::Wait),
    ]
}

fn order(generation: u64, values: &[(usize, i64)]) -> Order {
    let name = |knob: usize| NAMES.get(knob).copied().unwrap_or("nobody").to_string();
    let values = values.iter().map(|(knob, v)| (name(*knob), Value::Int(*v)));
    Order {
        change: 1,
        generation,
        values: values.collect(),
    }
}

proptest! {
    #[test]
    fn any_sequence_of_orders_ends_as_in_the_naive_model(acts in prop::collection::vec(act(), 1..60)) {
        let registry = Registry::default();
        let declare = |name: &&str| Knob::int(name, 1).range(RANGE).register(&registry).unwrap();
        let knobs: Vec<Knob<i64>> = NAMES.iter().map(declare).collect();
        let mut naive = Naive::default();
        for act in &acts {
            let before = (registry.state(Duration::ZERO).generation, naive.generation);
            naive.act(act);
            let now = Duration::from_millis(naive.now);
            match act {
                Act::Set(g, v, lease) => {
                    drop(registry.set(&order(*g, v), Duration::from_millis(*lease), now));
                }
                Act::Commit(g, v) => drop(registry.commit(&order(*g, v), now)),
                Act::Restore(g) => drop(registry.restore(1, *g, now)),
                Act::Wait(_) => drop(registry.tick(now)),
            }
            let state = registry.state(now);
            prop_assert!(state.generation >= before.0, "generations never fall");
            prop_assert_eq!(state.generation, naive.generation);
            for (index, knob) in knobs.iter().enumerate() {
                prop_assert_eq!(knob.get(), naive.value(index));
                prop_assert!(RANGE.contains(&knob.get()), "never outside its range");
                prop_assert_eq!(&state.values[NAMES[index]], &Value::Int(knob.get()));
            }
            prop_assert_eq!(state.lease.is_some(), !naive.leased.is_empty());
        }
    }
}
