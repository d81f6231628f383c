//! What the Prometheus HTTP API answers, as JSON: envelopes, label sets, raw samples.

use std::collections::BTreeMap;

use model::{Labels, Metadata, MetricType, ReadError, Series};
use serde::{Deserialize, de::DeserializeOwned};

use crate::peer::Reply;

/// The envelope of every answer.
#[derive(Debug, Deserialize)]
struct Envelope<T> {
    #[serde(default)]
    status: String,
    data: Option<T>,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
}

/// The data of an answer, or what went wrong.
pub(super) fn data<T: DeserializeOwned>(reply: &Reply) -> Result<T, ReadError> {
    let parsed: Result<Envelope<T>, _> = serde_json::from_slice(&reply.body);
    match parsed {
        Ok(Envelope {
            status,
            data: Some(data),
            ..
        }) if status == "success" => Ok(data),
        Ok(envelope) => Err(ReadError::Remote(format!(
            "status {}, {}: {}",
            reply.status, envelope.error_type, envelope.error
        ))),
        Err(error) if (200..300).contains(&reply.status) => Err(ReadError::Remote(format!(
            "the answer cannot be read: {error}"
        ))),
        Err(_not_json) => Err(ReadError::Remote(format!(
            "status {}: {}",
            reply.status,
            reply.said()
        ))),
    }
}

/// A matrix of raw samples.
#[derive(Debug, Deserialize)]
pub(super) struct Matrix {
    #[serde(rename = "resultType")]
    pub(super) result_type: String,
    #[serde(default)]
    pub(super) result: Vec<Row>,
}

/// One series of a matrix. Native histograms come as bucket bounds, from which their schema
/// cannot be told: they are not read here.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    pub(super) metric: Labels,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl Row {
    /// Adds the samples of a range to a series. Rows of later ranges come later.
    pub(super) fn append_to(
        &self,
        series: &mut Series,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<(), ReadError> {
        for (seconds, text) in &self.values {
            let time_ms = (seconds * 1_000.0).round() as i64;
            let value = text.parse::<f64>().map_err(|error| {
                ReadError::Remote(format!("{text:?} is no value of {}: {error}", self.metric))
            })?;
            let inside = (from_ms..=to_ms).contains(&time_ms);
            match series.times_ms.last() {
                _ if !inside => {}
                // A store may keep two samples of one time: the one it gives last counts.
                Some(last) if *last == time_ms => {
                    *series.values.last_mut().expect("as long as the times") = value;
                }
                Some(last) if *last > time_ms => {
                    let metric = &self.metric;
                    return Err(ReadError::Remote(format!("times of {metric} do not rise")));
                }
                _ => series.push(time_ms, value),
            }
        }
        Ok(())
    }
}

/// What is said of one family, by one source.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    #[serde(default, rename = "type")]
    metric_type: String,
    #[serde(default)]
    help: String,
    #[serde(default)]
    unit: String,
}

/// Families with what is first said of each.
pub(super) fn metadata(families: BTreeMap<String, Vec<Said>>) -> Vec<Metadata> {
    let one = |(family, said): (String, Vec<Said>)| {
        let said = said.into_iter().next()?;
        Some(Metadata {
            family,
            metric_type: metric_type(&said.metric_type),
            help: said.help,
            unit: said.unit,
        })
    };
    families.into_iter().filter_map(one).collect()
}

fn metric_type(text: &str) -> MetricType {
    match text {
        "counter" => MetricType::Counter,
        "gauge" => MetricType::Gauge,
        "histogram" => MetricType::Histogram,
        "gaugehistogram" => MetricType::GaugeHistogram,
        "summary" => MetricType::Summary,
        "info" => MetricType::Info,
        "stateset" => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}
