//! OpenMetrics's rules on the samples of one family: names by type, groups in one piece,
//! timestamps that do not fall, buckets that add up.
//!
//! A *group* is what the specification calls a Metric: the samples of a family with the same
//! labels, the type's own label (`le`, `quantile`, the state) left out.

use std::collections::HashSet;

use model::{Labels, METRIC_NAME, MetricType};

use super::{
    error::{Fault, Parsed},
    scan::number,
};

/// Suffixes the samples of a family may have, by its type.
pub(super) fn suffixes(kind: MetricType) -> &'static [&'static str] {
    match kind {
        MetricType::Counter => &["_total", "_created"],
        MetricType::Histogram => &["_bucket", "_count", "_sum", "_created"],
        MetricType::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
        MetricType::Summary => &["", "_count", "_sum", "_created"],
        MetricType::Info => &["_info"],
        MetricType::Gauge | MetricType::StateSet | MetricType::Unknown => &[""],
    }
}

/// The suffix by which `name` belongs to the family.
pub(super) fn suffix_of(kind: MetricType, family: &str, name: &str) -> Option<&'static str> {
    let rest = name.strip_prefix(family)?;
    suffixes(kind)
        .iter()
        .copied()
        .find(|suffix| *suffix == rest)
}

/// A sample's place in a family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) kind: MetricType,
    pub(super) family: &'a str,
    pub(super) suffix: &'static str,
}

/// What the rules need to know of a series; the same each time the source says it.
#[derive(Debug, Clone)]
pub(super) struct Grouping {
    kind: MetricType,
    suffix: &'static str,
    group: Labels,
    /// Upper bound of a bucket.
    bound: f64,
}

impl Grouping {
    pub(super) fn is_for(&self, member: Member<'_>) -> bool {
        // The family's name follows from the series' name and the suffix.
        self.kind == member.kind && self.suffix == member.suffix
    }

    pub(super) fn new(labels: &Labels, member: Member<'_>) -> Parsed<Self> {
        let own = own_label(member);
        let mut group = labels.to_builder();
        group.remove(METRIC_NAME);
        let mut bound = f64::NAN;
        if let Some(own) = own {
            let value = labels
                .get(own)
                .ok_or_else(|| Fault::new(0, format!("the label {own:?} is missing")))?;
            bound = check_own_label(member.kind, value)?;
            group.remove(own);
        } else if let Some(reserved) = reserved_label(member.kind)
            && labels.get(reserved).is_some()
        {
            return Err(Fault::new(
                0,
                format!("the label {reserved:?} does not belong here"),
            ));
        }
        // The samples of an info metric cannot be told apart into groups.
        let group = if member.kind == MetricType::Info {
            Labels::empty()
        } else {
            group.build()
        };
        Ok(Self {
            kind: member.kind,
            suffix: member.suffix,
            group,
            bound,
        })
    }
}

/// The label that tells the samples of one group apart.
fn own_label(member: Member<'_>) -> Option<&str> {
    match (member.kind, member.suffix) {
        (MetricType::Histogram | MetricType::GaugeHistogram, "_bucket") => Some("le"),
        (MetricType::Summary, "") => Some("quantile"),
        (MetricType::StateSet, _) => Some(member.family),
        _ => None,
    }
}

/// The label the other samples of such a family may not have.
fn reserved_label(kind: MetricType) -> Option<&'static str> {
    match kind {
        MetricType::Histogram | MetricType::GaugeHistogram => Some("le"),
        MetricType::Summary => Some("quantile"),
        MetricType::Counter
        | MetricType::Gauge
        | MetricType::Info
        | MetricType::StateSet
        | MetricType::Unknown => None,
    }
}

fn check_own_label(kind: MetricType, value: &str) -> Parsed<f64> {
    if kind == MetricType::StateSet {
        return Ok(f64::NAN);
    }
    let parsed = number(value).filter(|n| !n.is_nan());
    if kind == MetricType::Summary {
        let quantile = parsed.filter(|q| (0.0..=1.0).contains(q));
        let what = || Fault::new(0, format!("the quantile {value:?} is not between 0 and 1"));
        return quantile.ok_or_else(what);
    }
    let spelled = |n: &f64| n.is_finite() || value == "+Inf";
    let what = || {
        Fault::new(
            0,
            format!("the bucket bound {value:?} is not a number or +Inf"),
        )
    };
    parsed.filter(spelled).ok_or_else(what)
}

/// The samples of one family as they come.
#[derive(Debug, Default)]
pub(super) struct GroupCheck {
    group: Option<Labels>,
    time: Option<f64>,
    past: HashSet<Labels>,
    buckets: Buckets,
}

impl GroupCheck {
    pub(super) fn sample(&mut self, of: &Grouping, value: f64, time: Option<f64>) -> Parsed<()> {
        check_value(of, value)?;
        if self.group.as_ref() != Some(&of.group) {
            self.buckets.finish()?;
            if !self.past.insert(of.group.clone()) {
                return Err(Fault::new(0, "samples of the same labels are interleaved"));
            }
            self.group = Some(of.group.clone());
        } else {
            self.later(of.kind, time)?;
        }
        self.time = time;
        self.buckets.sample(of, value)
    }

    pub(super) fn finish_family(&mut self) -> Parsed<()> {
        self.buckets.finish()?;
        self.group = None;
        self.past.clear();
        Ok(())
    }

    /// The next sample of the same group: its time may not fall.
    fn later(&mut self, kind: MetricType, time: Option<f64>) -> Parsed<()> {
        match (self.time, time) {
            (None, None) => Ok(()),
            (Some(before), Some(now)) => {
                if now < before && kind != MetricType::Info {
                    return Err(Fault::new(0, "a timestamp before that of the sample above"));
                }
                if now > before {
                    self.buckets.finish()
                } else {
                    Ok(())
                }
            }
            _ => Err(Fault::new(
                0,
                "samples with and without timestamps in one group",
            )),
        }
    }
}

/// One histogram at one time.
#[derive(Debug, Default)]
struct Buckets {
    /// Anything of it seen.
    begun: bool,
    bound: Option<f64>,
    cumulative: f64,
    negative_bound: bool,
    count: Option<f64>,
    sum: Option<f64>,
    gauge: bool,
}

impl Buckets {
    fn sample(&mut self, of: &Grouping, value: f64) -> Parsed<()> {
        if !matches!(of.kind, MetricType::Histogram | MetricType::GaugeHistogram) {
            return Ok(());
        }
        self.begun = true;
        self.gauge = of.kind == MetricType::GaugeHistogram;
        match of.suffix {
            "_bucket" => return self.bucket(of.bound, value),
            "_count" | "_gcount" => self.count = Some(value),
            "_sum" | "_gsum" => self.sum = Some(value),
            _ => {}
        }
        Ok(())
    }

    fn bucket(&mut self, bound: f64, value: f64) -> Parsed<()> {
        if self.bound.is_some_and(|before| bound <= before) {
            return Err(Fault::new(0, "buckets out of order"));
        }
        if value < self.cumulative {
            return Err(Fault::new(
                0,
                "a bucket below the one before: buckets are cumulative",
            ));
        }
        self.negative_bound |= bound < 0.0;
        self.bound = Some(bound);
        self.cumulative = value;
        Ok(())
    }

    /// Judges the whole, and begins anew.
    fn finish(&mut self) -> Parsed<()> {
        let whole = std::mem::take(self);
        match whole.begun.then(|| whole.wrong()).flatten() {
            Some(what) => Err(Fault::new(0, format!("in the histogram above: {what}"))),
            None => Ok(()),
        }
    }

    fn wrong(&self) -> Option<&'static str> {
        let sum_is_negative = self.sum.is_some_and(|s| s < 0.0);
        if self.bound != Some(f64::INFINITY) {
            return Some("the +Inf bucket is missing");
        }
        match (self.count, self.sum) {
            (Some(count), _) if count.total_cmp(&self.cumulative).is_ne() => {
                Some("its count is not that of the +Inf bucket")
            }
            (None, Some(_)) => Some("a sum without a count"),
            (Some(_), None) => Some("a count without a sum"),
            (_, Some(_)) if self.negative_bound && !self.gauge => {
                Some("a sum beside negative buckets")
            }
            _ if sum_is_negative && !self.negative_bound => {
                Some("a negative sum without negative buckets")
            }
            _ => None,
        }
    }
}

/// What a value may be, by type and suffix.
fn check_value(of: &Grouping, value: f64) -> Parsed<()> {
    let wrong = match (of.kind, of.suffix) {
        (MetricType::StateSet, _) if value != 0.0 && value != 1.0 => "a state is 0 or 1",
        (MetricType::Info, _) if value != 1.0 => "an info metric is 1",
        (MetricType::Summary, "") if value < 0.0 => "a quantile is not negative",
        (_, "_total" | "_sum" | "_gsum") if value.is_nan() => "a counter or sum is not NaN",
        (_, "_total" | "_sum") if value < 0.0 => "a counter or sum is not negative",
        (_, "_bucket" | "_count" | "_gcount") if !(value >= 0.0 && value.fract() == 0.0) => {
            "a count is a whole number and not negative"
        }
        (_, "_created") if !value.is_finite() => "a creation time is a finite number",
        _ => return Ok(()),
    };
    Err(Fault::new(0, wrong))
}
