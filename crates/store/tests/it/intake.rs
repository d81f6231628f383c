//! Beside the samples: exemplars that outlive restarts and flushes, limits of new series, and the
//! change feed of what was really stored.

use model::{
    Batch, Durability, Exemplar, Labels, Matcher, RejectReason, Sample, SampleSink as _,
    SeriesReader as _,
};
use store::{Config, Delivery, ExemplarLimits, SeriesLimit, Store};

use crate::support::{HandClock, START_MS, append, batch, labels, quiet};

fn open(dir: &tempfile::TempDir, config: Config) -> Store {
    Store::open(dir.path(), config, HandClock::new()).unwrap()
}

fn exemplar(series: &Labels, trace: &str, time_ms: i64) -> Exemplar {
    Exemplar {
        series: series.clone(),
        labels: Labels::from_pairs([("trace_id", trace)]),
        value: 0.5,
        time_ms,
    }
}

fn all(store: &Store) -> Vec<Exemplar> {
    let every = vec![vec![Matcher::equal("job", "a")]];
    store.exemplars(&every, i64::MIN, i64::MAX).unwrap()
}

#[test]
fn exemplars_outlive_a_restart_and_the_log_segments_they_came_in() {
    let dir = tempfile::tempdir().unwrap();
    let up = labels("up", "a");
    let with = |exemplars: Vec<Exemplar>| Batch {
        exemplars,
        ..batch(&[(&up, START_MS, 1.0)])
    };
    let store = open(&dir, quiet());
    let (one, two) = (
        exemplar(&up, "x", START_MS),
        exemplar(&up, "y", START_MS + 1),
    );
    let unknown = exemplar(&labels("down", "a"), "z", START_MS);
    let written = store.append(
        &with(vec![one.clone(), one.clone(), two.clone(), unknown]),
        Durability::Fast,
    );
    assert_eq!(
        written.unwrap().exemplars,
        3,
        "a repeat counts, a stranger not"
    );
    assert_eq!(all(&store), [one.clone(), two.clone()]);
    // Two flushes: the segment they came in is gone, and the one it was carried into.
    store.flush().unwrap();
    append(&store, &[(&up, START_MS + 1_000, 1.0)]);
    store.flush().unwrap();
    drop(store);
    let store = open(&dir, quiet());
    assert_eq!(all(&store), [one.clone(), two.clone()]);
    let again = store.append(&with(vec![one.clone(), two.clone()]), Durability::Fast);
    assert_eq!(
        again.unwrap().exemplars,
        2,
        "sent again, answered as before"
    );
    assert_eq!(all(&store).len(), 2);
    let older = exemplar(&up, "v", START_MS);
    let older = store.append(&with(vec![older]), Durability::Fast);
    assert_eq!(older.unwrap().exemplars, 0, "older than its newest");
    let three = exemplar(&up, "w", START_MS + 2);
    store
        .append(&with(vec![three.clone()]), Durability::Sync)
        .unwrap();
    drop(store);
    assert_eq!(all(&open(&dir, quiet())), [one, two, three]);
}

#[test]
fn the_ring_of_exemplars_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        exemplars: ExemplarLimits {
            count: 10,
            ..ExemplarLimits::default()
        },
        ..quiet()
    };
    let store = open(&dir, config);
    let up = labels("up", "a");
    let many = (0..100)
        .map(|i| exemplar(&up, &i.to_string(), START_MS + i))
        .collect();
    let batch = Batch {
        exemplars: many,
        ..batch(&[(&up, START_MS, 1.0)])
    };
    assert_eq!(
        store.append(&batch, Durability::Fast).unwrap().exemplars,
        100
    );
    let kept = all(&store);
    assert_eq!((kept.len(), kept[0].time_ms), (10, START_MS + 90));
}

fn numbered(metric: &str, i: usize) -> Labels {
    Labels::from_pairs([("__name__", metric.to_owned()), ("i", i.to_string())])
}

fn limited() -> Config {
    Config {
        series_max_per_metric: 50,
        label_values_max: 60,
        series_limits: vec![
            SeriesLimit::Selector {
                matchers: vec![Matcher::equal("job", "small")],
                max: 2,
            },
            SeriesLimit::Label {
                name: "user".to_owned(),
                max: 1,
            },
        ],
        ..quiet()
    }
}

#[test]
fn an_explosion_leaves_every_other_series_alone_and_is_attributed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, limited());
    let mut boomed = 0;
    for step in 0..20_i64 {
        let time = START_MS + step * 1_000;
        let boom = (0..100).map(|i| numbered("boom", (step as usize * 100) + i));
        let calm = (0..20).map(|i| numbered("calm", i));
        let mixed: Vec<Sample> = boom
            .chain(calm)
            .map(|l| Sample::float(l, time, step as f64))
            .collect();
        let batch = Batch {
            samples: mixed,
            ..Batch::default()
        };
        let appended = store.append(&batch, Durability::Fast).unwrap();
        boomed += appended.stored - 20;
        let refused = 100 - (appended.stored - 20);
        assert_eq!(appended.rejected[0].0, RejectReason::MetricLimit);
        assert_eq!(appended.rejected[0].1, refused);
        assert!(
            appended.refused.iter().all(|(i, _)| *i < 100),
            "never a calm one"
        );
        assert_eq!(appended.refused.len(), model::ports::REFUSED_MAX);
    }
    assert_eq!(boomed, 50, "as many as one metric may have");
    for i in 0..20 {
        let selection = model::Selection {
            matchers: vec![
                Matcher::equal("__name__", "calm"),
                Matcher::equal("i", i.to_string()),
            ],
            from_ms: i64::MIN,
            to_ms: i64::MAX,
        };
        let found = store.select(&selection).unwrap().next().unwrap().unwrap();
        assert_eq!(found.values, (0..20).map(f64::from).collect::<Vec<_>>());
    }
    let cardinality = store.cardinality(5);
    assert_eq!(cardinality.series, 70);
    let boom = |count| ("boom".to_owned(), count);
    assert_eq!(cardinality.series_by_metric[0], boom(50));
    assert_eq!(cardinality.created_by_metric[0], boom(50));
    assert_eq!(cardinality.refused, [("metric_limit", vec![boom(1_950)])]);
    assert_eq!(cardinality.values_by_label[0], ("i".to_owned(), 50));
    assert_eq!(cardinality.label_pairs, 52);
}

#[test]
fn limits_of_a_label_and_a_selector_keep_out_only_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, limited());
    let with = |name: &str, value: String| {
        Labels::from_pairs([("__name__", "m".to_owned()), (name, value)])
    };
    let refused = |labels: &Labels| {
        let appended = store.append(&batch(&[(labels, START_MS, 1.0)]), Durability::Fast);
        appended
            .unwrap()
            .rejected
            .first()
            .map(|(reason, ..)| *reason)
    };
    assert_eq!(refused(&with("user", "a".into())), None);
    let over = Some(RejectReason::LabelLimit);
    assert_eq!(refused(&with("user", "b".into())), over);
    assert_eq!(
        refused(&with("user", "a".into()).with("x", "1")),
        None,
        "a known value"
    );
    for (i, expected) in [None, None, over].into_iter().enumerate() {
        let small = labels(&format!("s{i}"), "small");
        assert_eq!(refused(&small), expected, "{small}");
        assert_eq!(
            refused(&labels("s0", "small")),
            None,
            "active ones never are"
        );
    }
}

#[test]
fn the_feed_shows_what_was_stored_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        series_max: 1,
        ..quiet()
    };
    let store = open(&dir, config);
    let mut feed = store.feed().subscribe(Vec::new());
    let (a, b) = (labels("up", "a"), labels("up", "b"));
    let mut sent = batch(&[
        (&a, START_MS, 1.0),
        (&b, START_MS, 2.0),
        (&a, START_MS + 1, 3.0),
    ]);
    sent.door = "test";
    let appended = store.append(&sent, Durability::Fast).unwrap();
    assert_eq!(
        (appended.stored, &appended.refused[..]),
        (2, &[(1, RejectReason::SeriesLimit)][..])
    );
    let Some(Delivery::Points { shown, .. }) = feed.take() else {
        panic!("points were stored");
    };
    assert_eq!(
        shown.batch().samples,
        [sent.samples[0].clone(), sent.samples[2].clone()]
    );
    assert_eq!(shown.door(), "test");
    assert_eq!(feed.take(), None);
    store.close().unwrap();
    assert!(store.append(&sent, Durability::Fast).is_err());
    assert_eq!(feed.take(), None, "what is not stored is not shown");
}

#[test]
fn repeats_and_late_samples_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, quiet());
    let a = labels("up", "a");
    let sent = [
        START_MS,
        START_MS + 9,
        START_MS + 9,
        START_MS + 5,
        START_MS + 10,
    ];
    let sent: Vec<_> = sent.iter().map(|t| (&a, *t, 1.0)).collect();
    let appended = store.append(&batch(&sent), Durability::Fast).unwrap();
    assert_eq!(
        (appended.stored, appended.repeated, appended.out_of_order),
        (5, 1, 1)
    );
}
