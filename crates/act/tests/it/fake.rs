//! A small target on a port of its own. It keeps the knob protocol, but for one fault.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use model::Clock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use wire::knobs::{
    ApplyCost, CommitRequest, Domain, Inventory, Knob, Refusal, RestoreRequest, SetRequest, Value,
};

/// What is wrong with the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Never answers an order.
    HangsOnOrder,
    /// Never answers a read.
    HangsOnRead,
    /// Acknowledges, and does nothing but count the order.
    LiesInTheAck,
    /// Carries out the first value only.
    CarriesOutHalf,
    /// Knows a newer generation.
    IsAhead,
    /// Carries the order out, and another one right after.
    IsOvertaken,
    /// Sets values for good.
    ForgetsLeases,
    /// Keeps a lease after a restore.
    KeepsLeases,
    /// Commits the value, not the baseline.
    ForgetsBaselines,
    /// Answers orders with 500.
    Fails,
    /// Answers orders with something that is no JSON.
    Babbles,
    /// Answers reads with JSON of another shape.
    SpeaksOtherwise,
    /// Answers reads without end.
    Floods,
    /// Sends orders elsewhere.
    Redirects,
    /// Reads miss a knob of the order.
    LosesAKnob,
}

#[derive(Debug, Clone)]
pub(crate) struct Fake {
    fault: Fault,
    pub(crate) state: Arc<Mutex<Inventory>>,
}

/// Time stands still: tests compare it.
#[derive(Debug)]
pub(crate) struct Still;

impl Clock for Still {
    fn wall_ms(&self) -> i64 {
        42
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

pub(crate) fn knob(name: &str, domain: Domain, value: Value) -> Knob {
    Knob {
        name: name.into(),
        help: "A knob.".into(),
        unit: String::new(),
        domain,
        default: value.clone(),
        baseline: value.clone(),
        value,
        max_step: 0.5,
        apply: ApplyCost::Free,
    }
}

pub(crate) fn inventory() -> Inventory {
    let range = Domain::Int {
        min: 1,
        max: 100,
        log: false,
    };
    let span = Domain::Float {
        min: 0.0,
        max: 10.0,
        log: false,
    };
    Inventory {
        protocol: 1,
        service: "fake".into(),
        instance: "first".into(),
        generation: 5,
        lease_ms: None,
        knobs: vec![
            knob("linger.ms", span, Value::Float(2.0)),
            knob("pool.size", range, Value::Int(16)),
        ],
    }
}

/// Serves a fake and gives its address.
pub(crate) async fn serve(fault: Fault) -> (Fake, String) {
    let fake = Fake {
        fault,
        state: Arc::new(Mutex::new(inventory())),
    };
    let router = Router::new()
        .route("/knobs", get(read))
        .route("/knobs/set", post(set))
        .route("/knobs/commit", post(commit))
        .route("/knobs/restore", post(restore))
        .with_state(fake.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (fake, url)
}

/// Reads a request, answers these bytes, and closes.
pub(crate) async fn serve_bytes(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _read = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

async fn read(State(fake): State<Fake>) -> Response {
    match fake.fault {
        Fault::HangsOnRead => std::future::pending().await,
        Fault::SpeaksOtherwise => r#"{"protocol": 1, "knobs": 7}"#.into_response(),
        Fault::Floods => "[0,".repeat(act::BODY_MAX_BYTES).into_response(),
        Fault::LosesAKnob => {
            let mut inventory = fake.state.lock().unwrap().clone();
            inventory.knobs.truncate(1);
            Json(inventory).into_response()
        }
        _ => Json(fake.state.lock().unwrap().clone()).into_response(),
    }
}

async fn set(State(fake): State<Fake>, Json(request): Json<SetRequest>) -> Response {
    let lease = (fake.fault != Fault::ForgetsLeases).then_some(request.lease_ms);
    let put = |knob: &mut Knob, value: Value| knob.value = value;
    fake.carry(request.generation, Some(request.values), lease, put)
        .await
}

async fn commit(State(fake): State<Fake>, Json(request): Json<CommitRequest>) -> Response {
    let forgets = fake.fault == Fault::ForgetsBaselines;
    let put = |knob: &mut Knob, value: Value| {
        knob.value = value.clone();
        if !forgets {
            knob.baseline = value;
        }
    };
    fake.carry(request.generation, Some(request.values), None, put)
        .await
}

async fn restore(State(fake): State<Fake>, Json(request): Json<RestoreRequest>) -> Response {
    let lease = (fake.fault == Fault::KeepsLeases).then_some(1_000);
    let put = |knob: &mut Knob, _| knob.value = knob.baseline.clone();
    fake.carry(request.generation, None, lease, put).await
}

impl Fake {
    /// Without values, every knob is put.
    async fn carry(
        &self,
        generation: u64,
        values: Option<BTreeMap<String, Value>>,
        lease_ms: Option<u64>,
        put: impl Fn(&mut Knob, Value),
    ) -> Response {
        match self.fault {
            Fault::HangsOnOrder => return std::future::pending().await,
            Fault::Fails => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Fault::Babbles => return Body::from("ok").into_response(),
            Fault::Redirects => return Redirect::temporary("http://192.0.2.1/").into_response(),
            _ => {}
        }
        let mut state = self.state.lock().unwrap();
        if self.fault == Fault::IsAhead || generation < state.generation {
            return refuse(StatusCode::CONFLICT, "stale_generation", None);
        }
        if let Some((name, _)) = values.iter().flatten().find(|(name, _)| !state.has(name)) {
            return refuse(StatusCode::NOT_FOUND, "unknown_knob", Some(name));
        }
        state.generation = generation + u64::from(self.fault == Fault::IsOvertaken);
        state.lease_ms = lease_ms;
        let carried = match self.fault {
            Fault::LiesInTheAck => 0,
            Fault::CarriesOutHalf => 1,
            _ => usize::MAX,
        };
        let wanted = |knob: &Knob| match &values {
            Some(values) => values.get(&knob.name).cloned(),
            None => Some(knob.baseline.clone()),
        };
        let knobs = state.knobs.iter_mut().filter_map(|k| Some((wanted(k)?, k)));
        knobs
            .take(carried)
            .for_each(|(value, knob)| put(knob, value));
        // The acknowledgement says what was asked for, whatever was done.
        let values = values.unwrap_or_default();
        let state = wire::knobs::State {
            generation,
            lease_ms,
            values,
        };
        Json(state).into_response()
    }
}

trait Has {
    fn has(&self, name: &str) -> bool;
}

impl Has for Inventory {
    fn has(&self, name: &str) -> bool {
        self.knobs.iter().any(|knob| knob.name == name)
    }
}

fn refuse(status: StatusCode, rule: &str, knob: Option<&str>) -> Response {
    let refusal = Refusal {
        rule: rule.into(),
        knob: knob.map(str::to_owned),
        message: "No.".into(),
    };
    (status, Json(refusal)).into_response()
}
