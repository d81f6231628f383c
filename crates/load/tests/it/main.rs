//! Integration tests of `load`: real servers, real connections.
#![expect(clippy::unwrap_used, reason = "tests, helpers included")]

mod engine;
mod honest;
mod server;
