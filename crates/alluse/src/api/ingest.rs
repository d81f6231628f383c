//! Samples pushed to the server: remote write 1.0 and 2.0, OTLP, InfluxDB lines, JSON lines, CSV. The
//! reply says exactly what was stored.

mod connection;
mod places;

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, FromRef, FromRequest, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use collect::receive::{Reply, Request, remote_write::Written};
use model::{Clock, Durability, SampleSink};

pub(crate) use connection::Connection;
pub(crate) use places::{NoPlace, Places};

use super::{App, problem::ApiError};
use crate::config;

/// `POST /api/v1/write`. What is refused before it is read counts what was written, too.
pub(super) async fn remote_write(doors: State<Doors>, request: Pushed) -> Response {
    let pushed = push(doors, request, |doors, request, durability| {
        doors
            .receiver
            .serve_remote_write(request, doors.sink.as_ref(), durability)
    });
    pushed.await.unwrap_or_else(|refused| {
        with_headers(refused.into_response(), Written::default().headers())
    })
}

/// `POST /v1/metrics`, `POST /api/v1/otlp/v1/metrics`: OTLP over HTTP, protobuf or JSON.
pub(super) async fn otlp(doors: State<Doors>, request: Pushed) -> Result<Response, ApiError> {
    push(doors, request, |doors, request, durability| {
        doors
            .receiver
            .serve_otlp(request, doors.sink.as_ref(), durability)
    })
    .await
}

/// `POST /write`, `POST /api/v2/write`: InfluxDB's line protocol.
pub(super) async fn influx(doors: State<Doors>, request: Pushed) -> Result<Response, ApiError> {
    push(doors, request, |doors, request, durability| {
        doors
            .receiver
            .serve_influx(request, doors.sink.as_ref(), durability)
    })
    .await
}

/// `POST /api/v1/import`: one series a line, as JSON.
pub(super) async fn json_lines(doors: State<Doors>, request: Pushed) -> Result<Response, ApiError> {
    push(doors, request, |doors, request, durability| {
        doors
            .receiver
            .serve_json_lines(request, doors.sink.as_ref(), durability)
    })
    .await
}

/// `POST /api/v1/import/csv`: one sample a row.
pub(super) async fn csv(doors: State<Doors>, request: Pushed) -> Result<Response, ApiError> {
    push(doors, request, |doors, request, durability| {
        doors
            .receiver
            .serve_csv(request, doors.sink.as_ref(), durability)
    })
    .await
}

/// What the doors for pushed samples share: in the server, and in an agent.
#[derive(Debug, Clone)]
pub(crate) struct Doors(pub(crate) Arc<Behind>);

/// What is behind the doors.
pub(crate) struct Behind {
    /// Decodes.
    pub(crate) receiver: collect::receive::Receiver,
    /// Stores.
    pub(crate) sink: Arc<dyn SampleSink>,
    /// Places for requests that push samples.
    pub(crate) places: Places,
    pub(crate) clock: Arc<dyn Clock>,
    /// When a request counts as stored that does not say.
    pub(crate) durability: Durability,
}

impl std::fmt::Debug for Behind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Behind")
    }
}

impl std::ops::Deref for Doors {
    type Target = Behind;

    fn deref(&self) -> &Behind {
        &self.0
    }
}

impl FromRef<Arc<App>> for Doors {
    fn from_ref(app: &Arc<App>) -> Self {
        app.doors.clone()
    }
}

/// The routes of the doors.
pub(crate) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Doors: FromRef<S>,
{
    Router::new()
        .route("/api/v1/write", post(remote_write))
        .route("/api/v1/otlp/v1/metrics", post(otlp))
        .route("/v1/metrics", post(otlp))
        .route("/api/v1/import", post(json_lines))
        .route("/api/v1/import/csv", post(csv))
        .route("/write", post(influx))
        .route("/api/v2/write", post(influx))
}

/// A request that pushes samples.
#[derive(Debug)]
pub(super) struct Pushed {
    headers: HeaderMap,
    query: String,
    body: Bytes,
    connection: u64,
}

impl<S: Send + Sync> FromRequest<S> for Pushed {
    type Rejection = BytesRejection;

    async fn from_request(
        request: axum::extract::Request,
        state: &S,
    ) -> Result<Self, Self::Rejection> {
        let headers = request.headers().clone();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let connection = request.extensions().get::<ConnectInfo<Connection>>();
        let connection = connection.map_or(0, |ConnectInfo(connection)| connection.0);
        Ok(Self {
            headers,
            query,
            connection,
            body: Bytes::from_request(request, state).await?,
        })
    }
}

/// Decodes and stores on a thread where that may take its time, so many at once as there are
/// places.
async fn push(
    State(doors): State<Doors>,
    pushed: Pushed,
    serve: impl FnOnce(&Doors, &Request<'_>, Durability) -> Reply + Send + 'static,
) -> Result<Response, ApiError> {
    let durability = durability(&doors, &pushed.headers)?;
    let place = doors.places.take().await.map_err(|none| match none {
        // 503 with `Retry-After`: every protocol here repeats then.
        NoPlace::Full => ApiError::unavailable("too many writes are waiting: come again"),
        NoPlace::Closed => ApiError::unavailable("the server is shutting down"),
    })?;
    let task = tokio::task::spawn_blocking(move || {
        let said = |name: HeaderName| pushed.headers.get(name).and_then(|v| v.to_str().ok());
        let request = Request {
            content_type: said(header::CONTENT_TYPE),
            content_encoding: said(header::CONTENT_ENCODING),
            query: &pushed.query,
            body: &pushed.body,
            now_ms: doors.clock.wall_ms(),
            connection: pushed.connection,
        };
        let reply = serve(&doors, &request, durability);
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

fn durability(doors: &Doors, headers: &HeaderMap) -> Result<Durability, ApiError> {
    let Some(said) = headers.get(DURABILITY) else {
        return Ok(doors.durability);
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
    with_headers(
        (status, Body::from(reply.body)).into_response(),
        reply.headers,
    )
}

fn with_headers(mut response: Response, headers: Vec<(&'static str, String)>) -> Response {
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
