//! `GET /api/v1/alerts/dependencies`: which alerts again and again began after which others, as
//! proposals for `[[notify.component]]`. Nothing is applied.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, response::Response};
use model::{Labels, METRIC_NAME, Matcher, Selection};
use notify::learn::{Floors, Onset, Proposed, propose};
use rules::{ALERT_NAME, ALERT_STATE, ALERTS, template::rfc3339};
use serde_json::{Value, json};

use super::{
    App,
    alert_history::{look_up, newest, span},
    params::Params,
    problem::ApiError,
    prometheus::success,
};

/// How far back a request looks that does not say, ms: a month.
const DEFAULT_SPAN_MS: i64 = 30 * 86_400_000;

pub(super) async fn dependencies(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Response, ApiError> {
    let now_ms = app.clock.wall_ms();
    let (from_ms, to_ms) = span(&params, now_ms, DEFAULT_SPAN_MS)?;
    let selection = Selection {
        matchers: vec![
            Matcher::equal(METRIC_NAME, ALERTS),
            Matcher::equal(ALERT_STATE, "firing"),
        ],
        from_ms,
        to_ms,
    };
    let told = look_up(app, move |app| learnt(app, &selection, now_ms)).await?;
    Ok(success(told))
}

fn learnt(app: &App, selection: &Selection, now_ms: i64) -> Result<Value, model::ReadError> {
    let onsets: Vec<Onset> = newest(app.reader.as_ref(), selection, now_ms)?
        .iter()
        // What fired before the span began, began nobody knows when.
        .filter(|episode| episode.from_ms > selection.from_ms)
        .map(|episode| {
            let mut labels = episode.series.to_builder();
            labels.remove(METRIC_NAME).remove(ALERT_STATE);
            Onset {
                labels: labels.build(),
                at_ms: episode.from_ms,
            }
        })
        .collect();
    let found = propose(
        &onsets,
        selection.to_ms - selection.from_ms,
        Floors::default(),
    );
    let examples: BTreeMap<&str, &Labels> = onsets
        .iter()
        .filter_map(|onset| Some((onset.labels.get(ALERT_NAME)?, &onset.labels)))
        .collect();
    let rows = app.notifying.with(|notifier, _| {
        let declared = |proposed: &Proposed| {
            let of = |name: &str| examples.get(name).copied();
            let both = of(&proposed.effect).zip(of(&proposed.cause));
            both.is_some_and(|(effect, cause)| notifier.plan().follows(effect, cause))
        };
        let rows = found
            .iter()
            .map(|proposed| shown(proposed, declared(proposed)));
        rows.collect::<Vec<Value>>()
    });
    Ok(json!({
        "from": rfc3339(selection.from_ms),
        "to": rfc3339(selection.to_ms),
        "onsets": onsets.len(),
        "dependencies": rows,
    }))
}

fn shown(proposed: &Proposed, is_declared: bool) -> Value {
    json!({
        "cause": proposed.cause,
        "effect": proposed.effect,
        "equal": proposed.equal,
        "support": proposed.support,
        "incidents": proposed.incidents,
        "confidence": proposed.confidence(),
        "lift": proposed.lift,
        "lagSeconds": proposed.lag_ms as f64 / 1e3,
        "declared": is_declared,
    })
}
