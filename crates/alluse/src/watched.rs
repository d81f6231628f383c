//! What of the stored samples the analysis judges: what is about now, and not what it said itself.
//!
//! Findings and what the rules say of alerts are left out: findings about findings would never
//! end. And history is left out, such as an import or what an agent brings after a long outage: to
//! judge it would cost more than to store it, and say what nobody can act on any more.

use std::borrow::Cow;

use model::{Batch, Point, Sample};

use crate::finding_series;

/// Samples that are older when they come are history, ms. Twice the time for which a query takes a
/// sample to be the present.
pub(crate) const LIVE_MS: i64 = 10 * 60_000;

/// What of a batch is judged; only batches of the two doors above cost a look at each name.
pub(crate) fn in_batch(batch: &Batch, since_ms: i64) -> Cow<'_, Batch> {
    if batch.door == finding_series::DOOR {
        return Cow::Owned(Batch::default());
    }
    let of_rules = batch.door == rules::DOOR;
    let judged = |sample: &&Sample| sample.time_ms >= since_ms && !(of_rules && is_alert(sample));
    if batch.samples.iter().all(|sample| judged(&sample)) {
        return Cow::Borrowed(batch);
    }
    Cow::Owned(Batch {
        samples: batch.samples.iter().filter(judged).cloned().collect(),
        metadata: batch.metadata.clone(),
        door: batch.door,
        ..Batch::default()
    })
}

/// What of points is judged. Only senders elsewhere speak of series by slot: no findings of ours.
pub(crate) fn in_points(points: &[Point], since_ms: i64) -> Cow<'_, [Point]> {
    let judged = |point: &&Point| point.time_ms >= since_ms;
    if points.iter().all(|point| judged(&point)) {
        return Cow::Borrowed(points);
    }
    Cow::Owned(points.iter().filter(judged).copied().collect())
}

fn is_alert(sample: &Sample) -> bool {
    matches!(
        sample.labels.metric_name(),
        rules::ALERTS | rules::ALERTS_FOR_STATE
    )
}

#[cfg(test)]
mod tests {
    use model::{Labels, METRIC_NAME};

    use super::*;

    #[test]
    fn findings_alerts_and_history_are_not_judged_and_what_rules_record_is() {
        let seen = |name: &str, door: &'static str, time_ms: i64| {
            let labels = Labels::from_pairs([(METRIC_NAME, name)]);
            let batch = Batch {
                samples: vec![Sample::float(labels, time_ms, 1.0)],
                door,
                ..Batch::default()
            };
            !in_batch(&batch, 5).samples.is_empty()
        };
        assert!(seen("up", "scrape", 5) && seen("job:up:sum", rules::DOOR, 5));
        assert!(!seen("up", "import", 4));
        assert!(!seen("ALERTS", rules::DOOR, 5) && !seen("ALERTS_FOR_STATE", rules::DOOR, 5));
        assert!(!seen("alluse_finding", finding_series::DOOR, 5));
    }

    #[test]
    fn of_points_the_old_ones_are_left_out() {
        let points: Vec<Point> = (0..9)
            .map(|i| Point {
                series: 0,
                time_ms: i,
                value: 0.0,
            })
            .collect();
        assert_eq!(*in_points(&points, 0), points[..]);
        assert_eq!(*in_points(&points, 6), points[6..]);
        assert!(in_points(&points, 9).is_empty());
    }
}
