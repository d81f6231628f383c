//! Load on a ledger from its clients: transfers and look-ups, open-loop.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
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
    accounts: u64,
    look_ups: f64,
    /// Makes keys of transfers unique between runs on the same books.
    run: u128,
    transfers: u64,
}

impl Clients {
    /// Clients of so many accounts; `look_ups` is their share, the rest are transfers.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "a key must be new, not repeatable"
    )]
    pub fn new(accounts: u64, look_ups: f64) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            accounts,
            look_ups,
            run: since.unwrap_or_default().as_nanos(),
            transfers: 0,
        }
    }
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
        self.transfers += 1;
        let key = format!("{}-{}", self.run, self.transfers);
        let body = format!(r#"{{"from":{account},"to":{to},"amount_cents":100,"key":"{key}"}}"#);
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
