//! `GET|POST /api/v1/export?match[]=&start=&end=`: raw samples as JSON lines, bit for bit.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use model::Selection;

use super::{App, params::Params, problem::ApiError};
use crate::exchange;

/// Bytes sent at a time.
const CHUNK_BYTES: usize = 1 << 17;

/// Streams the series that match; a series once for each selector. What cannot be read ends the
/// stream with an error, so that a part is not taken for the whole.
pub(super) async fn json_lines(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Response, ApiError> {
    let any_of = params.matchers()?;
    if any_of.is_empty() {
        return Err(ApiError::bad("no match[] parameter provided"));
    }
    let from_ms = params.time_ms("start")?.unwrap_or(i64::MIN);
    let to_ms = params.time_ms("end")?.unwrap_or(i64::MAX);
    let place = app.queries.try_place();
    let place = place.ok_or_else(|| ApiError::unavailable("too many queries are running"))?;
    // A few chunks ahead of a reader that is slower than the store.
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let send = |chunk: Vec<u8>| sender.blocking_send(Ok(chunk)).is_ok();
        let mut chunk = Vec::new();
        for matchers in any_of {
            let selection = Selection {
                matchers,
                from_ms,
                to_ms,
            };
            if let Err(error) = write(&app, &selection, &mut chunk, &send) {
                drop(sender.blocking_send(Err(std::io::Error::other(error))));
                return;
            }
        }
        send(chunk);
        drop(place);
    });
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

fn write(
    app: &App,
    selection: &Selection,
    chunk: &mut Vec<u8>,
    send: &dyn Fn(Vec<u8>) -> bool,
) -> Result<(), model::ReadError> {
    for series in app.reader.select(selection)? {
        exchange::json_lines(&series?, chunk);
        if chunk.len() >= CHUNK_BYTES && !send(std::mem::take(chunk)) {
            // Nobody reads any more.
            return Ok(());
        }
    }
    Ok(())
}
