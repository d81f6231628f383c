//! Limits of new series by metric, label and selector, and who runs into them.
//!
//! Active series are never refused: a limit only keeps new ones out, and only those of whoever
//! reached it. How many series a metric has is the length of its posting list, so the usual limits
//! cost one look-up a new series. Who makes series and who is refused is kept in bounded sketches
//! (Space-Saving: Metwally, Agrawal, El Abbadi 2005, "Efficient computation of frequent and top-k
//! elements in data streams"): whoever has more than 1/128 of all is always among them.

use std::collections::BTreeMap;

use model::{Labels, METRIC_NAME, Matcher, RejectReason};

use crate::{config::Config, registry::Registry};

/// A limit of the series a selector means, or of the values a label has.
#[derive(Debug, Clone, PartialEq)]
pub enum SeriesLimit {
    /// At most `max` active series match.
    Selector {
        /// All must hold.
        matchers: Vec<Matcher>,
        /// Series.
        max: usize,
    },
    /// At most `max` distinct values of a label among active series.
    Label {
        /// The label's name.
        name: String,
        /// Values.
        max: usize,
    },
}

/// Counters of one sketch.
const TOP_MAX: usize = 128;

/// The names counted most often.
#[derive(Debug, Default)]
pub(crate) struct Top(BTreeMap<String, u64>);

impl Top {
    /// Counts a name. One that is not among the counted takes the place of the least, and its
    /// count: a name's count is never too low, and too high by no more than that.
    pub(crate) fn add(&mut self, name: &str) {
        if let Some(count) = self.0.get_mut(name) {
            *count += 1;
            return;
        }
        let mut begun = 0;
        if self.0.len() >= TOP_MAX {
            let least = self.0.iter().min_by_key(|(_, count)| **count);
            let (least, count) = least.map(|(n, c)| (n.clone(), *c)).unwrap_or_default();
            self.0.remove(&least);
            begun = count;
        }
        self.0.insert(name.to_owned(), begun + 1);
    }

    /// The `limit` most counted, most first; equal ones by name.
    pub(crate) fn most(&self, limit: usize) -> Vec<(String, u64)> {
        most(self.0.iter().map(|(n, c)| (n.clone(), *c)), limit)
    }
}

/// The `limit` highest, highest first; equal ones by name.
fn most(all: impl Iterator<Item = (String, u64)>, limit: usize) -> Vec<(String, u64)> {
    let mut all: Vec<_> = all.collect();
    all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all.truncate(limit);
    all
}

/// What the limits remember.
#[derive(Debug, Default)]
pub(crate) struct Attribution {
    /// New series by metric.
    created: Top,
    /// Refused series by reason, then by the metric (or the label) that is over its limit. A
    /// series that comes again is refused again, and counted again.
    refused: BTreeMap<&'static str, Top>,
    /// Series of each selector limit, in the order of the configuration.
    of_selectors: Vec<usize>,
}

impl Attribution {
    pub(crate) fn created(&mut self, labels: &Labels, config: &Config) {
        self.created.add(labels.metric_name());
        self.of_selectors.resize(config.series_limits.len(), 0);
        for (limit, count) in config.series_limits.iter().zip(&mut self.of_selectors) {
            if let SeriesLimit::Selector { matchers, .. } = limit {
                *count += usize::from(matches(matchers, labels));
            }
        }
    }

    /// After series were given back.
    pub(crate) fn recount(&mut self, active: impl Iterator<Item = Labels>, config: &Config) {
        self.of_selectors = vec![0; config.series_limits.len()];
        let has_selector = |l: &SeriesLimit| matches!(l, SeriesLimit::Selector { .. });
        if !config.series_limits.iter().any(has_selector) {
            return;
        }
        for labels in active {
            for (limit, count) in config.series_limits.iter().zip(&mut self.of_selectors) {
                if let SeriesLimit::Selector { matchers, .. } = limit {
                    *count += usize::from(matches(matchers, &labels));
                }
            }
        }
    }

    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        let top = self.refused.entry(refusal.reason.as_str()).or_default();
        top.add(&refusal.who);
    }
}

fn matches(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers
        .iter()
        .all(|m| m.matches(labels.get(&m.name).unwrap_or_default()))
}

/// Why a new series is kept out, and who is over which limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: RejectReason,
    /// The metric; for the limit of a label, the label's name.
    who: String,
}

/// Whether a new series may be kept.
pub(crate) fn admit(
    registry: &Registry,
    attribution: &Attribution,
    labels: &Labels,
    config: &Config,
) -> Result<(), Refusal> {
    let metric = labels.metric_name();
    let refuse = |reason, who: &str| {
        Err(Refusal {
            reason,
            who: who.to_owned(),
        })
    };
    if registry.size_of(METRIC_NAME, metric) >= config.series_max_per_metric {
        return refuse(RejectReason::MetricLimit, metric);
    }
    if let Some(label) = label_over(registry, labels, config) {
        return refuse(RejectReason::LabelLimit, label);
    }
    for (i, limit) in config.series_limits.iter().enumerate() {
        if let SeriesLimit::Selector { matchers, max } = limit
            && attribution.of_selectors.get(i).is_some_and(|n| n >= max)
            && matches(matchers, labels)
        {
            return refuse(RejectReason::LabelLimit, metric);
        }
    }
    if registry.len() >= config.series_max {
        return refuse(RejectReason::SeriesLimit, metric);
    }
    Ok(())
}

/// A label of the set that would get a value more than it may have.
fn label_over<'a>(registry: &Registry, labels: &'a Labels, config: &Config) -> Option<&'a str> {
    let limited = |name: &str| {
        let special = config.series_limits.iter().filter_map(|limit| match limit {
            SeriesLimit::Label { name: own, max } if own == name => Some(*max),
            SeriesLimit::Label { .. } | SeriesLimit::Selector { .. } => None,
        });
        special.min().unwrap_or(config.label_values_max)
    };
    let over = |(name, value): &(&str, &str)| {
        registry.values_of(name) >= limited(name) && registry.size_of(name, value) == 0
    };
    labels.iter().find(over).map(|(name, _)| name)
}

/// Who has the series: what `/api/v1/status/tsdb` tells. Lists are highest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Active series.
    pub series: u64,
    /// Distinct pairs of label name and value among them.
    pub label_pairs: u64,
    /// Series by metric name.
    pub series_by_metric: Vec<(String, u64)>,
    /// Distinct values by label name.
    pub values_by_label: Vec<(String, u64)>,
    /// Bytes of names and values by label name, once for each series.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Series by pair, as `name=value`.
    pub series_by_pair: Vec<(String, u64)>,
    /// New series since the start by metric name; approximate beyond 128 names.
    pub created_by_metric: Vec<(String, u64)>,
    /// Refusals since the start by reason, then by metric or label name; approximate as above.
    pub refused: Vec<(&'static str, Vec<(String, u64)>)>,
}

/// Who has the series, `limit` names a list.
pub(crate) fn survey(registry: &Registry, attribution: &Attribution, limit: usize) -> Cardinality {
    let mut found = Cardinality {
        series: registry.len() as u64,
        ..Cardinality::default()
    };
    let (mut metrics, mut pairs) = (Vec::new(), Vec::new());
    let mut by_label: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    registry.each_pair(&mut |name, value, series| {
        let series = series as u64;
        found.label_pairs += 1;
        if !by_label.contains_key(name) {
            by_label.insert(name.to_owned(), (0, 0));
        }
        let of_label = by_label.get_mut(name).expect("inserted above");
        of_label.0 += 1;
        of_label.1 += series * (name.len() + value.len()) as u64;
        if name == METRIC_NAME {
            metrics.push((value.to_owned(), series));
        }
        pairs.push((format!("{name}={value}"), series));
        // A list of all pairs would be as large as the index: only the best are kept.
        if pairs.len() >= 4 * limit + 1_000 {
            pairs = most(std::mem::take(&mut pairs).into_iter(), limit);
        }
    });
    let of_labels = |pick: fn(&(u64, u64)) -> u64| {
        most(
            by_label.iter().map(|(n, counts)| (n.clone(), pick(counts))),
            limit,
        )
    };
    found.values_by_label = of_labels(|(values, _)| *values);
    found.bytes_by_label = of_labels(|(_, bytes)| *bytes);
    found.series_by_metric = most(metrics.into_iter(), limit);
    found.series_by_pair = most(pairs.into_iter(), limit);
    found.created_by_metric = attribution.created.most(limit);
    let refused = attribution.refused.iter();
    found.refused = refused
        .map(|(reason, top)| (*reason, top.most(limit)))
        .collect();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_more_than_its_share_is_always_among_the_top() {
        let mut top = Top::default();
        for i in 0..20_000 {
            top.add(&format!("once_{i}"));
            if i % 50 == 0 {
                top.add("often");
            }
        }
        assert_eq!(top.0.len(), TOP_MAX);
        let often = top.most(TOP_MAX).into_iter().find(|(n, _)| n == "often");
        let count = often.expect("more than 1/128 of all").1;
        let error_max = 20_400 / TOP_MAX as u64;
        assert!((400..=400 + error_max).contains(&count), "{count}");
    }

    #[test]
    fn exact_below_the_bound_and_ties_go_by_name() {
        let mut top = Top::default();
        for name in ["b", "a", "c", "c"] {
            top.add(name);
        }
        let all = top.most(9);
        let all: Vec<_> = all.iter().map(|(n, c)| (n.as_str(), *c)).collect();
        assert_eq!(all, [("c", 2), ("a", 1), ("b", 1)]);
    }
}
