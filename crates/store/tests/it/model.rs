//! The store against a plain map, under random operations.

use std::collections::BTreeMap;

use model::{Labels, MatchOp};
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop::collection::vec, prop_oneof, proptest,
};
use store::{Config, Store};

use crate::{
    sim_disk::SimDisk,
    support::{HandClock, START_MS, append, everything, labels, quiet, select},
};

#[derive(Debug, Clone)]
enum Op {
    /// A batch: series, minutes before the start of time, value.
    Append(Vec<(u8, i32, f64)>),
    /// A run in order: series, first minute, count.
    Scrape(u8, i32, u16),
    Flush,
    Compact,
    Maintain,
    Reopen,
    /// A delete: of a job, or of a metric; a range, minutes.
    Delete(bool, u8, i32, i32),
    /// Carries deletes out.
    Clean,
    /// A snapshot, and on with it in the store's place.
    Restore,
    /// A range, minutes.
    Select(i32, i32),
}

fn any_op() -> impl Strategy<Value = Op> {
    let value = prop_oneof![
        any::<i16>().prop_map(f64::from),
        any::<u64>().prop_map(f64::from_bits),
        Just(-0.0),
        Just(1.5),
    ];
    let minutes = -6000i32..50;
    prop_oneof![
        4 => vec((0u8..6, minutes.clone(), value), 1..40).prop_map(Op::Append),
        4 => (0u8..6, minutes.clone(), 1u16..400).prop_map(|(s, m, n)| Op::Scrape(s, m, n)),
        2 => Just(Op::Flush),
        1 => Just(Op::Compact),
        1 => Just(Op::Maintain),
        1 => Just(Op::Reopen),
        1 => (any::<bool>(), 0u8..6, minutes.clone(), minutes.clone())
            .prop_map(|(job, s, a, b)| Op::Delete(job, s, a, b)),
        1 => Just(Op::Clean),
        1 => Just(Op::Restore),
        3 => (minutes.clone(), minutes).prop_map(|(a, b)| Op::Select(a, b)),
    ]
}

type Expected = BTreeMap<Labels, BTreeMap<i64, u64>>;

fn at(minute: i32) -> i64 {
    START_MS + i64::from(minute) * 60_000
}

/// A part of six series; two share a job.
fn series(i: u8) -> Labels {
    labels(
        ["up", "down", "latency"][usize::from(i % 3)],
        ["a", "b"][usize::from(i / 3)],
    )
}

fn check(found: Vec<model::Series>, expected: &Expected, from: i64, to: i64) {
    let mut left = found.into_iter();
    for (labels, samples) in expected {
        let wanted: Vec<_> = samples.range(from..=to).map(|(t, v)| (*t, *v)).collect();
        if wanted.is_empty() {
            continue;
        }
        let series = left.next().expect("a series is missing");
        assert_eq!(&series.labels, labels);
        let bits = series.values.iter().map(|v| v.to_bits());
        let got: Vec<_> = series.times_ms.iter().copied().zip(bits).collect();
        assert_eq!(got, wanted, "{labels}");
    }
    assert_eq!(left.next(), None, "a series too many");
}

fn run(ops: &[Op]) {
    let mut disk = SimDisk::default();
    let clock = HandClock::new();
    let config = Config {
        chunk_samples: 16,
        block_samples: 64,
        merge_width: 3,
        idle_flushes: 0,
        ..quiet()
    };
    let open = |disk: &SimDisk| {
        Store::open_on(
            std::sync::Arc::new(disk.clone()),
            config.clone(),
            clock.clone(),
        )
        .unwrap()
    };
    let mut store = open(&disk);
    let mut expected = Expected::new();
    let write = |store: &Store, samples: &[(u8, i64, f64)], expected: &mut Expected| {
        let sets: Vec<Labels> = samples.iter().map(|(s, ..)| series(*s)).collect();
        let batch: Vec<_> = samples
            .iter()
            .zip(&sets)
            .map(|((_, t, v), labels)| (labels, *t, *v))
            .collect();
        assert_eq!(append(store, &batch), batch.len() as u64);
        for (labels, time, value) in batch {
            expected
                .entry(labels.clone())
                .or_default()
                .insert(time, value.to_bits());
        }
    };
    for op in ops {
        match op {
            Op::Append(samples) => {
                let samples: Vec<_> = samples.iter().map(|(s, m, v)| (*s, at(*m), *v)).collect();
                write(&store, &samples, &mut expected);
            }
            Op::Scrape(s, first, count) => {
                let minute = |i: u16| (*first + i32::from(i)).min(50);
                let samples: Vec<_> = (0..*count)
                    .map(|i| (*s, at(minute(i)), f64::from(i % 10)))
                    .collect();
                write(&store, &samples, &mut expected);
            }
            Op::Flush => store.flush().unwrap(),
            Op::Compact => {
                store.compact().unwrap();
            }
            Op::Maintain => {
                clock.advance_ms(1000);
                store.maintain().unwrap();
            }
            Op::Reopen => {
                drop(store);
                store = open(&disk);
            }
            Op::Restore => {
                store.snapshot("one", true).unwrap();
                let snapshot = disk.snapshot_of("one");
                // What comes after it is not in it.
                append(&store, &[(&series(0), START_MS, 77.0)]);
                drop(store);
                disk = snapshot;
                store = open(&disk);
            }
            Op::Delete(of_job, s, a, b) => {
                let name = if *of_job { "job" } else { "__name__" };
                let value = series(*s).get(name).unwrap().to_owned();
                let (from, to) = (at(*a.min(b)), at(*a.max(b)));
                let matchers = vec![vec![model::Matcher::equal(name, value.clone())]];
                store.delete(&matchers, from, to).unwrap();
                for (labels, samples) in &mut expected {
                    if labels.get(name) == Some(&value) {
                        samples.retain(|t, _| *t < from || *t > to);
                    }
                }
            }
            Op::Clean => {
                store.clean_tombstones().unwrap();
                assert_eq!(store.stats().tombstones, 0);
            }
            Op::Select(a, b) => {
                let (from, to) = (at(*a.min(b)), at(*a.max(b)));
                check(
                    select(&store, &[("job", MatchOp::Regex, "a|b")], from, to),
                    &expected,
                    from,
                    to,
                );
            }
        }
    }
    check(everything(&store), &expected, i64::MIN, i64::MAX);
    let found = store::check(&disk, &mut |_, _| {}).unwrap();
    assert_eq!(found.faults, []);
    let stats = store.stats();
    assert_eq!(
        (stats.wal_skipped, stats.wal_truncated, stats.blocks_corrupt),
        (0, 0, 0)
    );
    assert_eq!((stats.manifest_rebuilt, stats.parts_quarantined), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn the_store_answers_as_a_map_would(ops in vec(any_op(), 1..30)) {
        run(&ops);
    }
}
