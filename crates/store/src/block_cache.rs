//! Decoded columns of values, kept for the next query that reads the same blocks.
//!
//! Decoding is more than half of what a range query over parts costs, and a dashboard reads the
//! same blocks at every refresh. A column is kept from its second reading on: a table of
//! fingerprints remembers the first, so that one long look at old days pushes nothing out. Room is
//! made by the clock algorithm (Corbató, "A Paging Experiment with the Multics System", 1968).
//! Columns of parts never change; those of parts that are gone are not asked for again and are
//! the first to go.

use std::{
    hash::{BuildHasher as _, BuildHasherDefault},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use rustc_hash::{FxHashMap, FxHasher};

use crate::store::lock;

/// A column: the number of its part, and where in the file it is.
pub(crate) type Key = (u64, u64);

/// Locks, so that the threads of a query seldom meet at one.
const SHARDS: usize = 8;
/// First readings a shard remembers: 64 Ki in all, of 4 bytes.
const SEEN: usize = 1 << 13;
/// What a column takes beside its values, bytes: its slot, its place, its counts.
const SLOT_BYTES: usize = 96;

/// Columns in memory.
#[derive(Debug)]
pub(crate) struct BlockCache {
    shards: Box<[Mutex<Shard>]>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    bytes_max: usize,
    bytes: usize,
    places: FxHashMap<Key, usize>,
    slots: Vec<Slot>,
    hand: usize,
    /// Fingerprints of columns read once; empty before the first.
    seen: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    values: Arc<[f64]>,
    /// Since the hand last passed.
    used: bool,
}

impl BlockCache {
    /// Room for so many bytes; none: nothing is kept.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let shard = || {
            Mutex::new(Shard {
                bytes_max: bytes_max / SHARDS,
                ..Shard::default()
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        &self.shards[hash as usize % SHARDS]
    }

    /// The values of a column, if they are kept.
    pub(crate) fn get(&self, key: Key) -> Option<Arc<[f64]>> {
        let found = lock(self.shard(hash(key))).get(key);
        let counter = if found.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        counter.fetch_add(1, Relaxed);
        found
    }

    /// Takes the values of a column that had to be decoded, if it is not the first time.
    pub(crate) fn offer(&self, key: Key, values: &[f64]) {
        let hash = hash(key);
        lock(self.shard(hash)).offer(key, hash, values);
    }

    /// Memory held, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).bytes).sum()
    }

    /// Columns that were found, and that were not.
    pub(crate) fn asked(&self) -> (u64, u64) {
        (self.hits.load(Relaxed), self.misses.load(Relaxed))
    }
}

fn hash(key: Key) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(key)
}

fn bytes_of(values: &[f64]) -> usize {
    size_of_val(values) + SLOT_BYTES
}

impl Shard {
    fn get(&mut self, key: Key) -> Option<Arc<[f64]>> {
        let slot = &mut self.slots[*self.places.get(&key)?];
        slot.used = true;
        Some(Arc::clone(&slot.values))
    }

    fn offer(&mut self, key: Key, hash: u64, values: &[f64]) {
        let more = bytes_of(values);
        if more > self.bytes_max || self.is_first(hash) || self.places.contains_key(&key) {
            return;
        }
        while self.bytes + more > self.bytes_max {
            self.make_room();
        }
        self.bytes += more;
        self.places.insert(key, self.slots.len());
        self.slots.push(Slot {
            key,
            values: Arc::from(values),
            used: false,
        });
    }

    /// Whether a column was not read before, as far as is remembered; from now on it was.
    fn is_first(&mut self, hash: u64) -> bool {
        self.seen.resize(SEEN, 0);
        let slot = &mut self.seen[(hash >> 3) as usize % SEEN];
        let print = (hash >> 32) as u32;
        std::mem::replace(slot, print) != print
    }

    /// Passes over the slot at the hand, or gives it up if nobody used it since the last time.
    fn make_room(&mut self) {
        self.hand %= self.slots.len();
        let slot = &mut self.slots[self.hand];
        if slot.used {
            slot.used = false;
            self.hand += 1;
            return;
        }
        let gone = self.slots.swap_remove(self.hand);
        self.bytes -= bytes_of(&gone.values);
        self.places.remove(&gone.key);
        if let Some(moved) = self.slots.get(self.hand) {
            self.places.insert(moved.key, self.hand);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a column as a query does; whether it was kept.
    fn read(cache: &BlockCache, key: Key, samples: usize) -> bool {
        let kept = cache.get(key);
        match &kept {
            Some(values) => assert_eq!(values[..], vec![key.1 as f64; samples]),
            None => cache.offer(key, &vec![key.1 as f64; samples]),
        }
        kept.is_some()
    }

    #[test]
    fn a_column_is_kept_from_its_second_reading_on() {
        let cache = BlockCache::new(1 << 20);
        let found = [(); 4].map(|()| read(&cache, (1, 7), 100));
        assert_eq!(found, [false, false, true, true]);
        assert!(!read(&cache, (2, 7), 100), "another part's is another");
        assert_eq!(cache.asked(), (2, 3));
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        const ROOM: usize = 1 << 20;
        let cache = BlockCache::new(ROOM);
        for at in 0..20_000 {
            for _ in 0..2 {
                read(&cache, (1, at % 10_000), 500);
                read(&cache, (2, 0), 500);
            }
            assert!(cache.bytes() <= ROOM);
        }
        assert!(cache.bytes() > ROOM / 2);
        assert!(read(&cache, (2, 0), 500));
        for shard in &cache.shards {
            let shard = lock(shard);
            let held: usize = shard.slots.iter().map(|s| bytes_of(&s.values)).sum();
            assert_eq!((shard.bytes, shard.places.len()), (held, shard.slots.len()));
            let place = |(at, slot): (usize, &Slot)| shard.places[&slot.key] == at;
            assert!(shard.slots.iter().enumerate().all(place));
        }
    }

    #[test]
    fn one_look_at_many_pushes_nothing_out() {
        let cache = BlockCache::new(1 << 20);
        for at in 0..200 {
            read(&cache, (1, at), 100);
            read(&cache, (1, at), 100);
        }
        for at in 1_000..50_000 {
            read(&cache, (1, at), 100);
        }
        let kept = (0..200).filter(|at| read(&cache, (1, *at), 100)).count();
        assert_eq!(kept, 200);
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let cache = BlockCache::new(0);
        assert!(![(); 4].map(|()| read(&cache, (1, 7), 1)).contains(&true));
        assert_eq!(cache.bytes(), 0);
    }
}
