//! Prometheus's HTTP API: queries, and the envelope of every answer.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use query::{Answer, Engine, QueryValue, Stop};

use super::{App, names::TRUNCATED, params::Params, problem::ApiError};

pub(super) type Reply = Result<Response, ApiError>;

/// `GET|POST /api/v1/query`
pub(super) async fn instant(State(app): State<Arc<App>>, params: Params) -> Reply {
    let text = params.get("query").unwrap_or_default().to_owned();
    if let Some(remote) = &app.answers {
        return forwarded(&app, remote, "query", params).await;
    }
    let (limit, engine) = (params.limit()?, engine(&app, &params)?);
    let time_ms = params
        .moment_ms("time")?
        .unwrap_or_else(|| app.clock.wall_ms());
    let answer = evaluate(&app, &params, move |app, stop| {
        engine.instant_until(app.reader.as_ref(), &text, time_ms, stop)
    });
    Ok(written(&limited(answer.await?, limit)))
}

/// `GET|POST /api/v1/query_range`
pub(super) async fn range(State(app): State<Arc<App>>, params: Params) -> Reply {
    let text = params.get("query").unwrap_or_default().to_owned();
    let start_ms = params.required_time_ms("start")?;
    let end_ms = params.required_time_ms("end")?;
    if end_ms < start_ms {
        return Err(ApiError::bad(
            "invalid parameter \"end\": end timestamp must not be before start time",
        ));
    }
    let step_ms = params.required_span_ms("step")?;
    if let Some(remote) = &app.answers {
        return forwarded(&app, remote, "query_range", params).await;
    }
    let (limit, engine) = (params.limit()?, engine(&app, &params)?);
    let answer = evaluate(&app, &params, move |app, stop| {
        engine.range_until(app.reader.as_ref(), &text, start_ms, end_ms, step_ms, stop)
    });
    Ok(written(&limited(answer.await?, limit)))
}

/// The answer of the store elsewhere, as it gave it: the query is its to evaluate, whole.
async fn forwarded(
    app: &App,
    remote: &Arc<remote::RemoteReader>,
    route: &'static str,
    params: Params,
) -> Reply {
    let place = app.queries.clone().acquire_owned().await;
    let place = place.map_err(|_closed| ApiError::unavailable("the server is shutting down"))?;
    let remote = Arc::clone(remote);
    let task = tokio::task::spawn_blocking(move || {
        let answered = remote.forward(route, params.pairs());
        drop(place);
        answered
    });
    let answered = task
        .await
        .map_err(|e| ApiError::internal(format!("the query failed: {e}")))??;
    let status = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let kind = [(header::CONTENT_TYPE, answered.content_type)];
    Ok((status, kind, answered.body).into_response())
}

/// Runs a query on a thread of its own, within the time it may take and never more of them at
/// once than there are places.
async fn evaluate(
    app: &Arc<App>,
    params: &Params,
    run: impl FnOnce(&App, query::StopSignal<'_>) -> Result<Answer, query::QueryError> + Send + 'static,
) -> Result<Answer, ApiError> {
    let asked_ms = params
        .span_ms("timeout")?
        .and_then(|ms| u64::try_from(ms).ok());
    let most = app.config.server.query_timeout;
    let time = asked_ms.map_or(most, |ms| most.min(std::time::Duration::from_millis(ms)));
    let deadline = app.clock.monotonic() + time;
    let place = tokio::time::timeout(time, app.queries.clone().acquire_owned()).await;
    let place = place
        .map_err(|_elapsed| ApiError::unavailable("too many queries are running"))?
        .map_err(|_closed| ApiError::unavailable("the server is shutting down"))?;
    let app = Arc::clone(app);
    let task = tokio::task::spawn_blocking(move || {
        let late = || (app.clock.monotonic() >= deadline).then_some(Stop::Timeout);
        let answer = run(&app, &late);
        drop(place);
        answer
    });
    let answer = task
        .await
        .map_err(|e| ApiError::internal(format!("the query failed: {e}")))?;
    Ok(answer?)
}

/// An answer in the envelope.
fn written(answer: &Answer) -> Response {
    let notes = [("warnings", &answer.warnings), ("infos", &answer.infos)];
    enveloped(
        |body| query::json::write_data(body, &answer.value),
        notes.map(|(key, notes)| (key, notes.iter().map(String::as_str).collect::<Vec<_>>())),
    )
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
    enveloped(write, [("warnings", warnings.to_vec())])
}

/// `{"status":"success","data":...}` in Prometheus's order, with the notes there are.
fn enveloped<const N: usize>(
    write_data: impl FnOnce(&mut Vec<u8>),
    notes: [(&str, Vec<&str>); N],
) -> Response {
    let mut body = br#"{"status":"success","data":"#.to_vec();
    write_data(&mut body);
    for (key, notes) in notes {
        if !notes.is_empty() {
            let list = serde_json::to_string(&notes).expect("texts are JSON");
            body.extend_from_slice(format!(r#","{key}":{list}"#).as_bytes());
        }
    }
    body.push(b'}');
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
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
fn engine(app: &App, params: &Params) -> Result<Engine, ApiError> {
    let mut options = app.engine.options().clone();
    if let Some(lookback_ms) = params.span_ms("lookback_delta")? {
        options.lookback_ms = lookback_ms;
    }
    Ok(Engine::new(options))
}
