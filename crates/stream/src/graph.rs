//! All streams of a configuration. A stream may read the results of those above it.

use model::{Batch, Labels, Sample, Value, is_stale};

use crate::{
    Item, Limits, Stat, Step, StreamSpec,
    dead::DeadLetter,
    flow::{Flow, FlowStats},
};

/// The streams, in the order they were declared.
#[derive(Debug)]
pub struct Graph {
    flows: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    name: String,
    /// Every metric name a result can have.
    results: Vec<String>,
    flow: Flow,
}

/// What one stream has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStats {
    /// Its name.
    pub name: String,
    /// What it did.
    pub flow: FlowStats,
}

impl Graph {
    /// The streams before their first sample. Windows that began before `begin_ms` will not have
    /// been seen whole, and are not recorded.
    #[must_use]
    pub fn new(specs: Vec<StreamSpec>, limits: Limits, begin_ms: i64) -> Self {
        let named = |spec: StreamSpec| Named {
            name: spec.name.clone(),
            results: result_names(&spec),
            flow: Flow::new(spec, limits, begin_ms),
        };
        Self {
            flows: specs.into_iter().map(named).collect(),
        }
    }

    /// How far back the state of streams with these specifications reaches, ms: a graph that is
    /// to go on after a restart begins so long before now, and is offered again what was stored
    /// since.
    #[must_use]
    pub fn reach_ms(specs: &[StreamSpec]) -> i64 {
        specs.iter().map(reach_ms).max().unwrap_or(0)
    }

    /// Takes samples that were stored together; gives what is to be stored as well. Stale
    /// markers and histograms pass by: neither is a value. So do results of these streams that
    /// come back: the streams that read them have seen them when they were made.
    pub fn take(&mut self, samples: &[Sample]) -> Batch {
        let foreign = |item: &Item| !self.makes(&item.labels);
        let items = samples.iter().filter_map(item).filter(foreign).collect();
        self.pass(items, Flow::take)
    }

    /// Nothing has come for a while: event time goes on by the caller's clock, less each stream's
    /// lateness, so that the last windows of a source that fell silent are recorded.
    pub fn idle_until(&mut self, now_ms: i64) -> Batch {
        self.pass(Vec::new(), |flow, items| {
            let mut made = flow.take(items);
            made.append(&mut flow.idle_until(now_ms));
            made
        })
    }

    /// Each stream in turn sees the items and what the streams above it have made of them.
    fn pass(
        &mut self,
        mut items: Vec<Item>,
        mut step: impl FnMut(&mut Flow, &[Item]) -> Vec<Item>,
    ) -> Batch {
        let given = items.len();
        for named in &mut self.flows {
            let mut made = step(&mut named.flow, &items);
            items.append(&mut made);
        }
        batch(items.split_off(given))
    }

    /// Whether series of this name are results of a stream.
    fn makes(&self, labels: &Labels) -> bool {
        let name = labels.metric_name();
        let mut names = self.flows.iter().flat_map(|f| &f.results);
        names.any(|result| result == name)
    }

    /// What each stream has done, in order.
    #[must_use]
    pub fn stats(&self) -> Vec<StreamStats> {
        let stats = |named: &Named| StreamStats {
            name: named.name.clone(),
            flow: named.flow.stats(),
        };
        self.flows.iter().map(stats).collect()
    }

    /// The newest dead letters of a stream first; none of an unknown one.
    pub fn dead_letters(&self, stream: &str) -> impl Iterator<Item = &DeadLetter> {
        let found = self.flows.iter().filter(move |f| f.name == stream);
        found.flat_map(|f| f.flow.dead_letters())
    }
}

fn item(sample: &Sample) -> Option<Item> {
    match sample.value {
        Value::Float(value) if !is_stale(value) => Some(Item {
            labels: sample.labels.clone(),
            time_ms: sample.time_ms,
            value,
        }),
        Value::Float(_) | Value::Histogram(_) => None,
    }
}

fn batch(items: Vec<Item>) -> Batch {
    let sample = |item: Item| Sample::float(item.labels, item.time_ms, item.value);
    Batch {
        samples: items.into_iter().map(sample).collect(),
        ..Batch::default()
    }
}

fn reach_ms(spec: &StreamSpec) -> i64 {
    let steps = spec.steps.iter().map(|step| match step {
        Step::Window(window) => window.kind.reach_ms(),
        Step::Join(join) => join.within_ms,
        Step::Normalize(normalize) => normalize.half_life_ms,
        _ => 0,
    });
    spec.lateness_ms + steps.sum::<i64>()
}

fn result_names(spec: &StreamSpec) -> Vec<String> {
    let name = |stat: &Stat| match stat.suffix() {
        Some(suffix) => format!("{}_{suffix}", spec.name),
        None => spec.name.clone(),
    };
    let mut names = vec![spec.name.clone()];
    for step in &spec.steps {
        if let Step::Window(window) = step {
            names.extend(window.stats.iter().map(name));
        }
    }
    names
}
