//! Properties of evaluation, and its bounds.

use std::sync::atomic::{AtomicUsize, Ordering};

use model::{Labels, Sample, stale_nan};
use proptest::prelude::*;
use query::{
    Account, Engine, Limits, MatrixSeries, Options, Phase, QueryError, QueryValue, Stop, Watch,
};
use testkit::MemoryStore;

const MINUTE: i64 = 60_000;

/// Two counters and a gauge of each of three jobs, with gaps, resets and staleness markers.
fn store(seed: u64) -> MemoryStore {
    let store = MemoryStore::new();
    let mut state = seed | 1;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for series in 0..9 {
        let names = ["requests_total", "errors_total", "load"];
        let labels = Labels::from_pairs([
            ("__name__", names[series % 3]),
            ("job", ["a", "b", "c"][series / 3]),
            ("cpu", ["0", "1"][series % 2]),
        ]);
        let mut value = 0.0;
        for i in 0..120 {
            let draw = next() % 20;
            if draw == 0 {
                continue;
            }
            value = if draw == 1 {
                0.0
            } else {
                value + (next() % 1000) as f64 / 8.0
            };
            let value = if draw == 2 { stale_nan() } else { value };
            let time_ms = i * 15_000 + (next() % 3_000) as i64;
            store.insert(&Sample::float(labels.clone(), time_ms, value), None);
        }
    }
    store
}

/// One series `x` with 1,000 samples.
fn plain() -> MemoryStore {
    let store = MemoryStore::new();
    let labels = Labels::from_pairs([("__name__", "x")]);
    for i in 0..1000 {
        store.insert(&Sample::float(labels.clone(), i * 1000, i as f64), None);
    }
    store
}

fn matrix(value: QueryValue) -> Vec<MatrixSeries> {
    match value {
        QueryValue::Matrix(series) => series,
        other => panic!("no matrix: {other:?}"),
    }
}

const QUERIES: &[&str] = &[
    "load",
    "rate(requests_total[5m])",
    "increase(requests_total[2m] offset 1m)",
    "delta(load[3m])",
    "irate(errors_total[4m])",
    "sum by (job) (rate(requests_total[5m]))",
    "avg without (cpu) (load)",
    "max_over_time(load[5m]) - min_over_time(load[5m])",
    "sum_over_time(load[7m]) / count_over_time(load[7m])",
    "avg_over_time(load[10m])",
    "quantile_over_time(0.9, load[5m])",
    "changes(load[5m]) + resets(requests_total[5m])",
    "stddev_over_time(load[5m])",
    "deriv(load[5m])",
    "predict_linear(load[5m], 60)",
    "requests_total / on (job, cpu) group_left errors_total",
    "errors_total / ignoring (cpu) group_right () sum without (cpu) (load)",
    "load > 100 and on (job) errors_total",
    "load or requests_total unless errors_total",
    "topk(2, load)",
    "bottomk by (job) (1, requests_total)",
    "quantile(0.5, load)",
    "count_values(\"v\", sgn(load))",
    "max_over_time(rate(requests_total[2m])[5m:30s])",
    "scalar(sum(load)) + time()",
    "absent(load{job=\"a\"}) or absent_over_time(load{job=\"z\"}[5m])",
    "label_replace(load, \"n\", \"$1-x\", \"job\", \"(.*)\")",
    "clamp(load, 10, 200) % 7",
    "hour(timestamp(load))",
    "load @ 600 + on (job, cpu) load offset -1m",
    "histogram_quantile(0.5, label_replace(requests_total, \"le\", \"$1\", \"cpu\", \"(.*)\"))",
];

fn close(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
        || (a.is_nan() && b.is_nan())
        || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-6)
}

/// The points of a matrix at one time.
fn at(series: &[MatrixSeries], time_ms: i64) -> Vec<(Labels, f64)> {
    let point = |s: &MatrixSeries| {
        s.floats
            .iter()
            .find(|(t, _)| *t == time_ms)
            .map(|(_, v)| *v)
    };
    series
        .iter()
        .filter_map(|s| point(s).map(|v| (s.labels.clone(), v)))
        .collect()
}

/// The points of the answer to an instant query, sorted by labels.
fn instant(engine: &Engine, store: &MemoryStore, query: &str, time_ms: i64) -> Vec<(Labels, f64)> {
    let answer = engine.instant(store, query, time_ms);
    let mut points = match answer.expect("the query is valid").value {
        QueryValue::Vector(samples) => samples
            .into_iter()
            .map(|s| match s.value {
                model::Value::Float(v) => (s.labels, v),
                model::Value::Histogram(_) => panic!("no histogram was stored"),
            })
            .collect(),
        QueryValue::Scalar { value, .. } => vec![(Labels::empty(), value)],
        other => panic!("{query}: {other:?}"),
    };
    points.sort_by(|a, b| a.0.cmp(&b.0));
    points
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_range_is_its_instants(seed in any::<u64>(), start in 0..600_000_i64, step in 5_000..90_000_i64) {
        let (store, engine) = (store(seed), Engine::default());
        let end = start + 12 * step;
        for query in QUERIES {
            let series = matrix(engine.range(&store, query, start, end, step).unwrap().value);
            for time in (start..=end).step_by(step as usize) {
                let (found, alone) = (at(&series, time), instant(&engine, &store, query, time));
                let same = found.len() == alone.len()
                    && found.iter().zip(&alone).all(|(a, b)| a.0 == b.0 && close(a.1, b.1));
                prop_assert!(same, "{query} at {time}: {found:?} in the range, {alone:?} alone");
            }
        }
    }

    #[test]
    fn a_subquery_at_one_step_is_what_it_is_of(seed in any::<u64>(), time in 1..30_i64) {
        let (store, engine) = (store(seed), Engine::default());
        for inner in ["load", "rate(requests_total[5m])", "sum(load)"] {
            let query = format!("last_over_time(({inner})[1m:1m])");
            let found = instant(&engine, &store, &query, time * MINUTE);
            prop_assert_eq!(found, instant(&engine, &store, inner, time * MINUTE));
        }
    }
}

fn limited(limits: Limits) -> Engine {
    Engine::new(Options {
        limits,
        ..Options::default()
    })
}

#[test]
fn more_steps_than_allowed_are_bad_input() {
    let refused = Engine::default().range(&plain(), "x", 0, 11_001_000, 1000);
    let Err(QueryError::BadInput(message)) = refused else {
        panic!("{refused:?}")
    };
    assert!(
        message.starts_with("exceeded maximum resolution of 11,000 points"),
        "{message}"
    );
    let refused = Engine::default().range(&plain(), "x", i64::MIN, i64::MAX, 1);
    assert!(
        matches!(refused, Err(QueryError::BadInput(_))),
        "{refused:?}"
    );
    for (start, end, step) in [(0, 10, 0), (0, 10, -1), (10, 0, 1)] {
        let refused = Engine::default().range(&plain(), "x", start, end, step);
        assert!(
            matches!(refused, Err(QueryError::BadInput(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn a_billion_points_are_refused_before_they_are_made() {
    for query in [
        "count_over_time(vector(1)[1000000s:1ms])",
        "sum_over_time(x[30y:1ms])",
        "max_over_time((x + 1)[10000d:1ms] @ 0 offset -1d)",
        "avg_over_time(max_over_time(x[1s:1ms])[100000d:1s])",
    ] {
        let refused = Engine::default().instant(&plain(), query, 0);
        assert!(
            matches!(refused, Err(QueryError::TooLarge(_))),
            "{query}: {refused:?}"
        );
    }
}

#[test]
fn samples_series_and_bytes_are_bounded() {
    let samples = limited(Limits {
        samples: 999,
        ..Limits::default()
    });
    let refused = samples.instant(&plain(), "sum_over_time(x[20m])", 999_000);
    assert!(
        matches!(refused, Err(QueryError::TooLarge(_))),
        "{refused:?}"
    );
    samples
        .instant(&plain(), "sum_over_time(x[10m])", 999_000)
        .unwrap();
    let series = limited(Limits {
        series: 2,
        ..Limits::default()
    });
    let refused = series.instant(&store(1), "load", 1_000_000);
    assert!(
        matches!(refused, Err(QueryError::TooLarge(_))),
        "{refused:?}"
    );
    let bytes = limited(Limits {
        bytes: 4_000,
        ..Limits::default()
    });
    let refused = bytes.range(&store(1), "load", 0, 1_000_000, 1_000);
    assert!(
        matches!(refused, Err(QueryError::TooLarge(_))),
        "{refused:?}"
    );
}

#[test]
fn a_query_ends_when_it_is_told_to() {
    for (stop, times) in [(Stop::Timeout, 0), (Stop::Cancelled, 0), (Stop::Timeout, 3)] {
        let asked = AtomicUsize::new(0);
        let signal = || (asked.fetch_add(1, Ordering::Relaxed) >= times).then_some(stop);
        let query = "sum(rate(requests_total[5m])) + sum(load) + sum(errors_total)";
        let watch = Watch {
            stop: &signal,
            account: &Account::default(),
        };
        let ended = Engine::default().range_watched(&store(3), query, 0, MINUTE, 1000, watch);
        match (stop, ended) {
            (Stop::Timeout, Err(QueryError::Timeout)) => {}
            (Stop::Cancelled, Err(QueryError::Cancelled)) => {}
            (stop, other) => panic!("{stop:?}: {other:?}"),
        }
        assert_eq!(
            asked.load(Ordering::Relaxed),
            times + 1,
            "it went on after it was told"
        );
    }
}

#[test]
fn the_deepest_tree_allowed_is_evaluated() {
    let (store, engine) = (plain(), Engine::default());
    let depth = engine.options().limits.depth;
    let signs = "-".repeat(depth - 1) + "x";
    let calls = "abs(".repeat(depth - 1) + "x" + &")".repeat(depth - 1);
    let sums = "sum(".repeat(depth - 1) + "x" + &")".repeat(depth - 1);
    let powers = "x^".repeat(depth - 1) + "x";
    let subqueries = (0..30).fold("x".to_owned(), |q, _| format!("max_over_time({q}[1s:1s])"));
    for query in [signs, calls, sums, powers, subqueries] {
        engine
            .range(&store, &query, 0, 10_000, 1_000)
            .unwrap_or_else(|e| panic!("{query}: {e}"));
    }
}

#[test]
fn errors_say_which_kind_they_are() {
    let run = |query: &str| {
        Engine::default()
            .range(&plain(), query, 0, 1000, 1000)
            .unwrap_err()
    };
    assert!(matches!(run("x +"), QueryError::Parse(_)));
    assert!(matches!(run("x[5m]"), QueryError::BadInput(_)));
    assert!(matches!(run("\"text\""), QueryError::BadInput(_)));
    assert!(matches!(run("x offset (1/0)"), QueryError::BadInput(_)));
    assert!(matches!(
        run("label_replace(x, \"\", \"\", \"\", \"\")"),
        QueryError::Execution(_)
    ));
}

/// A clock that moves on by a millisecond whenever it is read.
#[derive(Debug, Default)]
struct Ticking(AtomicUsize);

impl model::Clock for Ticking {
    fn wall_ms(&self) -> i64 {
        0
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed) as u64)
    }
}

#[test]
fn an_account_tells_what_each_phase_took_and_what_each_step_looked_at() {
    let store = plain();
    let asked = |query: &str, end_ms: i64| {
        let account = Account::default().timed_by(std::sync::Arc::new(Ticking::default()));
        let account = account.by_step();
        let watch = Watch {
            stop: &|| None,
            account: &account,
        };
        let engine = Engine::default();
        let answer = engine.range_watched(&store, query, MINUTE, end_ms, MINUTE, watch);
        answer.expect("the query is answered");
        for phase in [Phase::Prepare, Phase::Evaluate, Phase::Sort] {
            assert_eq!(account.took(phase).as_millis(), 1, "{phase:?}");
        }
        let steps = account.samples_by_step();
        let all: u64 = steps.iter().map(|(_, samples)| samples).sum();
        assert_eq!(all, account.samples_seen(), "{query}");
        steps
    };
    // One sample a second up to 999 s; the window is open on the left.
    let steps = asked("rate(x[90s])", 4 * MINUTE);
    assert_eq!(
        steps,
        [
            (MINUTE, 61),
            (2 * MINUTE, 90),
            (3 * MINUTE, 90),
            (4 * MINUTE, 90)
        ]
    );
    let steps = asked("x + x", 2 * MINUTE);
    assert_eq!(steps, [(MINUTE, 2), (2 * MINUTE, 2)]);
    // Two points of the subquery at each step; its own three samples belong to none of them.
    let steps = asked("max_over_time(x[2m:1m])", 2 * MINUTE);
    assert_eq!(steps, [(MINUTE, 2), (2 * MINUTE, 2 + 3)]);
}
