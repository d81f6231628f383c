//! What a query would do and read, told without running it.

use std::sync::Arc;

use axum::extract::State;
use query::{Operator, Plan, Reads};
use serde_json::{Value, json};

use super::{
    App,
    params::Params,
    problem::ApiError,
    prometheus::{Reply, engine, success},
};

/// `GET|POST /api/v1/explain_query`: with `start`, `end` and `step` as a range query, otherwise at
/// `time`.
pub(super) async fn explain_query(State(app): State<Arc<App>>, params: Params) -> Reply {
    let text = params.get("query").unwrap_or_default().to_owned();
    if app.answers.is_some() {
        return Err(ApiError::bad(
            "the store elsewhere evaluates queries: only it knows what they read",
        ));
    }
    let engine = engine(&app, &params)?;
    let range = match params.get("start") {
        None => None,
        Some(_) => Some((
            params.required_time_ms("start")?,
            params.required_time_ms("end")?,
            params.required_span_ms("step")?,
        )),
    };
    let now_ms = app.clock.wall_ms();
    let time_ms = params.moment_ms("time")?.unwrap_or(now_ms);
    let place = app.queries.try_place();
    let place = place.ok_or_else(|| ApiError::unavailable("too many queries are running"))?;
    let task = tokio::task::spawn_blocking(move || {
        let reader = app.reader.as_ref();
        let plan = match range {
            None => engine.explain_instant(reader, &text, time_ms),
            Some((start, end, step)) => engine.explain_range(reader, &text, start, end, step),
        };
        drop(place);
        plan
    });
    let plan = task
        .await
        .map_err(|e| ApiError::internal(format!("the estimate failed: {e}")))??;
    Ok(success(shown(&plan)))
}

fn shown(plan: &Plan) -> Value {
    let reads = plan.reads();
    let sum = |of: fn(&Reads) -> u64| reads.iter().map(of).fold(0, u64::saturating_add);
    json!({
        "steps": plan.steps,
        "series": sum(|r| r.series),
        "samples": sum(|r| r.samples),
        "bytes": sum(|r| r.bytes),
        "plan": operator(&plan.root),
    })
}

fn operator(operator: &Operator) -> Value {
    let operands: Vec<Value> = operator.inner.iter().map(self::operator).collect();
    json!({
        "operator": operator.name,
        "text": operator.text,
        "reads": operator.reads.map(|r| json!({
            "from": r.from_ms as f64 / 1e3,
            "to": r.to_ms as f64 / 1e3,
            "series": r.series,
            "samples": r.samples,
            "bytes": r.bytes,
        })),
        "operands": operands,
    })
}
