//! Queries on several threads: the answer is the same for any number of them, and nobody is left
//! waiting when one of them fails or the query is called off.
#![cfg(test)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;

use model::{LabelQuery, Labels, Metadata, ReadError, Sample, Selection, SeriesIter, SeriesReader};
use proptest::prelude::{prop, prop_assert_eq, proptest};
use query::{Account, Answer, Engine, Options, QueryError, Stop, Watch, Workers};
use testkit::MemoryStore;

const MINUTE: i64 = 60_000;

/// A thread for each helper that is asked for.
#[derive(Debug)]
struct Threads;

impl Workers for Threads {
    fn run(&self, most: usize, help: &(dyn Fn() + Sync), own: &mut dyn FnMut()) {
        thread::scope(|scope| {
            for _ in 0..most {
                scope.spawn(help);
            }
            own();
        });
    }
}

/// A store that gives pieces of three series, whatever is asked for, and does `at_piece` when
/// one is begun.
struct Pieces<F> {
    store: MemoryStore,
    at_piece: F,
}

impl<F: Fn(usize) + Send + Sync> SeriesReader for Pieces<F> {
    fn select<'a>(&'a self, selection: &Selection) -> Result<SeriesIter<'a>, ReadError> {
        self.store.select(selection)
    }

    fn pieces<'a>(
        &'a self,
        selection: &Selection,
        _only_newest: bool,
        _series: usize,
    ) -> Result<Vec<SeriesIter<'a>>, ReadError> {
        let all: Vec<_> = self.select(selection)?.collect::<Result<_, _>>()?;
        let piece = |(number, piece): (usize, &[model::Series])| {
            let mut series = Vec::from(piece).into_iter().map(Ok);
            let mut is_begun = false;
            let next = move || {
                if !std::mem::replace(&mut is_begun, true) {
                    (self.at_piece)(number);
                }
                series.next()
            };
            Box::new(std::iter::from_fn(next)) as SeriesIter<'a>
        };
        Ok(all.chunks(3).enumerate().map(piece).collect())
    }

    fn series(&self, query: &LabelQuery) -> Result<Vec<Labels>, ReadError> {
        self.store.series(query)
    }

    fn label_names(&self, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        self.store.label_names(query)
    }

    fn label_values(&self, name: &str, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        self.store.label_values(name, query)
    }

    fn metadata(&self, family: Option<&str>) -> Result<Vec<Metadata>, ReadError> {
        self.store.metadata(family)
    }
}

/// Forty series of two metrics, whose values neither fit a few bits nor come at the same times.
fn store(seed: u64) -> MemoryStore {
    let store = MemoryStore::new();
    let mut state = seed | 1;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for series in 0..40 {
        let labels = Labels::from_pairs([
            (
                "__name__",
                ["requests_total", "load"][series % 2].to_owned(),
            ),
            ("job", format!("job-{}", series % 5)),
            ("cpu", series.to_string()),
        ]);
        let mut value = 0.0;
        for i in 0..60 {
            value += (next() % 100_000) as f64 / 7.0;
            match next() % 30 {
                0 => continue,
                1 => value = 0.1,
                _ => {}
            }
            let time_ms = i * 15_000 + (next() % 3) as i64;
            store.insert(&Sample::float(labels.clone(), time_ms, value), None);
        }
    }
    store
}

fn engine(threads: usize) -> Engine {
    let options = Options {
        threads,
        ..Options::default()
    };
    Engine::new(options).with_workers(Arc::new(Threads))
}

/// All of an answer: a float's text is another for other bits.
fn told(answer: Result<Answer, QueryError>) -> String {
    match answer {
        Ok(answer) => format!(
            "{} {:?} {:?}",
            query::json::data(&answer.value),
            answer.warnings,
            answer.infos
        ),
        Err(error) => error.to_string(),
    }
}

const INNER: [&str; 6] = [
    "rate(requests_total[2m])",
    "load",
    "delta(load[90s])",
    "quantile_over_time(1.5, load[2m])",
    "rate(load[1m])",
    "-(load + on(cpu) group_left() sum by (cpu) (requests_total))",
];
const OUTER: [&str; 7] = [
    "$",
    "sum($)",
    "avg by (job) ($)",
    "stddev without (cpu) ($)",
    "topk(3, $)",
    "max_over_time(($)[3m:45s])",
    "count_values(\"v\", $ > 100)",
];

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(16))]
    #[test]
    fn the_answer_is_the_same_for_any_number_of_threads(
        seed: u64,
        inner in prop::sample::select(&INNER[..]),
        outer in prop::sample::select(&OUTER[..]),
        step in 20i64..120,
    ) {
        // The later a piece, the sooner it may be done.
        let at_piece = |number: usize| (number..14).for_each(|_| thread::yield_now());
        let reader = Pieces { store: store(seed), at_piece };
        let text = outer.replace('$', inner);
        let ask = |threads: usize| {
            let engine = engine(threads);
            let range = engine.range(&reader, &text, MINUTE, 14 * MINUTE, step * 1_000);
            (told(range), told(engine.instant(&reader, &text, 10 * MINUTE)))
        };
        let alone = ask(1);
        for threads in [2, 7] {
            prop_assert_eq!(&ask(threads), &alone, "{} on {} threads", text, threads);
        }
    }
}

#[test]
fn two_threads_read_at_once() {
    let both = Barrier::new(2);
    let reader = Pieces {
        store: store(1),
        // The first two pieces go on when both are begun.
        at_piece: |number| {
            if number < 2 {
                both.wait();
            }
        },
    };
    let answer = engine(2).instant(&reader, "count(load)", 10 * MINUTE);
    assert!(told(answer).contains(r#""20""#));
}

#[test]
fn a_query_that_is_called_off_ends_on_every_thread_and_gives_back_what_it_held() {
    let begun = AtomicUsize::new(0);
    let reader = Pieces {
        store: store(2),
        at_piece: |_| {
            begun.fetch_add(1, Relaxed);
        },
    };
    let account = Account::default();
    let watch = Watch {
        stop: &|| (begun.load(Relaxed) > 2).then_some(Stop::Cancelled),
        account: &account,
    };
    let asked = engine(4).range_watched(&reader, "load", 0, 14 * MINUTE, 1_000, watch);
    assert!(matches!(asked, Err(QueryError::Cancelled)), "{asked:?}");
    assert_eq!(account.bytes(), 0);
}

#[test]
fn a_thread_that_panics_takes_the_query_with_it_and_nothing_hangs() {
    for bad in 0..7 {
        let reader = Pieces {
            store: store(3),
            at_piece: move |number| assert_ne!(number, bad, "as the test wants it"),
        };
        let ask = || engine(3).instant(&reader, "sum(load)", 10 * MINUTE);
        assert!(catch_unwind(AssertUnwindSafe(ask)).is_err(), "piece {bad}");
    }
}
