//! Queries that wait and run: who may begin, what each takes, and its end.
//!
//! There are places for so many queries at once. Who finds none waits its turn, first come first
//! served, behind no more than so many others and no longer than so long. All that run share one
//! bound on memory. Each can be seen while it waits or runs, and ended: by its own time limit, by
//! anybody who asks for it, or because its client went away. What took long is logged and kept
//! for a while.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use model::Clock;
use query::{Account, Pool, QueryError, Stop};
use runtime::metrics::{Counter, Histogram, Registry};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::config;

/// Slow queries kept to be looked at: the newest push the oldest out.
const SLOW_KEPT: usize = 128;

/// Bytes of a query's text that are shown; longer ones are cut.
const TEXT_SHOWN: usize = 4_096;

/// What somebody asks.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) text: String,
    /// First time, last time and step of a range, ms; of an instant query the step is 0.
    pub(crate) times: (i64, i64, i64),
    /// What the client says it is.
    pub(crate) client: String,
    /// Whether samples are counted by step.
    pub(crate) by_step: bool,
    /// Whether each operator is measured.
    pub(crate) by_operator: bool,
}

/// Where a query stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Waiting,
    Running,
}

/// One query that waits or runs.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) id: u64,
    pub(crate) asked: Asked,
    /// When it came, ms since the Unix epoch.
    pub(crate) since_ms: i64,
    came: Duration,
    waited: Mutex<Option<Duration>>,
    ended: AtomicBool,
    wake: Notify,
    pub(crate) account: Account,
}

impl Ticket {
    pub(crate) fn state(&self) -> State {
        match self.waited() {
            None => State::Waiting,
            Some(_) => State::Running,
        }
    }

    /// How long it waited for its place; `None` while it does.
    pub(crate) fn waited(&self) -> Option<Duration> {
        *lock(&self.waited)
    }

    fn end(&self) {
        self.ended.store(true, Relaxed);
        self.wake.notify_one();
    }
}

/// Why a query may not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("too many queries are running, and as many wait as may")]
    QueueFull,
    #[error("too many queries are running: no turn came in time")]
    WaitedTooLong,
    #[error("query was canceled while it waited for its turn")]
    Killed,
    #[error("the server is shutting down")]
    Closed,
}

/// A query that took long.
#[derive(Debug, Clone)]
pub(crate) struct Slow {
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) took: Duration,
    pub(crate) outcome: &'static str,
}

/// What became of a query, for the counts.
const OUTCOMES: [&str; 5] = ["answered", "failed", "refused", "killed", "timeout"];

#[derive(Debug)]
struct Counts {
    by_outcome: [Counter; OUTCOMES.len()],
    wait_seconds: Histogram,
    run_seconds: Histogram,
    slow: Counter,
}

/// All queries.
#[derive(Debug)]
pub(crate) struct Queries {
    settings: config::Queries,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    pool: Arc<Pool>,
    live: Mutex<BTreeMap<u64, Arc<Ticket>>>,
    last: Mutex<u64>,
    slow: Mutex<VecDeque<Slow>>,
    clock: Arc<dyn Clock>,
    counts: Counts,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queries {
    pub(crate) fn new(
        settings: config::Queries,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Arc<Self> {
        let by_outcome = OUTCOMES.map(|outcome| {
            let help = "Queries by what became of them.";
            registry.counter("alluse_queries_total", help, &[("outcome", outcome)])
        });
        let counts = Counts {
            by_outcome,
            wait_seconds: registry.latency(
                "alluse_query_wait_seconds",
                "How long queries waited for a place.",
                &[],
            ),
            run_seconds: registry.latency(
                "alluse_query_run_seconds",
                "How long queries ran, their JSON included.",
                &[],
            ),
            slow: registry.counter(
                "alluse_slow_queries_total",
                "Queries that took longer than the threshold of the slow-query log.",
                &[],
            ),
        };
        let queries = Arc::new(Self {
            places: Arc::new(Semaphore::new(settings.running_max)),
            pool: Arc::new(Pool::new(settings.memory_max)),
            settings,
            waiting: AtomicUsize::new(0),
            live: Mutex::default(),
            last: Mutex::default(),
            slow: Mutex::default(),
            clock,
            counts,
        });
        queries.show(registry);
        queries
    }

    fn show(self: &Arc<Self>, registry: &Registry) {
        let gauge = |name: &str, help: &str, read: fn(&Self) -> f64| {
            let queries = Arc::clone(self);
            registry.gauge_fn(name, help, &[], move || read(&queries));
        };
        gauge("alluse_queries_running", "Queries that run.", |queries| {
            count_in(queries, State::Running)
        });
        gauge(
            "alluse_queries_waiting",
            "Queries that wait for a place.",
            |queries| count_in(queries, State::Waiting),
        );
        gauge(
            "alluse_queries_memory_bytes",
            "Memory that running queries hold by their own account.",
            |queries| queries.pool.bytes() as f64,
        );
    }

    /// Waits for a place, no longer than `time` nor than the settings allow.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        asked: Asked,
        time: Duration,
    ) -> Result<Admitted, Refused> {
        let mut admitted = self.enter(asked);
        let ticket = Arc::clone(&admitted.ticket);
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Ok(place),
            Err(_none) => self.queue(&ticket, time).await,
        };
        match place {
            Ok(place) => {
                let waited = self.clock.monotonic().saturating_sub(ticket.came);
                *lock(&ticket.waited) = Some(waited);
                self.counts.wait_seconds.observe_duration(waited);
                admitted.place = Some(place);
                Ok(admitted)
            }
            Err(refused) => {
                admitted.outcome.set(match refused {
                    Refused::Killed => Outcome::KILLED,
                    _ => Outcome::REFUSED,
                });
                Err(refused)
            }
        }
    }

    async fn queue(
        &self,
        ticket: &Ticket,
        time: Duration,
    ) -> Result<OwnedSemaphorePermit, Refused> {
        let wait = time.min(self.settings.wait_max);
        let _in_line = InLine::join(&self.waiting, self.settings.waiting_max)?;
        tokio::select! {
            place = Arc::clone(&self.places).acquire_owned() => {
                place.map_err(|_closed| Refused::Closed)
            }
            () = ticket.wake.notified() => Err(Refused::Killed),
            () = tokio::time::sleep(wait) => Err(Refused::WaitedTooLong),
        }
    }

    fn enter(self: &Arc<Self>, mut asked: Asked) -> Admitted {
        cut(&mut asked.text);
        cut(&mut asked.client);
        let id = {
            let mut last = lock(&self.last);
            *last += 1;
            *last
        };
        let account = Account::drawing_on(Arc::clone(&self.pool));
        let account = account.timed_by(Arc::clone(&self.clock));
        let account = if asked.by_step {
            account.by_step()
        } else {
            account
        };
        let account = if asked.by_operator {
            account.by_operator()
        } else {
            account
        };
        let ticket = Arc::new(Ticket {
            id,
            asked,
            since_ms: self.clock.wall_ms(),
            came: self.clock.monotonic(),
            waited: Mutex::default(),
            ended: AtomicBool::new(false),
            wake: Notify::new(),
            account,
        });
        lock(&self.live).insert(id, Arc::clone(&ticket));
        Admitted {
            queries: Arc::clone(self),
            ticket,
            place: None,
            outcome: Outcome::default(),
        }
    }

    /// Ends a query that waits or runs; whether there is one of that number.
    pub(crate) fn kill(&self, id: u64) -> bool {
        let found = lock(&self.live).get(&id).cloned();
        found.inspect(|ticket| ticket.end()).is_some()
    }

    /// Those that wait or run, in the order they came.
    pub(crate) fn live(&self) -> Vec<Arc<Ticket>> {
        lock(&self.live).values().cloned().collect()
    }

    /// Since when a query is there.
    pub(crate) fn age(&self, ticket: &Ticket) -> Duration {
        self.clock.monotonic().saturating_sub(ticket.came)
    }

    /// Those that took long, the newest first.
    pub(crate) fn slow(&self) -> Vec<Slow> {
        lock(&self.slow).iter().rev().cloned().collect()
    }

    /// A place for something that is no query but as much work, if one is free.
    pub(crate) fn try_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Places nobody has.
    pub(crate) fn places_free(&self) -> usize {
        self.places.available_permits()
    }

    fn leave(&self, ticket: &Arc<Ticket>, outcome: usize) {
        lock(&self.live).remove(&ticket.id);
        self.counts.by_outcome[outcome].increment();
        let Some(waited) = ticket.waited() else {
            return;
        };
        let took = self.age(ticket).saturating_sub(waited);
        self.counts.run_seconds.observe_duration(took);
        if took < self.settings.slow {
            return;
        }
        self.counts.slow.increment();
        let outcome = OUTCOMES[outcome];
        tracing::warn!(
            id = ticket.id,
            query = ticket.asked.text,
            client = ticket.asked.client,
            ?took,
            ?waited,
            series = ticket.account.series(),
            samples = ticket.account.samples_seen(),
            peak_bytes = ticket.account.bytes_peak(),
            steps_reused = ticket.account.steps_reused(),
            outcome,
            "a slow query"
        );
        let mut slow = lock(&self.slow);
        if slow.len() == SLOW_KEPT {
            slow.pop_front();
        }
        slow.push_back(Slow {
            ticket: Arc::clone(ticket),
            took,
            outcome,
        });
    }
}

fn count_in(queries: &Queries, state: State) -> f64 {
    let live = lock(&queries.live);
    live.values().filter(|t| t.state() == state).count() as f64
}

/// Cuts a text to what is shown of it.
fn cut(text: &mut String) {
    if text.len() > TEXT_SHOWN {
        text.truncate(text.floor_char_boundary(TEXT_SHOWN));
        text.push('…');
    }
}

/// A place in the line of those that wait.
struct InLine<'a>(&'a AtomicUsize);

impl<'a> InLine<'a> {
    fn join(waiting: &'a AtomicUsize, most: usize) -> Result<Self, Refused> {
        let one_more = |now: usize| (now < most).then_some(now + 1);
        match waiting.fetch_update(Relaxed, Relaxed, one_more) {
            Ok(_) => Ok(Self(waiting)),
            Err(_) => Err(Refused::QueueFull),
        }
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// An index into [`OUTCOMES`]; what is left without one was given up by its client.
#[derive(Debug)]
struct Outcome(AtomicU8);

impl Outcome {
    const ANSWERED: u8 = 0;
    const FAILED: u8 = 1;
    const REFUSED: u8 = 2;
    const KILLED: u8 = 3;
    const TIMEOUT: u8 = 4;

    fn set(&self, outcome: u8) {
        self.0.store(outcome, Relaxed);
    }
}

impl Default for Outcome {
    fn default() -> Self {
        Self(AtomicU8::new(Self::KILLED))
    }
}

/// A query that may run; it leaves the list when dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    queries: Arc<Queries>,
    pub(crate) ticket: Arc<Ticket>,
    place: Option<OwnedSemaphorePermit>,
    outcome: Outcome,
}

impl Admitted {
    /// What tells the query to end, whenever it asks: at its time, when it is killed, or when its
    /// client went away.
    pub(crate) fn stop(&self, time: Duration) -> impl Fn() -> Option<Stop> + Sync + '_ {
        let deadline = self.ticket.came.saturating_add(time);
        move || {
            if self.ticket.ended.load(Relaxed) {
                Some(Stop::Cancelled)
            } else if self.queries.clock.monotonic() >= deadline {
                Some(Stop::Timeout)
            } else {
                None
            }
        }
    }

    /// Notes how it ended.
    pub(crate) fn note<T>(&self, result: &Result<T, QueryError>) {
        self.outcome.set(match result {
            Ok(_) => Outcome::ANSWERED,
            Err(QueryError::Timeout) => Outcome::TIMEOUT,
            Err(QueryError::Cancelled) => Outcome::KILLED,
            Err(QueryError::TooLarge(_)) => Outcome::REFUSED,
            Err(_) => Outcome::FAILED,
        });
    }

    /// What ends it when dropped: kept by whoever waits for the answer.
    pub(crate) fn leash(&self) -> Leash {
        Leash(Arc::clone(&self.ticket))
    }

    /// Time since it came.
    pub(crate) fn age(&self) -> Duration {
        self.queries.age(&self.ticket)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        // The place first: who is told that it is over may count on it.
        drop(self.place.take());
        let outcome = usize::from(self.outcome.0.load(Relaxed));
        self.queries.leave(&self.ticket, outcome);
    }
}

/// Ends a query when dropped; one that is over does not notice.
#[derive(Debug)]
pub(crate) struct Leash(Arc<Ticket>);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::SystemClock;

    fn queries(running: usize, waiting: usize, wait: Duration) -> Arc<Queries> {
        let settings = config::Queries {
            running_max: running,
            waiting_max: waiting,
            wait_max: wait,
            memory_max: 1 << 20,
            slow: Duration::ZERO,
        };
        Queries::new(settings, Arc::new(SystemClock::new()), &Registry::default())
    }

    fn asked(text: &str) -> Asked {
        Asked {
            text: text.to_owned(),
            times: (0, 0, 0),
            client: "test".to_owned(),
            by_step: false,
            by_operator: false,
        }
    }

    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn who_finds_no_place_waits_its_turn_and_the_line_has_an_end() {
        let queries = queries(1, 1, LONG);
        let first = queries.admit(asked("first"), LONG).await.unwrap();
        let second = tokio::spawn({
            let queries = Arc::clone(&queries);
            async move { queries.admit(asked("second"), LONG).await }
        });
        while queries.waiting.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let states: Vec<_> = queries.live().iter().map(|t| t.state()).collect();
        assert_eq!(states, [State::Running, State::Waiting]);
        let third = queries.admit(asked("third"), LONG).await.unwrap_err();
        assert_eq!(third, Refused::QueueFull);
        drop(first);
        let second = second.await.unwrap().unwrap();
        assert_eq!(second.ticket.asked.text, "second");
        assert_eq!(queries.live().len(), 1);
        drop(second);
        assert!(queries.live().is_empty());
        assert_eq!(queries.slow().len(), 2, "the threshold is zero");
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let queries = queries(1, 8, Duration::from_millis(1));
        let _first = queries.admit(asked("first"), LONG).await.unwrap();
        let second = queries.admit(asked("second"), LONG).await.unwrap_err();
        assert_eq!(second, Refused::WaitedTooLong);
        assert_eq!(queries.live().len(), 1);
    }

    #[tokio::test]
    async fn a_kill_ends_what_runs_and_what_waits() {
        let queries = queries(1, 8, LONG);
        let first = queries.admit(asked("first"), LONG).await.unwrap();
        {
            let stop = first.stop(LONG);
            assert_eq!(stop(), None);
            assert!(queries.kill(first.ticket.id));
            assert_eq!(stop(), Some(Stop::Cancelled));
        }
        let second = tokio::spawn({
            let queries = Arc::clone(&queries);
            async move { queries.admit(asked("second"), LONG).await }
        });
        while queries.waiting.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(queries.kill(2));
        assert_eq!(second.await.unwrap().unwrap_err(), Refused::Killed);
        assert!(!queries.kill(2), "it is gone");
        drop(first);
        assert!(queries.try_place().is_some());
    }

    #[tokio::test]
    async fn a_client_that_goes_away_ends_its_query() {
        let queries = queries(1, 8, LONG);
        let admitted = queries.admit(asked("one"), LONG).await.unwrap();
        let leash = admitted.leash();
        drop(leash);
        assert_eq!(admitted.stop(LONG)(), Some(Stop::Cancelled));
    }
}
