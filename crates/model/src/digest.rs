//! A series told in runs: consecutive samples as one, where a query needs no more than that.

use crate::{Labels, Series};

/// Consecutive floats of one series, staleness markers left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// Time of the first one, ms.
    pub from_ms: i64,
    /// Time of the last one, ms.
    pub to_ms: i64,
    /// How many; at least 1.
    pub count: u64,
    /// Their sum, compensated, rounded once; NaN if one of them is.
    pub sum: f64,
    /// The first of the least; NaN only if there is nothing else.
    pub min: f64,
    /// The first of the greatest; NaN only if there is nothing else.
    pub max: f64,
    /// The first one.
    pub first: f64,
    /// The last one.
    pub last: f64,
    /// How many are below the one before them in the run: a counter's resets.
    pub resets: u64,
    /// Sum of those before them: `last - first + correction` is a counter's increase.
    pub correction: f64,
}

/// One series over one time range: some samples as they are, the others in runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    /// Labels and plain samples.
    pub samples: Series,
    /// Runs, rising in time; no plain sample lies within one.
    pub runs: Vec<Run>,
}

impl Digest {
    /// Nothing yet.
    #[must_use]
    pub fn new(labels: Labels) -> Self {
        Self {
            samples: Series::new(labels),
            runs: Vec::new(),
        }
    }
}

/// The windows a query looks through: window `i` holds the times after
/// `end_ms + i * step_ms - range_ms` up to and including `end_ms + i * step_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Where the first one ends.
    pub end_ms: i64,
    /// From one to the next; at least 1.
    pub step_ms: i64,
    /// How many; at least 1.
    pub count: usize,
    /// How long each is.
    pub range_ms: i64,
}

impl Windows {
    /// Whether a window begins or ends between two samples at these times.
    #[must_use]
    pub fn cut(&self, from_ms: i64, to_ms: i64) -> bool {
        let begin = self.end_ms.saturating_sub(self.range_ms);
        [self.end_ms, begin]
            .into_iter()
            .any(|edge| self.first_edge(edge, from_ms).is_some_and(|e| e < to_ms))
    }

    /// The first of the edges `first`, `first + step`, … that is not before `from_ms`.
    fn first_edge(&self, first: i64, from_ms: i64) -> Option<i64> {
        let (first, from) = (i128::from(first), i128::from(from_ms));
        let step = i128::from(self.step_ms.max(1));
        let passed = ((from - first).max(0) + step - 1) / step;
        let within = passed < i128::try_from(self.count).ok()?;
        let edge = i64::try_from(first + passed * step).ok()?;
        within.then_some(edge)
    }

    /// How many edges lie from one time to another: an upper bound.
    #[must_use]
    pub fn edges(&self, from_ms: i64, to_ms: i64) -> u64 {
        let span = to_ms.saturating_sub(from_ms).max(0);
        let most = (span / self.step_ms.max(1)).unsigned_abs() + 1;
        2 * most.min(self.count as u64)
    }
}

/// A stretch of time of which a reader no longer has every sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thinned {
    /// Its first millisecond.
    pub from_ms: i64,
    /// Its last millisecond.
    pub to_ms: i64,
    /// Of each so many milliseconds the last sample is left.
    pub every_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_on_an_edge_belongs_to_what_ends_there() {
        let windows = Windows {
            end_ms: 100,
            step_ms: 50,
            count: 2,
            range_ms: 80,
        };
        // Windows (20, 100] and (70, 150].
        for (from, to, cut) in [
            (0, 20, false),
            (20, 21, true),
            (21, 70, false),
            (60, 71, true),
            (71, 100, false),
            (100, 101, true),
            (101, 150, false),
            (140, 151, true),
            (151, 1000, false),
        ] {
            assert_eq!(windows.cut(from, to), cut, "{from}..={to}");
        }
    }
}
