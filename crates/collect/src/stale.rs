//! Which series a source stopped sending, so that each gets its staleness marker.

use std::collections::HashSet;

use model::{Labels, Sample, stale_nan};

/// The series of a source's last samples. Only samples that carry the tick's own time count: a
/// source that gives times of its own says itself when a series ends.
#[derive(Debug, Default)]
pub(crate) struct LastSeen(Vec<Labels>);

/// What changed since the last tick.
#[derive(Debug, Default)]
pub(crate) struct Turnover {
    /// Series that were not there before.
    pub(crate) added: usize,
    /// A marker for each series that is gone.
    pub(crate) gone: Vec<Sample>,
}

impl LastSeen {
    /// Compares this tick's samples with the last one's. One byte comparison a series when
    /// nothing changed.
    pub(crate) fn turn(&mut self, samples: &[Sample], tick_ms: i64) -> Turnover {
        let own = || {
            samples
                .iter()
                .filter(|s| s.time_ms == tick_ms)
                .map(|s| &s.labels)
        };
        if own().eq(&self.0) {
            return Turnover::default();
        }
        let current: HashSet<&Labels> = own().collect();
        let before: HashSet<&Labels> = self.0.iter().collect();
        let added = current.difference(&before).count();
        let gone = self.0.iter().filter(|labels| !current.contains(labels));
        let gone = gone
            .map(|l| Sample::float(l.clone(), tick_ms, stale_nan()))
            .collect();
        self.0 = own().cloned().collect();
        Turnover { added, gone }
    }

    /// A marker for every series: the source is gone.
    pub(crate) fn end(&mut self, tick_ms: i64) -> Vec<Sample> {
        self.0
            .drain(..)
            .map(|l| Sample::float(l, tick_ms, stale_nan()))
            .collect()
    }
}
