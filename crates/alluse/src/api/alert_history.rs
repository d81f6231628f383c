//! Which alerts were pending or fired, from when to when: read from the series `ALERTS` that the
//! rules leave in the store, so that it survives restarts and is forgotten with the retention.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use model::{METRIC_NAME, MatchOp, Matcher, Selection, Series, SeriesReader, is_stale};
use rules::{ALERT_NAME, ALERT_STATE, ALERTS, template::rfc3339};
use serde_json::{Value, json};

use super::{App, params::Params, problem::ApiError, prometheus::success};

/// How far back a request looks that does not say, ms.
const DEFAULT_SPAN_MS: i64 = 86_400_000;

/// A gap longer than this between two samples ends an episode, ms: what a query looks back.
const GAP_MS: i64 = 300_000;

/// Episodes a reply holds at most; the newest are kept.
const EPISODES_MAX: usize = 10_000;

/// One time that an alert was in one state.
pub(super) struct Episode {
    /// The labels of the series `ALERTS`.
    pub(super) series: Arc<model::Labels>,
    pub(super) from_ms: i64,
    to_ms: i64,
    ongoing: bool,
}

/// `GET /api/v1/alerts/history`, with `from`, `to` and `alertname`.
pub(super) async fn history(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Response, ApiError> {
    let now_ms = app.clock.wall_ms();
    let (from_ms, to_ms) = span(&params, now_ms, DEFAULT_SPAN_MS)?;
    let mut matchers = vec![Matcher::equal(METRIC_NAME, ALERTS)];
    match params.get("alertname").filter(|name| !name.is_empty()) {
        Some(name) => matchers.push(Matcher::equal(ALERT_NAME, name)),
        None => matchers.extend(Matcher::new(ALERT_NAME, MatchOp::NotEqual, "").ok()),
    }
    let selection = Selection {
        matchers,
        from_ms,
        to_ms,
    };
    let shown = look_up(app, move |app| {
        read(app.reader.as_ref(), &selection, now_ms)
    });
    Ok(success(json!({ "alerts": shown.await? })))
}

/// The first and the last time a request asks for with `from` and `to`, ms.
pub(super) fn span(params: &Params, now_ms: i64, default_ms: i64) -> Result<(i64, i64), ApiError> {
    let to_ms = params.time_ms("to")?.unwrap_or(now_ms);
    let from_ms = params.time_ms("from")?.unwrap_or(to_ms - default_ms);
    if to_ms < from_ms {
        return Err(ApiError::bad(
            "invalid parameter \"to\": it must not be before from",
        ));
    }
    Ok((from_ms, to_ms))
}

/// Reads on a thread where that may take its time, in one of the places that queries have.
pub(super) async fn look_up<T: Send + 'static>(
    app: Arc<App>,
    read: impl FnOnce(&App) -> Result<T, model::ReadError> + Send + 'static,
) -> Result<T, ApiError> {
    let place = app.queries.try_place();
    let place = place.ok_or_else(|| ApiError::unavailable("too many queries are running"))?;
    let task = tokio::task::spawn_blocking(move || {
        let read = read(&app);
        drop(place);
        read
    });
    let read = task.await;
    Ok(read.map_err(|e| ApiError::internal(format!("the look-up failed: {e}")))??)
}

fn read(
    reader: &dyn SeriesReader,
    selection: &Selection,
    now_ms: i64,
) -> Result<Vec<Value>, model::ReadError> {
    let all = newest(reader, selection, now_ms)?;
    Ok(all.iter().map(shown).collect())
}

/// The episodes of a selection, the newest first, no more than a reply may hold.
pub(super) fn newest(
    reader: &dyn SeriesReader,
    selection: &Selection,
    now_ms: i64,
) -> Result<Vec<Episode>, model::ReadError> {
    let mut all = Vec::new();
    for series in reader.select(selection)? {
        all.extend(episodes(&series?, now_ms));
    }
    all.sort_by(|a, b| (b.from_ms, &a.series).cmp(&(a.from_ms, &b.series)));
    all.truncate(EPISODES_MAX);
    Ok(all)
}

/// The runs of samples between markers and gaps.
fn episodes(series: &Series, now_ms: i64) -> Vec<Episode> {
    let labels = Arc::new(series.labels.clone());
    let mut episodes: Vec<Episode> = Vec::new();
    let mut open = false;
    for (time_ms, value) in series.times_ms.iter().zip(&series.values) {
        let last = episodes.last_mut().filter(|_| open);
        if is_stale(*value) {
            if let Some(last) = last {
                last.to_ms = *time_ms;
            }
            open = false;
            continue;
        }
        match last.filter(|last| time_ms - last.to_ms <= GAP_MS) {
            Some(last) => last.to_ms = *time_ms,
            None => episodes.push(Episode {
                series: Arc::clone(&labels),
                from_ms: *time_ms,
                to_ms: *time_ms,
                ongoing: false,
            }),
        }
        open = true;
    }
    if let Some(last) = episodes.last_mut().filter(|_| open) {
        last.ongoing = now_ms - last.to_ms <= GAP_MS;
    }
    episodes
}

fn shown(episode: &Episode) -> Value {
    let mut labels = episode.series.to_builder();
    labels.remove(METRIC_NAME).remove(ALERT_STATE);
    json!({
        "labels": labels.build(),
        "state": episode.series.get(ALERT_STATE).unwrap_or_default(),
        "from": rfc3339(episode.from_ms),
        "to": rfc3339(episode.to_ms),
        "ongoing": episode.ongoing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_and_gaps_end_episodes() {
        let mut series = Series::new(model::Labels::from_pairs([("alertstate", "firing")]));
        for (minute, value) in [
            (0, 1.0),
            (1, 1.0),
            (2, model::stale_nan()),
            (5, 1.0),
            (20, 1.0),
            (21, 1.0),
        ] {
            series.push(minute * 60_000, value);
        }
        let found = |now: i64| -> Vec<(i64, i64, bool)> {
            let all = episodes(&series, now * 60_000);
            let all = all.iter();
            all.map(|e| (e.from_ms / 60_000, e.to_ms / 60_000, e.ongoing))
                .collect()
        };
        assert_eq!(found(22), [(0, 2, false), (5, 5, false), (20, 21, true)]);
        assert!(!found(30)[2].2);
    }
}
