//! The change feed over HTTP: points as they are stored, from whichever door.
//!
//! `GET /api/v1/feed?match[]=up&match[]={job="a"}`: server-sent events. `points` events carry up
//! to [`POINTS_MAX`] samples in the form `/api/v1/import` reads, and an `id` to resume at
//! (`Last-Event-ID`, or `from=ID`); a `missed` event says how many points the reader was too slow
//! for, counted before the filter; a `reset` event that the place to resume at is not known here,
//! such as after a restart. `format=ndjson` gives one such line a sample instead, as `import` takes
//! them, with `{"missed":n}` and `{"reset":true}` between. A reader never holds anybody up.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts as _, Request, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use model::{Batch, Matcher, Sample, Series, Value};
use serde_json::json;
use store::{Delivery, Feed, Position, Subscription};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{App, params::Params, problem::ApiError};
use crate::exchange;

/// Readers at once.
pub(crate) const READERS_MAX: usize = 16;

/// Samples of one event.
const POINTS_MAX: usize = 500;

/// Events written ahead of a reader; beyond them it lags in the ring, and then misses.
const EVENTS_AHEAD: usize = 4;

/// A sign of life while nothing is stored, so that a reader that is gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How a reader wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Events,
    Lines,
}

/// `GET /api/v1/feed`
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let headers = HeaderMap::from_request_parts(&mut parts, &app)
        .await
        .unwrap_or_default();
    let request = Request::from_parts(parts, body);
    let params = <Params as axum::extract::FromRequest<_>>::from_request(request, &app).await?;
    let format = format_of(&params)?;
    let place = app.feeds.clone().try_acquire_owned();
    let place = place.map_err(|_full| ApiError::unavailable("too many readers of the feed"))?;
    let (subscription, known) = subscription(&app.feed, &params, &headers)?;
    let (sender, receiver) = mpsc::channel(EVENTS_AHEAD);
    tokio::spawn(async move {
        if known || sender.send(Ok(format.reset())).await.is_ok() {
            serve(subscription, format, &sender).await;
        }
        drop(place);
    });
    let kind = match format {
        Format::Events => "text/event-stream",
        Format::Lines => "application/x-ndjson",
    };
    let head = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((head, Body::from_stream(ReceiverStream::new(receiver))).into_response())
}

fn format_of(params: &Params) -> Result<Format, ApiError> {
    match params.get("format") {
        None | Some("" | "sse") => Ok(Format::Events),
        Some("ndjson") => Ok(Format::Lines),
        Some(other) => Err(ApiError::bad(format!(
            "invalid parameter \"format\": {other:?} is neither sse nor ndjson"
        ))),
    }
}

/// The subscription asked for, and whether the place to resume at is known.
fn subscription(
    feed: &Feed,
    params: &Params,
    headers: &HeaderMap,
) -> Result<(Subscription, bool), ApiError> {
    let any_of: Vec<Vec<Matcher>> = params.matchers()?;
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok());
    let Some(from) = last.or_else(|| params.get("from")) else {
        return Ok((feed.subscribe(any_of), true));
    };
    let from: Position = from
        .parse()
        .map_err(|e| ApiError::bad(format!("invalid parameter \"from\": {e}")))?;
    Ok(match feed.resume(any_of.clone(), from) {
        Some(subscription) => (subscription, true),
        None => (feed.subscribe(any_of), false),
    })
}

type Sender = mpsc::Sender<Result<Bytes, std::convert::Infallible>>;

/// Sends until the reader goes away or the feed ends.
async fn serve(mut subscription: Subscription, format: Format, sender: &Sender) {
    loop {
        let next = tokio::time::timeout(KEEP_ALIVE, subscription.next());
        let delivery = tokio::select! {
            next = next => next,
            () = sender.closed() => return,
        };
        let sent = match delivery {
            Ok(Some(Delivery::Points { shown, next, .. })) => {
                send_points(&shown.batch(), next, format, sender).await
            }
            Ok(Some(Delivery::Missed(points))) => send(sender, format.missed(points)).await,
            Ok(None) => return,
            Err(_nothing_stored) => send(sender, format.alive()).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn send(sender: &Sender, bytes: Bytes) -> Result<(), ()> {
    sender.send(Ok(bytes)).await.map_err(|_gone| ())
}

/// The place to resume at goes with the last event of a batch.
async fn send_points(
    batch: &Batch,
    next: Position,
    format: Format,
    sender: &Sender,
) -> Result<(), ()> {
    let mut pieces = batch.samples.chunks(POINTS_MAX).peekable();
    while let Some(samples) = pieces.next() {
        let id = pieces.peek().is_none().then_some(next);
        send(sender, format.points(batch.door, samples, id)).await?;
    }
    Ok(())
}

impl Format {
    fn event(self, kind: &str, data: &serde_json::Value) -> Bytes {
        match self {
            Self::Events => format!("event: {kind}\ndata: {data}\n\n").into(),
            Self::Lines => format!("{data}\n").into(),
        }
    }

    fn missed(self, points: u64) -> Bytes {
        self.event("missed", &json!({ "missed": points }))
    }

    fn reset(self) -> Bytes {
        self.event("reset", &json!({ "reset": true }))
    }

    fn alive(self) -> Bytes {
        match self {
            Self::Events => Bytes::from_static(b":\n\n"),
            Self::Lines => Bytes::from_static(b"\n"),
        }
    }

    fn points(self, door: &str, samples: &[Sample], id: Option<Position>) -> Bytes {
        let lines = lines(samples);
        if self == Self::Lines {
            return lines.into();
        }
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        let mut event =
            format!("event: points\n{id}data: {{\"door\":{door:?},\"points\":[").into_bytes();
        let each = lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        for (i, line) in each.enumerate() {
            if i > 0 {
                event.push(b',');
            }
            event.extend_from_slice(line);
        }
        event.extend_from_slice(b"]}\n\n");
        event.into()
    }
}

/// Samples as `/api/v1/import` reads them, one a line.
fn lines(samples: &[Sample]) -> Vec<u8> {
    let mut out = Vec::new();
    for sample in samples {
        let mut series = Series::new(sample.labels.clone());
        match &sample.value {
            Value::Float(value) => series.push(sample.time_ms, *value),
            Value::Histogram(histogram) => {
                series.push_histogram(sample.time_ms, Arc::clone(histogram));
            }
        }
        exchange::json_lines(&series, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    fn samples(values: &[f64]) -> Vec<Sample> {
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "a")]);
        let sample = |(i, v): (usize, &f64)| Sample::float(labels.clone(), i as i64, *v);
        values.iter().enumerate().map(sample).collect()
    }

    #[test]
    fn an_event_has_its_samples_and_the_place_to_resume_at() {
        let id = Position {
            epoch: 7,
            point: 42,
        };
        let event = Format::Events.points("scrape", &samples(&[1.5, 2.0]), Some(id));
        let text = std::str::from_utf8(&event).unwrap();
        let (head, data) = text.split_once("data: ").unwrap();
        assert_eq!(head, "event: points\nid: 7-42\n");
        let data: serde_json::Value = serde_json::from_str(data.trim_end()).unwrap();
        assert_eq!(data["door"], "scrape");
        assert_eq!(data["points"][0]["metric"]["job"], "a");
        assert_eq!(data["points"][1]["values"][0], 2.0);
        assert_eq!(text.trim_end().lines().count(), 3);
    }

    #[test]
    fn lines_are_what_import_reads_bit_for_bit() {
        let values = [0.1, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let mut sent = samples(&values);
        sent.push(Sample::float(sent[0].labels.clone(), 9, model::stale_nan()));
        let body = Format::Lines.points("", &sent, None);
        let request = collect::receive::Request {
            body: &body,
            ..Default::default()
        };
        let received = collect::receive::Receiver::default().json_lines(&request);
        let received = received.unwrap();
        assert!(received.rejected.is_empty(), "{:?}", received.rejected);
        for (sent, read) in sent.iter().zip(&received.batch.samples) {
            assert_eq!((&sent.labels, sent.time_ms), (&read.labels, read.time_ms));
            let bits = |s: &Sample| match s.value {
                Value::Float(v) => v.to_bits(),
                Value::Histogram(_) => unreachable!("floats were sent"),
            };
            assert_eq!(bits(sent), bits(read));
        }
    }
}
