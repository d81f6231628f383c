//! Groups on a virtual clock: on time, missed, replaced.

use model::{Histogram, Matcher, Sample, Selection, Span};
use testkit::{MemoryStore, VirtualClock};

use super::*;

fn loaded(text: &str) -> Loaded {
    let file = rules::file::read("r.yml", text, rules::Defaults::default(), &check);
    Loaded {
        groups: file.unwrap().groups,
        ..Loaded::default()
    }
}

/// Keeps what it is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl AlertSink for Told {
    fn post(&self, alerts: &[model::Alert]) {
        let names = alerts.iter().map(|alert| alert.labels.to_string());
        locked(&self.0).extend(names);
    }
}

struct Stage {
    ruling: Ruling,
    clock: Arc<VirtualClock>,
    store: Arc<MemoryStore>,
    told: Arc<Told>,
}

impl Stage {
    fn new(text: &str) -> Self {
        let clock = Arc::new(VirtualClock::at(1_000_000_000));
        let store = Arc::new(MemoryStore::default());
        let told = Arc::new(Told::default());
        let parts = Parts {
            engine: Engine::default(),
            reader: Arc::clone(&store) as Arc<dyn SeriesReader>,
            sink: Arc::clone(&store) as Arc<dyn SampleSink>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            alerts: Some(Arc::clone(&told) as Arc<dyn AlertSink>),
            query_timeout: Duration::from_secs(30),
            external_url: String::new(),
        };
        Self {
            ruling: Ruling::new(parts, loaded(text)),
            clock,
            store,
            told,
        }
    }

    /// Evaluates what is due now; how many groups that were.
    fn turn(&self) -> usize {
        let (due, _) = self.ruling.due();
        for (running, time) in &due {
            self.ruling.evaluate(running, *time);
        }
        due.len()
    }

    fn times(&self, metric: &str) -> Vec<i64> {
        let selection = Selection {
            matchers: vec![Matcher::equal("__name__", metric)],
            from_ms: 0,
            to_ms: i64::MAX / 2,
        };
        let series = self.store.select(&selection).unwrap();
        series.flat_map(|series| series.unwrap().times_ms).collect()
    }
}

#[test]
fn a_group_is_evaluated_at_once_and_then_each_interval() {
    let stage = Stage::new("groups: [{name: g, interval: 10s, rules: [{record: r, expr: '1'}]}]");
    assert_eq!(stage.turn(), 1);
    assert_eq!(stage.turn(), 0);
    for _ in 0..3 {
        stage.clock.advance(10_000);
        assert_eq!(stage.turn(), 1);
    }
    let times = stage.times("r");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 10_000));
    assert_eq!(stage.ruling.status()[0].totals.missed, 0);
}

#[test]
fn evaluations_that_come_too_late_are_skipped_and_counted() {
    let stage = Stage::new("groups: [{name: g, interval: 10s, rules: [{record: r, expr: '1'}]}]");
    let (due, _) = stage.ruling.due();
    let (running, time) = &due[0];
    stage.clock.advance(35_000);
    assert!(stage.ruling.due().0.is_empty(), "it is still busy");
    stage.ruling.evaluate(running, *time);
    assert_eq!(stage.turn(), 1);
    let totals = stage.ruling.status()[0].totals;
    assert_eq!((totals.iterations, totals.missed), (4, 2));
    assert_eq!(stage.times("r").len(), 2);
    let text = stage.ruling.metrics_text();
    let line = "alluse_rule_group_iterations_missed_total{rule_group=\"r.yml;g\"} 2\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_reload_keeps_what_stays_and_ends_what_goes() {
    let text = "groups: [{name: g, rules: [{alert: A, expr: vector(1), for: 1h}]}, \
                {name: h, rules: [{record: r, expr: '1'}]}]";
    let stage = Stage::new(text);
    // Samples of alerts begin once an earlier life's were looked for.
    for _ in 0..3 {
        stage.turn();
        stage.clock.advance(60_000);
    }
    let since = stage.ruling.status()[0].rules[0].alerts[0].active_at_ms;
    stage.ruling.replace(loaded(
        "groups: [{name: g, rules: [{alert: A, expr: vector(2), for: 1m}]}]",
    ));
    stage.turn();
    let status = stage.ruling.status();
    assert_eq!(status.len(), 1);
    assert_eq!(status[0].rules[0].alerts[0].active_at_ms, since);
    assert_eq!(*locked(&stage.told.0), ["{alertname=\"A\"}"]);
    let selection = Selection {
        matchers: vec![Matcher::equal("__name__", "r")],
        from_ms: 0,
        to_ms: i64::MAX / 2,
    };
    let gone = stage
        .store
        .select(&selection)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert!(model::is_stale(*gone.values.last().unwrap()));
}

/// Native histograms go through a recording rule whole, the next rule reads what it made, and the
/// series ends when there is no answer any more.
#[test]
fn histograms_are_recorded_and_read_again() {
    let stage = Stage::new(
        "groups: [{name: g, interval: 10s, rules: [\
         {record: 'all:h', expr: 'sum(h)', labels: {by: rule}}, \
         {record: 'all:h:count', expr: 'histogram_count(all:h)'}, \
         {alert: Slow, expr: 'histogram_quantile(0.5, all:h) > 1'}]}]",
    );
    let histogram = |count: f64| Histogram {
        count,
        sum: 3.0 * count,
        positive_spans: vec![Span {
            offset: 2,
            length: 1,
        }],
        positive_buckets: vec![count],
        ..Histogram::default()
    };
    let observe = |host: &str, value| {
        let labels = Labels::from_pairs([("__name__", "h"), ("host", host)]);
        let batch = Batch {
            samples: vec![Sample {
                labels,
                time_ms: stage.clock.wall_ms(),
                value,
            }],
            ..Batch::default()
        };
        let taken = stage.store.append(&batch, Durability::Fast).unwrap();
        assert!(taken.rejected.is_empty());
    };
    let read = |metric: &str| {
        let selection = Selection {
            matchers: vec![Matcher::equal("__name__", metric)],
            from_ms: 0,
            to_ms: i64::MAX / 2,
        };
        let mut series = stage.store.select(&selection).unwrap();
        series.next().unwrap().unwrap()
    };
    for (host, count) in [("a", 4.0), ("b", 6.0)] {
        observe(host, Value::Histogram(Arc::new(histogram(count))));
    }
    // Each group has a moment of its own within its interval.
    stage.clock.advance(10_000);
    assert_eq!(stage.turn(), 1);
    let made = read("all:h");
    assert_eq!(made.labels.get("by"), Some("rule"));
    let stored = made.histograms.last().unwrap().as_deref().unwrap();
    assert_eq!((stored.count, stored.sum), (10.0, 30.0));
    assert_eq!(stored.positive_buckets, [10.0]);
    assert_eq!(*read("all:h:count").values.last().unwrap(), 10.0);
    assert_eq!(locked(&stage.told.0).len(), 1, "the median is above 1");
    for host in ["a", "b"] {
        observe(host, Value::Float(model::stale_nan()));
    }
    stage.clock.advance(10_000);
    assert_eq!(stage.turn(), 1);
    assert!(model::is_stale(*read("all:h").values.last().unwrap()));
    let status = stage.ruling.status();
    assert!(status[0].rules.iter().all(|rule| rule.last_error.is_none()));
}
