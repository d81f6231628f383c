//! What a query answers.

use std::sync::Arc;

use model::{Histogram, Labels, Value};

/// The result with everything that should be told about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The result.
    pub value: QueryValue,
    /// Warnings, sorted, each ending in `(line:column)`.
    pub warnings: Vec<String>,
    /// Infos, sorted, each ending in `(line:column)`.
    pub infos: Vec<String>,
}

/// A result, of one of PromQL's four types.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryValue {
    /// One number.
    Scalar {
        /// When it was computed, ms.
        time_ms: i64,
        /// The number.
        value: f64,
    },
    /// A text.
    String {
        /// When it was computed, ms.
        time_ms: i64,
        /// The text.
        text: String,
    },
    /// One sample a series; in the order the query asks for (`sort`, `topk`), else as read.
    Vector(Vec<VectorSample>),
    /// Points of each series over time; sorted by labels.
    Matrix(Vec<MatrixSeries>),
}

/// One series of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSample {
    /// Its labels.
    pub labels: Labels,
    /// When it was computed, ms.
    pub time_ms: i64,
    /// Its value.
    pub value: Value,
}

/// One series of a matrix. A time is in one of the two columns, never in both.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MatrixSeries {
    /// Its labels.
    pub labels: Labels,
    /// Time (ms) and value, rising in time.
    pub floats: Vec<(i64, f64)>,
    /// Time (ms) and histogram, rising in time.
    pub histograms: Vec<(i64, Arc<Histogram>)>,
}
