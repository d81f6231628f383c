//! The ledger's rules, its books, its service and its crashes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod audit;
mod books;
mod crash;
mod knobs;
mod oracle;
mod process;
mod rules;
mod server;
