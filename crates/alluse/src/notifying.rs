//! Telling people: the notifier at work. Alerts come in through [`model::AlertSink`] and the API,
//! notifications go out by the ways of the configuration, and what was told outlives a restart.
//!
//! A turn's notifications leave only when the state that says so is on the disk: after a crash
//! they are told again rather than forgotten.

pub(crate) mod alertmanagers;
mod file;
mod gauges;
mod keep;
pub(crate) mod message;
pub(crate) mod pagerduty;
pub(crate) mod smtp;
pub(crate) mod ways;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use collect::Tally;

use model::{Alert, AlertSink, Clock};
use notify::{Integration, Notification, Notifier};
use remote::retry::{self, Backoff};
use tokio::sync::{Notify as Bell, watch};

use alertmanagers::Alertmanagers;
use gauges::Gauges;
use keep::{Found, StateFile};
use message::Message;
use ways::{SendError, Sender, WayConfig};

use crate::{config::notification::Notification as Config, telemetry::Telemetry};

/// Longest a delivery may take; then its fate is unknown and it is tried again.
pub(crate) const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits between attempts of one lane: soon at first, then as rarely as a person would notice.
const BACKOFF: Backoff = Backoff {
    min: Duration::from_secs(1),
    max: Duration::from_secs(120),
};

/// After a refusal the same is not tried sooner.
const REFUSED_WAIT: Duration = Duration::from_secs(300);

/// The clock is looked at as often, though nothing seems due: an operator may have set it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Changes wait for others before they are written, unless somebody waits for them.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// What is on its way at shutdown is waited for so long.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The notifier, its senders, its state on disk.
#[derive(Debug)]
pub(crate) struct Notifying {
    notifier: Arc<Mutex<Notifier>>,
    senders: Mutex<Arc<Senders>>,
    alertmanagers: Arc<Alertmanagers>,
    /// As configured, and where this server listens.
    external_url: Mutex<(String, String)>,
    /// An alert that others post without an end is over after this, ms.
    resolve_timeout_ms: AtomicI64,
    clock: Arc<dyn Clock>,
    state: StateFile,
    /// Number of the last change that is on the disk; one writes at a time.
    saved: tokio::sync::Mutex<u64>,
    bell: Bell,
    gauges: Gauges,
}

type Senders = BTreeMap<Integration, Arc<Sender>>;

impl Notifying {
    /// The notifier as it was when it stopped. Nothing is sent yet. `tally` counts what discovery
    /// does.
    pub(crate) fn open(
        config: &Config,
        data: &std::path::Path,
        clock: &Arc<dyn Clock>,
        telemetry: &Telemetry,
        tally: Arc<Tally>,
    ) -> std::io::Result<Self> {
        let state = StateFile::in_folder(data);
        let notifier = match state.read()? {
            Found::Nothing => Notifier::new(config.plan.clone()),
            Found::State(snapshot) => {
                Notifier::restore(config.plan.clone(), *snapshot, clock.wall_ms())
            }
            Found::Damaged(aside) => {
                tracing::error!(
                    "what was notified cannot be read: silences are lost and firing alerts are told anew; the file is kept as {}",
                    aside.display()
                );
                Notifier::new(config.plan.clone())
            }
        };
        let notifier = Arc::new(Mutex::new(notifier));
        let gauges = Gauges::declare(&telemetry.registry, &notifier, clock);
        let notifying = Self {
            notifier,
            senders: Mutex::default(),
            alertmanagers: Arc::new(Alertmanagers::new(config, clock, tally)),
            external_url: Mutex::default(),
            resolve_timeout_ms: AtomicI64::new(0),
            clock: Arc::clone(clock),
            state,
            saved: tokio::sync::Mutex::new(0),
            bell: Bell::new(),
            gauges,
        };
        notifying.prepare(config);
        Ok(notifying)
    }

    /// Others are told, otherwise, from now on; who stays keeps what it was told.
    pub(crate) fn replace(&self, config: &Config) {
        self.prepare(config);
        self.alertmanagers.replace(config);
        let plan = config.plan.clone();
        self.with(|notifier, now_ms| notifier.replan(plan, now_ms));
    }

    /// Everything but the notifier itself and the Alertmanagers.
    fn prepare(&self, config: &Config) {
        let mut senders = lock(&self.senders);
        let sender = |(to, way): (Integration, &WayConfig)| {
            // One that stays keeps its connections.
            let same = senders.get(&to).filter(|sender| *sender.kind() == way.kind);
            let sender = same.cloned();
            let sender = sender.unwrap_or_else(|| Arc::new(Sender::new(way.kind.clone())));
            (to, sender)
        };
        let fresh: Senders = config.ways().map(sender).collect();
        for to in fresh.keys() {
            self.gauges.of(&to.receiver);
        }
        *senders = Arc::new(fresh);
        drop(senders);
        let resolve_ms = i64::try_from(config.resolve_timeout.as_millis()).unwrap_or(i64::MAX / 2);
        self.resolve_timeout_ms.store(resolve_ms, Relaxed);
        lock(&self.external_url).0.clone_from(&config.external_url);
        self.alertmanagers.listens_on(&self.external_url());
    }

    /// An alert that others post without an end is over after this, ms.
    pub(crate) fn resolve_timeout_ms(&self) -> i64 {
        self.resolve_timeout_ms.load(Relaxed)
    }

    /// What people cannot be told, in words; empty when all is well.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let receivers = {
            let notifier = lock(&self.notifier);
            let failing = notifier.failing().into_iter();
            failing
                .map(|(receiver, groups)| format!("{receiver:?} cannot be told of {groups} groups"))
                .collect::<Vec<_>>()
        };
        let peers: BTreeSet<String> = self.alertmanagers.failing().into_iter().collect();
        let peers = peers.into_iter().map(|url| format!("{url} takes nothing"));
        receivers.into_iter().chain(peers).collect()
    }

    /// Times its state could not be written.
    pub(crate) fn unsaved(&self) -> u64 {
        self.gauges.unsaved.get()
    }

    /// Where links lead, unless the configuration says.
    pub(crate) fn listens_on(&self, address: std::net::SocketAddr) {
        lock(&self.external_url).1 = format!("http://{address}");
        self.alertmanagers.listens_on(&self.external_url());
    }

    /// Where links lead.
    pub(crate) fn external_url(&self) -> String {
        let url = lock(&self.external_url);
        let (configured, listening) = &*url;
        if configured.is_empty() {
            listening.clone()
        } else {
            configured.clone()
        }
    }

    /// Alertmanagers that are told of what is raised here.
    pub(crate) fn alertmanagers(&self) -> &Arc<Alertmanagers> {
        &self.alertmanagers
    }

    /// Looks at the notifier, or changes it; a change is on its way to people at once.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Notifier, i64) -> T) -> T {
        let now_ms = self.clock.wall_ms();
        let done = act(&mut lock(&self.notifier), now_ms);
        self.bell.notify_one();
        done
    }

    /// Takes alerts that somebody else raised.
    pub(crate) fn receive(&self, alerts: &[Alert]) {
        self.with(|notifier, now_ms| notifier.post(alerts, now_ms));
    }

    /// Puts every change so far on the disk.
    pub(crate) async fn save(&self) -> std::io::Result<()> {
        let mut saved = self.saved.lock().await;
        let now_ms = self.clock.wall_ms();
        let (snapshot, changes) = {
            let notifier = lock(&self.notifier);
            if notifier.changes() == *saved {
                return Ok(());
            }
            (notifier.snapshot(now_ms), notifier.changes())
        };
        let state = self.state.clone();
        let written = tokio::task::spawn_blocking(move || state.write(&snapshot)).await;
        written.map_err(std::io::Error::other)??;
        *saved = changes;
        Ok(())
    }

    /// Tells whoever is to be told, until `stopped`; then everything is on the disk.
    pub(crate) async fn run(self: Arc<Self>, stopped: watch::Receiver<bool>) {
        let stop = crate::lifecycle::resolved(stopped.clone());
        tokio::pin!(stop);
        let pushing = tokio::spawn(Arc::clone(&self.alertmanagers).run(stopped));
        let mut beat = tokio::time::interval(SAVE_EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut telling = tokio::task::JoinSet::new();
        loop {
            let now_ms = self.clock.wall_ms();
            let (due, next_ms) = {
                let mut notifier = lock(&self.notifier);
                (notifier.turn(now_ms), notifier.next_due_ms())
            };
            if !due.is_empty() {
                self.save_or_say().await;
            }
            for notification in due {
                telling.spawn(Arc::clone(&self).tell(notification));
            }
            tokio::select! {
                () = &mut stop => break,
                Some(_ended) = telling.join_next() => {}
                () = self.bell.notified() => {}
                () = tokio::time::sleep(until(next_ms, self.clock.wall_ms())) => {}
                _ = beat.tick() => self.save_or_say().await,
            }
        }
        // What arrives now and is not noted would be told again after the restart.
        let told = async { while telling.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, told).await.is_err() {
            tracing::warn!("some receivers did not answer: they are told again after the restart");
        }
        self.save_or_say().await;
        if let Err(error) = pushing.await {
            tracing::error!(%error, "pushing to Alertmanagers failed");
        }
    }

    /// A disk that fails must not keep people from being told.
    async fn save_or_say(&self) {
        if let Err(error) = self.save().await {
            self.gauges.unsaved.increment();
            tracing::error!(%error, "what was notified is not on the disk: a restart may tell it again");
        }
    }

    /// Delivers one notification and notes what became of it.
    async fn tell(self: Arc<Self>, notification: Notification) {
        let began = self.clock.monotonic();
        // On a task of its own: whatever happens in there, the notifier hears of an outcome.
        let (all, one) = (Arc::clone(&self), notification.clone());
        let sent = tokio::spawn(async move { all.send(&one).await }).await;
        let sent = sent.unwrap_or_else(|error| Err(SendError::unknown(error.to_string())));
        let took = self.clock.monotonic().saturating_sub(began);
        let now_ms = self.clock.wall_ms();
        let receiver = self.gauges.of(&notification.to.receiver);
        receiver.took(took);
        match sent {
            Ok(()) => {
                receiver.delivered(now_ms);
                self.with(|notifier, now_ms| notifier.delivered(notification.id, now_ms));
            }
            Err(error) => {
                receiver.failed();
                let wait = wait(&error, notification.attempt, retry::random());
                tracing::warn!(
                    receiver = notification.to.receiver,
                    attempt = notification.attempt + 1,
                    again_in = ?wait,
                    "a notification was not delivered: {error}"
                );
                let again_ms = now_ms + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                self.with(|notifier, _| notifier.failed(notification.id, error.fate, again_ms));
            }
        }
    }

    async fn send(&self, notification: &Notification) -> Result<(), SendError> {
        let senders = Arc::clone(&lock(&self.senders));
        let Some(sender) = senders.get(&notification.to) else {
            return Err(SendError::refused("this receiver has no such way"));
        };
        let external_url = self.external_url();
        let message = Message {
            notification,
            external_url: &external_url,
        };
        let sent = tokio::time::timeout(SEND_TIMEOUT, sender.send(message)).await;
        sent.unwrap_or_else(|_late| Err(SendError::unknown("no answer in time")))
    }

    /// Sends a notification that says it is a test by every way of a receiver; what became of
    /// each. `None` if there is no such receiver.
    pub(crate) async fn test(
        &self,
        receiver: &str,
    ) -> Option<Vec<(&'static str, Result<(), SendError>)>> {
        let senders = Arc::clone(&lock(&self.senders));
        let ways: Vec<_> = senders
            .iter()
            .filter(|(to, _)| to.receiver == receiver)
            .collect();
        if ways.is_empty() {
            return None;
        }
        let mut results = Vec::new();
        for (to, sender) in ways {
            let notification = test_notification(to.clone(), self.clock.wall_ms());
            results.push((sender.kind().name(), self.send(&notification).await));
        }
        Some(results)
    }
}

/// Alerts of this server's own rules: to the notifier, and to every Alertmanager.
impl AlertSink for Notifying {
    fn post(&self, alerts: &[Alert]) {
        self.receive(alerts);
        self.alertmanagers.post(alerts);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long to sleep until the next turn.
fn until(next_ms: Option<i64>, now_ms: i64) -> Duration {
    let wait_ms = next_ms.map_or(i64::MAX, |next| next.saturating_sub(now_ms).max(0));
    Duration::from_millis(wait_ms.unsigned_abs()).min(LOOK_EVERY)
}

/// How long to wait after a failure.
fn wait(error: &SendError, attempt: u32, random: f64) -> Duration {
    let wait = BACKOFF.wait(attempt.saturating_add(1), error.retry_after, random);
    // Never at once: the jitter reaches down to nothing.
    let wait = wait.max(BACKOFF.min / 2);
    if error.is_refusal {
        wait.max(REFUSED_WAIT)
    } else {
        wait
    }
}

fn test_notification(to: Integration, now_ms: i64) -> Notification {
    let labels = model::Labels::from_pairs([("alertname", "Test"), ("severity", "none")]);
    let summary = "This is a test: somebody asked whether this receiver is reached.";
    let alert = Alert {
        annotations: BTreeMap::from([("summary".to_owned(), summary.to_owned())]),
        starts_at_ms: now_ms,
        ends_at_ms: now_ms + 60_000,
        value: 1.0,
        generator_url: "/#/alerts".to_owned(),
        labels: labels.clone(),
    };
    Notification {
        id: 0,
        to,
        group_key: "test".to_owned(),
        group_labels: labels.clone(),
        reason: notify::Reason::Firing,
        attempt: 0,
        alerts: vec![notify::Told {
            fingerprint: notify::Fingerprint::of(&labels),
            alert,
            is_resolved: false,
            acknowledged_by: None,
            followers: Vec::new(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_have_jitter_and_obey_the_receiver() {
        let lost = SendError::lost("x");
        let seconds =
            |error: &SendError, attempt, random| wait(error, attempt, random).as_secs_f64();
        assert_eq!(seconds(&lost, 0, 1.0), 1.0);
        assert_eq!(seconds(&lost, 3, 1.0), 8.0);
        assert_eq!(seconds(&lost, 3, 0.25), 2.0);
        assert_eq!(seconds(&lost, 30, 1.0), 120.0);
        assert_eq!(seconds(&lost, 0, 0.0), 0.5);
        assert_eq!(seconds(&SendError::refused("x"), 0, 0.0), 300.0);
        let asked = SendError {
            retry_after: Some(Duration::from_secs(40)),
            ..lost
        };
        assert!(seconds(&asked, 0, 0.0) >= 40.0);
    }
}
