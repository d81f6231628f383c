//! Which connection a request came by: connections are numbered as they come.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use tokio::net::TcpListener;

/// Connections accepted so far.
static ACCEPTED: AtomicU64 = AtomicU64::new(0);

/// A connection's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connection(pub(crate) u64);

impl Connected<IncomingStream<'_, TcpListener>> for Connection {
    fn connect_info(_stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(ACCEPTED.fetch_add(1, Relaxed))
    }
}
