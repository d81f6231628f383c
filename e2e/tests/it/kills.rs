//! kill -9 again and again under acknowledged writes of every durability, in order, as a storm
//! and over each other, while the store flushes and merges: after each restart everything
//! acknowledged is there, as a prefix, once, and nothing else is.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use e2e::{
    pushed::{Order, SERIES, Sent, Stream},
    server::Server,
    wait,
};
use numerics::rng::Rng;
use testkit::report;

/// Kills of a running server; every fourth is followed by a kill of the next one's start.
const KILLS: u64 = 50;

/// The seed of all kill times; another one is a longer test.
const SEED: u64 = 0x5EED_0F51;

/// Small flushes, so that parts are written and merged all the time.
const CONFIG: &str = "[collect]\nhost = \"off\"\n[store]\nflush_bytes = 16384\n";

/// Longest time given to a start that is killed: a debug build is ready well after that.
const START_MICROS: u64 = 300_000;

fn streams(round: u64) -> Vec<Stream> {
    let kinds = [
        ("fast", Order::Rising, Some("fast")),
        ("sync", Order::Rising, Some("sync")),
        ("storm", Order::Storm, None),
        ("over", Order::Overwriting, None),
    ];
    let stream =
        |(name, order, durability)| Stream::new(format!("kill_{name}_{round}"), order, durability);
    kinds.map(stream).into()
}

/// All streams writing at once until the server dies after `acks` acknowledgements.
async fn written(server: Server, round: u64, random: &mut Rng) -> (Vec<Sent>, Work) {
    let acks = Arc::new(AtomicU64::new(0));
    let writing: Vec<_> = streams(round)
        .into_iter()
        .map(|stream| {
            let (url, acks) = (server.http.url.clone(), Arc::clone(&acks));
            tokio::spawn(async move { stream.send(url, &acks).await })
        })
        .collect();
    let enough = 40 + random.below(400);
    wait::until("acknowledgements", async || {
        (acks.load(Relaxed) >= enough).then_some(())
    })
    .await;
    let work = Work::of(&server).await;
    // Anywhere in whatever comes next.
    tokio::time::sleep(Duration::from_micros(random.below(3_000))).await;
    server.program.kill().await;
    let mut sent = Vec::new();
    for stream in writing {
        sent.push(stream.await.expect("a stream ends when the server does"));
    }
    (sent, work)
}

/// What the store did behind the writes.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    flushes: f64,
    merges: f64,
}

impl Work {
    async fn of(server: &Server) -> Self {
        Self {
            flushes: server.own("alluse_store_flushes_total").await,
            merges: server.own("alluse_store_merges_total").await,
        }
    }
}

async fn judged(server: &Server, round: u64, sent: &[Sent]) {
    for stream in sent {
        let judged = stream.judge(server, stream.acked.len() as u64).await;
        if let Err(wrong) = judged {
            panic!(
                "round {round} of seed {SEED:#x}: {wrong}\n{}",
                server.program.log()
            );
        }
    }
}

/// Kills a server while it starts.
async fn killed_while_starting(folder: &Path, random: &mut Rng) {
    let time = Duration::from_micros(random.below(START_MICROS));
    Server::start_and_kill(folder, CONFIG, time).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_fifty_kills() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let mut history: Vec<Vec<Sent>> = Vec::new();
    let mut done = Work::default();
    for round in 0..KILLS {
        let mut random = Rng::stream(SEED, &[round]);
        let server = Server::start(folder.path(), CONFIG).await;
        server.ready().await;
        if let Some(last) = history.last() {
            judged(&server, round, last).await;
        }
        let (sent, work) = written(server, round, &mut random).await;
        history.push(sent);
        done.flushes += work.flushes;
        done.merges += work.merges;
        if round % 4 == 3 {
            killed_while_starting(folder.path(), &mut random).await;
        }
    }
    // What earlier rounds wrote has been through many flushes, merges and replays by now.
    let server = Server::start(folder.path(), CONFIG).await;
    server.ready().await;
    for (round, sent) in history.iter().enumerate() {
        judged(&server, round as u64, sent).await;
    }
    let damaged = server.own("alluse_store_parts_quarantined_total").await;
    assert_eq!(damaged, 0.0, "{}", server.program.log());
    let acked: usize = history.iter().flatten().map(|s| s.acked.len()).sum();
    let Work { flushes, merges } = done;
    assert!(
        flushes > 20.0 && merges > 5.0,
        "{flushes} flushes, {merges} merges"
    );
    let samples = acked as u64 * SERIES;
    let figures = format!(
        "{samples} samples acknowledged, 0 lost; {flushes} flushes, {merges} merges meanwhile"
    );
    println!("{KILLS} kills; {figures}");
    report::ran(
        "kill -9 of the server under acknowledged writes",
        KILLS,
        &figures,
    );
    assert!(
        !server.program.log().contains("panicked"),
        "{}",
        server.program.log()
    );
    assert!(server.terminate().await.success());
}
