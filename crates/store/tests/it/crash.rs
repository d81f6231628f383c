//! The power goes at any operation; an operation fails; the disk is full: what was acknowledged
//! is there afterwards, as a prefix of what was written, and nothing else is.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Duration,
};

use model::{AppendError, Durability, Labels, Matcher, SampleSink as _, Selection};
use store::{Config, State, Store};
use testkit::report;

use crate::{
    sim_disk::{Errors, Faults, Random, SimDisk},
    support::{HandClock, START_MS, append, batch, everything, labels, pairs, quiet},
};

/// Stories of each kind in the test run; each has three crashes: 22,500 in all.
const POWER_CUTS: u64 = 4_000;
const KILLS: u64 = 2_000;
const MISHAPS: u64 = 1_500;

/// Runs `story` for many seeds; the one that fails is printed.
pub(crate) fn seeds(count: u64, story: fn(u64)) {
    for seed in 0..count {
        let told = catch_unwind(AssertUnwindSafe(|| story(seed)));
        if let Err(panic) = told {
            eprintln!("seed {seed} failed");
            resume_unwind(panic);
        }
    }
}

const YEAR: Duration = Duration::from_secs(366 * 86_400);

pub(crate) fn config() -> Config {
    Config {
        chunk_samples: 8,
        block_samples: 16,
        merge_width: 2,
        idle_flushes: 0,
        retention_1m: YEAR,
        retention_1h: YEAR,
        ballast_bytes: 512,
        ..quiet()
    }
}

type Contents = BTreeMap<(Labels, i64), u64>;

/// A batch that was tried: what it would leave behind.
type Tried = Vec<(Labels, i64, f64)>;

/// What a session wrote, in order, and how much of it must survive.
#[derive(Default)]
pub(crate) struct Written {
    batches: Vec<Tried>,
    /// This many batches were acknowledged (a later one may have been tried).
    acknowledged: usize,
    /// This many must survive a power cut.
    pub(crate) durable: usize,
}

fn apply(batch: &Tried, contents: &mut Contents) {
    for (labels, time, value) in batch {
        contents.insert((labels.clone(), *time), value.to_bits());
    }
}

/// Headers and roll-ups count what is there.
fn check_rollups(store: &Store, samples: usize) {
    let all = Selection {
        matchers: vec![Matcher::equal("__name__", "up")],
        from_ms: i64::MIN + 1,
        to_ms: i64::MAX - 1,
    };
    let told = store.summaries(&all).unwrap();
    let told: u64 = told.iter().map(|(_, summary)| summary.count).sum();
    assert_eq!(told, samples as u64, "as headers and roll-ups have it");
}

impl Written {
    fn after(&self, batches: usize) -> Contents {
        let mut contents = Contents::new();
        for batch in &self.batches[..batches] {
            apply(batch, &mut contents);
        }
        contents
    }

    /// The store holds the state after some number of batches, at least `least`, and its headers
    /// and roll-ups tell the same.
    pub(crate) fn check(&self, store: &Store, least: usize) {
        let mut found = Contents::new();
        for series in everything(store) {
            for (time, value) in pairs(&series) {
                found.insert((series.labels.clone(), time), value.to_bits());
            }
        }
        let mut contents = self.after(least);
        let fits = contents == found
            || self.batches[least..].iter().any(|batch| {
                apply(batch, &mut contents);
                contents == found
            });
        let closest = self.after(self.acknowledged);
        assert!(
            fits,
            "not the state after {least}..={} batches: {} samples, {} expected; missing {:?}",
            self.batches.len(),
            found.len(),
            closest.len(),
            closest.iter().find(|(k, v)| found.get(*k) != Some(*v)),
        );
        check_rollups(store, found.len());
    }
}

/// Random batches, flushes and merges until something fails or the story ends.
pub(crate) fn session(store: &Store, random: &mut Random, written: &mut Written) {
    let steps = 5 + random.below(40);
    for step in 0..steps {
        match random.below(10) {
            0 => {
                if store.flush().is_ok() {
                    written.durable = written.acknowledged;
                }
            }
            1 => drop(store.compact()),
            2 => {
                if store.maintain().is_ok() {
                    written.durable = written.acknowledged;
                }
            }
            _ => write(store, random, written, step),
        }
        if written.acknowledged < written.batches.len() {
            return;
        }
    }
}

fn write(store: &Store, random: &mut Random, written: &mut Written, step: u64) {
    let mut tried = Tried::new();
    for _ in 0..1 + random.below(12) {
        let series = labels("up", ["a", "b", "c"][random.below(3) as usize]);
        let late = if random.chance(20) {
            random.below(200_000_000)
        } else {
            0
        };
        let time = START_MS + (step * 1000) as i64 - late as i64 + random.below(900) as i64;
        tried.push((series, time, random.below(1000) as f64 / 8.0));
    }
    let samples: Vec<_> = tried.iter().map(|(l, t, v)| (l, *t, *v)).collect();
    let sync = random.chance(30);
    let durability = if sync {
        Durability::Sync
    } else {
        Durability::Fast
    };
    written.batches.push(tried.clone());
    if store.append(&batch(&samples), durability).is_ok() {
        written.acknowledged = written.batches.len();
        if sync {
            written.durable = written.acknowledged;
        }
    }
}

fn open(disk: &SimDisk) -> Result<Store, store::OpenError> {
    Store::open_on(Arc::new(disk.clone()), config(), HandClock::new())
}

/// Sessions with a power cut each, on what the one before left.
fn power_cuts(seed: u64, faults: &Faults) {
    let mut random = Random(seed);
    let mut disk = SimDisk::default();
    let mut written = Written::default();
    for _ in 0..3 {
        let crash_at = disk.operations() + 1 + random.below(120);
        disk.set(Faults {
            crash_at: Some(crash_at),
            ..faults.clone()
        });
        if let Ok(store) = open(&disk) {
            written.check(&store, written.durable);
            session(&store, &mut random, &mut written);
        }
        disk = disk.crashed(&mut random);
        let store = open(&disk).unwrap();
        written.check(&store, written.durable);
        // The state found is the one to go on from.
        written = found(&store);
        assert_eq!(store.stats().parts_quarantined, 0);
        assert_eq!(store.stats().wal_skipped, 0);
    }
}

/// What a store holds, as one batch that is there to stay.
pub(crate) fn found(store: &Store) -> Written {
    let mut batch = Tried::new();
    for series in everything(store) {
        let labels = series.labels.clone();
        batch.extend(
            pairs(&series)
                .into_iter()
                .map(|(t, v)| (labels.clone(), t, v)),
        );
    }
    Written {
        batches: vec![batch],
        acknowledged: 1,
        durable: 1,
    }
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_synced_and_leaves_no_holes() {
    seeds(POWER_CUTS, |seed| power_cuts(seed, &Faults::default()));
    let figures = "every synced sample is there, as a prefix; the seed replays it";
    report::ran(
        "a power cut at any operation of a simulated disk",
        3 * POWER_CUTS,
        figures,
    );
}

#[test]
fn the_simulation_notices_missing_syncs_of_files_and_of_the_directory() {
    let without_file_sync = Faults {
        ignore_sync: true,
        ..Faults::default()
    };
    let without_dir_sync = Faults {
        ignore_dir_sync: true,
        ..Faults::default()
    };
    for faults in [without_file_sync, without_dir_sync] {
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let noticed = (0..200)
            .any(|seed| catch_unwind(AssertUnwindSafe(|| power_cuts(seed, &faults))).is_err());
        std::panic::set_hook(quiet);
        assert!(noticed, "{faults:?}");
    }
}

/// The process is killed, not the machine: everything acknowledged is there.
fn kills(seed: u64) {
    let mut random = Random(seed);
    let disk = SimDisk::default();
    let mut written = Written::default();
    for _ in 0..3 {
        disk.set(Faults {
            crash_at: Some(disk.operations() + 1 + random.below(120)),
            ..Faults::default()
        });
        if let Ok(store) = open(&disk) {
            session(&store, &mut random, &mut written);
        }
        disk.set(Faults::default());
        let store = open(&disk).unwrap();
        written.check(&store, written.acknowledged);
        written = found(&store);
    }
}

#[test]
fn a_kill_at_any_operation_loses_nothing_acknowledged() {
    seeds(KILLS, kills);
    let figures = "every acknowledged sample is there";
    report::ran(
        "a kill at any operation of a simulated disk",
        3 * KILLS,
        figures,
    );
}

/// Everything goes wrong now and then, reads too, until the power goes.
fn mishaps(seed: u64) {
    let mut random = Random(seed);
    let mut disk = SimDisk::default();
    let mut written = Written::default();
    for _ in 0..3 {
        let errors = Errors {
            random: Random(random.next()),
            changes_percent: 1 + random.below(5),
            reads_percent: random.below(4),
        };
        disk.set(Faults {
            crash_at: Some(disk.operations() + 1 + random.below(200)),
            errors: Some(errors),
            ..Faults::default()
        });
        if let Ok(store) = open(&disk) {
            session(&store, &mut random, &mut written);
        }
        disk = disk.crashed(&mut random);
        let store = open(&disk).unwrap();
        written.check(&store, written.durable);
        written = found(&store);
        assert_eq!(store.stats().parts_quarantined, 0);
        assert_eq!(store.stats().wal_skipped, 0);
    }
}

#[test]
fn failing_writes_syncs_renames_and_reads_before_a_power_cut_lose_nothing_synced() {
    seeds(MISHAPS, mishaps);
    report::ran(
        "a power cut after random EIO, ENOSPC, short reads",
        3 * MISHAPS,
        "every synced sample is there",
    );
}

/// One operation fails; the store may stop, but what it acknowledged stays readable, and is
/// there after reopening.
fn one_error(seed: u64) {
    let mut random = Random(seed);
    let disk = SimDisk::default();
    let mut written = Written::default();
    disk.set(Faults {
        fail_at: Some(random.below(150)),
        ..Faults::default()
    });
    if let Ok(store) = open(&disk) {
        session(&store, &mut random, &mut written);
        written.check(&store, written.acknowledged);
    }
    disk.set(Faults::default());
    let store = open(&disk).unwrap();
    written.check(&store, written.acknowledged);
}

#[test]
fn a_failing_operation_loses_nothing_acknowledged() {
    seeds(2000, one_error);
}

/// The disk runs full at a random size, and is freed again.
fn full_disk(seed: u64) {
    let mut random = Random(seed);
    let disk = SimDisk::default();
    let clock = HandClock::new();
    let capacity = 600 + random.below(6000);
    disk.set(Faults {
        capacity,
        ..Faults::default()
    });
    let open = || Store::open_on(Arc::new(disk.clone()), config(), clock.clone());
    let Ok(store) = open() else { return };
    let mut written = Written::default();
    for _ in 0..4 {
        session(&store, &mut random, &mut written);
        // Whatever was refused is not there: a full disk refuses whole batches.
        written.batches.truncate(written.acknowledged);
        written.check(&store, written.acknowledged);
    }
    disk.set(Faults::default());
    clock.advance_ms(1001);
    let last = labels("up", "last");
    append(&store, &[(&last, START_MS, 1.0)]);
    assert_eq!(store.stats().state, State::Healthy);
    written.batches.push(vec![(last, START_MS, 1.0)]);
    written.acknowledged = written.batches.len();
    written.check(&store, written.acknowledged);
    drop(store);
    written.check(&open().unwrap(), written.acknowledged);
    let after_cut = disk.crashed(&mut random);
    let store = Store::open_on(Arc::new(after_cut), config(), clock.clone()).unwrap();
    written.check(&store, written.acknowledged);
}

#[test]
fn a_full_disk_loses_nothing_acknowledged_and_heals_when_space_returns() {
    seeds(800, full_disk);
}

#[test]
fn a_full_disk_is_a_clear_state_in_which_reads_go_on_and_probes_are_rare() {
    let disk = SimDisk::default();
    let clock = HandClock::new();
    let store = Store::open_on(Arc::new(disk.clone()), config(), clock.clone()).unwrap();
    let a = labels("up", "a");
    append(&store, &[(&a, START_MS, 1.0)]);
    disk.set(Faults {
        capacity: disk.used() + 10,
        ..Faults::default()
    });
    let more = batch(&[(&a, START_MS + 1, 2.0)]);
    let refuse = || {
        let refused = store.append(&more, Durability::Fast);
        assert!(matches!(refused, Err(AppendError::DiskFull)), "{refused:?}");
    };
    refuse();
    assert_eq!(store.stats().state, State::DiskFull);
    assert_eq!(pairs(&everything(&store)[0]), [(START_MS, 1.0)]);
    assert!(
        !disk.names().iter().any(|(name, _)| name == "BALLAST"),
        "given back"
    );
    refuse();
    let before = disk.operations();
    for _ in 0..100 {
        refuse();
    }
    assert_eq!(disk.operations(), before, "no probe within a second");
    // Others have taken what was given back: a probe is a look at what is free, and no more.
    disk.set(Faults {
        capacity: disk.used() + 10,
        ..Faults::default()
    });
    clock.advance_ms(1001);
    refuse();
    assert_eq!(disk.operations(), before, "nothing is written to find out");
    disk.set(Faults::default());
    clock.advance_ms(1001);
    assert_eq!(store.append(&more, Durability::Fast).unwrap().stored, 1);
    assert_eq!(
        pairs(&everything(&store)[0]),
        [(START_MS, 1.0), (START_MS + 1, 2.0)]
    );
    assert!(
        disk.names().iter().any(|(name, _)| name == "BALLAST"),
        "taken again"
    );
}

#[test]
fn a_store_opens_on_a_full_disk_and_reads() {
    let disk = SimDisk::default();
    let a = labels("up", "a");
    {
        let store = open(&disk).unwrap();
        append(&store, &[(&a, START_MS, 1.0)]);
        store.flush().unwrap();
        append(&store, &[(&a, START_MS + 1, 2.0)]);
    }
    disk.set(Faults {
        capacity: 1,
        ..Faults::default()
    });
    let store = open(&disk).unwrap();
    assert_eq!(store.stats().state, State::DiskFull);
    assert_eq!(
        pairs(&everything(&store)[0]),
        [(START_MS, 1.0), (START_MS + 1, 2.0)]
    );
}

#[test]
fn a_failed_sync_stops_ingest() {
    let disk = SimDisk::default();
    let store = open(&disk).unwrap();
    let a = labels("up", "a");
    append(&store, &[(&a, START_MS, 1.0)]);
    // The append is the next operation, its sync the one after.
    disk.set(Faults {
        fail_at: Some(disk.operations() + 2),
        ..Faults::default()
    });
    let more = batch(&[(&a, START_MS + 1, 2.0)]);
    assert!(matches!(
        store.append(&more, Durability::Sync),
        Err(AppendError::Io { .. })
    ));
    disk.set(Faults::default());
    assert!(matches!(
        store.append(&more, Durability::Fast),
        Err(AppendError::Io { .. })
    ));
    assert_eq!(store.stats().state, State::Failed);
    // The next sync of the file would say yes, and what the failed one was to write is gone.
    assert!(store.close().is_err());
    drop(store);
    append(&open(&disk).unwrap(), &[(&a, START_MS + 1, 2.0)]);
}

/// An append whose sync failed is in doubt, whatever the disk made of it: its batch is there
/// whole or not at all, and sending it again changes nothing.
#[test]
fn a_batch_whose_sync_failed_is_there_whole_or_not_at_all() {
    let (mut whole, mut gone) = (0, 0);
    for seed in 0..64 {
        let mut random = Random(seed);
        let disk = SimDisk::default();
        let store = open(&disk).unwrap();
        let (a, b) = (labels("up", "a"), labels("up", "b"));
        let first = batch(&[(&a, START_MS, 1.0)]);
        store.append(&first, Durability::Sync).unwrap();
        disk.set(Faults {
            fail_at: Some(disk.operations() + 2),
            ..Faults::default()
        });
        let doubtful = batch(&[(&a, START_MS + 1, 2.0), (&b, START_MS + 1, 3.0)]);
        assert!(store.append(&doubtful, Durability::Sync).is_err());
        disk.set(Faults::default());
        drop(store);
        let disk = disk.crashed(&mut random);
        let store = open(&disk).unwrap();
        let samples = |store: &Store| everything(store).iter().map(|s| pairs(s).len()).sum();
        let found: usize = samples(&store);
        match found {
            3 => whole += 1,
            1 => gone += 1,
            other => panic!("seed {seed}: {other} samples of 1 or 3"),
        }
        store.append(&doubtful, Durability::Sync).unwrap();
        assert_eq!(samples(&store), 3);
    }
    assert!(whole > 0 && gone > 0, "both happen: {whole}, {gone}");
}
