//! What nobody should ask: judged soon, within bounds of memory, counted by the allocator; and
//! what is called off leaves nothing behind.
#![cfg(test)]

use std::sync::Arc;

use model::{LabelQuery, Labels, Metadata, ReadError, Selection, Series, SeriesIter, SeriesReader};
use query::{Account, Engine, Limits, Options, Pool, QueryError, Stop, Watch};
use testkit::peak::{kept_bytes, peak_bytes};

/// Series of the metric `x`.
const SERIES: i64 = 2_000;
/// Samples of each, one a second.
const SAMPLES: i64 = 1_000;
/// What a query may hold in these tests.
const BYTES: usize = 8 << 20;
/// What may be held beside what is counted: the series at hand, buffers while they grow.
const SLACK: usize = 4 << 20;

/// Series that are made when asked for: they take no memory of their own.
struct Made;

impl SeriesReader for Made {
    fn select<'a>(&'a self, selection: &Selection) -> Result<SeriesIter<'a>, ReadError> {
        let Selection {
            matchers,
            from_ms,
            to_ms,
        } = selection.clone();
        let times = move || {
            (0..SAMPLES)
                .map(|i| i * 1_000)
                .filter(move |t| (from_ms..=to_ms).contains(t))
        };
        let labels = |i: i64| {
            Labels::from_pairs([
                ("__name__".to_owned(), "x".to_owned()),
                ("i".to_owned(), i.to_string()),
                ("text".to_owned(), "t".repeat(1_000)),
            ])
        };
        let found = (0..SERIES)
            .map(move |i| (i, labels(i)))
            .filter(move |(_, labels)| {
                matchers
                    .iter()
                    .all(|m| m.matches(labels.get(&m.name).unwrap_or_default()))
            });
        let series = found.map(move |(i, labels)| Series {
            labels,
            times_ms: times().collect(),
            // No value twice.
            values: times().map(|t| (i * 1_000_000_000 + t) as f64).collect(),
            histograms: Vec::new(),
            starts_ms: Vec::new(),
        });
        Ok(Box::new(series.map(Ok)))
    }

    fn series(&self, _query: &LabelQuery) -> Result<Vec<Labels>, ReadError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        Ok(Vec::new())
    }

    fn label_values(&self, _name: &str, _query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        Ok(Vec::new())
    }

    fn metadata(&self, _family: Option<&str>) -> Result<Vec<Metadata>, ReadError> {
        Ok(Vec::new())
    }
}

fn engine(limits: Limits) -> Engine {
    Engine::new(Options {
        limits,
        ..Options::default()
    })
}

/// Texts that grow without end, cut at `bytes`.
fn endless(bytes: usize) -> Vec<String> {
    let units = [
        "1+", "abs(", "(", "{", "-", "x[", "x^", "\"", "a,", "sum by(", "x{a=\"", "1 or ", "é",
        "#", "offset ", "@", "0x", "1e", "x[1s:",
    ];
    let grown = |unit: &str| unit.repeat(bytes / unit.len());
    units.into_iter().map(grown).collect()
}

#[test]
fn a_megabyte_of_text_is_refused_before_it_is_read() {
    for text in endless(1 << 20) {
        let (parsed, peak) = peak_bytes(|| Engine::default().parse(&text));
        assert!(parsed.is_err(), "{}...", &text[..4]);
        assert!(peak < 16 << 10, "{}... takes {peak} bytes", &text[..4]);
    }
}

#[test]
fn a_megabyte_that_may_be_read_is_refused_for_its_depth_or_its_length() {
    let lenient = engine(Limits {
        query_bytes: 2 << 20,
        ..Limits::default()
    });
    for text in endless(1 << 20) {
        let (parsed, peak) = peak_bytes(|| lenient.parse(&text));
        // A comment is a comment, however long; nothing is left of the query then.
        assert!(parsed.is_err(), "{}...", &text[..4]);
        assert!(peak < 8 << 20, "{}... takes {peak} bytes", &text[..4]);
    }
}

#[test]
fn explosions_are_refused_within_the_bound_of_memory() {
    let bounded = engine(Limits {
        bytes: BYTES,
        samples: 1_000_000,
        ..Limits::default()
    });
    let joined = (0..20).fold("x".to_owned(), |q, _| {
        format!("label_join({q}, \"text\", \"\", \"text\", \"text\")")
    });
    let references = "$1".repeat(2_000);
    let sources = ", \"text\"".repeat(1_200);
    let refused = [
        // A row for each value at each step.
        "count_values(\"v\", x)".to_owned(),
        "count_values without (i) (\"v\", x)".to_owned(),
        // Values that double, and that are copied two thousand times.
        joined,
        format!("label_replace(x, \"big\", \"{references}\", \"text\", \"(.*)\")"),
        format!("label_join(x, \"big\", \"\"{sources})"),
        // All of it at once, and more.
        "x".to_owned(),
        "{__name__=~\".+\"}".to_owned(),
        "x * on (i) group_left () x".to_owned(),
        "x or label_replace(x, \"j\", \"1\", \"\", \"\")".to_owned(),
        "quantile by (i) (0.5, x)".to_owned(),
        "topk(1e9, x)".to_owned(),
        "sum by (i, text) (x)".to_owned(),
        "max_over_time(x[1h:1ms])".to_owned(),
        "sort(x)".to_owned(),
    ];
    for query in refused {
        let run = || bounded.range(&Made, &query, 0, 999_000, 1_000);
        let (answer, peak) = peak_bytes(run);
        let shown = &query[..query.len().min(60)];
        assert!(
            matches!(
                answer,
                Err(QueryError::TooLarge(_) | QueryError::Execution(_))
            ),
            "{shown}: {:?}",
            answer.map(|_| "answered")
        );
        assert!(peak < BYTES + SLACK, "{shown} takes {peak} bytes");
    }
}

#[test]
fn what_needs_little_is_answered_within_the_same_bound() {
    let bounded = engine(Limits {
        bytes: BYTES,
        samples: 1_000_000,
        ..Limits::default()
    });
    for query in [
        "sum(x)",
        "max(rate(x[5m]))",
        "count(x{i=~\"1.*\"})",
        "avg(avg_over_time(x[5m:30s]))",
    ] {
        let run = || bounded.range(&Made, query, 0, 999_000, 1_000);
        let (answer, peak) = peak_bytes(run);
        assert!(answer.is_ok(), "{query}: {answer:?}");
        assert!(peak < SLACK, "{query} takes {peak} bytes");
    }
}

#[test]
fn regular_expressions_that_blow_up_are_refused_or_harmless() {
    let bombs = [
        "(a{1000}){1000}",
        "((a{1,100}){1,100}){1,100}",
        "(x+x+)+y",
        "(.*)*(.*)*(.*)*z",
        "(a|aa)+$",
        "\\\\p{L}{500}{500}",
    ];
    for bomb in bombs {
        for query in [
            format!("count(x{{text=~\"{bomb}\"}})"),
            format!("label_replace(sum(x), \"a\", \"$1\", \"text\", \"{bomb}\")"),
        ] {
            let run = || Engine::default().instant(&Made, &query, 999_000);
            let (answer, peak) = peak_bytes(run);
            assert!(peak < 24 << 20, "{query} takes {peak} bytes: {answer:?}");
        }
    }
}

#[test]
fn a_query_that_is_called_off_gives_its_memory_back() {
    let pool = Arc::new(Pool::new(64 << 20));
    let account = Account::drawing_on(Arc::clone(&pool));
    let killed_at = 4 << 20;
    let run = || {
        let stop = || (account.bytes() > killed_at).then_some(Stop::Cancelled);
        let watch = Watch {
            stop: &stop,
            account: &account,
        };
        let ended = Engine::default().range_watched(&Made, "sort(x)", 0, 999_000, 1_000, watch);
        assert!(matches!(ended, Err(QueryError::Cancelled)), "{ended:?}");
    };
    let (((), peak), kept) = kept_bytes(|| peak_bytes(run));
    assert!(peak > killed_at, "it held {peak} bytes when it was killed");
    assert!(kept < 1 << 10, "{kept} bytes are still held");
    assert_eq!((account.bytes(), pool.bytes()), (0, 0));
    assert!(account.bytes_peak() > killed_at);
}

#[test]
fn queries_that_run_together_are_bounded_together() {
    let pool = Arc::new(Pool::new(BYTES));
    let others = Account::drawing_on(Arc::clone(&pool));
    let held = others.hold(BYTES - (1 << 20)).unwrap();
    let account = Account::drawing_on(Arc::clone(&pool));
    let watch = Watch {
        stop: &|| None,
        account: &account,
    };
    let run = || Engine::default().range_watched(&Made, "x", 0, 999_000, 1_000, watch);
    let refused = run().unwrap_err();
    assert!(refused.to_string().contains("together"), "{refused}");
    assert_eq!(account.bytes(), 0, "what was refused holds nothing");
    drop(held);
    let fits = Engine::default().range_watched(&Made, "sum(x)", 0, 999_000, 1_000, watch);
    assert!(fits.is_ok());
}
