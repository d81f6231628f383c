//! Windows against brute force.

use std::collections::BTreeMap;

use model::{Sample, Value};
use proptest::prelude::*;
use stream::{Graph, Limits, Stat, Step, WindowKind, WindowSpec};

use crate::check::{dead, graph, lines, sample, spec};

fn window(kind: WindowKind, stats: Vec<Stat>) -> Step {
    Step::Window(WindowSpec {
        kind,
        by: vec!["host".to_owned()],
        stats,
    })
}

const TUMBLING: WindowKind = WindowKind::Tumbling { size_ms: 10 };

#[test]
fn a_tumbling_window_is_recorded_when_the_watermark_passes_its_end() {
    let stats = vec![
        Stat::Count,
        Stat::Sum,
        Stat::Mean,
        Stat::StdDev,
        Stat::Min,
        Stat::Max,
        Stat::First,
        Stat::Last,
        Stat::Quantile(1.0),
    ];
    let mut graph = graph(vec![spec("w", "load", 2, vec![window(TUMBLING, stats)])]);
    let early = graph.take(&[sample("load", "a", 13, 4.0), sample("load", "a", 11, 2.0)]);
    assert!(early.samples.is_empty());
    assert!(
        graph
            .take(&[sample("load", "a", 21, 9.0)])
            .samples
            .is_empty(),
        "watermark 19"
    );
    let closed = graph.take(&[sample("load", "a", 22, 9.0)]);
    let expected = [
        "w_count{host=\"a\"}@20 2",
        "w_sum{host=\"a\"}@20 6",
        "w_mean{host=\"a\"}@20 3",
        "w_stddev{host=\"a\"}@20 1.4142135623730951",
        "w_min{host=\"a\"}@20 2",
        "w_max{host=\"a\"}@20 4",
        "w_first{host=\"a\"}@20 2",
        "w_last{host=\"a\"}@20 4",
    ];
    assert_eq!(lines(&closed)[..8], expected);
    assert!(lines(&closed)[8].starts_with("w{host=\"a\", quantile=\"1\"}@20 "));
    let late = graph.take(&[sample("load", "a", 19, 1.0)]);
    assert!(late.samples.is_empty());
    assert_eq!(dead(&graph, "w"), [("late", 1)]);
}

#[test]
fn windows_of_a_source_that_fell_silent_are_recorded_by_the_clock() {
    let step = window(TUMBLING, vec![Stat::Count]);
    let mut graph = graph(vec![spec("w", "load", 2, vec![step])]);
    assert!(
        graph
            .take(&[sample("load", "a", 11, 2.0)])
            .samples
            .is_empty()
    );
    assert!(graph.idle_until(21).samples.is_empty());
    assert_eq!(lines(&graph.idle_until(22)), ["w_count{host=\"a\"}@20 1"]);
    assert!(graph.idle_until(500).samples.is_empty(), "once");
}

#[test]
fn a_window_that_was_not_seen_whole_is_not_recorded() {
    let step = window(TUMBLING, vec![Stat::Count]);
    let specs = vec![spec("w", "load", 0, vec![step])];
    assert_eq!(Graph::reach_ms(&specs), 10);
    let mut graph = Graph::new(specs, Limits::default(), 15);
    let results = graph.take(&[
        sample("load", "a", 16, 1.0),
        sample("load", "a", 26, 1.0),
        sample("load", "a", 36, 1.0),
    ]);
    assert_eq!(lines(&results), ["w_count{host=\"a\"}@30 1"]);
}

#[test]
fn a_session_ends_a_gap_after_its_last_sample_and_two_that_touch_are_one() {
    let kind = WindowKind::Session {
        gap_ms: 10,
        size_max_ms: 1_000,
    };
    let step = window(kind, vec![Stat::Count, Stat::Max]);
    let mut graph = graph(vec![spec("s", "load", 50, vec![step])]);
    let times = [100, 118, 109, 150];
    let samples: Vec<Sample> = times
        .iter()
        .map(|t| sample("load", "a", *t, *t as f64))
        .collect();
    assert!(graph.take(&samples).samples.is_empty());
    let results = graph.idle_until(1_000);
    assert_eq!(
        lines(&results),
        [
            "s_count{host=\"a\"}@128 3",
            "s_max{host=\"a\"}@128 118",
            "s_count{host=\"a\"}@160 1",
            "s_max{host=\"a\"}@160 150",
        ]
    );
}

#[test]
fn a_session_that_never_pauses_is_cut_at_its_longest() {
    let kind = WindowKind::Session {
        gap_ms: 10,
        size_max_ms: 20,
    };
    let step = window(kind, vec![Stat::Count]);
    let mut graph = graph(vec![spec("s", "load", 0, vec![step])]);
    let samples: Vec<Sample> = (0..12).map(|i| sample("load", "a", i * 5, 1.0)).collect();
    let mut results = graph.take(&samples).samples;
    results.extend(graph.idle_until(1_000).samples);
    let counted: f64 = results
        .iter()
        .map(|s| {
            if let Value::Float(v) = s.value {
                v
            } else {
                0.0
            }
        })
        .sum();
    assert_eq!((results.len(), counted), (3, 12.0));
}

/// Every window of a group with its samples, by definition.
fn by_hand(
    samples: &[(i64, usize, f64)],
    (size, slide): (i64, i64),
) -> BTreeMap<(i64, usize), Vec<f64>> {
    let mut windows: BTreeMap<(i64, usize), Vec<f64>> = BTreeMap::new();
    for (time, host, value) in samples {
        let mut end = (time / slide) * slide + slide;
        while end - size <= *time {
            windows.entry((end, *host)).or_default().push(*value);
            end += slide;
        }
    }
    windows
}

proptest! {
    #[test]
    fn sliding_windows_hold_what_lies_in_them(
        mut samples in proptest::collection::vec((0_i64..300, 0_usize..3, -9_i32..9), 1..100),
        slide in 1_i64..20, panes in 1_i64..6, batch in 1_usize..7, shuffle in 0_i64..30,
    ) {
        // Out of order by less than the lateness, so that nothing is late.
        samples.sort_by_key(|(time, host, _)| (time + (host * 7) as i64 % (shuffle + 1), *host));
        let hosts = ["a", "b", "c"];
        let kind = WindowKind::Sliding { size_ms: slide * panes, slide_ms: slide };
        let step = window(kind, vec![Stat::Count, Stat::Sum, Stat::Max]);
        let mut graph = graph(vec![spec("w", "load", 31, vec![step])]);
        let mut results = Vec::new();
        let all: Vec<Sample> = samples
            .iter()
            .map(|(time, host, value)| sample("load", hosts[*host], *time, f64::from(*value)))
            .collect();
        for batch in all.chunks(batch) {
            results.extend(graph.take(batch).samples);
        }
        results.extend(graph.idle_until(10_000).samples);
        prop_assert_eq!(dead(&graph, "w"), []);
        let floats: Vec<(i64, usize, f64)> =
            samples.iter().map(|(t, h, v)| (*t, *h, f64::from(*v))).collect();
        let mut expected = Vec::new();
        for ((end, host), values) in by_hand(&floats, (slide * panes, slide)) {
            let host = hosts[host];
            let max = values.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = values.iter().sum();
            expected.push(sample("w_count", host, end, values.len() as f64));
            expected.push(sample("w_sum", host, end, sum));
            expected.push(sample("w_max", host, end, max));
        }
        let order = |s: &Sample| (s.time_ms, s.labels.clone());
        expected.sort_by_key(order);
        results.sort_by_key(order);
        prop_assert_eq!(results, expected);
    }
}
