//! One sample in, at most one out; and the order of samples.

use model::{MatchOp, Matcher, Sample, stale_nan};
use proptest::prelude::*;
use stream::{
    DeadReason, Enrich, Filter, Graph, Limits, MapSpec, Normalize, Range, Step, Validate,
};

use crate::check::{dead, graph, labels, line, lines, sample, spec};

#[test]
fn samples_are_validated_filtered_and_mapped_in_turn() {
    let range = |at_least, at_most| Range { at_least, at_most };
    let mut graph = graph(vec![spec(
        "load_percent",
        "load",
        0,
        vec![
            Step::Validate(Validate {
                range: range(0.0, 1.0),
                require: vec!["host".to_owned()],
            }),
            Step::Filter(Filter {
                range: range(0.5, 1.0),
                matchers: vec![Matcher::new("host", MatchOp::Regex, "a.*").unwrap()],
            }),
            Step::Map(MapSpec {
                scale: 100.0,
                offset: 1.0,
            }),
        ],
    )]);
    let results = graph.take(&[
        sample("load", "a1", 1, 0.75),
        sample("load", "a1", 2, 0.25),
        sample("load", "b1", 3, 0.75),
        sample("load", "a2", 4, 7.0),
        sample("load", "a2", 5, stale_nan()),
        sample("other", "a2", 6, 0.75),
        Sample::float(labels("load", &[]), 7, 0.75),
    ]);
    assert_eq!(lines(&results), ["load_percent{host=\"a1\"}@1 76"]);
    assert_eq!(dead(&graph, "load_percent"), [("invalid", 2)]);
    let newest = graph.dead_letters("load_percent").next().unwrap();
    assert_eq!(
        (newest.item.time_ms, newest.reason),
        (7, DeadReason::Invalid)
    );
}

#[test]
fn a_table_adds_labels_and_what_it_does_not_know_is_put_aside() {
    let team = |name: &str| vec![("team".to_owned(), name.to_owned())];
    let enrich = Enrich {
        labels: vec![("site".to_owned(), "north".to_owned())],
        drop: vec!["host".to_owned()],
        on: Some("host".to_owned()),
        table: [("a".to_owned(), team("red"))].into(),
        required: true,
    };
    let mut graph = graph(vec![spec("rich", "load", 0, vec![Step::Enrich(enrich)])]);
    let results = graph.take(&[sample("load", "a", 1, 2.0), sample("load", "b", 1, 3.0)]);
    assert_eq!(lines(&results), [r#"rich{site="north", team="red"}@1 2"#]);
    assert_eq!(dead(&graph, "rich"), [("unknown", 1)]);
}

#[test]
fn a_value_far_from_its_past_is_many_deviations_away() {
    let normalize = Step::Normalize(Normalize {
        half_life_ms: 60_000,
    });
    let mut graph = graph(vec![spec("z", "load", 0, vec![normalize])]);
    let calm: Vec<Sample> = (0..100)
        .map(|i| sample("load", "a", i * 1_000, if i % 2 == 0 { 9.0 } else { 11.0 }))
        .collect();
    let calm = graph.take(&calm);
    for result in &calm.samples[4..] {
        let model::Value::Float(z) = result.value else {
            unreachable!("floats only")
        };
        assert!((0.8..1.2).contains(&z.abs()), "{}", line(result));
    }
    let jump = graph.take(&[sample("load", "a", 100_000, 20.0)]);
    let model::Value::Float(z) = jump.samples[0].value else {
        unreachable!("floats only")
    };
    assert!((9.0..11.0).contains(&z), "ten deviations of one: {z}");
}

#[test]
fn a_stream_reads_the_results_of_those_above_it_once() {
    let double = || {
        Step::Map(MapSpec {
            scale: 2.0,
            offset: 0.0,
        })
    };
    let specs = vec![
        spec("twice", "load", 0, vec![double()]),
        spec("four_times", "twice", 0, vec![double()]),
    ];
    let mut graph = graph(specs);
    let results = graph.take(&[sample("load", "a", 1, 1.0)]);
    assert_eq!(
        lines(&results),
        ["twice{host=\"a\"}@1 2", "four_times{host=\"a\"}@1 4"]
    );
    assert!(
        graph.take(&results.samples).samples.is_empty(),
        "they come back from the store"
    );
}

#[test]
fn a_step_that_is_full_puts_aside_and_forgets_nothing() {
    let limits = Limits {
        held_max: 2,
        dead_letters_max: 1,
    };
    let spec = spec("sorted", "load", 1_000, vec![Step::Order]);
    let mut graph = Graph::new(vec![spec], limits, 0);
    let samples: Vec<Sample> = (1..=4).map(|t| sample("load", "a", t, 0.0)).collect();
    assert!(
        graph.take(&samples).samples.is_empty(),
        "the watermark is far behind"
    );
    assert_eq!(dead(&graph, "sorted"), [("full", 2)]);
    assert_eq!(
        graph.dead_letters("sorted").count(),
        1,
        "the newest alone is kept"
    );
    let rest = graph.idle_until(2_000);
    assert_eq!(
        lines(&rest),
        ["sorted{host=\"a\"}@1 0", "sorted{host=\"a\"}@2 0"]
    );
}

proptest! {
    /// Whatever the order of arrival and the batches: sorted, once each, and what is missing is
    /// in the dead letters.
    #[test]
    fn what_is_ordered_comes_sorted_and_once(
        arrivals in proptest::collection::vec((0_i64..40, 0_usize..3), 1..80),
        batch in 1_usize..9,
    ) {
        let hosts = ["a", "b", "c"];
        let mut graph = graph(vec![spec("sorted", "load", 5, vec![Step::Order])]);
        let samples: Vec<Sample> = arrivals
            .iter()
            .map(|(time, host)| sample("load", hosts[*host], *time, 1.0))
            .collect();
        let mut results = Vec::new();
        for batch in samples.chunks(batch) {
            results.extend(graph.take(batch).samples);
        }
        results.extend(graph.idle_until(1_000).samples);
        let keys: Vec<_> = results.iter().map(|s| (s.time_ms, s.labels.clone())).collect();
        let mut sorted = keys.clone();
        sorted.sort();
        sorted.dedup();
        prop_assert_eq!(&keys, &sorted, "rising and unique");
        let put_aside: u64 = dead(&graph, "sorted").iter().map(|(_, n)| n).sum();
        prop_assert_eq!(keys.len() as u64 + put_aside, arrivals.len() as u64);
    }
}
