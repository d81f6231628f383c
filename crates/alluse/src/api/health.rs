//! Whether the server lives, whether it can serve, how its subsystems fare, and its own metrics.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use runtime::metrics::Format;
use serde_json::{Value, json};

use super::{App, params::Params, problem::ApiError, prometheus::success};
use crate::health::{self, Need, Seen};

/// The routes outside `/api/v1`.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/-/healthy", get(healthy))
        .route("/livez", get(alive))
        .route("/startupz", get(alive))
        .route("/-/ready", get(ready))
        .route("/readyz", get(checked))
        .route("/metrics", get(metrics))
}

/// `GET /-/healthy`: the process answers.
async fn healthy() -> &'static str {
    "ALL-USE is healthy.\n"
}

/// `GET /livez`: the process answers. `GET /startupz`: it has started; it listens only after its
/// log was replayed.
async fn alive() -> &'static str {
    "ok\n"
}

/// The subsystems, looked at where a slow disk holds up nobody.
async fn look(app: Arc<App>) -> Result<Vec<Seen>, ApiError> {
    let seen = tokio::task::spawn_blocking(move || app.health.look()).await;
    seen.map_err(|e| ApiError::internal(format!("a health check failed: {e}")))
}

/// `GET /-/ready`: samples can be stored and queries answered.
async fn ready(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let seen = look(app).await?;
    let failed: Vec<String> = health::not_ready(&seen).map(named).collect();
    if !failed.is_empty() {
        let what = format!("ALL-USE is not ready: {}\n", failed.join("; "));
        return Ok((StatusCode::SERVICE_UNAVAILABLE, what).into_response());
    }
    let ailing = seen.iter().filter(|s| s.state != health::State::Healthy);
    let ailing: Vec<String> = ailing.map(named).collect();
    if ailing.is_empty() {
        return Ok("ALL-USE is ready.\n".into_response());
    }
    let what = format!("ALL-USE is ready, and degraded: {}\n", ailing.join("; "));
    Ok(what.into_response())
}

fn named(seen: &Seen) -> String {
    format!("{}: {}", seen.name, seen.reason)
}

/// `GET /readyz?verbose&exclude=NAME`: as Kubernetes' own components answer it.
async fn checked(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let excluded: BTreeSet<&str> = params.all("exclude").collect();
    let seen = look(app).await?;
    let failed = health::not_ready(&seen).any(|s| !excluded.contains(s.name));
    if !failed && params.get("verbose").is_none() {
        return Ok("ok\n".into_response());
    }
    let mut text: String = seen.iter().map(|s| line(s, &excluded)).collect();
    for name in &excluded {
        if seen.iter().all(|s| s.name != *name) {
            text.push_str(&format!("warn: no check {name} to exclude\n"));
        }
    }
    let (status, word) = if failed {
        (StatusCode::SERVICE_UNAVAILABLE, "failed")
    } else {
        (StatusCode::OK, "passed")
    };
    Ok((status, format!("{text}readyz check {word}\n")).into_response())
}

fn line(seen: &Seen, excluded: &BTreeSet<&str>) -> String {
    let (name, state) = (seen.name, seen.state.as_str());
    if excluded.contains(name) {
        return format!("[+]{name} excluded: ok\n");
    }
    let why = if seen.reason.is_empty() {
        String::new()
    } else {
        format!(" ({state}: {})", seen.reason)
    };
    match seen.need {
        Need::Required if seen.state == health::State::Unhealthy => {
            format!("[-]{name} failed{why}\n")
        }
        Need::Required | Need::Optional => format!("[+]{name} ok{why}\n"),
    }
}

/// `GET /api/v1/health`: every subsystem, its state and reason, and whose fault it is.
pub(super) async fn subsystems(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let seen = look(app).await?;
    let rows: Vec<Value> = seen.iter().map(shown).collect();
    let overall = health::overall(&seen).as_str();
    Ok(success(json!({ "status": overall, "subsystems": rows })))
}

fn shown(seen: &Seen) -> Value {
    json!({
        "name": seen.name,
        "status": seen.state.as_str(),
        "reason": seen.reason,
        "causes": seen.causes,
        "dependsOn": seen.depends_on,
        "required": seen.need == Need::Required,
        "since": seen.since_ms as f64 / 1e3,
    })
}

/// `GET /metrics`
async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut text = app.telemetry.registry.render(Format::Prometheus);
    text.push_str(&crate::telemetry::collector_text(&app.collector));
    text.push_str(&app.ruling.metrics_text());
    text.push_str(&app.notifying.alertmanagers().metrics_text());
    (
        [(header::CONTENT_TYPE, Format::Prometheus.content_type())],
        text,
    )
        .into_response()
}
