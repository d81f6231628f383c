//! Samples pushed to the server: remote write 1.0 and 2.0, OTLP, InfluxDB lines, JSON lines, CSV. The
//! reply says exactly what was stored.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use collect::receive::{Reply, Request};
use model::Durability;

use super::{App, problem::ApiError};
use crate::config;

/// `POST /api/v1/write`
pub(super) async fn remote_write(
    app: State<Arc<App>>,
    request: Pushed,
) -> Result<Response, ApiError> {
    push(app, request, |app, request, durability| {
        app.receiver
            .serve_remote_write(request, app.sink.as_ref(), durability)
    })
    .await
}

/// `POST /v1/metrics`, `POST /api/v1/otlp/v1/metrics`: OTLP over HTTP, protobuf or JSON.
pub(super) async fn otlp(app: State<Arc<App>>, request: Pushed) -> Result<Response, ApiError> {
    push(app, request, |app, request, durability| {
        app.receiver
            .serve_otlp(request, app.sink.as_ref(), durability)
    })
    .await
}

/// `POST /write`, `POST /api/v2/write`: InfluxDB's line protocol.
pub(super) async fn influx(app: State<Arc<App>>, request: Pushed) -> Result<Response, ApiError> {
    push(app, request, |app, request, durability| {
        let received = app.receiver.influx(request);
        app.receiver
            .store_lines(received, app.sink.as_ref(), durability)
    })
    .await
}

/// `POST /api/v1/import`: one series a line, as JSON.
pub(super) async fn json_lines(
    app: State<Arc<App>>,
    request: Pushed,
) -> Result<Response, ApiError> {
    push(app, request, |app, request, durability| {
        let received = app.receiver.json_lines(request);
        app.receiver
            .store_lines(received, app.sink.as_ref(), durability)
    })
    .await
}

/// `POST /api/v1/import/csv`: one sample a row.
pub(super) async fn csv(app: State<Arc<App>>, request: Pushed) -> Result<Response, ApiError> {
    push(app, request, |app, request, durability| {
        let received = app.receiver.csv(request);
        app.receiver
            .store_lines(received, app.sink.as_ref(), durability)
    })
    .await
}

/// A request that pushes samples.
#[derive(Debug)]
pub(super) struct Pushed {
    headers: HeaderMap,
    query: String,
    body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Pushed {
    type Rejection = BytesRejection;

    async fn from_request(
        request: axum::extract::Request,
        state: &S,
    ) -> Result<Self, Self::Rejection> {
        let headers = request.headers().clone();
        let query = request.uri().query().unwrap_or_default().to_owned();
        Ok(Self {
            headers,
            query,
            body: Bytes::from_request(request, state).await?,
        })
    }
}

/// Decodes and stores on a thread where that may take its time, so many at once as there are
/// places.
async fn push(
    State(app): State<Arc<App>>,
    pushed: Pushed,
    serve: impl FnOnce(&App, &Request<'_>, Durability) -> Reply + Send + 'static,
) -> Result<Response, ApiError> {
    let durability = durability(&app, &pushed.headers)?;
    let place = app.ingests.clone().acquire_owned().await;
    let place = place.map_err(|_closed| ApiError::unavailable("the server is shutting down"))?;
    let task = tokio::task::spawn_blocking(move || {
        let said = |name: HeaderName| pushed.headers.get(name).and_then(|v| v.to_str().ok());
        let request = Request {
            content_type: said(header::CONTENT_TYPE),
            content_encoding: said(header::CONTENT_ENCODING),
            query: &pushed.query,
            body: &pushed.body,
            now_ms: app.clock.wall_ms(),
        };
        let reply = serve(&app, &request, durability);
        drop(place);
        reply
    });
    let reply = task
        .await
        .map_err(|e| ApiError::internal(format!("the write failed: {e}")))?;
    Ok(written(reply))
}

/// When this request counts as stored: `fast` (survives the process) or `sync` (survives a power
/// cut), as its header says, or as the configuration does (`store.durability`).
const DURABILITY: &str = "x-alluse-durability";

fn durability(app: &App, headers: &HeaderMap) -> Result<Durability, ApiError> {
    let Some(said) = headers.get(DURABILITY) else {
        return Ok(app.config.store.durability);
    };
    let known = config::DURABILITY
        .iter()
        .find(|(name, _)| said.as_bytes() == name.as_bytes());
    known
        .map(|(_, durability)| *durability)
        .ok_or_else(|| ApiError::bad(format!("{DURABILITY}: expected \"fast\" or \"sync\"")))
}

fn written(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Body::from(reply.body)).into_response();
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
