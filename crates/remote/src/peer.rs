//! The store that is spoken to: its addresses, the credentials, one bounded HTTP exchange.
//!
//! Exchanges run on a thread of their own, because the ports are called from anywhere: from a
//! thread that may block, and from one that runs a loop of its own.

mod transport;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine};
use hyper::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use model::Clock;
use rustls::ClientConfig;
use thiserror::Error;
use transport::Transport;
pub(crate) use transport::{Request, TransportError};

use crate::breaker::{Breaker, BreakerConfig, Outcome};

/// A failure counts as an outage for so long without another exchange, ms: twice the longest
/// wait between attempts.
const FAILURE_COUNTS_MS: i64 = 60_000;

/// Who is spoken to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Base address, such as `http://host:8428`, without a slash at the end.
    pub url: String,
    /// Goes before `/api/v1/write`, such as `/insert/0/prometheus`.
    pub write_prefix: String,
    /// Goes before `/api/v1/query`, such as `/select/0/prometheus`.
    pub read_prefix: String,
    /// The name its certificate must have, instead of the address's host.
    pub server_name: Option<String>,
    /// Sent as `X-Scope-OrgID`, as Mimir and Cortex want it.
    pub tenant: Option<String>,
    /// Credentials.
    pub auth: Auth,
    /// Further headers of every request.
    pub headers: Vec<(String, String)>,
    /// Longest time of one exchange. 30 s.
    pub timeout: Duration,
    /// Longest time to connect. 5 s.
    pub connect_timeout: Duration,
    /// Bytes of an answer. 64 MiB: about 1.5 million samples as JSON.
    pub answer_bytes_max: usize,
    /// Samples one selection may hold in memory.
    pub samples_max: usize,
    /// When a failing peer is left alone.
    pub breaker: BreakerConfig,
}

impl PeerConfig {
    /// A peer at an address, everything else as usual.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            write_prefix: String::new(),
            read_prefix: String::new(),
            server_name: None,
            tenant: None,
            auth: Auth::None,
            headers: Vec::new(),
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            answer_bytes_max: 64 << 20,
            samples_max: 50_000_000,
            breaker: BreakerConfig::default(),
        }
    }
}

/// How requests say who they are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// They do not.
    None,
    /// User and password.
    Basic(String, Secret),
    /// A token.
    Bearer(Secret),
}

/// A text that is never shown, or the file that holds it, read for each request so that a new
/// secret needs no restart.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The text itself.
    Text(String),
    /// A file; white space around its content does not count.
    File(PathBuf),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Secret(..)"),
            Self::File(path) => write!(f, "Secret({})", path.display()),
        }
    }
}

impl Secret {
    fn read(&self) -> Result<String, PeerError> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(source) => Err(PeerError::Secret {
                    path: path.clone(),
                    source,
                }),
            },
        }
    }
}

/// Why there is no reply.
#[derive(Debug, Error)]
pub enum PeerError {
    /// The address or a header cannot be used.
    #[error("{0}")]
    Config(String),
    /// A secret's file cannot be read.
    #[error("cannot read the secret in {path}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It failed so often that it is left alone for a moment.
    #[error("{url} is left alone for a moment after it failed: {last}")]
    Open {
        /// The peer.
        url: String,
        /// Its last failure.
        last: String,
    },
    /// No connection, or no whole reply in time.
    #[error("cannot reach {url}")]
    Transport {
        /// The peer.
        url: String,
        /// Why.
        #[source]
        source: TransportError,
    },
    /// The reply is over its bound.
    #[error("{url} answers with more than {limit} bytes")]
    TooLarge {
        /// The peer.
        url: String,
        /// Bytes allowed.
        limit: usize,
    },
    /// The process is ending.
    #[error("exchanges with {url} have ended")]
    Ended {
        /// The peer.
        url: String,
    },
}

/// A reply, whole.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A header as text; `None` when absent or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The start of the body as one line, for a message.
    #[must_use]
    pub fn said(&self) -> String {
        /// Enough for the reason a server gives.
        const SAID_BYTES: usize = 200;
        let cut = &self.body[..self.body.len().min(SAID_BYTES)];
        String::from_utf8_lossy(cut).trim().replace('\n', " ")
    }
}

/// How the peer fares, for health and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerState {
    /// Whether the last exchange got through; `None` before the first.
    pub reachable: Option<bool>,
    /// Why the last failed exchange failed; empty when none did.
    pub last_error: String,
    /// Wall time of the last exchange that got through, ms.
    pub last_answer_ms: Option<i64>,
    /// Wall time of the last exchange that failed, ms.
    pub last_failure_ms: Option<i64>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    seen: PeerState,
}

/// The way to the peer, in one direction. Shared; threads and connections go when it is dropped.
#[derive(Debug)]
pub struct Peer {
    config: PeerConfig,
    headers: HeaderMap,
    transport: Transport,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// `Some` until dropped.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Never waits: a drop may happen inside another runtime.
            runtime.shutdown_background();
        }
    }
}

impl Peer {
    /// The way to a peer, over TLS if its address begins with `https`: without `tls` no server is
    /// trusted then. Nothing is sent yet.
    pub fn new(
        config: PeerConfig,
        tls: Option<ClientConfig>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, PeerError> {
        let headers = headers(&config)?;
        let transport = Transport::new(&config, tls)?;
        transport::request(Method::GET, &config.url, &headers)
            .map_err(|error| PeerError::Config(format!("{:?}: {error}", config.url)))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("remote")
            .enable_all()
            .build()
            .map_err(|error| PeerError::Config(format!("no thread for exchanges: {error}")))?;
        let state = State {
            breaker: Breaker::new(config.breaker),
            seen: PeerState::default(),
        };
        Ok(Arc::new(Self {
            headers,
            transport,
            clock,
            state: Mutex::new(state),
            runtime: Some(runtime),
            config,
        }))
    }

    /// Who it is.
    #[must_use]
    pub fn config(&self) -> &PeerConfig {
        &self.config
    }

    /// How it fares.
    #[must_use]
    pub fn state(&self) -> PeerState {
        self.lock().seen.clone()
    }

    /// Whether the last exchange failed, a short while ago: an older failure says nothing of now.
    #[must_use]
    pub fn is_down(&self) -> bool {
        let seen = self.state();
        let failed = seen
            .last_failure_ms
            .filter(|_| seen.reachable == Some(false));
        failed.is_some_and(|at_ms| self.clock.wall_ms() - at_ms < FAILURE_COUNTS_MS)
    }

    /// Now, ms since the Unix epoch.
    #[must_use]
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// A `GET`, `POST`, ... of a path, ready for more headers and its body.
    pub(crate) fn request(&self, method: Method, path: &str) -> Result<Request, PeerError> {
        let url = format!("{}{path}", self.config.url);
        transport::request(method, &url, &self.headers)
            .map_err(|source| PeerError::Transport { url, source })
    }

    /// One exchange: refused at once while the breaker is open, bounded in time and bytes.
    pub(crate) async fn exchange(&self, request: Request) -> Result<Reply, PeerError> {
        let request = self.authorized(request)?;
        self.admit()?;
        let exchanged = self.whole(request).await;
        self.note(&exchanged);
        exchanged
    }

    fn authorized(&self, mut request: Request) -> Result<Request, PeerError> {
        let credentials = match &self.config.auth {
            Auth::None => return Ok(request),
            Auth::Basic(user, password) => {
                let pair = format!("{user}:{}", password.read()?);
                format!("Basic {}", BASE64_STANDARD.encode(pair))
            }
            Auth::Bearer(token) => format!("Bearer {}", token.read()?),
        };
        let mut value = HeaderValue::try_from(credentials).map_err(|_bytes| {
            PeerError::Config("a credential has characters a header cannot hold".to_owned())
        })?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(request)
    }

    fn admit(&self) -> Result<(), PeerError> {
        let mut state = self.lock();
        if state.breaker.admits(self.clock.monotonic()) {
            return Ok(());
        }
        Err(PeerError::Open {
            url: self.config.url.clone(),
            last: state.seen.last_error.clone(),
        })
    }

    async fn whole(&self, request: Request) -> Result<Reply, PeerError> {
        let limit = self.config.answer_bytes_max;
        let exchanged =
            tokio::time::timeout(self.config.timeout, self.transport.exchange(request, limit));
        let url = self.config.url.clone();
        match exchanged.await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(TransportError::TooLarge)) => Err(PeerError::TooLarge { url, limit }),
            Ok(Err(source)) => Err(PeerError::Transport { url, source }),
            Err(_elapsed) => {
                let source = TransportError::Late(self.config.timeout);
                Err(PeerError::Transport { url, source })
            }
        }
    }

    fn note(&self, exchanged: &Result<Reply, PeerError>) {
        let failure = match exchanged {
            Ok(reply) if cannot_serve(reply.status) => {
                Some(format!("status {}: {}", reply.status, reply.said()))
            }
            Ok(_) | Err(PeerError::TooLarge { .. }) => None,
            Err(error) => Some(chain(error)),
        };
        let mut state = self.lock();
        let now = self.clock.monotonic();
        match failure {
            None => {
                state.breaker.note(now, Outcome::Answered);
                state.seen.reachable = Some(true);
                state.seen.last_answer_ms = Some(self.clock.wall_ms());
            }
            Some(why) => {
                state.breaker.note(now, Outcome::Failed);
                state.seen.reachable = Some(false);
                state.seen.last_error = why;
                state.seen.last_failure_ms = Some(self.clock.wall_ms());
            }
        }
    }

    /// Runs work on the peer's own thread and waits for it, from wherever the caller is.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, PeerError>> + Send + 'static,
    ) -> Result<T, PeerError> {
        let ended = || PeerError::Ended {
            url: self.config.url.clone(),
        };
        let runtime = self.runtime.as_ref().ok_or_else(ended)?;
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        runtime.spawn(async move {
            // The receiver is gone only when the waiting thread was unwound.
            drop(sender.send(work.await));
        });
        receiver.recv().map_err(|_panicked| ended())?
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic elsewhere leaves behind is whole: each field is set in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Statuses that say "not now" of the peer itself, not of the request.
fn cannot_serve(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// Headers the protocol says itself: remote write forbids that a user's stand in their place.
const RESERVED: [&str; 4] = [
    "content-encoding",
    "content-type",
    "user-agent",
    "x-prometheus-remote-write-version",
];

fn headers(config: &PeerConfig) -> Result<HeaderMap, PeerError> {
    let tenant = config.tenant.iter();
    let tenant = tenant.map(|id| ("X-Scope-OrgID".to_owned(), id.clone()));
    let mut headers = HeaderMap::new();
    for (name, value) in config.headers.iter().cloned().chain(tenant) {
        let parsed = HeaderName::try_from(&name)
            .ok()
            .zip(HeaderValue::try_from(value).ok());
        let (name, mut value) = parsed
            .ok_or_else(|| PeerError::Config(format!("{name:?} is no header, or its value is")))?;
        if RESERVED.contains(&name.as_str()) {
            let what = format!("the header {name} is the protocol's own and cannot be set");
            return Err(PeerError::Config(what));
        }
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
