//! What ALL-USE costs the ledger it watches: CPU per request with and without, in turns.
//!
//! The server scrapes the ledger and samples the host each second, and asks for its knobs; it
//! tunes nothing. Off means stopped (SIGSTOP), so both sides run on the same books and caches. A
//! pair is one window of each, in an order that is tossed; its ratio is one value.

use std::time::Duration;

use e2e::{
    figures::{Spread, median_interval},
    ledger::Ledger,
    offered::{self, Clients},
    proc::{self, Threads},
    server::Server,
};
use numerics::rng::Rng;
use rustix::process::Signal;

const RATE: f64 = 400.0;
const ACCOUNTS: u64 = 1_000;
const PAIRS: u32 = 20;
const WINDOW: Duration = Duration::from_millis(1_000);
/// After a switch: what was under way is done.
const SETTLE: Duration = Duration::from_millis(150);
const WARM_UP: Duration = Duration::from_secs(5);

fn config(ledger: &str) -> String {
    format!(
        r#"
[[target]]
name = "ledger"
url = "{ledger}"
objective = {{ name = "mean latency", query = 'rate(ledger_operation_duration_seconds_sum{{op="transaction"}}[$window]) / rate(ledger_operation_duration_seconds_count{{op="transaction"}}[$window])', unit = "s" }}
"#
    )
}

/// CPU of the ledger per request over one window, seconds.
async fn window(ledger: &mut Threads, load: &load::Handle) -> f64 {
    tokio::time::sleep(SETTLE).await;
    drop(load.interval());
    let before = ledger.cpu_seconds();
    tokio::time::sleep(WINDOW).await;
    let used = ledger.cpu_seconds() - before;
    used / offered::done(&load.interval()) as f64
}

pub(crate) async fn measure() {
    println!("durability of the ledger: synchronous = FULL, each transfer on disk when answered");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seeded = format!("--seed-accounts={ACCOUNTS}");
    let ledger = Ledger::start(folder.path(), &[&seeded]).await;
    let scenario = Clients::new(ACCOUNTS, 0.3);
    let load = offered::start(&ledger.program.url, RATE, Box::new(scenario), 1);
    let server = Server::start(folder.path(), &config(&ledger.program.url)).await;
    tokio::time::sleep(WARM_UP).await;
    assert_eq!(
        server.number(r#"up{job="ledger"}"#).await,
        Some(1.0),
        "the ledger is scraped"
    );

    let mut cpu = Threads::of(ledger.program.pid());
    let mut tosses = Rng::stream(1, &[0]);
    let (mut ratios, mut on, mut off) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let first_on = tosses.below(2) == 1;
        let mut pair = [0.0; 2];
        for with in [first_on, !first_on] {
            let signal = if with { Signal::CONT } else { Signal::STOP };
            server.program.signal(signal);
            pair[usize::from(with)] = window(&mut cpu, &load).await;
        }
        let [without, with] = pair;
        off.push(1e6 * without);
        on.push(1e6 * with);
        ratios.push(100.0 * (with / without - 1.0));
    }
    server.program.signal(Signal::CONT);
    let total = load.total();
    load.stop();
    let failed: u64 = total.operations.iter().map(|o| o.errors).sum();
    assert_eq!(
        failed, 0,
        "a request that fails costs something else: {total:?}"
    );
    println!(
        "ledger, CPU per request without ALL-USE: {:.1} µs",
        Spread::of(&off)
    );
    println!(
        "ledger, CPU per request with ALL-USE:    {:.1} µs",
        Spread::of(&on)
    );
    println!("overhead in pairs: {:.2} %", Spread::of(&ratios));
    let (low, high) = median_interval(&ratios).expect("enough pairs");
    println!("median overhead, 95 % interval: [{low:.2} %, {high:.2} %]");
    println!(
        "load: {RATE}/s offered, 70 % transfers, {} done, {} dropped, {:?}",
        offered::done(&total),
        total.dropped,
        total.validity
    );
    let memory = proc::memory_bytes(server.program.pid(), "VmRSS") as f64 / f64::from(1 << 20);
    println!("server meanwhile: {memory:.1} MiB resident");
}
