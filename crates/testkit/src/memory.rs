//! A store that keeps everything in memory: exact, simple, never full.
//!
//! Implements both ports of `model`, so that a query, a stage or the whole loop can be tested
//! without a disk. Samples may come in any order; of two at one time the last written stays. A
//! sample newer than all others of its series costs one hash of its labels; a selection by
//! metric name costs what it returns.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard},
};

use model::{
    AppendError, Appended, Batch, Durability, LabelQuery, Labels, METRIC_NAME, MatchOp, Matcher,
    Metadata, ReadError, RejectReason, Sample, SampleSink, Selection, Series, SeriesIter,
    SeriesReader, Value,
};

/// The store. Share it by reference or in an `Arc`; every call takes its lock once.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In order of first appearance.
    series: Vec<Series>,
    slots: HashMap<Labels, usize>,
    /// Slots of each metric name, rising.
    names: BTreeMap<String, Vec<usize>>,
    metadata: BTreeMap<String, Metadata>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores one sample, with the time its counter began (ms) where that is known. Unlike
    /// [`SampleSink::append`] it takes a label set without a metric name.
    pub fn insert(&self, sample: &Sample, start_ms: Option<i64>) {
        self.state().insert(sample, start_ms);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.state() = State::default();
    }

    /// How many series it holds.
    #[must_use]
    pub fn series_count(&self) -> usize {
        self.state().series.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .lock()
            .expect("no call panics while it holds the lock")
    }
}

impl State {
    fn insert(&mut self, sample: &Sample, start_ms: Option<i64>) {
        let slot = match self.slots.get(&sample.labels) {
            Some(slot) => *slot,
            None => self.create(&sample.labels),
        };
        let series = &mut self.series[slot];
        let place = match series.times_ms.last() {
            Some(last) if *last >= sample.time_ms => series
                .times_ms
                .binary_search(&sample.time_ms)
                .unwrap_or_else(|place| {
                    open_gap(series, place, sample.time_ms);
                    place
                }),
            Some(_) | None => {
                let end = series.times_ms.len();
                open_gap(series, end, sample.time_ms);
                end
            }
        };
        fill(series, place, &sample.value, start_ms);
    }

    fn create(&mut self, labels: &Labels) -> usize {
        let slot = self.series.len();
        self.series.push(Series::new(labels.clone()));
        self.slots.insert(labels.clone(), slot);
        self.names
            .entry(labels.metric_name().to_owned())
            .or_default()
            .push(slot);
        slot
    }

    /// The series for which all matchers hold.
    fn matching<'s: 'm, 'm>(
        &'s self,
        matchers: &'m [Matcher],
    ) -> Box<dyn Iterator<Item = &'s Series> + 'm> {
        let by_name = matchers
            .iter()
            .find(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal);
        let holds = move |series: &&Series| matches_all(&series.labels, matchers);
        match by_name {
            Some(name) => {
                let slots = self.names.get(&name.value).map_or(&[][..], Vec::as_slice);
                Box::new(slots.iter().map(|slot| &self.series[*slot]).filter(holds))
            }
            None => Box::new(self.series.iter().filter(holds)),
        }
    }

    /// The label sets a query is about.
    fn asked<'s>(&'s self, query: &LabelQuery) -> BTreeSet<&'s Labels> {
        let mut found = BTreeSet::new();
        let lists: &[Vec<Matcher>] = if query.any_of.is_empty() {
            &[Vec::new()]
        } else {
            &query.any_of
        };
        for matchers in lists {
            let in_time = self
                .matching(matchers)
                .filter(|series| range(series, query.from_ms, query.to_ms).is_some());
            found.extend(in_time.map(|series| &series.labels));
        }
        found
    }
}

fn matches_all(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers
        .iter()
        .all(|m| m.matches(labels.get(&m.name).unwrap_or_default()))
}

/// Makes room for a sample; its value is filled in by [`fill`].
fn open_gap(series: &mut Series, place: usize, time_ms: i64) {
    series.times_ms.insert(place, time_ms);
    series.values.insert(place, f64::NAN);
    if !series.histograms.is_empty() {
        series.histograms.insert(place, None);
    }
    if !series.starts_ms.is_empty() {
        series.starts_ms.insert(place, 0);
    }
}

fn fill(series: &mut Series, place: usize, value: &Value, start_ms: Option<i64>) {
    let (number, histogram) = match value {
        Value::Float(number) => (*number, None),
        Value::Histogram(histogram) => (histogram.sum, Some(histogram.clone())),
    };
    let count = series.times_ms.len();
    series.values[place] = number;
    if histogram.is_some() {
        series.histograms.resize(count, None);
    }
    if let Some(slot) = series.histograms.get_mut(place) {
        *slot = histogram;
    }
    if start_ms.is_some() {
        series.starts_ms.resize(count, 0);
    }
    if let Some(slot) = series.starts_ms.get_mut(place) {
        *slot = start_ms.unwrap_or(0);
    }
}

/// Where a series has samples in a range of time, if it has any.
fn range(series: &Series, from_ms: i64, to_ms: i64) -> Option<std::ops::Range<usize>> {
    let from = series.times_ms.partition_point(|t| *t < from_ms);
    let to = series.times_ms.partition_point(|t| *t <= to_ms);
    (from < to).then_some(from..to)
}

fn cut(series: &Series, range: std::ops::Range<usize>) -> Series {
    let histograms = series.histograms.get(range.clone()).unwrap_or_default();
    let starts = series.starts_ms.get(range.clone()).unwrap_or_default();
    let any_histogram = histograms.iter().any(Option::is_some);
    let any_start = starts.iter().any(|s| *s != 0);
    Series {
        labels: series.labels.clone(),
        times_ms: series.times_ms[range.clone()].to_vec(),
        values: series.values[range].to_vec(),
        histograms: if any_histogram {
            histograms.to_vec()
        } else {
            Vec::new()
        },
        starts_ms: if any_start {
            starts.to_vec()
        } else {
            Vec::new()
        },
    }
}

fn limited<T>(mut answers: Vec<T>, limit: usize) -> Vec<T> {
    if limit > 0 {
        answers.truncate(limit);
    }
    answers
}

impl SampleSink for MemoryStore {
    fn append(&self, batch: &Batch, _durability: Durability) -> Result<Appended, AppendError> {
        let mut state = self.state();
        let mut appended = Appended::default();
        let mut nameless: Option<(RejectReason, u64, Labels)> = None;
        for sample in &batch.samples {
            if sample.labels.metric_name().is_empty() {
                let first = || (RejectReason::InvalidLabels, 0, sample.labels.clone());
                nameless.get_or_insert_with(first).1 += 1;
            } else {
                state.insert(sample, None);
                appended.stored += 1;
            }
        }
        appended.rejected.extend(nameless);
        for metadata in &batch.metadata {
            state
                .metadata
                .insert(metadata.family.clone(), metadata.clone());
        }
        Ok(appended)
    }
}

impl SeriesReader for MemoryStore {
    fn select<'a>(&'a self, selection: &Selection) -> Result<SeriesIter<'a>, ReadError> {
        let Selection {
            matchers,
            from_ms,
            to_ms,
        } = selection;
        if matchers.is_empty() {
            return Ok(Box::new(std::iter::empty()));
        }
        let found: Vec<Series> = self
            .state()
            .matching(matchers)
            .filter_map(|series| Some(cut(series, range(series, *from_ms, *to_ms)?)))
            .collect();
        Ok(Box::new(found.into_iter().map(Ok)))
    }

    fn series(&self, query: &LabelQuery) -> Result<Vec<Labels>, ReadError> {
        let found = self.state().asked(query).into_iter().cloned().collect();
        Ok(limited(found, query.limit))
    }

    fn label_names(&self, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        let state = self.state();
        let asked = state.asked(query);
        let names: BTreeSet<&str> = asked
            .iter()
            .flat_map(|l| l.iter().map(|(n, _)| n))
            .collect();
        Ok(limited(
            names.into_iter().map(str::to_owned).collect(),
            query.limit,
        ))
    }

    fn label_values(&self, name: &str, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        let state = self.state();
        let asked = state.asked(query);
        let values: BTreeSet<&str> = asked.iter().filter_map(|l| l.get(name)).collect();
        Ok(limited(
            values.into_iter().map(str::to_owned).collect(),
            query.limit,
        ))
    }

    fn metadata(&self, family: Option<&str>) -> Result<Vec<Metadata>, ReadError> {
        let state = self.state();
        let wanted = state
            .metadata
            .values()
            .filter(|m| family.is_none_or(|f| m.family == f));
        Ok(wanted.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Histogram, MetricType};

    use super::*;

    fn labels(name: &str, job: &str) -> Labels {
        Labels::from_pairs([(METRIC_NAME, name), ("job", job)])
    }

    fn store(samples: &[(&str, &str, i64, f64)]) -> MemoryStore {
        let samples = samples
            .iter()
            .map(|(n, j, t, v)| Sample::float(labels(n, j), *t, *v));
        let batch = Batch {
            samples: samples.collect(),
            ..Batch::default()
        };
        let store = MemoryStore::new();
        let appended = store.append(&batch, Durability::Fast).unwrap();
        assert_eq!(appended.stored, batch.samples.len() as u64);
        store
    }

    fn select(
        store: &MemoryStore,
        matchers: Vec<Matcher>,
        from_ms: i64,
        to_ms: i64,
    ) -> Vec<Series> {
        let selection = Selection {
            matchers,
            from_ms,
            to_ms,
        };
        store
            .select(&selection)
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn gives_exactly_the_samples_of_the_range_in_order_of_time() {
        let store = store(&[
            ("up", "a", 30, 3.0),
            ("up", "a", 10, 1.0),
            ("up", "a", 20, 2.0),
        ]);
        let found = select(&store, vec![Matcher::equal(METRIC_NAME, "up")], 10, 20);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (&found[0].times_ms[..], &found[0].values[..]),
            (&[10, 20][..], &[1.0, 2.0][..])
        );
        assert!(select(&store, vec![Matcher::equal(METRIC_NAME, "up")], 11, 19).is_empty());
        assert!(
            select(&store, Vec::new(), 0, 100).is_empty(),
            "no matchers, no series"
        );
    }

    #[test]
    fn the_last_write_wins_and_changes_the_kind_of_the_sample() {
        let store = store(&[("h", "a", 10, 1.0), ("h", "a", 20, 2.0)]);
        let histogram = Arc::new(Histogram {
            sum: 7.0,
            ..Histogram::default()
        });
        let sample = Sample {
            labels: labels("h", "a"),
            time_ms: 10,
            value: Value::Histogram(histogram.clone()),
        };
        store.insert(&sample, Some(5));
        let found = &select(&store, vec![Matcher::equal("job", "a")], 0, 100)[0];
        assert_eq!(found.values, [7.0, 2.0]);
        assert_eq!(found.histograms, [Some(histogram), None]);
        assert_eq!(found.starts_ms, [5, 0]);
        store.insert(&Sample::float(labels("h", "a"), 10, 3.0), None);
        let found = &select(&store, vec![Matcher::equal("job", "a")], 0, 100)[0];
        assert_eq!(
            (&found.values[..], found.histograms.len()),
            (&[3.0, 2.0][..], 0)
        );
    }

    #[test]
    fn samples_in_any_order_read_like_a_sorted_map() {
        let store = MemoryStore::new();
        let mut expected = BTreeMap::new();
        let mut state = 42_u64;
        for value in 0..500 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let time_ms = i64::try_from(state >> 56).unwrap();
            store.insert(
                &Sample::float(labels("m", "a"), time_ms, f64::from(value)),
                None,
            );
            expected.insert(time_ms, f64::from(value));
        }
        let found = &select(&store, vec![Matcher::equal(METRIC_NAME, "m")], 50, 200)[0];
        let found: Vec<_> = found
            .times_ms
            .iter()
            .copied()
            .zip(found.values.clone())
            .collect();
        assert_eq!(
            found,
            expected
                .range(50..=200)
                .map(|(t, v)| (*t, *v))
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn matchers_judge_absent_labels_as_empty() {
        let store = store(&[
            ("up", "a", 0, 1.0),
            ("up", "b", 0, 1.0),
            ("down", "a", 0, 1.0),
        ]);
        let count = |op, value: &str| {
            let matchers = vec![
                Matcher::equal(METRIC_NAME, "up"),
                Matcher::new("job", op, value).unwrap(),
            ];
            select(&store, matchers, 0, 0).len()
        };
        assert_eq!(count(MatchOp::NotEqual, "a"), 1);
        assert_eq!(count(MatchOp::Regex, "a|b"), 2);
        assert_eq!(count(MatchOp::NotRegex, "a|b"), 0);
        let absent = vec![Matcher::equal("zone", ""), Matcher::equal("job", "a")];
        assert_eq!(select(&store, absent, 0, 0).len(), 2);
    }

    #[test]
    fn label_questions_are_answered_sorted_and_limited() {
        let store = store(&[
            ("up", "b", 0, 1.0),
            ("up", "a", 0, 1.0),
            ("late", "c", 99, 1.0),
        ]);
        let query = LabelQuery {
            any_of: Vec::new(),
            from_ms: 0,
            to_ms: 50,
            limit: 0,
        };
        assert_eq!(
            store.series(&query).unwrap(),
            [labels("up", "a"), labels("up", "b")]
        );
        assert_eq!(store.label_names(&query).unwrap(), [METRIC_NAME, "job"]);
        assert_eq!(store.label_values("job", &query).unwrap(), ["a", "b"]);
        let first = LabelQuery {
            limit: 1,
            ..query.clone()
        };
        assert_eq!(store.label_values("job", &first).unwrap(), ["a"]);
        let either = LabelQuery {
            any_of: vec![
                vec![Matcher::equal("job", "b")],
                vec![Matcher::equal(METRIC_NAME, "late")],
            ],
            to_ms: 100,
            ..query
        };
        assert_eq!(store.label_values("job", &either).unwrap(), ["b", "c"]);
    }

    #[test]
    fn a_nameless_series_is_rejected_and_metadata_kept() {
        let store = MemoryStore::new();
        let about = |help: &str| Metadata {
            family: "up".to_owned(),
            metric_type: MetricType::Gauge,
            help: help.to_owned(),
            unit: String::new(),
        };
        let batch = Batch {
            samples: vec![Sample::float(Labels::empty(), 0, 1.0)],
            metadata: vec![about("old"), about("new")],
            ..Batch::default()
        };
        let appended = store.append(&batch, Durability::Sync).unwrap();
        assert_eq!(appended.stored, 0);
        assert_eq!(
            appended.rejected,
            [(RejectReason::InvalidLabels, 1, Labels::empty())]
        );
        assert_eq!(store.metadata(None).unwrap(), [about("new")]);
        assert_eq!(store.metadata(Some("down")).unwrap(), []);
    }
}
