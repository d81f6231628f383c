//! Load on a ledger from its clients: transfers and look-ups, open-loop.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use load::{Config, Engine, Handle, Operation, Plan, Request, Scenario, Snapshot};
use model::Clock;
use numerics::rng::Rng;

/// The machine's clock.
#[derive(Debug)]
struct RealClock(Instant);

impl Clock for RealClock {
    fn wall_ms(&self) -> i64 {
        0
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The machine's clock, from now on.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub fn clock() -> Arc<dyn Clock> {
    Arc::new(RealClock(Instant::now()))
}

/// What clients of a ledger do.
#[derive(Debug)]
pub struct Clients {
    /// Accounts in the books.
    pub accounts: u64,
    /// Share of look-ups; the rest are transfers.
    pub look_ups: f64,
}

impl Scenario for Clients {
    fn operations(&self) -> Vec<Operation> {
        let look_ups = (self.look_ups > 0.0).then(|| Operation::new("query", self.look_ups));
        let transfers = Operation::new("transfer", 1.0 - self.look_ups);
        std::iter::once(transfers).chain(look_ups).collect()
    }

    fn request(&mut self, operation: usize, random: &mut Rng) -> Request {
        let account = 1 + random.below(self.accounts);
        if operation == 1 {
            return Request::get(format!("/accounts/{account}"));
        }
        let to = 1 + (account + random.below(self.accounts - 1)) % self.accounts;
        let body = format!(r#"{{"from":{account},"to":{to},"amount_cents":1}}"#);
        Request::post("/transfers", body)
    }
}

/// Loads a server at so many requests a second, without end.
///
/// # Panics
/// When the load cannot begin.
#[must_use]
pub fn start(url: &str, rate: f64, scenario: Box<dyn Scenario>, seed: u64) -> Handle {
    let address = url.trim_start_matches("http://");
    let config = Config::new(address, Plan::endless(seed, rate));
    Engine::start(&config, scenario, clock()).expect("a sound plan")
}

/// Requests done and answered well in a period.
#[must_use]
pub fn done(snapshot: &Snapshot) -> u64 {
    let each = snapshot.operations.iter();
    each.map(|figures| figures.count - figures.errors).sum()
}

/// Length of a period, seconds.
#[must_use]
pub fn seconds(snapshot: &Snapshot) -> f64 {
    snapshot.to_seconds - snapshot.from_seconds
}
