//! Where samples go that are kept elsewhere: the peer, the queue in between, how batches are made.
//! `[agent]` and `[store]` say it with the same keys.

use std::{path::PathBuf, time::Duration};

use collect::{
    http::{Pem, TlsSettings},
    spill::{Overflow, SpillConfig},
};
use remote::{Auth, PeerConfig, Secret, WriteConfig, retry::Backoff};

use super::{HOUR, SECOND, said::Section};

/// A peer and the way to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outlet {
    pub(crate) peer: PeerConfig,
    /// How it is spoken to, if over TLS.
    pub(crate) tls: TlsSettings,
    pub(crate) write: WriteConfig,
    /// Longest a sample waits for others before it is sent.
    pub(crate) delay_max: Duration,
    pub(crate) queue: Queue,
}

/// The queue on the disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Queue {
    pub(crate) bytes_max: u64,
    pub(crate) overflow: Overflow,
    pub(crate) sync_every: Duration,
}

impl Queue {
    /// As the queue itself wants it.
    pub(crate) fn in_folder(&self, folder: PathBuf) -> SpillConfig {
        SpillConfig {
            bytes_max: self.bytes_max,
            overflow: self.overflow,
            sync_every: self.sync_every,
            ..SpillConfig::new(folder)
        }
    }
}

const OVERFLOWS: [(&str, Overflow); 3] = [
    ("drop_oldest", Overflow::DropOldest),
    ("drop_newest", Overflow::DropNewest),
    ("block", Overflow::Block),
];

/// Smallest queue: eight segments of half a megabyte.
const QUEUE_BYTES_MIN: u64 = 4 << 20;

/// Reads the outlet to `url` from a section's tables `peer` and `queue`.
pub(super) fn outlet(said: &Section<'_, '_>, url: String, delay: Duration) -> Outlet {
    let said_queue = said.section("queue");
    let (write, delay_max) = writing(&said_queue, delay);
    let said_peer = said.section("peer");
    Outlet {
        tls: tls(said_peer.section("tls")),
        peer: peer(said_peer, url),
        write,
        delay_max,
        queue: queue(said_queue),
    }
}

fn peer(said: Section<'_, '_>, url: String) -> PeerConfig {
    let usual = PeerConfig::new(url);
    let prefix = |key| {
        let text = said.text(key).unwrap_or_default();
        text.trim_end_matches('/').to_owned()
    };
    let peer = PeerConfig {
        write_prefix: prefix("write_prefix"),
        read_prefix: prefix("read_prefix"),
        tenant: said.text("tenant"),
        auth: auth(&said),
        headers: said.section("headers").plain_texts(),
        timeout: said
            .duration("timeout", Duration::from_millis(100)..=HOUR)
            .unwrap_or(usual.timeout),
        ..usual
    };
    said.finish();
    peer
}

/// Whether an address can be a peer's.
pub(crate) fn is_address(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

fn tls(said: Section<'_, '_>) -> TlsSettings {
    let file = |key| said.text(key).map(|path| Pem::File(path.into()));
    let (chain, key) = (file("cert_file"), file("key_file"));
    if chain.is_some() != key.is_some() {
        said.mistake("cert_file", "give `cert_file` and `key_file`, or neither");
    }
    let settings = TlsSettings {
        authorities: file("ca_file"),
        identity: chain.zip(key),
        server_name: said.text("server_name"),
        insecure_skip_verify: said.flag("insecure_skip_verify").unwrap_or(false),
        ..TlsSettings::default()
    };
    said.finish();
    settings
}

fn auth(said: &Section<'_, '_>) -> Auth {
    let (user, file) = (said.text("user"), said.text("password_file"));
    let token = said.text("bearer_token_file");
    match (user, file, token) {
        (None, None, None) => Auth::None,
        (None, None, Some(token)) => Auth::Bearer(Secret::File(token.into())),
        (Some(user), Some(file), None) => Auth::Basic(user, Secret::File(file.into())),
        _ => {
            said.mistake(
                "user",
                "give `user` with `password_file`, or `bearer_token_file`",
            );
            Auth::None
        }
    }
}

fn writing(said: &Section<'_, '_>, delay: Duration) -> (WriteConfig, Duration) {
    let usual = WriteConfig::default();
    let count = |key, most, default: usize| {
        let said = said.integer(key, 1..=most);
        said.map_or(default, |n| usize::try_from(n).expect("a small number"))
    };
    let spans = Duration::from_millis(1)..=HOUR;
    let wait = |key, default| said.duration(key, spans.clone()).unwrap_or(default);
    let write = WriteConfig {
        lanes: count("lanes", 64, usual.lanes),
        samples_max: count("batch_samples_max", 1 << 20, usual.samples_max),
        backoff: Backoff {
            min: wait("retry_min", usual.backoff.min),
            max: wait("retry_max", usual.backoff.max),
        },
        ..usual
    };
    (write, wait("batch_delay_max", delay))
}

fn queue(said: Section<'_, '_>) -> Queue {
    let queue = Queue {
        // 1 GiB: this host at 1 s for a day, about.
        bytes_max: said
            .integer("bytes_max", QUEUE_BYTES_MIN..=1 << 50)
            .unwrap_or(1 << 30),
        overflow: said.choice("overflow", &OVERFLOWS).unwrap_or_default(),
        sync_every: said
            .duration("sync_every", Duration::from_millis(10)..=HOUR)
            .unwrap_or(SECOND),
    };
    said.finish();
    queue
}
