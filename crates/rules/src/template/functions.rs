//! What templates can call: Go's own functions and Prometheus's.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use core::net::IpAddr;

use model::re2;
use regex::{Captures, Regex, RegexBuilder};
use yaml::units;

use super::{
    Context, compare,
    exec::map,
    humanize, time,
    value::{Sample, Value},
};

/// Bytes a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Names and how many arguments they take, from and to; `and`, `or` and `tmpl` are run elsewhere.
const FUNCTIONS: [(&str, usize, usize); 47] = [
    ("and", 1, ANY),
    ("or", 1, ANY),
    ("tmpl", 2, 2),
    ("not", 1, 1),
    ("len", 1, 1),
    ("index", 1, ANY),
    ("slice", 1, 3),
    ("print", 0, ANY),
    ("printf", 1, ANY),
    ("println", 0, ANY),
    ("html", 0, ANY),
    ("urlquery", 0, ANY),
    ("eq", 2, ANY),
    ("ne", 2, 2),
    ("lt", 2, 2),
    ("le", 2, 2),
    ("gt", 2, 2),
    ("ge", 2, 2),
    ("query", 1, 1),
    ("first", 1, 1),
    ("label", 2, 2),
    ("value", 1, 1),
    ("strvalue", 1, 1),
    ("sortByLabel", 2, 2),
    ("args", 0, ANY),
    ("reReplaceAll", 3, 3),
    ("match", 2, 2),
    ("safeHtml", 1, 1),
    ("title", 1, 1),
    ("toUpper", 1, 1),
    ("toLower", 1, 1),
    ("graphLink", 1, 1),
    ("tableLink", 1, 1),
    ("stripPort", 1, 1),
    ("stripDomain", 1, 1),
    ("humanize", 1, 1),
    ("humanize1024", 1, 1),
    ("humanizeDuration", 1, 1),
    ("humanizePercentage", 1, 1),
    ("humanizeTimestamp", 1, 1),
    ("toTime", 1, 1),
    ("toDuration", 1, 1),
    ("now", 0, 0),
    ("pathPrefix", 0, 0),
    ("externalURL", 0, 0),
    ("parseDuration", 1, 1),
    ("urlQueryEscape", 1, 1),
];

const ANY: usize = usize::MAX;

pub(super) fn is_known(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, _, _)| *known == name)
}

/// A function's name and what it is called with.
pub(super) struct Arguments<'n> {
    pub(super) name: &'n str,
    pub(super) values: Vec<Value>,
}

impl Arguments<'_> {
    fn text(&self, index: usize) -> Result<&str, String> {
        match &self.values[index] {
            Value::Text(text) => Ok(text),
            other => Err(format!(
                "wrong type for value; expected string; got {}",
                other.type_name()
            )),
        }
    }

    /// A number, or a text that is one, as Prometheus converts them.
    fn number(&self, index: usize) -> Result<f64, String> {
        match &self.values[index] {
            Value::Float(value) => Ok(*value),
            Value::Int(value) => Ok(*value as f64),
            Value::Text(text) => text
                .parse()
                .map_err(|_number| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax")),
            other => Err(format!("can't convert {} to float", other.type_name())),
        }
    }

    fn sample(&self, index: usize) -> Result<&Sample, String> {
        match &self.values[index] {
            Value::Sample(sample) => Ok(sample),
            other => Err(format!("expected a sample; got {}", other.type_name())),
        }
    }

    fn samples(&self, index: usize) -> Result<&[Arc<Sample>], String> {
        match &self.values[index] {
            Value::Samples(samples) => Ok(samples),
            other => Err(format!(
                "expected the result of a query; got {}",
                other.type_name()
            )),
        }
    }
}

fn checked(arguments: &Arguments<'_>) -> Result<(), String> {
    let found = FUNCTIONS
        .iter()
        .find(|(known, _, _)| *known == arguments.name);
    let (_, from, to) = found.expect("the parser knows its functions");
    let count = arguments.values.len();
    if (*from..=*to).contains(&count) {
        return Ok(());
    }
    Err(format!("wrong number of args: want {from} got {count}"))
}

pub(super) fn call(arguments: Arguments<'_>, context: &Context<'_>) -> Result<Value, String> {
    checked(&arguments)?;
    let a = &arguments;
    let text = |text: String| Ok(Value::Text(text));
    match a.name {
        "not" => Ok(Value::Bool(!a.values[0].is_true())),
        "len" => length(&a.values[0]),
        "index" => index(&a.values),
        "slice" => slice(&a.values),
        "eq" => compare::any_equal(&a.values).map(Value::Bool),
        "ne" => compare::equal(&a.values[0], &a.values[1]).map(|equal| Value::Bool(!equal)),
        "lt" => ordered(a, Ordering::is_lt),
        "le" => ordered(a, Ordering::is_le),
        "gt" => ordered(a, Ordering::is_gt),
        "ge" => ordered(a, Ordering::is_ge),
        "print" => text(print(&a.values)),
        "println" => text(println(&a.values)),
        "printf" => text(super::printf::printf(a.text(0)?, &a.values[1..])),
        "html" => text(escaped_html(&print(&a.values))),
        "urlquery" => text(query_escape(&print(&a.values))),
        "urlQueryEscape" => text(query_escape(a.text(0)?)),
        "query" => query(a.text(0)?, context),
        "first" => first(a.samples(0)?),
        "label" => {
            let label = a.sample(1)?.labels.get(a.text(0)?);
            text(label.cloned().unwrap_or_default())
        }
        "value" => Ok(Value::Float(a.sample(0)?.value)),
        "strvalue" => {
            let label = a.sample(0)?.labels.get("__value__");
            text(label.cloned().unwrap_or_default())
        }
        "sortByLabel" => Ok(sorted(a.text(0)?, a.samples(1)?)),
        "args" => Ok(numbered(arguments.values)),
        "reReplaceAll" => {
            let pattern = pattern(a.text(0)?)?;
            let template = a.text(1)?;
            let expanded = |found: &Captures<'_>| {
                let mut out = String::new();
                re2::expand(found, template, &mut out);
                out
            };
            text(pattern.replace_all(a.text(2)?, expanded).into_owned())
        }
        "match" => Ok(Value::Bool(pattern(a.text(0)?)?.is_match(a.text(1)?))),
        "safeHtml" => text(a.text(0)?.to_owned()),
        "title" => text(title(a.text(0)?)),
        "toUpper" => text(a.text(0)?.to_uppercase()),
        "toLower" => text(a.text(0)?.to_lowercase()),
        "graphLink" => text(graph_link(a.text(0)?)),
        "tableLink" => text(table_link(a.text(0)?)),
        "stripPort" => text(strip_port(a.text(0)?)),
        "stripDomain" => text(strip_domain(a.text(0)?)),
        "humanize" => text(humanize::humanize(a.number(0)?)),
        "humanize1024" => text(humanize::humanize_1024(a.number(0)?)),
        "humanizeDuration" => text(humanize::duration(a.number(0)?)),
        "toDuration" => text(humanize::go_duration(a.number(0)?)),
        "humanizePercentage" => text(humanize::percentage(a.number(0)?)),
        "humanizeTimestamp" => timestamp(a.number(0)?),
        "toTime" => to_time(a.number(0)?),
        "now" => Ok(Value::Float(context.time_ms as f64 / 1_000.0)),
        "pathPrefix" => text(path_of(context.external_url).to_owned()),
        "externalURL" => text(context.external_url.to_owned()),
        "parseDuration" => {
            let span = units::duration(a.text(0)?)?;
            Ok(Value::Float(span.as_secs_f64()))
        }
        other => Err(format!("{other} is not supported here")),
    }
}

fn ordered(a: &Arguments<'_>, holds: fn(Ordering) -> bool) -> Result<Value, String> {
    let order = compare::order(&a.values[0], &a.values[1])?;
    Ok(Value::Bool(order.is_some_and(holds)))
}

fn length(value: &Value) -> Result<Value, String> {
    let count = match value {
        Value::Text(text) => text.len(),
        Value::Labels(labels) => labels.len(),
        Value::Map(map) => map.len(),
        Value::Samples(samples) => samples.len(),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
}

fn index(values: &[Value]) -> Result<Value, String> {
    let (first, keys) = values.split_first().ok_or("index of nothing")?;
    let mut value = first.clone();
    for key in keys {
        value = match (&value, key) {
            (Value::Labels(_) | Value::Map(_), Value::Text(name)) => value.field(name)?,
            (Value::Samples(samples), Value::Int(at)) => {
                let found = usize::try_from(*at).ok().and_then(|at| samples.get(at));
                let outside = || format!("index out of range: {at}");
                Value::Sample(Arc::clone(found.ok_or_else(outside)?))
            }
            (Value::Text(text), Value::Int(at)) => {
                let found = usize::try_from(*at).ok();
                let byte = found.and_then(|at| text.as_bytes().get(at));
                let outside = || format!("index out of range: {at}");
                Value::Int(i64::from(*byte.ok_or_else(outside)?))
            }
            (of, by) => {
                let (of, by) = (of.type_name(), by.type_name());
                return Err(format!("can't index item of type {of} with {by}"));
            }
        };
    }
    Ok(value)
}

fn slice(values: &[Value]) -> Result<Value, String> {
    let Value::Text(text) = &values[0] else {
        return Err(format!(
            "can't slice item of type {}",
            values[0].type_name()
        ));
    };
    let place = |index: usize, default: usize| match values.get(index) {
        None => Ok(default),
        Some(Value::Int(at)) => usize::try_from(*at).map_err(|_negative| "index out of range"),
        Some(_) => Err("cannot index slice/array with this type"),
    };
    let (from, to) = (place(1, 0)?, place(2, text.len())?);
    let cut = text.get(from..to).ok_or("index out of range")?;
    Ok(Value::Text(cut.to_owned()))
}

/// As Go's `Sprint`: a space between two values that are both no texts.
fn print(values: &[Value]) -> String {
    let mut out = String::new();
    let mut text_before = true;
    for value in values {
        let is_text = matches!(value, Value::Text(_));
        if !text_before && !is_text {
            out.push(' ');
        }
        match value {
            Value::Nil => out.push_str("<nil>"),
            value => value.print(&mut out),
        }
        text_before = is_text;
    }
    out
}

fn println(values: &[Value]) -> String {
    let texts: Vec<String> = values.iter().map(Value::printed).collect();
    format!("{}\n", texts.join(" "))
}

fn query(text: &str, context: &Context<'_>) -> Result<Value, String> {
    let answer = (context.query)(text)?;
    let samples = answer.iter().map(|(labels, value)| {
        Arc::new(Sample {
            labels: map(labels),
            value: *value,
        })
    });
    Ok(Value::Samples(Arc::new(samples.collect())))
}

fn first(samples: &[Arc<Sample>]) -> Result<Value, String> {
    let first = samples
        .first()
        .ok_or("first() called on vector with no elements")?;
    Ok(Value::Sample(Arc::clone(first)))
}

fn sorted(label: &str, samples: &[Arc<Sample>]) -> Value {
    let mut samples = samples.to_vec();
    samples.sort_by(|a, b| a.labels.get(label).cmp(&b.labels.get(label)));
    Value::Samples(Arc::new(samples))
}

fn numbered(values: Vec<Value>) -> Value {
    let pairs = values.into_iter().enumerate();
    let map: BTreeMap<String, Value> = pairs.map(|(i, v)| (format!("arg{i}"), v)).collect();
    Value::Map(Arc::new(map))
}

fn pattern(text: &str) -> Result<Regex, String> {
    let pattern = RegexBuilder::new(&re2::translated(text))
        .size_limit(PATTERN_BYTES_MAX)
        .build();
    pattern.map_err(|error| error.to_string())
}

/// The first letter of each word in upper case; words are letters, digits and `_`.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.push(c);
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric() || c == '_' || (!c.is_ascii() && !c.is_whitespace());
    }
    out
}

fn timestamp(seconds: f64) -> Result<Value, String> {
    match super::float::not_finite(seconds) {
        Some(text) => Ok(Value::Text(text.to_owned())),
        None => to_time(seconds).map(|time| Value::Text(time.printed())),
    }
}

fn to_time(seconds: f64) -> Result<Value, String> {
    if time::is_writable(seconds) {
        return Ok(Value::Time(seconds));
    }
    let value = super::shortest(seconds);
    Err(format!(
        "{value} cannot be represented as a nanoseconds timestamp"
    ))
}

fn escaped_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// As a form's value: space is `+`.
pub(crate) fn query_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn graph_link(expr: &str) -> String {
    format!("/graph?g0.expr={}&g0.tab=0", query_escape(expr))
}

/// Where an expression can be looked at, as Prometheus links to it.
pub(crate) fn table_link(expr: &str) -> String {
    format!("/graph?g0.expr={}&g0.tab=1", query_escape(expr))
}

/// The path of a URL, without a slash at the end.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("", |at| &rest[at..]);
    path.trim_end_matches('/')
}

/// Host and port of `host:port` or `[v6]:port`; `None` if it is neither.
fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    if let Some(inner) = host.strip_prefix('[') {
        return Some((inner.strip_suffix(']')?, port));
    }
    let plain = !host.contains([':', '[', ']']) && !port.contains(']');
    plain.then_some((host, port))
}

fn strip_port(text: &str) -> String {
    host_and_port(text)
        .map_or(text, |(host, _)| host)
        .to_owned()
}

fn strip_domain(text: &str) -> String {
    let (host, port) = host_and_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let name = host.split('.').next().unwrap_or(host);
    if port.is_empty() {
        name.to_owned()
    } else {
        format!("{name}:{port}")
    }
}
