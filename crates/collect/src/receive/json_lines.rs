//! JSON lines: one object a line, as VictoriaMetrics exports and imports them.
//!
//! `{"metric":{"__name__":"up","job":"a"},"values":[1,0],"timestamps":[1700000000000,…]}`, or with
//! one sample `"value"` and `"timestamp"`. Times are milliseconds; a sample without one is now.
//! Values JSON has no number for are the texts `"NaN"`, `"Infinity"`, `"-Infinity"`; null is NaN.
//! Native histograms, each with its time, are under `"histograms"`, as our own exports write them.

use std::{borrow::Cow, fmt};

use model::{Durability, Histogram, ResetHint, SampleSink, Span};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use super::{
    Fault, Received, Receiver, Refusal, Reply, Request,
    intake::{Intake, Stop},
    lanes::Failed,
    lines::{Relieve, each_line, float},
};

/// What its batches are counted by.
const DOOR: &str = "json_lines";

impl Receiver {
    /// Decodes JSON lines.
    pub fn json_lines(&self, request: &Request<'_>) -> Result<Received, Refusal> {
        self.gather_lines(DOOR, request, read)
    }

    /// Decodes, stores and answers JSON lines.
    pub fn serve_json_lines(
        &self,
        request: &Request<'_>,
        sink: &dyn SampleSink,
        durability: Durability,
    ) -> Reply {
        self.serve_lines(DOOR, request, read, (sink, durability))
    }
}

fn read(
    request: &Request<'_>,
    intake: &mut Intake<'_>,
    relieve: &mut Relieve<'_>,
) -> Result<(), Failed> {
    let limits = intake.limits;
    each_line(request, limits, &mut |number, line| {
        let read = match line {
            Ok(line) => read_line(line, request.now_ms, intake)?,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = read {
            let text = line.unwrap_or_default();
            intake.reject(fault, || format!("line {number}: {text}"));
        }
        relieve(intake);
        Ok(())
    })
}

/// One line. Unknown keys are refused: they would be data nobody stored.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    metric: Pairs<'a>,
    #[serde(default)]
    values: Vec<Number>,
    #[serde(default)]
    timestamps: Vec<i64>,
    #[serde(default)]
    histograms: Vec<TimedHistogram>,
    value: Option<Number>,
    timestamp: Option<i64>,
}

/// A native histogram and its time, ms.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimedHistogram {
    timestamp: i64,
    schema: i32,
    zero_threshold: Number,
    zero_count: Number,
    count: Number,
    sum: Number,
    positive_spans: Vec<(i32, u32)>,
    positive_buckets: Vec<Number>,
    negative_spans: Vec<(i32, u32)>,
    negative_buckets: Vec<Number>,
    custom_values: Vec<Number>,
    reset_hint: Hint,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Hint {
    Unknown,
    Reset,
    NotReset,
    Gauge,
}

impl TimedHistogram {
    /// The histogram; `None` if its spans do not say as many buckets as there are.
    fn read(self) -> Option<(i64, Histogram)> {
        let buckets = |spans: &[(i32, u32)]| spans.iter().map(|s| u64::from(s.1)).sum::<u64>();
        let sound = buckets(&self.positive_spans) == self.positive_buckets.len() as u64
            && buckets(&self.negative_spans) == self.negative_buckets.len() as u64;
        sound.then_some(())?;
        let spans = |list: Vec<(i32, u32)>| {
            let span = |(offset, length)| Span { offset, length };
            list.into_iter().map(span).collect()
        };
        let floats = |list: Vec<Number>| list.into_iter().map(|n| n.0).collect();
        let histogram = Histogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold.0,
            zero_count: self.zero_count.0,
            count: self.count.0,
            sum: self.sum.0,
            positive_spans: spans(self.positive_spans),
            positive_buckets: floats(self.positive_buckets),
            negative_spans: spans(self.negative_spans),
            negative_buckets: floats(self.negative_buckets),
            custom_values: floats(self.custom_values),
            reset_hint: match self.reset_hint {
                Hint::Unknown => ResetHint::Unknown,
                Hint::Reset => ResetHint::Reset,
                Hint::NotReset => ResetHint::NotReset,
                Hint::Gauge => ResetHint::Gauge,
            },
        };
        Some((self.timestamp, histogram))
    }
}

fn read_line(line: &str, now_ms: i64, intake: &mut Intake<'_>) -> Result<Result<(), Fault>, Stop> {
    let Ok(mut line) = serde_json::from_str::<Line<'_>>(line) else {
        return Ok(Err(Fault::Syntax));
    };
    if let Some(value) = line.value.take() {
        line.values.push(value);
        line.timestamps
            .push(line.timestamp.take().unwrap_or(now_ms));
    }
    let no_values = line.values.is_empty() && line.histograms.is_empty();
    if no_values || line.timestamp.is_some() {
        return Ok(Err(Fault::NoValues));
    }
    if line.values.len() != line.timestamps.len() {
        return Ok(Err(Fault::Syntax));
    }
    let labels = match intake.labels_of(&mut line.metric.0) {
        Ok(labels) => labels,
        Err(fault) => return Ok(Err(fault)),
    };
    for (time_ms, value) in line.timestamps.iter().zip(&line.values) {
        intake.float(labels.clone(), *time_ms, value.0)?;
    }
    for histogram in line.histograms {
        let Some((time_ms, histogram)) = histogram.read() else {
            return Ok(Err(Fault::Syntax));
        };
        intake.histogram(labels.clone(), time_ms, histogram)?;
    }
    Ok(Ok(()))
}

/// The pairs of an object, duplicates included: a map would hide them.
#[derive(Debug)]
struct Pairs<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// A text that borrows when it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of label names and values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    pairs.push((name.0, value.0));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A float, or the text of one.
#[derive(Debug)]
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written<'a> {
            Number(f64),
            Text(#[serde(borrow)] Cow<'a, str>),
            Null(()),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(Self(value)),
            Written::Null(()) => Ok(Self(f64::NAN)),
            Written::Text(text) => float(&text)
                .map(Self)
                .ok_or_else(|| serde::de::Error::custom("a value that is not a number")),
        }
    }
}
