//! Queries from nowhere over a few series: whatever parses is evaluated, at one time and over a
//! range, within small bounds. Both ways must agree where both answer.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use model::{Histogram, Labels, Sample, Span};
use query::{Account, Engine, Limits, Options, QueryValue, Stop, Watch};
use testkit::MemoryStore;

/// Looks at the stop signal before a query has taken long enough.
const LOOKS: u32 = 2_000;

/// Two counters, a gauge with stale markers and infinities, classic and native histograms.
static SERIES: LazyLock<MemoryStore> = LazyLock::new(|| {
    let store = MemoryStore::new();
    let odd = [f64::NAN, f64::INFINITY, -0.0, model::stale_nan(), 1e300];
    for (number, name) in (0i64..).zip(["up", "x", "a", "http_requests_total", "b_bucket"]) {
        for job in 0..2 {
            let labels = Labels::from_pairs([
                ("__name__", name.to_owned()),
                ("job", job.to_string()),
                ("le", ["0.5", "+Inf"][job as usize].to_owned()),
            ]);
            for i in 0..40 {
                let value = match (i * 7 + number + job) % 23 {
                    k @ 0..5 if number != 3 => odd[k as usize],
                    _ => ((i * (number + 1)) % 31) as f64,
                };
                store.insert(&Sample::float(labels.clone(), i * 15_000, value), None);
            }
        }
    }
    let labels = Labels::from_pairs([("__name__", "h"), ("job", "0")]);
    for i in 0..40 {
        let histogram = Histogram {
            count: i as f64,
            sum: i as f64 * 2.0,
            positive_spans: vec![Span {
                offset: 1,
                length: 1,
            }],
            positive_buckets: vec![i as f64],
            ..Histogram::default()
        };
        let mut sample = Sample::float(labels.clone(), i * 15_000, 0.0);
        sample.value = model::Value::Histogram(Arc::new(histogram));
        store.insert(&sample, None);
    }
    store
});

/// Evaluates a text.
pub fn evaluate(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let engine = Engine::new(Options {
        limits: Limits {
            steps: 64,
            samples: 50_000,
            bytes: 4 << 20,
            ..Limits::default()
        },
        ..Options::default()
    });
    let account = Account::default();
    let looks = LookCounter::default();
    let stop = || looks.look();
    let watch = Watch {
        stop: &stop,
        account: &account,
    };
    let (start, step) = (300_000, 15_000);
    let range = engine.range_watched(&*SERIES, text, start, start + 3 * step, step, watch);
    let instant = engine.instant_watched(&*SERIES, text, start, watch);
    assert_eq!(account.bytes(), 0, "{text:?} keeps what it held");
    let (Ok(range), Ok(instant)) = (range, instant) else {
        return;
    };
    let mut out = Vec::new();
    query::json::write_data(&mut out, &range.value);
    query::json::write_data(&mut out, &instant.value);
    if let (QueryValue::Matrix(series), QueryValue::Vector(samples)) = (range.value, instant.value)
        && !text.contains("start")
        && !text.contains("end")
        && !text.contains("step")
        && !text.contains("range")
    {
        let at_start = |time: Option<i64>| usize::from(time == Some(start));
        let first = |s: &query::MatrixSeries| {
            at_start(s.floats.first().map(|p| p.0)) + at_start(s.histograms.first().map(|p| p.0))
        };
        let found: usize = series.iter().map(first).sum();
        assert_eq!(found, samples.len(), "{text:?} at its first step and alone");
    }
}

/// Time that needs no clock: how often a query asked.
#[derive(Debug, Default)]
struct LookCounter(AtomicU32);

impl LookCounter {
    fn look(&self) -> Option<Stop> {
        let before = self.0.fetch_add(1, Relaxed);
        (before >= LOOKS).then_some(Stop::Timeout)
    }
}
