//! Prometheus's HTTP API: queries, and what there is to query.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use model::LabelQuery;
use query::{Answer, Stop};
use serde_json::json;

use super::{App, params::Params, problem::ApiError};

/// Version of Prometheus's API this server speaks; Grafana chooses its requests by it.
const API_LEVEL: &str = "3.0.0";

/// Longest look-back of a request for names and values that gives no start, ms.
const ALL_TIME_MS: i64 = i64::MAX / 4;

type Reply = Result<Response, ApiError>;

/// `GET|POST /api/v1/query`
pub(super) async fn instant(State(app): State<Arc<App>>, params: Params) -> Reply {
    let text = params.required("query")?.to_owned();
    if let Some(remote) = &app.answers {
        return forwarded(&app, remote, "query", params).await;
    }
    let time_ms = params
        .time_ms("time")?
        .unwrap_or_else(|| app.clock.wall_ms());
    let answer = evaluate(&app, &params, move |app, stop| {
        app.engine
            .instant_until(app.reader.as_ref(), &text, time_ms, stop)
    });
    Ok(written(&answer.await?))
}

/// `GET|POST /api/v1/query_range`
pub(super) async fn range(State(app): State<Arc<App>>, params: Params) -> Reply {
    let text = params.required("query")?.to_owned();
    params.required("start")?;
    params.required("end")?;
    params.required("step")?;
    if let Some(remote) = &app.answers {
        return forwarded(&app, remote, "query_range", params).await;
    }
    let start_ms = params.time_ms("start")?.unwrap_or_default();
    let end_ms = params.time_ms("end")?.unwrap_or_default();
    let step_ms = params.span_ms("step")?.unwrap_or_default();
    if end_ms < start_ms {
        return Err(ApiError::bad(
            "invalid parameter \"end\": end timestamp must not be before start time",
        ));
    }
    let answer = evaluate(&app, &params, move |app, stop| {
        app.engine
            .range_until(app.reader.as_ref(), &text, start_ms, end_ms, step_ms, stop)
    });
    Ok(written(&answer.await?))
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

fn written(answer: &Answer) -> Response {
    let mut body = br#"{"status":"success","data":"#.to_vec();
    query::json::write_data(&mut body, &answer.value);
    for (key, notes) in [("warnings", &answer.warnings), ("infos", &answer.infos)] {
        if !notes.is_empty() {
            let list = serde_json::to_string(notes).expect("texts are JSON");
            body.extend_from_slice(format!(r#","{key}":{list}"#).as_bytes());
        }
    }
    body.push(b'}');
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

pub(super) fn success(data: impl serde::Serialize) -> Response {
    Json(json!({"status": "success", "data": data})).into_response()
}

/// The series a request about names, values or label sets means.
fn label_query(params: &Params) -> Result<LabelQuery, ApiError> {
    Ok(LabelQuery {
        any_of: params.matchers()?,
        from_ms: params.time_ms("start")?.unwrap_or(-ALL_TIME_MS),
        to_ms: params.time_ms("end")?.unwrap_or(ALL_TIME_MS),
        limit: params.limit()?,
    })
}

/// Runs a look-up on a thread where it may block.
async fn look_up<T: serde::Serialize + Send + 'static>(
    app: Arc<App>,
    read: impl FnOnce(&App) -> Result<T, model::ReadError> + Send + 'static,
) -> Reply {
    let found = tokio::task::spawn_blocking(move || read(&app)).await;
    let found = found.map_err(|e| ApiError::internal(format!("the look-up failed: {e}")))?;
    Ok(success(found?))
}

/// `GET|POST /api/v1/labels`
pub(super) async fn label_names(State(app): State<Arc<App>>, params: Params) -> Reply {
    let query = label_query(&params)?;
    look_up(app, move |app| app.reader.label_names(&query)).await
}

/// `GET /api/v1/label/{name}/values`
pub(super) async fn label_values(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    let name = unescaped(&name);
    if name.is_empty() {
        return Err(ApiError::bad("invalid label name: it is empty"));
    }
    let query = label_query(&params)?;
    look_up(app, move |app| app.reader.label_values(&name, &query)).await
}

/// A label name in Prometheus's `U__` form: `_HEX_` stands for a character, `__` for `_`.
fn unescaped(name: &str) -> String {
    let Some(mut rest) = name.strip_prefix("U__") else {
        return name.to_owned();
    };
    let mut plain = String::with_capacity(rest.len());
    while let Some(at) = rest.find('_') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('_') {
            plain.push('_');
            rest = after;
            continue;
        }
        let code = rest.split_once('_').and_then(|(hex, after)| {
            Some((char::from_u32(u32::from_str_radix(hex, 16).ok()?)?, after))
        });
        match code {
            Some((character, after)) => {
                plain.push(character);
                rest = after;
            }
            None => return name.to_owned(),
        }
    }
    plain.push_str(rest);
    plain
}

/// `GET|POST /api/v1/series`
pub(super) async fn series(State(app): State<Arc<App>>, params: Params) -> Reply {
    let query = label_query(&params)?;
    if query.any_of.is_empty() {
        return Err(ApiError::bad("no match[] parameter provided"));
    }
    look_up(app, move |app| app.reader.series(&query)).await
}

/// `GET /api/v1/metadata`
pub(super) async fn metadata(State(app): State<Arc<App>>, params: Params) -> Reply {
    let family = params.get("metric").map(str::to_owned);
    let limit = params.limit()?;
    look_up(app, move |app| {
        let mut families = std::collections::BTreeMap::<String, Vec<serde_json::Value>>::new();
        for known in app.reader.metadata(family.as_deref())? {
            if limit > 0 && families.len() >= limit && !families.contains_key(&known.family) {
                break;
            }
            let entry = json!({"type": known.metric_type, "help": known.help, "unit": known.unit});
            families.entry(known.family).or_default().push(entry);
        }
        Ok(families)
    })
    .await
}

/// `GET|POST /api/v1/format_query`
pub(super) async fn format_query(params: Params) -> Reply {
    let expression = query::parse(params.required("query")?)
        .map_err(|e| ApiError::bad(format!("invalid parameter \"query\": {e}")))?;
    Ok(success(expression.to_string()))
}

/// `GET /api/v1/status/buildinfo`
pub(super) async fn build_info() -> Response {
    success(json!({
        "version": API_LEVEL,
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "application": "alluse",
        "applicationVersion": env!("CARGO_PKG_VERSION"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_label_names_are_read_as_prometheus_writes_them() {
        assert_eq!(unescaped("job"), "job");
        assert_eq!(unescaped("U__http_2e_status"), "http.status");
        assert_eq!(unescaped("U__a__b"), "a_b");
        assert_eq!(unescaped("U__bad_zz"), "U__bad_zz");
    }
}
