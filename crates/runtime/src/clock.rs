//! The only place of a service that reads time: monotonic since the start, and calendar time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A monotonic clock whose origin is its creation; copies share the origin. It follows tokio's
/// time, so a test may stop it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Time since the origin.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The instant at which [`Clock::now`] will give `at`.
    #[must_use]
    pub fn instant(&self, at: Duration) -> Instant {
        self.origin + at
    }
}

/// Milliseconds since 1970 by the machine's calendar; for what people read, never for intervals.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "a service has no other source of calendar time; this is its one reader"
)]
pub fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}
