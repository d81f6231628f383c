//! Flipped bits, cut and swapped bytes in every kind of file: found or harmless, never a wrong
//! answer.

use std::{collections::BTreeSet, sync::Arc};

use model::{MatchOp, Matcher, Selection, Series, SeriesReader as _};
use store::{Disk as _, Store};

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
    // Deleted before anything of it is in a part that merges would have cleaned.
    let lost = vec![vec![Matcher::equal("job", "b")]];
    store.delete(&lost, START_MS, START_MS + 99_999).unwrap();
    all.retain(|(name, t, _)| !name.contains("\"b\"") || *t > START_MS + 99_999);
    let series = labels("up", "a");
    for i in 600..640i64 {
        append(&store, &[(&series, START_MS + i * 1000, 0.5)]);
        all.insert((series.to_string(), START_MS + i * 1000, 0.5f64.to_bits()));
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

fn bytes_of(disk: &SimDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; file.bytes() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
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
        let checked = store::check(&copy, &mut |_, _| {}).unwrap();
        let seen = checked.faults.len() + checked.notes.len() > 0;
        let Ok(store) = open(&copy) else {
            found_out += 1;
            continue;
        };
        let (found, failed) = readable(&store);
        let stats = store.stats();
        let noticed = failed
            || stats.wal_truncated + stats.parts_quarantined + stats.manifest_rebuilt > 0
            || stats.blocks_corrupt + stats.tombstones_corrupt > 0;
        assert!(
            found.is_subset(&all) || stats.tombstones_corrupt > 0,
            "seed {seed}: wrong samples after damage to {name}"
        );
        assert!(
            seen || cut_log || found == all,
            "seed {seed}: the check overlooks damage to {name}"
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
fn a_repaired_store_checks_and_holds_all_that_can_be_read() {
    let (disk, all) = written();
    for seed in 0..400 {
        let mut random = Random(seed);
        let copy = disk.copy();
        let files: Vec<_> = copy
            .names()
            .into_iter()
            .filter(|(n, _)| n != "BALLAST")
            .collect();
        let (name, _) = &files[random.below(files.len() as u64) as usize];
        let mut before = Vec::new();
        copy.damage(name, |bytes| {
            change(bytes, &mut random);
            before = bytes.clone();
        });
        let shown = store::repair(&copy, false, &mut |_, _| {}).unwrap();
        assert!(copy.quarantined().is_empty(), "a dry run changes nothing");
        let done = store::repair(&copy, true, &mut |_, _| {}).unwrap();
        assert_eq!(shown, done, "seed {seed}: what is done is what was said");
        for action in &done.actions {
            let kept = copy
                .quarantined()
                .into_iter()
                .find(|(n, ..)| *n == action.file);
            let (_, reason, bytes) = kept.expect("the old file is kept");
            assert!(
                bytes == before && reason.contains(" at byte "),
                "seed {seed}"
            );
        }
        let checked = store::check(&copy, &mut |_, _| {}).unwrap();
        assert_eq!(checked.faults, [], "seed {seed}: {name}");
        let lost: Vec<_> = done.actions.iter().flat_map(|a| &a.faults).collect();
        let store = open(&copy).unwrap();
        let (found, failed) = readable(&store);
        assert!(!failed, "seed {seed}: {name}");
        if name != "TOMBSTONES" {
            assert!(found.is_subset(&all), "seed {seed}: {name}");
        }
        let torn = !checked.notes.is_empty() || name.starts_with("wal-");
        let said: u64 = lost.iter().filter_map(|f| f.loss.as_ref()?.samples).sum();
        let unknown = lost
            .iter()
            .any(|f| f.loss.as_ref().is_some_and(|l| l.samples.is_none()));
        // Deleted samples of a lost block are among those said to be lost.
        let missing = all.difference(&found).count() as u64;
        assert!(
            torn || unknown || (missing..=missing + 300).contains(&said),
            "seed {seed}: {name}: {missing} missing, {said} said"
        );
    }
}

#[test]
fn a_flipped_bit_of_a_part_is_put_right_wherever_it_is() {
    let (disk, all) = written();
    let file = "part-0000000001.prt";
    let good = bytes_of(&disk, file);
    let mut mended = 0;
    for at in (0..good.len()).step_by(7) {
        let copy = disk.copy();
        copy.damage(file, |bytes| bytes[at] ^= 1 << (at % 8));
        let done = store::repair(&copy, true, &mut |_, _| {}).unwrap();
        assert!(!done.actions.is_empty(), "a flip at {at} is overlooked");
        // One that cannot be put right is written anew, or set aside.
        let there = copy.names().iter().any(|(name, _)| name == file);
        if there && bytes_of(&copy, file) == good {
            mended += 1;
            let store = open(&copy).unwrap();
            assert_eq!(readable(&store), (all.clone(), false));
        }
    }
    let flips = good.len().div_ceil(7);
    // What is not: the length of the footer and the versions, which nothing vouches for.
    assert!(mended + 3 >= flips, "{mended} of {flips}");
}

#[test]
fn a_bad_block_is_counted_once_and_hides_what_it_may_have_overwritten() {
    let disk = SimDisk::default();
    let store = open(&disk).unwrap();
    let a = labels("up", "a");
    let noise = |i: i64| ((i * 7919) % 1000) as f64 / 7.0;
    for round in 0..2 {
        for i in 0..200i64 {
            // The second round writes the middle again.
            if round == 0 || (50..150).contains(&i) {
                append(&store, &[(&a, START_MS + i, noise(i + round))]);
            }
        }
        store.flush().unwrap();
    }
    disk.damage("part-0000000002.prt", |bytes| bytes[30] ^= 1);
    for _ in 0..2 {
        let (found, failed) = readable(&store);
        assert!(failed, "the answer says that something is missing");
        let times: Vec<i64> = found.iter().map(|(_, t, _)| t - START_MS).collect();
        assert_eq!(times, (0..50).chain(150..200).collect::<Vec<_>>());
    }
    assert_eq!(store.stats().blocks_corrupt, 1);
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
