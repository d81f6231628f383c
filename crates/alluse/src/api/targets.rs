//! What is scraped and how it fares, in Prometheus's shape; and the order to read its
//! configuration again.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use collect::{TargetStatus, prometheus_config::units::duration_text};
use numerics::calendar::Date;
use serde_json::{Value, json};

use super::{App, params::Params, prometheus::success};
use crate::scraping::{InForce, ReloadError};

/// What Prometheus says of a target that was never scraped.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// `GET /api/v1/targets`, with `state=active|dropped|any` and `scrapePool=`.
pub(super) async fn targets(State(app): State<Arc<App>>, params: Params) -> Response {
    let state = params.get("state").unwrap_or("any").to_lowercase();
    let wanted = params.get("scrapePool").filter(|pool| !pool.is_empty());
    let is_wanted = |pool: &str| wanted.is_none_or(|wanted| wanted == pool);
    let mut data = serde_json::Map::new();
    if state != "dropped" {
        let statuses = app.collector.targets();
        let active = statuses.iter().filter(|status| is_wanted(pool(status)));
        data.insert(
            "activeTargets".to_owned(),
            active.map(active_target).collect(),
        );
    } else {
        data.insert("activeTargets".to_owned(), json!([]));
    }
    let mut dropped = app.collector.dropped();
    dropped.retain(|pool, _| is_wanted(pool));
    if state != "active" {
        let counts: BTreeMap<&String, usize> = dropped
            .iter()
            .map(|(pool, dropped)| (pool, dropped.count))
            .collect();
        let rows = dropped.iter().flat_map(|(pool, dropped)| {
            let row = move |labels| json!({"discoveredLabels": labels, "scrapePool": pool});
            dropped.targets.iter().map(row)
        });
        data.insert("droppedTargets".to_owned(), rows.collect());
        data.insert("droppedTargetCounts".to_owned(), json!(counts));
    } else {
        data.insert("droppedTargets".to_owned(), json!([]));
    }
    success(data)
}

/// `GET /api/v1/scrape_pools`
pub(super) async fn scrape_pools(State(app): State<Arc<App>>) -> Response {
    let mut pools: Vec<String> = app.collector.dropped().into_keys().collect();
    let targets = app.collector.targets();
    pools.extend(targets.iter().map(|status| pool(status).to_owned()));
    pools.sort();
    pools.dedup();
    success(json!({ "scrapePools": pools }))
}

/// The job of a target; one named by itself in `alluse.toml` is its own.
fn pool(status: &TargetStatus) -> &str {
    let target = &status.target;
    if target.pool.is_empty() {
        &target.job
    } else {
        &target.pool
    }
}

fn active_target(status: &TargetStatus) -> Value {
    let target = &status.target;
    let health = match status.up {
        None => "unknown",
        Some(true) => "up",
        Some(false) => "down",
    };
    json!({
        "discoveredLabels": target.discovered,
        "labels": target.own_labels(),
        "scrapePool": pool(status),
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": status.last_error.as_deref().unwrap_or_default(),
        "lastScrape": status.last_scrape_ms.map_or_else(|| NEVER.to_owned(), rfc3339),
        "lastScrapeDuration": status.last_duration.as_secs_f64(),
        "health": health,
        "scrapeInterval": duration_text(target.interval),
        "scrapeTimeout": duration_text(target.timeout),
    })
}

/// A duration as Prometheus writes it.
pub(super) fn duration(duration: std::time::Duration) -> String {
    duration_text(duration)
}

/// A time as RFC 3339, in UTC.
pub(crate) fn rfc3339(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let Date { year, month, day } = Date::of(days);
    let (hours, minutes) = (rest / 3_600_000, rest / 60_000 % 60);
    let (seconds, ms) = (rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

/// `POST /-/reload`: reads the files in use again; all of them or nothing.
pub(super) async fn reload(State(app): State<Arc<App>>) -> Response {
    let task = tokio::task::spawn_blocking(move || app.scraping.reload()).await;
    match task {
        Ok(Ok(InForce {
            jobs,
            groups,
            receivers,
        })) => format!(
            "{jobs} jobs in force\n{groups} groups of rules in force\n{receivers} receivers of alerts in force\n"
        )
        .into_response(),
        Ok(Err(ReloadError::NoFile)) => {
            let what = "nothing to read again: start with --config FILE or --prometheus-config FILE\n";
            (StatusCode::NOT_FOUND, what).into_response()
        }
        Ok(Err(ReloadError::Mistakes(mistakes))) => {
            let what = format!("failed to reload config:\n{}\n", mistakes.join("\n"));
            (StatusCode::INTERNAL_SERVER_ERROR, what).into_response()
        }
        Err(error) => {
            let what = format!("the reload failed: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, what).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_435_781_430_781), "2015-07-01T20:10:30.781Z");
        assert_eq!(rfc3339(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
    }
}
