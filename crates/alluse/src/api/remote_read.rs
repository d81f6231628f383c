//! `POST /api/v1/read`: raw samples for another Prometheus, as its remote read asks for them.
//!
//! Both ways of answering: every sample in one snappy-compressed message, or, where the client
//! takes it and there are only floats, frames of XOR chunks, a tenth of the size. Either has to be
//! in order of labels, so the samples of a request are held at once, no more of them than a query
//! may hold. Hints are not needed: whole ranges are given. Spec:
//! <https://prometheus.io/docs/specs/prw/remote_read_api/>.

mod frames;
mod message;
mod xor;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use model::{Labels, Matcher, Selection, Series};

use super::{App, problem::ApiError};
use message::{ReadRequest, ResponseType};

/// Bytes a request may have when decompressed: thousands of matchers.
const REQUEST_BYTES_MAX: usize = 4 << 20;

pub(super) async fn read(State(app): State<Arc<App>>, body: Bytes) -> Result<Response, ApiError> {
    let mut plain = Vec::new();
    collect::receive::snappy::decode(&body, REQUEST_BYTES_MAX, &mut plain)
        .map_err(|e| ApiError::bad(format!("the request is not snappy: {e}")))?;
    let request = ReadRequest::decode(&plain).map_err(ApiError::bad)?;
    let place = app.queries.try_place();
    let place = place.ok_or_else(|| ApiError::unavailable("too many queries are running"))?;
    let task = tokio::task::spawn_blocking(move || {
        let answer = answer(&app, &request);
        drop(place);
        answer
    });
    let answer = task.await;
    answer.map_err(|e| ApiError::internal(format!("the read failed: {e}")))?
}

/// The series of each query of a request, with their labels as they are told.
type Found = Vec<Vec<(Labels, Series)>>;

fn answer(app: &App, request: &ReadRequest) -> Result<Response, ApiError> {
    let external = app.scraping.external_labels();
    let mut left = app.engine.options().limits.samples;
    let found: Found = request
        .queries
        .iter()
        .map(|query| found(app, &query.selection(&external), &external, &mut left))
        .collect::<Result<_, _>>()?;
    // There are chunks of floats only: histograms are told as samples.
    let all = || found.iter().flatten();
    let is_float = all().all(|(_, series)| series.histograms.is_empty());
    if request.response_type() == ResponseType::Chunks && is_float {
        return Ok(in_chunks(&found));
    }
    Ok(in_samples(&found))
}

fn in_chunks(found: &Found) -> Response {
    let mut out = Vec::new();
    for (query, series) in found.iter().enumerate() {
        for (labels, series) in series {
            frames::write_series(&mut out, query, labels, series);
        }
    }
    let kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    ([(header::CONTENT_TYPE, kind)], Body::from(out)).into_response()
}

fn in_samples(found: &Found) -> Response {
    let mut out = Vec::new();
    for series in found {
        let mut result = Vec::new();
        for (labels, series) in series {
            message::write_series(&mut result, labels, series);
        }
        remote::write::protobuf::bytes(&mut out, 1, &result);
    }
    let headers = [
        (header::CONTENT_TYPE, "application/x-protobuf"),
        (header::CONTENT_ENCODING, "snappy"),
    ];
    (headers, Body::from(remote::write::snappy(&out))).into_response()
}

/// The series of a selection with the external labels they do not have, in order of labels.
fn found(
    app: &App,
    selection: &Selection,
    external: &BTreeMap<String, String>,
    left: &mut usize,
) -> Result<Vec<(Labels, Series)>, ApiError> {
    let mut all = Vec::new();
    for series in app.reader.select(selection)? {
        let series = series?;
        *left = left.checked_sub(series.times_ms.len()).ok_or_else(|| {
            let most = app.engine.options().limits.samples;
            ApiError::bad(format!("exceeded sample limit ({most})"))
        })?;
        let mut labels = series.labels.to_builder();
        for (name, value) in external {
            if series.labels.get(name).is_none() {
                labels.set(name, value);
            }
        }
        all.push((labels.build(), series));
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(all)
}

impl message::Query {
    /// What is to be read: matchers that ask for an external label by its value always hold.
    fn selection(&self, external: &BTreeMap<String, String>) -> Selection {
        let is_external =
            |m: &&Matcher| m.op == model::MatchOp::Equal && external.get(&m.name) == Some(&m.value);
        let wanted = self.matchers.iter().filter(|m| !is_external(m));
        Selection {
            matchers: wanted.cloned().collect(),
            from_ms: self.from_ms,
            to_ms: self.to_ms,
        }
    }
}
