//! A probe's output into samples.

use model::{Labels, METRIC_NAME, Metadata, MetricType, Sample};
use serde_json::Value;

use super::{Format, OUTPUT_BYTES_MAX, ProbeError};
use crate::exposition::{self, Limits, Parser};

/// Samples of one JSON document.
const SAMPLES_MAX: usize = 10_000;

/// Reads the outputs of one probe.
#[derive(Debug)]
pub(super) struct Reader {
    format: Format,
    /// The probe's name as a metric name.
    name: String,
    parser: Parser,
    /// Whether the gauge of [`Format::Value`] was described.
    is_told: bool,
}

impl Reader {
    pub(super) fn new(format: Format, probe: &str) -> Self {
        let limits = Limits {
            body_bytes: OUTPUT_BYTES_MAX,
            ..Limits::default()
        };
        Self {
            format,
            name: metric_name(probe),
            parser: Parser::new(limits),
            is_told: false,
        }
    }

    pub(super) fn read(
        &mut self,
        output: &[u8],
        tick_ms: i64,
        metadata: &mut Vec<Metadata>,
    ) -> Result<Vec<Sample>, ProbeError> {
        match self.format {
            Format::None => Ok(Vec::new()),
            Format::Prometheus => self.exposition(output, tick_ms, metadata),
            Format::Value => self.value(output, tick_ms, metadata),
            Format::Json => self.json(output, tick_ms),
        }
    }

    fn exposition(
        &mut self,
        output: &[u8],
        tick_ms: i64,
        metadata: &mut Vec<Metadata>,
    ) -> Result<Vec<Sample>, ProbeError> {
        let format = if output.trim_ascii_end().ends_with(b"# EOF") {
            exposition::Format::OpenMetrics
        } else {
            exposition::Format::Prometheus
        };
        let parsed = self.parser.parse(format, output);
        parsed.map_err(|error| ProbeError::Output(error.to_string()))?;
        let found = self.parser.found();
        metadata.clone_from(&found.metadata);
        let sample = |sample: &exposition::ParsedSample| {
            let labels = self.parser.labels(sample.slot).clone();
            Sample::float(labels, sample.time_ms.unwrap_or(tick_ms), sample.value)
        };
        Ok(found.samples.iter().map(sample).collect())
    }

    fn value(
        &mut self,
        output: &[u8],
        tick_ms: i64,
        metadata: &mut Vec<Metadata>,
    ) -> Result<Vec<Sample>, ProbeError> {
        let text = String::from_utf8_lossy(output);
        let value = text.trim().parse::<f64>().map_err(|_number| {
            let said: String = text.trim().chars().take(40).collect();
            ProbeError::Output(format!("{said:?} is not one number"))
        })?;
        if !std::mem::replace(&mut self.is_told, true) {
            metadata.push(Metadata {
                family: self.name.clone(),
                metric_type: MetricType::Gauge,
                help: String::new(),
                unit: String::new(),
            });
        }
        let labels = Labels::from_pairs([(METRIC_NAME, self.name.as_str())]);
        Ok(vec![Sample::float(labels, tick_ms, value)])
    }

    /// `serde_json` bounds the depth at 128.
    fn json(&self, output: &[u8], tick_ms: i64) -> Result<Vec<Sample>, ProbeError> {
        let root: Value = serde_json::from_slice(output)
            .map_err(|error| ProbeError::Output(error.to_string()))?;
        if !root.is_object() {
            return Err(ProbeError::Output("it is no JSON object".to_owned()));
        }
        let mut found = Vec::new();
        flatten(&self.name, &root, &mut found);
        if found.len() > SAMPLES_MAX {
            let what = format!("more than {SAMPLES_MAX} numbers");
            return Err(ProbeError::Output(what));
        }
        let sample = |(name, value): (String, f64)| {
            Sample::float(Labels::from_pairs([(METRIC_NAME, name)]), tick_ms, value)
        };
        Ok(found.into_iter().map(sample).collect())
    }
}

/// Numbers by the keys that lead to them; texts, lists and nulls say nothing.
fn flatten(name: &str, value: &Value, found: &mut Vec<(String, f64)>) {
    match value {
        Value::Number(number) => {
            if let Some(number) = number.as_f64() {
                found.push((name.to_owned(), number));
            }
        }
        Value::Bool(flag) => found.push((name.to_owned(), f64::from(u8::from(*flag)))),
        Value::Object(map) => {
            for (key, value) in map {
                flatten(&format!("{name}_{}", metric_name(key)), value, found);
            }
        }
        Value::Null | Value::String(_) | Value::Array(_) => {}
    }
}

/// A text with everything but letters, digits and `_` replaced by `_`.
fn metric_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = text.chars().map(plain).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return format!("_{name}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, output: &str) -> Result<String, String> {
        let mut reader = Reader::new(format, "my-probe");
        let read = reader.read(output.as_bytes(), 5, &mut Vec::new());
        let samples = read.map_err(|error| error.to_string())?;
        let line = |s: &Sample| format!("{} {:?}@{}", s.labels, s.value, s.time_ms);
        Ok(samples.iter().map(line).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn outputs_become_samples() {
        assert_eq!(
            read(Format::Value, " 4.5\n").unwrap(),
            "my_probe Float(4.5)@5"
        );
        assert_eq!(
            read(
                Format::Json,
                r#"{"a": 1, "b": {"c-d": true, "s": "x"}, "l": [1]}"#
            )
            .unwrap(),
            "my_probe_a Float(1.0)@5 my_probe_b_c_d Float(1.0)@5"
        );
        assert_eq!(
            read(Format::Prometheus, "a 1\nb 2 7\n").unwrap(),
            "a Float(1.0)@5 b Float(2.0)@7"
        );
        assert_eq!(
            read(Format::Prometheus, "a 1\n# EOF\n").unwrap(),
            "a Float(1.0)@5"
        );
        assert_eq!(read(Format::None, "whatever").unwrap(), "");
    }

    #[test]
    fn outputs_of_another_format_are_refused() {
        for (format, output) in [
            (Format::Value, "four"),
            (Format::Value, ""),
            (Format::Json, "[1]"),
            (Format::Json, "{"),
            (Format::Prometheus, "a b c d"),
        ] {
            assert!(read(format, output).is_err(), "{output:?}");
        }
    }
}
