//! The active series: a number for each label set, found without hashing when batches repeat
//! their order.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// Registries made by this process: what tells the numbers of one from those of another.
static REGISTRIES: AtomicU64 = AtomicU64::new(1);
/// Evictions of one registry fit below its place in the epoch: a thousand a second for ages.
const EVICTION_BITS: u32 = 40;

use model::{Labels, Matcher, RejectReason};
use rustc_hash::FxSeededState;

use crate::{
    config::Config,
    labels_index::{LabelsIndex, Postings},
    limits::{self, Attribution, Cardinality},
};

/// No series.
pub(crate) const NONE: u32 = u32::MAX;

/// What is kept of a series beside its samples.
#[derive(Debug)]
struct Slot {
    /// `None` while the number is free.
    labels: Option<Labels>,
    /// The series that came after this one last time.
    follower: AtomicU32,
    /// The log segment that knows the number.
    segment: AtomicU64,
    /// Flushes in a row without a sample.
    idle: u8,
}

/// Series by number and by labels.
#[derive(Debug)]
pub(crate) struct Registry {
    by_labels: HashMap<Labels, u32, FxSeededState>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: LabelsIndex,
    attribution: Attribution,
    /// Rises when numbers are given back: numbers looked up before may mean others now.
    pub(crate) evictions: u64,
    /// Which registry of this process it is.
    instance: u64,
}

impl Registry {
    pub(crate) fn new() -> Self {
        // A fast hash, seeded so that label sets cannot be chosen to collide.
        let seed = RandomState::new().hash_one(0u8) as usize;
        Self {
            by_labels: HashMap::with_hasher(FxSeededState::with_seed(seed)),
            slots: Vec::new(),
            free: Vec::new(),
            index: LabelsIndex::default(),
            attribution: Attribution::default(),
            evictions: 0,
            instance: REGISTRIES.fetch_add(1, Relaxed),
        }
    }

    /// Names the meaning of the numbers as they are now; see [`model::SeriesTable::numbers`].
    pub(crate) fn epoch(&self) -> u64 {
        (self.instance << EVICTION_BITS) | self.evictions
    }

    /// Active series.
    pub(crate) fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// The number of `labels`, or [`NONE`]. `previous` is the series before it in the batch.
    pub(crate) fn find(&self, labels: &Labels, previous: u32) -> u32 {
        let follower = self.slots.get(previous as usize).map(|slot| &slot.follower);
        if let Some(guess) = follower.map(|f| f.load(Relaxed))
            && let Some(slot) = self.slots.get(guess as usize)
            && slot.labels.as_ref() == Some(labels)
        {
            return guess;
        }
        let Some(id) = self.by_labels.get(labels).copied() else {
            return NONE;
        };
        if let Some(follower) = follower {
            follower.store(id, Relaxed);
        }
        id
    }

    /// The number of `labels`, taking a new one if need be.
    pub(crate) fn find_or_add(
        &mut self,
        labels: &Labels,
        config: &Config,
    ) -> Result<u32, RejectReason> {
        if let Some(id) = self.by_labels.get(labels) {
            return Ok(*id);
        }
        check(labels, config)?;
        if let Err(refusal) = limits::admit(self, &self.attribution, labels, config) {
            self.attribution.refused(&refusal);
            return Err(refusal.reason);
        }
        self.attribution.created(labels, config);
        Ok(self.add(labels))
    }

    /// Active series with this pair.
    pub(crate) fn size_of(&self, name: &str, value: &str) -> usize {
        self.index.size(name, value)
    }

    /// Distinct values of a label among active series.
    pub(crate) fn values_of(&self, name: &str) -> usize {
        self.index.value_count(name)
    }

    /// Every pair with how many active series have it, in order.
    pub(crate) fn each_pair(&self, tell: &mut dyn FnMut(&str, &str, usize)) {
        self.index.each_pair(tell);
    }

    /// Counts the series of the limits anew.
    pub(crate) fn recount(&mut self, config: &Config) {
        let active = self.slots.iter().filter_map(|slot| slot.labels.clone());
        self.attribution.recount(active, config);
    }

    /// Who has the series.
    pub(crate) fn cardinality(&self, limit: usize) -> Cardinality {
        limits::survey(self, &self.attribution, limit)
    }

    /// A number for a label set that has none.
    pub(crate) fn add(&mut self, labels: &Labels) -> u32 {
        let slot = Slot {
            labels: Some(labels.clone()),
            follower: AtomicU32::new(NONE),
            segment: AtomicU64::new(0),
            idle: 0,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        self.by_labels.insert(labels.clone(), id);
        self.index.insert(id, labels);
        id
    }

    /// The labels of a series that is in use.
    pub(crate) fn labels(&self, id: u32) -> Option<&Labels> {
        self.slots.get(id as usize)?.labels.as_ref()
    }

    /// Whether log segment `segment` already knows the number; from now on it does.
    pub(crate) fn known_in(&self, id: u32, segment: u64) -> bool {
        let seen = &self.slots[id as usize].segment;
        // Written by one appender at a time: under the lock of the log.
        if seen.load(Relaxed) == segment {
            return true;
        }
        seen.store(segment, Relaxed);
        false
    }

    /// Gives back the numbers of series that were idle for `idle_flushes` flushes. `busy` says
    /// which had samples in the last one.
    pub(crate) fn evict(&mut self, idle_flushes: u8, busy: &dyn Fn(u32) -> bool) -> usize {
        let mut gone = Vec::new();
        for (id, slot) in self.slots.iter_mut().enumerate() {
            if slot.labels.is_none() {
                continue;
            }
            slot.idle = if busy(id as u32) {
                0
            } else {
                slot.idle.saturating_add(1)
            };
            if slot.idle > idle_flushes {
                gone.push(id as u32);
            }
        }
        if gone.is_empty() {
            return 0;
        }
        self.index.remove(&|id| gone.binary_search(&id).is_ok());
        for id in &gone {
            if let Some(labels) = self.slots[*id as usize].labels.take() {
                self.by_labels.remove(&labels);
            }
        }
        self.evictions += 1;
        self.free.extend(&gone);
        gone.len()
    }
}

impl Postings for Registry {
    fn all(&self) -> Vec<u32> {
        self.index.all()
    }

    fn size(&self, name: &str, value: &str) -> usize {
        self.index.size(name, value)
    }

    fn lookup(&self, name: &str, value: &str) -> Vec<u32> {
        self.index.lookup(name, value)
    }

    fn filter(&self, name: &str, keep: &mut dyn FnMut(&str) -> bool) -> Vec<u32> {
        self.index.filter(name, keep)
    }

    fn holds(&self, series: u32, matcher: &Matcher) -> bool {
        let labels = self.labels(series).expect("the index knows series in use");
        matcher.matches(labels.get(&matcher.name).unwrap_or_default())
    }
}

/// Whether a new series may be kept at all.
fn check(labels: &Labels, config: &Config) -> Result<(), RejectReason> {
    let fits = |(name, value): (&str, &str)| {
        !name.is_empty()
            && name.len() <= config.label_name_bytes_max
            && value.len() <= config.label_value_bytes_max
    };
    let named = !labels.metric_name().is_empty();
    if named && labels.count() <= config.labels_max && labels.iter().all(fits) {
        Ok(())
    } else {
        Err(RejectReason::InvalidLabels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(i: usize) -> Labels {
        Labels::from_pairs([("__name__", "up".to_owned()), ("i", i.to_string())])
    }

    #[test]
    fn numbers_given_back_are_used_again() {
        let mut registry = Registry::new();
        let config = Config::default();
        let ids: Vec<u32> = (0..3)
            .map(|i| registry.find_or_add(&labels(i), &config).unwrap())
            .collect();
        assert_eq!(ids, [0, 1, 2]);
        assert_eq!(registry.evict(0, &|id| id != 1), 1);
        assert_eq!(registry.find(&labels(1), NONE), NONE);
        assert_eq!(registry.find_or_add(&labels(7), &config), Ok(1));
        assert_eq!(registry.find(&labels(7), 0), 1);
        assert_eq!(registry.find(&labels(7), 0), 1, "by prediction");
    }

    #[test]
    fn only_new_series_meet_the_limits() {
        let mut registry = Registry::new();
        let config = Config {
            series_max: 1,
            labels_max: 2,
            ..Config::default()
        };
        assert_eq!(registry.find_or_add(&labels(0), &config), Ok(0));
        assert_eq!(
            registry.find_or_add(&labels(1), &config),
            Err(RejectReason::SeriesLimit)
        );
        assert_eq!(registry.find_or_add(&labels(0), &config), Ok(0));
        let nameless = Labels::from_pairs([("job", "x")]);
        assert_eq!(
            registry.find_or_add(&nameless, &config),
            Err(RejectReason::InvalidLabels)
        );
        let wide = labels(0).with("third", "x");
        assert_eq!(
            registry.find_or_add(&wide, &config),
            Err(RejectReason::InvalidLabels)
        );
    }
}
