//! A pool of reading connections whose size is a live knob.
//!
//! Permits with debt bound how many are in use; the connection used last is used first, so its
//! page cache is warm and the others stay idle. A connection above the limit is closed when it
//! comes back. Queries run on tokio's blocking threads, because SQLite may wait for the disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use knob::{Apply, DeclareError, Knob, Scale};
use runtime::{
    Clock, Semaphore,
    metrics::{Counter, Histogram, Registry},
};
use rusqlite::Connection;

use super::{Failure, schema::Directory, storage};

/// Most connections; each costs a file handle, a thread while it runs, and its page cache.
pub const MOST_READERS: i64 = 64;
/// Connections to begin with.
const DEFAULT_READERS: i64 = 10;
/// Queries that may wait. The executor admits fewer.
const QUEUE: usize = 1_024;

/// Hands out connections; clones share them.
#[derive(Debug, Clone)]
pub struct Readers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: Arc<Directory>,
    permits: Semaphore,
    idle: Mutex<Vec<Reader>>,
    settings: Settings,
    clock: Clock,
    wait: Histogram,
    opened: Counter,
}

#[derive(Debug)]
struct Reader {
    connection: Connection,
    applied: Applied,
}

/// Live settings of every connection.
#[derive(Debug, Clone)]
pub struct Settings {
    page_cache_kib: Knob<i64>,
    statements: Knob<i64>,
}

/// Settings in force on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Applied {
    page_cache_kib: i64,
    statements: usize,
}

impl Settings {
    /// Declares the knobs.
    ///
    /// # Errors
    /// The registry has them already.
    pub fn declare(knobs: &knob::Registry) -> Result<Self, DeclareError> {
        // 2,000 KiB and 16 statements are the defaults of SQLite and rusqlite.
        let page_cache_kib = Knob::int("sqlite.page_cache_kib", 2_000)
            .unit("KiB")
            .range(128..=32_768)
            .scale(Scale::Log)
            .max_step(0.5)
            .apply(Apply::Settles)
            .help("Database pages each connection keeps in memory.")
            .register(knobs)?;
        let statements = Knob::int("sqlite.statements", 16)
            .unit("statements")
            .range(1..=128)
            .scale(Scale::Log)
            .max_step(0.5)
            .apply(Apply::Settles)
            .help("Prepared statements each connection keeps.")
            .register(knobs)?;
        Ok(Self {
            page_cache_kib,
            statements,
        })
    }
}

/// Carries changed knobs over to a connection; costs two loads when nothing changed.
pub(super) fn tune(connection: &Connection, settings: &Settings, applied: &mut Applied) {
    let wanted = Applied {
        page_cache_kib: settings.page_cache_kib.get(),
        statements: settings.statements.size(),
    };
    if wanted == *applied {
        return;
    }
    connection.set_prepared_statement_cache_capacity(wanted.statements);
    // Negative: SQLite counts in KiB, not in pages.
    match connection.pragma_update(None, "cache_size", -wanted.page_cache_kib) {
        Ok(()) => *applied = wanted,
        Err(error) => tracing::warn!(%error, "cannot set cache_size"),
    }
}

impl Readers {
    /// Declares the knob and the metrics; opens connections when they are needed.
    ///
    /// # Errors
    /// The registry has readers already.
    pub fn new(
        directory: Arc<Directory>,
        settings: Settings,
        clock: Clock,
        knobs: &knob::Registry,
        metrics: &Registry,
    ) -> Result<Self, DeclareError> {
        let shared = Arc::new(Shared {
            directory,
            permits: Semaphore::new(usize::try_from(DEFAULT_READERS).expect("above zero")),
            idle: Mutex::default(),
            settings,
            clock,
            wait: metrics.latency(
                "ledger_readers_wait_seconds",
                "Time a query waited for a connection.",
                &[],
            ),
            opened: metrics.counter(
                "ledger_readers_opened_total",
                "Reading connections opened.",
                &[],
            ),
        });
        declare_connections(&shared, knobs)?;
        declare_gauges(&shared, metrics);
        Ok(Self { shared })
    }

    /// Runs a query on a connection.
    ///
    /// # Errors
    /// SQLite failed, or too many queries are waiting.
    pub async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let shared = Arc::clone(&self.shared);
        let asked = shared.clock.now();
        let acquired = shared.permits.acquire(QUEUE).await;
        let permit = acquired.map_err(|_queue_full| Failure::Overloaded)?;
        let waited = shared.clock.now().saturating_sub(asked);
        shared.wait.observe_duration(waited);
        let work = tokio::task::spawn_blocking(move || {
            let reader = shared.take().map_err(storage("open a connection"))?;
            let result = query(&reader.connection).map_err(storage(operation));
            shared.give_back(reader);
            drop(permit);
            result
        });
        work.await.unwrap_or(Err(Failure::Stopping))
    }
}

impl Shared {
    fn take(&self) -> rusqlite::Result<Reader> {
        let idle = self.idle().pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => self.open()?,
        };
        tune(&reader.connection, &self.settings, &mut reader.applied);
        Ok(reader)
    }

    fn open(&self) -> rusqlite::Result<Reader> {
        self.opened.increment();
        Ok(Reader {
            connection: self.directory.reader()?,
            applied: Applied::default(),
        })
    }

    /// Keeps the connection if there is room for it. The caller still holds its permit, so those
    /// in use count one too many.
    fn give_back(&self, reader: Reader) {
        let usage = self.permits.usage();
        let mut idle = self.idle();
        if idle.len() + usage.out <= usage.limit {
            idle.push(reader);
        }
    }

    fn resize(&self, limit: usize) {
        self.permits.resize(limit);
        let usage = self.permits.usage();
        let room = usage.limit.saturating_sub(usage.out);
        let closing = {
            let mut idle = self.idle();
            let keep = idle.len().min(room);
            idle.split_off(keep)
        };
        drop(closing);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn declare_connections(shared: &Arc<Shared>, knobs: &knob::Registry) -> Result<(), DeclareError> {
    let shared = Arc::downgrade(shared);
    Knob::int("readers.connections", DEFAULT_READERS)
        .unit("connections")
        .range(1..=MOST_READERS)
        .scale(Scale::Log)
        .max_step(0.5)
        .apply(Apply::Settles)
        .help("Reading connections in use at once.")
        .on_change(move |limit| {
            if let Some(shared) = shared.upgrade() {
                shared.resize(limit.size());
            }
        })
        .register(knobs)?;
    Ok(())
}

fn declare_gauges(shared: &Arc<Shared>, metrics: &Registry) {
    let gauge = |name, help, read: fn(&Shared) -> usize| {
        let shared = Arc::clone(shared);
        metrics.gauge_fn(name, help, &[], move || read(&shared) as f64);
    };
    gauge(
        "ledger_readers_limit",
        "Reading connections that may be in use.",
        |s| s.permits.usage().limit,
    );
    gauge(
        "ledger_readers_in_use",
        "Reading connections in use.",
        |s| s.permits.usage().out,
    );
    gauge(
        "ledger_readers_idle",
        "Reading connections open and not in use.",
        |s| s.idle().len(),
    );
    gauge(
        "ledger_readers_waiting",
        "Queries waiting for a connection.",
        |s| s.permits.usage().waiting,
    );
}
