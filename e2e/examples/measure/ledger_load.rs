//! The ledger at full durability: transfers a second, and p99 from the intended start, with group
//! sizes of 1 and 16 taking turns. Its own process, its books on the disk of this folder's
//! temporary directory; the load in this process.

use std::time::Duration;

use e2e::{
    figures::Spread,
    ledger::Ledger,
    offered::{self, Clients},
};
use load::Snapshot;
use serde_json::json;

const GROUPS: [i64; 2] = [1, 16];
const ACCOUNTS: u64 = 1_000;
const ROUNDS: u32 = 4;
const ROUND: Duration = Duration::from_secs(2);
/// More than the ledger can hold: what it completes is what it holds.
const FLOOD: f64 = 20_000.0;
/// Share of what it holds with groups of 1, offered to both.
const SHARE: f64 = 0.6;
/// Requests at work at once, for both: a group cannot hold more.
const CONCURRENCY: &str = "executor.concurrency=64";

struct Bench {
    ledger: Ledger,
    generation: u64,
}

impl Bench {
    async fn group(&mut self, size: i64) {
        self.generation += 1;
        let order = json!({"change": 1, "generation": self.generation, "lease_ms": 60_000,
            "values": {"writer.group.size": size}});
        let reply = self.ledger.http.json("POST", "/knobs/set", &order).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(self.ledger.knob("writer.group.size").await, size);
    }

    /// One round at a rate, its first quarter for warming up.
    async fn round(&self, rate: f64, seed: u64) -> Snapshot {
        let scenario = Clients::new(ACCOUNTS, 0.0);
        let url = &self.ledger.program.url;
        let load = offered::start(url, rate, Box::new(scenario), seed);
        tokio::time::sleep(ROUND / 4).await;
        drop(load.interval());
        tokio::time::sleep(ROUND).await;
        let seen = load.interval();
        load.stop();
        load.ended().await;
        assert!(offered::done(&seen) > 0, "no transfer succeeds: {seen:?}");
        seen
    }

    /// Rounds of both group sizes in turns; a value of each round by group size.
    async fn turns(&mut self, rate: f64, value: impl Fn(&Snapshot) -> f64) -> [Vec<f64>; 2] {
        let mut values = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            for turn in 0..GROUPS.len() {
                // AB BA: neither always comes first.
                let which = (turn + round as usize) % GROUPS.len();
                self.group(GROUPS[which]).await;
                let seen = self.round(rate, u64::from(round)).await;
                values[which].push(value(&seen));
            }
        }
        values
    }
}

pub(crate) async fn measure() {
    println!("durability: write-ahead log, synchronous = FULL, an answer after the commit");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seeded = format!("--seed-accounts={ACCOUNTS}");
    let options = [seeded.as_str(), "--knob", CONCURRENCY];
    let ledger = Ledger::start(folder.path(), &options).await;
    let mut bench = Bench {
        ledger,
        generation: 0,
    };
    let per_second = |s: &Snapshot| offered::done(s) as f64 / offered::seconds(s);
    let held = bench.turns(FLOOD, per_second).await;
    for (group, held) in GROUPS.iter().zip(&held) {
        println!("group size {group}: {:.0} transfers/s", Spread::of(held));
    }
    let ratio: Vec<f64> = held[1].iter().zip(&held[0]).map(|(b, a)| b / a).collect();
    println!("16 to 1, in pairs: {:.2} times", Spread::of(&ratio));

    let rate = SHARE * Spread::of(&held[0]).median;
    let p99_ms = |s: &Snapshot| 1e3 * s.operations[0].p99_seconds;
    let late = bench.turns(rate, p99_ms).await;
    for (group, late) in GROUPS.iter().zip(&late) {
        println!(
            "group size {group}: p99 from the intended start at {rate:.0}/s: {:.1} ms",
            Spread::of(late)
        );
    }
    let ratio: Vec<f64> = late[1].iter().zip(&late[0]).map(|(b, a)| b / a).collect();
    println!("p99, 16 to 1, in pairs: {:.2} times", Spread::of(&ratio));
}
