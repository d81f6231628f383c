//! Keeps samples elsewhere: remote write out, the Prometheus HTTP API in.
//!
//! The two ports of `model` over the protocols that Prometheus, VictoriaMetrics, Mimir, Thanos
//! and Cortex share, so that a server can run on the store somebody already has, and an agent can
//! send what it collects.
//!
//! | file | what |
//! |---|---|
//! | [`peer`] | who is spoken to: addresses, credentials, one bounded HTTP exchange |
//! | [`breaker`] | a peer that fails is left alone for a while |
//! | [`retry`] | how long to wait before the next attempt |
//! | [`write`](mod@write) | batches as remote-write messages, 2.0 or 1.0, sent until acknowledged |
//! | [`sink`] | [`model::SampleSink`] over it |
//! | [`read`] | [`model::SeriesReader`] over the HTTP API, and PromQL handed on whole |

pub mod breaker;
pub mod peer;
pub mod read;
pub mod retry;
pub mod sink;
pub mod write;

pub use peer::{Auth, Peer, PeerConfig, PeerError, Secret};
pub use read::{Answered, RemoteReader};
pub use sink::RemoteSink;
pub use write::{Delivered, Patience, SendError, WriteConfig, Writer};
