//! StatsD over UDP and Unix datagram sockets: [`Statsd`] fed from the sockets, flushed on a tick.
//!
//! Datagrams that wait are read in one go, up to a bound, before anything else is done; the
//! kernel's buffer is asked to hold a burst. What is aggregated is bounded by [`StatsdLimits`];
//! lines that are refused are counted by reason.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    time::Duration,
};

use model::Batch;
use thiserror::Error;
use tokio::net::{UdpSocket, UnixDatagram};

use crate::{
    receive::{
        Limits,
        statsd::{Statsd, StatsdLimits},
    },
    stale::LastSeen,
    tally::Tally,
};

const PACKETS: &str = "alluse_statsd_packets_total";
const BYTES: &str = "alluse_statsd_bytes_total";
const TOO_LONG: &str = "alluse_statsd_packets_too_long_total";
const REJECTED: &str = "alluse_statsd_rejected_lines_total";

/// Bytes of a datagram: the most UDP carries. A longer one (Unix) is refused and counted.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// Datagrams read in one go.
const BURST_MAX: usize = 256;

/// What the kernel is asked to hold while we are busy, bytes. It may grant less.
const KERNEL_BUFFER_BYTES: usize = 4 << 20;

/// Where StatsD is heard, and how often its aggregates are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsdConfig {
    /// A UDP address.
    pub udp: Option<SocketAddr>,
    /// The path of a Unix datagram socket.
    pub unix: Option<PathBuf>,
    /// Between two flushes.
    pub flush_interval: Duration,
    /// Bounds on what is aggregated.
    pub limits: StatsdLimits,
    /// Bounds on label sets.
    pub label_limits: Limits,
}

/// Why a socket cannot be heard.
#[derive(Debug, Error)]
#[error("cannot hear StatsD on {place}")]
pub struct StatsdError {
    /// The address or path.
    pub place: String,
    /// What went wrong.
    #[source]
    pub source: io::Error,
}

/// The sockets and what they brought.
#[derive(Debug)]
pub struct StatsdSocket {
    udp: Option<UdpSocket>,
    unix: Option<UnixDatagram>,
    path: Option<PathBuf>,
    statsd: Statsd,
    last: LastSeen,
    buffer: Vec<u8>,
    pub(crate) flush_interval: Duration,
}

/// Which socket a datagram came by.
#[derive(Debug, Clone, Copy)]
enum From {
    Udp,
    Unix,
}

impl StatsdSocket {
    /// Binds the sockets. A socket file left behind by an earlier server is replaced.
    pub async fn bind(config: &StatsdConfig) -> Result<Self, StatsdError> {
        let mut socket = Self {
            udp: None,
            unix: None,
            path: config.unix.clone(),
            statsd: Statsd::new(config.limits, config.label_limits),
            last: LastSeen::default(),
            buffer: vec![0; DATAGRAM_BYTES_MAX],
            flush_interval: config.flush_interval,
        };
        if let Some(address) = config.udp {
            let bound = UdpSocket::bind(address).await;
            let udp = bound.map_err(|source| cannot(&address, source))?;
            widen(&udp);
            socket.udp = Some(udp);
        }
        if let Some(path) = &config.unix {
            let bound = clear(path).and_then(|()| UnixDatagram::bind(path));
            let unix = bound.map_err(|source| cannot(&path.display(), source))?;
            widen(&unix);
            socket.unix = Some(unix);
        }
        Ok(socket)
    }

    /// The UDP address, with the port the system chose.
    #[must_use]
    pub fn udp_address(&self) -> Option<SocketAddr> {
        self.udp.as_ref()?.local_addr().ok()
    }

    /// Waits for datagrams and takes those that are there. Cancel-safe: what was read was taken.
    pub(crate) async fn hear(&mut self, tally: &Tally) {
        let from = tokio::select! {
            () = readable(self.udp.as_ref().map(UdpSocket::readable)) => From::Udp,
            () = readable(self.unix.as_ref().map(UnixDatagram::readable)) => From::Unix,
        };
        let (name, mut packets, mut bytes) = match from {
            From::Udp => ("udp", 0, 0),
            From::Unix => ("unix", 0, 0),
        };
        let labels = [("socket", name)];
        while packets < BURST_MAX {
            let Some(length) = self.receive(from) else {
                break;
            };
            packets += 1;
            bytes += length;
            if length == DATAGRAM_BYTES_MAX {
                tally.add(TOO_LONG, &labels, 1.0);
                continue;
            }
            self.statsd.datagram(&self.buffer[..length]);
        }
        tally.add(PACKETS, &labels, packets as f64);
        tally.add(BYTES, &labels, bytes as f64);
    }

    /// One datagram that is there, into the buffer; its length.
    fn receive(&mut self, from: From) -> Option<usize> {
        let received = match (from, &self.udp, &self.unix) {
            (From::Udp, Some(udp), _) => udp.try_recv(&mut self.buffer),
            (From::Unix, _, Some(unix)) => unix.try_recv(&mut self.buffer),
            _ => return None,
        };
        match received {
            Ok(length) => Some(length),
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    tracing::warn!(%error, "a StatsD datagram cannot be read");
                }
                None
            }
        }
    }

    /// The aggregates as samples of a tick.
    pub(crate) fn flush(&mut self, tick_ms: i64, tally: &Tally) -> Batch {
        let (mut batch, rejected) = self.statsd.flush(tick_ms);
        for (fault, (count, example)) in &rejected.reasons {
            tally.add(REJECTED, &[("reason", fault.as_str())], *count as f64);
            tracing::debug!(
                reason = fault.as_str(),
                count,
                example,
                "StatsD lines refused"
            );
        }
        let turnover = self.last.turn(&batch.samples, tick_ms);
        // Series that ended said so themselves; only what vanished without a word is marked.
        batch.samples.extend(turnover.gone);
        batch
    }

    /// Staleness markers for everything: nobody listens any more.
    pub(crate) fn end(&mut self, tick_ms: i64) -> Batch {
        Batch {
            samples: self.last.end(tick_ms),
            ..Batch::default()
        }
    }
}

impl Drop for StatsdSocket {
    fn drop(&mut self) {
        if let (Some(_), Some(path)) = (&self.unix, &self.path)
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::debug!(%error, "the StatsD socket's file stays behind");
        }
    }
}

/// Ready when the socket is; never, if there is none.
async fn readable(socket: Option<impl Future<Output = io::Result<()>>>) {
    match socket {
        Some(ready) => {
            if let Err(error) = ready.await {
                tracing::warn!(%error, "a StatsD socket cannot be heard");
            }
        }
        None => std::future::pending().await,
    }
}

fn cannot(place: &dyn std::fmt::Display, source: io::Error) -> StatsdError {
    StatsdError {
        place: place.to_string(),
        source,
    }
}

fn widen(socket: &impl std::os::fd::AsFd) {
    let asked = rustix::net::sockopt::set_socket_recv_buffer_size(socket, KERNEL_BUFFER_BYTES);
    if let Err(error) = asked {
        tracing::debug!(%error, "the kernel keeps its own buffer size");
    }
}

/// Removes a socket nobody listens on; anything else in its place is left alone.
fn clear(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file that is no socket",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
