//! What a Rust service links in: metrics, caches, pools, an executor, resilience, each with its knobs.
//!
//! Every part works alone, without any server of ALL-USE: [`metrics`] counts and answers scrapes,
//! [`knobs`] serves the knob protocol and puts leased values back by itself, [`cache`] bounds what
//! is remembered, [`semaphore`] and [`executor`] bound what runs at once, [`process`] says what
//! the process costs, [`clock`] is the only place that reads time.

pub mod cache;
pub mod clock;
pub mod executor;
pub mod knobs;
pub mod metrics;
pub mod process;
pub mod semaphore;

pub use clock::Clock;
pub use executor::{Admission, Busy, Executor};
pub use semaphore::{Permit, Semaphore};
