//! Arithmetic on native histograms: everything PromQL does to one.
//!
//! After the specification at <https://prometheus.io/docs/specs/native_histograms/>. The noun is
//! [`model::Histogram`]; here are free functions over it, a file for each kind of question:
//! [`buckets`] walks, [`frame`] brings two histograms to one resolution, [`arithmetic`] computes,
//! [`sum`](mod@sum) adds many with compensation, [`reset`] compares two samples of a counter, [`quantile`](mod@quantile),
//! [`fraction`](mod@fraction), [`spread`] and [`trim`](mod@trim) estimate from the buckets, [`custom`] converts classic
//! buckets, [`text`] writes, [`validate`](mod@validate) refuses what is no histogram.

pub mod arithmetic;
pub mod buckets;
pub mod custom;
pub mod fraction;
pub mod frame;
pub mod layout;
pub mod quantile;
pub mod reset;
pub mod spread;
pub mod sum;
pub mod text;
pub mod trim;
pub mod validate;

pub use arithmetic::{add, div, equal, mul, negate, sub};
pub use buckets::{Bucket, is_custom};
pub use custom::{ClassicHistogram, NotConvertible};
pub use fraction::fraction;
pub use frame::copy_to_schema;
pub use layout::compact;
pub use quantile::{Quantile, quantile};
pub use reset::detect_reset;
pub use spread::{mean, stddev, stdvar};
pub use sum::{HistogramMean, HistogramSum};
pub use text::{JsonBucket, json_buckets, test_expression};
pub use trim::{Keep, trim};
pub use validate::{Invalid, validate};

use thiserror::Error;

/// Two histograms that cannot meet: one has exponential, the other custom buckets. Prometheus
/// warns and leaves the result out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a mix of exponential and custom buckets")]
pub struct Incompatible;

/// What an operation on two histograms had to do, for the annotations of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notes {
    /// One sample says "reset", the other "not reset": the result says "unknown".
    pub reset_conflict: bool,
    /// Custom bounds differed; the result has only those both have.
    pub bounds_reconciled: bool,
}

impl Notes {
    /// Both what was noted here and what was noted there.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            reset_conflict: self.reset_conflict || other.reset_conflict,
            bounds_reconciled: self.bounds_reconciled || other.bounds_reconciled,
        }
    }
}
