//! Answers as JSON, byte for byte as Prometheus's HTTP API writes the `data` of a response:
//! numbers as strings, times in seconds.

use model::{Histogram, Labels, Value};

use crate::answer::{MatrixSeries, QueryValue, VectorSample};
use crate::float_text::write_value;
use crate::histogram::json_buckets;

/// Appends `{"resultType":…,"result":…}`.
pub fn write_data(out: &mut Vec<u8>, value: &QueryValue) {
    match value {
        QueryValue::Scalar { time_ms, value } => {
            out.extend_from_slice(br#"{"resultType":"scalar","result":"#);
            write_point(out, *time_ms, |out| write_quoted(out, *value));
        }
        QueryValue::String { time_ms, text } => {
            out.extend_from_slice(br#"{"resultType":"string","result":"#);
            write_point(out, *time_ms, |out| write_text(out, text));
        }
        QueryValue::Vector(samples) => {
            out.extend_from_slice(br#"{"resultType":"vector","result":"#);
            write_list(out, samples, write_sample);
        }
        QueryValue::Matrix(series) => {
            out.extend_from_slice(br#"{"resultType":"matrix","result":"#);
            write_matrix(out, series);
        }
    }
    out.push(b'}');
}

/// The same as a string.
#[must_use]
pub fn data(value: &QueryValue) -> String {
    let mut out = Vec::new();
    write_data(&mut out, value);
    String::from_utf8(out).expect("labels are UTF-8, and all else is ASCII")
}

fn write_list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn write_sample(out: &mut Vec<u8>, sample: &VectorSample) {
    out.extend_from_slice(br#"{"metric":"#);
    write_labels(out, &sample.labels);
    match &sample.value {
        Value::Float(value) => {
            out.extend_from_slice(br#","value":"#);
            write_point(out, sample.time_ms, |out| write_quoted(out, *value));
        }
        Value::Histogram(h) => {
            out.extend_from_slice(br#","histogram":"#);
            write_point(out, sample.time_ms, |out| write_histogram(out, h));
        }
    }
    out.push(b'}');
}

/// The first series tells how much room the others need, and has most of their times.
fn write_matrix(out: &mut Vec<u8>, series: &[MatrixSeries]) {
    let mut stamps = Stamps::default();
    let begin = out.len();
    out.push(b'[');
    for (i, one) in series.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        stamps.learn(one);
        write_series(out, one, &stamps);
        if i == 0 {
            out.reserve((out.len() - begin) * (series.len() - 1));
        }
    }
    out.push(b']');
}

/// Beginnings of points, `,[1700000000.5,"`: series of one answer share their times.
#[derive(Debug, Default)]
struct Stamps {
    times: Vec<i64>,
    texts: Vec<Stamp>,
}

/// A short text in a place of fixed size: it is copied whole, which is a move or two, and cut.
#[derive(Debug, Clone, Copy)]
struct Stamp {
    text: [u8; STAMP_BYTES],
    length: usize,
}

/// More than the longest beginning of a point takes.
const STAMP_BYTES: usize = 32;

impl Stamps {
    /// Takes the times of a series that has more of them than any before.
    fn learn(&mut self, series: &MatrixSeries) {
        if series.floats.len() <= self.times.len() {
            return;
        }
        *self = Self::default();
        let mut text = Vec::new();
        for (time, _) in &series.floats {
            text.clear();
            write_stamp(&mut text, *time);
            let mut stamp = Stamp {
                text: [0; STAMP_BYTES],
                length: text.len(),
            };
            stamp.text[..text.len()].copy_from_slice(&text);
            self.times.push(*time);
            self.texts.push(stamp);
        }
    }
}

impl Stamp {
    fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.length;
        out.extend_from_slice(&self.text);
        out.truncate(end);
    }
}

fn write_stamp(out: &mut Vec<u8>, time_ms: i64) {
    out.extend_from_slice(b",[");
    write_time(out, time_ms);
    out.extend_from_slice(b",\"");
}

/// There is at least one.
fn write_floats(out: &mut Vec<u8>, floats: &[(i64, f64)], stamps: &Stamps) {
    let begin = out.len();
    let mut at = 0;
    for (time, value) in floats {
        while stamps.times.get(at).is_some_and(|t| t < time) {
            at += 1;
        }
        if stamps.times.get(at) == Some(time) {
            stamps.texts[at].write(out);
        } else {
            write_stamp(out, *time);
        }
        write_value(out, *value);
        out.extend_from_slice(b"\"]");
    }
    // The comma before the first point.
    out[begin] = b'[';
    out.push(b']');
}

fn write_series(out: &mut Vec<u8>, series: &MatrixSeries, stamps: &Stamps) {
    out.extend_from_slice(br#"{"metric":"#);
    write_labels(out, &series.labels);
    if !series.floats.is_empty() {
        out.extend_from_slice(br#","values":"#);
        write_floats(out, &series.floats, stamps);
    }
    if !series.histograms.is_empty() {
        out.extend_from_slice(br#","histograms":"#);
        write_list(out, &series.histograms, |out, (time, h)| {
            write_point(out, *time, |out| write_histogram(out, h));
        });
    }
    out.push(b'}');
}

/// `[time,…]`
fn write_point(out: &mut Vec<u8>, time_ms: i64, value: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'[');
    write_time(out, time_ms);
    out.push(b',');
    value(out);
    out.push(b']');
}

/// Milliseconds as seconds, with three decimals if not whole.
fn write_time(out: &mut Vec<u8>, time_ms: i64) {
    if time_ms < 0 {
        out.push(b'-');
    }
    let (seconds, rest) = (time_ms.unsigned_abs() / 1000, time_ms.unsigned_abs() % 1000);
    out.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
    if rest > 0 {
        let digits = [rest / 100, rest / 10 % 10, rest % 10];
        out.push(b'.');
        out.extend(digits.map(|d| b"0123456789"[d as usize]));
    }
}

fn write_quoted(out: &mut Vec<u8>, value: f64) {
    out.push(b'"');
    write_value(out, value);
    out.push(b'"');
}

fn write_labels(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_text(out, name);
        out.push(b':');
        write_text(out, value);
    }
    out.push(b'}');
}

/// A string as RFC 8259 has it; `<`, `>`, `&` and the line separators escaped too, so that no
/// label can end a script.
fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    // 0xE2 begins the line separators, among others.
    let is_plain = |b: u8| b >= 0x20 && !matches!(b, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xE2);
    if text.bytes().all(is_plain) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(br#"\""#),
            '\\' => out.extend_from_slice(br"\\"),
            '\n' => out.extend_from_slice(br"\n"),
            '\r' => out.extend_from_slice(br"\r"),
            '\t' => out.extend_from_slice(br"\t"),
            c if u32::from(c) < 0x20 || matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

fn write_histogram(out: &mut Vec<u8>, h: &Histogram) {
    out.extend_from_slice(br#"{"count":"#);
    write_quoted(out, h.count);
    out.extend_from_slice(br#","sum":"#);
    write_quoted(out, h.sum);
    let buckets = json_buckets(h);
    if !buckets.is_empty() {
        out.extend_from_slice(br#","buckets":"#);
        write_list(out, &buckets, |out, bucket| {
            out.push(b'[');
            out.extend_from_slice(itoa::Buffer::new().format(bucket.boundaries).as_bytes());
            for value in [bucket.lower, bucket.upper, bucket.count] {
                out.push(b',');
                write_quoted(out, value);
            }
            out.push(b']');
        });
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Span;

    use super::*;

    fn labels() -> Labels {
        Labels::from_pairs([("__name__", "up"), ("job", "a\"<b>")])
    }

    #[test]
    fn scalars_and_strings_are_pairs_of_time_and_text() {
        let scalar = QueryValue::Scalar {
            time_ms: 1_500,
            value: f64::NAN,
        };
        assert_eq!(
            data(&scalar),
            r#"{"resultType":"scalar","result":[1.500,"NaN"]}"#
        );
        let text = QueryValue::String {
            time_ms: -1,
            text: "x\u{1}".to_owned(),
        };
        assert_eq!(
            data(&text),
            r#"{"resultType":"string","result":[-0.001,"x\u0001"]}"#
        );
    }

    #[test]
    fn vectors_carry_their_labels() {
        let value = Value::Float(1e21);
        let samples = vec![VectorSample {
            labels: labels(),
            time_ms: 2_000,
            value,
        }];
        let wanted = concat!(
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","#,
            r#""job":"a\"\u003cb\u003e"},"value":[2,"1000000000000000000000"]}]}"#
        );
        assert_eq!(data(&QueryValue::Vector(samples)), wanted);
    }

    #[test]
    fn matrices_keep_floats_and_histograms_apart() {
        let h = Histogram {
            count: 3.0,
            sum: 4.5,
            positive_spans: vec![Span {
                offset: 1,
                length: 1,
            }],
            positive_buckets: vec![3.0],
            ..Histogram::default()
        };
        let series = MatrixSeries {
            labels: Labels::empty(),
            floats: vec![(0, 1.0), (1_000, f64::INFINITY)],
            histograms: vec![(2_000, Arc::new(h))],
        };
        let wanted = concat!(
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0,"1"],[1,"+Inf"]],"#,
            r#""histograms":[[2,{"count":"3","sum":"4.5","buckets":[[0,"1","2","3"]]}]]}]}"#
        );
        assert_eq!(data(&QueryValue::Matrix(vec![series])), wanted);
    }
}
