//! The ways to read agree: pieces put together, and the newest sample alone, against a plain read,
//! over any mix of memory, parts, late samples, staleness markers and deletes.

use model::{
    LabelQuery, Labels, MatchOp, Matcher, Selection, Series, SeriesIter, SeriesReader as _,
};
use proptest::prelude::{Strategy, prop, prop_assert_eq, prop_oneof, proptest};
use store::{Config, Store};

use crate::support::{HandClock, START_MS, append, labels, pairs, quiet};

/// Series of the tests.
const SERIES: usize = 12;

/// What happens to a store.
#[derive(Debug, Clone)]
enum Act {
    /// A sample of a series at a minute; without a value a staleness marker.
    Write(usize, i64, Option<u8>),
    Flush,
    Merge,
    /// The samples of a series from a minute to another.
    Delete(usize, i64, i64),
}

fn any_act() -> impl Strategy<Value = Act> {
    let write = (0..SERIES, 0i64..40, prop::option::weighted(0.9, 0u8..9));
    prop_oneof![
        30 => write.prop_map(|(series, minute, value)| Act::Write(series, minute, value)),
        2 => prop::strategy::Just(Act::Flush),
        1 => prop::strategy::Just(Act::Merge),
        1 => (0..SERIES, 0i64..40, 0i64..9).prop_map(|(s, from, more)| Act::Delete(s, from, from + more)),
    ]
}

fn at(minute: i64) -> i64 {
    START_MS + minute * 60_000
}

fn of(series: usize) -> Labels {
    labels("up", &format!("job-{series}"))
}

fn act(store: &Store, act: &Act) {
    match act {
        Act::Write(series, minute, value) => {
            let value = value.map_or_else(model::stale_nan, f64::from);
            append(store, &[(&of(*series), at(*minute), value)]);
        }
        Act::Flush => store.flush().unwrap(),
        Act::Merge => {
            store.compact().unwrap();
        }
        Act::Delete(series, from, to) => {
            let job = Matcher::equal("job", format!("job-{series}"));
            store.delete(&[vec![job]], at(*from), at(*to)).unwrap();
        }
    }
}

fn all(from: i64, to: i64) -> Selection {
    Selection {
        matchers: vec![Matcher::new("__name__", MatchOp::NotEqual, "").unwrap()],
        from_ms: at(from),
        to_ms: at(to),
    }
}

type Found = Vec<(String, Vec<(i64, u64)>)>;

fn found(series: impl Iterator<Item = Series>) -> Found {
    let bits = |s: &Series| pairs(s).iter().map(|(t, v)| (*t, v.to_bits())).collect();
    series.map(|s| (s.labels.to_string(), bits(&s))).collect()
}

fn read(series: SeriesIter<'_>) -> Found {
    found(series.map(Result::unwrap))
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
    #[test]
    fn pieces_are_the_whole_and_the_newest_is_the_last(
        acts in prop::collection::vec(any_act(), 1..160),
        ranges in prop::collection::vec((0i64..40, 0i64..12), 1..6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { idle_flushes: 1, ..quiet() };
        let store = Store::open(dir.path(), config, HandClock::new()).unwrap();
        acts.iter().for_each(|one| act(&store, one));
        for (from, more) in ranges {
            let range = all(from, from + more);
            let whole = read(store.select(&range).unwrap());
            for size in [1, 2, 5, 100] {
                let pieces = store.pieces(&range, false, size).unwrap();
                prop_assert_eq!(pieces.into_iter().flat_map(read).collect::<Found>(), whole.clone());
            }
            let last = |(labels, samples): &(String, Vec<(i64, u64)>)| {
                (labels.clone(), samples.last().copied())
            };
            let lasts: Vec<_> = whole.iter().map(last).collect();
            for size in [1, 3, 100] {
                let newest = store.pieces(&range, true, size).unwrap();
                let newest: Found = newest.into_iter().flat_map(read).collect();
                prop_assert_eq!(newest.iter().map(last).collect::<Vec<_>>(), lasts.clone());
            }
        }
    }
}

#[test]
fn columns_read_again_come_from_memory_and_are_the_same() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [kept, plain] = [Config::default().block_cache_bytes, 0].map(|bytes| {
        let config = Config {
            block_cache_bytes: bytes,
            ..quiet()
        };
        let dir = dirs[usize::from(bytes == 0)].path();
        let store = Store::open(dir, config, HandClock::new()).unwrap();
        // Two parts with the same series, and so with columns at the same places.
        for part in 0..2 {
            for series in 0..SERIES {
                let value = |i: i64| ((i * i + part) % 97 + series as i64) as f64;
                let sample = |i: i64| (at(0) + (100 * part + i) * 10_000, value(i));
                for (time, value) in (0..100).map(sample) {
                    append(&store, &[(&of(series), time, value)]);
                }
            }
            store.flush().unwrap();
        }
        store
    });
    for (from, to) in [(0, 40), (8, 25), (0, 40), (16, 17), (20, 22), (33, 40)] {
        let [own, wanted] = [&kept, &plain].map(|s| read(s.select(&all(from, to)).unwrap()));
        assert_eq!(own, wanted);
        assert_eq!(own.len(), SERIES);
    }
    let (own, none) = (kept.stats(), plain.stats());
    assert!(own.block_cache_hits > own.block_cache_misses, "{own:?}");
    assert!(own.block_cache_bytes > 0, "{own:?}");
    assert_eq!((none.block_cache_hits, none.block_cache_bytes), (0, 0));
}

#[test]
fn pieces_that_wait_while_numbers_are_given_back_still_have_each_series_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        idle_flushes: 0,
        ..quiet()
    };
    let store = Store::open(dir.path(), config, HandClock::new()).unwrap();
    for series in 0..SERIES {
        append(&store, &[(&of(series), at(0), 1.0)]);
    }
    let range = all(0, 10);
    let mut pieces = store.pieces(&range, false, 3).unwrap();
    assert_eq!(pieces.len(), 4);
    let first = read(pieces.remove(0));
    // Every series leaves memory, and others take their numbers.
    store.flush().unwrap();
    store.flush().unwrap();
    let other = |i: usize| labels("down", &format!("job-{i}"));
    for i in 0..SERIES {
        append(&store, &[(&other(i), at(1), 2.0)]);
    }
    let rest = pieces.into_iter().flat_map(read);
    let names: Vec<String> = first
        .into_iter()
        .chain(rest)
        .map(|(name, _)| name)
        .collect();
    let wanted = store.series(&LabelQuery {
        any_of: vec![vec![Matcher::equal("__name__", "up")]],
        from_ms: at(0),
        to_ms: at(10),
        limit: 0,
    });
    let mut ups: Vec<String> = names.into_iter().filter(|n| n.starts_with("up{")).collect();
    ups.sort();
    let mut wanted: Vec<String> = wanted.unwrap().iter().map(Labels::to_string).collect();
    wanted.sort();
    assert_eq!(ups, wanted);
}
