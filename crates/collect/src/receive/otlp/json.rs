//! OTLP's JSON: enums as integers only, 64-bit integers as strings or numbers, unknown keys
//! ignored.
//!
//! A parsed tree takes more memory than its text, so what it may take is estimated from the
//! braces and commas before anything is parsed.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de::Error};

use super::{
    super::intake::{Intake, Stop},
    point::{Attribute, CUMULATIVE, Header, Kind, Point},
    translate::Translator,
};

/// Bytes an object takes at most, parsed.
const OBJECT_BYTES: usize = size_of::<Point>();
/// Bytes an element of an array takes at most beyond its own objects.
const ELEMENT_BYTES: usize = 32;
/// The tree is short-lived and its estimate generous: it may be so many times a batch.
const TREE_TO_BATCH: usize = 4;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Export {
    resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ResourceMetrics {
    resource: Resource,
    scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    attributes: Vec<Attribute>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ScopeMetrics {
    scope: Scope,
    metrics: Vec<Metric>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Scope {
    name: String,
    version: String,
    attributes: Vec<Attribute>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metric {
    name: String,
    description: String,
    unit: String,
    gauge: Option<Data>,
    sum: Option<Data>,
    histogram: Option<Data>,
    exponential_histogram: Option<Data>,
    summary: Option<Data>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Data {
    data_points: Vec<Point>,
    aggregation_temporality: u64,
    is_monotonic: bool,
}

/// Reads a whole request.
pub(super) fn read(body: &[u8], intake: &mut Intake<'_>) -> Result<(), Stop> {
    let limit = intake.limits.batch_bytes.saturating_mul(TREE_TO_BATCH);
    if tree_bytes(body) > limit {
        return Err(Stop::TooLarge(limit));
    }
    // The parser would also take the fields of a message as a list.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Stop::Bad("not OTLP JSON: an object is wanted".to_owned()));
    }
    let export: Export = serde_json::from_slice(body)
        .map_err(|error| Stop::Bad(format!("not OTLP JSON: {error}")))?;
    for resource in &export.resource_metrics {
        let mut translator = Translator::new(intake, &resource.resource.attributes);
        for scope in &resource.scope_metrics {
            let Scope {
                name,
                version,
                attributes,
            } = &scope.scope;
            translator.scope(name, version, attributes);
            for metric in &scope.metrics {
                read_metric(metric, &mut translator)?;
            }
        }
        translator.finish()?;
    }
    Ok(())
}

fn read_metric(metric: &Metric, translator: &mut Translator<'_, '_>) -> Result<(), Stop> {
    let monotonic = metric.sum.as_ref().is_some_and(|sum| sum.is_monotonic);
    for (data, kind, has_temporality) in [
        (&metric.gauge, Kind::Gauge, false),
        (&metric.sum, Kind::Sum { monotonic }, true),
        (&metric.histogram, Kind::Histogram, true),
        (&metric.exponential_histogram, Kind::Exponential, true),
        (&metric.summary, Kind::Summary, false),
    ] {
        let Some(data) = data else { continue };
        let temporality = if has_temporality {
            data.aggregation_temporality
        } else {
            CUMULATIVE
        };
        let header = Header {
            name: &metric.name,
            description: &metric.description,
            unit: &metric.unit,
            kind,
            temporality,
        };
        translator.metric(&header)?;
        for point in &data.data_points {
            translator.point(&header, point)?;
        }
    }
    Ok(())
}

fn tree_bytes(body: &[u8]) -> usize {
    let cost = |byte: &u8| match byte {
        b'{' => OBJECT_BYTES,
        b',' => ELEMENT_BYTES,
        _ => 0,
    };
    body.iter().map(cost).fold(0, usize::saturating_add)
}

/// A number, or the text of one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written<'a, T> {
    Number(T),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

impl<T: std::str::FromStr> Written<'_, T> {
    fn number<E: Error>(self) -> Result<T, E> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Text(text) => text
                .parse()
                .map_err(|_bad| E::custom(format!("{text:?} is not a number of its type"))),
        }
    }
}

pub(super) fn uint64<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    Written::<u64>::deserialize(from)?.number()
}

pub(super) fn double<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Written::<f64>::deserialize(from)?.number()
}

pub(super) fn optional_int64<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let written = Option::<Written<'_, i64>>::deserialize(from)?;
    written.map(Written::number).transpose()
}

pub(super) fn optional_double<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let written = Option::<Written<'_, f64>>::deserialize(from)?;
    written.map(Written::number).transpose()
}

pub(super) fn uint64s<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
    let all = Vec::<Written<'_, u64>>::deserialize(from)?;
    all.into_iter().map(Written::number).collect()
}

pub(super) fn doubles<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    let all = Vec::<Written<'_, f64>>::deserialize(from)?;
    all.into_iter().map(Written::number).collect()
}

/// An attribute's value as text: lists and maps as the JSON they are written in.
pub(super) fn any_value<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    #[derive(Default)]
    struct Any {
        string_value: Option<String>,
        bool_value: Option<bool>,
        #[serde(deserialize_with = "optional_int64")]
        int_value: Option<i64>,
        #[serde(deserialize_with = "optional_double")]
        double_value: Option<f64>,
        bytes_value: Option<String>,
        array_value: Option<serde_json::Value>,
        kvlist_value: Option<serde_json::Value>,
    }
    let any = Any::deserialize(from)?;
    let scalar = any
        .string_value
        .or(any.bool_value.map(|value| value.to_string()))
        .or(any.int_value.map(|value| value.to_string()))
        .or(any.double_value.map(|value| value.to_string()))
        .or(any.bytes_value);
    let tree = any.array_value.or(any.kvlist_value);
    Ok(scalar
        .or(tree.map(|tree| tree.to_string()))
        .unwrap_or_default())
}
