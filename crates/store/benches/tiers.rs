//! Figures of roll-ups: long windows from samples, from block headers, from roll-ups; bytes.
//!
//! `cargo bench -p store --bench tiers`. 30 days of two series at 1 s, a counter and a gauge of two
//! decimals. CPU time of the asking thread, medians of [`ROUNDS`]; the ways take turns. Each
//! figure is one line of JSON.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{fs, sync::Arc, time::Duration};

use model::{
    Batch, Clock, Durability, LabelQuery, Labels, Metadata, ReadError, Sample, SampleSink as _,
    Selection, SeriesIter, SeriesReader,
};
use query::Engine;
use store::{Config, Store};

const DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;
/// A midnight in 2026.
const START_MS: i64 = 20_718 * DAY_MS;
const ROUNDS: usize = 11;
const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// The end of the last day.
#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn wall_ms(&self) -> i64 {
        START_MS + (DAYS + 1) * DAY_MS
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// The store's samples alone.
struct Plain<'s>(&'s Store);

impl SeriesReader for Plain<'_> {
    fn select<'a>(&'a self, selection: &Selection) -> Result<SeriesIter<'a>, ReadError> {
        self.0.select(selection)
    }

    fn series(&self, query: &LabelQuery) -> Result<Vec<Labels>, ReadError> {
        self.0.series(query)
    }

    fn label_names(&self, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        self.0.label_names(query)
    }

    fn label_values(&self, name: &str, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        self.0.label_values(name, query)
    }

    fn metadata(&self, family: Option<&str>) -> Result<Vec<Metadata>, ReadError> {
        self.0.metadata(family)
    }
}

/// Nanoseconds of CPU this thread took: the first field of `schedstat`.
fn thread_cpu_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|ns| ns.parse().ok());
    first.expect("Linux tells a thread's CPU time")
}

fn fill(store: &Store) {
    let mut state = 1_u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 40
    };
    let counter = Labels::from_pairs([("__name__", "requests_total"), ("job", "a")]);
    let gauge = Labels::from_pairs([("__name__", "load"), ("job", "a")]);
    let (mut total, mut level) = (0, 5000_i64);
    for day in 0..DAYS {
        let mut samples = Vec::new();
        for second in 0..86_400 {
            let time = START_MS + day * DAY_MS + second * 1000;
            total += noise() % 100;
            level = (level + (noise() % 21) as i64 - 10).clamp(0, 10_000);
            samples.push(Sample::float(counter.clone(), time, total as f64));
            samples.push(Sample::float(gauge.clone(), time, level as f64 / 100.0));
        }
        let batch = Batch {
            samples,
            ..Batch::default()
        };
        store
            .append(&batch, Durability::Fast)
            .expect("the store takes a day");
        store.flush().expect("a day is flushed");
    }
    let last = Sample::float(gauge, START_MS + DAYS * DAY_MS + 7_200_000, 0.0);
    let batch = Batch {
        samples: vec![last],
        ..Batch::default()
    };
    store
        .append(&batch, Durability::Fast)
        .expect("the store takes the next day");
    store.flush().expect("the next day is flushed");
    store.compact().expect("days are merged");
}

fn cpu_ms(reader: &dyn SeriesReader, query: &str, step_ms: i64) -> f64 {
    let (engine, end) = (Engine::default(), START_MS + DAYS * DAY_MS);
    let before = thread_cpu_ns();
    let answer = match step_ms {
        0 => engine.instant(reader, query, end - 12_345),
        step => engine.range(reader, query, START_MS + DAY_MS, end, step),
    };
    answer.expect("the query is answered");
    (thread_cpu_ns() - before) as f64 / 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn open(dir: &std::path::Path, config: Config) -> Store {
    let config = Config {
        background: false,
        ballast_bytes: 0,
        retention: YEAR,
        ..config
    };
    Store::open(dir, config, Arc::new(Stopped)).expect("the store opens")
}

fn main() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("there is room for a store"));
    let bare = open(dirs[0].path(), Config::default());
    fill(&bare);
    let tiers = Config {
        retention_1m: YEAR,
        retention_1h: YEAR,
        ..Config::default()
    };
    let rolled = open(dirs[1].path(), tiers.clone());
    fill(&rolled);
    let stats = rolled.stats();
    let raw = (stats.chunk_bytes + stats.index_bytes) as f64;
    println!(
        "{{\"figure\":\"bytes\",\"samples\":{},\"raw_bytes\":{raw},\"rollups\":{},\"points\":{},\"rollup_bytes\":{},\"rollup_bytes_per_raw_byte\":{:.3}}}",
        stats.part_samples,
        stats.rollups,
        stats.rollup_points,
        stats.rollup_bytes,
        stats.rollup_bytes as f64 / raw
    );
    for (query, step_ms) in [
        ("max_over_time(load[30d])", 0),
        ("sum_over_time(load[30d])", 0),
        ("increase(requests_total[30d])", 0),
        ("max_over_time(load[1d])", DAY_MS),
        ("max_over_time(load[1h])", 3_600_000),
        ("rate(requests_total[1h])", 3_600_000),
        ("max_over_time(load[1d])", 3_600_000),
    ] {
        let plain = Plain(&bare);
        let ways: [&dyn SeriesReader; 3] = [&plain, &bare, &rolled];
        let mut taken = [(); 3].map(|()| Vec::new());
        for _ in 0..ROUNDS {
            for (way, taken) in ways.iter().zip(&mut taken) {
                taken.push(cpu_ms(*way, query, step_ms));
            }
        }
        let [samples, headers, rollups] = taken.map(median);
        println!(
            "{{\"figure\":\"query\",\"query\":\"{query}\",\"step_s\":{},\"cpu_ms_samples\":{samples:.3},\"cpu_ms_headers\":{headers:.3},\"cpu_ms_rollups\":{rollups:.3}}}",
            step_ms / 1000
        );
    }
}
