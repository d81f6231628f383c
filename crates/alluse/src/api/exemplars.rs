//! `GET|POST /api/v1/query_exemplars`, as Prometheus answers it: exemplars of every series that a
//! selector of the query means, between `start` and `end`.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use model::{Exemplar, Matcher};
use serde_json::{Value, json};

use super::{App, params::Params, problem::ApiError};

pub(super) async fn query(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Response, ApiError> {
    let any_of = selectors(params.get("query").unwrap_or_default())?;
    let from_ms = params.moment_ms("start")?.unwrap_or(i64::MIN);
    let to_ms = params.moment_ms("end")?.unwrap_or(i64::MAX);
    if to_ms < from_ms {
        return Err(ApiError::bad(
            "end timestamp must not be before start timestamp",
        ));
    }
    let read = move || app.reader.exemplars(&any_of, from_ms, to_ms);
    let found = tokio::task::spawn_blocking(read).await;
    let found = found.map_err(|e| ApiError::internal(format!("the look-up failed: {e}")))??;
    Ok(super::prometheus::success(data(&found)))
}

/// The matchers of every selector in an expression.
fn selectors(query: &str) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let expression = query::parse(query).map_err(|e| ApiError::bad(e.to_string()))?;
    let selectors = expression.selectors();
    Ok(selectors.iter().map(|s| s.matchers.clone()).collect())
}

/// One entry a series; `found` is in order of series.
fn data(found: &[Exemplar]) -> Vec<Value> {
    found
        .chunk_by(|a, b| a.series == b.series)
        .map(|of_one| {
            let exemplars: Vec<Value> = of_one.iter().map(shown).collect();
            json!({ "seriesLabels": of_one[0].series, "exemplars": exemplars })
        })
        .collect()
}

fn shown(exemplar: &Exemplar) -> Value {
    json!({
        "labels": exemplar.labels,
        "value": query::format_value(exemplar.value),
        "timestamp": exemplar.time_ms as f64 / 1e3,
    })
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    #[test]
    fn the_answer_has_the_shape_of_prometheus_documentation() {
        let exemplar = |series: &str, trace: &str, value, time_ms| Exemplar {
            series: Labels::from_pairs([("__name__", series)]),
            labels: Labels::from_pairs([("trace_id", trace)]),
            value,
            time_ms,
        };
        let found = [
            exemplar("a", "x", 6.0, 1_600_096_945_479),
            exemplar("a", "y", 0.5, 1_600_096_955_479),
            exemplar("b", "z", f64::INFINITY, 1_000),
        ];
        let expected = json!([
            {"seriesLabels": {"__name__": "a"}, "exemplars": [
                {"labels": {"trace_id": "x"}, "value": "6", "timestamp": 1_600_096_945.479},
                {"labels": {"trace_id": "y"}, "value": "0.5", "timestamp": 1_600_096_955.479},
            ]},
            {"seriesLabels": {"__name__": "b"}, "exemplars": [
                {"labels": {"trace_id": "z"}, "value": "+Inf", "timestamp": 1.0},
            ]},
        ]);
        assert_eq!(Value::from(data(&found)), expected);
    }

    #[test]
    fn every_selector_of_a_query_counts() {
        let found = selectors("rate(a{x=\"1\"}[5m]) / on() group_left b + max_over_time(c[1h:])");
        let found = found.unwrap();
        let names = found.iter().map(|all| {
            let name = all.iter().find(|m| m.name == "__name__");
            name.unwrap().value.as_str()
        });
        assert_eq!(names.collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(selectors("1 + 1").unwrap().len(), 0);
        assert!(selectors("1 +").is_err());
    }
}
