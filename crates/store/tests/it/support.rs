//! A clock set by hand, and short ways to write batches and read them back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use model::{
    Batch, Clock, Durability, Labels, MatchOp, Matcher, Sample, SampleSink as _, Selection, Series,
    SeriesReader as _,
};
use store::{Config, Store};

/// A clock that stands until it is moved.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicI64);

/// Where hand clocks start: some day in 2026, ms since the Unix epoch.
pub(crate) const START_MS: i64 = 1_790_000_000_000;

impl HandClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(START_MS)))
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, SeqCst);
    }
}

impl Clock for HandClock {
    fn wall_ms(&self) -> i64 {
        self.0.load(SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.load(SeqCst)).unwrap())
    }
}

/// A configuration without threads, small enough for tests to reach its limits.
pub(crate) fn quiet() -> Config {
    Config {
        background: false,
        ballast_bytes: 4096,
        ..Config::default()
    }
}

pub(crate) fn labels(name: &str, job: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("job", job)])
}

pub(crate) fn batch(samples: &[(&Labels, i64, f64)]) -> Batch {
    let sample = |(l, t, v): &(&Labels, i64, f64)| Sample::float((*l).clone(), *t, *v);
    Batch {
        samples: samples.iter().map(sample).collect(),
        ..Batch::default()
    }
}

pub(crate) fn append(store: &Store, samples: &[(&Labels, i64, f64)]) -> u64 {
    store
        .append(&batch(samples), Durability::Fast)
        .unwrap()
        .stored
}

/// Everything of the series that match, sorted by labels.
pub(crate) fn select(
    store: &Store,
    matchers: &[(&str, MatchOp, &str)],
    from: i64,
    to: i64,
) -> Vec<Series> {
    let matchers = matchers
        .iter()
        .map(|(n, op, v)| Matcher::new(*n, *op, *v).unwrap())
        .collect();
    let selection = Selection {
        matchers,
        from_ms: from,
        to_ms: to,
    };
    let mut found: Vec<Series> = store
        .select(&selection)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    found
}

/// Everything the store holds.
pub(crate) fn everything(store: &Store) -> Vec<Series> {
    select(
        store,
        &[("__name__", MatchOp::NotEqual, "")],
        i64::MIN,
        i64::MAX,
    )
}

/// One series' samples as pairs.
pub(crate) fn pairs(series: &Series) -> Vec<(i64, f64)> {
    series
        .times_ms
        .iter()
        .copied()
        .zip(series.values.iter().copied())
        .collect()
}
