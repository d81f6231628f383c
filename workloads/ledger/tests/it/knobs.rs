//! Every knob acts, seen from outside.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::server::{Client, start};

/// `n` transfers at once.
async fn burst(client: &Client, name: &str, n: usize) {
    let mut tasks = JoinSet::new();
    for i in 0..n {
        let (client, key) = (client.clone(), format!("{name} {i}"));
        tasks.spawn(async move { assert_eq!(client.transfer(1, 2, 100, &key).await, 200) });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

/// Transactions, commits, since the start.
async fn commits(client: &Client) -> (f64, f64) {
    (
        client.metric("ledger_commit_group_size_sum").await,
        client.metric("ledger_commit_group_size_count").await,
    )
}

#[tokio::test]
async fn the_group_size_bounds_what_one_commit_writes() {
    let server = start(2, &[]).await;
    let client = &server.client;
    burst(client, "one", 20).await;
    assert_eq!(
        commits(client).await,
        (20.0, 20.0),
        "groups of one by default"
    );
    // Ten are admitted at once; the linger is long enough for them to meet.
    let values = json!({"writer.group.size": 5, "writer.group.linger_us": 100_000});
    client.set_knobs(1, values).await;
    burst(client, "many", 20).await;
    let (transactions, groups) = commits(client).await;
    assert_eq!(transactions, 40.0);
    assert!(
        (24.0..40.0).contains(&groups),
        "20 in groups of up to 5 took {}",
        groups - 20.0
    );
    let above = "ledger_commit_group_size_bucket{le=\"8\"}";
    assert_eq!(
        client.metric(above).await,
        groups,
        "no group above 5 is in a higher bucket"
    );
}

#[tokio::test]
async fn the_account_cache_honours_its_capacity_and_its_time_to_live() {
    let server = start(100, &[]).await;
    let client = &server.client;
    let entries = "cache_entries{cache=\"accounts\"}";
    let read_all = async || {
        for id in 1..=100 {
            assert_eq!(client.get(&format!("/accounts/{id}")).await.0, 200);
        }
    };
    read_all().await;
    assert_eq!(client.metric(entries).await, 100.0);
    client
        .set_knobs(1, json!({"cache.accounts.capacity": 16}))
        .await;
    read_all().await;
    assert_eq!(client.metric(entries).await, 16.0);
    let misses = "cache_misses_total{cache=\"accounts\"}";
    let before = client.metric(misses).await;
    client.get("/accounts/100").await;
    assert_eq!(client.metric(misses).await, before, "the newest is there");
    client
        .set_knobs(2, json!({"cache.accounts.ttl_ms": 10}))
        .await;
    let aged = async {
        while client.metric(misses).await == before {
            client.get("/accounts/100").await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), aged)
        .await
        .expect("10 ms pass");
}

#[tokio::test]
async fn readers_and_executor_are_resized_while_they_work() {
    let server = start(50, &[]).await;
    let client = &server.client;
    assert_eq!(client.metric("ledger_readers_limit").await, 10.0);
    let values = json!({
        "readers.connections": 1,
        "executor.concurrency": 64,
        "cache.accounts.ttl_ms": 10,
        "sqlite.page_cache_kib": 256,
        "sqlite.statements": 2,
        "sqlite.wal_autocheckpoint_pages": 200,
    });
    client.set_knobs(1, values).await;
    let mut tasks = JoinSet::new();
    for id in 1..=50_i64 {
        let client = client.clone();
        tasks.spawn(async move { client.get(&format!("/accounts/{id}/lineage")).await.0 });
    }
    while let Some(status) = tasks.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(client.metric("ledger_readers_limit").await, 1.0);
    assert!(client.metric("ledger_readers_idle").await <= 1.0);
    assert_eq!(client.metric("ledger_readers_in_use").await, 0.0);
    assert_eq!(client.metric("executor_concurrency_limit").await, 64.0);
    assert_eq!(client.transfer(1, 2, 100, "after").await, 200);
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_reverts_in_the_process() {
    let server = start(2, &[("writer.group.size", "2")]).await;
    let client = &server.client;
    let body =
        json!({"change": 1, "generation": 1, "lease_ms": 50, "values": {"writer.group.size": 64}});
    let (status, state) = client.post("/knobs/set", &body).await;
    assert_eq!(
        (status, &state["values"]["writer.group.size"]),
        (200, &json!(64))
    );
    let reverted = async { while client.metric("knob_leases_ended_total").await == 0.0 {} };
    tokio::time::timeout(Duration::from_secs(20), reverted)
        .await
        .expect("50 ms pass");
    let (_, inventory) = client.get("/knobs").await;
    let knobs = inventory["knobs"].as_array().unwrap();
    let size = knobs
        .iter()
        .find(|k| k["name"] == "writer.group.size")
        .unwrap();
    assert_eq!(
        (&size["value"], &size["default"]),
        (&json!(2), &json!(1)),
        "to the baseline"
    );
    assert!(inventory["lease_ms"].is_null());
}
