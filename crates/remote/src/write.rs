//! Batches sent by remote write until they are acknowledged.
//!
//! A batch goes out in lanes, several requests at once, a series always in one lane; the batch is
//! done when all lanes are, so that samples of a series arrive in their order from batch to batch
//! however many lanes each takes. What can succeed later (no reply, 429, 5xx) is tried again with
//! backoff and jitter, or when the peer said; what cannot (other 4xx) is dropped and counted with
//! its reason. A repeat is harmless: samples are identified by series and time.
//!
//! 2.0 is tried first. A peer that answers 415, or that answers 2xx without the headers 2.0
//! demands, took it for 1.0 and stored nothing: it gets 1.0 from then on.

mod message;
pub mod protobuf;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::{
    Method,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use model::Batch;
use thiserror::Error;
use tokio::task::JoinSet;

pub use message::{Count, Protocol, label, write_histogram};

use crate::{
    peer::{Peer, PeerError, Reply, chain},
    retry::{Backoff, random, retry_after},
};
use message::Message;

/// Which version of remote write a message is in.
const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");

/// How a writer sends.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteConfig {
    /// Requests at once. 4.
    pub lanes: usize,
    /// Samples of one request. 10,000: about a megabyte unpacked.
    pub samples_max: usize,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// Which message is tried first.
    pub protocol: Protocol,
}

impl Default for WriteConfig {
    fn default() -> Self {
        Self {
            lanes: 4,
            samples_max: 10_000,
            backoff: Backoff::default(),
            protocol: Protocol::V2,
        }
    }
}

/// How long a batch is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// So many attempts.
    Attempts(u32),
    /// Until it is acknowledged, or the future is dropped.
    Endless,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivered {
    /// Samples and histograms the peer acknowledged.
    pub stored: u64,
    /// Exemplars in acknowledged requests.
    pub exemplars: u64,
    /// Samples and histograms the peer refused for good, by reason.
    pub dropped: BTreeMap<String, u64>,
}

/// Why a batch was not delivered. Parts of it may have been; sending it again is harmless.
#[derive(Debug, Error)]
pub enum SendError {
    /// No reply, or none in time.
    #[error("the batch was not acknowledged after {attempts} attempts")]
    Peer {
        /// Attempts made.
        attempts: u32,
        /// Why the last failed.
        #[source]
        source: PeerError,
    },
    /// The peer said "not now".
    #[error("{url} answers {status}: {said}")]
    Busy {
        /// The peer.
        url: String,
        /// HTTP status.
        status: u16,
        /// The start of its answer.
        said: String,
    },
}

/// What a writer has counted since it began.
#[derive(Debug, Default)]
pub struct WriteCounts {
    /// Requests sent, repeats included.
    pub requests: AtomicU64,
    /// Bytes of their bodies.
    pub body_bytes: AtomicU64,
    /// Samples and histograms acknowledged.
    pub samples: AtomicU64,
    /// Attempts after the first.
    pub retries: AtomicU64,
    /// Samples and histograms refused for good, by reason.
    pub dropped: Mutex<BTreeMap<String, u64>>,
}

impl WriteCounts {
    /// Refused samples by reason.
    #[must_use]
    pub fn dropped(&self) -> BTreeMap<String, u64> {
        self.dropped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note_dropped(&self, dropped: &BTreeMap<String, u64>) {
        let mut all = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        for (reason, count) in dropped {
            *all.entry(reason.clone()).or_default() += count;
        }
    }
}

/// Sends batches to a peer.
#[derive(Debug)]
pub struct Writer {
    peer: Arc<Peer>,
    config: WriteConfig,
    /// The peer does not read 2.0.
    legacy: AtomicBool,
    counts: WriteCounts,
}

/// What one attempt told.
enum Told {
    Stored(u64),
    Refused(Refused),
    /// Try again, not sooner than this.
    Later(Option<Duration>, SendError),
    /// Try again as 1.0.
    Older,
    /// Try again in halves.
    Smaller,
}

/// Samples the peer refused for good, and those it stored all the same.
struct Refused {
    stored: u64,
    reason: String,
    said: String,
}

impl Writer {
    /// A writer.
    #[must_use]
    pub fn new(peer: Arc<Peer>, config: WriteConfig) -> Arc<Self> {
        Arc::new(Self {
            peer,
            legacy: AtomicBool::new(config.protocol == Protocol::V1),
            config,
            counts: WriteCounts::default(),
        })
    }

    /// What it has counted.
    #[must_use]
    pub fn counts(&self) -> &WriteCounts {
        &self.counts
    }

    /// Whom it sends to.
    #[must_use]
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Samples that one call of [`Writer::send`] can have in flight at once.
    #[must_use]
    pub fn window(&self) -> usize {
        self.config.lanes.max(1) * self.config.samples_max.max(1)
    }

    /// The message it sends.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        if self.legacy.load(Ordering::Relaxed) {
            Protocol::V1
        } else {
            Protocol::V2
        }
    }

    /// Sends a batch and waits, from any thread, until it is acknowledged or given up.
    pub fn send_blocking(
        self: &Arc<Self>,
        batch: Batch,
        patience: Patience,
    ) -> Result<Delivered, SendError> {
        let writer = Arc::clone(self);
        let sent = self
            .peer
            .wait(async move { Ok(writer.send(&batch, patience).await) });
        sent.unwrap_or_else(|source| {
            Err(SendError::Peer {
                attempts: 0,
                source,
            })
        })
    }

    /// Sends a batch, in as many lanes as its size is worth. Dropping the future gives up.
    pub async fn send(
        self: &Arc<Self>,
        batch: &Batch,
        patience: Patience,
    ) -> Result<Delivered, SendError> {
        let lanes = batch.samples.len().div_ceil(self.config.samples_max.max(1));
        let lanes = lanes.clamp(1, self.config.lanes.max(1));
        let mut running = JoinSet::new();
        for lane in message::lanes(batch, lanes, self.config.samples_max) {
            running.spawn(Arc::clone(self).lane(lane, patience));
        }
        let mut all = Delivered::default();
        while let Some(ended) = running.join_next().await {
            let delivered = ended.unwrap_or_else(|panicked| {
                // Nothing in a lane panics; if it does, the batch was not delivered.
                let url = self.peer.config().url.clone();
                tracing::error!(%panicked, "sending failed");
                Err(SendError::Peer {
                    attempts: 0,
                    source: PeerError::Ended { url },
                })
            })?;
            all.stored += delivered.stored;
            all.exemplars += delivered.exemplars;
            for (reason, count) in delivered.dropped {
                *all.dropped.entry(reason).or_default() += count;
            }
        }
        self.counts.samples.fetch_add(all.stored, Ordering::Relaxed);
        self.counts.note_dropped(&all.dropped);
        Ok(all)
    }

    /// The messages of one lane, one after the other.
    async fn lane(
        self: Arc<Self>,
        messages: Vec<Message>,
        patience: Patience,
    ) -> Result<Delivered, SendError> {
        let mut delivered = Delivered::default();
        let mut waiting: Vec<Message> = messages.into_iter().rev().collect();
        while let Some(message) = waiting.pop() {
            let count = message.count();
            match self.acknowledged(&message, patience).await? {
                Ok(stored) => {
                    delivered.stored += stored;
                    delivered.exemplars += count.exemplars;
                    drop_rest(&mut delivered, "partial", count.points() - stored);
                }
                Err(Refused { reason, .. }) if reason == TOO_LARGE => match message.halves() {
                    Some([first, second]) => waiting.extend([second, first]),
                    None => drop_rest(&mut delivered, TOO_LARGE, count.points()),
                },
                Err(refused) => {
                    tracing::warn!(
                        reason = refused.reason,
                        said = refused.said,
                        samples = count.points() - refused.stored,
                        "the peer refuses samples: they are dropped"
                    );
                    delivered.stored += refused.stored;
                    let lost = count.points() - refused.stored;
                    drop_rest(&mut delivered, &refused.reason, lost);
                }
            }
        }
        Ok(delivered)
    }

    /// Tries one message until the peer has judged it.
    async fn acknowledged(
        &self,
        message: &Message,
        patience: Patience,
    ) -> Result<Result<u64, Refused>, SendError> {
        let mut protocol = self.protocol();
        let mut body = message.body(protocol);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (asked, error) = match self.attempt(message, protocol, body.clone()).await {
                Told::Stored(stored) => return Ok(Ok(stored)),
                Told::Refused(refused) => return Ok(Err(refused)),
                Told::Smaller => return Ok(Err(too_large())),
                Told::Older => {
                    self.legacy.store(true, Ordering::Relaxed);
                    tracing::info!("the peer does not read remote write 2.0: it gets 1.0");
                    protocol = Protocol::V1;
                    body = message.body(protocol);
                    continue;
                }
                Told::Later(asked, error) => (asked, error),
            };
            if matches!(patience, Patience::Attempts(most) if attempts >= most) {
                return Err(match error {
                    SendError::Peer { source, .. } => SendError::Peer { attempts, source },
                    busy @ SendError::Busy { .. } => busy,
                });
            }
            self.counts.retries.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(attempts, error = chain(&error), "remote write again later");
            let wait = self.config.backoff.wait(attempts, asked, random());
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, message: &Message, protocol: Protocol, body: Vec<u8>) -> Told {
        let bytes = body.len() as u64;
        let exchanged = self.exchanged(protocol, body).await;
        if !matches!(exchanged, Err(PeerError::Open { .. })) {
            self.counts.requests.fetch_add(1, Ordering::Relaxed);
            self.counts.body_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        match exchanged {
            Ok(reply) => self.judged(&reply, message.count(), protocol),
            Err(source) => Told::Later(
                None,
                SendError::Peer {
                    attempts: 0,
                    source,
                },
            ),
        }
    }

    async fn exchanged(&self, protocol: Protocol, body: Vec<u8>) -> Result<Reply, PeerError> {
        let path = format!("{}/api/v1/write", self.peer.config().write_prefix);
        let mut request = self.peer.request(Method::POST, &path)?;
        *request.body_mut() = body.into();
        let (content_type, version) = protocol.headers();
        for (name, value) in [
            (CONTENT_TYPE, content_type),
            (CONTENT_ENCODING, "snappy"),
            (VERSION, version),
        ] {
            let value = HeaderValue::from_static(value);
            request.headers_mut().insert(name, value);
        }
        self.peer.exchange(request).await
    }

    fn judged(&self, reply: &Reply, count: Count, protocol: Protocol) -> Told {
        let written = written(reply, protocol, count);
        match reply.status {
            200..=299 if protocol == Protocol::V2 && written.is_none() => Told::Older,
            200..=299 => Told::Stored(written.unwrap_or(count.points()).min(count.points())),
            415 if protocol == Protocol::V2 => Told::Older,
            413 => Told::Smaller,
            429 | 500..=599 => {
                let now_ms = self.peer.now_ms();
                let asked = reply.header(RETRY_AFTER.as_str());
                let asked = asked.and_then(|header| retry_after(header, now_ms));
                Told::Later(asked, self.busy(reply))
            }
            status => Told::Refused(Refused {
                stored: written.unwrap_or(0).min(count.points()),
                reason: status.to_string(),
                said: reply.said(),
            }),
        }
    }

    fn busy(&self, reply: &Reply) -> SendError {
        SendError::Busy {
            url: self.peer.config().url.clone(),
            status: reply.status,
            said: reply.said(),
        }
    }
}

/// Reason of samples that were too large even alone.
const TOO_LARGE: &str = "413";

fn too_large() -> Refused {
    Refused {
        stored: 0,
        reason: TOO_LARGE.to_owned(),
        said: String::new(),
    }
}

fn drop_rest(delivered: &mut Delivered, reason: &str, count: u64) {
    if count > 0 {
        *delivered.dropped.entry(reason.to_owned()).or_default() += count;
    }
}

/// Samples and histograms the peer says it wrote; `None` from one that does not say. Of a kind it
/// does not mention a reader of 2.0 wrote none; one of 1.0 may have written them all.
fn written(reply: &Reply, protocol: Protocol, sent: Count) -> Option<u64> {
    let count = |kind: &str| {
        let name = format!("x-prometheus-remote-write-{kind}-written");
        reply.header(&name)?.trim().parse::<u64>().ok()
    };
    let unsaid = |sent: u64| match protocol {
        Protocol::V1 => sent,
        Protocol::V2 => 0,
    };
    match (count("samples"), count("histograms")) {
        (None, None) => None,
        (samples, histograms) => Some(
            samples
                .unwrap_or_else(|| unsaid(sent.samples))
                .saturating_add(histograms.unwrap_or_else(|| unsaid(sent.histograms))),
        ),
    }
}

/// The bytes of a batch as one uncompressed message: what a benchmark compares with.
#[must_use]
pub fn uncompressed(batch: &Batch, protocol: Protocol) -> Vec<u8> {
    let lanes = message::lanes(batch, 1, usize::MAX);
    lanes
        .into_iter()
        .flatten()
        .flat_map(|message| message.plain(protocol))
        .collect()
}

/// A message as a block of snappy.
#[must_use]
pub fn snappy(plain: &[u8]) -> Vec<u8> {
    message::snappy(plain)
}

/// The bodies a batch makes, compressed, without sending them.
#[must_use]
pub fn bodies(batch: &Batch, protocol: Protocol, samples_max: usize) -> Vec<Vec<u8>> {
    let lanes = message::lanes(batch, 1, samples_max);
    let all = lanes.into_iter().flatten();
    all.map(|message| message.body(protocol)).collect()
}
