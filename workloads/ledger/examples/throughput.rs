//! Durable transactions a second by group size, and their latency: closed loop, each client sends
//! its next transfer when the last is on disk. First at the store, then over HTTP with the client
//! in this process. Group sizes take turns, so that other work on the machine meets all alike.
//!
//! Run with `--release`; the books are written below the directory given, which has to be on the
//! disk that is meant, and removed.

use std::{collections::BTreeMap, env, path::PathBuf, sync::Arc, time::Duration};

use knob::{Order, Value};
use ledger::{
    command::Command,
    ledger::{Config, Ledger},
    money::Cents,
    rules::Rules,
    service::{self, Service},
    store::seed::Seed,
    telemetry::Telemetry,
};
use runtime::{Clock, metrics::Registry};
use serde_json::json;
use tokio::task::JoinSet;

const GROUPS: [i64; 3] = [1, 16, 64];
const ROUNDS: usize = 4;
const ROUND: Duration = Duration::from_secs(2);
const CLIENTS: i64 = 64;
const ACCOUNTS: i64 = 1_000;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Latencies by group size.
type Measured = BTreeMap<i64, Vec<Duration>>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let base: PathBuf = env::args_os().nth(1).map_or_else(|| ".".into(), Into::into);
    report("store", &store(&base).await?);
    report("http", &http(&base).await?);
    Ok(())
}

async fn store(base: &std::path::Path) -> Result<Measured, Failed> {
    let directory = tempfile::tempdir_in(base)?;
    let (clock, knobs, metrics) = (
        Clock::start(),
        knob::Registry::default(),
        Registry::default(),
    );
    let telemetry = Arc::new(Telemetry::new(&metrics));
    let ledger = Ledger::open(config(&directory), clock, &knobs, &metrics, &telemetry)?;
    let ledger = Arc::new(ledger);
    let mut measured = Measured::new();
    for turn in turns() {
        commit(&knobs, turn)?;
        let send = |from, to, key: String| {
            let ledger = Arc::clone(&ledger);
            async move {
                let amount_cents = Cents(100);
                let transfer = Command::Transfer {
                    from,
                    to,
                    amount_cents,
                };
                ledger.execute(transfer, Some(key)).await.is_ok()
            }
        };
        measured
            .entry(turn.1)
            .or_default()
            .extend(drive(clock, turn, send).await?);
    }
    Ok(measured)
}

async fn http(base: &std::path::Path) -> Result<Measured, Failed> {
    let directory = tempfile::tempdir_in(base)?;
    let service = Service::start(service::Config {
        listen: "127.0.0.1:0".parse()?,
        ledger: config(&directory),
        knobs: vec![("executor.concurrency".into(), CLIENTS.to_string())],
        pins: Vec::new(),
    })
    .await?;
    let (clock, client) = (Clock::start(), reqwest::Client::new());
    let base = format!("http://{}", service.address());
    let mut measured = Measured::new();
    for (generation, turn) in (1_u64..).zip(turns()) {
        let values = json!({"writer.group.size": turn.1});
        let order = json!({"change": 1, "generation": generation, "values": values});
        let url = format!("{base}/knobs/commit");
        client
            .post(url)
            .json(&order)
            .send()
            .await?
            .error_for_status()?;
        let send = |from, to, key: String| {
            let body = json!({"from": from, "to": to, "amount_cents": 100, "key": key});
            let request = client.post(format!("{base}/transfers")).json(&body).send();
            async move {
                match request.await {
                    Ok(reply) => reply.status().is_success() && reply.bytes().await.is_ok(),
                    Err(_lost) => false,
                }
            }
        };
        measured
            .entry(turn.1)
            .or_default()
            .extend(drive(clock, turn, send).await?);
    }
    service.stop().await?;
    Ok(measured)
}

/// Round and group size.
fn turns() -> impl Iterator<Item = (usize, i64)> {
    (0..ROUNDS).flat_map(|round| GROUPS.map(|size| (round, size)))
}

fn config(directory: &tempfile::TempDir) -> Config {
    Config {
        data: directory.path().into(),
        rules: Rules::default(),
        seed: Some(Seed {
            accounts: ACCOUNTS,
            weeks: 1,
        }),
    }
}

fn commit(knobs: &knob::Registry, (round, size): (usize, i64)) -> Result<(), knob::Refusal> {
    let order = Order {
        change: 1,
        generation: round as u64,
        values: BTreeMap::from([("writer.group.size".into(), Value::Int(size))]),
    };
    knobs.commit(&order, Duration::ZERO)?;
    Ok(())
}

/// All clients for one round; the latency of each transfer.
async fn drive<F>(
    clock: Clock,
    (round, size): (usize, i64),
    send: impl Fn(i64, i64, String) -> F + Clone + Send + Sync,
) -> Result<Vec<Duration>, Failed>
where
    F: Future<Output = bool> + Send + 'static,
{
    let end = clock.now() + ROUND;
    let mut clients = JoinSet::new();
    let mut latencies = Vec::new();
    let next = |client: i64, nth: i64| {
        let from = 1 + (client * 31 + nth * 7) % ACCOUNTS;
        let to = 1 + (from + 13 + nth) % ACCOUNTS;
        let to = if to == from { 1 + to % ACCOUNTS } else { to };
        send(from, to, format!("{round} {size} {client} {nth}"))
    };
    let spawn = |clients: &mut JoinSet<_>, client: i64, nth: i64| {
        let (start, work) = (clock.now(), next(client, nth));
        clients.spawn(async move { (client, nth, work.await, clock.now() - start) });
    };
    for client in 0..CLIENTS {
        spawn(&mut clients, client, 0);
    }
    while let Some(done) = clients.join_next().await {
        let (client, nth, ok, took) = done?;
        if !ok {
            return Err("a transfer failed".into());
        }
        latencies.push(took);
        if clock.now() < end {
            spawn(&mut clients, client, nth + 1);
        }
    }
    Ok(latencies)
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn report(where_: &str, measured: &Measured) {
    for (size, latencies) in measured {
        let mut sorted = latencies.clone();
        sorted.sort_unstable();
        let quantile = |permille: usize| sorted[(sorted.len() - 1) * permille / 1_000];
        let seconds = (ROUND * u32::try_from(ROUNDS).unwrap_or(1)).as_secs_f64();
        println!(
            "{where_}, {CLIENTS} clients, group size {size:2}: {:6.0} transactions/s, p50 {:.2?}, p99 {:.2?}",
            sorted.len() as f64 / seconds,
            quantile(500),
            quantile(990),
        );
    }
}
