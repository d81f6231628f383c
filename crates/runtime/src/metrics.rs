//! Counters, gauges and histograms with labels; a handle is one or a few shared words.
//!
//! A series is registered once, before it is used, and its handle is kept: the request path never
//! looks anything up. [`Registry::render`] writes the Prometheus text format or OpenMetrics 1.0,
//! families and series in order of name, so that equal states give equal texts.

mod exposition;
mod histogram;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

pub use exposition::Format;
pub use histogram::Histogram;

/// Series of a process; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    families: Arc<Mutex<BTreeMap<String, Family>>>,
}

/// Only goes up.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

/// Goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicI64>);

#[derive(Debug)]
struct Family {
    help: String,
    kind: Kind,
    /// By rendered labels, `a="x",b="y"`.
    series: BTreeMap<String, Source>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Where a series gets its value when it is scraped.
enum Source {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
    Read(Box<dyn Fn() -> f64 + Send + Sync>),
}

/// Label names and values of a series.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Replaces the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Registry {
    /// A counter; `name` ends in `_total`. Asking again gives the same series.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str, labels: Labels<'_>) -> Counter {
        assert!(name.ends_with("_total"), "{name}: a counter ends in _total");
        let fresh = || Source::Counter(Counter::default());
        self.register((name, help, Kind::Counter), labels, fresh, |s| match s {
            Source::Counter(counter) => Some(counter.clone()),
            Source::Gauge(_) | Source::Histogram(_) | Source::Read(_) => None,
        })
    }

    /// A gauge. Asking again gives the same series.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str, labels: Labels<'_>) -> Gauge {
        let fresh = || Source::Gauge(Gauge::default());
        self.register((name, help, Kind::Gauge), labels, fresh, |s| match s {
            Source::Gauge(gauge) => Some(gauge.clone()),
            Source::Counter(_) | Source::Histogram(_) | Source::Read(_) => None,
        })
    }

    /// A histogram of durations in seconds, from 100 µs to 10 s; `name` ends in `_seconds`.
    #[must_use]
    pub fn latency(&self, name: &str, help: &str, labels: Labels<'_>) -> Histogram {
        assert!(name.ends_with("_seconds"), "{name}: say the unit");
        self.histogram(name, help, labels, Histogram::latency)
    }

    /// A histogram of counts: powers of two up to `largest`.
    #[must_use]
    pub fn sizes(&self, name: &str, help: &str, labels: Labels<'_>, largest: u64) -> Histogram {
        self.histogram(name, help, labels, || Histogram::sizes(largest))
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: Labels<'_>,
        new: impl Fn() -> Histogram,
    ) -> Histogram {
        let fresh = || Source::Histogram(new());
        self.register((name, help, Kind::Histogram), labels, fresh, |s| match s {
            Source::Histogram(histogram) => Some(histogram.clone()),
            Source::Counter(_) | Source::Gauge(_) | Source::Read(_) => None,
        })
    }

    /// A gauge that is read when it is scraped. A reading that is not finite is left out: a
    /// source that cannot be read is an absent series.
    pub fn gauge_fn(
        &self,
        name: &str,
        help: &str,
        labels: Labels<'_>,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.read_fn((name, help, Kind::Gauge), labels, Box::new(read));
    }

    /// A counter kept elsewhere and read when it is scraped; `name` ends in `_total`.
    pub fn counter_fn(
        &self,
        name: &str,
        help: &str,
        labels: Labels<'_>,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        assert!(name.ends_with("_total"), "{name}: a counter ends in _total");
        self.read_fn((name, help, Kind::Counter), labels, Box::new(read));
    }

    fn read_fn(
        &self,
        family: (&str, &str, Kind),
        labels: Labels<'_>,
        read: Box<dyn Fn() -> f64 + Send + Sync>,
    ) {
        self.register(family, labels, || Source::Read(read), |_| Some(()));
    }

    /// All series as text.
    #[must_use]
    pub fn render(&self, format: Format) -> String {
        exposition::render(&self.lock(), format)
    }

    fn register<T>(
        &self,
        (name, help, kind): (&str, &str, Kind),
        labels: Labels<'_>,
        fresh: impl FnOnce() -> Source,
        handle: impl FnOnce(&Source) -> Option<T>,
    ) -> T {
        assert!(
            exposition::is_metric_name(name),
            "{name}: not a metric name"
        );
        let mut families = self.lock();
        let family = families.entry(name.into()).or_insert_with(|| Family {
            help: help.into(),
            kind,
            series: BTreeMap::new(),
        });
        assert_eq!(family.kind, kind, "{name} is registered with two types");
        let key = exposition::labels(labels);
        let source = family.series.entry(key).or_insert_with(fresh);
        handle(source).expect("a family's series are of its kind")
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter(_) => "Counter",
            Self::Gauge(_) => "Gauge",
            Self::Histogram(_) => "Histogram",
            Self::Read(_) => "Read",
        })
    }
}
