//! What ends a trial at once: a metric beyond its bound, or gone.
//!
//! No statistics: a guard looks at each scrape and breaks when `k` of the last `m` values lie
//! beyond the bound, or when more than `missing_max` in a row are missing. With `k` <= 2 grave harm
//! is seen within two scrapes, long before a test on pairs could.

use std::collections::VecDeque;

use model::GuardBreach;
use numerics::summary::{mad, median};
use serde::{Deserialize, Serialize};

/// Where a metric has to stay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// At most this, in the metric's unit.
    AtMost(f64),
    /// At least this, in the metric's unit.
    AtLeast(f64),
}

/// Which way lies harm, for a bound taken from the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// Large values (latency, errors).
    Above,
    /// Small values (throughput, hit ratio).
    Below,
}

/// Smallest distance of a bound taken from the baseline, as a share of its median: a baseline that
/// hardly varies must not make a guard of hair-trigger.
pub const SLACK_MIN: f64 = 0.1;

impl Bound {
    /// The bound `mads` median absolute deviations beyond the median of the baseline's values (6
    /// is usual), at least [`SLACK_MIN`] of the median away; `None` without finite values.
    #[must_use]
    pub fn beyond_baseline(values: &[f64], harm: Harm, mads: f64) -> Option<Self> {
        let known: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let centre = median(&known)?;
        let distance = (mads * mad(&known)?).max(SLACK_MIN * centre.abs());
        Some(match harm {
            Harm::Above => Self::AtMost(centre + distance),
            Harm::Below => Self::AtLeast(centre - distance),
        })
    }

    /// Whether a value keeps to the bound.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }

    /// The number itself.
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Self::AtMost(bound) | Self::AtLeast(bound) => bound,
        }
    }
}

/// A guard as configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardSpec {
    /// Its name.
    pub name: String,
    /// Where the metric has to stay.
    pub bound: Bound,
    /// So many values beyond the bound...
    pub k: u32,
    /// ...among the last so many break it; `1 <= k <= m`.
    pub m: u32,
    /// More missing values than this in a row break it.
    pub missing_max: u32,
}

/// Longest memory of a guard, scrapes: an hour at one a second.
pub const MEMORY_MAX: u32 = 3_600;

impl GuardSpec {
    /// The hard guard: two scrapes beyond the bound, or four missing ones in a row.
    #[must_use]
    pub fn hard(name: &str, bound: Bound) -> Self {
        Self {
            name: name.to_owned(),
            bound,
            k: 2,
            m: 2,
            missing_max: 3,
        }
    }
}

/// A guard at work. Once broken it stays broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    spec: GuardSpec,
    /// Whether each of the last `m` values lay beyond the bound, oldest first.
    beyond: VecDeque<bool>,
    missing: u32,
    broken: Option<GuardBreach>,
}

impl Guard {
    /// A guard that has seen nothing; `None` unless `1 <= k <= m <=` [`MEMORY_MAX`] and the bound
    /// is a number.
    #[must_use]
    pub fn new(spec: GuardSpec) -> Option<Self> {
        let sound = 1 <= spec.k && spec.k <= spec.m && spec.m <= MEMORY_MAX;
        (sound && !spec.bound.value().is_nan()).then(|| Self {
            spec,
            beyond: VecDeque::new(),
            missing: 0,
            broken: None,
        })
    }

    /// What it watches.
    #[must_use]
    pub fn spec(&self) -> &GuardSpec {
        &self.spec
    }

    /// Takes the value of one scrape (NaN counts as missing); the breach, if the guard is broken.
    pub fn observe(&mut self, value: Option<f64>, at_ms: i64) -> Option<GuardBreach> {
        if self.broken.is_none() && self.breaks(value.filter(|v| !v.is_nan())) {
            self.broken = Some(GuardBreach {
                guard: self.spec.name.clone(),
                value,
                bound: self.spec.bound.value(),
                at_ms,
            });
        }
        self.broken.clone()
    }

    fn breaks(&mut self, value: Option<f64>) -> bool {
        let Some(value) = value else {
            self.missing += 1;
            return self.missing > self.spec.missing_max;
        };
        self.missing = 0;
        self.beyond.push_back(!self.spec.bound.holds(value));
        if self.beyond.len() > self.spec.m as usize {
            self.beyond.pop_front();
        }
        self.beyond.iter().filter(|&&b| b).count() >= self.spec.k as usize
    }
}
