//! Between collecting and a store elsewhere: batches go into the queue on the disk, and from there
//! in order to the peer, until it has acknowledged them.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use collect::spill::{Batching, Spill, SpillError};
use model::{AppendError, Appended, Batch, Durability, SampleSink};
use remote::{Patience, Writer};
use runtime::metrics::Registry;
use tokio::sync::watch;

use crate::api::problem::chain;

/// Longest a sender waits for the peer's acknowledgement of a batch it wants to be durable.
const ACKNOWLEDGED_IN: Duration = Duration::from_secs(10);

/// Longest the queue is still sent from when the process is to end; the rest stays on the disk.
const DRAIN: Duration = Duration::from_secs(5);

/// After the queue itself failed, so long until it is tried again.
const QUEUE_RETRY: Duration = Duration::from_secs(1);

/// Stores in the queue. `Fast` is done when the queue has the batch, which outlives this process;
/// `Sync` when the peer has acknowledged it.
#[derive(Debug, Clone)]
pub(crate) struct SpillSink(pub(crate) Arc<Spill>);

impl SampleSink for SpillSink {
    fn append(&self, batch: &Batch, durability: Durability) -> Result<Appended, AppendError> {
        if !self.0.append(batch).map_err(not_appended)? {
            return Err(AppendError::DiskFull);
        }
        let late = || AppendError::Io {
            operation: "get the batch acknowledged by the remote store".to_owned(),
            source: std::io::ErrorKind::TimedOut.into(),
        };
        let end = self.0.end();
        if durability == Durability::Sync && !self.0.wait_committed(end, ACKNOWLEDGED_IN) {
            return Err(late());
        }
        Ok(Appended {
            stored: batch.samples.len() as u64,
            exemplars: batch.exemplars.len() as u64,
            ..Appended::default()
        })
    }
}

fn not_appended(error: SpillError) -> AppendError {
    match error {
        SpillError::Closed => AppendError::Closed,
        SpillError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            AppendError::DiskFull
        }
        other => AppendError::Io {
            operation: "append to the spill queue".to_owned(),
            source: std::io::Error::other(other),
        },
    }
}

/// Sends what the queue holds.
#[derive(Debug, Clone)]
pub(crate) struct Forwarder {
    pub(crate) spill: Arc<Spill>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) delay_max: Duration,
    pub(crate) sync_every: Duration,
}

impl Forwarder {
    /// Sends until told to stop, then, briefly, what is left.
    pub(crate) async fn run(self, stopped: watch::Receiver<bool>) {
        let syncing = tokio::spawn(self.clone().sync_now_and_then());
        let sending = self.clone().send_all();
        tokio::pin!(sending);
        tokio::select! {
            () = &mut sending => {}
            () = crate::lifecycle::resolved(stopped) => {
                if let Err(error) = self.close().await {
                    tracing::error!(error = chain(&error), "the spill queue may not be synced");
                }
                if tokio::time::timeout(DRAIN, sending).await.is_err() {
                    let samples = self.spill.stats().queued;
                    tracing::info!(samples, "not everything was sent: it stays in the queue");
                }
            }
        }
        syncing.abort();
    }

    async fn close(&self) -> Result<(), SpillError> {
        let spill = Arc::clone(&self.spill);
        let closed = tokio::task::spawn_blocking(move || spill.close()).await;
        closed.unwrap_or(Err(SpillError::Closed))
    }

    async fn send_all(self) {
        loop {
            match self.send_one().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(error = chain(&error), "the spill queue fails");
                    tokio::time::sleep(QUEUE_RETRY).await;
                }
            }
        }
    }

    /// Takes a window, sends it, commits it. Whether there can be another.
    async fn send_one(&self) -> Result<bool, SpillError> {
        let batching = Batching {
            samples_max: self.writer.window(),
            delay_max: self.delay_max,
        };
        let spill = Arc::clone(&self.spill);
        let taken = tokio::task::spawn_blocking(move || spill.take(batching)).await;
        let Some(window) = taken.unwrap_or(Err(SpillError::Closed))? else {
            return Ok(false);
        };
        if let Err(error) = self.writer.send(&window.batch, Patience::Endless).await {
            // Endless patience ends only when the exchanges themselves have ended.
            tracing::error!(
                error = chain(&error),
                "a window was not sent: it is sent at the next start"
            );
            return Ok(false);
        }
        let spill = Arc::clone(&self.spill);
        let committed = tokio::task::spawn_blocking(move || spill.commit(&window)).await;
        committed.unwrap_or(Err(SpillError::Closed))?;
        Ok(true)
    }

    /// While nothing is appended nobody else would.
    async fn sync_now_and_then(self) {
        loop {
            tokio::time::sleep(self.sync_every).await;
            let spill = Arc::clone(&self.spill);
            let synced = tokio::task::spawn_blocking(move || spill.sync()).await;
            if let Ok(Err(error)) = synced {
                tracing::error!(error = chain(&error), "the spill queue is not synced");
            }
        }
    }

    /// Shows how the queue and the sending fare.
    pub(crate) fn watch(&self, registry: &Registry) {
        self.watch_queue(registry);
        let counter = |name: &str, help: &str, read: fn(&Writer) -> u64| {
            let writer = Arc::clone(&self.writer);
            registry.counter_fn(name, help, &[], move || read(&writer) as f64);
        };
        counter(
            "alluse_remote_samples_total",
            "Samples the remote store has acknowledged.",
            |w| w.counts().samples.load(Relaxed),
        );
        counter(
            "alluse_remote_requests_total",
            "Requests sent to the remote store, repeats included.",
            |w| w.counts().requests.load(Relaxed),
        );
        counter(
            "alluse_remote_sent_bytes_total",
            "Bytes of the bodies of those requests.",
            |w| w.counts().body_bytes.load(Relaxed),
        );
        counter(
            "alluse_remote_retries_total",
            "Requests repeated because the remote store did not take them yet.",
            |w| w.counts().retries.load(Relaxed),
        );
        counter(
            "alluse_remote_refused_samples_total",
            "Samples the remote store refused for good: they are dropped.",
            |w| w.counts().dropped().values().sum(),
        );
        let peer = Arc::clone(self.writer.peer());
        registry.gauge_fn(
            "alluse_remote_up",
            "Whether the last request got through: 1, 0, or NaN before the first.",
            &[],
            move || match peer.state().reachable {
                Some(up) => f64::from(u8::from(up)),
                None => f64::NAN,
            },
        );
    }

    fn watch_queue(&self, registry: &Registry) {
        let gauge = |name: &str, help: &str, read: fn(collect::spill::SpillStats) -> u64| {
            let spill = Arc::clone(&self.spill);
            registry.gauge_fn(name, help, &[], move || read(spill.stats()) as f64);
        };
        gauge(
            "alluse_queue_samples",
            "Samples in the queue, not yet acknowledged.",
            |s| s.queued,
        );
        gauge(
            "alluse_queue_bytes",
            "Bytes of the queue on the disk.",
            |s| s.bytes,
        );
        gauge(
            "alluse_queue_recovered_samples",
            "Samples an earlier life left in the queue.",
            |s| s.recovered,
        );
        let counter =
            |name: &str, help: &str, policy: &str, read: fn(collect::spill::SpillStats) -> u64| {
                let spill = Arc::clone(&self.spill);
                let labels: &[(&str, &str)] = if policy.is_empty() {
                    &[]
                } else {
                    &[("policy", policy)]
                };
                registry.counter_fn(name, help, labels, move || read(spill.stats()) as f64);
            };
        counter(
            "alluse_queue_appended_samples_total",
            "Samples put into the queue.",
            "",
            |s| s.appended,
        );
        let dropped = "alluse_queue_dropped_samples_total";
        let help = "Samples dropped because the queue was full.";
        counter(dropped, help, "drop_oldest", |s| s.dropped_oldest);
        counter(dropped, help, "drop_newest", |s| s.dropped_newest);
        counter(
            "alluse_queue_damaged_bytes_total",
            "Bytes of the queue that did not check.",
            "",
            |s| s.damaged_bytes,
        );
    }
}
