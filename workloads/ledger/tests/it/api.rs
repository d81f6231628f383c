//! Every route: what it does, and what it answers to nonsense.

use serde_json::{Value, json};

use crate::{
    audit::audit,
    server::{Client, start},
};

async fn refused(client: &Client, method: &str, path: &str, body: Value) -> (u16, String) {
    let (status, reply) = client.send(method, path, &body).await;
    let rule = reply["error"]["rule"].as_str();
    (
        status,
        rule.unwrap_or_else(|| panic!("{path} {body} -> {reply}"))
            .into(),
    )
}

#[tokio::test]
async fn an_account_lives_from_opening_to_closing() {
    let server = start(0, &[]).await;
    let client = &server.client;
    let open = json!({"owner": "ann", "kind": "rev", "initial_cents": 100_000, "key": "open"});
    let (status, receipt) = client.post("/accounts", &open).await;
    assert_eq!((status, &receipt["kind"]), (201, &json!("deposit")));
    let id = receipt["accounts"][0]["id"].as_i64().unwrap();
    let account = format!("/accounts/{id}");
    assert_eq!(client.get(&account).await.1["available_cents"], 95_000);
    assert_eq!(
        client
            .send("PATCH", &account, &json!({"name": "rent"}))
            .await
            .0,
        200
    );
    assert_eq!(
        client.get(&account).await.1["name"],
        "rent",
        "a change is seen at once"
    );

    let (status, rule) = refused(client, "DELETE", &account, Value::Null).await;
    assert_eq!((status, rule.as_str()), (409, "transition"));
    let transactions = format!("{account}/transactions");
    for (kind, cents) in [("cash_buffer_adjustment", -5_000), ("withdrawal", 100_000)] {
        let body = json!({"kind": kind, "amount_cents": cents, "key": kind});
        assert_eq!(client.post(&transactions, &body).await.0, 200, "{kind}");
    }
    let (status, closed) = client.send("DELETE", &account, &Value::Null).await;
    assert_eq!(
        (status, &closed["accounts"][0]["state"]),
        (200, &json!("closed"))
    );
    let status = format!("{account}/status");
    let (code, rule) = refused(client, "POST", &status, json!({"state": "active"})).await;
    assert_eq!((code, rule.as_str()), (409, "transition"));
    assert_eq!(
        client
            .metric("ledger_accounts{kind=\"rev\",state=\"closed\"}")
            .await,
        1.0
    );
    assert_eq!(
        client
            .metric("ledger_accounts{kind=\"rev\",state=\"active\"}")
            .await,
        0.0
    );
}

#[tokio::test]
async fn portfolios_fork_merge_and_know_their_relatives() {
    let server = start(0, &[]).await;
    let client = &server.client;
    let body = json!({"owner": "ann", "capital_cents": 30_000_000, "key": "p"});
    let (_, main) = client.post("/portfolios", &body).await;
    let id = |receipt: &Value, at: usize| receipt["accounts"][at]["id"].as_i64().unwrap();
    let (gen_id, com_id) = (id(&main, 0), id(&main, 2));
    let premium = json!({"kind": "trade_premium", "amount_cents": 100_000_000, "key": "w"});
    client
        .post(&format!("/accounts/{gen_id}/transactions"), &premium)
        .await;
    let fork = json!({"children": 2, "key": "f"});
    let (status, forked) = client
        .post(&format!("/accounts/{gen_id}/fork"), &fork)
        .await;
    assert_eq!(
        (status, &forked["volume_cents"]),
        (200, &json!(100_000_000))
    );
    let (_, again) = client
        .post(&format!("/accounts/{gen_id}/fork"), &fork)
        .await;
    assert_eq!(forked, again, "the key was carried out once");

    let portfolio = forked["accounts"][0]["portfolio"].as_i64().unwrap();
    let merge = format!("/portfolios/{portfolio}/merge");
    let (status, merged) = client.post(&merge, &json!({"key": "m"})).await;
    assert_eq!(status, 200, "{merged}");
    assert_eq!(id(&merged, 2), com_id);
    assert_eq!(
        client.get(&format!("/accounts/{com_id}")).await.1["balance_cents"],
        59_000_000
    );
    let sources = [id(&forked, 2), id(&forked, 3)];
    let by_hand = json!({"sources": sources, "target": gen_id, "key": "h"});
    assert_eq!(client.post("/merges", &by_hand).await.0, 200);

    let (_, lineage) = client.get(&format!("/accounts/{gen_id}/lineage")).await;
    let ids: Vec<i64> = lineage["descendants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids, [0, 1, 2, 3].map(|at| id(&forked, at)));
    let (_, lineage) = client.get(&format!("/accounts/{}/lineage", ids[0])).await;
    assert_eq!(lineage["ancestors"][0]["id"], gen_id);
    assert_eq!(lineage["account"]["merged_into"], com_id);
    let path = server.data.path().to_path_buf();
    server.service.stop().await.unwrap();
    audit(&rusqlite::Connection::open(path.join("ledger.sqlite")).unwrap());
}

#[tokio::test]
async fn analytics_follow_the_postings_in_batches_of_any_size() {
    let server = start(2, &[("analytics.batch", "16")]).await;
    let client = &server.client;
    for n in 0..40 {
        let body = json!({"kind": "trade_premium", "amount_cents": 1_000, "key": format!("p{n}")});
        client.post("/accounts/1/transactions", &body).await;
    }
    let (status, report) = client.get("/accounts/1/analytics").await;
    assert_eq!(status, 200);
    // Two opening books, three seeded premiums, forty of ours.
    assert_eq!(report["postings"], 45);
    assert_eq!(report["transactions"]["trade_premium"]["count"], 43);
    assert_eq!(
        report["balance_cents"],
        client.get("/accounts/1").await.1["balance_cents"]
    );
    client.get("/accounts/1/analytics").await;
    assert_eq!(
        client.metric("cache_hits_total{cache=\"analytics\"}").await,
        1.0
    );
    assert_eq!(client.transfer(1, 2, 100, "t").await, 200);
    let (_, fresh) = client.get("/accounts/1/analytics").await;
    assert_eq!(
        fresh["transactions"]["transfer"]["count"], 1,
        "a changed account is computed anew"
    );
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = start(7, &[]).await;
    let client = &server.client;
    let ids = |page: &Value| -> Vec<i64> {
        let accounts = page["accounts"].as_array().unwrap();
        accounts.iter().map(|a| a["id"].as_i64().unwrap()).collect()
    };
    let (_, first) = client.get("/accounts?kind=gen&limit=3").await;
    assert_eq!((ids(&first), &first["next"]), (vec![1, 3, 5], &json!(5)));
    let (_, second) = client.get("/accounts?kind=gen&limit=3&after=5").await;
    assert_eq!((ids(&second), &second["next"]), (vec![7], &Value::Null));
    let (_, owned) = client.get("/accounts?owner=owner%204").await;
    assert_eq!(ids(&owned), [4]);
    let (_, none) = client.get("/accounts?state=closed").await;
    assert_eq!(ids(&none), Vec::<i64>::new());
}

#[tokio::test]
async fn nonsense_gets_a_typed_answer_and_changes_nothing() {
    let server = start(2, &[]).await;
    let client = &server.client;
    let transfer = |from: i64, to: i64, cents: i64| json!({"from": from, "to": to, "amount_cents": cents, "key": "x"});
    let cases = [
        ("POST", "/transfers", json!({"from": 1}), 400, "bad_request"),
        (
            "POST",
            "/transfers",
            json!({"from": 1, "to": 2, "amount_cents": 1.5, "key": "x"}),
            400,
            "bad_request",
        ),
        (
            "POST",
            "/transfers",
            json!({"from": 1, "to": 2, "amount_cents": 1, "key": "x", "extra": 1}),
            400,
            "bad_request",
        ),
        ("POST", "/transfers", transfer(1, 1, 1), 422, "named_twice"),
        (
            "POST",
            "/transfers",
            transfer(1, 99, 1),
            404,
            "unknown_account",
        ),
        ("POST", "/transfers", transfer(1, 2, -1), 422, "amount"),
        (
            "POST",
            "/transfers",
            transfer(1, 2, 99_999_999_999),
            422,
            "insufficient",
        ),
        (
            "POST",
            "/transfers",
            json!({"from": 1, "to": 2, "amount_cents": 1, "key": ""}),
            422,
            "text",
        ),
        (
            "POST",
            "/merges",
            json!({"sources": [1], "target": 2, "key": "x"}),
            422,
            "count",
        ),
        (
            "POST",
            "/accounts/2/fork",
            json!({"key": "x"}),
            422,
            "kind_forbids",
        ),
        (
            "POST",
            "/portfolios/1/merge",
            json!({"key": "x"}),
            422,
            "no_merge_target",
        ),
        (
            "POST",
            "/portfolios/99/merge",
            json!({"key": "x"}),
            404,
            "unknown_portfolio",
        ),
        (
            "POST",
            "/accounts",
            json!({"owner": "a", "kind": "gold"}),
            400,
            "bad_request",
        ),
        (
            "POST",
            "/accounts",
            json!({"owner": "a", "kind": "gen", "portfolio": 1}),
            409,
            "kind_taken",
        ),
        (
            "POST",
            "/accounts/1/status",
            json!({"state": "forking"}),
            409,
            "transition",
        ),
        ("GET", "/accounts/none", Value::Null, 400, "bad_request"),
        (
            "GET",
            "/accounts/99/analytics",
            Value::Null,
            404,
            "unknown_account",
        ),
        (
            "GET",
            "/accounts?limit=501",
            Value::Null,
            400,
            "bad_request",
        ),
        (
            "GET",
            "/accounts?colour=red",
            Value::Null,
            400,
            "bad_request",
        ),
        ("GET", "/nowhere", Value::Null, 404, "no_route"),
    ];
    let before = (
        client.get("/accounts/1").await,
        client.get("/accounts/2").await,
    );
    for (method, path, body, status, rule) in cases {
        let got = refused(client, method, path, body.clone()).await;
        assert_eq!(got, (status, rule.to_string()), "{method} {path} {body}");
    }
    let huge = json!({"owner": "x".repeat(20_000), "kind": "gen"});
    assert_eq!(refused(client, "POST", "/accounts", huge).await.0, 413);
    assert_eq!(
        (
            client.get("/accounts/1").await,
            client.get("/accounts/2").await
        ),
        before
    );
    assert_eq!(client.metric("ledger_commits_total").await, 0.0);
    assert_eq!(
        client
            .metric("ledger_errors_total{class=\"missing\"}")
            .await,
        3.0
    );
}

#[tokio::test]
async fn operations_are_counted_and_timed_by_kind_and_result() {
    let server = start(2, &[]).await;
    let client = &server.client;
    assert_eq!(client.transfer(1, 2, 700, "a").await, 200);
    assert_eq!(client.transfer(1, 2, 700, "a").await, 200);
    assert_eq!(client.transfer(1, 2, 701, "a").await, 409);
    for (series, value) in [
        (
            "ledger_operations_total{op=\"transaction\",result=\"ok\"}",
            2.0,
        ),
        (
            "ledger_operations_total{op=\"transaction\",result=\"refused\"}",
            1.0,
        ),
        (
            "ledger_operation_duration_seconds_count{op=\"transaction\"}",
            3.0,
        ),
        ("ledger_transactions_total{kind=\"transfer\"}", 1.0),
        (
            "ledger_transaction_volume_cents_total{kind=\"transfer\"}",
            700.0,
        ),
        ("ledger_commits_total", 1.0),
    ] {
        assert_eq!(client.metric(series).await, value, "{series}");
    }
    assert!(client.metric("process_resident_memory_bytes").await > 1e6);
}
