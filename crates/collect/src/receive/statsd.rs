//! StatsD and DogStatsD: datagrams aggregated in bounded memory, flushed as samples.
//!
//! `name:value|type|@rate|#tag:value,tag`. Counters (`c`) become running totals `name_total`,
//! divided by their sample rate; gauges (`g`) keep their last value, `+` and `-` add to it; timers
//! and distributions (`ms`, `h`, `d`) become native histograms of the numbers as sent, each
//! counted `1/rate` times; sets (`s`) become a gauge with how many different values one interval
//! saw. Characters Prometheus does not know become `_`; a tag without a value is `"true"`.
//! Series that nobody names any more end with a staleness marker after a number of flushes.
//! Spec: <https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/>.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use model::{
    Batch, Histogram, Labels, METRIC_NAME, Metadata, MetricType, Sample, Span, Value, stale_nan,
};

use super::{Fault, Limits, Rejected, lines::float, otlp::names::label_name};

/// Bounds on what is aggregated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatsdLimits {
    /// Series at once. 100,000: about 50 MB with typical labels. New ones beyond it are refused.
    pub series: usize,
    /// Different values one set counts exactly in an interval; more are not counted.
    pub set_values: usize,
    /// Buckets of one histogram's side; beyond it the histogram takes a coarser schema.
    pub buckets: usize,
    /// Flushes a series outlives without being named.
    pub idle_flushes: u32,
}

impl Default for StatsdLimits {
    fn default() -> Self {
        Self {
            series: 100_000,
            set_values: 10_000,
            buckets: 160,
            idle_flushes: 30,
        }
    }
}

/// The finest schema a histogram begins with: buckets 9 % wide.
const SCHEMA: i32 = 3;
/// The coarsest schema there is.
const SCHEMA_MIN: i32 = -4;

/// Aggregates datagrams between flushes.
#[derive(Debug)]
pub struct Statsd {
    limits: StatsdLimits,
    label_limits: Limits,
    series: BTreeMap<Labels, Entry>,
    told: BTreeSet<String>,
    new_families: Vec<Metadata>,
    rejected: Rejected,
    hasher: RandomState,
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// Flushes since somebody named it.
    idle: u32,
}

#[derive(Debug)]
enum State {
    Counter(f64),
    Gauge(f64),
    Histogram(Box<Sketch>),
    /// Hashes of the interval's values.
    Set(BTreeSet<u64>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    Set,
}

/// One metric of a datagram.
struct Line<'a> {
    name: &'a str,
    values: &'a str,
    kind: Kind,
    rate: f64,
    tags: &'a str,
}

impl Statsd {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(limits: StatsdLimits, label_limits: Limits) -> Self {
        Self {
            limits,
            label_limits,
            series: BTreeMap::new(),
            told: BTreeSet::new(),
            new_families: Vec::new(),
            rejected: Rejected::default(),
            hasher: RandomState::new(),
        }
    }

    /// Takes a datagram, which may hold several lines. What is wrong with one is counted.
    pub fn datagram(&mut self, bytes: &[u8]) {
        for line in bytes.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let taken = std::str::from_utf8(line)
                .map_err(|_invalid| Fault::NotUtf8)
                .and_then(|text| self.line(text));
            if let Err(fault) = taken {
                self.rejected.samples += 1;
                let example = || String::from_utf8_lossy(line).into_owned();
                self.rejected.note(fault, example);
            }
        }
    }

    /// Everything as samples of one time, in order of labels; and what was refused since the
    /// last flush.
    pub fn flush(&mut self, now_ms: i64) -> (Batch, Rejected) {
        let mut samples = Vec::with_capacity(self.series.len());
        let idle_flushes = self.limits.idle_flushes;
        self.series.retain(|labels, entry| {
            let alive = entry.idle <= idle_flushes;
            samples.push(Sample {
                labels: labels.clone(),
                time_ms: now_ms,
                value: if alive {
                    entry.state.take()
                } else {
                    Value::Float(stale_nan())
                },
            });
            entry.idle += 1;
            alive
        });
        let metadata = std::mem::take(&mut self.new_families);
        (
            Batch {
                samples,
                metadata,
                ..Batch::default()
            },
            std::mem::take(&mut self.rejected),
        )
    }

    fn line(&mut self, text: &str) -> Result<(), Fault> {
        let line = parse(text)?;
        let name = metric_name(line.name, line.kind);
        let labels = self.labels(&name, line.tags)?;
        let values = values(&line)?;
        if !self.series.contains_key(&labels) {
            if self.series.len() >= self.limits.series {
                return Err(Fault::TooManySeries);
            }
            self.tell(&name, line.kind);
            let state = State::new(line.kind);
            self.series.insert(labels.clone(), Entry { state, idle: 0 });
        }
        let entry = self.series.get_mut(&labels).expect("inserted above");
        if entry.state.kind() != line.kind {
            return Err(Fault::MixedValues);
        }
        entry.idle = 0;
        for value in values {
            entry
                .state
                .add(&value, line.rate, &self.limits, &self.hasher);
        }
        Ok(())
    }

    fn tell(&mut self, name: &str, kind: Kind) {
        if self.told.len() < self.limits.series && self.told.insert(name.to_owned()) {
            self.new_families.push(Metadata {
                family: name.to_owned(),
                metric_type: match kind {
                    Kind::Counter => MetricType::Counter,
                    Kind::Gauge | Kind::Set => MetricType::Gauge,
                    Kind::Histogram => MetricType::Histogram,
                },
                help: String::new(),
                unit: String::new(),
            });
        }
    }

    fn labels(&self, name: &str, tags: &str) -> Result<Labels, Fault> {
        let limits = &self.label_limits;
        let mut pairs = vec![(METRIC_NAME.to_owned(), name)];
        for tag in tags.split(',').filter(|tag| !tag.is_empty()) {
            let (key, value) = tag.split_once(':').unwrap_or((tag, "true"));
            let key = label_name(key);
            if key.is_empty() {
                return Err(Fault::EmptyLabel);
            }
            if pairs.iter().any(|(known, _)| *known == key) {
                return Err(Fault::DuplicateLabel);
            }
            if pairs.len() > limits.labels {
                return Err(Fault::TooManyLabels);
            }
            pairs.push((key, value));
        }
        if name.len() > limits.name_bytes || pairs.iter().any(|(k, _)| k.len() > limits.name_bytes)
        {
            return Err(Fault::NameTooLong);
        }
        if pairs
            .iter()
            .any(|(_, value)| value.len() > limits.value_bytes)
        {
            return Err(Fault::ValueTooLong);
        }
        Ok(Labels::from_pairs(pairs))
    }
}

fn parse(text: &str) -> Result<Line<'_>, Fault> {
    if text.starts_with("_e{") || text.starts_with("_sc|") {
        return Err(Fault::Unsupported); // Events and service checks.
    }
    let mut parts = text.split('|');
    let head = parts.next().unwrap_or_default();
    let (name, values) = head.split_once(':').ok_or(Fault::Syntax)?;
    if name.is_empty() {
        return Err(Fault::NoName);
    }
    let kind = match parts.next().ok_or(Fault::Syntax)? {
        "c" => Kind::Counter,
        "g" => Kind::Gauge,
        "ms" | "h" | "d" => Kind::Histogram,
        "s" => Kind::Set,
        _ => return Err(Fault::Syntax),
    };
    let (mut rate, mut tags) = (1.0, "");
    for part in parts {
        if let Some(text) = part.strip_prefix('@') {
            let given = float(text).filter(|rate| *rate > 0.0 && *rate <= 1.0);
            rate = given.ok_or(Fault::BadNumber)?;
        } else if let Some(text) = part.strip_prefix('#') {
            tags = text;
        } else if part.starts_with('T') {
            return Err(Fault::Unsupported); // A time of its own would bypass the aggregation.
        }
    }
    Ok(Line {
        name,
        values,
        kind,
        rate,
        tags,
    })
}

/// A value as it is to be added.
enum Given<'a> {
    Number(f64),
    /// A gauge's `+1` or `-1`.
    Change(f64),
    Member(&'a str),
}

/// All values of a line, so that a bad one refuses the line before anything is added.
fn values<'a>(line: &Line<'a>) -> Result<Vec<Given<'a>>, Fault> {
    if line.kind == Kind::Set {
        return Ok(vec![Given::Member(line.values)]);
    }
    let one = |text: &'a str| {
        let number = float(text)
            .filter(|n| n.is_finite())
            .ok_or(Fault::BadNumber)?;
        let change = line.kind == Kind::Gauge && text.starts_with(['+', '-']);
        if line.kind == Kind::Counter && number < 0.0 {
            return Err(Fault::BadNumber); // A total that falls would read as a restart.
        }
        Ok(if change {
            Given::Change(number)
        } else {
            Given::Number(number)
        })
    };
    line.values.split(':').map(one).collect()
}

fn metric_name(name: &str, kind: Kind) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || c == ':' {
            c
        } else {
            '_'
        }
    };
    let mut clean: String = name.chars().map(kept).collect();
    if clean.starts_with(|c: char| c.is_ascii_digit()) {
        clean.insert(0, '_');
    }
    if kind == Kind::Counter && !clean.ends_with("_total") {
        clean.push_str("_total");
    }
    clean
}

impl State {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter(0.0),
            Kind::Gauge => Self::Gauge(0.0),
            Kind::Histogram => Self::Histogram(Box::default()),
            Kind::Set => Self::Set(BTreeSet::new()),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Counter(_) => Kind::Counter,
            Self::Gauge(_) => Kind::Gauge,
            Self::Histogram(_) => Kind::Histogram,
            Self::Set(_) => Kind::Set,
        }
    }

    /// Adds a value of its own kind.
    fn add(&mut self, given: &Given<'_>, rate: f64, limits: &StatsdLimits, hasher: &RandomState) {
        match (self, given) {
            (Self::Counter(total), Given::Number(by)) => *total += by / rate,
            (Self::Gauge(value), Given::Number(now)) => *value = *now,
            (Self::Gauge(value), Given::Change(by)) => *value += by,
            (Self::Histogram(sketch), Given::Number(value)) => {
                sketch.add(*value, 1.0 / rate, limits.buckets);
            }
            (Self::Set(members), Given::Member(member)) => {
                if members.len() < limits.set_values {
                    members.insert(hasher.hash_one(member));
                }
            }
            _ => unreachable!("values are parsed for the kind of their line, and kinds agree"),
        }
    }

    /// The value to flush; a set begins anew.
    fn take(&mut self) -> Value {
        match self {
            Self::Counter(value) | Self::Gauge(value) => Value::Float(*value),
            Self::Histogram(sketch) => Value::Histogram(Arc::new(sketch.histogram())),
            Self::Set(members) => Value::Float(std::mem::take(members).len() as f64),
        }
    }
}

/// A cumulative exponential histogram being filled: counts by index of bucket, where bucket `i`
/// covers `(2^((i-1)/2^schema), 2^(i/2^schema)]`. Too many buckets, and neighbours are merged.
#[derive(Debug)]
struct Sketch {
    schema: i32,
    zero: f64,
    count: f64,
    sum: f64,
    positive: BTreeMap<i32, f64>,
    negative: BTreeMap<i32, f64>,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            zero: 0.0,
            count: 0.0,
            sum: 0.0,
            positive: BTreeMap::new(),
            negative: BTreeMap::new(),
        }
    }
}

impl Sketch {
    fn add(&mut self, value: f64, weight: f64, buckets: usize) {
        self.count += weight;
        self.sum += value * weight;
        if value == 0.0 {
            self.zero += weight;
            return;
        }
        let index = (value.abs().log2() * f64::from(self.schema).exp2()).ceil() as i32;
        let side = if value > 0.0 {
            &mut self.positive
        } else {
            &mut self.negative
        };
        *side.entry(index).or_default() += weight;
        while self.positive.len().max(self.negative.len()) > buckets && self.schema > SCHEMA_MIN {
            self.schema -= 1;
            self.positive = halved(&self.positive);
            self.negative = halved(&self.negative);
        }
    }

    fn histogram(&self) -> Histogram {
        let (positive_spans, positive_buckets) = dense(&self.positive);
        let (negative_spans, negative_buckets) = dense(&self.negative);
        Histogram {
            schema: self.schema,
            zero_threshold: 0.0,
            zero_count: self.zero,
            count: self.count,
            sum: self.sum,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            ..Histogram::default()
        }
    }
}

fn halved(side: &BTreeMap<i32, f64>) -> BTreeMap<i32, f64> {
    let mut merged = BTreeMap::new();
    for (index, count) in side {
        *merged.entry((index + 1) >> 1).or_default() += count;
    }
    merged
}

/// Runs of neighbouring buckets.
fn dense(side: &BTreeMap<i32, f64>) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut end = 0;
    for &index in side.keys() {
        match spans.last_mut() {
            Some(span) if index == end => span.length += 1,
            _ => spans.push(Span {
                offset: index - end,
                length: 1,
            }),
        }
        end = index + 1;
    }
    (spans, side.values().copied().collect())
}
