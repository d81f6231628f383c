//! The loop on a real ledger, moved by the API: applied, read back, undone, also by crashes.

use std::time::Duration;

use e2e::{
    stage::{DEFAULT, KNOB, PROPOSED, Settings, Stage, in_force},
    wait,
};
use serde_json::json;

#[tokio::test]
async fn an_admitted_change_is_in_force_and_the_red_button_takes_it_back() {
    let stage = Stage::set(Settings::default()).await;
    let change = stage.admitted().await;
    stage.in_force(PROPOSED).await;
    let shown = stage.server.change_in(change, &["trying"]).await;
    assert_eq!(shown["author"], "somebody");
    assert_eq!(shown["settings"][0]["old"], DEFAULT);
    assert_eq!(shown["settings"][0]["new"], PROPOSED);
    let inventory = stage.ledger.inventory().await;
    assert!(
        inventory["lease_ms"].as_u64().is_some_and(|ms| ms <= 3_000),
        "{inventory}"
    );

    let pressed = stage.order("POST", "red-button").await;
    assert_eq!(pressed.status, 200, "{}", pressed.text);
    let undone = stage.server.change_in(change, &["undone"]).await;
    assert_eq!(undone["verified"], true, "{undone}");
    assert_eq!(undone["settings"][0]["read_back"], DEFAULT, "{undone}");
    assert!(undone["apply_ms"].is_u64(), "{undone}");
    assert!(stage.ledger.is_at_defaults().await);

    // Nothing is admitted until it is released.
    assert!(stage.server.look("status").await["red_button"].is_string());
    let refused = stage.propose(json!({ KNOB: PROPOSED })).await;
    assert_eq!(refused.json()["rule"], "frozen", "{}", refused.text);
    assert!([409, 422].contains(&refused.status), "{}", refused.status);
    assert!(stage.ledger.is_at_defaults().await);
    assert_eq!(stage.order("DELETE", "red-button").await.status, 200);
    let again = stage.admitted().await;
    stage.in_force(PROPOSED).await;
    assert!(again > change);
    assert!(stage.server.terminate().await.success());
    // A server that ends takes back what was on trial.
    assert!(stage.ledger.is_at_defaults().await);
}

#[tokio::test]
async fn a_breached_guard_undoes_a_change_and_the_read_back_proves_it() {
    let stage = Stage::set(Settings::default()).await;
    let change = stage.admitted().await;
    stage.in_force(PROPOSED).await;
    stage.service.set("alarm", 1.0);
    let undone = stage.server.change_in(change, &["undone"]).await;
    assert_eq!(undone["breach"]["guard"], "no alarm", "{undone}");
    assert_eq!(undone["breach"]["value"], 1.0, "{undone}");
    assert_eq!(undone["verdict"]["ending"], "guard", "{undone}");
    assert_eq!(undone["verified"], true, "{undone}");
    assert!(undone["rollback_ms"].is_u64(), "{undone}");
    assert!(stage.ledger.is_at_defaults().await);
}

#[tokio::test]
async fn a_person_can_undo_a_running_change_once() {
    let stage = Stage::set(Settings::default()).await;
    let change = stage.admitted().await;
    stage.in_force(PROPOSED).await;
    let flying = stage
        .propose(json!({"cache.analytics.capacity": 2_000}))
        .await;
    assert_eq!(
        (flying.status, &flying.json()["rule"]),
        (409, &json!("change_in_flight"))
    );
    let path = format!("changes/{change}/undo");
    assert_eq!(stage.order("POST", &path).await.status, 200);
    stage.server.change_in(change, &["undone"]).await;
    assert!(stage.ledger.is_at_defaults().await);
    let again = stage.order("POST", &path).await;
    assert_eq!(
        (again.status, &again.json()["error"]),
        (409, &json!("conflict"))
    );
    let unknown = stage.order("POST", "changes/99999/undo").await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]),
        (404, &json!("not_found"))
    );
}

#[tokio::test]
async fn under_approve_a_change_waits_for_a_person() {
    let settings = Settings {
        trust: "approve",
        ..Settings::default()
    };
    let stage = Stage::set(settings).await;
    let waiting = stage.propose(json!({ KNOB: PROPOSED })).await;
    assert_eq!(
        (waiting.status, &waiting.json()["ruling"]),
        (202, &json!("await_approval"))
    );
    let first = waiting.json()["change"].as_u64().unwrap();
    assert_eq!(
        stage.server.change_in(first, &["waiting"]).await["verified"],
        false
    );
    assert!(stage.ledger.is_at_defaults().await);

    let rejected = stage
        .order("POST", &format!("changes/{first}/reject"))
        .await;
    assert_eq!(rejected.status, 200, "{}", rejected.text);
    stage.server.change_in(first, &["refused"]).await;
    assert_eq!(
        stage
            .order("POST", &format!("changes/{first}/approve"))
            .await
            .status,
        409
    );
    assert_eq!(stage.ledger.inventory().await["generation"], 0);

    let second = stage.propose(json!({ KNOB: PROPOSED })).await.json()["change"]
        .as_u64()
        .unwrap();
    let approved = stage
        .order("POST", &format!("changes/{second}/approve"))
        .await;
    assert_eq!(approved.status, 200, "{}", approved.text);
    stage.in_force(PROPOSED).await;
}

#[tokio::test]
async fn under_recommend_nothing_is_changed_until_a_person_gives_more_trust() {
    let settings = Settings {
        trust: "recommend",
        ..Settings::default()
    };
    let stage = Stage::set(settings).await;
    let reply = stage.propose(json!({ KNOB: PROPOSED })).await;
    assert!(
        [202, 409, 422].contains(&reply.status),
        "{} {}",
        reply.status,
        reply.text
    );
    if let Some(change) = reply.json()["change"].as_u64() {
        // Not by approval either.
        let approved = stage
            .order("POST", &format!("changes/{change}/approve"))
            .await;
        let state = stage.server.look(&format!("changes/{change}")).await["state"].clone();
        assert_eq!(state, "waiting", "{}", approved.text);
        stage
            .order("POST", &format!("changes/{change}/reject"))
            .await;
    }
    // Two more discoveries have come and gone, and no order with them.
    let seen = stage.server.number("max(ticks_total)").await.unwrap();
    wait::until("twenty more scrapes", async || {
        let ticks = stage.server.number("max(ticks_total)").await?;
        (ticks >= seen + 20.0).then_some(())
    })
    .await;
    assert_eq!(stage.ledger.inventory().await["generation"], 0);
    assert!(stage.ledger.is_at_defaults().await);

    let body = json!({"trust": "autonomous"});
    let trusted = stage
        .server
        .http
        .json("PUT", "/api/v1/loop/trust", &body)
        .await;
    assert_eq!(trusted.json()["trust"], "autonomous", "{}", trusted.text);
    stage.admitted().await;
    stage.in_force(PROPOSED).await;
}

#[tokio::test]
async fn a_killed_server_leaves_nothing_in_force_and_settles_its_change_when_it_is_back() {
    let stage = Stage::set(Settings::default()).await;
    let change = stage.admitted().await;
    stage.in_force(PROPOSED).await;
    let headless = stage.kill_server().await;
    // Nobody sends anything: the ledger takes itself back within the lease.
    let inventory = headless.ledger.inventory().await;
    let left = inventory["lease_ms"].as_u64().unwrap_or_default();
    assert!(left <= 3_000, "a lease of {left} ms");
    let margin = Duration::from_secs(2);
    let what = "the lease to run out";
    wait::within(Duration::from_millis(left) + margin, what, async || {
        (headless.ledger.knob(KNOB).await == DEFAULT).then_some(())
    })
    .await;
    assert!(headless.ledger.is_at_defaults().await);

    let stage = headless.restart().await;
    let settled = stage.server.change_in(change, &["undone"]).await;
    assert_eq!(settled["verified"], true, "{settled}");
    assert!(stage.ledger.is_at_defaults().await);
    // And the loop goes on.
    stage.admitted().await;
    stage.in_force(PROPOSED).await;
}

#[tokio::test]
async fn a_server_back_before_its_lease_ends_takes_its_change_back() {
    let settings = Settings {
        lease_s: 60,
        ..Settings::default()
    };
    let stage = Stage::set(settings).await;
    let change = stage.admitted().await;
    stage.in_force(PROPOSED).await;
    let headless = stage.kill_server().await;
    assert_eq!(headless.ledger.knob(KNOB).await, PROPOSED);
    let stage = headless.restart().await;
    let settled = stage.server.change_in(change, &["undone"]).await;
    assert_eq!(settled["verified"], true, "{settled}");
    in_force(&stage.ledger, DEFAULT).await;
    assert!(stage.ledger.is_at_defaults().await);
}
