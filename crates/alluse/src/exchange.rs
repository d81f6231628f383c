//! Series as text that others read: what `alluse store export` and `/api/v1/export` write.
//!
//! JSON lines are VictoriaMetrics' form, extended so that nothing is lost: a NaN that is not the
//! usual one is the text `"NaN:<16 hex digits>"` (the staleness marker among them), and native
//! histograms are under `histograms`. Reading a line back gives the same bits.

use std::{io, io::Write};

use model::{Histogram, ResetHint, Series, Span};

/// Samples of one line: keeps lines far below the 1 MiB a receiver takes.
const LINE_SAMPLES: usize = 8_192;
/// Histograms of one line.
const LINE_HISTOGRAMS: usize = 64;

/// Writes a series as JSON lines.
pub(crate) fn json_lines(series: &Series, out: &mut Vec<u8>) {
    let is_histogram = |i: usize| series.histograms.get(i).and_then(Option::as_ref);
    let floats: Vec<usize> = (0..series.times_ms.len())
        .filter(|i| is_histogram(*i).is_none())
        .collect();
    for run in floats.chunks(LINE_SAMPLES) {
        put_metric(out, series);
        out.extend_from_slice(b",\"values\":[");
        separated(out, run, |out, i| put_float(out, series.values[*i]));
        out.extend_from_slice(b"],\"timestamps\":[");
        separated(out, run, |out, i| put(out, series.times_ms[*i]));
        out.extend_from_slice(b"]}\n");
    }
    let histograms: Vec<(i64, &Histogram)> = (0..series.times_ms.len())
        .filter_map(|i| Some((series.times_ms[i], &**is_histogram(i)?)))
        .collect();
    for run in histograms.chunks(LINE_HISTOGRAMS) {
        put_metric(out, series);
        out.extend_from_slice(b",\"histograms\":[");
        separated(out, run, |out, (t, h)| put_histogram(out, *t, h));
        out.extend_from_slice(b"]}\n");
    }
}

fn put(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("memory takes bytes");
}

fn put_metric(out: &mut Vec<u8>, series: &Series) {
    out.extend_from_slice(b"{\"metric\":");
    serde_json::to_writer(&mut *out, &series.labels).expect("labels are JSON");
}

fn separated<T>(out: &mut Vec<u8>, items: &[T], mut each: impl FnMut(&mut Vec<u8>, &T)) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        each(out, item);
    }
}

/// A float as JSON: a number where there is one, bit for bit.
fn put_float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        // The shortest digits that read back to the same bits.
        let text = format!("{value:?}");
        let whole = text.strip_suffix(".0").filter(|t| *t != "-0");
        put(out, whole.unwrap_or(&text));
    } else {
        put(out, format!("\"{}\"", odd(value)));
    }
}

/// A float that is no number, by name.
fn odd(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value.to_bits() == f64::NAN.to_bits() {
        return "NaN".to_owned();
    }
    format!("NaN:{:016x}", value.to_bits())
}

fn put_histogram(out: &mut Vec<u8>, time_ms: i64, h: &Histogram) {
    put(
        out,
        format_args!("{{\"timestamp\":{time_ms},\"schema\":{}", h.schema),
    );
    for (name, value) in [
        ("zero_threshold", h.zero_threshold),
        ("zero_count", h.zero_count),
        ("count", h.count),
        ("sum", h.sum),
    ] {
        put(out, format_args!(",\"{name}\":"));
        put_float(out, value);
    }
    for (name, spans) in [
        ("positive_spans", &h.positive_spans),
        ("negative_spans", &h.negative_spans),
    ] {
        put(out, format_args!(",\"{name}\":["));
        separated(out, spans, |out, s: &Span| {
            put(out, format_args!("[{},{}]", s.offset, s.length))
        });
        out.push(b']');
    }
    for (name, floats) in [
        ("positive_buckets", &h.positive_buckets),
        ("negative_buckets", &h.negative_buckets),
        ("custom_values", &h.custom_values),
    ] {
        put(out, format_args!(",\"{name}\":["));
        separated(out, floats, |out, v| put_float(out, *v));
        out.push(b']');
    }
    let hint = match h.reset_hint {
        ResetHint::Unknown => "unknown",
        ResetHint::Reset => "reset",
        ResetHint::NotReset => "not_reset",
        ResetHint::Gauge => "gauge",
    };
    put(out, format_args!(",\"reset_hint\":\"{hint}\"}}"));
}

/// A histogram as a JSON object, its time included.
pub(crate) fn histogram_json(time_ms: i64, histogram: &Histogram) -> String {
    let mut out = Vec::new();
    put_histogram(&mut out, time_ms, histogram);
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// CSV as `/api/v1/import/csv` reads it: a row a sample, a column a label.
#[derive(Debug)]
pub(crate) struct Csv {
    /// Labels beside the metric's name, in order.
    labels: Vec<String>,
}

impl Csv {
    /// Columns for these labels; `None` if one has the name of another column.
    pub(crate) fn new(names: &[String]) -> Option<Self> {
        let labels: Vec<String> = names
            .iter()
            .filter(|name| *name != model::METRIC_NAME)
            .cloned()
            .collect();
        let taken = ["timestamp", "time_ms", "value", "metric"];
        (!labels.iter().any(|l| taken.contains(&l.as_str()))).then_some(Self { labels })
    }

    pub(crate) fn head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"metric,timestamp,value");
        for label in &self.labels {
            out.push(b',');
            put_field(out, label);
        }
        out.push(b'\n');
    }

    /// Writes the floats of a series; how many samples are not in it: histograms, and those of a
    /// series with a line break in a label, which receivers do not take.
    pub(crate) fn series(&self, series: &Series, out: &mut Vec<u8>) -> u64 {
        if series
            .labels
            .iter()
            .any(|(_, value)| value.contains(['\n', '\r']))
        {
            return series.times_ms.len() as u64;
        }
        let mut tail = Vec::new();
        for label in &self.labels {
            tail.push(b',');
            put_field(&mut tail, series.labels.get(label).unwrap_or_default());
        }
        tail.push(b'\n');
        let mut left_out = 0;
        for (i, time_ms) in series.times_ms.iter().enumerate() {
            if series.histograms.get(i).is_some_and(Option::is_some) {
                left_out += 1;
                continue;
            }
            put_field(out, series.labels.metric_name());
            put(out, format_args!(",{time_ms},"));
            let value = series.values[i];
            if value.is_finite() {
                put(out, format_args!("{value:?}"));
            } else {
                put(out, odd(value));
            }
            out.extend_from_slice(&tail);
        }
        left_out
    }
}

/// A field as RFC 4180 has it.
fn put_field(out: &mut Vec<u8>, text: &str) {
    if !text.contains([',', '"']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let text = text.replace('"', "\"\"");
    put(out, format_args!("\"{text}\""));
}

/// Writes the floats of a series as OpenMetrics text with times; how many samples were
/// histograms and are not in it. Series of one metric have to come together, and `# EOF` last.
pub(crate) fn open_metrics(series: &Series, out: &mut Vec<u8>) -> u64 {
    let name = open_metrics_name(series);
    let mut left_out = 0;
    for (i, time_ms) in series.times_ms.iter().enumerate() {
        if series.histograms.get(i).is_some_and(Option::is_some) {
            left_out += 1;
            continue;
        }
        let value = series.values[i];
        put(out, format_args!("{name} "));
        match value {
            v if v.is_nan() => put(out, "NaN"),
            v if v.is_infinite() => put(out, if v > 0.0 { "+Inf" } else { "-Inf" }),
            v => put(out, format_args!("{v:?}")),
        }
        let (s, ms) = (time_ms.div_euclid(1_000), time_ms.rem_euclid(1_000));
        if *time_ms < 0 {
            put(out, format_args!(" {}\n", *time_ms as f64 / 1_000.0));
        } else {
            put(out, format_args!(" {s}.{ms:03}\n"));
        }
    }
    left_out
}

/// The series as OpenMetrics writes it; names beyond its alphabet are quoted.
fn open_metrics_name(series: &Series) -> String {
    let plain = |name: &str, colon: bool| {
        let mut chars = name.chars();
        let first = |c: char| c.is_ascii_alphabetic() || c == '_' || colon && c == ':';
        chars.next().is_some_and(first) && chars.all(|c| first(c) || c.is_ascii_digit())
    };
    let escaped = |text: &str| {
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    };
    let metric = series.labels.metric_name();
    let mut pairs = Vec::new();
    if !plain(metric, true) {
        pairs.push(format!("\"{}\"", escaped(metric)));
    }
    for (name, value) in series
        .labels
        .iter()
        .filter(|(n, _)| *n != model::METRIC_NAME)
    {
        let name = if plain(name, false) {
            name.to_owned()
        } else {
            format!("\"{}\"", escaped(name))
        };
        pairs.push(format!("{name}=\"{}\"", escaped(value)));
    }
    let head = if plain(metric, true) { metric } else { "" };
    if pairs.is_empty() {
        return head.to_owned();
    }
    format!("{head}{{{}}}", pairs.join(","))
}

/// Writes what has gathered, once there is enough of it.
pub(crate) fn drain(buffer: &mut Vec<u8>, to: &mut dyn Write, least: usize) -> io::Result<()> {
    if buffer.len() >= least {
        to.write_all(buffer)?;
        buffer.clear();
    }
    Ok(())
}
