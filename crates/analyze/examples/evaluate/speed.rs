//! Points a second on one core, through `Analyzer::observe`, 1,000 series at 1 s.

use analyze::{Analyzer, Config};
use model::{Batch, Labels, METRIC_NAME, Sample};

use crate::noise::State;

const SERIES: u64 = 1000;
const SECONDS: i64 = 2000;

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark needs the real clock"
)]
pub(crate) fn evaluate() {
    let names: Vec<Labels> = (0..SERIES)
        .map(|n| {
            let pairs = [
                (METRIC_NAME, "node_cpu_seconds".to_owned()),
                ("cpu", n.to_string()),
            ];
            let more = [
                ("instance", "localhost:9100".to_owned()),
                ("job", "host".to_owned()),
            ];
            Labels::from_pairs(pairs.into_iter().chain(more))
        })
        .collect();
    let (mut analyzer, mut state) = (Analyzer::new(Config::default()), State::new(1));
    let (mut spent, mut findings, mut p99) = (0.0, 0, Vec::new());
    for second in 0..SECONDS {
        let sample = |l: &Labels| Sample::float(l.clone(), second * 1000, 10.0 + state.gauss());
        let batch = Batch {
            samples: names.iter().map(sample).collect(),
            ..Batch::default()
        };
        let start = std::time::Instant::now();
        findings += analyzer.observe(&batch).len();
        let took = start.elapsed().as_secs_f64();
        spent += took;
        p99.push(took / SERIES as f64);
    }
    let stats = analyzer.stats();
    p99.sort_unstable_by(f64::total_cmp);
    println!(
        "{:.2} M points/s; {:.3} % of a core for 1,000 series at 1 s; p99 {:.2} us a point; {} bytes a series; {findings} findings",
        stats.points as f64 / spent / 1e6,
        100.0 * spent / SECONDS as f64,
        p99[p99.len() * 99 / 100] * 1e6,
        stats.state_bytes / stats.series,
    );
}
