//! What the streams of the configuration did, and what they could not use.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{App, problem::ApiError};

/// `GET /api/v1/streams`
pub(super) async fn all(State(app): State<Arc<App>>) -> Response {
    let streams = app.streams.as_ref();
    found(streams.map_or_else(|| json!([]), |s| s.shown()))
}

/// `GET /api/v1/streams/{name}/dead_letters`: the newest first.
pub(super) async fn dead_letters(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let letters = app.streams.as_ref().and_then(|s| s.dead_letters(&name));
    let letters =
        letters.ok_or_else(|| ApiError::missing(format!("no stream is named {name:?}")))?;
    Ok(found(letters))
}

fn found(data: Value) -> Response {
    Json(json!({ "status": "success", "data": data })).into_response()
}
