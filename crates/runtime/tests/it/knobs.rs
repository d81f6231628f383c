//! The knob protocol over a socket, and leases that end without anyone saying so.

use std::time::Duration;

use knob::{Knob, Registry};
use runtime::{Clock, knobs::Service, metrics};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wire::knobs::{Inventory, Refusal, State};

struct Running {
    base: String,
    size: Knob<i64>,
    metrics: metrics::Registry,
    client: reqwest::Client,
}

async fn start() -> Running {
    let (registry, metrics) = (Registry::default(), metrics::Registry::default());
    let size = Knob::int("size", 4)
        .range(1..=64)
        .register(&registry)
        .unwrap();
    drop(
        Knob::choice("mode", &["a", "b"], "a")
            .register(&registry)
            .unwrap(),
    );
    let service = Service::new("tested", registry, Clock::start(), &metrics);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = service.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    tokio::spawn(service.watch());
    Running {
        base,
        size,
        metrics,
        client: reqwest::Client::new(),
    }
}

impl Running {
    async fn post(&self, path: &str, body: &Value) -> (u16, String) {
        let url = format!("{}/knobs/{path}", self.base);
        let request = self.client.post(url).json(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn inventory(&self) -> Inventory {
        let response = self
            .client
            .get(format!("{}/knobs", self.base))
            .send()
            .await
            .unwrap();
        response.json().await.unwrap()
    }
}

fn set(generation: u64, lease_ms: u64, values: Value) -> Value {
    json!({"change": 9, "generation": generation, "lease_ms": lease_ms, "values": values})
}

#[tokio::test]
async fn a_lease_that_nobody_renews_ends_by_itself() {
    let running = start().await;
    let (status, body) = running.post("set", &set(1, 50, json!({"size": 8}))).await;
    assert_eq!(status, 200, "{body}");
    let state: State = serde_json::from_str(&body).unwrap();
    assert_eq!(state.values["size"], wire::knobs::Value::Int(8));
    assert!(state.lease_ms.unwrap() <= 50);
    // No request, no tick: only the watchdog can do it.
    let ended = async {
        while running.size.get() != 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended)
        .await
        .unwrap();
    let inventory = running.inventory().await;
    assert_eq!((inventory.generation, inventory.lease_ms), (1, None));
    let text = running.metrics.render(metrics::Format::Prometheus);
    assert!(text.contains("knob_leases_ended_total 1\n"), "{text}");
    assert!(text.contains("knob_value{knob=\"size\"} 4\n"), "{text}");
}

#[tokio::test]
async fn commit_and_restore_answer_with_what_is_in_force() {
    let running = start().await;
    let commit = json!({"change": 1, "generation": 1, "values": {"mode": "b"}});
    assert_eq!(running.post("commit", &commit).await.0, 200);
    running
        .post("set", &set(2, 60_000, json!({"size": 8})))
        .await;
    let restore = json!({"change": 1, "generation": 3});
    let (status, body) = running.post("restore", &restore).await;
    let state: State = serde_json::from_str(&body).unwrap();
    assert_eq!((status, state.generation, state.lease_ms), (200, 3, None));
    let inventory = running.inventory().await;
    assert_eq!(
        (inventory.service.as_str(), inventory.protocol),
        ("tested", 1)
    );
    let mode = &inventory.knobs[0];
    assert_eq!(mode.value, wire::knobs::Value::Text("b".into()));
    assert_eq!(
        (&mode.baseline, &mode.default),
        (&mode.value, &wire::knobs::Value::Text("a".into()))
    );
    assert_eq!(inventory.knobs[1].value, wire::knobs::Value::Int(4));
}

#[tokio::test]
async fn every_refusal_has_its_status_and_rule() {
    let running = start().await;
    running
        .post("set", &set(5, 60_000, json!({"size": 8})))
        .await;
    for (body, status, rule) in [
        (set(4, 1_000, json!({"size": 9})), 409, "stale_generation"),
        (set(5, 1_000, json!({"nobody": 9})), 404, "unknown_knob"),
        (set(5, 1_000, json!({"size": 65})), 422, "out_of_range"),
        (
            set(5, 1_000, json!({"size": 9, "mode": "c"})),
            422,
            "out_of_range",
        ),
        (set(5, 1_000, json!({"size": "9"})), 422, "out_of_range"),
        (
            set(5, 1_000_000_000, json!({"size": 9})),
            422,
            "lease_too_long",
        ),
        (set(5, 0, json!({"size": 9})), 422, "bad_request"),
        (json!({"generation": 5}), 400, "bad_request"),
    ] {
        let (got, text) = running.post("set", &body).await;
        let refusal: Refusal = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (got, refusal.rule.as_str()),
            (status, rule),
            "{body} -> {text}"
        );
        assert_eq!(running.size.get(), 8, "nothing half applied: {body}");
    }
    let huge = json!({"change": "x".repeat(100_000)});
    assert_eq!(running.post("set", &huge).await.0, 413);
}

#[tokio::test]
async fn two_starts_are_two_instances() {
    let (first, second) = (start().await, start().await);
    let ids = (
        first.inventory().await.instance,
        second.inventory().await.instance,
    );
    assert_ne!(ids.0, ids.1);
}
