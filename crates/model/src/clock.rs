//! The clock as a port: pure crates are handed times, the rest asks a [`Clock`].

use std::time::Duration;

/// Wall and monotonic time. Production has one implementation, simulation another.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Milliseconds since the Unix epoch. May jump when the operator sets the clock: only ever
    /// a label on a sample, never a deadline.
    fn wall_ms(&self) -> i64;

    /// Time since an arbitrary fixed point. Never falls: deadlines and rates use this.
    fn monotonic(&self) -> Duration;
}
