//! Append, select, labels, limits, reopening.

use std::sync::Arc;

use model::{
    Batch, Durability, Histogram, LabelQuery, Labels, MatchOp, Matcher, Metadata, MetricType,
    RejectReason, Sample, SampleSink as _, SeriesReader as _, Value,
};
use store::{Config, Store};

use crate::support::{
    HandClock, START_MS, append, batch, everything, labels, pairs, quiet, select,
};

fn open(dir: &tempfile::TempDir, config: Config) -> Store {
    Store::open(dir.path(), config, HandClock::new()).unwrap()
}

#[test]
fn samples_read_back_within_the_range_asked_for_and_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (labels("up", "a"), labels("up", "b"));
    let store = open(&dir, quiet());
    for i in 0..1000 {
        append(
            &store,
            &[
                (&a, START_MS + i, i as f64),
                (&b, START_MS + i, -(i as f64)),
            ],
        );
    }
    let check = |store: &Store| {
        let found = select(
            store,
            &[("job", MatchOp::Equal, "b")],
            START_MS + 10,
            START_MS + 12,
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].labels, b);
        let expected = [
            (START_MS + 10, -10.0),
            (START_MS + 11, -11.0),
            (START_MS + 12, -12.0),
        ];
        assert_eq!(pairs(&found[0]), expected);
        assert_eq!(
            everything(store)
                .iter()
                .map(|s| s.times_ms.len())
                .sum::<usize>(),
            2000
        );
    };
    check(&store);
    store.close().unwrap();
    assert!(
        store
            .append(&batch(&[(&a, START_MS, 1.0)]), Durability::Fast)
            .is_err()
    );
    drop(store);
    check(&open(&dir, quiet()));
}

#[test]
fn the_last_write_of_a_time_wins_in_whatever_order_samples_come() {
    let dir = tempfile::tempdir().unwrap();
    let a = labels("up", "a");
    let store = open(&dir, quiet());
    let t = START_MS;
    append(
        &store,
        &[
            (&a, t + 5, 1.0),
            (&a, t + 3, 2.0),
            (&a, t + 9, 3.0),
            (&a, t + 5, 4.0),
        ],
    );
    append(&store, &[(&a, t + 3, 5.0)]);
    assert_eq!(
        pairs(&everything(&store)[0]),
        [(t + 3, 5.0), (t + 5, 4.0), (t + 9, 3.0)]
    );
}

#[test]
fn native_histograms_read_back_with_their_sums_as_values() {
    let dir = tempfile::tempdir().unwrap();
    let series = labels("latency", "a");
    let histogram = |i: usize| {
        Arc::new(Histogram {
            sum: i as f64 / 4.0,
            count: i as f64,
            ..Histogram::default()
        })
    };
    let store = open(&dir, quiet());
    for i in 0..300 {
        let sample = Sample {
            labels: series.clone(),
            time_ms: START_MS + i as i64,
            value: Value::Histogram(histogram(i)),
        };
        let batch = Batch {
            samples: vec![sample],
            ..Batch::default()
        };
        store.append(&batch, Durability::Fast).unwrap();
    }
    drop(store);
    let found = everything(&open(&dir, quiet()));
    assert_eq!(found[0].values[8], 2.0);
    let expected: Vec<_> = (0..300).map(|i| Some(histogram(i))).collect();
    assert_eq!(found[0].histograms, expected);
}

#[test]
fn label_questions_are_answered_sorted_unique_and_within_the_range() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, quiet());
    append(
        &store,
        &[
            (&labels("up", "b"), START_MS, 1.0),
            (&labels("up", "a"), START_MS, 1.0),
            (&labels("down", "a"), START_MS - 10_000, 1.0),
        ],
    );
    let query = |matcher: Option<Matcher>, from_ms: i64, limit: usize| LabelQuery {
        any_of: matcher.into_iter().map(|m| vec![m]).collect(),
        from_ms,
        to_ms: i64::MAX,
        limit,
    };
    let all = query(None, i64::MIN, 0);
    assert_eq!(store.label_names(&all).unwrap(), ["__name__", "job"]);
    assert_eq!(store.label_values("job", &all).unwrap(), ["a", "b"]);
    assert_eq!(
        store
            .label_values("__name__", &query(None, START_MS, 0))
            .unwrap(),
        ["up"]
    );
    assert_eq!(
        store
            .label_values("job", &query(None, i64::MIN, 1))
            .unwrap(),
        ["a"]
    );
    let of_a = query(Some(Matcher::equal("job", "a")), i64::MIN, 0);
    assert_eq!(
        store.series(&of_a).unwrap(),
        [labels("down", "a"), labels("up", "a")]
    );
    assert!(select(&store, &[], i64::MIN, i64::MAX).is_empty());
}

#[test]
fn metadata_is_kept_and_the_newest_wins() {
    let dir = tempfile::tempdir().unwrap();
    let of = |family: &str, help: &str| Metadata {
        family: family.into(),
        metric_type: MetricType::Gauge,
        help: help.into(),
        unit: String::new(),
    };
    let store = open(&dir, quiet());
    for help in ["first", "second"] {
        let batch = Batch {
            samples: vec![],
            metadata: vec![of("up", help), of("down", "")],
            ..Batch::default()
        };
        store.append(&batch, Durability::Fast).unwrap();
    }
    drop(store);
    let store = open(&dir, quiet());
    assert_eq!(store.metadata(Some("up")).unwrap(), [of("up", "second")]);
    assert_eq!(store.metadata(None).unwrap().len(), 2);
    assert_eq!(store.metadata(Some("other")).unwrap(), []);
}

#[test]
fn samples_beyond_the_limits_are_refused_with_an_example_and_others_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(
        &dir,
        Config {
            series_max: 1,
            ..quiet()
        },
    );
    let (a, b) = (labels("up", "a"), labels("up", "b"));
    append(&store, &[(&a, START_MS, 1.0)]);
    let nameless = Labels::from_pairs([("job", "a")]);
    let hour = 3_600_000;
    let appended = store
        .append(
            &batch(&[
                (&b, START_MS, 1.0),
                (&nameless, START_MS, 1.0),
                (&a, START_MS + 2 * hour, 1.0),
                (&a, START_MS - 16 * 24 * hour, 1.0),
                (&a, START_MS + 1, 2.0),
            ]),
            Durability::Sync,
        )
        .unwrap();
    assert_eq!(appended.stored, 1);
    let mut rejected = appended.rejected;
    rejected.sort_by_key(|r| r.0);
    assert_eq!(
        rejected,
        [
            (RejectReason::SeriesLimit, 1, b),
            (RejectReason::InvalidLabels, 1, nameless),
            (RejectReason::OutOfBounds, 2, a),
        ]
    );
    assert_eq!(store.stats().rejected, 4);
    assert_eq!(store.stats().appended, 2);
}

#[test]
fn a_second_process_cannot_open_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(&dir, quiet());
    let refused = Store::open(dir.path(), quiet(), HandClock::new()).unwrap_err();
    assert!(
        format!("{refused:?}").contains("another process"),
        "{refused:?}"
    );
}

#[test]
fn threads_of_the_store_sync_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        background: true,
        sync_every: std::time::Duration::from_millis(1),
        ..quiet()
    };
    let store = open(&dir, config);
    append(&store, &[(&labels("up", "a"), START_MS, 1.0)]);
    while store.stats().syncs == 0 {
        std::thread::yield_now();
    }
}
