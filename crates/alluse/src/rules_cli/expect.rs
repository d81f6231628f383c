//! What a test of rules expects against what there is.

use std::collections::BTreeMap;

use model::{Labels, Value};
use query::{format_value, histogram, series_notation};
use rules::{
    ALERT_NAME, ActiveAlert, AlertState,
    unit_test::{AlertTest, Expected, QueryTest},
};

/// A test that does not hold: where it stands, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) place: String,
    pub(super) what: String,
    pub(super) expected: Vec<String>,
    pub(super) found: Vec<String>,
}

impl Mismatch {
    /// A test that could not be judged.
    pub(super) fn failed(place: &str, what: impl Into<String>) -> Self {
        Self {
            place: place.to_owned(),
            what: what.into(),
            expected: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Lines as a difference: what is missing with a minus, what is too much with a plus.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {}", self.place, self.what)];
        let lacking = |of: &[String], all: &[String]| -> Vec<String> {
            let mut rest = all.to_vec();
            let missing = of.iter().filter(|line| {
                let found = rest.iter().position(|other| other == *line);
                found.map(|at| rest.swap_remove(at)).is_none()
            });
            missing.cloned().collect()
        };
        let missing = lacking(&self.expected, &self.found);
        let extra = lacking(&self.found, &self.expected);
        lines.extend(missing.iter().map(|line| format!("    - {line}")));
        lines.extend(extra.iter().map(|line| format!("    + {line}")));
        lines
    }
}

/// Compares the alerts of one name that fire.
pub(super) fn alerts(test: &AlertTest, alerts: &[ActiveAlert]) -> Option<Mismatch> {
    let firing = alerts.iter().filter(|alert| {
        alert.state == AlertState::Firing && alert.labels.get(ALERT_NAME) == Some(&test.name)
    });
    let mut found: Vec<String> = firing
        .map(|alert| shown(&alert.labels, &alert.annotations))
        .collect();
    let mut expected: Vec<String> = test
        .expected
        .iter()
        .map(|expected| expected_alert(&test.name, expected))
        .collect();
    found.sort();
    expected.sort();
    (found != expected).then(|| Mismatch {
        place: test.place.clone(),
        what: format!("alert {} at {}", test.name, span(test.at)),
        expected,
        found,
    })
}

fn expected_alert(name: &str, expected: &Expected) -> String {
    let pairs = expected.labels.iter();
    let labels = Labels::from_pairs(pairs.map(|(k, v)| (k.as_str(), v.as_str())));
    shown(&labels.with(ALERT_NAME, name), &expected.annotations)
}

fn shown(labels: &Labels, annotations: &BTreeMap<String, String>) -> String {
    format!("{labels} {annotations:?}")
}

fn span(span: std::time::Duration) -> String {
    collect::prometheus_config::units::duration_text(span)
}

/// Compares the answer of a query.
pub(super) fn samples(
    test: &QueryTest,
    answer: &[(Labels, Value)],
    fuzzy: bool,
) -> Option<Mismatch> {
    let wanted: Result<Vec<(Labels, Value)>, String> = test.expected.iter().map(wanted).collect();
    let mut wanted = match wanted {
        Ok(wanted) => wanted,
        Err(what) => return Some(Mismatch::failed(&test.place, what)),
    };
    let mut answer = answer.to_vec();
    let by_labels = |a: &(Labels, Value), b: &(Labels, Value)| a.0.cmp(&b.0);
    wanted.sort_by(by_labels);
    answer.sort_by(by_labels);
    let pairs = wanted.iter().zip(&answer);
    let same = wanted.len() == answer.len()
        && pairs
            .into_iter()
            .all(|(a, b)| a.0 == b.0 && equal(&a.1, &b.1, fuzzy));
    let text = |list: &[(Labels, Value)]| list.iter().map(element).collect();
    (!same).then(|| Mismatch {
        place: test.place.clone(),
        what: format!("{} at {}", test.expr, span(test.at)),
        expected: text(&wanted),
        found: text(&answer),
    })
}

fn wanted(expected: &rules::unit_test::ExpectedSample) -> Result<(Labels, Value), String> {
    let labels = match expected.labels.trim() {
        "" => Labels::empty(),
        text => series_notation::parse(text)?.labels,
    };
    if expected.histogram.is_empty() {
        return Ok((labels, Value::Float(expected.value)));
    }
    let text = format!("h {}", expected.histogram);
    match series_notation::parse(&text)?.points.as_slice() {
        [series_notation::Point::Histogram { histogram, .. }] => {
            Ok((labels, Value::Histogram(histogram.clone())))
        }
        _ => Err(format!("{:?} is not one histogram", expected.histogram)),
    }
}

fn equal(a: &Value, b: &Value, fuzzy: bool) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => {
            let next = fuzzy && (a.next_up() == *b || a.next_down() == *b);
            a == b || (a.is_nan() && b.is_nan()) || next
        }
        (Value::Histogram(a), Value::Histogram(b)) => {
            histogram::test_expression(a) == histogram::test_expression(b)
        }
        _ => false,
    }
}

fn element((labels, value): &(Labels, Value)) -> String {
    match value {
        Value::Float(value) => format!("{labels} {}", format_value(*value)),
        Value::Histogram(h) => format!("{labels} {}", histogram::test_expression(h)),
    }
}
