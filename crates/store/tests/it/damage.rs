//! Flipped bits, cut and swapped bytes in every kind of file: found or harmless, never a wrong
//! answer.

use std::{collections::BTreeSet, sync::Arc};

use model::{MatchOp, Matcher, Selection, Series, SeriesReader as _};
use store::Store;

use crate::{
    sim_disk::{Random, SimDisk},
    support::{HandClock, START_MS, append, labels, quiet},
};

fn open(disk: &SimDisk) -> Result<Store, store::OpenError> {
    Store::open_on(Arc::new(disk.clone()), quiet(), HandClock::new())
}

/// A disk with parts, a manifest and a log, and every sample in it.
fn written() -> (SimDisk, BTreeSet<(String, i64, u64)>) {
    let disk = SimDisk::default();
    let store = open(&disk).unwrap();
    let mut all = BTreeSet::new();
    for i in 0..600i64 {
        let value = (i % 37) as f64 + if i % 50 == 0 { 0.123_456_789 } else { 0.0 };
        let jitter = (i * i) % 13;
        for job in ["a", "b", "c"] {
            let series = labels("up", job);
            append(&store, &[(&series, START_MS + i * 1000 + jitter, value)]);
            all.insert((
                series.to_string(),
                START_MS + i * 1000 + jitter,
                value.to_bits(),
            ));
        }
        if i == 250 || i == 500 {
            store.flush().unwrap();
        }
    }
    drop(store);
    (disk, all)
}

/// The samples that can be read, and whether any read failed.
fn readable(store: &Store) -> (BTreeSet<(String, i64, u64)>, bool) {
    let selection = Selection {
        matchers: vec![Matcher::new("__name__", MatchOp::NotEqual, "").unwrap()],
        from_ms: i64::MIN,
        to_ms: i64::MAX,
    };
    let (mut found, mut failed) = (BTreeSet::new(), false);
    let Ok(walk) = store.select(&selection) else {
        return (found, true);
    };
    for series in walk {
        let Ok(Series {
            labels,
            times_ms,
            values,
            ..
        }) = series
        else {
            failed = true;
            continue;
        };
        let name = labels.to_string();
        let samples = times_ms
            .iter()
            .zip(values)
            .map(|(t, v)| (name.clone(), *t, v.to_bits()));
        found.extend(samples);
    }
    (found, failed)
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let length = bytes.len() as u64;
    let at = random.below(length) as usize;
    match random.below(4) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes.truncate(at),
        2 => {
            let other = random.below(length) as usize;
            bytes.swap(at, other);
        }
        _ => bytes[at] = random.next() as u8,
    }
}

#[test]
fn damage_to_any_file_is_found_or_harmless() {
    let (disk, all) = written();
    let mut found_out = 0;
    for seed in 0..2500 {
        let mut random = Random(seed);
        let copy = disk.copy();
        let files: Vec<_> = copy
            .names()
            .into_iter()
            .filter(|(n, size)| n != "BALLAST" && *size > 0)
            .collect();
        let (name, _) = &files[random.below(files.len() as u64) as usize];
        let mut cut = false;
        copy.damage(name, |bytes| {
            let before = bytes.len();
            change(bytes, &mut random);
            cut = bytes.len() < before;
        });
        // A log that ends after a whole record is a log that ends there: no one can tell.
        let cut_log = cut && name.starts_with("wal-");
        let Ok(store) = open(&copy) else {
            found_out += 1;
            continue;
        };
        let (found, failed) = readable(&store);
        let stats = store.stats();
        let noticed = failed
            || stats.wal_truncated + stats.parts_quarantined + stats.manifest_rebuilt > 0
            || stats.blocks_corrupt > 0;
        assert!(
            found.is_subset(&all),
            "seed {seed}: wrong samples after damage to {name}"
        );
        assert!(
            noticed || cut_log || found == all,
            "seed {seed}: samples lost silently in {name}"
        );
        found_out += u64::from(noticed);
    }
    assert!(
        found_out > 2000,
        "only {found_out} of 2500 damages were noticed"
    );
}

#[test]
fn a_manifest_that_does_not_check_is_rebuilt_without_losing_a_sample() {
    let (disk, all) = written();
    disk.damage("MANIFEST", |bytes| bytes[20] ^= 0xFF);
    let store = open(&disk).unwrap();
    assert_eq!(readable(&store), (all.clone(), false));
    assert_eq!(store.stats().manifest_rebuilt, 1);
    drop(store);
    let store = open(&disk).unwrap();
    assert_eq!(readable(&store), (all, false));
    assert_eq!(store.stats().manifest_rebuilt, 0);
}
