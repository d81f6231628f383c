//! The list and the map of a cache: newest use first, in a slab of linked entries.

use std::{
    hash::{BuildHasher, Hash},
    time::Duration,
};

use rustc_hash::{FxBuildHasher, FxHashMap};

/// Entries forgotten on one access while the capacity is exceeded: about 10 µs of work.
const SHRINK_STEP: usize = 64;
/// Counters of change shared by the keys: two keys share one with probability 1/1,024, and then a
/// load may be refused needlessly, never accepted wrongly.
const EPOCHS: usize = 1_024;
/// No entry.
const NIL: usize = usize::MAX;

/// Entries forgotten, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Gone {
    pub(super) full: u64,
    pub(super) expired: u64,
}

#[derive(Debug)]
pub(super) struct Lru<K, V> {
    places: FxHashMap<K, usize>,
    slab: Vec<Entry<K, V>>,
    free: Vec<usize>,
    newest: usize,
    oldest: usize,
    epochs: Vec<u64>,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    /// Absent while the place is free.
    value: Option<V>,
    came: Duration,
    newer: usize,
    older: usize,
}

impl<K: Copy + Eq + Hash, V: Clone> Lru<K, V> {
    pub(super) fn new() -> Self {
        Self {
            places: FxHashMap::default(),
            slab: Vec::new(),
            free: Vec::new(),
            newest: NIL,
            oldest: NIL,
            epochs: vec![0; EPOCHS],
        }
    }

    /// How often a key, or one that shares its counter, has changed.
    pub(super) fn epoch(&self, key: &K) -> u64 {
        self.epochs[stripe(key)]
    }

    pub(super) fn change(&mut self, key: &K) {
        self.epochs[stripe(key)] += 1;
    }

    pub(super) fn get(&mut self, key: &K, now: Duration, ttl: Duration) -> Option<V> {
        let place = *self.places.get(key)?;
        if now.saturating_sub(self.slab[place].came) >= ttl {
            return None;
        }
        self.unlink(place);
        self.link_newest(place);
        self.slab[place].value.clone()
    }

    /// Makes room first: the entry used longest ago goes, for whichever reason it has.
    pub(super) fn insert(
        &mut self,
        key: K,
        value: V,
        now: Duration,
        ttl: Duration,
        capacity: usize,
    ) -> Gone {
        let mut gone = Gone::default();
        if self.replace(&key, value.clone(), now) {
            return gone;
        }
        if self.places.len() >= capacity.max(1) {
            if now.saturating_sub(self.slab[self.oldest].came) >= ttl {
                gone.expired = 1;
            } else {
                gone.full = 1;
            }
            self.forget_oldest();
        }
        let place = self.place(key, value, now);
        self.places.insert(key, place);
        self.link_newest(place);
        gone
    }

    /// Gives a remembered key a new value and a new life; says whether there was one.
    pub(super) fn replace(&mut self, key: &K, value: V, now: Duration) -> bool {
        let Some(&place) = self.places.get(key) else {
            return false;
        };
        let entry = &mut self.slab[place];
        entry.value = Some(value);
        entry.came = now;
        true
    }

    /// Forgets up to [`SHRINK_STEP`] entries above `capacity`.
    pub(super) fn shrink(&mut self, capacity: usize) -> Gone {
        let excess = self.places.len().saturating_sub(capacity);
        let full = excess.min(SHRINK_STEP);
        for _ in 0..full {
            self.forget_oldest();
        }
        Gone {
            full: full as u64,
            expired: 0,
        }
    }

    fn forget_oldest(&mut self) {
        let place = self.oldest;
        self.unlink(place);
        let entry = &mut self.slab[place];
        entry.value = None;
        self.places.remove(&entry.key);
        self.free.push(place);
    }

    fn place(&mut self, key: K, value: V, now: Duration) -> usize {
        let entry = Entry {
            key,
            value: Some(value),
            came: now,
            newer: NIL,
            older: NIL,
        };
        if let Some(place) = self.free.pop() {
            self.slab[place] = entry;
            return place;
        }
        self.slab.push(entry);
        self.slab.len() - 1
    }

    fn unlink(&mut self, place: usize) {
        let (newer, older) = (self.slab[place].newer, self.slab[place].older);
        match newer {
            NIL => self.newest = older,
            _ => self.slab[newer].older = older,
        }
        match older {
            NIL => self.oldest = newer,
            _ => self.slab[older].newer = newer,
        }
    }

    fn link_newest(&mut self, place: usize) {
        let second = self.newest;
        self.slab[place].newer = NIL;
        self.slab[place].older = second;
        match second {
            NIL => self.oldest = place,
            _ => self.slab[second].newer = place,
        }
        self.newest = place;
    }
}

impl<K, V> Lru<K, V> {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}

fn stripe<K: Hash>(key: &K) -> usize {
    let hash = FxBuildHasher.hash_one(key);
    usize::try_from(hash % EPOCHS as u64).expect("a remainder fits")
}
