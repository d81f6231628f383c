//! A data point and its metric, as both encodings give them.

use serde::Deserialize;

use super::json;

/// Bit of [`Point::flags`]: the point marks that there is no value.
pub(super) const NO_RECORDED_VALUE: u32 = 1;

/// What is measured and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Sum { monotonic: bool },
    Histogram,
    Exponential,
    Summary,
}

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
pub(super) const CUMULATIVE: u64 = 2;

/// A metric without its points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) unit: &'a str,
    pub(super) kind: Kind,
    /// 0 unspecified, 1 delta, 2 cumulative; kinds without one count as cumulative.
    pub(super) temporality: u64,
}

/// An attribute; its value is text already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Attribute {
    pub(super) key: String,
    #[serde(deserialize_with = "json::any_value")]
    pub(super) value: String,
}

/// A point of any kind: the fields of the other kinds are as they are when nobody sets them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Point {
    pub(super) attributes: Vec<Attribute>,
    #[serde(deserialize_with = "json::uint64")]
    pub(super) start_time_unix_nano: u64,
    #[serde(deserialize_with = "json::uint64")]
    pub(super) time_unix_nano: u64,
    #[serde(deserialize_with = "json::optional_double")]
    pub(super) as_double: Option<f64>,
    #[serde(deserialize_with = "json::optional_int64")]
    pub(super) as_int: Option<i64>,
    pub(super) flags: u32,
    #[serde(deserialize_with = "json::uint64")]
    pub(super) count: u64,
    #[serde(deserialize_with = "json::optional_double")]
    pub(super) sum: Option<f64>,
    #[serde(deserialize_with = "json::uint64s")]
    pub(super) bucket_counts: Vec<u64>,
    #[serde(deserialize_with = "json::doubles")]
    pub(super) explicit_bounds: Vec<f64>,
    pub(super) scale: i32,
    #[serde(deserialize_with = "json::uint64")]
    pub(super) zero_count: u64,
    #[serde(deserialize_with = "json::double")]
    pub(super) zero_threshold: f64,
    pub(super) positive: Buckets,
    pub(super) negative: Buckets,
    pub(super) quantile_values: Vec<Quantile>,
    pub(super) exemplars: Vec<Example>,
}

/// An exemplar; its trace and span are hexadecimal already.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Example {
    pub(super) filtered_attributes: Vec<Attribute>,
    #[serde(deserialize_with = "json::uint64")]
    pub(super) time_unix_nano: u64,
    #[serde(deserialize_with = "json::optional_double")]
    pub(super) as_double: Option<f64>,
    #[serde(deserialize_with = "json::optional_int64")]
    pub(super) as_int: Option<i64>,
    pub(super) span_id: String,
    pub(super) trace_id: String,
}

/// Buckets of an exponential histogram: bucket `i` covers `(base^(offset+i), base^(offset+i+1)]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Buckets {
    pub(super) offset: i32,
    #[serde(deserialize_with = "json::uint64s")]
    pub(super) bucket_counts: Vec<u64>,
}

/// A quantile of a summary.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Quantile {
    #[serde(deserialize_with = "json::double")]
    pub(super) quantile: f64,
    #[serde(deserialize_with = "json::double")]
    pub(super) value: f64,
}
