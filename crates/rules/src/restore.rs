//! The `for` clock of alerts after a restart, from the samples of [`ALERTS_FOR_STATE`]: as in
//! Prometheus, what was pending goes on being pending for as long as was left, and what was firing
//! fires at the next evaluation, if the outage was not too long.

use model::{Labels, METRIC_NAME, Matcher, Selection, SeriesReader, is_stale};

use crate::{
    ALERT_NAME, ALERTS_FOR_STATE,
    alerting::Alerts,
    spec::{AlertSpec, ms},
};

/// Longest outage after which the state is taken up again, ms: Prometheus's
/// `--rules.alert.for-outage-tolerance`.
pub const OUTAGE_TOLERANCE_MS: i64 = 3_600_000;

/// Least time an alert is watched after a restart before it fires, ms; rules with a shorter `for`
/// simply begin anew. Prometheus's `--rules.alert.for-grace-period`.
pub const GRACE_MS: i64 = 10 * 60_000;

/// Takes up the state of an earlier life for one rule.
pub(crate) fn restore(
    alerts: &mut Alerts,
    name: &str,
    spec: &AlertSpec,
    at_ms: i64,
    reader: &dyn SeriesReader,
) -> Result<(), model::ReadError> {
    let hold_ms = ms(spec.hold);
    if hold_ms >= GRACE_MS {
        for (labels, down_ms, since_ms) in last_seen(name, at_ms, reader)? {
            if let Some(alert) = alerts.by_labels.get_mut(&labels) {
                alert.active_at_ms = active_at(at_ms, hold_ms, down_ms, since_ms);
            }
        }
    }
    alerts.restored = true;
    Ok(())
}

/// Since when an alert counts as active that was active from `since_ms` and last seen at `down_ms`.
fn active_at(at_ms: i64, hold_ms: i64, down_ms: i64, since_ms: i64) -> i64 {
    let left_ms = hold_ms - (down_ms - since_ms);
    if left_ms <= 0 {
        // It was firing.
        since_ms
    } else if left_ms < GRACE_MS {
        at_ms + GRACE_MS - hold_ms
    } else {
        // The outage does not count.
        since_ms + (at_ms - down_ms)
    }
}

/// The alerts of a rule that were active when they were last seen: labels, when that was, and
/// since when.
fn last_seen(
    name: &str,
    at_ms: i64,
    reader: &dyn SeriesReader,
) -> Result<Vec<(Labels, i64, i64)>, model::ReadError> {
    let selection = Selection {
        matchers: vec![
            Matcher::equal(METRIC_NAME, ALERTS_FOR_STATE),
            Matcher::equal(ALERT_NAME, name),
        ],
        from_ms: at_ms - OUTAGE_TOLERANCE_MS,
        to_ms: at_ms,
    };
    let mut seen = Vec::new();
    for series in reader.select(&selection)? {
        let series = series?;
        let last = series.times_ms.last().zip(series.values.last());
        let Some((down_ms, since_s)) = last.filter(|(_, value)| !is_stale(**value)) else {
            continue;
        };
        let mut labels = series.labels.to_builder();
        labels.remove(METRIC_NAME);
        seen.push((labels.build(), *down_ms, (*since_s * 1_000.0) as i64));
    }
    Ok(seen)
}
