//! What the notifier says about itself on `/metrics`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use model::Clock;
use notify::{AlertState, Notifier, Tally};
use runtime::metrics::{Counter, Histogram, Registry};

use super::lock;

/// Counters of every receiver.
#[derive(Debug)]
pub(crate) struct Gauges {
    registry: Registry,
    /// Those of receivers that a reload took away stay until the server stops.
    receivers: Mutex<BTreeMap<String, Arc<Receiver>>>,
    /// Times the state could not be written.
    pub(crate) unsaved: Counter,
}

/// Counters of one receiver.
#[derive(Debug)]
pub(crate) struct Receiver {
    delivered: Counter,
    failed: Counter,
    took: Histogram,
    last_success_ms: Arc<AtomicI64>,
}

impl Gauges {
    pub(crate) fn declare(
        registry: &Registry,
        notifier: &Arc<Mutex<Notifier>>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        declare_alerts(registry, notifier, clock);
        Self {
            registry: registry.clone(),
            receivers: Mutex::default(),
            unsaved: registry.counter(
                "alluse_notify_state_errors_total",
                "Times the notifier's state could not be written: a restart may tell things again.",
                &[],
            ),
        }
    }

    /// The counters of a receiver.
    pub(crate) fn of(&self, receiver: &str) -> Arc<Receiver> {
        let mut receivers = lock(&self.receivers);
        let known = receivers.entry(receiver.to_owned());
        let known = known.or_insert_with(|| Arc::new(Receiver::declare(&self.registry, receiver)));
        Arc::clone(known)
    }
}

impl Receiver {
    fn declare(registry: &Registry, name: &str) -> Self {
        let outcome = |outcome| {
            registry.counter(
                "alluse_notifications_total",
                "Attempts to tell a receiver, by what became of them.",
                &[("receiver", name), ("outcome", outcome)],
            )
        };
        let last_success_ms = Arc::new(AtomicI64::new(0));
        let shown = Arc::clone(&last_success_ms);
        registry.gauge_fn(
            "alluse_notification_last_success_timestamp_seconds",
            "When a receiver was last told something; absent before the first time.",
            &[("receiver", name)],
            // Not a number is left out.
            move || match shown.load(Relaxed) {
                0 => f64::NAN,
                ms => ms as f64 / 1e3,
            },
        );
        Self {
            delivered: outcome("delivered"),
            failed: outcome("failed"),
            took: registry.latency(
                "alluse_notification_seconds",
                "What an attempt to tell a receiver took.",
                &[("receiver", name)],
            ),
            last_success_ms,
        }
    }

    pub(crate) fn took(&self, took: Duration) {
        self.took.observe_duration(took);
    }

    pub(crate) fn delivered(&self, now_ms: i64) {
        self.delivered.increment();
        self.last_success_ms.store(now_ms, Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failed.increment();
    }
}

/// What is held, and what became of what was posted.
fn declare_alerts(registry: &Registry, notifier: &Arc<Mutex<Notifier>>, clock: &Arc<dyn Clock>) {
    for state in [AlertState::Active, AlertState::Suppressed] {
        let (notifier, clock) = (Arc::clone(notifier), Arc::clone(clock));
        registry.gauge_fn(
            "alluse_alerts",
            "Alerts that fire, by whether they are told.",
            &[("state", state.as_str())],
            move || {
                let firing = lock(&notifier).firing(clock.wall_ms());
                firing
                    .iter()
                    .filter(|status| status.state() == state)
                    .count() as f64
            },
        );
    }
    let counter = |name: &str, help: &str, read: fn(&Tally) -> u64| {
        let notifier = Arc::clone(notifier);
        registry.counter_fn(name, help, &[], move || {
            read(&lock(&notifier).tally()) as f64
        });
    };
    counter(
        "alluse_alerts_raised_total",
        "Alerts that began to fire.",
        |t| t.raised,
    );
    counter(
        "alluse_alerts_refused_total",
        "Posted alerts not taken because notify.alerts_max are held.",
        |t| t.refused,
    );
    let notifier = Arc::clone(notifier);
    registry.gauge_fn(
        "alluse_notifications_in_flight",
        "Notifications on their way.",
        &[],
        move || lock(&notifier).in_flight() as f64,
    );
}
