//! SIGKILL under load: what was acknowledged is there, once, and the books balance.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::json;
use tokio::task::JoinSet;

use crate::{audit::audit, process::Process, server::Client};

const ROUNDS: usize = 3;
const CLIENTS: usize = 8;
/// Acknowledged transactions of a round before the kill.
const ENOUGH: usize = 150;

/// Sends transfers until the server is gone; keeps the keys it sent and those acknowledged.
async fn load(client: Client, name: String, seen: Arc<Seen>) {
    for n in 0.. {
        let key = format!("{name} {n}");
        let (from, to) = (1 + n % 10, 1 + (n * 7 + 3) % 10);
        if from == to {
            continue;
        }
        let body = json!({"from": from, "to": to, "amount_cents": 100 + n, "key": key});
        seen.sent.lock().unwrap().insert(key.clone());
        match client.try_post("/transfers", &body).await {
            Some(200) => {
                seen.acknowledged.lock().unwrap().insert(key);
                seen.count.fetch_add(1, Ordering::Relaxed);
            }
            Some(other) => panic!("{body} got {other}"),
            None => return,
        }
    }
}

#[derive(Default)]
struct Seen {
    sent: Mutex<BTreeSet<String>>,
    acknowledged: Mutex<BTreeSet<String>>,
    count: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_transaction_survives_a_kill_exactly_once() {
    let data = tempfile::tempdir().unwrap();
    let seen = Arc::new(Seen::default());
    for round in 0..ROUNDS {
        // Groups, so that a kill meets commits that hold several transactions.
        let knobs = [
            "--knob",
            "writer.group.size=8",
            "--knob",
            "writer.group.linger_us=500",
        ];
        let seed = ["--seed-accounts", "10", "--seed-weeks", "0"];
        let mut process = Process::start(data.path(), &[&knobs[..], &seed[..]].concat());
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let name = format!("{round} {client}");
            clients.spawn(load(
                Client::new(process.base.clone()),
                name,
                Arc::clone(&seen),
            ));
        }
        let enough = (round + 1) * ENOUGH;
        while seen.count.load(Ordering::Relaxed) < enough {
            tokio::task::yield_now().await;
        }
        process.kill();
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
    }

    // The program itself opens the books again, and repeats answers instead of transactions.
    let process = Process::start(data.path(), &[]);
    let client = Client::new(process.base.clone());
    let first = json!({"from": 1, "to": 4, "amount_cents": 100, "key": "0 0 0"});
    let before = client.metric("ledger_commits_total").await;
    assert_eq!(client.post("/transfers", &first).await.0, 200);
    assert_eq!(client.metric("ledger_commits_total").await, before);
    assert!(process.terminate().success());

    let books = rusqlite::Connection::open(data.path().join("ledger.sqlite")).unwrap();
    let transactions = audit(&books);
    let keys = "SELECT key FROM transactions WHERE key IS NOT NULL";
    let mut statement = books.prepare(keys).unwrap();
    let keys = statement
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap();
    let stored: Vec<String> = keys.map(Result::unwrap).collect();
    let once: BTreeSet<String> = stored.iter().cloned().collect();
    assert_eq!(once.len(), stored.len(), "no key twice");
    assert_eq!(transactions, 10 + i64::try_from(stored.len()).unwrap());
    let acknowledged = seen.acknowledged.lock().unwrap();
    let lost: Vec<_> = acknowledged.difference(&once).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(acknowledged.len() >= ROUNDS * ENOUGH);
    assert!(
        once.is_subset(&seen.sent.lock().unwrap()),
        "nothing came from nowhere"
    );
}
