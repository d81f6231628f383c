//! Answers to range queries, kept: a dashboard that asks again moves on by a few steps, and only
//! those are evaluated.
//!
//! What is kept of a query is its last answer, an [`Extent`], with the version of the reader it
//! was read at ([`model::SeriesReader::changes`]). Asked again, the reader says from which time
//! on something has changed since; [`Reach`] says how much later than what it reads a step is. So
//! the steps before are as they were, and the rest is evaluated, before and behind.
//!
//! Kept is only what says all: an answer with a warning may hold it for any of its steps, and an
//! answer with native histograms has no size that is known without a walk.

mod join;
mod reach;
mod reuse;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use model::Changes;

use join::cut;
use reach::Reach;

use crate::answer::{Answer, MatrixSeries, QueryValue};
use crate::eval::Grid;

/// One answer takes at most this part of a cache: one huge query does not push out all others, and
/// of the usual 32 MiB an hour of 1,000 series, every 15 s, which is 4, is still kept.
const SHARE: usize = 4;

/// What an entry takes beside its series and its text, bytes: two nodes of two trees.
const ENTRY_BYTES: usize = 256;

/// The answers kept, the least recently used leaving first.
#[derive(Debug)]
pub struct ResultsCache {
    bytes_max: usize,
    entries: Mutex<Entries>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
    steps_reused: AtomicU64,
}

/// What a cache did so far, and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStats {
    /// Queries that found steps of theirs.
    pub hits: u64,
    /// Queries that could have and found none.
    pub misses: u64,
    /// Answers that had to make room.
    pub evictions: u64,
    /// Steps that were not evaluated.
    pub steps_reused: u64,
    /// Answers held.
    pub entries: usize,
    /// Bytes they take.
    pub bytes: usize,
}

#[derive(Debug, Default)]
struct Entries {
    held: HashMap<Arc<Key>, Held>,
    /// Keys by when they were last used.
    by_use: BTreeMap<u64, Arc<Key>>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct Held {
    extent: Arc<Extent>,
    used: u64,
}

/// Queries with the same key have the same value at the same step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// As it was asked: a dashboard asks in the same words, and what is written otherwise may
    /// mean something else.
    pub(crate) text: String,
    pub(crate) step_ms: i64,
    /// Where steps lie: any of their times modulo the step.
    pub(crate) phase_ms: i64,
    pub(crate) lookback_ms: i64,
    /// How long its range is, in doublings: an hour and a week of the same query do not take
    /// turns in pushing each other out.
    pub(crate) doublings: u32,
}

impl Key {
    pub(crate) fn new(text: String, grid: Grid, lookback_ms: i64) -> Self {
        Self {
            text,
            step_ms: grid.step,
            phase_ms: grid.start.rem_euclid(grid.step),
            lookback_ms,
            doublings: grid.count.ilog2(),
        }
    }
}

/// The answer at the steps of a grid.
#[derive(Debug)]
pub(crate) struct Extent {
    /// Of the reader, before it was read.
    pub(crate) version: u64,
    grid: Grid,
    series: Vec<MatrixSeries>,
    bytes: usize,
}

impl Extent {
    /// The whole steps that `grid` asks for and that still are as they were; first and last time.
    pub(crate) fn holds(&self, grid: Grid, reach: Reach, changes: Changes) -> Option<(i64, i64)> {
        let first = self.grid.start.max(grid.start);
        let unchanged = reach.last_before(changes.from_ms)?;
        let last = self.grid.end().min(grid.end()).min(unchanged);
        let last = first.checked_add((last.checked_sub(first)?).div_euclid(grid.step) * grid.step);
        last.filter(|last| *last >= first).map(|last| (first, last))
    }

    /// What it says of the times from the first to the last, with room for so many more points of
    /// each series.
    pub(crate) fn series(&self, (first, last): (i64, i64), more: usize) -> Vec<MatrixSeries> {
        cut(&self.series, (first, last), more)
    }

    /// Memory it takes, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl ResultsCache {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            entries: Mutex::default(),
            counts: Counts::default(),
        }
    }

    /// Counts and sizes.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let entries = self.entries();
        CacheStats {
            hits: self.counts.hits.load(Relaxed),
            misses: self.counts.misses.load(Relaxed),
            evictions: self.counts.evictions.load(Relaxed),
            steps_reused: self.counts.steps_reused.load(Relaxed),
            entries: entries.held.len(),
            bytes: entries.bytes,
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Extent>> {
        let mut entries = self.entries();
        let use_now = entries.next_use();
        let (key, held) = entries.held.get_key_value(key)?;
        let (key, used) = (Arc::clone(key), held.used);
        entries.by_use.remove(&used);
        let held = entries.held.get_mut(&key)?;
        held.used = use_now;
        let extent = Arc::clone(&held.extent);
        entries.by_use.insert(use_now, key);
        Some(extent)
    }

    /// Keeps an answer, if it can be kept, instead of the one before.
    pub(crate) fn put(&self, key: Key, version: u64, grid: Grid, answer: &Answer) {
        let QueryValue::Matrix(series) = &answer.value else {
            return;
        };
        let says_more = !answer.warnings.is_empty() || !answer.infos.is_empty();
        if says_more || series.iter().any(|s| !s.histograms.is_empty()) {
            return;
        }
        let bytes = series.iter().map(series_bytes).sum::<usize>() + key.text.len() + ENTRY_BYTES;
        if bytes > self.bytes_max / SHARE {
            return;
        }
        let extent = Arc::new(Extent {
            version,
            grid,
            series: series.clone(),
            bytes,
        });
        let mut entries = self.entries();
        entries.remove(&key);
        entries.insert(Arc::new(key), extent);
        while entries.bytes > self.bytes_max && entries.drop_oldest() {
            self.counts.evictions.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn hit(&self, steps: usize) {
        self.counts.hits.fetch_add(1, Relaxed);
        self.counts.steps_reused.fetch_add(steps as u64, Relaxed);
    }

    pub(crate) fn missed(&self) {
        self.counts.misses.fetch_add(1, Relaxed);
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    fn insert(&mut self, key: Arc<Key>, extent: Arc<Extent>) {
        let used = self.next_use();
        self.bytes += extent.bytes;
        self.by_use.insert(used, Arc::clone(&key));
        self.held.insert(key, Held { extent, used });
    }

    fn remove(&mut self, key: &Key) {
        if let Some(held) = self.held.remove(key) {
            self.bytes -= held.extent.bytes;
            self.by_use.remove(&held.used);
        }
    }

    /// Drops the least recently used; whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let Some((_, key)) = self.by_use.pop_first() else {
            return false;
        };
        self.remove(&key);
        true
    }
}

fn series_bytes(series: &MatrixSeries) -> usize {
    size_of::<MatrixSeries>() + series.labels.as_bytes().len() + size_of_val(&series.floats[..])
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    const GRID: Grid = Grid {
        start: 1_000,
        step: 1_000,
        count: 10,
    };

    fn key(text: &str) -> Key {
        Key::new(text.to_owned(), GRID, 0)
    }

    fn answer(points: usize) -> Answer {
        let series = MatrixSeries {
            labels: Labels::from_pairs([("a", "1")]),
            floats: vec![(1_000, 1.0); points],
            histograms: Vec::new(),
        };
        Answer {
            value: QueryValue::Matrix(vec![series]),
            warnings: Vec::new(),
            infos: Vec::new(),
        }
    }

    #[test]
    fn the_least_recently_used_answers_make_room() {
        let cache = ResultsCache::new(10_000);
        for text in ["a", "b", "c", "d"] {
            cache.put(key(text), 1, GRID, &answer(40));
        }
        let each = cache.stats().bytes / 4;
        assert!(cache.get(&key("a")).is_some());
        for i in 0..10_000 / each - 3 {
            cache.put(key(&format!("{i:01}")), 1, GRID, &answer(40));
        }
        assert!(cache.get(&key("b")).is_none());
        assert!(cache.get(&key("a")).is_some() && cache.get(&key("c")).is_some());
        let stats = cache.stats();
        assert!(stats.bytes <= 10_000 && stats.evictions == 1, "{stats:?}");
        cache.put(key("a"), 2, GRID, &answer(40));
        assert_eq!(cache.stats(), stats, "one key, one answer");
    }

    #[test]
    fn what_is_large_or_says_more_is_not_kept() {
        let cache = ResultsCache::new(10_000);
        cache.put(key("large"), 1, GRID, &answer(200));
        let warned = Answer {
            warnings: vec!["w".to_owned()],
            ..answer(1)
        };
        cache.put(key("warned"), 1, GRID, &warned);
        assert_eq!((cache.stats().entries, cache.stats().bytes), (0, 0));
    }

    #[test]
    fn steps_hold_until_what_they_read_has_changed() {
        let cache = ResultsCache::new(10_000);
        cache.put(key("a"), 1, GRID, &answer(1));
        let extent = cache.get(&key("a")).unwrap();
        let reach = |ahead_ms| Reach {
            ahead_ms,
            fixed_ms: i64::MIN,
        };
        let holds = |start, count, ahead_ms, from_ms| {
            let step = GRID.step;
            let changes = Changes {
                version: 2,
                from_ms,
            };
            extent.holds(Grid { start, step, count }, reach(ahead_ms), changes)
        };
        assert_eq!(holds(1_000, 10, 0, i64::MAX), Some((1_000, 10_000)));
        assert_eq!(holds(3_000, 10, 0, i64::MAX), Some((3_000, 10_000)));
        assert_eq!(holds(-3_000, 10, 0, i64::MAX), Some((1_000, 6_000)));
        assert_eq!(holds(1_000, 10, 0, 5_000), Some((1_000, 4_000)));
        assert_eq!(holds(1_000, 10, 0, 5_001), Some((1_000, 5_000)));
        assert_eq!(holds(1_000, 10, 500, 5_001), Some((1_000, 4_000)));
        assert_eq!(holds(1_000, 10, -60_000, 5_000), Some((1_000, 10_000)));
        assert_eq!(holds(1_000, 10, 0, 1_000), None);
        assert_eq!(holds(1_000, 10, 0, i64::MIN), None);
        assert_eq!(holds(11_000, 10, 0, i64::MAX), None);
        let fixed = Reach {
            ahead_ms: i64::MIN,
            fixed_ms: 5_000,
        };
        let changes = |from_ms| Changes {
            version: 2,
            from_ms,
        };
        assert_eq!(extent.holds(GRID, fixed, changes(5_000)), None);
        let all = Some((1_000, 10_000));
        assert_eq!(extent.holds(GRID, fixed, changes(5_001)), all);
    }
}
