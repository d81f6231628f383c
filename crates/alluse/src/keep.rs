//! Where samples are kept: in the own store, or in one elsewhere.
//!
//! Elsewhere, what is stored goes through a queue on the disk, so that an outage of the other
//! store delays samples and loses none; reads go there and fail while it is away.

use std::{path::Path, sync::Arc};

use collect::spill::Spill;
use model::{AppendError, Appended, Batch, Clock, Durability, SampleSink, SeriesReader};
use remote::{Peer, PeerConfig, PeerError, RemoteReader, Writer};
use store::{Feed, FeedLimits, Store};

use crate::{
    config::outlet::Outlet,
    forward::{Forwarder, SpillSink},
    telemetry::Telemetry,
};

/// Where samples are kept.
#[derive(Debug, Clone)]
pub(crate) enum Keep {
    Here(Arc<Store>),
    Elsewhere(Elsewhere),
}

/// A store elsewhere and the ways to it.
#[derive(Debug, Clone)]
pub(crate) struct Elsewhere {
    pub(crate) forwarder: Forwarder,
    /// A way of its own: reads that fail do not hold up writes.
    pub(crate) reader: Arc<RemoteReader>,
    /// What was taken for the other store.
    feed: Feed,
    clock: Arc<dyn Clock>,
}

/// Shows what a sink takes to whoever listens, as the own store does by itself.
struct Published {
    sink: SpillSink,
    feed: Feed,
    clock: Arc<dyn Clock>,
}

impl SampleSink for Published {
    fn append(&self, batch: &Batch, durability: Durability) -> Result<Appended, AppendError> {
        let appended = self.sink.append(batch, durability)?;
        let points = batch.samples.len();
        self.feed
            .publish(points, self.clock.wall_ms(), || batch.clone().into());
        Ok(appended)
    }
}

/// How the store fares, as the status shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeepState {
    pub(crate) state: &'static str,
    pub(crate) series: u64,
    pub(crate) samples: u64,
}

/// The state of a store elsewhere that does not answer: samples wait in the queue.
pub(crate) const REMOTE_DOWN: &str = "remote_down";

/// Why a store elsewhere cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ElsewhereError {
    #[error("the queue in front of the remote store cannot be opened")]
    Queue(#[source] collect::spill::SpillError),
    #[error("the remote store cannot be used")]
    Peer(#[source] PeerError),
    #[error("the remote store cannot be spoken to")]
    Tls(#[source] collect::http::HttpError),
}

/// The way to an outlet's peer. Certificates are read where its address asks for them.
fn reached(
    peer: PeerConfig,
    said: &Outlet,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Peer>, ElsewhereError> {
    let tls = peer.url.starts_with("https://");
    let tls = tls.then(|| said.tls.client_config()).transpose();
    let tls = tls.map_err(ElsewhereError::Tls)?;
    let server_name = said.tls.server_name.clone();
    let peer = PeerConfig {
        server_name,
        ..peer
    };
    Peer::new(peer, tls, Arc::clone(clock)).map_err(ElsewhereError::Peer)
}

/// The queue and the sender of an outlet.
pub(crate) fn forwarder(
    said: &Outlet,
    folder: &Path,
    clock: &Arc<dyn Clock>,
) -> Result<Forwarder, ElsewhereError> {
    let queue = said.queue.in_folder(folder.to_owned());
    let sync_every = queue.sync_every;
    let spill = Spill::open(queue, Arc::clone(clock)).map_err(ElsewhereError::Queue)?;
    let peer = reached(said.peer.clone(), said, clock)?;
    Ok(Forwarder {
        spill: Arc::new(spill),
        writer: Writer::new(peer, said.write.clone()),
        delay_max: said.delay_max,
        sync_every,
    })
}

impl Elsewhere {
    /// The ways to the store an outlet names, with a queue in a folder.
    pub(crate) fn open(
        said: &Outlet,
        folder: &Path,
        samples_max: usize,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, ElsewhereError> {
        let reading = PeerConfig {
            samples_max,
            ..said.peer.clone()
        };
        let peer = reached(reading, said, clock)?;
        Ok(Self {
            forwarder: forwarder(said, folder, clock)?,
            reader: Arc::new(RemoteReader::new(peer)),
            feed: Feed::new(FeedLimits::default(), clock.wall_ms()),
            clock: Arc::clone(clock),
        })
    }
}

impl Keep {
    /// Where samples go.
    pub(crate) fn sink(&self) -> Arc<dyn SampleSink> {
        match self {
            Self::Here(store) => Arc::clone(store) as _,
            Self::Elsewhere(there) => Arc::new(Published {
                sink: SpillSink(Arc::clone(&there.forwarder.spill)),
                feed: there.feed.clone(),
                clock: Arc::clone(&there.clock),
            }),
        }
    }

    /// Where they are read.
    pub(crate) fn reader(&self) -> Arc<dyn SeriesReader> {
        match self {
            Self::Here(store) => Arc::clone(store) as _,
            Self::Elsewhere(there) => Arc::clone(&there.reader) as _,
        }
    }

    /// What is taken, for whoever listens.
    pub(crate) fn feed(&self) -> Feed {
        match self {
            Self::Here(store) => store.feed().clone(),
            Self::Elsewhere(there) => there.feed.clone(),
        }
    }

    /// The own store, if samples are kept there.
    pub(crate) fn here(&self) -> Option<&Arc<Store>> {
        match self {
            Self::Here(store) => Some(store),
            Self::Elsewhere(_) => None,
        }
    }

    /// Who answers queries whole, if somebody else does.
    pub(crate) fn answers(&self) -> Option<Arc<RemoteReader>> {
        match self {
            Self::Here(_) => None,
            Self::Elsewhere(there) => Some(Arc::clone(&there.reader)),
        }
    }

    /// Shows what is counted.
    pub(crate) fn watch(&self, telemetry: &Telemetry) {
        match self {
            Self::Here(store) => telemetry.watch_store(store),
            Self::Elsewhere(there) => there.forwarder.watch(&telemetry.registry),
        }
    }

    /// How it fares.
    pub(crate) fn state(&self) -> KeepState {
        match self {
            Self::Here(store) => {
                let stats = store.stats();
                KeepState {
                    state: match stats.state {
                        store::State::Healthy => "healthy",
                        store::State::DiskFull => "disk_full",
                        store::State::Failed => "failed",
                    },
                    series: stats.series,
                    samples: stats.appended,
                }
            }
            Self::Elsewhere(there) => there.state(),
        }
    }

    /// Everything that was taken is on the disk, and nothing more is.
    pub(crate) fn close(&self) -> std::io::Result<()> {
        match self {
            Self::Here(store) => store.close().map_err(std::io::Error::other),
            Self::Elsewhere(there) => {
                let spill = &there.forwarder.spill;
                spill.close().map_err(std::io::Error::other)
            }
        }
    }
}

impl Elsewhere {
    fn state(&self) -> KeepState {
        let either = self.forwarder.writer.peer().is_down() || self.reader.peer().is_down();
        KeepState {
            state: if either { REMOTE_DOWN } else { "healthy" },
            // Only the other store knows.
            series: 0,
            samples: self.forwarder.spill.stats().appended,
        }
    }
}
