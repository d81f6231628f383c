//! The clock of these tests: real monotonic time, a wall clock that begins where told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use model::Clock;

#[derive(Debug)]
pub(crate) struct TestClock {
    begun: Instant,
    wall_ms: i64,
}

impl TestClock {
    #[expect(clippy::disallowed_methods, reason = "a test's own real clock")]
    pub(crate) fn shared(wall_ms: i64) -> Arc<dyn Clock> {
        Arc::new(Self {
            begun: Instant::now(),
            wall_ms,
        })
    }
}

impl Clock for TestClock {
    fn wall_ms(&self) -> i64 {
        self.wall_ms + i64::try_from(self.begun.elapsed().as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.begun.elapsed()
    }
}
