//! An engine that keeps its answers answers as one that keeps none, whatever is written, deleted,
//! merged and forgotten between two queries.

use std::{sync::Arc, time::Duration};

use model::{Batch, Durability, Matcher, Sample, SampleSink as _, SeriesReader as _, stale_nan};
use query::{Engine, QueryValue, ResultsCache};
use store::{Config, RetentionRule, Store};

use crate::{
    sim_disk::{Random, SimDisk},
    support::{HandClock, START_MS, append, labels, quiet},
};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Of every kind that reads another time than its own, and of those whose answer is made of
/// several series.
const QUERIES: &[&str] = &[
    "m",
    "-m + 1",
    "time() + scalar(sum(m))",
    "rate(c_total[5m])",
    "increase(c_total[7m] offset 3m)",
    "sum by (job) (rate(c_total[2m]))",
    "avg(sum by (job) (m)) / count(m)",
    "topk(2, m)",
    "limitk(2, m)",
    "limit_ratio(0.5, m)",
    "quantile(0.7, m)",
    "count_values(\"v\", floor(m / 10))",
    "m offset -4m",
    "m offset 10m or c_total",
    "m @ 1790001800 + c_total",
    "sum(m @ 1790003000 offset -7m)",
    "m - ignoring(job) group_left max without (job) (m)",
    "max_over_time(m[3m:20s])",
    "sum_over_time((m > 30)[10m:1m] offset -2m)",
    "avg_over_time(m[30m])",
    "absent(m{job=\"a\"})",
    "absent_over_time(c_total[2m])",
    "changes(m[5m]) > 1",
    "rate(c_total[5m] anchored)",
    "increase(c_total[5m] smoothed)",
    "m smoothed",
    "m @ end()",
    "rate(c_total[range()])",
    "max_over_time(m[step() * 2])",
    "label_replace(m, \"x\", \"$1\", \"job\", \"(.*)\")",
    "stddev_over_time(m[5m]) and on (job) c_total",
    "timestamp(m)",
];

struct Trial {
    random: Random,
    clock: Arc<HandClock>,
    now_ms: i64,
    store: Store,
    plain: Engine,
    keeping: Engine,
    cache: Arc<ResultsCache>,
}

impl Trial {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let rule = RetentionRule {
            matchers: vec![Matcher::equal("job", "b")],
            age: Duration::from_secs(3_600),
        };
        let config = Config {
            block_samples: 64,
            chunk_samples: 16,
            merge_width: 2,
            retention: Duration::from_secs(40 * 3_600),
            retention_rules: vec![rule],
            retention_1h: if random.chance(50) {
                Duration::from_secs(86_400 * 9)
            } else {
                Duration::ZERO
            },
            ..quiet()
        };
        let clock = HandClock::new();
        let disk = Arc::new(SimDisk::default());
        let cache = Arc::new(ResultsCache::new(1 << 20));
        Self {
            random,
            store: Store::open_on(disk, config, clock.clone()).unwrap(),
            clock,
            now_ms: START_MS,
            plain: Engine::default(),
            keeping: Engine::default().with_cache(Arc::clone(&cache)),
            cache,
        }
    }

    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        self.clock.advance_ms(ms);
    }

    /// Scrapes every 15 s for some time.
    fn scrape(&mut self) {
        for _ in 0..=self.random.below(12) {
            self.pass(15_000);
            for (job, share) in [("a", 100), ("b", 90), ("c", 30)] {
                if !self.random.chance(share) {
                    continue;
                }
                let (gauge, counter) = (labels("m", job), labels("c_total", job));
                let value = match self.random.below(40) {
                    0 => stale_nan(),
                    n => n as f64 * 2.5,
                };
                let total = ((self.now_ms - START_MS) % HOUR_MS) as f64 / 7.0;
                append(
                    &self.store,
                    &[(&gauge, self.now_ms, value), (&counter, self.now_ms, total)],
                );
            }
        }
    }

    /// Writes a sample of the past, perhaps over one that is there, together with one of now.
    fn come_late(&mut self) {
        let ago = self.random.below(400) as i64 * 15_000;
        let series = labels("m", if self.random.chance(50) { "a" } else { "late" });
        let value = self.random.below(100) as f64;
        let now = labels("now", "a");
        let samples = [
            (&series, self.now_ms - ago, value),
            (&now, self.now_ms, value),
        ];
        append(&self.store, &samples);
    }

    fn delete(&mut self) {
        let from_ms = self.now_ms - self.random.below(100) as i64 * MINUTE_MS;
        let any_of = [vec![Matcher::equal("job", "a")]];
        self.store
            .delete(&any_of, from_ms, from_ms + 3 * MINUTE_MS)
            .unwrap();
    }

    fn disturb(&mut self) {
        match self.random.below(60) {
            0..=2 => self.come_late(),
            3 => self.delete(),
            4..=7 => self.store.flush().unwrap(),
            8..=9 => self.store.maintain().unwrap(),
            10 => drop(self.store.compact().unwrap()),
            11 => drop(self.store.clean_tombstones().unwrap()),
            12 => self.pass(5 * HOUR_MS),
            _ => {}
        }
    }

    /// Asks as a dashboard does, of the last minutes or hours, and sometimes of other times.
    fn ask(&mut self, query: &str) {
        let step_ms = [15_000, MINUTE_MS][self.random.below(2) as usize];
        let length_ms = [10, 30, 180][self.random.below(3) as usize] * MINUTE_MS;
        let moved_ms = match self.random.below(10) {
            0 => self.random.below(120) as i64 * MINUTE_MS,
            1 => -2 * MINUTE_MS,
            _ => 0,
        };
        let end_ms = (self.now_ms - moved_ms).div_euclid(step_ms) * step_ms;
        let ask = |engine: &Engine| {
            let answer = engine.range(&self.store, query, end_ms - length_ms, end_ms, step_ms);
            let answer = answer.map_err(|error| error.to_string())?;
            let mut body = Vec::new();
            query::json::write_data(&mut body, &answer.value);
            let body = String::from_utf8(body).unwrap();
            Ok::<_, String>((body, answer.warnings, answer.infos))
        };
        let (plain, keeping) = (ask(&self.plain), ask(&self.keeping));
        assert_eq!(
            keeping, plain,
            "{query} from {length_ms} ms before {end_ms}, step {step_ms}"
        );
    }
}

#[test]
fn kept_answers_are_those_that_would_be_given_anew() {
    let mut hits = 0;
    for seed in 0..24 {
        let mut trial = Trial::new(seed);
        // Few enough queries to be asked again and again.
        let first = trial.random.below(QUERIES.len() as u64) as usize;
        for round in 0..150 {
            trial.scrape();
            trial.disturb();
            let which = first + trial.random.below(4) as usize;
            trial.ask(QUERIES[which % QUERIES.len()]);
            assert!(
                trial.cache.stats().bytes <= 1 << 20,
                "seed {seed}, round {round}"
            );
        }
        hits += trial.cache.stats().hits;
    }
    assert!(hits > 500, "{hits} of 3,600 queries found steps");
}

#[test]
fn every_kind_of_query_is_kept_unless_it_depends_on_its_range() {
    let mut trial = Trial::new(1);
    for _ in 0..40 {
        trial.scrape();
    }
    for query in QUERIES {
        let before = trial.cache.stats();
        for _ in 0..4 {
            trial.pass(15_000);
            append(&trial.store, &[(&labels("m", "a"), trial.now_ms, 1.0)]);
            let end_ms = trial.now_ms.div_euclid(15_000) * 15_000;
            let start_ms = end_ms - 30 * MINUTE_MS;
            trial
                .keeping
                .range(&trial.store, query, start_ms, end_ms, 15_000)
                .unwrap();
        }
        let after = trial.cache.stats();
        let (hits, steps) = (
            after.hits - before.hits,
            after.steps_reused - before.steps_reused,
        );
        let of_range = query.contains("end()") || query.contains("range()");
        // In the future is what may still change.
        let ahead = query.contains("-4m") || query.contains("smoothed");
        match (of_range, ahead) {
            (true, _) => assert_eq!((hits, steps), (0, 0), "{query}"),
            (_, true) => assert!(hits == 3 && steps >= 3 * 98, "{query}: {after:?}"),
            _ => assert!(hits == 3 && steps >= 3 * 110, "{query}: {hits} {steps}"),
        }
    }
}

#[test]
fn what_a_rule_or_the_retention_forgot_is_in_no_answer() {
    let mut trial = Trial::new(3);
    for _ in 0..40 {
        trial.scrape();
    }
    let (start_ms, end_ms) = (START_MS, trial.now_ms);
    let ask = |trial: &Trial, engine: &Engine| {
        let query = "count by (job) (m)";
        let answer = engine
            .range(&trial.store, query, start_ms, end_ms, 15_000)
            .unwrap();
        let QueryValue::Matrix(series) = answer.value else {
            panic!("a range query answers a matrix");
        };
        series.len()
    };
    let mut seen = Vec::new();
    for _ in 0..20 {
        let (kept, anew) = (ask(&trial, &trial.keeping), ask(&trial, &trial.plain));
        assert_eq!(kept, anew, "after {seen:?}");
        seen.push(kept);
        trial.pass(5 * HOUR_MS);
        append(&trial.store, &[(&labels("now", "a"), trial.now_ms, 1.0)]);
        trial.store.flush().unwrap();
        trial.store.maintain().unwrap();
        trial.store.compact().unwrap();
    }
    seen.dedup();
    assert_eq!(
        seen,
        [3, 2, 0],
        "a rule forgets one job, the retention the others"
    );
}

#[test]
fn a_flush_leaves_answers_as_they_are_and_a_delete_does_not() {
    let mut trial = Trial::new(2);
    for _ in 0..40 {
        trial.scrape();
    }
    let version = trial.store.changes(0).unwrap().version;
    trial.store.flush().unwrap();
    assert_eq!(trial.store.changes(version).unwrap().from_ms, i64::MAX);
    trial.delete();
    assert_eq!(trial.store.changes(version).unwrap().from_ms, i64::MIN);
    let version = trial.store.changes(0).unwrap().version;
    let refused = Batch {
        samples: vec![Sample::float(
            labels("m", "a"),
            trial.now_ms - 90 * HOUR_MS,
            1.0,
        )],
        ..Batch::default()
    };
    let refused = trial.store.append(&refused, Durability::Fast).unwrap();
    assert_eq!(refused.stored, 0);
    assert_eq!(trial.store.changes(version).unwrap().from_ms, i64::MAX);
}
