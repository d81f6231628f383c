//! A bounded map that forgets what was used longest ago, and never serves what is too old.
//!
//! Least recently used over a slab of linked entries behind one mutex: on two cores that costs no
//! more than lock-free designs. Capacity and time to live are live knobs. A smaller capacity is
//! reached gradually, a few evictions on each access, so that no request pays for all of them; a
//! shorter time to live holds at once, because entries keep when they came, not when they go.
//!
//! A value loaded outside the lock may be outdated when it arrives. [`Cache::ticket`] before the
//! load and [`Cache::insert`] after it refuse the value if its key changed in between.

mod lru;

use std::{
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use knob::{Apply, DeclareError, Knob, Scale};

use self::lru::{Gone, Lru};
use crate::metrics::{Counter, Registry};

/// Remembers values by key; clones share them.
pub struct Cache<K, V> {
    state: Arc<Mutex<Lru<K, V>>>,
    capacity: Knob<i64>,
    ttl: Knob<Duration>,
    counts: Counts,
}

/// How a cache starts out: the defaults of its knobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Entries, 16 to 1,000,000.
    pub capacity: i64,
    /// Milliseconds an entry is served, 10 to 3,600,000.
    pub ttl_ms: i64,
}

/// Proof of when a load began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

#[derive(Debug, Clone)]
struct Counts {
    hits: Counter,
    misses: Counter,
    full: Counter,
    expired: Counter,
}

impl<K, V> Cache<K, V>
where
    K: Copy + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Declares the knobs `cache.<name>.capacity` and `cache.<name>.ttl_ms` and the metrics, and
    /// starts empty.
    ///
    /// # Errors
    /// The registry has a cache of this name, or a default is out of range.
    pub fn new(
        name: &str,
        config: Config,
        knobs: &knob::Registry,
        metrics: &Registry,
    ) -> Result<Self, DeclareError> {
        let state = Arc::new(Mutex::new(Lru::new()));
        let shared = Arc::clone(&state);
        metrics.gauge_fn(
            "cache_entries",
            "Entries in the cache.",
            &[("cache", name)],
            move || lock(&shared).len() as f64,
        );
        Ok(Self {
            state,
            capacity: declare_capacity(name, config.capacity, knobs)?,
            ttl: declare_ttl(name, config.ttl_ms, knobs)?,
            counts: Counts::new(name, metrics),
        })
    }

    /// The value, unless it is not there or too old.
    #[must_use]
    pub fn get(&self, key: &K, now: Duration) -> Option<V> {
        let mut lru = lock(&self.state);
        self.shrink(&mut lru);
        let found = lru.get(key, now, self.ttl.get());
        drop(lru);
        if found.is_some() {
            self.counts.hits.increment();
        } else {
            self.counts.misses.increment();
        }
        found
    }

    /// To be taken before a value is loaded.
    #[must_use]
    pub fn ticket(&self, key: &K) -> Ticket {
        Ticket(lock(&self.state).epoch(key))
    }

    /// Remembers a value loaded since `ticket`, unless its key changed meanwhile.
    pub fn insert(&self, key: K, value: V, ticket: Ticket, now: Duration) {
        let mut lru = lock(&self.state);
        if lru.epoch(&key) == ticket.0 {
            let capacity = self.capacity.size();
            let gone = lru.insert(key, value, now, self.ttl.get(), capacity);
            self.counts.gone(gone);
            self.shrink(&mut lru);
        }
    }

    /// The key has a new value: loads under way are refused, a remembered value is replaced. A
    /// value that is not remembered stays so, because being written is no sign of being read.
    pub fn update(&self, key: &K, value: V, now: Duration) {
        let mut lru = lock(&self.state);
        lru.change(key);
        lru.replace(key, value, now);
    }

    /// Entries held, among them some that are too old to be served.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.state).len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One step towards a capacity that was made smaller.
    fn shrink(&self, lru: &mut Lru<K, V>) {
        self.counts.gone(lru.shrink(self.capacity.size()));
    }
}

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            capacity: self.capacity.clone(),
            ttl: self.ttl.clone(),
            counts: self.counts.clone(),
        }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("capacity", &self.capacity)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

fn lock<K, V>(state: &Mutex<Lru<K, V>>) -> MutexGuard<'_, Lru<K, V>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn declare_capacity(
    name: &str,
    default: i64,
    knobs: &knob::Registry,
) -> Result<Knob<i64>, DeclareError> {
    Knob::int(&format!("cache.{name}.capacity"), default)
        .unit("entries")
        .range(16..=1_000_000)
        .scale(Scale::Log)
        .max_step(0.5)
        .apply(Apply::Settles)
        .help("Entries the cache may hold; a smaller value is reached gradually.")
        .register(knobs)
}

fn declare_ttl(
    name: &str,
    default: i64,
    knobs: &knob::Registry,
) -> Result<Knob<Duration>, DeclareError> {
    Knob::millis(&format!("cache.{name}.ttl_ms"), default)
        .range(10..=3_600_000)
        .scale(Scale::Log)
        .max_step(0.5)
        .apply(Apply::Settles)
        .help("How long an entry is served; holds at once for entries already there.")
        .register(knobs)
}

impl Counts {
    fn new(name: &str, metrics: &Registry) -> Self {
        let counter = |metric, help| metrics.counter(metric, help, &[("cache", name)]);
        let evicted = |reason| {
            let labels = [("cache", name), ("reason", reason)];
            metrics.counter(
                "cache_evictions_total",
                "Entries forgotten, by reason.",
                &labels,
            )
        };
        Self {
            hits: counter("cache_hits_total", "Reads the cache answered."),
            misses: counter("cache_misses_total", "Reads it could not answer."),
            full: evicted("capacity"),
            expired: evicted("expired"),
        }
    }

    fn gone(&self, gone: Gone) {
        self.full.add(gone.full);
        self.expired.add(gone.expired);
    }
}
