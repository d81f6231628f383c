//! The live stream: server-sent events, one stream a page.
//!
//! `GET /api/v1/loop/live?query=...&query=...` answers each query once a second; changes,
//! decisions, findings and the status come as they happen. A page that cannot keep up misses
//! events and is told so by a comment; it never holds anybody else up.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{self, Sse},
    },
};
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use wire::live::Event;

use super::{App, params::Params, problem::ApiError};

/// Queries one page may have answered each second.
const QUERIES_MAX: usize = 32;

/// Events a page may lag behind before it misses some.
const EVENTS_AHEAD: usize = 64;

/// `GET /api/v1/loop/live`
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Response, ApiError> {
    let queries: Vec<String> = params.all("query").map(str::to_owned).collect();
    if queries.len() > QUERIES_MAX {
        return Err(ApiError::bad(format!(
            "at most {QUERIES_MAX} queries a stream"
        )));
    }
    for text in &queries {
        app.engine
            .parse(text)
            .map_err(|e| ApiError::bad(format!("invalid parameter \"query\": {e}")))?;
    }
    let place = app.live.clone().try_acquire_owned();
    let place = place.map_err(|_full| ApiError::unavailable("too many pages are listening"))?;
    let (sender, receiver) = mpsc::channel(EVENTS_AHEAD);
    tokio::spawn(async move {
        serve(&app, queries, &sender).await;
        drop(place);
    });
    let keep_alive = sse::KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(ReceiverStream::new(receiver))
        .keep_alive(keep_alive)
        .into_response())
}

type Sender = mpsc::Sender<Result<sse::Event, Infallible>>;

/// Sends until the page goes away or the server stops.
async fn serve(app: &Arc<App>, queries: Vec<String>, sender: &Sender) {
    let mut events = app.events.subscribe();
    let queries = Arc::new(queries);
    let first = Event::Status {
        status: app.view.borrow().status.clone(),
    };
    if send(sender, &first).await.is_err() {
        return;
    }
    loop {
        let sent = match events.recv().await {
            Ok(Signal::Tick { at_ms }) => send_points(app, &queries, sender, at_ms).await,
            Ok(Signal::Event(event)) => send(sender, &event).await,
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                let comment = sse::Event::default().comment(format!("{missed} events missed"));
                sender.send(Ok(comment)).await.map_err(|_gone| ())
            }
            Err(broadcast::error::RecvError::Closed) => return,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn send_points(
    app: &Arc<App>,
    queries: &Arc<Vec<String>>,
    sender: &Sender,
    at_ms: i64,
) -> Result<(), ()> {
    if queries.is_empty() {
        return Ok(());
    }
    let (app, queries) = (Arc::clone(app), Arc::clone(queries));
    let task = tokio::task::spawn_blocking(move || {
        app.measure.points(app.reader.as_ref(), &queries, at_ms)
    });
    let points = task.await.map_err(|_failed| ())?;
    send(sender, &Event::Points { at_ms, points }).await
}

async fn send(sender: &Sender, event: &Event) -> Result<(), ()> {
    let json = serde_json::to_string(event).expect("events are JSON");
    sender
        .send(Ok(sse::Event::default().data(json)))
        .await
        .map_err(|_gone| ())
}

/// What the loop tells its listeners.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    /// A second has passed and its samples are stored.
    Tick {
        /// The second, ms since the Unix epoch.
        at_ms: i64,
    },
    /// Something happened.
    Event(Arc<Event>),
}
