//! A stall of the server shows in the latency of every request that was due during the stall.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use load::{Arrivals, Config, Plan, Stage};
use tokio::time::Instant;

use crate::server::{Gets, at_once, server, start_with};

/// The server stands still for the first fifth of each period.
const PERIOD: Duration = Duration::from_secs(1);
const STALL: Duration = Duration::from_millis(200);

/// How long until the stall is over.
fn stalled(since: Duration) -> Duration {
    let into = Duration::from_nanos((since.as_nanos() % PERIOD.as_nanos()) as u64);
    STALL.saturating_sub(into)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stalls_one_second_in_five_has_a_p99_of_nine_tenths_of_the_stall() {
    let begun = Instant::now();
    let served = Arc::new(Mutex::new(Vec::new()));
    let log = served.clone();
    let (address, _) = server(move |_path| {
        let wait = stalled(begun.elapsed());
        log.lock().unwrap().push(wait);
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            at_once(200).await
        })
    })
    .await;
    let stages = vec![Stage::steady(200.0, 3 * PERIOD)];
    let plan = Plan {
        seed: 1,
        arrivals: Arrivals::Constant,
        stages,
    };
    let config = Config {
        connections: 4,
        ..Config::new(address, plan)
    };
    let total = start_with(&config, Gets::of(&["get"])).ended().await;
    let figures = &total.operations[0];
    assert_eq!((figures.count, figures.errors), (600, 0));
    // Exact for a stall of length S in 5 S: p90 = 0.5 S, p95 = 0.75 S, p99 = 0.95 S.
    let stall = STALL.as_secs_f64();
    let quantiles = [figures.p95_seconds / stall, figures.p99_seconds / stall];
    assert!(quantiles[0] > 0.65 && quantiles[1] >= 0.9, "{quantiles:?}");
    // What the server (and a client that times from the actual send) saw of it: four
    // connections, so four slow requests a stall.
    let served = served.lock().unwrap();
    let slow = served.iter().filter(|wait| **wait > STALL / 2).count();
    assert!(slow <= 4 * 4, "{slow}");
    assert!(
        (slow as f64) < 0.05 * 600.0 && quantiles[0] > 0.5,
        "5 % were slow, unseen there"
    );
}
