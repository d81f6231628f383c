//! Joins against all pairs.

use model::{Matcher, Sample};
use proptest::prelude::*;
use stream::{Arithmetic, JoinSpec, Step};

use crate::check::{dead, graph, lines, sample, spec};

fn join(within_ms: i64, arithmetic: Arithmetic) -> Step {
    Step::Join(JoinSpec {
        with: vec![Matcher::equal("__name__", "right")],
        on: vec!["host".to_owned()],
        within_ms,
        arithmetic,
    })
}

#[test]
fn pairs_are_made_whichever_side_comes_first() {
    let step = join(5, Arithmetic::Div);
    let mut graph = graph(vec![spec("share", "left", 0, vec![step])]);
    let first = graph.take(&[
        sample("left", "a", 100, 1.0),
        sample("right", "a", 103, 4.0),
    ]);
    assert_eq!(lines(&first), ["share{host=\"a\"}@103 0.25"]);
    let second = graph.take(&[
        sample("right", "b", 110, 2.0),
        sample("left", "b", 108, 3.0),
    ]);
    assert_eq!(lines(&second), ["share{host=\"b\"}@110 1.5"]);
    let far = graph.take(&[
        sample("left", "a", 120, 3.0),
        sample("right", "a", 126, 3.0),
    ]);
    assert!(far.samples.is_empty());
    assert!(graph.idle_until(1_000).samples.is_empty());
    assert_eq!(dead(&graph, "share"), [("unmatched", 1)]);
}

proptest! {
    #[test]
    fn every_pair_within_the_time_and_no_other(
        mut arrivals in proptest::collection::vec((0_i64..60, 0_usize..2, any::<bool>()), 1..60),
        within in 0_i64..9, batch in 1_usize..5,
    ) {
        arrivals.sort();
        arrivals.dedup();
        arrivals.sort_by_key(|(time, host, left)| (time / 7, *left, *host, *time));
        let hosts = ["a", "b"];
        // The value tells where a result came from: left times are whole, right ones thousands.
        let samples: Vec<Sample> = arrivals
            .iter()
            .map(|(time, host, left)| match left {
                true => sample("left", hosts[*host], *time, *time as f64),
                false => sample("right", hosts[*host], *time, *time as f64 * 1_000.0),
            })
            .collect();
        let mut graph = graph(vec![spec("sum", "left", 7, vec![join(within, Arithmetic::Add)])]);
        let mut results = Vec::new();
        for batch in samples.chunks(batch) {
            results.extend(graph.take(batch).samples);
        }
        graph.idle_until(10_000);
        prop_assert_eq!(graph.stats()[0].flow.held, 0, "the watermark frees what it has passed");
        let mut expected = Vec::new();
        for (l, host, left) in &arrivals {
            for (r, other, right) in &arrivals {
                if *left && !*right && host == other && (l - r).abs() <= within {
                    let value = *l as f64 + *r as f64 * 1_000.0;
                    expected.push(sample("sum", hosts[*host], *l.max(r), value));
                }
            }
        }
        let order = |s: &Sample| (s.time_ms, s.labels.clone(), format!("{:?}", s.value));
        expected.sort_by_key(order);
        results.sort_by_key(order);
        prop_assert_eq!(results, expected);
    }
}
