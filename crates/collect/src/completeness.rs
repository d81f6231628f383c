//! Completeness of a source with a rhythm: how many of the answers expected came, and the gaps.
//!
//! Where nobody said how often a source speaks there is no expectation, and no figure.

use std::collections::VecDeque;

/// Expected answers the ratio looks back on.
const WINDOW: usize = 60;

/// What was expected of one source lately, and came or did not.
#[derive(Debug, Default)]
pub(crate) struct Completeness {
    came: VecDeque<bool>,
}

/// What one tick told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Told {
    /// Gaps that began: runs of answers that did not come.
    pub(crate) gaps: u64,
    /// Answers that did not come.
    pub(crate) missed: u64,
    /// Share of the last [`WINDOW`] expected answers that came.
    pub(crate) ratio: f64,
}

impl Completeness {
    /// `skipped` ticks passed without asking, then one was asked and answered or not.
    pub(crate) fn tick(&mut self, skipped: u64, answered: bool) -> Told {
        let mut gaps = 0;
        let more = usize::try_from(skipped).unwrap_or(usize::MAX).min(WINDOW);
        for came in std::iter::repeat_n(false, more).chain([answered]) {
            let in_gap = self.came.back() == Some(&false);
            gaps += u64::from(!came && !in_gap);
            if self.came.len() == WINDOW {
                self.came.pop_front();
            }
            self.came.push_back(came);
        }
        let good = self.came.iter().filter(|came| **came).count();
        Told {
            gaps,
            missed: skipped + u64::from(!answered),
            ratio: good as f64 / self.came.len() as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_runs_and_the_ratio_forgets() {
        let mut source = Completeness::default();
        let told = |gaps, missed, ratio| Told {
            gaps,
            missed,
            ratio,
        };
        assert_eq!(source.tick(0, true), told(0, 0, 1.0));
        assert_eq!(source.tick(0, false), told(1, 1, 0.5));
        assert_eq!(source.tick(1, false), told(0, 2, 0.25), "the same gap");
        assert_eq!(source.tick(0, true), told(0, 0, 0.4));
        assert_eq!(
            source.tick(2, true),
            told(1, 2, 3.0 / 8.0),
            "two ticks skipped"
        );
        for _ in 0..WINDOW {
            source.tick(0, true);
        }
        assert_eq!(source.tick(0, true).ratio, 1.0);
        let long = source.tick(u64::MAX - 1, false);
        assert_eq!((long.gaps, long.missed, long.ratio), (1, u64::MAX, 0.0));
    }
}
