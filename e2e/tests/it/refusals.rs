//! Proposals and orders that make no sense: a typed refusal, and nothing half-applied.

use e2e::http::Client;
use e2e::stage::{KNOB, PROPOSED, Settings, Stage};
use serde_json::{Value, json};

const PROPOSALS: &str = "/api/v1/loop/proposals";

#[tokio::test]
async fn proposals_that_make_no_sense_are_refused_by_rule_and_change_nothing() {
    let stage = Stage::set(Settings::default()).await;
    for (values, rule, named) in [
        (json!({"no.such.knob": 1}), "unknown_knob", "no.such.knob"),
        (json!({KNOB: 3}), "out_of_range", "16"),
        (json!({KNOB: 2_000_000}), "out_of_range", KNOB),
        (json!({KNOB: -1}), "out_of_range", KNOB),
        (json!({KNOB: "much"}), "out_of_range", KNOB),
        (json!({KNOB: true}), "out_of_range", KNOB),
        (json!({KNOB: 1000.5}), "out_of_range", KNOB),
        (json!({KNOB: 1_000_000}), "step_too_large", KNOB),
        (json!({KNOB: 1_000}), "nothing_to_change", ""),
        // A good value beside a bad one is not applied.
        (
            json!({KNOB: PROPOSED, "executor.concurrency": 0}),
            "out_of_range",
            "executor",
        ),
        (
            json!({KNOB: PROPOSED, "no.such.knob": 1}),
            "unknown_knob",
            "no.such.knob",
        ),
    ] {
        let reply = stage.propose(values.clone()).await;
        let what = format!("{values}: {} {}", reply.status, reply.text);
        assert_eq!(reply.status, 422, "{what}");
        let decision = reply.json();
        assert_eq!(decision["ruling"], "refuse", "{what}");
        assert_eq!(decision["rule"], rule, "{what}");
        assert!(decision["change"].is_null(), "{what}");
        assert!(
            decision["message"].as_str().unwrap().contains(named),
            "{what}"
        );
    }
    let nobody = json!({"target": "nobody", "values": {KNOB: PROPOSED}});
    let reply = stage.server.http.json("POST", PROPOSALS, &nobody).await;
    assert_eq!(
        (reply.status, &reply.json()["rule"]),
        (422, &json!("unknown_target"))
    );

    // Each is on record, and the ledger has never had an order.
    let decisions = stage.server.look("decisions?limit=100").await;
    assert_eq!(decisions.as_array().unwrap().len(), 12, "{decisions}");
    assert_eq!(stage.server.look("changes").await, json!([]));
    assert_eq!(stage.ledger.inventory().await["generation"], 0);
    assert!(stage.ledger.is_at_defaults().await);
}

#[tokio::test]
async fn bodies_that_are_not_what_was_asked_for_are_refused_with_their_place() {
    let stage = Stage::set(Settings::default()).await;
    let http = &stage.server.http;
    let kind = "application/json";
    for (body, part) in [
        ("{\"target\": \"ledger\", ", "line 1"),
        ("", "EOF"),
        ("[]", "line 1"),
        ("{\"target\": \"ledger\"}", "values"),
        ("{\"target\": 7, \"values\": {}}", "target"),
        ("{\"target\": \"ledger\", \"values\": {}}", "values"),
        (
            "{\"target\": \"ledger\", \"values\": {\"a\": null}}",
            "values",
        ),
        (
            "{\"target\": \"ledger\", \"values\": {\"a\": 1e999}}",
            "line 1",
        ),
    ] {
        let reply = http.raw(PROPOSALS, kind, body).await;
        let what = format!("{body}: {} {}", reply.status, reply.text);
        assert!([400, 422].contains(&reply.status), "{what}");
        assert!(reply.text.contains(part), "{what}");
        assert!(reply.json()["error"].is_string(), "{what}");
    }
    let unsaid = http.raw(PROPOSALS, "text/plain", "{}").await;
    assert_eq!(unsaid.status, 415, "{}", unsaid.text);
    let huge = format!("{{\"target\": \"{}\"}}", "x".repeat(33 << 20));
    // On a connection of its own: the server closes it rather than read on.
    let other = Client::new(&http.url);
    assert_eq!(other.raw(PROPOSALS, kind, huge).await.status, 413);

    let trust = json!({"trust": "blind"});
    let reply = http.json("PUT", "/api/v1/loop/trust", &trust).await;
    assert!([400, 422].contains(&reply.status), "{}", reply.text);
    for (method, path, status) in [
        ("GET", "changes/1", 404),
        ("GET", "changes/one", 400),
        ("GET", "changes?limit=many", 400),
        ("POST", "changes/1/approve", 404),
        ("POST", "changes/1/reject", 404),
        ("POST", "studies/7/stop", 404),
        ("GET", "no-such-thing", 404),
        ("DELETE", "status", 405),
    ] {
        let reply = stage.order(method, path).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
    }
    let status = stage.server.look("status").await;
    assert_eq!(status["trust"], "autonomous");
    assert_eq!(status["red_button"], Value::Null);
    assert_eq!(stage.ledger.inventory().await["generation"], 0);
}
