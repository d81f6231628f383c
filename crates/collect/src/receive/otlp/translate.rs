//! Data points into Prometheus series, after the OpenTelemetry specification's chapter
//! "Prometheus and OpenMetrics Compatibility".
//!
//! `service.namespace/service.name` is `job`, `service.instance.id` is `instance`; the other
//! resource attributes are on one `target_info` series a resource. The scope's name and version
//! are the labels `otel_scope_name` and `otel_scope_version`. Delta temporality is rejected: to
//! add it up, state would have to outlive restarts of both sides, and the result would be a guess.

use std::collections::BTreeMap;

use model::{Exemplar, Histogram, Labels, METRIC_NAME, Metadata, MetricType, Span, stale_nan};

use super::{
    super::{
        Fault,
        intake::{Intake, Stop},
        remote_write::is_sound,
    },
    names::{Suffix, label_name, metric_name, unit_name},
    point::{Attribute, Buckets, CUMULATIVE, Header, Kind, NO_RECORDED_VALUE, Point},
};

/// Width of a zero bucket whose width nobody said (Prometheus's).
const ZERO_THRESHOLD: f64 = 1e-128;
/// The finest and the coarsest schema of a native histogram.
const SCHEMA_MAX: i32 = 8;
const SCHEMA_MIN: i32 = -4;

/// Why a point is not kept, or the whole request is not.
enum Halt {
    Fault(Fault),
    Stop(Stop),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

type Pairs = BTreeMap<String, String>;

/// Takes the points of one resource.
pub(super) struct Translator<'i, 'm> {
    pub(super) intake: &'i mut Intake<'m>,
    /// `job` and `instance`.
    identity: Pairs,
    /// The resource's other attributes.
    info: Pairs,
    scope: Pairs,
    latest_ms: Option<i64>,
}

impl<'i, 'm> Translator<'i, 'm> {
    pub(super) fn new(intake: &'i mut Intake<'m>, resource: &[Attribute]) -> Self {
        let find = |key: &str| {
            let found = resource.iter().find(|attribute| attribute.key == key);
            found
                .map(|attribute| attribute.value.as_str())
                .filter(|value| !value.is_empty())
        };
        let mut identity = Pairs::new();
        if let Some(name) = find("service.name") {
            let namespace = find("service.namespace").map(|space| format!("{space}/"));
            let job = namespace.unwrap_or_default() + name;
            identity.insert("job".to_owned(), job);
        }
        if let Some(instance) = find("service.instance.id") {
            identity.insert("instance".to_owned(), instance.to_owned());
        }
        let mut info = Pairs::new();
        let is_identity = ["service.name", "service.namespace", "service.instance.id"];
        let others = resource
            .iter()
            .filter(|a| !is_identity.contains(&a.key.as_str()));
        add(&mut info, "", others);
        Self {
            intake,
            identity,
            info,
            scope: Pairs::new(),
            latest_ms: None,
        }
    }

    /// The points that follow are of this scope.
    pub(super) fn scope(&mut self, name: &str, version: &str, attributes: &[Attribute]) {
        self.scope.clear();
        for (label, value) in [("otel_scope_name", name), ("otel_scope_version", version)] {
            if !value.is_empty() {
                self.scope.insert(label.to_owned(), value.to_owned());
            }
        }
        add(&mut self.scope, "otel_scope_", attributes.iter());
    }

    /// The points that follow are of this metric.
    pub(super) fn metric(&mut self, header: &Header<'_>) -> Result<(), Stop> {
        self.intake.metadata(Metadata {
            family: family(header),
            metric_type: match header.kind {
                Kind::Sum { monotonic: true } => MetricType::Counter,
                Kind::Gauge | Kind::Sum { monotonic: false } => MetricType::Gauge,
                Kind::Histogram | Kind::Exponential => MetricType::Histogram,
                Kind::Summary => MetricType::Summary,
            },
            help: header.description.to_owned(),
            unit: unit_name(header.unit),
        })
    }

    /// Keeps a point, or counts why not.
    pub(super) fn point(&mut self, header: &Header<'_>, point: &Point) -> Result<(), Stop> {
        match self.translate(header, point) {
            Ok(()) => Ok(()),
            Err(Halt::Stop(stop)) => Err(stop),
            Err(Halt::Fault(fault)) => {
                self.intake.reject(fault, || header.name.to_owned());
                Ok(())
            }
        }
    }

    /// The resource's `target_info`, at the time of its newest point.
    pub(super) fn finish(self) -> Result<(), Stop> {
        let Some(time_ms) = self.latest_ms.filter(|_| !self.info.is_empty()) else {
            return Ok(());
        };
        if self.identity.is_empty() {
            return Ok(());
        }
        let mut pairs = self.info;
        pairs.extend(self.identity);
        pairs.insert(METRIC_NAME.to_owned(), "target_info".to_owned());
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        match self.intake.labels_of(&mut pairs) {
            Ok(labels) => self.intake.float(labels, time_ms, 1.0),
            Err(fault) => {
                let example = || "target_info".to_owned();
                self.intake.received.rejected.note(fault, example);
                Ok(())
            }
        }
    }

    fn translate(&mut self, header: &Header<'_>, point: &Point) -> Result<(), Halt> {
        if header.temporality != CUMULATIVE {
            return Err(Fault::Unsupported.into());
        }
        if point.time_unix_nano == 0 {
            return Err(Fault::NoTimestamp.into());
        }
        let time_ms = (point.time_unix_nano / 1_000_000).cast_signed();
        let name = family(header);
        if name.is_empty() {
            return Err(Fault::NoName.into());
        }
        let mut pairs = Pairs::new();
        add(&mut pairs, "", point.attributes.iter());
        pairs.extend(self.scope.clone());
        pairs.extend(self.identity.clone());
        match header.kind {
            Kind::Gauge | Kind::Sum { .. } => self.number(&name, pairs, time_ms, point)?,
            Kind::Histogram => self.classic(&name, pairs, time_ms, point)?,
            Kind::Exponential => self.native(&name, pairs, time_ms, point)?,
            Kind::Summary => self.summary(&name, pairs, time_ms, point)?,
        }
        self.latest_ms = self.latest_ms.max(Some(time_ms));
        Ok(())
    }

    fn number(
        &mut self,
        name: &str,
        pairs: Pairs,
        time_ms: i64,
        point: &Point,
    ) -> Result<(), Halt> {
        let value = match (point.as_double, point.as_int) {
            (Some(value), _) => value,
            (None, Some(value)) => value as f64,
            (None, None) if is_stale(point) => stale_nan(),
            (None, None) => return Err(Fault::NoValues.into()),
        };
        let labels = self.labels(name, &pairs, None)?;
        let value = if is_stale(point) { stale_nan() } else { value };
        self.intake.float(labels.clone(), time_ms, value)?;
        self.intake.start(start_ms(point))?;
        self.examples(point, |_| Some(labels.clone()))
    }

    fn classic(
        &mut self,
        name: &str,
        pairs: Pairs,
        time_ms: i64,
        point: &Point,
    ) -> Result<(), Halt> {
        let (counts, bounds) = (&point.bucket_counts, &point.explicit_bounds);
        let fits = counts.len() == bounds.len() + 1 || (counts.is_empty() && bounds.is_empty());
        if !fits || !bounds.is_sorted_by(|a, b| a < b) {
            return Err(Fault::BadHistogram.into());
        }
        let mut series = Vec::new();
        let mut running = 0_u64;
        for (count, bound) in counts.iter().zip(bounds) {
            running = running.checked_add(*count).ok_or(Fault::BadHistogram)?;
            if bound.is_finite() {
                let le = Some(("le", bound.to_string()));
                series.push((
                    self.labels(&format!("{name}_bucket"), &pairs, le)?,
                    running as f64,
                ));
            }
        }
        let total = counts
            .last()
            .map_or(Some(point.count), |last| running.checked_add(*last));
        if total != Some(point.count) && !is_stale(point) {
            return Err(Fault::BadHistogram.into());
        }
        let le = Some(("le", "+Inf".to_owned()));
        let count = point.count as f64;
        series.push((self.labels(&format!("{name}_bucket"), &pairs, le)?, count));
        let buckets: Vec<Labels> = series.iter().map(|(labels, _)| labels.clone()).collect();
        self.totals(name, &pairs, point, &mut series)?;
        self.keep(series, time_ms, point)?;
        // An exemplar stands behind the first bucket that counts it.
        self.examples(point, |value| {
            let bounds = bounds.iter().filter(|bound| bound.is_finite());
            let bucket = bounds.take_while(|bound| **bound < value).count();
            buckets.get(bucket).cloned()
        })
    }

    /// Keeps a point's exemplars, each behind the series that `series` gives for its value.
    fn examples(
        &mut self,
        point: &Point,
        series: impl Fn(f64) -> Option<Labels>,
    ) -> Result<(), Halt> {
        for example in &point.exemplars {
            let value = example.as_double.or(example.as_int.map(|i| i as f64));
            let Some(value) = value.filter(|_| example.time_unix_nano > 0) else {
                self.intake.received.rejected.exemplars += 1;
                continue;
            };
            let Some(series) = series(value) else {
                continue;
            };
            let mut pairs = Pairs::new();
            add(&mut pairs, "", example.filtered_attributes.iter());
            for (name, id) in [
                ("trace_id", &example.trace_id),
                ("span_id", &example.span_id),
            ] {
                // As OpenTelemetry has it: an id of zeros is none.
                if id.bytes().any(|digit| digit != b'0') {
                    pairs.insert(name.to_owned(), id.clone());
                }
            }
            self.intake.exemplar(Exemplar {
                series,
                labels: Labels::from_pairs(pairs),
                value,
                time_ms: (example.time_unix_nano / 1_000_000).cast_signed(),
            })?;
        }
        Ok(())
    }

    fn summary(
        &mut self,
        name: &str,
        pairs: Pairs,
        time_ms: i64,
        point: &Point,
    ) -> Result<(), Halt> {
        let mut series = Vec::new();
        for quantile in &point.quantile_values {
            let label = Some(("quantile", quantile.quantile.to_string()));
            series.push((self.labels(name, &pairs, label)?, quantile.value));
        }
        self.totals(name, &pairs, point, &mut series)?;
        self.keep(series, time_ms, point)
    }

    /// `_sum`, when there is one, and `_count`.
    fn totals(
        &mut self,
        name: &str,
        pairs: &Pairs,
        point: &Point,
        series: &mut Vec<(Labels, f64)>,
    ) -> Result<(), Fault> {
        if let Some(sum) = point.sum {
            series.push((self.labels(&format!("{name}_sum"), pairs, None)?, sum));
        }
        let count = self.labels(&format!("{name}_count"), pairs, None)?;
        series.push((count, point.count as f64));
        Ok(())
    }

    /// All series of a point, or none.
    fn keep(
        &mut self,
        series: Vec<(Labels, f64)>,
        time_ms: i64,
        point: &Point,
    ) -> Result<(), Halt> {
        for (labels, value) in series {
            let value = if is_stale(point) { stale_nan() } else { value };
            self.intake.float(labels, time_ms, value)?;
            self.intake.start(start_ms(point))?;
        }
        Ok(())
    }

    fn native(
        &mut self,
        name: &str,
        pairs: Pairs,
        time_ms: i64,
        point: &Point,
    ) -> Result<(), Halt> {
        let labels = self.labels(name, &pairs, None)?;
        let histogram = exponential(point)?;
        self.intake.histogram(labels.clone(), time_ms, histogram)?;
        self.intake.start(start_ms(point))?;
        self.examples(point, |_| Some(labels.clone()))
    }

    fn labels(
        &mut self,
        name: &str,
        pairs: &Pairs,
        extra: Option<(&str, String)>,
    ) -> Result<Labels, Fault> {
        let own = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let extra = extra.as_ref().map(|(name, value)| (*name, value.as_str()));
        let taken = |name: &str| name == METRIC_NAME || extra.is_some_and(|e| e.0 == name);
        let mut all: Vec<_> = own.filter(|(name, _)| !taken(name)).collect();
        all.push((METRIC_NAME, name));
        all.extend(extra);
        self.intake.labels_of(&mut all)
    }
}

/// Adds attributes as labels; where two have the same name in Prometheus's alphabet, their
/// values are joined by `;`, as the specification wants.
fn add<'a>(into: &mut Pairs, prefix: &str, attributes: impl Iterator<Item = &'a Attribute>) {
    let mut sorted: Vec<&Attribute> = attributes.collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    for attribute in sorted
        .into_iter()
        .filter(|a| !a.value.is_empty() && !a.key.is_empty())
    {
        let value = into
            .entry(format!("{prefix}{}", label_name(&attribute.key)))
            .or_default();
        if !value.is_empty() {
            value.push(';');
        }
        value.push_str(&attribute.value);
    }
}

fn family(header: &Header<'_>) -> String {
    let suffix = match header.kind {
        Kind::Sum { monotonic: true } => Suffix::Counter,
        Kind::Gauge => Suffix::Gauge,
        Kind::Sum { monotonic: false } | Kind::Histogram | Kind::Exponential | Kind::Summary => {
            Suffix::Other
        }
    };
    metric_name(header.name, header.unit, suffix)
}

fn is_stale(point: &Point) -> bool {
    point.flags & NO_RECORDED_VALUE != 0
}

fn start_ms(point: &Point) -> i64 {
    (point.start_time_unix_nano / 1_000_000).cast_signed()
}

/// An exponential histogram as a native one. Scales finer than Prometheus's finest are merged
/// down; bucket `i` of OTLP is bucket `i + 1` of Prometheus, which names upper bounds.
fn exponential(point: &Point) -> Result<Histogram, Fault> {
    if point.scale < SCHEMA_MIN {
        return Err(Fault::Unsupported);
    }
    let merge = u32::try_from(point.scale - SCHEMA_MAX).unwrap_or(0);
    let (positive_spans, positive_buckets) = merged(&point.positive, merge)?;
    let (negative_spans, negative_buckets) = merged(&point.negative, merge)?;
    let stale = is_stale(point);
    let histogram = Histogram {
        schema: point.scale.min(SCHEMA_MAX),
        zero_threshold: if point.zero_threshold == 0.0 {
            ZERO_THRESHOLD
        } else {
            point.zero_threshold
        },
        zero_count: point.zero_count as f64,
        count: point.count as f64,
        sum: if stale {
            stale_nan()
        } else {
            point.sum.unwrap_or(f64::NAN)
        },
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        ..Histogram::default()
    };
    if is_sound(&histogram) {
        Ok(histogram)
    } else {
        Err(Fault::BadHistogram)
    }
}

/// Buckets at a scale coarser by `merge` powers of two, as one span without empty ends.
fn merged(buckets: &Buckets, merge: u32) -> Result<(Vec<Span>, Vec<f64>), Fault> {
    let counts = &buckets.bucket_counts;
    let Some(first) = counts.iter().position(|count| *count > 0) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let merge = merge.min(32);
    let index = |i: usize| (i64::from(buckets.offset) + i as i64) >> merge;
    let (from, mut out) = (index(first), Vec::new());
    for (i, count) in counts
        .iter()
        .enumerate()
        .skip(first)
        .filter(|(_, count)| **count > 0)
    {
        let at = usize::try_from(index(i) - from).expect("indices rise");
        out.resize(out.len().max(at + 1), 0.0);
        out[at] += *count as f64;
    }
    let offset = i32::try_from(from + 1).map_err(|_overflow| Fault::BadHistogram)?;
    let length = u32::try_from(out.len()).map_err(|_overflow| Fault::BadHistogram)?;
    Ok((vec![Span { offset, length }], out))
}
