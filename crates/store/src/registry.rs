//! The active series: a number for each label set, found without hashing when batches repeat
//! their order.
//!
//! A series is a row of numbers of [`Pairs`]: with six labels about 70 bytes in all, its share of
//! the postings included. Labels are put together again when somebody asks.

use std::{
    cmp::Ordering,
    ops::Range,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use hashbrown::HashTable;
use model::{Labels, MatchOp, Matcher, RejectReason};
use roaring::RoaringBitmap;

use crate::{
    config::Config,
    labels_index::{Postings, Test},
    limits::{self, Attribution, Cardinality},
    pairs::{Pairs, Seed, split},
};

/// No series.
pub(crate) const NONE: u32 = u32::MAX;
/// Registries made by this process: what tells the numbers of one from those of another.
static REGISTRIES: AtomicU64 = AtomicU64::new(1);
/// Evictions of one registry fit below its place in the epoch: a thousand a second for ages.
const EVICTION_BITS: u32 = 40;
/// References to pairs that no series uses are kept up to this many.
const DEAD_REFS_KEPT: usize = 1 << 12;

/// What is kept of a series beside its samples.
#[derive(Debug)]
struct Slot {
    /// Where its pairs start in `refs`, and how many there are; none while the number is free.
    at: u32,
    count: u16,
    /// Flushes in a row without a sample.
    idle: u8,
    /// Of its label bytes.
    hash: u32,
    /// The series that came after this one last time.
    follower: AtomicU32,
    /// The log segment that knows the number: it and those after it.
    segment: AtomicU64,
}

/// Series by number and by labels.
#[derive(Debug)]
pub(crate) struct Registry {
    pairs: Pairs,
    by_labels: HashTable<u32>,
    slots: Vec<Slot>,
    /// The pairs of each series, in order of name.
    refs: Vec<u32>,
    /// How many of `refs` belong to numbers given back.
    dead_refs: usize,
    free: Vec<u32>,
    attribution: Attribution,
    seed: Seed,
    /// Rises when numbers are given back: numbers looked up before may mean others now.
    pub(crate) evictions: u64,
    /// Which registry of this process it is.
    instance: u64,
    /// Rises when pairs get other numbers.
    pub(crate) numbering: u64,
}

/// The table wants 64 bits; the slot keeps 32.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Slot {
    fn range(&self) -> Range<usize> {
        let at = self.at as usize;
        at..at + usize::from(self.count)
    }

    fn in_use(&self) -> bool {
        self.count > 0
    }
}

impl Registry {
    pub(crate) fn new() -> Self {
        let seed = Seed::random();
        Self {
            pairs: Pairs::new(seed.clone()),
            by_labels: HashTable::new(),
            slots: Vec::new(),
            refs: Vec::new(),
            dead_refs: 0,
            free: Vec::new(),
            attribution: Attribution::default(),
            seed,
            evictions: 0,
            instance: REGISTRIES.fetch_add(1, Relaxed),
            numbering: 0,
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

    /// Numbers given so far: each is below.
    pub(crate) fn numbers(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(crate) fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    pub(crate) fn pairs_mut(&mut self) -> &mut Pairs {
        &mut self.pairs
    }

    /// The pairs of a series in use, in order of name; none for others.
    pub(crate) fn pairs_of(&self, id: u32) -> &[u32] {
        self.slots
            .get(id as usize)
            .map_or(&[], |slot| &self.refs[slot.range()])
    }

    fn hash(&self, bytes: &[u8]) -> u32 {
        let hash = self.seed.hash(bytes);
        (hash >> 32) as u32 ^ hash as u32
    }

    fn is(&self, slot: &Slot, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        for pair in &self.refs[slot.range()] {
            match rest.strip_prefix(self.pairs.bytes(*pair)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty() && slot.in_use()
    }

    fn find_bytes(&self, bytes: &[u8], hash: u32) -> Option<u32> {
        let same = |id: &u32| {
            let slot = &self.slots[*id as usize];
            slot.hash == hash && self.is(slot, bytes)
        };
        self.by_labels.find(spread(hash), same).copied()
    }

    /// The number of `labels`, or [`NONE`]. `previous` is the series before it in the batch.
    pub(crate) fn find(&self, labels: &Labels, previous: u32) -> u32 {
        let bytes = labels.as_bytes();
        let follower = self.slots.get(previous as usize).map(|slot| &slot.follower);
        if let Some(guess) = follower.map(|f| f.load(Relaxed))
            && let Some(slot) = self.slots.get(guess as usize)
            && self.is(slot, bytes)
        {
            return guess;
        }
        let Some(id) = self.find_bytes(bytes, self.hash(bytes)) else {
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
        let id = self.find(labels, NONE);
        if id != NONE {
            return Ok(id);
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
        self.pairs.size(name, value)
    }

    /// Distinct values of a label among active series.
    pub(crate) fn values_of(&self, name: &str) -> usize {
        self.pairs.value_count(name)
    }

    /// Every pair with how many active series have it, in order.
    pub(crate) fn each_pair(&self, tell: &mut dyn FnMut(&str, &str, usize)) {
        self.pairs.each_pair(tell);
    }

    /// Counts the series of the limits anew.
    pub(crate) fn recount(&mut self, config: &Config) {
        let mut attribution = std::mem::take(&mut self.attribution);
        let active = (0..self.numbers()).filter_map(|id| self.labels(id));
        attribution.recount(active, config);
        self.attribution = attribution;
    }

    /// Who has the series.
    pub(crate) fn cardinality(&self, limit: usize) -> Cardinality {
        limits::survey(self, &self.attribution, limit)
    }

    /// A number for a label set that has none.
    pub(crate) fn add(&mut self, labels: &Labels) -> u32 {
        let pairs: Vec<u32> = split(labels.as_bytes())
            .map(|pair| self.pairs.intern(pair))
            .collect();
        self.insert(&pairs, self.hash(labels.as_bytes()))
    }

    /// The number of the series with these pairs, in order of name; taking a new one if need be.
    pub(crate) fn restore(&mut self, pairs: &[u32], scratch: &mut Vec<u8>) -> u32 {
        scratch.clear();
        for pair in pairs {
            scratch.extend_from_slice(self.pairs.bytes(*pair));
        }
        let hash = self.hash(scratch);
        match self.find_bytes(scratch, hash) {
            Some(id) => id,
            None => self.insert(pairs, hash),
        }
    }

    fn insert(&mut self, pairs: &[u32], hash: u32) -> u32 {
        let slot = Slot {
            at: u32::try_from(self.refs.len()).expect("label pairs of all series fit 32 bits"),
            count: pairs.len() as u16,
            idle: 0,
            hash,
            follower: AtomicU32::new(NONE),
            segment: AtomicU64::new(0),
        };
        reserve(&mut self.refs, pairs.len());
        self.refs.extend_from_slice(pairs);
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                reserve(&mut self.slots, 1);
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        for pair in pairs {
            self.pairs.add(*pair, id);
        }
        let slots = &self.slots;
        self.by_labels
            .insert_unique(spread(hash), id, |id| spread(slots[*id as usize].hash));
        id
    }

    /// The labels of a series that is in use.
    pub(crate) fn labels(&self, id: u32) -> Option<Labels> {
        self.labels_with(id, &mut Vec::new())
    }

    /// The same, with `room` for label bytes, whatever it holds.
    pub(crate) fn labels_with(&self, id: u32, room: &mut Vec<u8>) -> Option<Labels> {
        let pairs = self.pairs_of(id);
        room.clear();
        for pair in pairs {
            room.extend_from_slice(self.pairs.bytes(*pair));
        }
        (!pairs.is_empty()).then(|| Labels::from_canonical(room))
    }

    /// Sorts numbers in use by label bytes.
    pub(crate) fn sort(&self, ids: &mut [u32]) {
        ids.sort_unstable_by(|a, b| self.compare(*a, *b));
    }

    fn compare(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (self.pairs_of(a), self.pairs_of(b));
        match a.iter().zip(b).find(|(a, b)| a != b) {
            Some((a, b)) => self.pairs.bytes(*a).cmp(self.pairs.bytes(*b)),
            None => a.len().cmp(&b.len()),
        }
    }

    /// Sorts many numbers in use by label bytes: ranks the pairs first.
    pub(crate) fn sort_many(&self, ids: &mut [u32]) {
        let ranks = self.pairs.ranks();
        let rank = |id: u32| self.pairs_of(id).iter().map(|pair| ranks[*pair as usize]);
        ids.sort_unstable_by(|a, b| rank(*a).cmp(rank(*b)));
    }

    /// Whether log segment `segment` already knows the number; from now on it does.
    pub(crate) fn known_in(&self, id: u32, segment: u64) -> bool {
        let seen = &self.slots[id as usize].segment;
        // Written by one appender at a time, under the lock of the log, and by a flush, which
        // only ever raises it.
        seen.load(Relaxed) >= segment || seen.fetch_max(segment, Relaxed) >= segment
    }

    /// Takes back what [`Registry::known_in`] noted: the segment was not told after all.
    pub(crate) fn unknown(&self, id: u32) {
        self.slots[id as usize].segment.store(0, Relaxed);
    }

    /// Notes that segment `next` will know what `segment`, the one being written, knows of this
    /// number; whether it does. May be asked again, should `next` not come to be.
    pub(crate) fn carry(&self, id: u32, segment: u64, next: u64) -> bool {
        let slot = &self.slots[id as usize];
        let known = slot.in_use() && slot.segment.load(Relaxed) >= segment;
        if known {
            slot.segment.fetch_max(next, Relaxed);
        }
        known
    }

    /// Gives back the numbers of series that were idle for `idle_flushes` flushes. `busy` says
    /// which had samples in the last one.
    pub(crate) fn evict(&mut self, idle_flushes: u8, busy: &dyn Fn(u32) -> bool) -> usize {
        let mut gone = Vec::new();
        for (id, slot) in self.slots.iter_mut().enumerate() {
            if !slot.in_use() {
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
        for id in &gone {
            self.forget(*id);
        }
        self.evictions += 1;
        self.free.extend(&gone);
        self.compact();
        gone.len()
    }

    fn forget(&mut self, id: u32) {
        let slot = &mut self.slots[id as usize];
        for pair in &self.refs[slot.range()] {
            self.pairs.remove(*pair, id);
        }
        self.dead_refs += usize::from(slot.count);
        slot.count = 0;
        if let Ok(entry) = self
            .by_labels
            .find_entry(spread(slot.hash), |other| *other == id)
        {
            entry.remove();
        }
    }

    /// Gives memory back when most of it is for series that went.
    fn compact(&mut self) {
        if self.dead_refs > DEAD_REFS_KEPT && self.dead_refs > self.refs.len() / 2 {
            let mut refs = Vec::with_capacity(self.refs.len() - self.dead_refs);
            for slot in &mut self.slots {
                let at = refs.len() as u32;
                refs.extend_from_slice(&self.refs[slot.range()]);
                slot.at = at;
            }
            (self.refs, self.dead_refs) = (refs, 0);
        }
        let Some(numbers) = self.pairs.compact() else {
            return;
        };
        self.numbering += 1;
        for slot in self.slots.iter().filter(|slot| slot.in_use()) {
            for pair in &mut self.refs[slot.range()] {
                *pair = numbers[*pair as usize];
            }
        }
    }
}

/// Makes room, growing by an eighth rather than to the double: there are millions.
fn reserve<T>(of: &mut Vec<T>, more: usize) {
    if of.capacity() - of.len() < more {
        of.reserve_exact((of.len() / 8).max(more).max(64));
    }
}

impl Postings for Registry {
    fn all(&self) -> RoaringBitmap {
        let used = |(id, slot): (usize, &Slot)| slot.in_use().then_some(id as u32);
        self.slots.iter().enumerate().filter_map(used).collect()
    }

    fn size(&self, name: &str, value: &str) -> usize {
        self.pairs.size(name, value)
    }

    fn lookup(&self, name: &str, value: &str) -> std::borrow::Cow<'_, RoaringBitmap> {
        self.pairs.lookup(name, value)
    }

    fn filter(&self, name: &str, keep: &mut dyn FnMut(&str) -> bool) -> RoaringBitmap {
        self.pairs.filter(name, keep)
    }

    fn test<'a>(&'a self, matcher: &'a Matcher) -> Test<'a> {
        if matcher.op == MatchOp::Equal && !matcher.value.is_empty() {
            let equal = self.pairs.equal(&matcher.name, &matcher.value);
            return Box::new(move |id| equal(self.pairs_of(id)));
        }
        Box::new(|id| matcher.matches(self.pairs.value(self.pairs_of(id), &matcher.name)))
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
