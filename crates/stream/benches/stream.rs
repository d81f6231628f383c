//! How many samples a second of processor time a stream takes: `cargo bench -p stream`.

use std::time::Instant;

use model::{Labels, Matcher, Sample};
use stream::{Graph, Limits, Stat, Step, StreamSpec, WindowKind, WindowSpec};

const SERIES: usize = 1_000;
const ROUNDS: i64 = 600;

fn main() {
    let window = |kind, stats| {
        Step::Window(WindowSpec {
            kind,
            by: vec!["host".to_owned()],
            stats,
        })
    };
    let minute = WindowKind::Tumbling { size_ms: 60_000 };
    let sliding = WindowKind::Sliding {
        size_ms: 300_000,
        slide_ms: 60_000,
    };
    let moments = vec![Stat::Count, Stat::Mean, Stat::Max];
    run("order", vec![Step::Order]);
    run(
        "tumbling 1m, moments",
        vec![window(minute, moments.clone())],
    );
    run("sliding 5m by 1m, moments", vec![window(sliding, moments)]);
    run(
        "tumbling 1m, p50 and p99",
        vec![window(
            minute,
            vec![Stat::Quantile(0.5), Stat::Quantile(0.99)],
        )],
    );
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn run(what: &str, steps: Vec<Step>) {
    let spec = StreamSpec {
        name: "result".to_owned(),
        matchers: vec![Matcher::equal("__name__", "load")],
        lateness_ms: 5_000,
        steps,
    };
    let mut graph = Graph::new(vec![spec], Limits::default(), 0);
    let labels: Vec<Labels> = (0..SERIES)
        .map(|i| {
            let (host, unit) = (format!("host{}", i / 10), format!("{}", i % 10));
            Labels::from_pairs([("__name__", "load"), ("host", &host), ("unit", &unit)])
        })
        .collect();
    let mut batch: Vec<Sample> = labels
        .iter()
        .map(|l| Sample::float(l.clone(), 0, 0.0))
        .collect();
    let start = Instant::now();
    let mut results = 0;
    for round in 0..ROUNDS {
        for (i, sample) in batch.iter_mut().enumerate() {
            sample.time_ms = round * 1_000;
            sample.value = model::Value::Float((i as i64 * 31 + round * 17).rem_euclid(997) as f64);
        }
        results += graph.take(&batch).samples.len();
    }
    let samples = SERIES as f64 * ROUNDS as f64;
    let rate = samples / start.elapsed().as_secs_f64() / 1e6;
    eprintln!("{what}: {rate:.2} M samples/s on one core, {results} results");
}
