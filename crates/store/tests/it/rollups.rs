//! Roll-ups and headers answer as the samples do; where only roll-ups are left, they answer by
//! themselves and say so.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use model::{
    DigestIter, Histogram, LabelQuery, Labels, Metadata, ReadError, ResetHint, Sample,
    SampleSink as _, Selection, SeriesIter, SeriesReader, Value, Windows,
};
use query::{Answer, Engine, QueryValue};
use store::{Config, Store};

use crate::{
    sim_disk::{Random, SimDisk},
    support::{HandClock, START_MS, append, batch, everything, labels, quiet},
};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
const YEAR: Duration = Duration::from_secs(366 * 86_400);
/// The midnight before hand clocks start.
const MIDNIGHT: i64 = START_MS / DAY_MS * DAY_MS;

fn config() -> Config {
    Config {
        block_samples: 128,
        retention: YEAR,
        retention_1m: YEAR,
        retention_1h: 2 * YEAR,
        ..quiet()
    }
}

fn open(disk: &SimDisk, config: &Config, clock: &Arc<HandClock>) -> Store {
    Store::open_on(Arc::new(disk.clone()), config.clone(), clock.clone()).unwrap()
}

/// The same store without headers and roll-ups.
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

/// The store, counting what its digests hand out.
struct Counting<'s> {
    store: &'s Store,
    /// Runs, samples.
    told: Mutex<(usize, usize)>,
}

impl SeriesReader for Counting<'_> {
    fn select<'a>(&'a self, selection: &Selection) -> Result<SeriesIter<'a>, ReadError> {
        self.store.select(selection)
    }

    fn digest<'a>(
        &'a self,
        selection: &Selection,
        windows: &Windows,
    ) -> Result<Option<DigestIter<'a>>, ReadError> {
        let digests = self.store.digest(selection, windows)?;
        let count = |digest: &Result<model::Digest, ReadError>| {
            let digest = digest.as_ref().unwrap();
            let mut told = self.told.lock().unwrap();
            told.0 += digest.runs.len();
            told.1 += digest.samples.times_ms.len();
        };
        Ok(digests.map(|digests| Box::new(digests.inspect(count)) as DigestIter<'a>))
    }

    fn series(&self, query: &LabelQuery) -> Result<Vec<Labels>, ReadError> {
        self.store.series(query)
    }

    fn label_names(&self, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        self.store.label_names(query)
    }

    fn label_values(&self, name: &str, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        self.store.label_values(name, query)
    }

    fn metadata(&self, family: Option<&str>) -> Result<Vec<Metadata>, ReadError> {
        self.store.metadata(family)
    }
}

/// Functions, and whether rounding may differ.
const FUNCTIONS: [(&str, bool); 14] = [
    ("count_over_time", false),
    ("present_over_time", false),
    ("sum_over_time", true),
    ("avg_over_time", true),
    ("min_over_time", false),
    ("max_over_time", false),
    ("first_over_time", false),
    ("last_over_time", false),
    ("ts_of_first_over_time", false),
    ("ts_of_last_over_time", false),
    ("rate", true),
    ("increase", true),
    ("delta", false),
    ("resets", false),
];

/// Every point of an answer as text for its place, and value.
fn points(answer: &Answer) -> Vec<(String, f64)> {
    let mut points = Vec::new();
    match &answer.value {
        QueryValue::Vector(samples) => {
            for sample in samples {
                let Value::Float(value) = &sample.value else {
                    continue;
                };
                points.push((sample.labels.to_string(), *value));
            }
        }
        QueryValue::Matrix(all) => {
            for series in all {
                for (time, value) in &series.floats {
                    points.push((format!("{} @{time}", series.labels), *value));
                }
            }
        }
        other => panic!("{other:?}"),
    }
    points.sort_by(|a, b| a.0.cmp(&b.0));
    points
}

fn check_equal(query: &str, exact: bool, plain: &Answer, fast: &Answer) {
    let (plain_points, fast_points) = (points(plain), points(fast));
    let places = |all: &[(String, f64)]| all.iter().map(|p| p.0.clone()).collect::<Vec<_>>();
    assert_eq!(places(&fast_points), places(&plain_points), "{query}");
    for ((place, expected), (_, found)) in plain_points.iter().zip(&fast_points) {
        let same = expected.to_bits() == found.to_bits() || expected.is_nan() && found.is_nan();
        let near = !exact && (expected - found).abs() <= 1e-12 * expected.abs();
        assert!(same || near, "{query} {place}: {expected:?} but {found:?}");
    }
    assert_eq!(
        (&plain.warnings, &plain.infos),
        (&fast.warnings, &fast.infos),
        "{query}"
    );
}

/// Asks everything over some windows, of samples and of headers and roll-ups.
fn compare(store: &Store, random: &mut Random, rounds: u64) -> (usize, usize) {
    let engine = Engine::default();
    let fast = Counting {
        store,
        told: Mutex::default(),
    };
    for round in 0..rounds {
        let range = [300_000, HOUR_MS, 6 * HOUR_MS + 7, DAY_MS, 36 * HOUR_MS];
        let range = range[random.below(5) as usize];
        let unit = [1, 1000, MINUTE_MS, HOUR_MS][random.below(4) as usize];
        let any = MIDNIGHT - DAY_MS + random.below(3 * DAY_MS as u64) as i64;
        let end = any / unit * unit;
        let step = [HOUR_MS, 20 * MINUTE_MS, 7 * HOUR_MS + 1][random.below(3) as usize];
        for (function, rounds_off) in FUNCTIONS {
            let query = format!("{function}({{job=~\".+\"}}[{range}ms])");
            let (plain, found) = if round % 2 == 0 {
                let ask = |reader: &dyn SeriesReader| engine.instant(reader, &query, end).unwrap();
                (ask(&Plain(store)), ask(&fast))
            } else {
                let start = end - 5 * step;
                let ask = |reader: &dyn SeriesReader| {
                    engine.range(reader, &query, start, end, step).unwrap()
                };
                (ask(&Plain(store)), ask(&fast))
            };
            check_equal(
                &format!("{query} at {end} by {step}"),
                !rounds_off,
                &plain,
                &found,
            );
        }
    }
    fast.told.into_inner().unwrap()
}

/// Two days of one series, with gaps, resets, odd values and markers.
fn samples(random: &mut Random, kind: u64) -> Vec<(i64, f64)> {
    let mut samples = Vec::new();
    let (mut time, mut total) = (MIDNIGHT - DAY_MS - HOUR_MS, 0.0);
    let pace = [10_000, 30_000, 47_123][random.below(3) as usize];
    while time < MIDNIGHT + DAY_MS / 2 {
        time += match random.below(400) {
            0 => random.below(3 * HOUR_MS as u64) as i64,
            1 => MINUTE_MS - time.rem_euclid(MINUTE_MS),
            2..40 => 1 + random.below(pace as u64) as i64,
            _ => pace,
        };
        total += random.below(1000) as f64 / 8.0;
        if random.below(300) == 0 {
            total = random.below(10) as f64;
        }
        let value = match (kind, random.below(150)) {
            (_, 0) => model::stale_nan(),
            (0, _) => total,
            (1, 1) => f64::NAN,
            (1, 2) => -0.0,
            (1, 3) => 0.0,
            (1, _) => (random.below(2000) as f64 - 1000.0) / 7.0,
            (2, 1) => f64::INFINITY,
            (2, 2) => f64::NEG_INFINITY,
            (2, 3) => 1e308,
            (2, 4) => -1e308,
            (2, _) => random.below(5) as f64,
            _ => 42.5,
        };
        samples.push((time, value));
    }
    samples
}

fn story(seed: u64) -> (usize, usize) {
    let mut random = Random(seed);
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    clock.advance_ms(2 * DAY_MS);
    let store = open(&disk, &config(), &clock);
    let mut all = Vec::new();
    for kind in 0..4 {
        let of = labels(
            "noise_total",
            ["counter", "gauge", "wild", "constant"][kind as usize],
        );
        let told = samples(&mut random, kind);
        all.extend(
            told.into_iter()
                .map(|(time, value)| (of.clone(), time, value)),
        );
    }
    all.sort_by_key(|(_, time, _)| *time);
    let pieces = all.len() / (1 + random.below(6) as usize);
    for piece in all.chunks(pieces.max(1)) {
        let piece: Vec<_> = piece.iter().map(|(l, t, v)| (l, *t, *v)).collect();
        store
            .append(&batch(&piece), model::Durability::Fast)
            .unwrap();
        if random.chance(70) {
            store.flush().unwrap();
        }
    }
    store.flush().unwrap();
    store.compact().unwrap();
    assert_eq!(
        store.stats().rolled_up,
        4,
        "two days, two tiers: {:?}",
        store.stats()
    );
    let told = compare(&store, &mut random, 6);
    // Late samples, and values written over, in a day that is rolled up: seen at once, and after
    // the roll-up was made anew.
    let late: Vec<_> = (0..1 + random.below(30))
        .map(|_| {
            let (of, time, _) = &all[random.below(all.len() as u64) as usize];
            let beside = random.below(2) as i64;
            (of, time + beside, random.below(5000) as f64)
        })
        .collect();
    append(&store, &late);
    compare(&store, &mut random, 2);
    store.flush().unwrap();
    compare(&store, &mut random, 2);
    let before = store.stats().rolled_up;
    store.compact().unwrap();
    let whole_days: BTreeSet<i64> = late
        .iter()
        .map(|(_, time, _)| time.div_euclid(DAY_MS))
        .filter(|day| *day < MIDNIGHT / DAY_MS)
        .collect();
    assert_eq!(
        store.stats().rolled_up - before,
        2 * whole_days.len() as u64
    );
    compare(&store, &mut random, 2);
    drop(store);
    let store = open(&disk, &config(), &clock);
    assert_eq!(store.stats().parts_quarantined, 0);
    compare(&store, &mut random, 2);
    told
}

#[test]
fn headers_and_roll_ups_answer_as_the_samples_do() {
    let (mut runs, mut plain) = (0, 0);
    for seed in 0..10 {
        let told = story(seed);
        runs += told.0;
        plain += told.1;
    }
    assert!(runs > 10_000, "{runs} runs");
    assert!(plain > 1000, "{plain} samples");
}

/// A counter at one sample a second that is reset now and then, over some days.
fn fill(store: &Store, days: i64) -> Labels {
    let of = labels("requests_total", "a");
    for day in 0..days {
        let begin = MIDNIGHT + day * DAY_MS;
        let times = (0..DAY_MS / 10_000).map(|i| begin + i * 10_000);
        let value = |t: i64| ((t / 10_000) % 5000) as f64;
        let day: Vec<_> = times.map(|t| (&of, t, value(t))).collect();
        append(store, &day);
        store.flush().unwrap();
    }
    of
}

fn bytes_of_parts(disk: &SimDisk) -> u64 {
    let names = disk.names();
    let parts = names.iter().filter(|(name, _)| name.starts_with("part-"));
    parts.map(|(_, bytes)| bytes).sum()
}

fn value_of(answer: &Answer) -> f64 {
    let found = points(answer);
    assert_eq!(found.len(), 1, "{answer:?}");
    found[0].1
}

#[test]
fn where_samples_are_gone_the_finest_roll_up_answers_and_says_so() {
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    let aged = Config {
        retention: Duration::from_secs(2 * 86_400),
        retention_1m: Duration::from_secs(6 * 86_400),
        ..config()
    };
    clock.advance_ms(12 * DAY_MS);
    let store = open(&disk, &config(), &clock);
    let of = fill(&store, 10);
    store.compact().unwrap();
    let engine = Engine::default();
    let queries = [
        "max_over_time(requests_total[1d])",
        "min_over_time(requests_total[1d])",
        "sum_over_time(requests_total[1d])",
        "count_over_time(requests_total[1d])",
        "increase(requests_total[1d])",
        "resets(requests_total[1d])",
    ];
    let noons: Vec<i64> = (0..9).map(|d| MIDNIGHT + d * DAY_MS + DAY_MS / 2).collect();
    let ask = |store: &Store, query: &str, at: i64| engine.instant(store, query, at).unwrap();
    let expected: Vec<Vec<f64>> = queries
        .iter()
        .map(|q| {
            noons
                .iter()
                .skip(1)
                .map(|t| value_of(&ask(&store, q, *t)))
                .collect()
        })
        .collect();
    drop(store);
    let store = open(&disk, &aged, &clock);
    let bytes_before = bytes_of_parts(&disk);
    store.maintain().unwrap();
    // A week at once is believed when the clock has stood for an hour.
    assert_eq!(store.stats().forgotten_by_age, 0);
    clock.advance_ms(3_600_000);
    store.maintain().unwrap();
    let bytes_after = bytes_of_parts(&disk);
    let stats = store.stats();
    assert!(stats.forgotten_by_age >= 10, "{stats:?}");
    assert_eq!(
        bytes_before - bytes_after,
        stats.forgotten_bytes,
        "space is reclaimed"
    );
    assert_eq!(stats.parts, 3, "the last days");
    for (query, expected) in queries.iter().zip(&expected) {
        for (at, expected) in noons.iter().skip(1).zip(expected) {
            let answer = ask(&store, query, *at);
            let found = value_of(&answer);
            assert!(
                (found - expected).abs() <= 1e-12 * expected.abs(),
                "{query} at {at}: {found} instead of {expected}"
            );
            let old = at - DAY_MS < MIDNIGHT + 7 * DAY_MS;
            let every = if *at - DAY_MS < MIDNIGHT + 3 * DAY_MS {
                "every 3600s"
            } else {
                "every 60s"
            };
            assert_eq!(
                answer.infos.iter().any(|i| i.contains(every)),
                old,
                "{answer:?}"
            );
        }
    }
    // Instant values are exact samples: the last one of each minute, or hour.
    let minutes = ask(&store, "requests_total", MIDNIGHT + 5 * DAY_MS + HOUR_MS);
    let value = |t: i64| ((t / 10_000) % 5000) as f64;
    assert_eq!(value_of(&minutes), value(MIDNIGHT + 5 * DAY_MS + HOUR_MS));
    let hours = ask(
        &store,
        "requests_total",
        MIDNIGHT + DAY_MS + HOUR_MS + 59 * MINUTE_MS,
    );
    assert_eq!(value_of(&hours), value(MIDNIGHT + DAY_MS + HOUR_MS));
    // They are listed, and restarts change nothing.
    let query = LabelQuery {
        any_of: Vec::new(),
        from_ms: MIDNIGHT,
        to_ms: MIDNIGHT + DAY_MS,
        limit: 0,
    };
    assert_eq!(store.series(&query).unwrap(), [of]);
    let before = everything(&store);
    drop(store);
    assert_eq!(everything(&open(&disk, &aged, &clock)), before);
}

#[test]
fn samples_wait_for_their_roll_up_whatever_the_retention() {
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    let short = Config {
        retention: Duration::from_secs(3600),
        retention_1m: YEAR,
        ..config()
    };
    let store = open(&disk, &short, &clock);
    let of = labels("up", "a");
    for i in 0..30 * 60 {
        let time = MIDNIGHT + DAY_MS + i * MINUTE_MS;
        clock.advance_ms((time - model::Clock::wall_ms(&*clock)).max(0));
        append(&store, &[(&of, time, i as f64)]);
        if i % 200 == 199 {
            store.flush().unwrap();
            store.maintain().unwrap();
        }
    }
    store.compact().unwrap();
    store.maintain().unwrap();
    let stats = store.stats();
    assert_eq!(
        (stats.rolled_up, stats.forgotten_by_age),
        (2, 1),
        "{stats:?}"
    );
    let found = everything(&store).remove(0);
    assert_eq!(
        found.times_ms.len(),
        30 * 60,
        "a sample a minute is all there was"
    );
}

#[test]
fn histograms_are_thinned_so_that_increases_stay() {
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    clock.advance_ms(4 * DAY_MS);
    let store = open(&disk, &config(), &clock);
    let of = labels("latency", "a");
    let mut count = 0.0;
    let mut sent = Vec::new();
    for i in 0..DAY_MS / 10_000 {
        count = if i % 77 == 76 { 1.0 } else { count + 3.0 };
        let histogram = Histogram {
            count,
            sum: count * 2.0,
            zero_count: count,
            ..Histogram::default()
        };
        sent.push(Sample {
            labels: of.clone(),
            time_ms: MIDNIGHT + i * 10_000,
            value: Value::Histogram(Arc::new(histogram)),
        });
    }
    let of_day = model::Batch {
        samples: sent,
        ..model::Batch::default()
    };
    store.append(&of_day, model::Durability::Fast).unwrap();
    append(&store, &[(&labels("up", "a"), MIDNIGHT + 3 * DAY_MS, 1.0)]);
    store.flush().unwrap();
    store.compact().unwrap();
    let engine = Engine::default();
    let ask = |store: &Store| {
        let query = "histogram_count(increase(latency[23h]))";
        value_of(
            &engine
                .instant(store, query, MIDNIGHT + DAY_MS - 10_000)
                .unwrap(),
        )
    };
    let before = ask(&store);
    drop(store);
    let aged = Config {
        retention: Duration::from_secs(86_400),
        ..config()
    };
    let store = open(&disk, &aged, &clock);
    store.maintain().unwrap();
    assert_eq!(store.stats().forgotten_by_age, 1);
    let after = ask(&store);
    // The windows' edges are extrapolated over: a minute of 23 hours, not ten seconds.
    assert!(
        (after / before - 1.0).abs() < 2e-3,
        "{after} instead of {before}"
    );
    let left = everything(&store);
    let series = left.iter().find(|s| s.labels == of).unwrap();
    assert!(series.times_ms.len() < 1700, "{}", series.times_ms.len());
    let said = series.histograms.iter().flatten();
    assert_eq!(
        said.filter(|h| h.reset_hint == ResetHint::Reset).count(),
        112
    );
}

#[test]
fn the_byte_limit_holds_under_load_and_spares_roll_ups() {
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    let limit = 150_000;
    let limited = Config {
        retention_bytes: limit,
        flush_bytes: 20_000,
        ballast_bytes: 0,
        ..config()
    };
    let store = open(&disk, &limited, &clock);
    let mut random = Random(1);
    let names: Vec<Labels> = (0..10).map(|i| labels("noise", &format!("{i}"))).collect();
    let mut most = 0;
    for i in 0..3 * 24 * 60 {
        let time = MIDNIGHT + i * MINUTE_MS;
        clock.advance_ms((time - model::Clock::wall_ms(&*clock)).max(0));
        let samples: Vec<_> = names
            .iter()
            .map(|of| (of, time, random.next() as f64))
            .collect();
        append(&store, &samples);
        store.maintain().unwrap();
        let bytes: u64 = disk.names().iter().map(|(_, bytes)| bytes).sum();
        most = most.max(bytes);
        // One flush of what the log may hold comes on top until it is judged.
        assert!(
            bytes <= limit + 2 * 20_000,
            "{bytes} bytes after {i} minutes"
        );
    }
    let stats = store.stats();
    assert!(most > limit / 2, "the limit is met, not evaded: {most}");
    assert!(stats.forgotten_by_bytes > 0, "{stats:?}");
    assert!(stats.rollups > 0, "samples go first: {stats:?}");
    let left = everything(&store);
    let newest = left.iter().filter_map(|s| s.times_ms.last()).max();
    assert_eq!(newest, Some(&(MIDNIGHT + (3 * 24 * 60 - 1) * MINUTE_MS)));
}

/// A short day with everything a roll-up has a column for.
fn golden_day(store: &Store) {
    let (counter, gauge) = (labels("requests_total", "a"), labels("load", "a"));
    let latency = labels("latency", "a");
    for i in 0..150_i64 {
        let time_ms = MIDNIGHT + i * 30_000;
        let odd = match i {
            70 => f64::NAN,
            71 => model::stale_nan(),
            72 => -0.0,
            _ => (i * 7 % 11) as f64 / 10.0,
        };
        append(
            store,
            &[
                (&counter, time_ms, ((i % 101) * 4) as f64),
                (&gauge, time_ms, odd),
            ],
        );
        let histogram = Histogram {
            count: (i % 20) as f64,
            sum: i as f64 / 2.0,
            ..Histogram::default()
        };
        let sample = Sample {
            labels: latency.clone(),
            time_ms,
            value: Value::Histogram(Arc::new(histogram)),
        };
        let alone = model::Batch {
            samples: vec![sample],
            ..model::Batch::default()
        };
        store.append(&alone, model::Durability::Fast).unwrap();
    }
    append(store, &[(&gauge, MIDNIGHT + 2 * DAY_MS, 1.0)]);
    store.flush().unwrap();
    store.compact().unwrap();
}

/// `docs/formats`: today's code writes the golden roll-ups again, and reads them when they are
/// all that is left. `UPDATE_GOLDENS=1` writes them anew.
#[test]
fn roll_ups_are_written_and_read_as_ever() {
    let testdata = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/rollups");
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    clock.advance_ms(3 * DAY_MS);
    let store = open(&disk, &config(), &clock);
    golden_day(&store);
    assert_eq!(store.stats().rollups, 2);
    let names: Vec<String> = disk.names().into_iter().map(|(name, _)| name).collect();
    let parts = names.iter().filter(|name| name.starts_with("part-"));
    let rollups: Vec<&String> = parts.rev().take(2).collect();
    let old = SimDisk::default();
    for name in rollups {
        let file = store::Disk::open(&disk, name).unwrap();
        let mut today = vec![0; file.bytes() as usize];
        file.read_at(0, &mut today).unwrap();
        let path = testdata.join(name);
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            std::fs::create_dir_all(&testdata).unwrap();
            std::fs::write(&path, &today).unwrap();
        }
        let golden = std::fs::read(&path).unwrap();
        assert!(golden == today, "{name} differs from its golden file");
        let copy = store::Disk::create(&old, name).unwrap();
        copy.append(&golden).unwrap();
        copy.sync().unwrap();
    }
    store::Disk::sync_dir(&old).unwrap();
    let alone = open(&old, &config(), &clock);
    let engine = Engine::default();
    for query in [
        "max_over_time(load[1d])",
        "sum_over_time(requests_total[1d])",
        "increase(requests_total[1d])",
        "count_over_time(load[1d])",
    ] {
        let ask = |reader: &dyn SeriesReader| {
            value_of(
                &engine
                    .instant(reader, query, MIDNIGHT + DAY_MS - 1)
                    .unwrap(),
            )
        };
        let (left, all) = (ask(&alone), ask(&Plain(&store)));
        assert!(
            left == all || left.is_nan() && all.is_nan(),
            "{query}: {left} instead of {all}"
        );
    }
    let histograms = everything(&alone)
        .into_iter()
        .find(|s| s.labels == labels("latency", "a"))
        .unwrap();
    let resets = histograms.histograms.iter().flatten();
    let resets = resets.filter(|h| h.reset_hint == ResetHint::Reset);
    assert_eq!(resets.count(), 7);
}

#[test]
fn rules_wait_for_an_hour_when_the_clock_leaps() {
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    let ruled = Config {
        retention: Duration::from_secs(20 * 366 * 86_400),
        retention_rules: vec![store::RetentionRule {
            matchers: vec![model::Matcher::equal("__name__", "debug_up")],
            age: Duration::from_secs(30 * 86_400),
        }],
        ..config()
    };
    let store = open(&disk, &ruled, &clock);
    let gone = labels("debug_up", "a");
    for hour in 0..48 {
        let time = model::Clock::wall_ms(&*clock);
        append(&store, &[(&gone, time, f64::from(hour))]);
        clock.advance_ms(HOUR_MS);
        store.maintain().unwrap();
    }
    clock.advance_ms(3_660 * DAY_MS);
    append(&store, &[(&gone, model::Clock::wall_ms(&*clock), 9.0)]);
    store.flush().unwrap();
    for _ in 0..20 {
        store.maintain().unwrap();
    }
    let samples = || everything(&store)[0].times_ms.len();
    assert_eq!(
        samples(),
        49,
        "a clock that is wrong for a while harms nothing"
    );
    clock.advance_ms(HOUR_MS);
    for _ in 0..20 {
        store.maintain().unwrap();
    }
    assert_eq!(samples(), 1, "ten years that stay are ten years");
}

#[test]
fn rules_forget_some_series_earlier_in_samples_and_roll_ups() {
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    let ruled = Config {
        retention_rules: vec![store::RetentionRule {
            matchers: vec![
                model::Matcher::new("__name__", model::MatchOp::Regex, "debug_.*").unwrap(),
            ],
            age: Duration::from_secs(3 * 86_400),
        }],
        ..config()
    };
    clock.advance_ms(9 * DAY_MS);
    let store = open(&disk, &ruled, &clock);
    let (kept, gone) = (labels("up", "a"), labels("debug_up", "a"));
    let only = labels("debug_only", "a");
    for hour in 0..8 * 24 {
        let time = MIDNIGHT + hour * HOUR_MS;
        append(&store, &[(&kept, time, 1.0), (&gone, time, 2.0)]);
    }
    append(&store, &[(&only, MIDNIGHT - HOUR_MS, 3.0)]);
    store.flush().unwrap();
    while store.compact().unwrap() > 0 {
        store.maintain().unwrap();
    }
    let found = everything(&store);
    let names: Vec<&Labels> = found.iter().map(|s| &s.labels).collect();
    assert_eq!(names, [&gone, &kept], "a day of nothing else went whole");
    // The newest sample is at 23:00 of the eighth day: five days are not older than three yet.
    assert_eq!(found[0].times_ms[0], MIDNIGHT + 4 * DAY_MS);
    assert_eq!(
        (found[0].times_ms.len(), found[1].times_ms.len()),
        (4 * 24, 8 * 24)
    );
    let all = Selection {
        matchers: vec![model::Matcher::equal("job", "a")],
        from_ms: i64::MIN + 1,
        to_ms: i64::MAX - 1,
    };
    let told = store.summaries(&all).unwrap();
    let counts: Vec<u64> = told.iter().map(|(_, summary)| summary.count).collect();
    assert_eq!(counts, [8 * 24, 4 * 24], "in the order of label bytes");
    assert!(
        store.thinned(i64::MIN, i64::MAX).is_empty(),
        "no roll-up was left behind"
    );
    assert_eq!(store.compact().unwrap(), 0, "and then there is peace");
}
