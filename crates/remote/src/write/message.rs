//! A batch as remote-write messages: samples gathered by series, each label and help text once.
//!
//! In 2.0 all texts stand in one table and series refer into it, so a label costs a byte or two
//! from its second use on, and samples of one series share one label set. In 1.0 labels are
//! spelled out for each series. Both are then snappy blocks.
//! Specs: <https://prometheus.io/docs/specs/remote_write_spec_2_0/> and `..._spec/`.

use std::sync::Arc;

use model::{Batch, Exemplar, Histogram, Labels, Metadata, MetricType, ResetHint, Span, Value};
use rustc_hash::FxHashMap;

use super::protobuf::{bytes, double, doubles, message, number, signed, varint};

/// Samples, histograms and examples of one series.
#[derive(Debug, Clone, PartialEq)]
struct Gathered {
    labels: Labels,
    floats: Vec<(i64, f64)>,
    histograms: Vec<(i64, Arc<Histogram>)>,
    exemplars: Vec<Exemplar>,
}

/// What one request carries, before it is encoded: kept until it is acknowledged, so that it can
/// be encoded again for an older peer or split for one with smaller limits.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Message {
    series: Vec<Gathered>,
    metadata: FxHashMap<String, Metadata>,
}

/// How much a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Float samples.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
}

impl Count {
    /// Samples of both kinds.
    #[must_use]
    pub fn points(self) -> u64 {
        self.samples + self.histograms
    }
}

/// Which message a peer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

impl Protocol {
    /// `Content-Type` and `X-Prometheus-Remote-Write-Version`.
    pub(super) fn headers(self) -> (&'static str, &'static str) {
        match self {
            Self::V1 => ("application/x-protobuf", "0.1.0"),
            Self::V2 => (
                "application/x-protobuf;proto=io.prometheus.write.v2.Request",
                "2.0.0",
            ),
        }
    }
}

/// A batch in lanes: a series is always in one lane, with its samples in order of time; each
/// lane's messages hold up to so many samples. Of equal times of a series the last written stays.
pub(super) fn lanes(batch: &Batch, lanes: usize, samples_max: usize) -> Vec<Vec<Message>> {
    let lanes = lanes.max(1);
    let mut split: Vec<Vec<Message>> = vec![Vec::new(); lanes];
    for series in gather(batch) {
        let lane = &mut split[lane_of(&series.labels, lanes)];
        place(lane, series, samples_max.max(1));
    }
    for message in split.iter_mut().flatten() {
        message.describe(&batch.metadata);
    }
    split.retain(|lane| !lane.is_empty());
    split
}

fn lane_of(labels: &Labels, lanes: usize) -> usize {
    if lanes == 1 {
        return 0;
    }
    // FNV-1a: the lane of a series is the same in every process.
    let hash = labels
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3)
        });
    (hash % lanes as u64) as usize
}

/// Puts a series at the end of a lane, in the last message while it has room.
fn place(lane: &mut Vec<Message>, mut series: Gathered, samples_max: usize) {
    loop {
        let used = lane.last().map_or(samples_max, Message::points);
        if used >= samples_max {
            lane.push(Message::default());
            continue;
        }
        let rest = series.cut(samples_max - used);
        let last = lane.last_mut().expect("one was pushed");
        last.series.push(series);
        match rest {
            Some(rest) => series = rest,
            None => return,
        }
    }
}

/// Series in order of first appearance.
fn gather(batch: &Batch) -> Vec<Gathered> {
    let mut all: Vec<Gathered> = Vec::new();
    let mut places: FxHashMap<&Labels, usize> = FxHashMap::default();
    for sample in &batch.samples {
        let place = *places
            .entry(&sample.labels)
            .or_insert_with(|| fresh(&mut all, &sample.labels));
        match &sample.value {
            Value::Float(value) => all[place].floats.push((sample.time_ms, *value)),
            Value::Histogram(histogram) => {
                let point = (sample.time_ms, Arc::clone(histogram));
                all[place].histograms.push(point);
            }
        }
    }
    for exemplar in &batch.exemplars {
        // Without a sample of its series there is nothing in the message to hang it on.
        if let Some(place) = places.get(&exemplar.series) {
            all[*place].exemplars.push(exemplar.clone());
        }
    }
    for series in &mut all {
        in_order(&mut series.floats);
        in_order(&mut series.histograms);
        series.exemplars.sort_by_key(|e| e.time_ms);
    }
    all
}

fn fresh(all: &mut Vec<Gathered>, labels: &Labels) -> usize {
    all.push(Gathered {
        labels: labels.clone(),
        floats: Vec::new(),
        histograms: Vec::new(),
        exemplars: Vec::new(),
    });
    all.len() - 1
}

fn in_order<T>(points: &mut Vec<(i64, T)>) {
    if points.is_sorted_by(|a, b| a.0 < b.0) {
        return;
    }
    points.sort_by_key(|(time, _)| *time);
    // Of equal times the last stays: what is kept is overwritten by what follows it.
    let mut kept: Vec<(i64, T)> = Vec::with_capacity(points.len());
    for point in points.drain(..) {
        match kept.last_mut() {
            Some(last) if last.0 == point.0 => *last = point,
            _ => kept.push(point),
        }
    }
    *points = kept;
}

impl Gathered {
    fn points(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// Keeps the first `most` samples and returns the rest, if there is one.
    fn cut(&mut self, most: usize) -> Option<Self> {
        if self.points() <= most {
            return None;
        }
        let floats = self.floats.split_off(most.min(self.floats.len()));
        let left = most - self.floats.len();
        let histograms = self.histograms.split_off(left.min(self.histograms.len()));
        Some(Self {
            labels: self.labels.clone(),
            floats,
            histograms,
            exemplars: std::mem::take(&mut self.exemplars),
        })
    }
}

impl Message {
    fn points(&self) -> usize {
        self.series.iter().map(Gathered::points).sum()
    }

    pub(super) fn count(&self) -> Count {
        let each = self.series.iter();
        each.fold(Count::default(), |count, series| Count {
            samples: count.samples + series.floats.len() as u64,
            histograms: count.histograms + series.histograms.len() as u64,
            exemplars: count.exemplars + series.exemplars.len() as u64,
        })
    }

    /// Two halves, for a peer with smaller limits; `None` when there is but one sample.
    pub(super) fn halves(mut self) -> Option<[Self; 2]> {
        if self.points() < 2 {
            return None;
        }
        let mut half = Vec::new();
        let most = self.points().div_ceil(2);
        for series in self.series.drain(..) {
            place(&mut half, series, most);
        }
        let mut both = half.into_iter();
        let mut next = || Self {
            metadata: self.metadata.clone(),
            ..both.next().unwrap_or_default()
        };
        Some([next(), next()])
    }

    /// Takes what is said of the families of its series.
    fn describe(&mut self, metadata: &[Metadata]) {
        let by_family: FxHashMap<&str, &Metadata> =
            metadata.iter().map(|m| (m.family.as_str(), m)).collect();
        if by_family.is_empty() {
            return;
        }
        for series in &self.series {
            let name = series.labels.metric_name();
            if let Some(said) = families(name).find_map(|family| by_family.get(family)) {
                self.metadata.insert(name.to_owned(), (*said).clone());
            }
        }
    }

    /// The request's body: the message as a snappy block.
    pub(super) fn body(&self, protocol: Protocol) -> Vec<u8> {
        snappy(&self.plain(protocol))
    }

    pub(super) fn plain(&self, protocol: Protocol) -> Vec<u8> {
        match protocol {
            Protocol::V1 => self.v1(),
            Protocol::V2 => self.v2(),
        }
    }

    fn v1(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for series in &self.series {
            message(&mut out, 1, |out| {
                for (name, value) in series.labels.iter() {
                    label(out, name, value);
                }
                floats(out, &series.floats);
                for exemplar in &series.exemplars {
                    message(out, 3, |out| {
                        for (name, value) in exemplar.labels.iter() {
                            label(out, name, value);
                        }
                        double(out, 2, exemplar.value);
                        number(out, 3, exemplar.time_ms.cast_unsigned());
                    });
                }
                for (time_ms, histogram) in &series.histograms {
                    message(out, 4, |out| write_histogram(out, *time_ms, histogram));
                }
            });
        }
        let mut said: Vec<&Metadata> = self.metadata.values().collect();
        said.sort_by(|a, b| a.family.cmp(&b.family));
        said.dedup_by(|a, b| a.family == b.family);
        for metadata in said {
            message(&mut out, 3, |out| {
                number(out, 1, type_number(metadata.metric_type));
                bytes(out, 2, metadata.family.as_bytes());
                bytes(out, 4, metadata.help.as_bytes());
                bytes(out, 5, metadata.unit.as_bytes());
            });
        }
        out
    }

    fn v2(&self) -> Vec<u8> {
        let mut symbols = Symbols::new();
        let mut body = Vec::new();
        for series in &self.series {
            let said = self.metadata.get(series.labels.metric_name());
            // A series may hold floats or histograms, not both.
            if !series.floats.is_empty() {
                message(&mut body, 5, |out| {
                    symbols.labels(out, &series.labels);
                    floats(out, &series.floats);
                    exemplars(out, series, &mut symbols);
                    describe(out, said, &mut symbols);
                });
            }
            if !series.histograms.is_empty() {
                message(&mut body, 5, |out| {
                    symbols.labels(out, &series.labels);
                    for (time_ms, histogram) in &series.histograms {
                        message(out, 3, |out| write_histogram(out, *time_ms, histogram));
                    }
                    if series.floats.is_empty() {
                        exemplars(out, series, &mut symbols);
                    }
                    describe(out, said, &mut symbols);
                });
            }
        }
        symbols.before(&body)
    }
}

/// The texts of a 2.0 message, each once.
struct Symbols<'a> {
    places: FxHashMap<&'a str, u64>,
    table: Vec<u8>,
}

impl<'a> Symbols<'a> {
    /// The first symbol is empty: reference 0 means "nothing".
    fn new() -> Self {
        let mut symbols = Self {
            places: FxHashMap::default(),
            table: Vec::new(),
        };
        symbols.place("");
        symbols
    }

    fn place(&mut self, text: &'a str) -> u64 {
        let next = self.places.len() as u64;
        let table = &mut self.table;
        *self.places.entry(text).or_insert_with(|| {
            bytes(table, 4, text.as_bytes());
            next
        })
    }

    fn labels(&mut self, out: &mut Vec<u8>, labels: &'a Labels) {
        message(out, 1, |out| {
            for (name, value) in labels.iter() {
                varint(out, self.place(name));
                varint(out, self.place(value));
            }
        });
    }

    /// The table and what refers into it, as one message.
    fn before(mut self, body: &[u8]) -> Vec<u8> {
        self.table.extend_from_slice(body);
        self.table
    }
}

fn exemplars<'a>(out: &mut Vec<u8>, series: &'a Gathered, symbols: &mut Symbols<'a>) {
    for exemplar in &series.exemplars {
        message(out, 4, |out| {
            symbols.labels(out, &exemplar.labels);
            double(out, 2, exemplar.value);
            number(out, 3, exemplar.time_ms.cast_unsigned());
        });
    }
}

fn describe<'a>(out: &mut Vec<u8>, said: Option<&'a Metadata>, symbols: &mut Symbols<'a>) {
    let Some(said) = said else { return };
    message(out, 5, |out| {
        number(out, 1, type_number(said.metric_type));
        number(out, 3, symbols.place(&said.help));
        number(out, 4, symbols.place(&said.unit));
    });
}

/// A message as a block of snappy.
pub(super) fn snappy(plain: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(plain)
        .expect("a message is shorter than snappy's 4 GiB")
}

/// A label as a field 1 of a series.
pub fn label(out: &mut Vec<u8>, name: &str, value: &str) {
    message(out, 1, |out| {
        bytes(out, 1, name.as_bytes());
        bytes(out, 2, value.as_bytes());
    });
}

fn floats(out: &mut Vec<u8>, floats: &[(i64, f64)]) {
    for (time_ms, value) in floats {
        message(out, 2, |out| {
            double(out, 1, *value);
            number(out, 2, time_ms.cast_unsigned());
        });
    }
}

/// The fields of a histogram at a time, ms: the same in both versions, and in remote read. Counts
/// are floats: that is what the model holds.
pub fn write_histogram(out: &mut Vec<u8>, time_ms: i64, h: &Histogram) {
    double(out, 2, h.count);
    double(out, 3, h.sum);
    signed(out, 4, i64::from(h.schema));
    double(out, 5, h.zero_threshold);
    double(out, 7, h.zero_count);
    spans(out, 8, &h.negative_spans);
    doubles(out, 10, &h.negative_buckets);
    spans(out, 11, &h.positive_spans);
    doubles(out, 13, &h.positive_buckets);
    number(out, 14, hint_number(h.reset_hint));
    number(out, 15, time_ms.cast_unsigned());
    doubles(out, 16, &h.custom_values);
}

fn spans(out: &mut Vec<u8>, field: u32, spans: &[Span]) {
    for span in spans {
        message(out, field, |out| {
            signed(out, 1, i64::from(span.offset));
            number(out, 2, u64::from(span.length));
        });
    }
}

fn hint_number(hint: ResetHint) -> u64 {
    match hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    }
}

fn type_number(metric_type: MetricType) -> u64 {
    match metric_type {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::StateSet => 7,
    }
}

/// The families a metric of this name may belong to: itself first, then without the suffixes
/// that classic histograms, summaries, counters and infos add.
fn families(name: &str) -> impl Iterator<Item = &str> {
    let suffixes = ["_bucket", "_count", "_sum", "_total", "_info"];
    let stripped = suffixes.into_iter().filter_map(|s| name.strip_suffix(s));
    std::iter::once(name).chain(stripped)
}
