//! What the generator costs and how punctual it is:
//! `cargo run --release -p load --example load_cost -- 5000`.
//!
//! Loads a trivial server in the same process at the rate given for ten seconds; the CPU time is
//! that of the generator's own threads.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use load::{Arrivals, Config, Engine, Operation, Plan, Request, Scenario, Stage};
use model::Clock;
use numerics::rng::Rng;

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

struct Transfers;

impl Scenario for Transfers {
    fn operations(&self) -> Vec<Operation> {
        vec![
            Operation::new("query", 4.0),
            Operation::new("transfer", 1.0),
        ]
    }

    fn request(&mut self, operation: usize, random: &mut Rng) -> Request {
        let account = random.below(10_000);
        if operation == 0 {
            return Request::get(format!("/accounts/{account}"));
        }
        Request::post(
            "/transfers",
            format!("{{\"from\":{account},\"cents\":{}}}", random.below(1000)),
        )
    }
}

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a program's own clock")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rate: f64 = std::env::args()
        .nth(1)
        .map_or(Ok(5000.0), |rate| rate.parse())?;
    let app = Router::new().fallback(|| async { "{}" });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let stages = vec![Stage::steady(rate, Duration::from_secs(10))];
    let plan = Plan {
        seed: 1,
        arrivals: Arrivals::Poisson,
        stages,
    };
    let clock = Arc::new(RealClock(Instant::now()));
    let run = Engine::start(&Config::new(address, plan), Box::new(Transfers), clock)?;
    let total = run.ended().await;
    let done: u64 = total.operations.iter().map(|figures| figures.count).sum();
    println!(
        "{rate}/s for 10 s: {done} done, {} dropped, {:?}",
        total.dropped, total.validity
    );
    println!(
        "generator: {:.1} µs CPU a request, {:.1} % of a core; lag p50 {:.0} µs, p99 {:.0} µs, max {:.1} ms",
        total.cpu_seconds * 1e6 / done as f64,
        total.cpu_seconds * 10.0,
        total.lag_p50_seconds * 1e6,
        total.lag_p99_seconds * 1e6,
        total.lag_max_seconds * 1e3,
    );
    for figures in &total.operations {
        println!(
            "{}: mean {:.2} ms, p50 {:.2} ms, p99 {:.2} ms",
            figures.operation,
            figures.mean_seconds * 1e3,
            figures.p50_seconds * 1e3,
            figures.p99_seconds * 1e3
        );
    }
    Ok(())
}
