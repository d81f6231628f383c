//! The cache against a plain list, and its live knobs.

use std::{collections::BTreeMap, time::Duration};

use knob::{Order, Value};
use proptest::prelude::*;
use runtime::{
    cache::{Cache, Config},
    metrics::{Format, Registry},
};

const CAPACITY: i64 = 16;
const TTL_MS: i64 = 100;

struct Fixture {
    cache: Cache<u32, u32>,
    knobs: knob::Registry,
    metrics: Registry,
}

fn fixture() -> Fixture {
    let (knobs, metrics) = (knob::Registry::default(), Registry::default());
    let config = Config {
        capacity: CAPACITY,
        ttl_ms: TTL_MS,
    };
    let cache = Cache::new("things", config, &knobs, &metrics).unwrap();
    Fixture {
        cache,
        knobs,
        metrics,
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Fixture {
    fn insert(&self, key: u32, now: Duration) {
        let ticket = self.cache.ticket(&key);
        self.cache.insert(key, key * 10, ticket, now);
    }

    fn commit(&self, knob: &str, value: i64) {
        let order = Order {
            change: 1,
            generation: 1,
            values: BTreeMap::from([(knob.into(), Value::Int(value))]),
        };
        self.knobs.commit(&order, Duration::ZERO).unwrap();
    }

    fn metric(&self, line: &str) -> String {
        let text = self.metrics.render(Format::Prometheus);
        let found = text.lines().find_map(|l| l.strip_prefix(line));
        found.expect("the series is there").trim().to_string()
    }
}

#[test]
fn the_entry_used_longest_ago_goes_first() {
    let f = fixture();
    for key in 0..16 {
        f.insert(key, ms(0));
    }
    assert_eq!(f.cache.get(&0, ms(1)), Some(0));
    f.insert(100, ms(1));
    assert_eq!(f.cache.get(&1, ms(1)), None, "1 was used longest ago");
    assert_eq!(f.cache.get(&0, ms(1)), Some(0));
    assert_eq!(
        f.metric("cache_evictions_total{cache=\"things\",reason=\"capacity\"}"),
        "1"
    );
    assert_eq!(f.metric("cache_hits_total{cache=\"things\"}"), "2");
    assert_eq!(f.metric("cache_misses_total{cache=\"things\"}"), "1");
}

#[test]
fn an_entry_is_never_served_once_its_time_is_over() {
    let f = fixture();
    f.insert(1, ms(0));
    assert_eq!(f.cache.get(&1, ms(99)), Some(10));
    assert_eq!(f.cache.get(&1, ms(100)), None);
    f.insert(2, ms(100));
    f.commit("cache.things.ttl_ms", 20);
    assert_eq!(f.cache.get(&2, ms(119)), Some(20));
    assert_eq!(
        f.cache.get(&2, ms(120)),
        None,
        "a shorter life holds at once"
    );
}

#[test]
fn a_smaller_capacity_is_reached_gradually_and_then_kept() {
    let f = fixture();
    f.commit("cache.things.capacity", 1_000);
    for key in 0..1_000 {
        f.insert(key, ms(0));
    }
    f.commit("cache.things.capacity", 16);
    assert_eq!(f.cache.get(&999, ms(0)), Some(9_990));
    let after_one = f.cache.len();
    assert!(
        after_one > 800,
        "one access pays for a few evictions, not for all"
    );
    for _ in 0..40 {
        assert_eq!(f.cache.get(&999, ms(0)), Some(9_990), "the newest stay");
    }
    assert_eq!(f.cache.len(), 16);
    f.insert(2_000, ms(0));
    assert_eq!(f.cache.len(), 16);
}

#[test]
fn a_value_loaded_before_a_change_is_not_remembered_after_it() {
    let f = fixture();
    let ticket = f.cache.ticket(&1);
    f.cache.update(&1, 77, ms(0));
    f.cache.insert(1, 76, ticket, ms(0));
    assert_eq!(f.cache.get(&1, ms(0)), None, "an outdated value is refused");
    f.insert(1, ms(0));
    f.cache.update(&1, 78, ms(0));
    assert_eq!(
        f.cache.get(&1, ms(0)),
        Some(78),
        "a remembered one is replaced"
    );
}

/// The same rules over a vector in order of use.
#[derive(Default)]
struct Naive(Vec<(u32, u32, u64)>);

impl Naive {
    fn get(&mut self, key: u32, now: u64) -> Option<u32> {
        let at = self.0.iter().position(|(k, ..)| *k == key)?;
        if now - self.0[at].2 >= TTL_MS as u64 {
            return None;
        }
        let entry = self.0.remove(at);
        self.0.push(entry);
        Some(entry.1)
    }

    fn put(&mut self, key: u32, value: u32, now: u64, only_known: bool) {
        if let Some(entry) = self.0.iter_mut().find(|(k, ..)| *k == key) {
            (entry.1, entry.2) = (value, now);
        } else if !only_known {
            if self.0.len() == CAPACITY as usize {
                self.0.remove(0);
            }
            self.0.push((key, value, now));
        }
    }
}

proptest! {
    #[test]
    fn any_sequence_of_uses_gives_what_a_plain_list_gives(
        acts in prop::collection::vec((0..3_u8, 0..30_u32, 0..1_000_u32, 0..20_u64), 1..400)
    ) {
        let f = fixture();
        let (mut naive, mut now) = (Naive::default(), 0);
        for (act, key, value, pause) in acts {
            now += pause;
            match act {
                0 => prop_assert_eq!(f.cache.get(&key, ms(now)), naive.get(key, now)),
                1 => {
                    let ticket = f.cache.ticket(&key);
                    f.cache.insert(key, value, ticket, ms(now));
                    naive.put(key, value, now, false);
                }
                _ => {
                    f.cache.update(&key, value, ms(now));
                    naive.put(key, value, now, true);
                }
            }
            prop_assert_eq!(f.cache.len(), naive.0.len());
        }
    }
}
