//! How each subsystem fares, and whose fault it is: a registry of checks and the roll-up of their
//! results along declared dependencies.
//!
//! A check looks at its own subsystem only. What is unhealthy degrades whatever depends on it,
//! and everything that is not healthy names its *causes*: the subsystems below it that are not
//! healthy while all below them are. A subsystem may depend only on those registered before it,
//! so the graph has no cycle and one pass in order of registration rolls it up.

pub(crate) mod checks;
mod rise;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use model::Clock;
use runtime::metrics::{Gauge, Registry};
use tokio::sync::watch;

pub(crate) use rise::Rise;

/// Between two looks of the server itself: how late a transition may be logged and measured.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How something fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Healthy,
    /// It does its work, but not as well as it should, or not for long.
    Degraded,
    /// It does not do its work.
    Unhealthy,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What a check found, with the reason where there is one to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Healthy,
    Degraded(String),
    Unhealthy(String),
}

impl Condition {
    fn state(&self) -> State {
        match self {
            Self::Healthy => State::Healthy,
            Self::Degraded(_) => State::Degraded,
            Self::Unhealthy(_) => State::Unhealthy,
        }
    }

    fn reason(&self) -> &str {
        match self {
            Self::Healthy => "",
            Self::Degraded(reason) | Self::Unhealthy(reason) => reason,
        }
    }
}

/// Whether samples are stored and queries answered while a subsystem is unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// They are: the server stays ready.
    Optional,
    /// They are not.
    Required,
}

/// A check, given the monotonic time. It may block as long as a `statvfs` does, and must not ask
/// the registry.
type Check = Box<dyn FnMut(Duration) -> Condition + Send>;

struct Subsystem {
    name: &'static str,
    need: Need,
    /// Places of those it depends on: all smaller than its own.
    below: Vec<usize>,
    check: Check,
    /// The state it was last seen in, and since when (wall clock, ms).
    state: State,
    since_ms: i64,
    gauge: Gauge,
}

/// How one subsystem was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    pub(crate) need: Need,
    /// Rolled up.
    pub(crate) state: State,
    /// Empty when it is healthy.
    pub(crate) reason: String,
    /// Whose fault it is: subsystems below it; empty when it is its own, or nobody's.
    pub(crate) causes: BTreeSet<&'static str>,
    pub(crate) depends_on: Vec<&'static str>,
    /// Since when it is in this state, as far as anybody looked: wall clock, ms.
    pub(crate) since_ms: i64,
}

/// The subsystems and their checks.
pub(crate) struct Health {
    clock: Arc<dyn Clock>,
    metrics: Registry,
    subsystems: Mutex<Vec<Subsystem>>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.lock().iter().map(|s| s.name).collect();
        f.debug_tuple("Health").field(&names).finish()
    }
}

impl Health {
    pub(crate) fn new(clock: Arc<dyn Clock>, metrics: Registry) -> Self {
        Self {
            clock,
            metrics,
            subsystems: Mutex::default(),
        }
    }

    /// Adds a subsystem the server is ready without. Dependencies that are not registered (yet)
    /// do not count.
    pub(crate) fn register(
        &self,
        name: &'static str,
        depends_on: &[&'static str],
        check: impl FnMut(Duration) -> Condition + Send + 'static,
    ) {
        self.add(name, Need::Optional, depends_on, Box::new(check));
    }

    /// Adds a subsystem the server is not ready without.
    pub(crate) fn require(
        &self,
        name: &'static str,
        depends_on: &[&'static str],
        check: impl FnMut(Duration) -> Condition + Send + 'static,
    ) {
        self.add(name, Need::Required, depends_on, Box::new(check));
    }

    fn add(&self, name: &'static str, need: Need, depends_on: &[&'static str], check: Check) {
        let help = "How a subsystem fares: 0 healthy, 1 degraded, 2 unhealthy.";
        let labels = [("subsystem", name)];
        let gauge = self.metrics.gauge("alluse_subsystem_health", help, &labels);
        let mut all = self.lock();
        assert!(all.iter().all(|s| s.name != name), "{name} comes twice");
        let below = depends_on
            .iter()
            .filter_map(|wanted| all.iter().position(|s| s.name == *wanted));
        let below = below.collect();
        all.push(Subsystem {
            name,
            need,
            below,
            check,
            state: State::Healthy,
            since_ms: self.clock.wall_ms(),
            gauge,
        });
    }

    /// Runs every check and rolls up; in order of registration.
    pub(crate) fn look(&self) -> Vec<Seen> {
        let (now, now_ms) = (self.clock.monotonic(), self.clock.wall_ms());
        let mut all = self.lock();
        let mut seen: Vec<Seen> = Vec::with_capacity(all.len());
        for subsystem in all.iter_mut() {
            let own = (subsystem.check)(now);
            let (state, reason, causes) = rolled_up(&own, subsystem, &seen);
            subsystem.moved_to(state, &reason, now_ms);
            seen.push(Seen {
                name: subsystem.name,
                need: subsystem.need,
                state,
                reason,
                causes,
                depends_on: subsystem.below.iter().map(|&at| seen[at].name).collect(),
                since_ms: subsystem.since_ms,
            });
        }
        seen
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Subsystem>> {
        self.subsystems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// State, reason and causes of a subsystem whose check found `own`, when those below were `seen`.
fn rolled_up(
    own: &Condition,
    subsystem: &Subsystem,
    seen: &[Seen],
) -> (State, String, BTreeSet<&'static str>) {
    let below = subsystem.below.iter().map(|&at| &seen[at]);
    let failed: Vec<&Seen> = below
        .clone()
        .filter(|s| s.state == State::Unhealthy)
        .collect();
    let pulled = if failed.is_empty() {
        State::Healthy
    } else {
        State::Degraded
    };
    let state = own.state().max(pulled);
    if state == State::Healthy {
        return (state, String::new(), BTreeSet::new());
    }
    let reason = match failed.first() {
        Some(failed) if own.state() == State::Healthy => {
            format!("{} is unhealthy: {}", failed.name, failed.reason)
        }
        _ => own.reason().to_owned(),
    };
    let ailing = below.filter(|s| s.state != State::Healthy);
    let causes = ailing.flat_map(|s| {
        let itself = s.causes.is_empty().then_some(s.name);
        s.causes.iter().copied().chain(itself)
    });
    (state, reason, causes.collect())
}

impl Subsystem {
    /// Takes note of the state; a transition is logged once.
    fn moved_to(&mut self, state: State, reason: &str, now_ms: i64) {
        self.gauge.set(state as i64);
        if state == self.state {
            return;
        }
        let (name, was, is) = (self.name, self.state.as_str(), state.as_str());
        if state > self.state {
            tracing::warn!(subsystem = name, was, is, reason, "health");
        } else {
            tracing::info!(subsystem = name, was, is, reason, "health");
        }
        (self.state, self.since_ms) = (state, now_ms);
    }
}

/// The worst state of all.
pub(crate) fn overall(seen: &[Seen]) -> State {
    let states = seen.iter().map(|s| s.state);
    states.max().unwrap_or(State::Healthy)
}

/// What keeps the server from being ready.
pub(crate) fn not_ready(seen: &[Seen]) -> impl Iterator<Item = &Seen> {
    seen.iter()
        .filter(|s| s.need == Need::Required && s.state == State::Unhealthy)
}

/// Looks every few seconds until told to stop: transitions are logged, rates have something to
/// compare with, whether or not anybody asks.
pub(crate) async fn watch(health: Arc<Health>, stopped: watch::Receiver<bool>) {
    let mut beat = tokio::time::interval(LOOK_EVERY);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let stop = crate::lifecycle::resolved(stopped);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = beat.tick() => {}
        }
        let health = Arc::clone(&health);
        if let Err(error) = tokio::task::spawn_blocking(move || health.look()).await {
            tracing::error!(%error, "a health check failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::VirtualClock;

    fn health() -> Health {
        let clock = Arc::new(VirtualClock::at(0));
        Health::new(clock, Registry::default())
    }

    /// A check that says what the cell holds.
    fn told(health: &Health, name: &'static str, below: &[&'static str]) -> Arc<Mutex<Condition>> {
        let cell = Arc::new(Mutex::new(Condition::Healthy));
        let shown = Arc::clone(&cell);
        health.register(name, below, move |_now| shown.lock().unwrap().clone());
        cell
    }

    fn of<'a>(seen: &'a [Seen], name: &str) -> &'a Seen {
        seen.iter().find(|s| s.name == name).unwrap()
    }

    #[test]
    fn a_failure_is_attributed_to_what_lies_lowest() {
        let health = health();
        let disk = told(&health, "disk", &[]);
        let store = told(&health, "store", &["disk"]);
        told(&health, "rules", &["store", "not there"]);
        told(&health, "apart", &[]);
        assert_eq!(overall(&health.look()), State::Healthy);

        *disk.lock().unwrap() = Condition::Unhealthy("no space".to_owned());
        *store.lock().unwrap() = Condition::Unhealthy("ingest is stopped".to_owned());
        let seen = health.look();
        assert_eq!(overall(&seen), State::Unhealthy);
        assert_eq!(of(&seen, "disk").causes, BTreeSet::new());
        let store_seen = of(&seen, "store");
        assert_eq!(store_seen.reason, "ingest is stopped");
        assert_eq!(store_seen.causes, BTreeSet::from(["disk"]));
        let rules = of(&seen, "rules");
        assert_eq!(rules.state, State::Degraded);
        assert_eq!(rules.reason, "store is unhealthy: ingest is stopped");
        assert_eq!(rules.causes, BTreeSet::from(["disk"]));
        assert_eq!(of(&seen, "apart").state, State::Healthy);

        // Without the disk's fault it is the store's own.
        *disk.lock().unwrap() = Condition::Healthy;
        let seen = health.look();
        assert_eq!(of(&seen, "store").causes, BTreeSet::new());
        assert_eq!(of(&seen, "rules").causes, BTreeSet::from(["store"]));
        *store.lock().unwrap() = Condition::Healthy;
        assert_eq!(overall(&health.look()), State::Healthy);
    }

    #[test]
    fn a_degraded_dependency_does_not_spread() {
        let health = health();
        let disk = told(&health, "disk", &[]);
        told(&health, "store", &["disk"]);
        *disk.lock().unwrap() = Condition::Degraded("5% left".to_owned());
        let seen = health.look();
        assert_eq!(of(&seen, "disk").state, State::Degraded);
        assert_eq!(of(&seen, "store").state, State::Healthy);
    }

    #[test]
    fn only_what_is_required_keeps_the_server_from_being_ready() {
        let health = health();
        let told = Condition::Unhealthy("gone".to_owned());
        let other = told.clone();
        health.register("optional", &[], move |_now| other.clone());
        assert_eq!(not_ready(&health.look()).count(), 0);
        health.require("required", &[], move |_now| told.clone());
        let seen = health.look();
        let names: Vec<_> = not_ready(&seen).map(|s| s.name).collect();
        assert_eq!(names, ["required"]);
    }
}
