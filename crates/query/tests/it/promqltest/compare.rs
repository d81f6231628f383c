//! Compares an answer with what a script expects.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use model::{Histogram, Labels, Value, is_stale};
use query::{
    Answer, MatrixSeries, QueryValue, VectorSample,
    histogram::{compact, test_expression},
};

use super::{
    script::{Expect, Expected, Pattern, Steps},
    series::{Point, SeriesLine},
};

/// How far two floats may be apart, relative to the sum of their sizes.
const TOLERANCE: f64 = 1e-6;

/// Compares a whole answer, annotations included.
pub(super) fn compare(
    expect: &Expect,
    steps: Option<Steps>,
    answer: &Answer,
) -> Result<(), String> {
    annotations("warning", &expect.warn, expect.no_warn, &answer.warnings)?;
    annotations("info", &expect.info, expect.no_info, &answer.infos)?;
    value(expect, expect.range_vector.or(steps), &answer.value)
}

/// Compares a value.
pub(super) fn value(
    expect: &Expect,
    steps: Option<Steps>,
    value: &QueryValue,
) -> Result<(), String> {
    let same = match (&expect.result, value) {
        (Expected::Scalar(expected), QueryValue::Scalar { value, .. }) => close(*expected, *value),
        (Expected::String(expected), QueryValue::String { text, .. }) => expected == text,
        (Expected::Series(lines), QueryValue::Vector(samples)) => vector(expect, lines, samples),
        (Expected::Series(lines), QueryValue::Matrix(series)) => match steps {
            Some(steps) => sorted(series) && matrix(lines, steps, series),
            None => false,
        },
        _ => false,
    };
    if same {
        Ok(())
    } else {
        Err(format!(
            "expected\n{}    found\n{}",
            show_expected(&expect.result),
            show(value)
        ))
    }
}

fn annotations(
    kind: &str,
    expected: &[Pattern],
    none: bool,
    found: &[String],
) -> Result<(), String> {
    if none && !found.is_empty() {
        return Err(format!("expected no {kind}, found {found:?}"));
    }
    if let Some(missing) = expected
        .iter()
        .find(|e| !found.iter().any(|f| e.matches(f)))
    {
        return Err(format!("expected {kind} {missing:?}, found {found:?}"));
    }
    let surplus = |f: &&String| !expected.iter().any(|e| e.matches(f));
    match found.iter().find(surplus) {
        Some(surplus) if !expected.is_empty() => Err(format!("unexpected {kind} {surplus:?}")),
        Some(_) | None => Ok(()),
    }
}

fn vector(expect: &Expect, lines: &[SeriesLine], samples: &[VectorSample]) -> bool {
    let same = |line: &SeriesLine, sample: &VectorSample| {
        line.labels == sample.labels
            && line
                .points
                .first()
                .is_some_and(|p| same_value(p, &sample.value))
    };
    if lines.len() != samples.len() {
        return false;
    }
    if expect.ordered {
        return lines
            .iter()
            .zip(samples)
            .all(|(line, sample)| same(line, sample));
    }
    let by_labels: BTreeMap<&Labels, &VectorSample> =
        samples.iter().map(|s| (&s.labels, s)).collect();
    lines.iter().all(|line| {
        by_labels
            .get(&line.labels)
            .is_some_and(|sample| same(line, sample))
    })
}

fn same_value(expected: &Point, found: &Value) -> bool {
    match (expected, found) {
        (Point::Float(expected), Value::Float(found)) => close(*expected, *found),
        (
            Point::Histogram {
                histogram,
                hint_given,
            },
            Value::Histogram(found),
        ) => same_histogram(histogram, found, *hint_given),
        _ => false,
    }
}

fn matrix(lines: &[SeriesLine], steps: Steps, found: &[MatrixSeries]) -> bool {
    let by_labels: BTreeMap<&Labels, &MatrixSeries> =
        found.iter().map(|s| (&s.labels, s)).collect();
    lines.len() == found.len()
        && lines.iter().all(|line| {
            by_labels
                .get(&line.labels)
                .is_some_and(|s| series(line, steps, s))
        })
}

fn series(line: &SeriesLine, steps: Steps, found: &MatrixSeries) -> bool {
    let mut floats = found.floats.iter();
    let mut histograms = found.histograms.iter();
    let times = (0..).map(|i: i64| steps.from_ms + i * steps.step_ms);
    let all_same = line
        .points
        .iter()
        .zip(times)
        .all(|(point, time_ms)| match point {
            Point::Missing => true,
            Point::Float(expected) => floats
                .next()
                .is_some_and(|(t, found)| *t == time_ms && close(*expected, *found)),
            Point::Histogram {
                histogram,
                hint_given,
            } => histograms.next().is_some_and(|(t, found)| {
                *t == time_ms && same_histogram(histogram, found, *hint_given)
            }),
        });
    all_same && floats.next().is_none() && histograms.next().is_none()
}

/// Whether the series of a matrix stand in order of their labels, each once.
pub(super) fn sorted(series: &[MatrixSeries]) -> bool {
    series
        .windows(2)
        .all(|pair| pair[0].labels < pair[1].labels)
}

/// The points of a matrix at one time, as a vector.
pub(super) fn step_of(series: &[MatrixSeries], time_ms: i64) -> Vec<VectorSample> {
    let at = |s: &MatrixSeries| {
        let float = s
            .floats
            .iter()
            .find(|(t, _)| *t == time_ms)
            .map(|(_, v)| Value::Float(*v));
        let histogram = || s.histograms.iter().find(|(t, _)| *t == time_ms);
        let value = float.or_else(|| histogram().map(|(_, h)| Value::Histogram(h.clone())))?;
        Some(VectorSample {
            labels: s.labels.clone(),
            time_ms,
            value,
        })
    };
    series.iter().filter_map(at).collect()
}

fn same_histogram(expected: &Histogram, found: &Histogram, hint: bool) -> bool {
    let (mut expected, mut found) = (expected.clone(), found.clone());
    compact(&mut expected);
    compact(&mut found);
    let all_close =
        |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(*a, *b));
    expected.schema == found.schema
        && close(expected.count, found.count)
        && close(expected.sum, found.sum)
        && close(expected.zero_count, found.zero_count)
        && expected.zero_threshold == found.zero_threshold
        && expected.custom_values == found.custom_values
        && expected.positive_spans == found.positive_spans
        && expected.negative_spans == found.negative_spans
        && all_close(&expected.positive_buckets, &found.positive_buckets)
        && all_close(&expected.negative_buckets, &found.negative_buckets)
        && (!hint || expected.reset_hint == found.reset_hint)
}

fn close(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let sum = a.abs() + b.abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return (a - b).abs() < TOLERANCE * f64::MIN_POSITIVE;
    }
    (a - b).abs() / sum.min(f64::MAX) < TOLERANCE
}

fn show_expected(expected: &Expected) -> String {
    let mut text = String::new();
    let written = match expected {
        Expected::Scalar(value) => writeln!(text, "      {value}"),
        Expected::String(value) => writeln!(text, "      {value:?}"),
        Expected::Series(lines) => lines.iter().try_for_each(|line| {
            let points: Vec<String> = line.points.iter().map(show_point).collect();
            writeln!(text, "      {} {}", line.labels, points.join(" "))
        }),
    };
    written.map_or_else(|e| e.to_string(), |()| text)
}

fn show_point(point: &Point) -> String {
    match point {
        Point::Missing => "_".to_owned(),
        Point::Float(value) => value.to_string(),
        Point::Histogram { histogram, .. } => test_expression(histogram),
    }
}

/// A value as a script would expect it.
pub(super) fn show(value: &QueryValue) -> String {
    let mut text = String::new();
    let histogram = |h: &Arc<Histogram>| test_expression(h);
    let written = match value {
        QueryValue::Scalar { value, .. } => writeln!(text, "      {value}"),
        QueryValue::String { text: value, .. } => writeln!(text, "      {value:?}"),
        QueryValue::Vector(samples) => samples.iter().try_for_each(|s| match &s.value {
            Value::Float(value) => writeln!(text, "      {} {value}", s.labels),
            Value::Histogram(h) => writeln!(text, "      {} {}", s.labels, histogram(h)),
        }),
        QueryValue::Matrix(series) => series.iter().try_for_each(|s| {
            let floats = s.floats.iter().map(|(t, v)| format!("{v}@{t}"));
            let histograms = s
                .histograms
                .iter()
                .map(|(t, h)| format!("{}@{t}", histogram(h)));
            let points: Vec<String> = floats.chain(histograms).collect();
            writeln!(text, "      {} {}", s.labels, points.join(" "))
        }),
    };
    written.map_or_else(|e| e.to_string(), |()| text)
}

#[test]
fn floats_are_compared_relative_to_their_size() {
    assert!(close(1.0, 1.000_001) && !close(1.0, 1.000_01));
    assert!(close(f64::NAN, -f64::NAN) && close(f64::INFINITY, f64::INFINITY));
    assert!(!close(model::stale_nan(), f64::NAN) && close(model::stale_nan(), model::stale_nan()));
    assert!(!close(0.0, 1e-30) && close(0.0, -0.0));
    assert!(!close(f64::INFINITY, f64::MAX));
}
