//! Prometheus's HTTP API: queries, and the envelope of every answer.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use query::{Answer, Engine, Phase, QueryError, QueryValue, Watch};
use serde_json::json;

use super::{
    App,
    names::TRUNCATED,
    params::{Params, Span},
    problem::ApiError,
};
use crate::queries::{Admitted, Asked};

pub(super) type Reply = Result<Response, ApiError>;

/// `GET|POST /api/v1/query`
pub(super) async fn instant(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Params,
) -> Reply {
    let text = params.get("query").unwrap_or_default().to_owned();
    if let Some(remote) = &app.answers {
        return forwarded(&app, remote, "query", params).await;
    }
    let (limit, engine) = (params.limit()?, engine(&app, &params)?);
    let time_ms = params
        .moment_ms("time")?
        .unwrap_or_else(|| app.clock.wall_ms());
    let asked = asked(&text, (time_ms, time_ms, 0), &headers, &params);
    evaluate(&app, &params, asked, move |app, watch| {
        let answer = engine.instant_watched(app.reader.as_ref(), &text, time_ms, watch);
        Ok(limited(answer?, limit))
    })
    .await
}

/// `GET|POST /api/v1/query_range`
pub(super) async fn range(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Params,
) -> Reply {
    let text = params.get("query").unwrap_or_default().to_owned();
    let start_ms = params.required_time_ms("start")?;
    let end_ms = params.required_time_ms("end")?;
    if end_ms < start_ms {
        return Err(ApiError::bad(
            "invalid parameter \"end\": end timestamp must not be before start time",
        ));
    }
    let step_ms = params.step_ms()?;
    if let Some(remote) = &app.answers {
        return forwarded(&app, remote, "query_range", params).await;
    }
    let (limit, mut engine) = (params.limit()?, engine(&app, &params)?);
    // Who asks what a query takes is told what it takes in whole.
    if wants_stats(&params) || params.get("nocache") == Some("1") {
        engine = engine.without_cache();
    }
    let asked = asked(&text, (start_ms, end_ms, step_ms), &headers, &params);
    evaluate(&app, &params, asked, move |app, watch| {
        let reader = app.reader.as_ref();
        let answer = engine.range_watched(reader, &text, start_ms, end_ms, step_ms, watch);
        Ok(limited(answer?, limit))
    })
    .await
}

/// What the list of queries says of a request.
pub(super) fn asked(
    text: &str,
    times: (i64, i64, i64),
    headers: &HeaderMap,
    params: &Params,
) -> Asked {
    let client = headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    Asked {
        text: text.to_owned(),
        times,
        client: client.unwrap_or_default().to_owned(),
        by_step: params.get("stats") == Some("all"),
        by_operator: false,
    }
}

/// The answer of the store elsewhere, as it gave it: the query is its to evaluate, whole.
async fn forwarded(
    app: &App,
    remote: &Arc<remote::RemoteReader>,
    route: &'static str,
    params: Params,
) -> Reply {
    let text = params.get("query").unwrap_or_default();
    let asked = asked(text, (0, 0, 0), &HeaderMap::new(), &params);
    let place = app.queries.admit(asked, app.config.server.query_timeout);
    let place = place.await?;
    let remote = Arc::clone(remote);
    let task = tokio::task::spawn_blocking(move || {
        let answered = remote.forward(route, params.pairs());
        place.note(&Ok(()));
        answered
    });
    let answered = task
        .await
        .map_err(|e| ApiError::internal(format!("the query failed: {e}")))??;
    let status = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let kind = [(header::CONTENT_TYPE, answered.content_type)];
    Ok((status, kind, answered.body).into_response())
}

fn wants_stats(params: &Params) -> bool {
    params.get("stats").is_some_and(|stats| !stats.is_empty())
}

/// Runs a query in its turn, and writes its answer.
async fn evaluate(
    app: &Arc<App>,
    params: &Params,
    asked: Asked,
    run: impl FnOnce(&App, Watch<'_>) -> Result<Answer, QueryError> + Send + 'static,
) -> Reply {
    let wants_stats = wants_stats(params);
    let body = in_turn(app, params, asked, move |app, watch, admitted| {
        let answer = run(app, watch)?;
        let _answer = watch.account.hold(answer_bytes(&answer.value))?;
        Ok(written(&answer, wants_stats.then_some(admitted)))
    });
    Ok(json_body(body.await?))
}

/// Does the work of a query on a thread of its own, within the time it may take and never more
/// of them at once than there are places. Who gives up waiting ends it.
pub(super) async fn in_turn<T: Send + 'static>(
    app: &Arc<App>,
    params: &Params,
    asked: Asked,
    work: impl FnOnce(&App, Watch<'_>, &Admitted) -> Result<T, QueryError> + Send + 'static,
) -> Result<T, ApiError> {
    let time = timeout(app, params)?;
    let admitted = app.queries.admit(asked, time).await?;
    let _leash = admitted.leash();
    let app = Arc::clone(app);
    let task = tokio::task::spawn_blocking(move || {
        let watch = Watch {
            stop: &admitted.stop(time),
            account: &admitted.ticket.account,
        };
        let done = work(&app, watch, &admitted);
        admitted.note(&done);
        done
    });
    let done = task.await;
    Ok(done.map_err(|e| ApiError::internal(format!("the query failed: {e}")))??)
}

/// The time a query may take: what the request wants, and no more than the server gives.
fn timeout(app: &App, params: &Params) -> Result<Duration, ApiError> {
    let most = app.config.server.query_timeout;
    // Less than nothing is over at once, too.
    let asked = params.span("timeout")?;
    let asked = asked.map(|span| Duration::from_millis(u64::try_from(span.ms).unwrap_or(0)));
    Ok(asked.map_or(most, |asked| most.min(asked)))
}

/// What an answer takes, as values and as JSON.
fn answer_bytes(value: &QueryValue) -> usize {
    /// A time and a value: 16 bytes, and up to 40 of text.
    const POINT_BYTES: usize = 56;
    let labels = |labels: &model::Labels| 2 * labels.as_bytes().len() + 128;
    match value {
        QueryValue::Scalar { .. } => POINT_BYTES,
        QueryValue::String { text, .. } => 2 * text.len(),
        QueryValue::Vector(samples) => {
            let one = |s: &query::VectorSample| POINT_BYTES + labels(&s.labels);
            samples.iter().map(one).sum()
        }
        QueryValue::Matrix(series) => {
            let points = |s: &query::MatrixSeries| s.floats.len() + s.histograms.len();
            let one = |s| POINT_BYTES * points(s) + labels(&s.labels);
            series.iter().map(one).sum()
        }
    }
}

/// An answer in the envelope, with what the query took if that was asked for.
fn written(answer: &Answer, stats_of: Option<&Admitted>) -> Vec<u8> {
    let notes = [("warnings", &answer.warnings), ("infos", &answer.infos)];
    let write = |body: &mut Vec<u8>| {
        query::json::write_data(body, &answer.value);
        if let Some(admitted) = stats_of {
            // Into `data`, behind the result.
            body.pop();
            body.extend_from_slice(format!(r#","stats":{}}}"#, stats(admitted)).as_bytes());
        }
    };
    enveloped(
        write,
        notes.map(|(key, notes)| (key, notes.iter().map(String::as_str).collect::<Vec<_>>())),
    )
}

/// As Prometheus tells them: preparation is parsing, and the inner evaluation includes reading.
/// With `stats=all` samples are told by step, too.
pub(super) fn stats(admitted: &Admitted) -> serde_json::Value {
    let account = &admitted.ticket.account;
    let waited = admitted.ticket.waited().unwrap_or_default().as_secs_f64();
    let total = admitted.age().as_secs_f64();
    let took = |phase| account.took(phase).as_secs_f64();
    let mut stats = json!({
        "timings": {
            "evalTotalTime": total - waited,
            "resultSortTime": took(Phase::Sort),
            "queryPreparationTime": took(Phase::Prepare),
            "innerEvalTime": took(Phase::Evaluate),
            "execQueueTime": waited,
            "execTotalTime": total,
        },
        "samples": {
            "totalQueryableSamples": account.samples_seen(),
            "peakSamples": account.samples_peak(),
        },
    });
    let by_step = account.samples_by_step();
    if !by_step.is_empty() {
        let step = |(time_ms, samples): (i64, u64)| json!([time_ms as f64 / 1e3, samples]);
        stats["samples"]["totalQueryableSamplesPerStep"] = by_step.into_iter().map(step).collect();
    }
    stats
}

/// Data in the envelope.
pub(super) fn success(data: impl serde::Serialize) -> Response {
    success_with(&data, &[])
}

/// Data with warnings.
pub(super) fn success_with(data: &impl serde::Serialize, warnings: &[&str]) -> Response {
    let write = |body: &mut Vec<u8>| {
        serde_json::to_writer(body, data).expect("data of the API is JSON");
    };
    json_body(enveloped(write, [("warnings", warnings.to_vec())]))
}

fn json_body(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// `{"status":"success","data":...}` in Prometheus's order, with the notes there are.
fn enveloped<const N: usize>(
    write_data: impl FnOnce(&mut Vec<u8>),
    notes: [(&str, Vec<&str>); N],
) -> Vec<u8> {
    let mut body = br#"{"status":"success","data":"#.to_vec();
    write_data(&mut body);
    for (key, notes) in notes {
        if !notes.is_empty() {
            let list = serde_json::to_string(&notes).expect("texts are JSON");
            body.extend_from_slice(format!(r#","{key}":{list}"#).as_bytes());
        }
    }
    body.push(b'}');
    body
}

/// Leaves at most as many series as the request wants, and says so.
fn limited(mut answer: Answer, limit: usize) -> Answer {
    let is_cut = limit > 0
        && match &mut answer.value {
            QueryValue::Vector(samples) => cut(samples, limit),
            QueryValue::Matrix(series) => cut(series, limit),
            QueryValue::Scalar { .. } | QueryValue::String { .. } => false,
        };
    if is_cut {
        answer.warnings.push(TRUNCATED.to_owned());
    }
    answer
}

fn cut<T>(list: &mut Vec<T>, limit: usize) -> bool {
    let is_longer = list.len() > limit;
    list.truncate(limit);
    is_longer
}

/// The engine, looking as far back as the request says (`lookback_delta`).
pub(super) fn engine(app: &App, params: &Params) -> Result<Engine, ApiError> {
    let Some(text) = params.get("lookback_delta").filter(|v| !v.is_empty()) else {
        return Ok(app.engine.clone());
    };
    let span = Span::parse(text);
    let span =
        span.map_err(|why| ApiError::bad(format!("error parsing lookback delta duration: {why}")))?;
    if span.ms <= 0 {
        return Ok(app.engine.clone());
    }
    let lookback_ms = span.ms;
    let engine = app.engine.clone();
    let options = query::Options {
        lookback_ms,
        ..engine.options().clone()
    };
    Ok(engine.with_options(options))
}
