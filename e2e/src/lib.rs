//! The real binary, a real browser, real peers.
//!
//! What the end-to-end tests and the benchmarks share: programs that are started, heard and ended
//! ([`program`]), the server and the ledger as their users see them ([`server`], [`ledger`]), a
//! service whose metrics a test sets ([`service`]), senders that remember what was acknowledged
//! ([`pushed`]), all of it on one [`stage`], and what `/proc` says of a process ([`proc`]).
//! Everything listens on a free port and writes into a directory of its own. A harness: it panics
//! with what was expected.

pub mod figures;
pub mod http;
pub mod ledger;
pub mod offered;
pub mod proc;
pub mod program;
pub mod prometheus;
pub mod proxy;
pub mod pushed;
pub mod server;
pub mod service;
pub mod stage;
pub mod wait;
