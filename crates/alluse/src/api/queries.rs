//! `/api/v1/queries`: what waits and runs, the end of it, and what took long.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::{delete, get},
};
use serde_json::{Value, json};

use super::{App, problem::ApiError, prometheus::success};
use crate::queries::{self, Ticket};

/// Below `/api/v1`.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/queries", get(live))
        .route("/queries/slow", get(slow))
        .route("/queries/{id}", delete(kill))
}

/// `GET /api/v1/queries`
async fn live(State(app): State<Arc<App>>) -> Response {
    let row = |ticket: Arc<Ticket>| {
        let age = app.queries.age(&ticket);
        let state = match ticket.state() {
            queries::State::Waiting => "queued",
            queries::State::Running => "running",
        };
        let mut row = told(&ticket);
        row["state"] = json!(state);
        row["waitSeconds"] = json!(ticket.waited().unwrap_or(age).as_secs_f64());
        row["runSeconds"] = json!(ran(&ticket, age).as_secs_f64());
        row["bytes"] = json!(ticket.account.bytes());
        row
    };
    let rows: Vec<Value> = app.queries.live().into_iter().map(row).collect();
    success(rows)
}

/// `GET /api/v1/queries/slow`
async fn slow(State(app): State<Arc<App>>) -> Response {
    let row = |slow: queries::Slow| {
        let mut row = told(&slow.ticket);
        row["waitSeconds"] = json!(slow.ticket.waited().unwrap_or_default().as_secs_f64());
        row["runSeconds"] = json!(slow.took.as_secs_f64());
        row["outcome"] = json!(slow.outcome);
        row
    };
    let rows: Vec<Value> = app.queries.slow().into_iter().map(row).collect();
    success(rows)
}

/// `DELETE /api/v1/queries/{id}`
async fn kill(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let number = id.parse().ok();
    if number.is_some_and(|id| app.queries.kill(id)) {
        return Ok(success(json!({"id": id, "killed": true})));
    }
    Err(ApiError::missing(format!("no query {id:?} waits or runs")))
}

fn ran(ticket: &Ticket, age: Duration) -> Duration {
    ticket
        .waited()
        .map_or(Duration::ZERO, |waited| age.saturating_sub(waited))
}

/// What is known of a query wherever it stands.
fn told(ticket: &Ticket) -> Value {
    let seconds = |ms: i64| ms as f64 / 1_000.0;
    let (start, end, step) = ticket.asked.times;
    let account = &ticket.account;
    let mut row = json!({
        "id": ticket.id.to_string(),
        "query": ticket.asked.text,
        "client": ticket.asked.client,
        "since": seconds(ticket.since_ms),
        "series": account.series(),
        "samplesRead": account.samples_read(),
        "samples": account.samples_seen(),
        "peakSamples": account.samples_peak(),
        "peakBytes": account.bytes_peak(),
    });
    if step > 0 {
        row["start"] = json!(seconds(start));
        row["end"] = json!(seconds(end));
        row["step"] = json!(seconds(step));
    } else {
        row["time"] = json!(seconds(end));
    }
    row
}
