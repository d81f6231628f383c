//! What the analysis finds as ordinary series, so that rules can be about it:
//! `alluse_finding{kind="anomaly", metric="up", ...}` with the severity as value at the time it
//! was found, and the labels of the series it is about. For a resource that runs out the value is
//! the seconds that are left, under `alluse_finding_exhaustion_seconds`. Where nothing is found
//! there is no sample; after five minutes without one the series is absent from queries.

use std::{collections::BTreeMap, sync::Arc};

use model::{Finding, FindingKind, Labels, METRIC_NAME, Sample, SampleSink};

/// How findings come in, as a label value.
pub(crate) const DOOR: &str = "analysis";

/// The metric of findings with a severity.
const FINDING: &str = "alluse_finding";

/// The metric of forecasts, in seconds.
const EXHAUSTION: &str = "alluse_finding_exhaustion_seconds";

/// Series made within [`KEEP_MS`]; findings about more are in the journal, and counted.
const SERIES_MAX: usize = 2_000;

/// How long a series counts against the limit after its last finding, ms.
const KEEP_MS: i64 = 3_600_000;

/// Where the samples go.
#[derive(Clone)]
pub(crate) struct Sink(pub(crate) Arc<dyn SampleSink>);

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sink")
    }
}

/// What findings became, within bounds.
#[derive(Debug, Default)]
pub(crate) struct FindingSeries {
    /// When each was last written, ms.
    written_ms: BTreeMap<Labels, i64>,
}

impl FindingSeries {
    /// The samples of findings; and how many findings have none because there are too many series.
    pub(crate) fn samples(&mut self, findings: &[Finding]) -> (Vec<Sample>, u64) {
        let newest = findings.iter().map(|finding| finding.at_ms).max();
        if let Some(now_ms) = newest {
            self.written_ms.retain(|_, at| now_ms - *at < KEEP_MS);
        }
        let (mut samples, mut dropped) = (Vec::new(), 0);
        for finding in findings {
            let (labels, value) = meant(finding);
            let is_known = self.written_ms.contains_key(&labels);
            if !is_known && self.written_ms.len() == SERIES_MAX {
                dropped += 1;
                continue;
            }
            self.written_ms.insert(labels.clone(), finding.at_ms);
            samples.push(Sample::float(labels, finding.at_ms, value));
        }
        (samples, dropped)
    }
}

fn meant(finding: &Finding) -> (Labels, f64) {
    let (name, kind, value) = match &finding.what {
        FindingKind::Anomaly { .. } => (FINDING, "anomaly", finding.severity),
        FindingKind::ChangePoint { .. } => (FINDING, "change_point", finding.severity),
        FindingKind::Exhaustion { seconds, .. } => (EXHAUSTION, "exhaustion", *seconds),
    };
    let mut labels = finding.series.to_builder();
    labels.set("metric", finding.series.metric_name());
    labels.set("kind", kind);
    labels.set(METRIC_NAME, name);
    (labels.build(), value)
}

#[cfg(test)]
mod tests {
    use model::{FindingId, Interval};

    use super::*;

    fn anomaly(name: &str, at_ms: i64) -> Finding {
        let normal = Interval {
            low: 0.0,
            high: 1.0,
        };
        Finding {
            id: FindingId::default(),
            series: Labels::from_pairs([(METRIC_NAME, name), ("job", "a")]),
            at_ms,
            what: FindingKind::Anomaly {
                observed: 9.0,
                expected: 0.5,
                normal,
            },
            severity: 7.5,
            summary: String::new(),
        }
    }

    #[test]
    fn a_finding_is_a_sample_of_the_series_it_is_about() {
        let (samples, dropped) = FindingSeries::default().samples(&[anomaly("up", 5)]);
        let expected = Labels::from_pairs([
            (METRIC_NAME, "alluse_finding"),
            ("kind", "anomaly"),
            ("metric", "up"),
            ("job", "a"),
        ]);
        assert_eq!(samples, [Sample::float(expected, 5, 7.5)]);
        assert_eq!(dropped, 0);
    }

    #[test]
    fn more_series_than_the_limit_are_counted_and_room_comes_back() {
        let mut series = FindingSeries::default();
        let many: Vec<Finding> = (0..SERIES_MAX + 3)
            .map(|n| anomaly(&format!("m{n}"), 0))
            .collect();
        assert_eq!(series.samples(&many).1, 3);
        assert_eq!(series.samples(&many[..1]).1, 0, "a known series goes on");
        assert_eq!(series.samples(&[anomaly("new", KEEP_MS)]).1, 0);
    }
}
