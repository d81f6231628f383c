//! What a query would do and read, told without running it; or, run and measured, what it did.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap};
use query::{Answer, Engine, Operator, Plan, QueryError, QueryValue, Reads, Took, Watch};
use serde_json::{Value, json};

use super::{
    App,
    params::Params,
    problem::ApiError,
    prometheus::{self, Reply, engine, success},
};
use crate::queries::Asked;

/// When a query is to be evaluated, ms.
#[derive(Debug, Clone, Copy)]
enum When {
    At(i64),
    /// First time, last time, step.
    Over(i64, i64, i64),
}

impl When {
    fn of(app: &App, params: &Params) -> Result<Self, ApiError> {
        if params.get("start").is_some() {
            return Ok(Self::Over(
                params.required_time_ms("start")?,
                params.required_time_ms("end")?,
                params.step_ms()?,
            ));
        }
        let time_ms = params.moment_ms("time")?;
        Ok(Self::At(time_ms.unwrap_or_else(|| app.clock.wall_ms())))
    }

    fn times(self) -> (i64, i64, i64) {
        match self {
            Self::At(ms) => (ms, ms, 0),
            Self::Over(start, end, step) => (start, end, step),
        }
    }
}

/// `GET|POST /api/v1/explain_query`: with `start`, `end` and `step` as a range query, otherwise at
/// `time`. With `analyze=true` it is run and measured.
pub(super) async fn explain_query(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Params,
) -> Reply {
    if app.answers.is_some() {
        return Err(ApiError::bad(
            "the store elsewhere evaluates queries: only it knows what they read",
        ));
    }
    let engine = engine(&app, &params)?;
    let when = When::of(&app, &params)?;
    match params.get("analyze") {
        Some("true") => analyzed(&app, engine, when, &headers, &params).await,
        None | Some("" | "false") => explained(&app, engine, when, &params).await,
        Some(other) => Err(ApiError::bad(format!(
            "invalid parameter \"analyze\": {other:?} is neither true nor false"
        ))),
    }
}

async fn explained(app: &Arc<App>, engine: Engine, when: When, params: &Params) -> Reply {
    let text = params.get("query").unwrap_or_default().to_owned();
    let place = app.queries.try_place();
    let place = place.ok_or_else(|| ApiError::unavailable("too many queries are running"))?;
    let app = Arc::clone(app);
    let task = tokio::task::spawn_blocking(move || {
        let reader = app.reader.as_ref();
        let plan = match when {
            When::At(time_ms) => engine.explain_instant(reader, &text, time_ms),
            When::Over(start, end, step) => engine.explain_range(reader, &text, start, end, step),
        };
        drop(place);
        plan
    });
    let plan = task
        .await
        .map_err(|e| ApiError::internal(format!("the estimate failed: {e}")))??;
    Ok(success(shown(&plan)))
}

/// Runs it as any other query, listed and within the same bounds.
async fn analyzed(
    app: &Arc<App>,
    engine: Engine,
    when: When,
    headers: &HeaderMap,
    params: &Params,
) -> Reply {
    let text = params.get("query").unwrap_or_default().to_owned();
    let asked = Asked {
        by_operator: true,
        ..prometheus::asked(&text, when.times(), headers, params)
    };
    let told = prometheus::in_turn(app, params, asked, move |app, watch, admitted| {
        let (plan, answer) = run(app, &engine, &text, when, watch)?;
        let mut data = shown(&plan);
        data["stats"] = prometheus::stats(admitted);
        data["stats"]["samples"]["samplesRead"] = watch.account.samples_read().into();
        data["answer"] = answered(&answer);
        Ok(data)
    });
    Ok(success(told.await?))
}

fn run(
    app: &App,
    engine: &Engine,
    text: &str,
    when: When,
    watch: Watch<'_>,
) -> Result<(Plan, Answer), QueryError> {
    let reader = app.reader.as_ref();
    match when {
        When::At(time_ms) => engine.analyze_instant(reader, text, time_ms, watch),
        When::Over(..) => engine.analyze_range(reader, text, when.times(), watch),
    }
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
    let mut shown = json!({
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
    });
    if let Some(took) = &operator.took {
        shown["took"] = measured(operator, took);
    }
    shown
}

/// Times in seconds.
fn measured(operator: &Operator, took: &Took) -> Value {
    json!({
        "time": operator.took_in_all().as_secs_f64(),
        "ownTime": took.own.as_secs_f64(),
        "series": took.series,
        "points": took.points,
        "seriesRead": took.series_read,
        "samplesRead": took.samples_read,
    })
}

/// How large an answer is, and what is said about it.
fn answered(answer: &Answer) -> Value {
    let (series, points) = match &answer.value {
        QueryValue::Scalar { .. } | QueryValue::String { .. } => (1, 1),
        QueryValue::Vector(samples) => (samples.len(), samples.len()),
        QueryValue::Matrix(series) => {
            let points = series.iter().map(|s| s.floats.len() + s.histograms.len());
            (series.len(), points.sum())
        }
    };
    json!({
        "series": series,
        "points": points,
        "warnings": answer.warnings,
        "infos": answer.infos,
    })
}
