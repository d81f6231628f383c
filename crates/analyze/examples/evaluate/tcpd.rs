//! The Turing change point data: F1 and cover as van den Burg & Williams (2020) define them,
//! with a margin of five points, one setting for all series.

use std::collections::BTreeSet;

use analyze::changepoint::{Shape, binseg, pelt};
use serde_json::Value;

use crate::data;

type Changes = BTreeSet<usize>;

struct Case {
    values: Vec<f64>,
    annotations: Vec<Changes>,
}

pub(crate) fn evaluate() {
    let Some(folder) = data::folder("tcpd") else {
        return;
    };
    let parse = |name: &str| -> Value {
        serde_json::from_str(&data::text(&folder.join(name))).expect("JSON")
    };
    let annotations = parse("annotations.json");
    let cases: Vec<Case> = annotations
        .as_object()
        .expect("an object")
        .iter()
        .map(|(name, people)| case(&parse(&format!("{name}.json")), people))
        .collect();
    type Find = fn(&[f64]) -> Vec<usize>;
    let methods: [(&str, Find); 6] = [
        ("binseg, levels", |v| binseg(v, Shape::Level)),
        ("PELT, levels", |v| pelt(v, Shape::Level)),
        ("binseg, lines", |v| binseg(v, Shape::Line)),
        ("PELT, lines", |v| pelt(v, Shape::Line)),
        ("never", |_| Vec::new()),
        ("every 20th", |v| (20..v.len()).step_by(20).collect()),
    ];
    for (name, find) in methods {
        let found: Vec<Changes> = cases
            .iter()
            .map(|c| find(&c.values).into_iter().collect())
            .collect();
        let n = cases.len() as f64;
        let pairs = || cases.iter().zip(&found);
        let f1 = pairs().map(|(c, f)| f1(c, f)).sum::<f64>() / n;
        let cover = pairs().map(|(c, f)| cover(c, f)).sum::<f64>() / n;
        println!(
            "{name:16} F1 {f1:.3}  cover {cover:.3}  ({} series)",
            cases.len()
        );
    }
}

fn case(series: &Value, people: &Value) -> Case {
    let raw = series["series"][0]["raw"].as_array().expect("raw values");
    // Gaps are filled with the last value, so that indices stay those of the annotations.
    let mut last = raw.iter().find_map(Value::as_f64).expect("a value");
    let values = raw
        .iter()
        .map(|v| {
            last = v.as_f64().unwrap_or(last);
            last
        })
        .collect();
    let index = |v: &Value| v.as_u64().expect("an index") as usize;
    let annotations = people.as_object().expect("annotators").values();
    let annotations = annotations
        .map(|a| a.as_array().expect("a list").iter().map(index).collect())
        .collect();
    Case {
        values,
        annotations,
    }
}

/// Precision against all annotators together, recall as the mean over them; 0 is a change of all.
fn f1(case: &Case, found: &Changes) -> f64 {
    let with_start =
        |changes: &Changes| -> Changes { changes.iter().copied().chain([0]).collect() };
    let found = with_start(found);
    let people: Vec<Changes> = case.annotations.iter().map(with_start).collect();
    let all: Changes = people.iter().flatten().copied().collect();
    let precision = hits(&all, &found) as f64 / found.len() as f64;
    let recalls = people
        .iter()
        .map(|p| hits(p, &found) as f64 / p.len() as f64);
    let recall = recalls.sum::<f64>() / people.len() as f64;
    2.0 * precision * recall / (precision + recall)
}

/// True changes with a found one within the margin, each found one used once.
fn hits(truth: &Changes, found: &Changes) -> usize {
    const MARGIN: usize = 5;
    let mut left = found.clone();
    truth
        .iter()
        .filter(|t| {
            let nearest = left.iter().copied().min_by_key(|f| f.abs_diff(**t));
            nearest
                .filter(|f| f.abs_diff(**t) <= MARGIN)
                .is_some_and(|f| left.remove(&f))
        })
        .count()
}

/// Mean over annotators of the length-weighted best Jaccard index of their segments.
fn cover(case: &Case, found: &Changes) -> f64 {
    let n = case.values.len();
    let ours = segments(found, n);
    let scores = case.annotations.iter().map(|truth| {
        let parts = segments(truth, n);
        let best = |a: &(usize, usize)| {
            let jaccards = ours.iter().map(|b| jaccard(*a, *b));
            (a.1 - a.0) as f64 * jaccards.fold(0.0, f64::max)
        };
        parts.iter().map(best).sum::<f64>() / n as f64
    });
    scores.sum::<f64>() / case.annotations.len() as f64
}

fn segments(changes: &Changes, n: usize) -> Vec<(usize, usize)> {
    let starts = [0]
        .into_iter()
        .chain(changes.iter().copied())
        .filter(|c| *c < n);
    let starts: Vec<usize> = starts.collect::<Changes>().into_iter().collect();
    let ends = starts.iter().skip(1).copied().chain([n]);
    starts.iter().copied().zip(ends).collect()
}

fn jaccard(a: (usize, usize), b: (usize, usize)) -> f64 {
    let shared = a.1.min(b.1).saturating_sub(a.0.max(b.0));
    shared as f64 / (a.1.max(b.1) - a.0.min(b.0)) as f64
}
