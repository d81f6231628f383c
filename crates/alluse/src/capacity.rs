//! Resources that must not run out: once a minute each is forecast from the store.

use std::collections::BTreeMap;

use analyze::{Toward, forecast};
use model::{Finding, FindingId, FindingKind, Labels, SeriesReader};

use crate::{config::Capacity, measure::Measure};

/// Between two forecasts, ms.
const EVERY_MS: i64 = 60_000;

/// How much history a forecast looks at, ms, and in which steps.
const HISTORY_MS: i64 = 6 * 3_600_000;
const STEP_MS: i64 = 30_000;

/// A crossing further away than this is not news: a day, in seconds.
const HORIZON_S: f64 = 86_400.0;

/// The same resource is reported again only after this, ms.
const REPEAT_MS: i64 = 3_600_000;

/// The resources watched.
#[derive(Debug)]
pub(crate) struct Capacities {
    said: Vec<Capacity>,
    next_ms: i64,
    /// When each was last reported.
    reported_ms: BTreeMap<(String, Labels), i64>,
}

impl Capacities {
    pub(crate) fn new(said: Vec<Capacity>) -> Self {
        Self {
            said,
            next_ms: i64::MIN,
            reported_ms: BTreeMap::new(),
        }
    }

    /// What is forecast to run out, when it is time to look.
    pub(crate) fn due(
        &mut self,
        now_ms: i64,
        measure: &Measure,
        reader: &dyn SeriesReader,
    ) -> Vec<Finding> {
        if now_ms < self.next_ms {
            return Vec::new();
        }
        self.next_ms = now_ms + EVERY_MS;
        self.reported_ms.retain(|_, at| now_ms - *at < REPEAT_MS);
        let mut findings = Vec::new();
        for capacity in &self.said {
            let range = (now_ms - HISTORY_MS, now_ms, STEP_MS);
            for series in measure.matrix(reader, &capacity.query, range) {
                let key = (capacity.name.clone(), series.labels.clone());
                if self.reported_ms.contains_key(&key) {
                    continue;
                }
                if let Some(finding) = forecast_one(capacity, &series, now_ms) {
                    self.reported_ms.insert(key, now_ms);
                    findings.push(finding);
                }
            }
        }
        findings
    }
}

fn forecast_one(capacity: &Capacity, series: &query::MatrixSeries, now_ms: i64) -> Option<Finding> {
    let (times, values): (Vec<i64>, Vec<f64>) = series.floats.iter().copied().unzip();
    let toward = if capacity.above {
        Toward::Above
    } else {
        Toward::Below
    };
    let crossing = forecast::exhaustion(&times, &values, capacity.threshold, toward, now_ms)?;
    (crossing.seconds <= HORIZON_S).then(|| Finding {
        id: FindingId::default(),
        series: series.labels.clone(),
        at_ms: now_ms,
        severity: 0.0,
        summary: format!(
            "{} {} will reach {} in about {} (80 % interval from {} to {}).",
            capacity.name,
            series.labels,
            capacity.threshold,
            span(crossing.seconds),
            span(crossing.interval.low),
            span(crossing.interval.high),
        ),
        what: FindingKind::Exhaustion {
            threshold: capacity.threshold,
            seconds: crossing.seconds,
            interval: crossing.interval,
        },
    })
}

/// A number of seconds as a person would say it.
fn span(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => "never".to_owned(),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_the_unit_a_person_would_choose() {
        assert_eq!(span(90.0), "90 s");
        assert_eq!(span(600.0), "10 min");
        assert_eq!(span(10_000.0), "2.8 h");
        assert_eq!(span(f64::INFINITY), "never");
    }

    #[test]
    fn a_disk_that_fills_is_reported_once_an_hour() {
        let store = testkit::MemoryStore::default();
        let labels = Labels::from_pairs([("__name__", "disk_free_ratio")]);
        let minutes = 180;
        let samples = (0..minutes).map(|m| {
            let noise = f64::from(m % 7) * 1e-4;
            let value = 0.5 - 0.4 * f64::from(m) / 180.0 + noise;
            model::Sample::float(labels.clone(), i64::from(m) * 60_000, value)
        });
        let batch = model::Batch {
            samples: samples.collect(),
            ..model::Batch::default()
        };
        model::SampleSink::append(&store, &batch, model::Durability::Fast).unwrap();
        let measure = Measure::new(query::Engine::default());
        let said = Capacity {
            name: "disk".to_owned(),
            query: "disk_free_ratio".to_owned(),
            threshold: 0.05,
            above: false,
        };
        let mut capacities = Capacities::new(vec![said]);
        let now_ms = i64::from(minutes) * 60_000;
        let found = capacities.due(now_ms, &measure, &store);
        assert_eq!(found.len(), 1, "{found:?}");
        let FindingKind::Exhaustion { seconds, .. } = found[0].what else {
            panic!("{found:?}")
        };
        // 0.1 left at a slope of 0.4 in three hours: 0.05 is 22.5 minutes away; the steps of the
        // range query show each value up to half a minute late.
        assert!((seconds - 22.5 * 60.0).abs() < 45.0, "{found:?}");
        assert!(
            capacities
                .due(now_ms + EVERY_MS, &measure, &store)
                .is_empty()
        );
    }
}
