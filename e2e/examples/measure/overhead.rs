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
    proc::Threads,
    server::Server,
};
use numerics::rng::Rng;
use rustix::process::Signal;

const RATE: f64 = 400.0;
const ACCOUNTS: u64 = 1_000;
const LOADED_PAIRS: u32 = 16;
const IDLE_PAIRS: u32 = 6;
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

/// A server and a ledger, and pairs of windows with and without the server.
struct Pairs {
    server: Server,
    ledger: Threads,
    tosses: Rng,
    without: Vec<f64>,
    with: Vec<f64>,
}

impl Pairs {
    /// CPU of the ledger over one window, seconds, divided by what `done` counts meanwhile.
    async fn window(&mut self, done: &impl Fn() -> f64) -> f64 {
        tokio::time::sleep(SETTLE).await;
        done();
        let before = self.ledger.cpu_seconds();
        tokio::time::sleep(WINDOW).await;
        let used = self.ledger.cpu_seconds() - before;
        used / done()
    }

    /// Pairs, each in an order of its own; µs of CPU per unit of `done`.
    async fn measure(&mut self, pairs: u32, done: impl Fn() -> f64) {
        self.without.clear();
        self.with.clear();
        for _ in 0..pairs {
            let first = self.tosses.below(2) == 1;
            for with in [first, !first] {
                let signal = if with { Signal::CONT } else { Signal::STOP };
                self.server.program.signal(signal);
                let cost = 1e6 * self.window(&done).await;
                let side = if with {
                    &mut self.with
                } else {
                    &mut self.without
                };
                side.push(cost);
            }
        }
        self.server.program.signal(Signal::CONT);
    }

    /// A figure of each pair.
    fn each(&self, figure: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let sides = self.without.iter().zip(&self.with);
        sides
            .map(|(without, with)| figure(*without, *with))
            .collect()
    }
}

fn show(what: &str, unit: &str, values: &[f64]) {
    let (low, high) = median_interval(values).expect("enough pairs");
    println!(
        "{what}: {:.2} {unit}; 95 % interval of the median [{low:.2}, {high:.2}]",
        Spread::of(values)
    );
}

pub(crate) async fn measure() {
    println!("durability of the ledger: synchronous = FULL, each transfer on disk when answered");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seeded = format!("--seed-accounts={ACCOUNTS}");
    let ledger = Ledger::start(folder.path(), &[&seeded]).await;
    let load = offered::start(
        &ledger.program.url,
        RATE,
        Box::new(Clients::new(ACCOUNTS, 0.3)),
        1,
    );
    let server = Server::start(folder.path(), &config(&ledger.program.url)).await;
    tokio::time::sleep(WARM_UP).await;
    let up = server.number(r#"up{job="ledger"}"#).await;
    assert_eq!(up, Some(1.0), "the ledger is scraped");
    let mut pairs = Pairs {
        server,
        ledger: Threads::of(ledger.program.pid()),
        tosses: Rng::stream(1, &[0]),
        without: Vec::new(),
        with: Vec::new(),
    };

    let count = || offered::done(&load.interval()) as f64;
    pairs.measure(LOADED_PAIRS, count).await;
    let total = load.total();
    load.stop();
    load.ended().await;
    let failed: u64 = total.operations.iter().map(|o| o.errors).sum();
    assert_eq!(
        failed, 0,
        "a request that fails costs something else: {total:?}"
    );
    let per_request = Spread::of(&pairs.without).median;
    println!(
        "ledger, CPU per request without ALL-USE: {:.1} µs",
        Spread::of(&pairs.without)
    );
    println!(
        "ledger, CPU per request with ALL-USE:    {:.1} µs",
        Spread::of(&pairs.with)
    );
    show(
        "overhead under load, in pairs",
        "%",
        &pairs.each(|a, b| 100.0 * (b / a - 1.0)),
    );
    println!(
        "load: {RATE}/s, 70 % transfers, {} done, {} dropped, {:?}",
        offered::done(&total),
        total.dropped,
        total.validity
    );

    // Without a load nothing else is in the way of the same cost.
    pairs.measure(IDLE_PAIRS, || WINDOW.as_secs_f64()).await;
    let cost = pairs.each(|without, with| with - without);
    show(
        "ledger without load, CPU a second because of ALL-USE",
        "µs",
        &cost,
    );
    let share = 100.0 * Spread::of(&cost).median / (RATE * per_request);
    println!("that is {share:.2} % of what it uses under this load");
}
