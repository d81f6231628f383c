//! Histograms as text: the literal of test scripts and rule tests, and the bucket list of the
//! HTTP API.
//!
//! The literal, `{{schema:1 sum:3 count:22 buckets:[5 10 7]}}`, is described at
//! <https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/#series>;
//! fields come in any order and all are optional.

use std::fmt::Write as _;

use model::{Histogram, ResetHint, Span};
use thiserror::Error;

use super::{
    buckets::{all, cells},
    layout::compacted,
};

/// A bucket as the HTTP API writes it: `[boundaries, lower, upper, count]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JsonBucket {
    /// 0 open left, 1 open right, 2 open both, 3 closed both.
    pub boundaries: u8,
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Observations.
    pub count: f64,
}

/// The populated buckets, rising.
#[must_use]
pub fn json_buckets(h: &Histogram) -> Vec<JsonBucket> {
    all(h)
        .iter()
        .filter(|b| b.count != 0.0)
        .map(|b| JsonBucket {
            boundaries: match (b.lower_inclusive, b.upper_inclusive) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            },
            lower: b.lower,
            upper: b.upper,
            count: b.count,
        })
        .collect()
}

/// The literal of a histogram, without empty fields.
#[must_use]
pub fn test_expression(h: &Histogram) -> String {
    let h = compacted(h);
    let mut fields: Vec<String> = Vec::new();
    if h.schema != 0 {
        fields.push(format!("schema:{}", h.schema));
    }
    for (name, value) in [
        ("count", h.count),
        ("sum", h.sum),
        ("z_bucket", h.zero_count),
        ("z_bucket_w", h.zero_threshold),
    ] {
        if value != 0.0 {
            fields.push(format!("{name}:{}", number(value)));
        }
    }
    if super::is_custom(&h) {
        fields.push(format!("custom_values:[{}]", numbers(&h.custom_values)));
    }
    fields.extend(hint_name(h.reset_hint).map(|hint| format!("counter_reset_hint:{hint}")));
    fields.extend(side(
        ["offset", "buckets"],
        &h.positive_spans,
        &h.positive_buckets,
    ));
    fields.extend(side(
        ["n_offset", "n_buckets"],
        &h.negative_spans,
        &h.negative_buckets,
    ));
    format!("{{{{{}}}}}", fields.join(" "))
}

fn side(names: [&str; 2], spans: &[Span], counts: &[f64]) -> Vec<String> {
    let Some(first) = spans.first() else {
        return Vec::new();
    };
    let mut dense: Vec<f64> = Vec::new();
    for (index, count) in cells(spans, counts) {
        let place = index.abs_diff(first.offset) as usize;
        dense.resize(place, 0.0);
        dense.push(count);
    }
    let offset = (first.offset != 0).then(|| format!("{}:{}", names[0], first.offset));
    offset
        .into_iter()
        .chain([format!("{}:[{}]", names[1], numbers(&dense))])
        .collect()
}

fn hint_name(hint: ResetHint) -> Option<&'static str> {
    match hint {
        ResetHint::Unknown => None,
        ResetHint::Reset => Some("reset"),
        ResetHint::NotReset => Some("not_reset"),
        ResetHint::Gauge => Some("gauge"),
    }
}

fn numbers(values: &[f64]) -> String {
    values
        .iter()
        .map(|v| number(*v))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The shortest decimal that gives the float back, with an exponent where it is long.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let plain = format!("{value}");
    let mut scientific = String::new();
    match write!(scientific, "{value:e}") {
        Ok(()) if scientific.len() < plain.len() && plain.len() > 21 => scientific,
        Ok(()) | Err(_) => plain,
    }
}

/// Why a literal cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Not between `{{` and `}}`.
    #[error("a histogram is written {{{{...}}}}")]
    Braces,
    /// Not `name:value`.
    #[error("{0:?} is not name:value")]
    Field(String),
    /// No such field.
    #[error("a histogram has no field {0:?}")]
    UnknownField(String),
    /// Not a value of its field.
    #[error("{value:?} is no value of {field}")]
    Value {
        /// The field.
        field: String,
        /// What was written.
        value: String,
    },
}

/// Reads a literal.
pub fn parse(text: &str) -> Result<Histogram, ParseError> {
    let inner = text
        .trim()
        .strip_prefix("{{")
        .and_then(|t| t.strip_suffix("}}"))
        .ok_or(ParseError::Braces)?;
    let mut h = Histogram::default();
    let (mut offset, mut n_offset) = (0, 0);
    let mut rest = inner.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once(':')
            .ok_or_else(|| ParseError::Field(rest.to_owned()))?;
        let (value, after) = split_value(after.trim_start());
        match name.trim() {
            "offset" => offset = one(name, value)?,
            "n_offset" => n_offset = one(name, value)?,
            name => set(&mut h, name, value)?,
        }
        rest = after.trim_start();
    }
    h.positive_spans = span(offset, &h.positive_buckets);
    h.negative_spans = span(n_offset, &h.negative_buckets);
    Ok(h)
}

/// The value at the start of the text: a list in brackets, or what reaches to the next space.
fn split_value(text: &str) -> (&str, &str) {
    if text.starts_with('[') {
        return text
            .find(']')
            .map_or((text, ""), |end| text.split_at(end + 1));
    }
    text.find(char::is_whitespace)
        .map_or((text, ""), |end| text.split_at(end))
}

fn set(h: &mut Histogram, name: &str, value: &str) -> Result<(), ParseError> {
    match name {
        "schema" => h.schema = one(name, value)?,
        "sum" => h.sum = one(name, value)?,
        "count" => h.count = one(name, value)?,
        "z_bucket" => h.zero_count = one(name, value)?,
        "z_bucket_w" => h.zero_threshold = one(name, value)?,
        "custom_values" => h.custom_values = list(name, value)?,
        "buckets" => h.positive_buckets = list(name, value)?,
        "n_buckets" => h.negative_buckets = list(name, value)?,
        "counter_reset_hint" => h.reset_hint = hint(value)?,
        _ => return Err(ParseError::UnknownField(name.to_owned())),
    }
    Ok(())
}

fn one<T: std::str::FromStr>(field: &str, value: &str) -> Result<T, ParseError> {
    value.parse().ok().ok_or_else(|| bad(field, value))
}

fn list(field: &str, value: &str) -> Result<Vec<f64>, ParseError> {
    let inner = value.strip_prefix('[').and_then(|v| v.strip_suffix(']'));
    let inner = inner.ok_or_else(|| bad(field, value))?;
    inner.split_whitespace().map(|v| one(field, v)).collect()
}

fn hint(value: &str) -> Result<ResetHint, ParseError> {
    match value {
        "unknown" => Ok(ResetHint::Unknown),
        "reset" => Ok(ResetHint::Reset),
        "not_reset" => Ok(ResetHint::NotReset),
        "gauge" => Ok(ResetHint::Gauge),
        _ => Err(bad("counter_reset_hint", value)),
    }
}

fn bad(field: &str, value: &str) -> ParseError {
    ParseError::Value {
        field: field.to_owned(),
        value: value.to_owned(),
    }
}

fn span(offset: i32, counts: &[f64]) -> Vec<Span> {
    let length = u32::try_from(counts.len()).unwrap_or(u32::MAX);
    if length == 0 {
        Vec::new()
    } else {
        vec![Span { offset, length }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_round_trip() {
        for text in [
            "{{}}",
            "{{schema:1 count:22 sum:3 buckets:[5 10 7]}}",
            "{{count:1.5 sum:-2 z_bucket:1 z_bucket_w:0.001 counter_reset_hint:gauge offset:-3 buckets:[1 0 2] n_offset:4 n_buckets:[0.5]}}",
            "{{schema:-53 count:3 sum:NaN custom_values:[5 10] buckets:[1 2]}}",
        ] {
            assert_eq!(test_expression(&parse(text).unwrap()), text);
        }
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(parse("{sum:1}"), Err(ParseError::Braces));
        assert_eq!(
            parse("{{size:1}}"),
            Err(ParseError::UnknownField("size".into()))
        );
        assert_eq!(parse("{{sum}}"), Err(ParseError::Field("sum".into())));
        assert!(matches!(
            parse("{{schema:1.5}}"),
            Err(ParseError::Value { .. })
        ));
        assert!(matches!(
            parse("{{buckets:[1 2}}"),
            Err(ParseError::Value { .. })
        ));
    }

    #[test]
    fn json_says_which_bounds_are_closed() {
        let h =
            parse("{{z_bucket:1 z_bucket_w:0.5 offset:1 buckets:[2] n_offset:1 n_buckets:[0 3]}}")
                .unwrap();
        let found: Vec<_> = json_buckets(&h)
            .iter()
            .map(|b| (b.boundaries, b.lower, b.upper, b.count))
            .collect();
        assert_eq!(
            found,
            [
                (1, -4.0, -2.0, 3.0),
                (3, -0.5, 0.5, 1.0),
                (0, 1.0, 2.0, 2.0)
            ]
        );
    }
}
