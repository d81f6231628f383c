//! What analysis found in the series.

use serde::{Deserialize, Serialize};

use crate::{FindingId, Labels};

/// A finding about one series, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Set by the journal; 0 before.
    pub id: FindingId,
    /// The series.
    pub series: Labels,
    /// When it was noticed, ms since the Unix epoch.
    pub at_ms: i64,
    /// What was found.
    pub what: FindingKind,
    /// How surprising: -log10 of the p-value under "nothing happened", at least 0.
    pub severity: f64,
    /// One sentence for a person.
    pub summary: String,
}

/// The kinds of finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FindingKind {
    /// Values far from what the series' own past leads to expect.
    Anomaly {
        /// What was seen.
        observed: f64,
        /// What was expected.
        expected: f64,
        /// Normal values at the detector's level.
        normal: Interval,
    },
    /// The series moved to another level.
    ChangePoint {
        /// Estimated time of the move, ms.
        since_ms: i64,
        /// Level before.
        before: f64,
        /// Level after.
        after: f64,
    },
    /// The series will reach a bound.
    Exhaustion {
        /// The bound.
        threshold: f64,
        /// Seconds from `at_ms` to the crossing: most likely, and an 80 % interval.
        seconds: f64,
        /// The interval; the upper end may be infinite.
        interval: Interval,
    },
}

/// A closed interval; an end may be infinite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    #[serde(with = "finite")]
    pub low: f64,
    /// Upper end.
    #[serde(with = "finite")]
    pub high: f64,
}

impl Interval {
    /// Whether `x` lies inside, ends included.
    #[must_use]
    pub fn contains(&self, x: f64) -> bool {
        self.low <= x && x <= self.high
    }
}

/// JSON has no infinities: they are written as text.
mod finite {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(f64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            Either::Number(*value).serialize(s)
        } else {
            Either::Text(value.to_string()).serialize(s)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        match Either::deserialize(d)? {
            Either::Number(value) => Ok(value),
            Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}
