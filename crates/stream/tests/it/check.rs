//! Samples and graphs in a line each.

use model::{Labels, Matcher, Sample, Value};
use stream::{Graph, Limits, Step, StreamSpec};

pub(crate) fn labels(name: &str, pairs: &[(&str, &str)]) -> Labels {
    let mut all = vec![("__name__", name)];
    all.extend_from_slice(pairs);
    Labels::from_pairs(all)
}

pub(crate) fn sample(name: &str, host: &str, time_ms: i64, value: f64) -> Sample {
    Sample::float(labels(name, &[("host", host)]), time_ms, value)
}

pub(crate) fn spec(name: &str, input: &str, lateness_ms: i64, steps: Vec<Step>) -> StreamSpec {
    StreamSpec {
        name: name.to_owned(),
        matchers: vec![Matcher::equal("__name__", input)],
        lateness_ms,
        steps,
    }
}

pub(crate) fn graph(specs: Vec<StreamSpec>) -> Graph {
    Graph::new(specs, Limits::default(), i64::MIN / 2)
}

/// A sample as a line: `name{a="b"}@time value`.
pub(crate) fn line(sample: &Sample) -> String {
    let Value::Float(value) = sample.value else {
        panic!("streams make floats");
    };
    format!("{}@{} {value}", sample.labels, sample.time_ms)
}

pub(crate) fn lines(batch: &model::Batch) -> Vec<String> {
    batch.samples.iter().map(line).collect()
}

/// Dead letters of a stream as `(reason, count)`.
pub(crate) fn dead(graph: &Graph, stream: &str) -> Vec<(&'static str, u64)> {
    let stats = graph.stats();
    let found = stats
        .iter()
        .find(|s| s.name == stream)
        .expect("a stream of that name");
    let counts = found.flow.dead.iter();
    counts.map(|(reason, n)| (reason.as_str(), *n)).collect()
}
