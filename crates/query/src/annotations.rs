//! Warnings and infos: what should be known about an answer. Texts are Prometheus's.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::float_text::format_general;
use crate::position::Position;

/// Different annotations one answer may carry of each kind; a metric name in the text makes them
/// as many as there are metrics.
const ANNOTATIONS_MAX: usize = 1_000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Warning,
    Info,
}

/// What there is to say, without the metric it is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Note<'a> {
    InvalidQuantile(f64),
    InvalidRatio {
        given: f64,
        used: f64,
    },
    BadBucketLabel {
        metric: &'a str,
        value: &'a str,
    },
    MixedFloatsHistograms {
        metric: &'a str,
    },
    MixedFloatsHistogramsAggregated,
    MixedClassicNative {
        metric: &'a str,
    },
    NotCounter {
        metric: &'a str,
    },
    NotGauge {
        metric: &'a str,
    },
    MixedBuckets {
        metric: &'a str,
    },
    IncompatibleBuckets {
        op: &'a str,
    },
    ResetCollision(Operation),
    StartTimeOverlap {
        metric: &'a str,
    },
    SortInRange,
    PossibleNonCounter {
        metric: &'a str,
    },
    ForcedMonotonicity {
        metric: &'a str,
    },
    IncompatibleTypes {
        left: &'a str,
        op: &'a str,
        right: &'a str,
    },
    IgnoredInAggregation {
        op: &'a str,
    },
    IgnoredInRange {
        metric: &'a str,
    },
    QuantileNan {
        metric: &'a str,
    },
    QuantileSkewed {
        metric: &'a str,
    },
    FractionNan {
        metric: &'a str,
    },
    BoundsReconciled(Operation),
    /// Of some of the time only roll-ups are left.
    RolledUp {
        every_ms: i64,
    },
}

/// What was being done with histograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Addition,
    Subtraction,
    Aggregation,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

impl Note<'_> {
    fn severity(&self) -> Severity {
        match self {
            Self::PossibleNonCounter { .. }
            | Self::ForcedMonotonicity { .. }
            | Self::IncompatibleTypes { .. }
            | Self::IgnoredInAggregation { .. }
            | Self::IgnoredInRange { .. }
            | Self::QuantileNan { .. }
            | Self::QuantileSkewed { .. }
            | Self::FractionNan { .. }
            | Self::BoundsReconciled(_)
            | Self::RolledUp { .. } => Severity::Info,
            _ => Severity::Warning,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::InvalidQuantile(q) => {
                format!(
                    "quantile value should be between 0 and 1, got {}",
                    format_general(*q)
                )
            }
            Self::InvalidRatio { given, used } => format!(
                "ratio value should be between -1 and 1, got {}, capping to {}",
                format_general(*given),
                format_general(*used)
            ),
            Self::BadBucketLabel { metric, value } => format!(
                "bucket label \"le\" is missing or has a malformed value of {value:?}{}",
                for_metric(metric)
            ),
            Self::MixedFloatsHistograms { metric } => {
                format!("encountered a mix of histograms and floats for metric name {metric:?}")
            }
            Self::MixedFloatsHistogramsAggregated => {
                "encountered a mix of histograms and floats for aggregation".to_owned()
            }
            Self::MixedClassicNative { metric } => {
                "vector contains a mix of classic and native histograms".to_owned()
                    + &for_metric(metric)
            }
            Self::NotCounter { metric } => {
                format!("this native histogram metric is not a counter: {metric:?}")
            }
            Self::NotGauge { metric } => {
                format!("this native histogram metric is not a gauge: {metric:?}")
            }
            Self::MixedBuckets { metric } => format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas \
                 for metric name {metric:?}"
            ),
            Self::IncompatibleBuckets { op } => {
                format!("incompatible bucket layout encountered for binary operator {op}")
            }
            Self::ResetCollision(op) => {
                format!(
                    "conflicting counter resets during histogram {}",
                    op.as_str()
                )
            }
            Self::StartTimeOverlap { metric } => format!(
                "sample has start time that overlaps with previous sample timestamp for metric \
                 {metric:?}"
            ),
            Self::SortInRange => {
                "sort is ineffective for range queries since results are always ordered by labels"
                    .to_owned()
            }
            other => other.info_text(),
        }
    }

    fn info_text(&self) -> String {
        match self {
            Self::PossibleNonCounter { metric } => format!(
                "metric might not be a counter, name does not end in \
                 _total/_sum/_count/_bucket: {metric:?}"
            ),
            Self::ForcedMonotonicity { metric } => {
                "input to histogram_quantile needed to be fixed for monotonicity (see \
                 https://prometheus.io/docs/prometheus/latest/querying/functions/\
                 #histogram_quantile)"
                    .to_owned()
                    + &for_metric(metric)
            }
            Self::IncompatibleTypes { left, op, right } => format!(
                "incompatible sample types encountered for binary operator {op:?}: {left} {op} \
                 {right}"
            ),
            Self::IgnoredInAggregation { op } => {
                format!("ignored histogram in {op} aggregation")
            }
            Self::IgnoredInRange { metric } => format!(
                "ignored histograms in a range containing both floats and histograms for metric \
                 name {metric:?}"
            ),
            Self::QuantileNan { metric } => {
                "input to histogram_quantile has NaN observations, result is NaN".to_owned()
                    + &for_metric(metric)
            }
            Self::QuantileSkewed { metric } => {
                "input to histogram_quantile has NaN observations, result is skewed higher"
                    .to_owned()
                    + &for_metric(metric)
            }
            Self::FractionNan { metric } => {
                "input to histogram_fraction has NaN observations, which are excluded from all \
                 fractions"
                    .to_owned()
                    + &for_metric(metric)
            }
            Self::BoundsReconciled(op) => {
                format!(
                    "mismatched custom buckets were reconciled during {}",
                    op.as_str()
                )
            }
            Self::RolledUp { every_ms } => format!(
                "some of the samples are old enough to be kept as roll-ups only, one every {}s",
                every_ms / 1000
            ),
            _ => String::new(),
        }
    }
}

fn for_metric(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!(" for metric name {name:?}")
    }
}

/// Annotations of one answer: unique, sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Annotations {
    warnings: BTreeSet<String>,
    infos: BTreeSet<String>,
}

impl Annotations {
    /// Notes something about the part of `text` at `position`.
    pub(crate) fn add(&mut self, note: &Note<'_>, position: Position, text: &str) {
        let (kind, set) = match note.severity() {
            Severity::Warning => ("warning", &mut self.warnings),
            Severity::Info => ("info", &mut self.infos),
        };
        if set.len() < ANNOTATIONS_MAX {
            let mut line = format!("PromQL {kind}: {}", note.text());
            write!(line, " ({})", position.line_column(text)).expect("a string takes text");
            set.insert(line);
        }
    }

    /// Notes that stored samples could not be read, and where: the answer is without them.
    pub(crate) fn missing(&mut self, place: &str) {
        if self.warnings.len() < ANNOTATIONS_MAX {
            let text = format!("some samples are missing, their bytes do not check: {place}");
            self.warnings.insert(text);
        }
    }

    /// Takes in what was noted elsewhere.
    pub(crate) fn join(&mut self, other: Self) {
        for (own, others) in [
            (&mut self.warnings, other.warnings),
            (&mut self.infos, other.infos),
        ] {
            for line in others {
                if own.len() < ANNOTATIONS_MAX {
                    own.insert(line);
                }
            }
        }
    }

    /// Warnings and infos.
    pub(crate) fn into_lists(self) -> (Vec<String>, Vec<String>) {
        (
            self.warnings.into_iter().collect(),
            self.infos.into_iter().collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_is_kept_once_and_ends_in_its_place() {
        let mut all = Annotations::default();
        for _ in 0..3 {
            all.add(
                &Note::NotGauge { metric: "m" },
                Position::new(6, 7),
                "delta(m[5m])",
            );
        }
        let (warnings, infos) = all.into_lists();
        let text = "PromQL warning: this native histogram metric is not a gauge: \"m\" (1:7)";
        assert_eq!(warnings, [text]);
        assert!(infos.is_empty());
    }
}
