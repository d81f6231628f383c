//! The parts of a service, each alone.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cache;
mod executor;
mod knobs;
mod metrics;
mod semaphore;
