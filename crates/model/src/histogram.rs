//! A native histogram: many buckets in one sample (Prometheus's exponential and custom-bucket
//! schemas). Only the shape is here; its arithmetic belongs to `query`.

use serde::{Deserialize, Serialize};

/// A run of consecutive buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Gap to the previous span in buckets; for the first span, the index of its first bucket.
    pub offset: i32,
    /// How many buckets the run has.
    pub length: u32,
}

/// What the writer says about counter resets before this sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ResetHint {
    /// Nothing: compare with the sample before.
    #[default]
    Unknown,
    /// The counter was reset.
    Reset,
    /// The counter was not reset.
    NotReset,
    /// Not a counter.
    Gauge,
}

/// Schema number of a histogram with custom bucket bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// One float histogram. Bucket `i` of an exponential schema `s` covers
/// `(2^(2^-s * (i-1)), 2^(2^-s * i)]`; of the custom schema `(custom_values[i-1],
/// custom_values[i]]`, the last up to +Inf.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// -4 to 8, or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// Width of the zero bucket, `[-zero_threshold, zero_threshold]`.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// Observations in all; may differ from the sum of the buckets (NaN observations).
    pub count: f64,
    /// Sum of the observations.
    pub sum: f64,
    /// Runs of positive buckets.
    pub positive_spans: Vec<Span>,
    /// Absolute counts of the positive buckets, span after span.
    pub positive_buckets: Vec<f64>,
    /// Runs of negative buckets.
    pub negative_spans: Vec<Span>,
    /// Absolute counts of the negative buckets.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of the custom buckets, rising, without the last +Inf.
    pub custom_values: Vec<f64>,
    /// What the writer says of resets.
    pub reset_hint: ResetHint,
}
