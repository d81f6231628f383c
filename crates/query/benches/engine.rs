//! CPU time of queries over series in memory, JSON included: `cargo bench -p query`.
//!
//! 2,000 series of one hour and five minutes at 15 s. The store's own cost, cloning columns, is
//! measured alone and shown beside.

use std::hint::black_box;
use std::time::Instant;

use model::{LabelQuery, Labels, Metadata, ReadError, Selection, Series, SeriesIter, SeriesReader};
use query::{Engine, Limits, Options};

/// Series held as readers hand them out.
struct Columns(Vec<Series>);

impl SeriesReader for Columns {
    fn select<'a>(&'a self, selection: &Selection) -> Result<SeriesIter<'a>, ReadError> {
        let selection = selection.clone();
        let matching = self.0.iter().filter(move |s| {
            selection
                .matchers
                .iter()
                .all(|m| m.matches(s.labels.get(&m.name).unwrap_or("")))
        });
        Ok(Box::new(matching.map(move |s| {
            let low = s.times_ms.partition_point(|t| *t < selection.from_ms);
            let high = s.times_ms.partition_point(|t| *t <= selection.to_ms);
            let mut part = Series::new(s.labels.clone());
            part.times_ms = s.times_ms[low..high].to_vec();
            part.values = s.values[low..high].to_vec();
            Ok(part)
        })))
    }

    fn series(&self, _: &LabelQuery) -> Result<Vec<Labels>, ReadError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &LabelQuery) -> Result<Vec<String>, ReadError> {
        Ok(Vec::new())
    }

    fn label_values(&self, _: &str, _: &LabelQuery) -> Result<Vec<String>, ReadError> {
        Ok(Vec::new())
    }

    fn metadata(&self, _: Option<&str>) -> Result<Vec<Metadata>, ReadError> {
        Ok(Vec::new())
    }
}

const STEP_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;

fn columns() -> Columns {
    let series = |i: usize| {
        let mut series = Series::new(Labels::from_pairs([
            (
                "__name__",
                if i < 1000 { "a_total" } else { "b_total" }.to_owned(),
            ),
            ("instance", format!("host-{:03}:9100", i % 100)),
            ("job", "node".to_owned()),
            ("region", format!("eu-{}", i % 7)),
            ("cpu", format!("{}", i / 100)),
            ("mode", "system".to_owned()),
        ]));
        for k in 0..260 {
            series.push(k * STEP_MS, (k * (i as i64 + 7)) as f64 * 0.25);
        }
        series
    };
    Columns((0..2000).map(series).collect())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn best_ms(mut run: impl FnMut()) -> f64 {
    let once = |run: &mut dyn FnMut()| {
        let begun = Instant::now();
        run();
        begun.elapsed().as_secs_f64() * 1e3
    };
    (0..7).map(|_| once(&mut run)).fold(f64::INFINITY, f64::min)
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() {
    let (store, engine) = (columns(), Engine::default());
    let json = |answer: query::Answer| black_box(query::json::data(&answer.value).len());
    let end = 5 * 60_000 + HOUR_MS - STEP_MS;
    let name = |n: &str| vec![model::Matcher::equal("__name__", n)];
    let read = best_ms(|| {
        let selection = Selection {
            matchers: name("a_total"),
            from_ms: 0,
            to_ms: end,
        };
        black_box(store.select(&selection).map_or(0, Iterator::count));
    });
    println!("{read:8.2} ms  reading 1,000 series alone");
    for query in [
        "rate(a_total[5m])",
        "sum by (instance) (rate({job=\"node\"}[5m]))",
        "avg by (region) (a_total)",
        "max_over_time(a_total[5m])",
        "quantile_over_time(0.9, a_total[5m])",
    ] {
        let ms = best_ms(|| {
            let answer = engine.range(&store, query, end - HOUR_MS + STEP_MS, end, STEP_MS);
            json(answer.expect("the query is valid"));
        });
        println!("{ms:8.2} ms  1 h at 15 s: {query}");
    }
    for query in [
        "a_total{instance=\"host-001:9100\",cpu=\"3\"}",
        "topk(10, rate({job=\"node\"}[5m]))",
        "sum(rate({job=\"node\"}[5m]))",
        "count({__name__=~\"[ab]_.*\"})",
    ] {
        let ms = best_ms(|| {
            json(
                engine
                    .instant(&store, query, end)
                    .expect("the query is valid"),
            );
        });
        println!("{ms:8.2} ms  instant: {query}");
    }
    let chain = "1+".repeat(10_000) + "1";
    let refused = best_ms(|| drop(black_box(query::parse(&chain))));
    println!("{refused:8.3} ms  10,000 terms 1+1+…, refused");
    let limits = Limits {
        query_bytes: 1 << 20,
        operators: usize::MAX,
        ..Limits::default()
    };
    let wide = Engine::new(Options {
        limits,
        ..Options::default()
    });
    let parsed = best_ms(|| drop(black_box(wide.parse(&chain))));
    println!("{parsed:8.3} ms  the same, parsed under wider limits");
}
