//! One Alertmanager, and what it has still to be told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use collect::{AlertmanagerSet, HttpClient};
use model::Alert;
use notify::Fingerprint;
use remote::retry::{self, Backoff};
use serde_json::Value;
use tokio::sync::{Notify as Bell, watch};

use super::{
    super::{
        lock,
        ways::{SendError, post_json},
    },
    Alertmanagers,
};

/// Alerts in one request, as Prometheus sends.
const BATCH_MAX: usize = 256;

/// Waits between attempts.
const BACKOFF: Backoff = Backoff {
    min: Duration::from_secs(1),
    max: Duration::from_secs(30),
};

/// The way to one Alertmanager.
#[derive(Debug)]
pub(super) struct Lane {
    /// Where alerts are posted.
    pub(super) url: String,
    set: Arc<AlertmanagerSet>,
    client: HttpClient,
    waiting: Mutex<BTreeMap<Fingerprint, Alert>>,
    bell: Bell,
    is_gone: watch::Sender<bool>,
    sent: AtomicU64,
    errors: AtomicU64,
    /// Requests that failed since the last that did not.
    failures: AtomicU32,
}

/// A metric of each Alertmanager.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) help: &'static str,
    pub(super) read: fn(&Lane) -> u64,
}

pub(super) const METRICS: [Metric; 3] = [
    Metric {
        name: "alluse_alertmanager_alerts_sent_total",
        kind: "counter",
        help: "Alerts an Alertmanager has taken.",
        read: |lane| lane.sent.load(Relaxed),
    },
    Metric {
        name: "alluse_alertmanager_errors_total",
        kind: "counter",
        help: "Requests to an Alertmanager that failed.",
        read: |lane| lane.errors.load(Relaxed),
    },
    Metric {
        name: "alluse_alertmanager_queue_alerts",
        kind: "gauge",
        help: "Alerts an Alertmanager has still to be told of.",
        read: |lane| lock(&lane.waiting).len() as u64,
    },
];

impl Lane {
    pub(super) fn new(url: &str, set: &Arc<AlertmanagerSet>, client: &HttpClient) -> Self {
        Self {
            url: url.to_owned(),
            set: Arc::clone(set),
            client: client.clone(),
            waiting: Mutex::default(),
            bell: Bell::new(),
            is_gone: watch::Sender::new(false),
            sent: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            failures: AtomicU32::new(0),
        }
    }

    /// Nobody is told by this way any more.
    pub(super) fn leave(&self) {
        self.is_gone.send_replace(true);
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failures.load(Relaxed) > 0
    }

    /// These are to be told.
    pub(super) fn add(&self, alerts: &[Alert]) {
        let mut waiting = lock(&self.waiting);
        for alert in alerts {
            waiting.insert(Fingerprint::of(&alert.labels), alert.clone());
        }
        drop(waiting);
        self.bell.notify_one();
    }

    /// Tells until `stopped`, or until it has left.
    pub(super) async fn run(
        self: Arc<Self>,
        all: Arc<Alertmanagers>,
        stopped: watch::Receiver<bool>,
    ) {
        let left = crate::lifecycle::resolved(self.is_gone.subscribe());
        let stop = crate::lifecycle::resolved(stopped);
        tokio::pin!(stop, left);
        loop {
            let step = async {
                match self.send(&all).await {
                    Sent::Some => self.failures.store(0, Relaxed),
                    Sent::Nothing => self.bell.notified().await,
                    Sent::Failed => {
                        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
                        let wait = BACKOFF.wait(failures, None, retry::random());
                        tokio::time::sleep(wait.max(BACKOFF.min / 2)).await;
                    }
                }
            };
            tokio::select! {
                () = &mut stop => return,
                () = &mut left => return,
                () = step => {}
            }
        }
    }

    async fn post(&self, body: String) -> Result<(), SendError> {
        let posting = post_json(&self.client, &self.url, body);
        let posted = tokio::time::timeout(self.set.timeout, posting).await;
        posted.unwrap_or_else(|_late| Err(SendError::unknown("no answer in time")))
    }

    /// Sends what waits, a batch of it.
    async fn send(&self, all: &Alertmanagers) -> Sent {
        let batch: Vec<(Fingerprint, Alert)> = {
            let waiting = lock(&self.waiting);
            let batch = waiting.iter().take(BATCH_MAX);
            batch.map(|(f, alert)| (*f, alert.clone())).collect()
        };
        if batch.is_empty() {
            return Sent::Nothing;
        }
        let body = all.shown(&batch, &self.set.alert_relabel);
        if !body.is_empty() {
            let count = body.len() as u64;
            if let Err(error) = self.post(Value::from(body).to_string()).await {
                self.errors.fetch_add(1, Relaxed);
                tracing::warn!(alertmanager = self.url, "alerts were not taken: {error}");
                return Sent::Failed;
            }
            self.sent.fetch_add(count, Relaxed);
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
