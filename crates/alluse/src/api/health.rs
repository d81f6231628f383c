//! Whether the server lives, whether it can serve, and its own metrics.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use runtime::metrics::Format;

use super::App;
use crate::keep;

/// `GET /-/healthy`: the process answers.
pub(super) async fn healthy() -> &'static str {
    "ALL-USE is healthy.\n"
}

/// `GET /-/ready`: samples can be stored and queries answered.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let store = app.view.borrow().status.store.clone();
    if store == "healthy" {
        return "ALL-USE is ready.\n".into_response();
    }
    if store == keep::REMOTE_DOWN {
        return "ALL-USE is degraded: the remote store does not answer; samples wait in the queue.\n"
            .into_response();
    }
    let message = format!("ALL-USE answers queries but stores nothing: {store}\n");
    (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
}

/// `GET /metrics`
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut text = app.telemetry.registry.render(Format::Prometheus);
    text.push_str(&crate::telemetry::collector_text(&app.collector));
    (
        [(header::CONTENT_TYPE, Format::Prometheus.content_type())],
        text,
    )
        .into_response()
}
