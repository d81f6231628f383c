//! Health of the data: what was refused and why, and who has how many series.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use collect::{Quarantined, Wanted};
use serde_json::{Value, json};
use store::Cardinality;

use super::{App, params::Params, problem::ApiError};

/// Refusals told when the request does not say how many.
const QUARANTINE_LIMIT: usize = 100;

/// Names a list of `status/tsdb` has when the request does not say, as in Prometheus.
const TOP_LIMIT: usize = 10;

/// Names a list may have: as Prometheus bounds it.
const TOP_LIMIT_MAX: usize = 10_000;

/// `GET /api/v1/quarantine?door=&reason=&limit=`: newest first.
pub(super) async fn quarantine(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Response, ApiError> {
    let text = |key| params.get(key).filter(|v| !v.is_empty()).map(str::to_owned);
    let limit = match params.get("limit") {
        None | Some("") => QUARANTINE_LIMIT,
        Some(_) => params.limit()?,
    };
    let wanted = Wanted {
        door: text("door"),
        reason: text("reason"),
        limit,
    };
    let found = app.collector.quality().quarantine().newest(&wanted);
    let data: Vec<Value> = found.iter().map(shown).collect();
    Ok(super::prometheus::success(data))
}

fn shown(refused: &Quarantined) -> Value {
    json!({
        "id": refused.id,
        "at": refused.at_ms as f64 / 1e3,
        "door": refused.door,
        "reason": refused.reason,
        "series": refused.series,
        "timestamp": refused.time_ms.map(|ms| ms as f64 / 1e3),
        "value": refused.value.map(query::format_value),
        "detail": refused.detail,
    })
}

/// `GET /api/v1/status/tsdb?limit=`: Prometheus's figures of the active series, and beside them
/// who made new series and who was refused.
pub(super) async fn tsdb(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = match params.get("limit") {
        None | Some("") => TOP_LIMIT,
        Some(_) => params.limit()?,
    };
    if !(1..=TOP_LIMIT_MAX).contains(&limit) {
        return Err(ApiError::bad(format!(
            "invalid parameter \"limit\": it is not from 1 to {TOP_LIMIT_MAX}"
        )));
    }
    let Some(store) = app.store.clone() else {
        let why = "the series are in another store: ask that one";
        return Err(ApiError::unavailable(why));
    };
    let task = tokio::task::spawn_blocking(move || data(&store, limit)).await;
    let data = task.map_err(|e| ApiError::internal(format!("the look-up failed: {e}")))?;
    Ok(super::prometheus::success(data))
}

fn data(store: &store::Store, limit: usize) -> Value {
    let found = store.cardinality(limit);
    let extent = store.head_extent();
    let head = json!({
        "numSeries": found.series,
        "numLabelPairs": found.label_pairs,
        "chunkCount": extent.chunks,
        "minTime": extent.span_ms.map(|(first, _)| first),
        "maxTime": extent.span_ms.map(|(_, last)| last),
    });
    lists(&found, head)
}

fn lists(found: &Cardinality, head: Value) -> Value {
    let refused: Vec<Value> = found
        .refused
        .iter()
        .flat_map(|(reason, names)| {
            let one = move |(name, count): &(String, u64)| {
                json!({ "reason": reason, "name": name, "value": count })
            };
            names.iter().map(one)
        })
        .collect();
    json!({
        "headStats": head,
        "seriesCountByMetricName": list(&found.series_by_metric),
        "labelValueCountByLabelName": list(&found.values_by_label),
        "memoryInBytesByLabelName": list(&found.bytes_by_label),
        "seriesCountByLabelValuePair": list(&found.series_by_pair),
        "newSeriesByMetricName": list(&found.created_by_metric),
        "refusedSeriesByName": refused,
    })
}

fn list(names: &[(String, u64)]) -> Vec<Value> {
    let one = |(name, count): &(String, u64)| json!({ "name": name, "value": count });
    names.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_have_the_shape_of_prometheus_documentation() {
        let found = Cardinality {
            series: 3,
            series_by_metric: vec![("up".to_owned(), 3)],
            refused: vec![("metric_limit", vec![("boom".to_owned(), 7)])],
            ..Cardinality::default()
        };
        let lists = lists(&found, json!({ "numSeries": 3 }));
        assert_eq!(lists["headStats"]["numSeries"], 3);
        let up = json!([{ "name": "up", "value": 3 }]);
        assert_eq!(lists["seriesCountByMetricName"], up);
        let refused = json!([{ "reason": "metric_limit", "name": "boom", "value": 7 }]);
        assert_eq!(lists["refusedSeriesByName"], refused);
        assert_eq!(lists["labelValueCountByLabelName"], json!([]));
    }
}
