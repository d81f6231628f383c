//! What there is to query: names, values and sets of labels, and what sources said of metrics.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::extract::{Path, State};
use model::{LabelQuery, Labels, Metadata};
use serde::Serialize;

use super::{
    App,
    params::Params,
    problem::ApiError,
    prometheus::{Reply, success, success_with},
};

/// Longest look-back of a request that gives no start, ms.
const ALL_TIME_MS: i64 = i64::MAX / 4;

/// What is told when there is more than was asked for.
pub(super) const TRUNCATED: &str = "results truncated due to limit";

/// The series a request about names, values or label sets means. One more than it may be told is
/// asked for, to know whether there are more.
fn label_query(params: &Params) -> Result<LabelQuery, ApiError> {
    let limit = params.limit()?;
    Ok(LabelQuery {
        any_of: params.matchers()?,
        from_ms: params.moment_ms("start")?.unwrap_or(-ALL_TIME_MS),
        to_ms: params.moment_ms("end")?.unwrap_or(ALL_TIME_MS),
        limit: if limit == 0 {
            0
        } else {
            limit.saturating_add(1)
        },
    })
}

/// Runs a look-up on a thread where it may block, and tells at most as much as was asked for.
async fn look_up<T: Serialize + Send + 'static>(
    app: Arc<App>,
    query: LabelQuery,
    read: impl FnOnce(&App, &LabelQuery) -> Result<Vec<T>, model::ReadError> + Send + 'static,
) -> Reply {
    let task = tokio::task::spawn_blocking(move || {
        let mut found = read(&app, &query)?;
        let is_cut = query.limit > 0 && found.len() >= query.limit;
        if is_cut {
            found.truncate(query.limit - 1);
        }
        Ok::<_, ApiError>((found, is_cut))
    });
    let found = task.await;
    let (found, is_cut) =
        found.map_err(|e| ApiError::internal(format!("the look-up failed: {e}")))??;
    let warnings: &[&str] = if is_cut { &[TRUNCATED] } else { &[] };
    Ok(success_with(&found, warnings))
}

/// `GET|POST /api/v1/labels`
pub(super) async fn label_names(State(app): State<Arc<App>>, params: Params) -> Reply {
    let query = label_query(&params)?;
    look_up(app, query, |app, query| app.reader.label_names(query)).await
}

/// `GET /api/v1/label/{name}/values`
pub(super) async fn label_values(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    let name = unescaped(&name);
    if name.is_empty() {
        return Err(ApiError::bad("invalid label name: \"\""));
    }
    let query = label_query(&params)?;
    look_up(app, query, move |app, query| {
        app.reader.label_values(&name, query)
    })
    .await
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
    look_up(app, query, |app, query| app.reader.series(query)).await
}

/// What is said of a metric, in the order Prometheus says it.
#[derive(Debug, Clone, Serialize)]
struct Said {
    #[serde(rename = "type")]
    metric_type: model::MetricType,
    help: String,
    unit: String,
}

impl From<Metadata> for Said {
    fn from(known: Metadata) -> Self {
        Self {
            metric_type: known.metric_type,
            help: known.help,
            unit: known.unit,
        }
    }
}

/// A limit that, as in Prometheus, is not one when it is negative or not given.
fn at_most(params: &Params, key: &str) -> Result<usize, ApiError> {
    let Some(text) = params.get(key).filter(|v| !v.is_empty()) else {
        return Ok(usize::MAX);
    };
    let number: i64 = text
        .parse()
        .map_err(|_number| ApiError::bad(format!("{key} must be a number")))?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

/// `GET /api/v1/metadata`
pub(super) async fn metadata(State(app): State<Arc<App>>, params: Params) -> Reply {
    let family = params.get("metric").filter(|m| !m.is_empty());
    let family = family.map(str::to_owned);
    let (limit, each) = (
        at_most(&params, "limit")?,
        at_most(&params, "limit_per_metric")?,
    );
    let read = move || app.reader.metadata(family.as_deref());
    let known = tokio::task::spawn_blocking(read).await;
    let known = known.map_err(|e| ApiError::internal(format!("the look-up failed: {e}")))??;
    let mut families = BTreeMap::<String, Vec<Said>>::new();
    for known in known {
        if families.len() >= limit && !families.contains_key(&known.family) {
            break;
        }
        let said = families.entry(known.family.clone()).or_default();
        if said.len() < each {
            said.push(known.into());
        }
    }
    Ok(success(families))
}

/// What is said of a metric of one target.
#[derive(Debug, Serialize)]
struct OfTarget {
    target: Labels,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<String>,
    #[serde(flatten)]
    said: Said,
}

/// `GET /api/v1/targets/metadata?match_target=&metric=&limit=`: of which metrics each target has
/// series, and what is said of them.
pub(super) async fn target_metadata(State(app): State<Arc<App>>, params: Params) -> Reply {
    let wanted = params.get("match_target").filter(|m| !m.is_empty());
    let wanted = wanted
        .map(|text| super::params::selector(text, "match_target"))
        .transpose()?;
    let metric = params.get("metric").filter(|m| !m.is_empty());
    let metric = metric.map(str::to_owned);
    let limit = at_most(&params, "limit")?;
    let task = tokio::task::spawn_blocking(move || {
        let mut told = Vec::new();
        for status in app.collector.targets() {
            let own = status.target.own_labels();
            let value = |name: &str| own.get(name).unwrap_or_default().to_owned();
            let is_wanted = wanted
                .as_ref()
                .is_none_or(|all| all.iter().all(|m| m.matches(&value(&m.name))));
            if is_wanted {
                of_target(&app, &own, metric.as_deref(), limit, &mut told)?;
            }
        }
        Ok::<_, ApiError>(told)
    });
    let told = task.await;
    let told = told.map_err(|e| ApiError::internal(format!("the look-up failed: {e}")))??;
    Ok(success(told))
}

/// Adds what is said of the metrics of a target, until there are `limit` in all.
fn of_target(
    app: &App,
    own: &Labels,
    metric: Option<&str>,
    limit: usize,
    told: &mut Vec<OfTarget>,
) -> Result<(), ApiError> {
    let query = LabelQuery {
        any_of: vec![
            own.iter()
                .map(|(n, v)| model::Matcher::equal(n, v))
                .collect(),
        ],
        from_ms: -ALL_TIME_MS,
        to_ms: ALL_TIME_MS,
        limit: 0,
    };
    let names = app.reader.label_values("__name__", &query)?;
    let families: BTreeSet<&str> = names.iter().flat_map(|name| families(name)).collect();
    for known in app.reader.metadata(metric)? {
        if told.len() >= limit {
            return Ok(());
        }
        if families.contains(known.family.as_str()) {
            told.push(OfTarget {
                target: own.clone(),
                metric: metric.is_none().then(|| known.family.clone()),
                said: known.into(),
            });
        }
    }
    Ok(())
}

/// The families a series of this name may belong to.
fn families(name: &str) -> impl Iterator<Item = &str> {
    let suffixes = ["_total", "_bucket", "_count", "_sum", "_created", "_info"];
    let shorter = suffixes.into_iter().filter_map(|s| name.strip_suffix(s));
    std::iter::once(name).chain(shorter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_label_names_are_read_as_prometheus_writes_them() {
        assert_eq!(unescaped("job"), "job");
        assert_eq!(unescaped("U__http_2e_status"), "http.status");
        assert_eq!(unescaped("U__a__b"), "a_b");
        assert_eq!(unescaped("U__caf_e9_"), "café");
        assert_eq!(unescaped("U__a_zz_b"), "U__a_zz_b", "no such character");
    }
}
