//! The knob protocol over HTTP, and the watchdog that ends leases in the process itself.
//!
//! The watchdog sleeps until the first lease ends, so a service whose tuner died is back at its
//! baseline within a timer's precision, without any message.

mod convert;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use knob::{Registry, Value};
use tokio::sync::Notify;
use wire::knobs as protocol;

use crate::{
    Clock,
    clock::unix_ms,
    metrics::{Counter, Registry as Metrics},
};

/// Bytes of a request: an order names a few knobs.
const BODY_LIMIT: usize = 64 * 1_024;

/// Serves a registry; clones share it.
#[derive(Debug, Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    registry: Registry,
    name: String,
    instance: String,
    clock: Clock,
    lease_changed: Notify,
    refused: Counter,
    reverted: Counter,
}

impl Service {
    /// Serves `registry` under the service's name. Also shows every number as a metric,
    /// `knob_value{knob=".."}`, as far as it is declared by now.
    #[must_use]
    pub fn new(name: &str, registry: Registry, clock: Clock, metrics: &Metrics) -> Self {
        declare_values(&registry, clock, metrics);
        let counter = |metric, help| metrics.counter(metric, help, &[]);
        Self {
            shared: Arc::new(Shared {
                name: name.into(),
                instance: instance(),
                clock,
                lease_changed: Notify::new(),
                refused: counter("knob_orders_refused_total", "Orders refused."),
                reverted: counter(
                    "knob_leases_ended_total",
                    "Values put back because nobody renewed their lease.",
                ),
                registry,
            }),
        }
    }

    /// The routes below `/knobs`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/knobs", get(inventory))
            .route("/knobs/set", post(set))
            .route("/knobs/commit", post(commit))
            .route("/knobs/restore", post(restore))
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .with_state(self.clone())
    }

    /// Puts values back when their lease ends, for as long as it is polled.
    pub async fn watch(self) {
        let shared = &self.shared;
        loop {
            let changed = shared.lease_changed.notified();
            match shared.registry.next_expiry() {
                None => changed.await,
                Some(end) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(shared.clock.instant(end)) => self.expire(),
                    }
                }
            }
        }
    }

    fn expire(&self) {
        let reverted = self.shared.registry.tick(self.shared.clock.now());
        self.shared.reverted.add(reverted.len() as u64);
    }

    /// Answers, and lets the watchdog look at the leases again.
    fn answer(&self, outcome: Result<knob::State, knob::Refusal>) -> Response {
        self.shared.lease_changed.notify_one();
        match outcome {
            Ok(state) => Json(convert::state(state)).into_response(),
            Err(refusal) => {
                self.shared.refused.increment();
                let status = convert::status(&refusal);
                (status, Json(convert::refusal(&refusal))).into_response()
            }
        }
    }

    fn malformed(&self, rejection: &JsonRejection) -> Response {
        self.shared.refused.increment();
        let body = protocol::Refusal {
            rule: "bad_request".into(),
            knob: None,
            message: rejection.body_text(),
        };
        let status = match rejection.status() {
            // Well-formed JSON of the wrong shape is still a request that makes no sense.
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            other => other,
        };
        (status, Json(body)).into_response()
    }
}

type Body<T> = Result<Json<T>, JsonRejection>;

async fn inventory(State(service): State<Service>) -> Json<protocol::Inventory> {
    let shared = &service.shared;
    let inventory = shared.registry.inventory(shared.clock.now());
    Json(convert::inventory(
        &shared.name,
        &shared.instance,
        inventory,
    ))
}

async fn set(State(service): State<Service>, body: Body<protocol::SetRequest>) -> Response {
    let request = match body {
        Ok(Json(request)) => request,
        Err(rejection) => return service.malformed(&rejection),
    };
    let shared = &service.shared;
    let (order, lease) = convert::set(request);
    service.answer(shared.registry.set(&order, lease, shared.clock.now()))
}

async fn commit(State(service): State<Service>, body: Body<protocol::CommitRequest>) -> Response {
    let request = match body {
        Ok(Json(request)) => request,
        Err(rejection) => return service.malformed(&rejection),
    };
    let shared = &service.shared;
    let order = convert::commit(request);
    service.answer(shared.registry.commit(&order, shared.clock.now()))
}

async fn restore(State(service): State<Service>, body: Body<protocol::RestoreRequest>) -> Response {
    let request = match body {
        Ok(Json(request)) => request,
        Err(rejection) => return service.malformed(&rejection),
    };
    let shared = &service.shared;
    let now = shared.clock.now();
    service.answer(
        shared
            .registry
            .restore(request.change, request.generation, now),
    )
}

/// Differs between any two services: by start, process, and order within the process.
fn instance() -> String {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let nth = STARTED.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{:x}-{nth}", unix_ms(), std::process::id())
}

fn declare_values(registry: &Registry, clock: Clock, metrics: &Metrics) {
    for knob in registry.inventory(clock.now()).knobs {
        let (registry, name) = (registry.clone(), knob.name.clone());
        metrics.gauge_fn(
            "knob_value",
            "The value in force; a switch is 0 or 1, a choice is absent.",
            &[("knob", &knob.name)],
            move || match registry.state(clock.now()).values.get(&name) {
                Some(Value::Int(value)) => *value as f64,
                Some(Value::Float(value)) => *value,
                Some(Value::Bool(value)) => f64::from(u8::from(*value)),
                Some(Value::Choice(_)) | None => f64::NAN,
            },
        );
    }
}
