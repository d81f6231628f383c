//! The streams of the configuration at work: they read the change feed, and what they make is
//! stored like any other sample.
//!
//! The state of open windows is nowhere but in memory. After a restart it is made again from what
//! was stored: the graph begins as far back as its longest window reaches and is shown those
//! samples first, so that a window that was open when the server stopped is recorded whole.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use model::{
    Batch, Clock, Durability, Labels, Matcher, Sample, SampleSink, Selection, Series, SeriesReader,
};
use runtime::metrics::Counter;
use serde_json::{Value as Json, json};
use store::{Delivery, Subscription};
use stream::{Graph, Limits, Step, StreamSpec};

/// How often the clock moves the watermarks of streams that have fallen silent ...
const BEAT: Duration = Duration::from_secs(1);

/// ... to so long ago, ms, less each stream's lateness: longer than any live source is behind.
const SILENT_MS: i64 = 10_000;

/// Samples shown again after a restart at most: some 2 s of work, some 500 MB for a moment. With
/// more, the streams begin anew and windows open at the restart are not recorded.
const REPLAYED_MAX: usize = 5_000_000;

/// The streams and their state.
pub(crate) struct Streams {
    specs: Vec<StreamSpec>,
    graph: Mutex<Graph>,
    /// Points that left the feed before the streams took them.
    pub(crate) missed: Counter,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Streams({})", self.specs.len())
    }
}

impl Streams {
    /// Streams before their first sample.
    pub(crate) fn new(specs: Vec<StreamSpec>, missed: Counter, now_ms: i64) -> Self {
        let graph = Mutex::new(Graph::new(specs.clone(), Limits::default(), now_ms));
        Self {
            specs,
            graph,
            missed,
        }
    }

    /// What enters any of the streams: alternatives, as the change feed wants them.
    pub(crate) fn inputs(&self) -> Vec<Vec<Matcher>> {
        let mut inputs = Vec::new();
        for spec in &self.specs {
            inputs.push(spec.matchers.clone());
            inputs.extend(spec.steps.iter().filter_map(|step| match step {
                Step::Join(join) => Some(join.with.clone()),
                _ => None,
            }));
        }
        inputs
    }

    /// Shows the streams what was stored so far, then what is stored from now on, until the feed
    /// ends. `subscription` was made before, so that nothing falls in between.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut subscription: Subscription,
        reader: Arc<dyn SeriesReader>,
        sink: Arc<dyn SampleSink>,
        clock: Arc<dyn Clock>,
    ) {
        let mut shown = self.replay(&*reader, &*sink, &*clock);
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let delivery = tokio::select! {
                delivery = subscription.next() => delivery,
                _ = beat.tick() => {
                    let results = self.graph().idle_until(clock.wall_ms() - SILENT_MS);
                    store(&*sink, results);
                    continue;
                }
            };
            match delivery {
                None => return,
                Some(Delivery::Missed(points)) => self.missed.add(points),
                Some(Delivery::Points {
                    shown: new, at_ms, ..
                }) => {
                    let results = self.graph().take(&shown.fresh(&new.batch().samples, at_ms));
                    store(&*sink, results);
                }
            }
        }
    }

    /// Makes the state again that a restart has lost.
    fn replay(&self, reader: &dyn SeriesReader, sink: &dyn SampleSink, clock: &dyn Clock) -> Shown {
        let now_ms = clock.wall_ms();
        let begin_ms = now_ms.saturating_sub(Graph::reach_ms(&self.specs));
        let samples = match self.stored(reader, begin_ms) {
            Ok(Some(samples)) => samples,
            Ok(None) => {
                tracing::warn!("too much to read again: streams begin with what comes now");
                return Shown::default();
            }
            Err(error) => {
                tracing::warn!(%error, "streams begin with what comes now");
                return Shown::default();
            }
        };
        let mut graph = self.graph();
        // Windows that began before anything was stored were not seen whole.
        let first_ms = samples.first().map_or(now_ms, |s| s.time_ms);
        *graph = Graph::new(
            self.specs.clone(),
            Limits::default(),
            begin_ms.max(first_ms),
        );
        let mut shown = Shown {
            until_ms: clock.wall_ms(),
            ..Shown::default()
        };
        for together in samples.chunk_by(|a, b| a.time_ms == b.time_ms) {
            store(sink, graph.take(together));
            let newest = together.iter().map(|s| (s.labels.clone(), s.time_ms));
            shown.newest.extend(newest);
        }
        shown
    }

    /// What entered since `from_ms`, in order of time; `None` if it is too much.
    fn stored(
        &self,
        reader: &dyn SeriesReader,
        from_ms: i64,
    ) -> Result<Option<Vec<Sample>>, model::ReadError> {
        let mut found: BTreeMap<Labels, Vec<Sample>> = BTreeMap::new();
        let mut count = 0;
        for matchers in self.inputs() {
            let selection = Selection {
                matchers,
                from_ms,
                to_ms: i64::MAX,
            };
            for series in reader.select(&selection)? {
                let series = series?;
                if found.contains_key(&series.labels) {
                    continue;
                }
                count += series.times_ms.len();
                if count > REPLAYED_MAX {
                    return Ok(None);
                }
                found.insert(series.labels.clone(), floats(&series));
            }
        }
        let mut samples: Vec<Sample> = found.into_values().flatten().collect();
        samples.sort_by_key(|s| s.time_ms);
        Ok(Some(samples))
    }

    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each stream did, as the API shows it.
    pub(crate) fn shown(&self) -> Json {
        let graph = self.graph();
        let one = |stats: stream::StreamStats| {
            let dead = stats.flow.dead.iter();
            let dead: BTreeMap<&str, u64> = dead.map(|(r, n)| (r.as_str(), *n)).collect();
            json!({
                "name": stats.name,
                "entered": stats.flow.entered,
                "results": stats.flow.results,
                "held": stats.flow.held,
                "watermark_ms": stats.flow.watermark_ms,
                "dead_letters": dead,
            })
        };
        graph.stats().into_iter().map(one).collect()
    }

    /// The newest dead letters of a stream; `None` if there is no such stream.
    pub(crate) fn dead_letters(&self, stream: &str) -> Option<Json> {
        self.specs.iter().find(|s| s.name == stream)?;
        let graph = self.graph();
        let letters = graph.dead_letters(stream).map(|letter| {
            json!({
                "reason": letter.reason.as_str(),
                "series": letter.item.labels,
                "time_ms": letter.item.time_ms,
                "value": letter.item.value.to_string(),
            })
        });
        Some(letters.collect())
    }
}

/// The samples of a series that are no histograms.
fn floats(series: &Series) -> Vec<Sample> {
    let is_float = |at: &usize| series.histograms.get(*at).is_none_or(Option::is_none);
    let sample = |at| {
        Sample::float(
            series.labels.clone(),
            series.times_ms[at],
            series.values[at],
        )
    };
    (0..series.times_ms.len())
        .filter(is_float)
        .map(sample)
        .collect()
}

/// What the streams were shown from the store, so that the feed does not show it again.
#[derive(Debug, Default)]
struct Shown {
    newest: BTreeMap<Labels, i64>,
    /// What was published later was not in the store yet.
    until_ms: i64,
}

impl Shown {
    /// The samples that were not shown before.
    fn fresh<'a>(&mut self, samples: &'a [Sample], at_ms: i64) -> std::borrow::Cow<'a, [Sample]> {
        if at_ms > self.until_ms {
            self.newest.clear();
            return samples.into();
        }
        let is_fresh = |s: &&Sample| self.newest.get(&s.labels).is_none_or(|t| s.time_ms > *t);
        samples.iter().filter(is_fresh).cloned().collect()
    }
}

fn store(sink: &dyn SampleSink, results: Batch) {
    if results.samples.is_empty() {
        return;
    }
    let results = Batch {
        door: "stream",
        ..results
    };
    if let Err(error) = sink.append(&results, Durability::Fast) {
        tracing::warn!(%error, results = results.samples.len(), "results were not stored");
    }
}
