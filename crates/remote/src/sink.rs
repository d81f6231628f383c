//! The port for samples over remote write: a batch is stored when the peer has acknowledged it.

use std::sync::Arc;

use model::{AppendError, Appended, Batch, Durability, Labels, RejectReason, SampleSink};

use crate::{
    peer::{PeerError, chain},
    write::{Patience, SendError, Writer},
};

/// Attempts of one append: a lost reply is repeated, an outage is told to the caller.
const ATTEMPTS: u32 = 3;

/// Stores samples elsewhere. Both durabilities mean the same here: acknowledged by the peer,
/// whose own promise it then is.
#[derive(Debug, Clone)]
pub struct RemoteSink {
    writer: Arc<Writer>,
}

impl RemoteSink {
    /// A sink that sends with a writer.
    #[must_use]
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer }
    }
}

impl SampleSink for RemoteSink {
    fn append(&self, batch: &Batch, _: Durability) -> Result<Appended, AppendError> {
        let sent = self
            .writer
            .send_blocking(batch.clone(), Patience::Attempts(ATTEMPTS));
        let delivered = sent.map_err(|error| not_appended(&self.writer, &error))?;
        let refused: u64 = delivered.dropped.values().sum();
        let first = batch.samples.first();
        let example = first.map_or_else(Labels::empty, |s| s.labels.clone());
        let mut rejected = Vec::new();
        if refused > 0 {
            rejected.push((RejectReason::Peer, refused, example));
        }
        Ok(Appended {
            stored: delivered.stored,
            rejected,
            exemplars: delivered.exemplars,
            ..Appended::default()
        })
    }
}

fn not_appended(writer: &Writer, error: &SendError) -> AppendError {
    let kind = match error {
        SendError::Peer {
            source: PeerError::Ended { .. },
            ..
        } => return AppendError::Closed,
        SendError::Peer { .. } => std::io::ErrorKind::NotConnected,
        SendError::Busy { .. } => std::io::ErrorKind::ResourceBusy,
    };
    AppendError::Io {
        operation: format!("write to {}", writer.peer().config().url),
        source: std::io::Error::new(kind, chain(error)),
    }
}
