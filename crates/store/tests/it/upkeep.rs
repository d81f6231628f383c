//! Flush, merge, retention: what `maintain` does when it is due, and readers meanwhile.

use std::{sync::Arc, time::Duration};

use model::{Matcher, Selection, SeriesReader as _};
use store::{Config, Store};

use crate::{
    sim_disk::SimDisk,
    support::{HandClock, START_MS, append, everything, labels, pairs, quiet},
};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn open(disk: &SimDisk, clock: &Arc<HandClock>, config: Config) -> Store {
    Store::open_on(Arc::new(disk.clone()), config, clock.clone()).unwrap()
}

fn samples_of(store: &Store) -> usize {
    everything(store).iter().map(|s| s.times_ms.len()).sum()
}

#[test]
fn memory_is_flushed_by_age_and_by_bytes_of_log_and_the_log_is_dropped() {
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    let config = Config {
        flush_bytes: 10_000,
        ..quiet()
    };
    let store = open(&disk, &clock, config);
    let a = labels("up", "a");
    append(&store, &[(&a, START_MS, 1.0)]);
    store.maintain().unwrap();
    assert_eq!(store.stats().flushes, 0, "not due");
    clock.advance_ms(600_000);
    store.maintain().unwrap();
    assert_eq!((store.stats().flushes, store.stats().head_samples), (1, 0));
    for i in 1..1000 {
        append(&store, &[(&a, START_MS + i, 1.0)]);
    }
    assert!(store.stats().wal_bytes > 10_000);
    store.maintain().unwrap();
    assert_eq!(store.stats().flushes, 2);
    assert!(store.stats().wal_bytes < 100);
    assert_eq!(
        disk.names()
            .iter()
            .filter(|(name, _)| name.starts_with("wal-"))
            .count(),
        1
    );
    assert_eq!(samples_of(&store), 1000);
}

#[test]
fn samples_that_do_not_compress_are_flushed_before_they_fill_memory() {
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    let config = Config {
        head_bytes_min: 1000,
        head_bytes_per_series: 512,
        ..quiet()
    };
    let store = open(&disk, &clock, config);
    let series: Vec<_> = (0..10).map(|i| labels("up", &i.to_string())).collect();
    let mut bits = 1u64;
    for step in 0..600 {
        let noise = series.iter().map(|labels| {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (labels, START_MS + step, (bits >> 11) as f64 / 1e10)
        });
        append(&store, &noise.collect::<Vec<_>>());
        if step % 10 == 0 {
            store.maintain().unwrap();
        }
    }
    // 600 samples of 8 bytes and more: ten times the memory there is for a series.
    assert!(store.stats().flushes >= 6, "{}", store.stats().flushes);
    assert!(store.head_bytes() < 10 * 1024, "{}", store.head_bytes());
    assert_eq!(samples_of(&store), 6000);
    drop(store);
    assert_eq!(samples_of(&open(&disk, &clock, quiet())), 6000);
}

#[test]
fn an_append_waits_for_a_flush_when_the_log_is_too_long() {
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    let store = open(
        &disk,
        &clock,
        Config {
            wal_bytes_max: 5_000,
            ..quiet()
        },
    );
    for i in 0..2000 {
        append(&store, &[(&labels("up", "a"), START_MS + i, 1.0)]);
        assert!(store.stats().wal_bytes < 5_100);
    }
    assert_eq!(samples_of(&store), 2000);
}

#[test]
fn neighbours_are_merged_and_a_day_becomes_one_part_when_it_is_over() {
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    let store = open(
        &disk,
        &clock,
        Config {
            merge_width: 3,
            ..quiet()
        },
    );
    let a = labels("up", "a");
    let midnight = START_MS / DAY_MS * DAY_MS;
    for i in 0..11 {
        append(
            &store,
            &[
                (&a, midnight + i, i as f64),
                (&a, midnight + 5, 100.0 + i as f64),
            ],
        );
        store.flush().unwrap();
        store.compact().unwrap();
    }
    assert_eq!(
        store.stats().merges,
        4,
        "three times three, and those three"
    );
    assert_eq!(
        store.stats().parts,
        3,
        "nine are one by now, two wait for a third"
    );
    clock.advance_ms(2 * DAY_MS);
    append(&store, &[(&a, midnight + DAY_MS + HOUR_MS, 1.0)]);
    store.compact().unwrap();
    assert_eq!(store.stats().parts, 1);
    let found = pairs(&everything(&store)[0]);
    assert_eq!(found.len(), 12);
    assert_eq!(
        found[5],
        (midnight + 5, 110.0),
        "the last write wins through all merges"
    );
}

#[test]
fn parts_go_when_they_are_too_old_or_too_many() {
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    let week = Config {
        retention: Duration::from_secs(7 * 86_400),
        ..quiet()
    };
    let store = open(&disk, &clock, week.clone());
    let a = labels("up", "a");
    for day in 0..10 {
        for i in 0..500 {
            append(&store, &[(&a, clock_ms(&clock) + i * 1000, (i * i) as f64)]);
        }
        store.flush().unwrap();
        clock.advance_ms(DAY_MS);
        store.maintain().unwrap();
        assert_eq!(store.stats().parts, (day + 1).min(8));
    }
    let before = store.stats();
    let bytes = before.chunk_bytes + before.index_bytes;
    drop(store);
    let names = disk.names();
    let others = names.iter().filter(|(name, _)| !name.ends_with(".prt"));
    let others: u64 = others.map(|(_, bytes)| bytes).sum();
    let store = open(
        &disk,
        &clock,
        Config {
            retention_bytes: bytes / 2 + others,
            ..week
        },
    );
    store.maintain().unwrap();
    let after = store.stats();
    assert!(disk.used() <= bytes / 2 + others);
    assert!(after.parts >= 3);
    let newest = pairs(&everything(&store)[0]).last().copied().unwrap();
    assert_eq!(newest.1, (499 * 499) as f64, "the oldest went");
    let files = disk
        .names()
        .iter()
        .filter(|(name, _)| name.ends_with(".prt"))
        .count();
    assert_eq!(files as u64, after.parts);
}

fn clock_ms(clock: &HandClock) -> i64 {
    model::Clock::wall_ms(clock)
}

#[test]
fn a_clock_set_to_the_far_future_forgets_nothing() {
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    let store = open(&disk, &clock, quiet());
    append(&store, &[(&labels("up", "a"), START_MS, 1.0)]);
    store.flush().unwrap();
    clock.advance_ms(3650 * DAY_MS);
    store.maintain().unwrap();
    assert_eq!(samples_of(&store), 1);
}

#[test]
fn a_reader_keeps_its_place_when_samples_move_from_memory_to_parts() {
    let (disk, clock) = (SimDisk::default(), HandClock::new());
    let store = open(
        &disk,
        &clock,
        Config {
            idle_flushes: 0,
            merge_width: 2,
            ..quiet()
        },
    );
    let sets = ["a", "b", "c", "d"].map(|job| labels("up", job));
    append(
        &store,
        &sets.each_ref().map(|labels| (labels, START_MS, 1.0)),
    );
    let selection = Selection {
        matchers: vec![Matcher::equal("__name__", "up")],
        from_ms: START_MS,
        to_ms: START_MS,
    };
    let mut walk = store.select(&selection).unwrap();
    let mut found = vec![walk.next().unwrap().unwrap()];
    // Twice: after the second flush the series are no longer in memory at all.
    for i in 1..3 {
        store.flush().unwrap();
        append(&store, &[(&labels("down", "x"), START_MS + i, 1.0)]);
        found.push(walk.next().unwrap().unwrap());
    }
    store.compact().unwrap();
    found.extend(walk.map(Result::unwrap));
    assert_eq!(
        found.iter().map(|s| &s.labels).collect::<Vec<_>>(),
        sets.each_ref()
    );
    assert!(found.iter().all(|s| pairs(s) == [(START_MS, 1.0)]));
}
