//! Alertmanagers elsewhere: every one of them is told of every alert raised here, again each
//! minute while it lasts, so that a pair of them needs no other way to agree.
//!
//! What waits for one is the newest state of each alert, so that its queue is bounded by the
//! alerts there are, and an Alertmanager that was away hears of what is true and not of what was.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use collect::{HttpClient, HttpSettings, Rule, relabel};
use model::{Alert, Clock};
use notify::{Fingerprint, resend::Resend};
use remote::retry::{self, Backoff};
use runtime::metrics::{Counter, Registry};
use serde_json::{Value, json};
use tokio::sync::{Notify as Bell, watch};

use super::{
    lock,
    message::linked,
    ways::{SendError, post_json},
};
use crate::{api::targets::rfc3339, config::notification::Notification as Config};

/// Alerts followed at once; more are counted and told when they are posted again.
const ALERTS_MAX: usize = 10_000;

/// Alerts in one request, as Prometheus sends.
const BATCH_MAX: usize = 256;

/// What is resolved is told again though nobody evaluates any more.
const BEAT: Duration = Duration::from_secs(15);

/// Waits between attempts.
const BACKOFF: Backoff = Backoff {
    min: Duration::from_secs(1),
    max: Duration::from_secs(30),
};

/// One Alertmanager as configured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AlertmanagerConfig {
    /// Its address, without the path.
    pub(crate) url: String,
    pub(crate) http: Arc<HttpSettings>,
    pub(crate) timeout: Duration,
    /// Applied to each alert's labels; an alert they drop is not sent.
    pub(crate) relabel: Vec<Rule>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Alertmanagers {
    all: Vec<Arc<Lane>>,
    resend: Mutex<Resend>,
    labels: Vec<(String, String)>,
    external_url: Mutex<String>,
    clock: Arc<dyn Clock>,
}

/// One of them, and what it has still to be told.
#[derive(Debug)]
struct Lane {
    config: AlertmanagerConfig,
    client: HttpClient,
    waiting: Mutex<BTreeMap<Fingerprint, Alert>>,
    bell: Bell,
    sent: Counter,
    errors: Counter,
}

impl Alertmanagers {
    pub(crate) fn new(config: &Config, clock: &Arc<dyn Clock>, registry: &Registry) -> Self {
        let lane = |config: &AlertmanagerConfig| {
            let counter = |name: &str, help: &str| {
                registry.counter(name, help, &[("alertmanager", &config.url)])
            };
            let lane = Arc::new(Lane {
                client: HttpClient::new(Arc::clone(&config.http)),
                waiting: Mutex::default(),
                bell: Bell::new(),
                sent: counter(
                    "alluse_alertmanager_alerts_sent_total",
                    "Alerts an Alertmanager has taken.",
                ),
                errors: counter(
                    "alluse_alertmanager_errors_total",
                    "Requests to an Alertmanager that failed.",
                ),
                config: config.clone(),
            });
            let shown = Arc::clone(&lane);
            registry.gauge_fn(
                "alluse_alertmanager_queue_alerts",
                "Alerts an Alertmanager has still to be told of.",
                &[("alertmanager", &lane.config.url)],
                move || lock(&shown.waiting).len() as f64,
            );
            lane
        };
        Self {
            all: config.alertmanagers.iter().map(lane).collect(),
            resend: Mutex::new(Resend::new(ALERTS_MAX)),
            labels: config.external_labels.clone(),
            external_url: Mutex::new(config.external_url.clone()),
            clock: Arc::clone(clock),
        }
    }

    /// Where links lead.
    pub(crate) fn listens_on(&self, url: &str) {
        url.clone_into(&mut lock(&self.external_url));
    }

    /// Their addresses, as Prometheus's API lists them.
    pub(crate) fn urls(&self) -> impl Iterator<Item = String> {
        self.all.iter().map(|lane| lane.address())
    }

    /// Takes what the rules say.
    pub(crate) fn post(&self, alerts: &[Alert]) {
        if self.all.is_empty() {
            return;
        }
        let due = lock(&self.resend).post(alerts, self.clock.wall_ms());
        for lane in self.all.iter().filter(|_| !due.is_empty()) {
            let mut waiting = lock(&lane.waiting);
            for alert in &due {
                waiting.insert(Fingerprint::of(&alert.labels), alert.clone());
            }
            drop(waiting);
            lane.bell.notify_one();
        }
    }

    /// Sends until `stopped`.
    pub(crate) async fn run(self: Arc<Self>, stopped: watch::Receiver<bool>) {
        let mut tasks = tokio::task::JoinSet::new();
        for lane in &self.all {
            tasks.spawn(Arc::clone(lane).run(Arc::clone(&self), stopped.clone()));
        }
        let stop = crate::lifecycle::resolved(stopped);
        tokio::pin!(stop);
        let mut beat = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = beat.tick() => self.post(&[]),
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    /// An alert as an Alertmanager reads it; `None` if the rules of the way to it drop it.
    fn shown(&self, alert: &Alert, rules: &[Rule]) -> Option<Value> {
        let mut labels = alert.labels.to_builder();
        for (name, value) in &self.labels {
            if alert.labels.get(name).is_none() {
                labels.set(name, value);
            }
        }
        let labels = relabel(&labels.build(), rules)?;
        Some(json!({
            "labels": labels,
            "annotations": alert.annotations,
            "startsAt": rfc3339(alert.starts_at_ms),
            "endsAt": rfc3339(alert.ends_at_ms),
            "generatorURL": linked(&lock(&self.external_url), &alert.generator_url),
        }))
    }
}

impl Lane {
    fn address(&self) -> String {
        format!("{}/api/v2/alerts", self.config.url.trim_end_matches('/'))
    }

    async fn run(self: Arc<Self>, all: Arc<Alertmanagers>, stopped: watch::Receiver<bool>) {
        let stop = crate::lifecycle::resolved(stopped);
        tokio::pin!(stop);
        let mut failures = 0_u32;
        loop {
            let sent = tokio::select! {
                () = &mut stop => return,
                sent = self.send(&all) => sent,
            };
            let wait = match sent {
                Sent::Some => continue,
                Sent::Nothing => {
                    failures = 0;
                    None
                }
                Sent::Failed => {
                    failures = failures.saturating_add(1);
                    Some(
                        BACKOFF
                            .wait(failures, None, retry::random())
                            .max(BACKOFF.min / 2),
                    )
                }
            };
            let pause = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => self.bell.notified().await,
                }
            };
            tokio::select! {
                () = &mut stop => return,
                () = pause => {}
            }
        }
    }

    async fn post(&self, body: String) -> Result<(), SendError> {
        let address = self.address();
        let posting = post_json(&self.client, &address, body);
        let posted = tokio::time::timeout(self.config.timeout, posting).await;
        posted.unwrap_or_else(|_late| Err(SendError::unknown("no answer in time")))
    }

    /// Sends what waits, a batch of it.
    async fn send(&self, all: &Alertmanagers) -> Sent {
        let batch: Vec<(Fingerprint, Alert)> = {
            let waiting = lock(&self.waiting);
            waiting
                .iter()
                .take(BATCH_MAX)
                .map(|(f, alert)| (*f, alert.clone()))
                .collect()
        };
        if batch.is_empty() {
            return Sent::Nothing;
        }
        let shown = batch
            .iter()
            .filter_map(|(_, alert)| all.shown(alert, &self.config.relabel));
        let body: Vec<Value> = shown.collect();
        if !body.is_empty() {
            let count = body.len() as u64;
            if let Err(error) = self.post(Value::from(body).to_string()).await {
                self.errors.increment();
                tracing::warn!(
                    alertmanager = self.config.url,
                    "alerts were not taken: {error}"
                );
                return Sent::Failed;
            }
            self.sent.add(count);
        }
        let mut waiting = lock(&self.waiting);
        for (fingerprint, alert) in batch {
            // What has changed meanwhile still waits.
            if waiting.get(&fingerprint) == Some(&alert) {
                waiting.remove(&fingerprint);
            }
        }
        Sent::Some
    }
}

enum Sent {
    Some,
    Nothing,
    Failed,
}
