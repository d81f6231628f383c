//! The load of the demo: transfers, look-ups and analytics on the ledger, open-loop, and the
//! client's own metrics for the server to scrape.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::header, routing::get};
use load::{Config, Engine, Handle, Operation, Plan, Request, Scenario, Snapshot};
use model::Clock;
use numerics::rng::Rng;

use crate::Failure;

/// Accounts in the books, and weeks of postings in the past of each.
pub(super) const ACCOUNTS: u64 = 2_000;
pub(super) const WEEKS: u64 = 26;

/// Offered while measuring what the ledger holds, requests a second: more than it can hold.
const FLOOD_RATE: f64 = 20_000.0;

/// How long the ledger is flooded.
const FLOOD: Duration = Duration::from_secs(3);

/// Share of what the ledger holds that is then offered: busy, with room for bad moments.
const SHARE: f64 = 0.6;

/// A request is abandoned after this, seconds.
const TIMEOUT_S: f64 = 5.0;

/// What clients of the ledger do.
#[derive(Debug)]
struct Clients {
    /// Makes keys of transfers unique between runs on the same books.
    run: u64,
    transfers: u64,
}

impl Scenario for Clients {
    fn operations(&self) -> Vec<Operation> {
        vec![
            Operation::new("transfer", 0.70),
            Operation::new("query", 0.27),
            Operation::new("analytics", 0.03),
        ]
    }

    fn request(&mut self, operation: usize, random: &mut Rng) -> Request {
        let account = 1 + random.below(ACCOUNTS);
        match operation {
            0 => {
                self.transfers += 1;
                // To another account than the first: any of the others, evenly.
                let to = 1 + (account + random.below(ACCOUNTS - 1)) % ACCOUNTS;
                let cents = 100 + random.below(900);
                let key = format!("{}-{}", self.run, self.transfers);
                Request::post(
                    "/transfers",
                    format!(
                        r#"{{"from":{account},"to":{to},"amount_cents":{cents},"key":"{key}"}}"#
                    ),
                )
            }
            1 => Request::get(format!("/accounts/{account}")),
            _ => Request::get(format!("/accounts/{account}/analytics")),
        }
    }
}

/// Starts a load of `rate` requests a second.
pub(super) fn start(
    ledger: &str,
    (seed, run): (u64, u64),
    rate: f64,
    clock: Arc<dyn Clock>,
) -> Result<Handle, Failure> {
    let address = ledger.trim_start_matches("http://").to_owned();
    let config = Config {
        timeout_seconds: TIMEOUT_S,
        ..Config::new(address, Plan::endless(seed, rate))
    };
    let scenario = Box::new(Clients { run, transfers: 0 });
    Engine::start(&config, scenario, clock).map_err(|error| Failure::of(&error))
}

/// What the ledger was measured to hold, and what is offered because of it.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(super) struct Calibration {
    /// Requests a second completed under a flood; absent when the rate was given.
    pub(super) capacity: Option<f64>,
    /// Requests a second offered in the demo.
    pub(super) rate: f64,
}

/// Floods the ledger for a moment and counts what it completes.
pub(super) async fn calibrate(
    ledger: &str,
    seed: u64,
    clock: &Arc<dyn Clock>,
) -> Result<Calibration, Failure> {
    let flood = start(
        ledger,
        (seed, clock.wall_ms().unsigned_abs()),
        FLOOD_RATE,
        Arc::clone(clock),
    )?;
    tokio::time::sleep(FLOOD).await;
    let seen = flood.total();
    flood.stop();
    let completed: u64 = seen.operations.iter().map(|f| f.count - f.errors).sum();
    let capacity = completed as f64 / (seen.to_seconds - seen.from_seconds).max(0.1);
    if completed == 0 {
        return Err(Failure::new("alluse demo: the ledger answered no request"));
    }
    Ok(Calibration {
        capacity: Some(capacity),
        rate: (SHARE * capacity).max(1.0),
    })
}

/// Mean latency of the transfers of a period, seconds.
pub(super) fn mean_transfer_s(snapshot: &Snapshot) -> Option<f64> {
    let transfers = snapshot
        .operations
        .iter()
        .find(|f| f.operation == "transfer")?;
    (transfers.count > 0).then_some(transfers.mean_seconds)
}

/// Serves the client's metrics on a free port; the address.
pub(super) async fn serve_metrics(handle: Handle) -> Result<String, Failure> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(|error| Failure::of(&error))?;
    let address = listener.local_addr().map_err(|error| Failure::of(&error))?;
    let metrics = move || async move {
        (
            [(header::CONTENT_TYPE, load::exposition::CONTENT_TYPE)],
            handle.exposition(),
        )
    };
    let router = Router::new().route("/metrics", get(metrics));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the load's metrics cannot be served");
        }
    });
    Ok(format!("http://{address}"))
}
