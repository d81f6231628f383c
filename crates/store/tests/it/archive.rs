//! Old days in a second directory: nobody who reads sees a difference, whatever happens on the
//! way there; and a store whose archive is missing does not open.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use model::{Durability, Matcher, SampleSink as _};
use store::{Config, Disk as _, ReadOnlyDisk, Store, Tiered};
use testkit::report;

use crate::{
    crash::{self, Written, found, seeds, session},
    sim_disk::{Errors, Faults, Random, SimDisk},
    support::{HandClock, START_MS, append, batch, everything, labels, pairs, quiet},
};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const DAY: Duration = Duration::from_secs(86_400);

fn config() -> Config {
    Config {
        archive_after: Some(2 * DAY),
        ..quiet()
    }
}

fn both(near: &SimDisk, far: &SimDisk) -> Arc<Tiered> {
    let (near, far) = (Arc::new(near.clone()), Arc::new(far.clone()));
    Arc::new(Tiered::new(near, far, "/archive").unwrap())
}

fn open(near: &SimDisk, far: &SimDisk, clock: &Arc<HandClock>, config: Config) -> Store {
    Store::open_on(both(near, far), config, clock.clone()).unwrap()
}

/// Ten days of a sample an hour, flushed and merged a day at a time.
fn ten_days(store: &Store, clock: &HandClock) {
    let (a, b) = (labels("up", "a"), labels("up", "b"));
    for hour in 0..240 {
        let time = START_MS + hour * HOUR_MS;
        append(store, &[(&a, time, hour as f64), (&b, time, 0.5)]);
        clock.advance_ms(HOUR_MS);
        store.maintain().unwrap();
    }
    while store.compact().unwrap() > 0 {}
    (0..12).for_each(|_| store.maintain().unwrap());
}

fn parts(files: &[(String, u64)]) -> usize {
    files.iter().filter(|(n, _)| n.ends_with(".prt")).count()
}

fn samples_of(store: &Store) -> usize {
    everything(store).iter().map(|s| s.times_ms.len()).sum()
}

#[test]
fn old_days_move_and_read_the_same_and_are_still_merged_deleted_and_forgotten() {
    let (near, far, clock) = (SimDisk::default(), SimDisk::default(), HandClock::new());
    let store = open(&near, &far, &clock, config());
    ten_days(&store, &clock);
    let stats = store.stats();
    assert_eq!((stats.archived, stats.archive_failed), (8, 0), "{stats:?}");
    assert_eq!(parts(&far.names()), 8);
    assert_eq!(stats.parts as usize, 8 + parts(&near.names()));
    let before = format!("{:?}", everything(&store));
    assert_eq!(samples_of(&store), 480);
    drop(store);

    // Another session, which would move nothing: what is there is read all the same.
    let store = open(&near, &far, &clock, quiet());
    assert_eq!(format!("{:?}", everything(&store)), before);
    assert_eq!(store.stats().archived, 8);
    let (a, all) = (labels("up", "a"), i64::MIN..=i64::MAX);
    append(&store, &[(&a, START_MS + 1, 7.0)]);
    store.flush().unwrap();
    while store.compact().unwrap() > 0 {}
    assert_eq!(store.stats().archived, 7, "a day with late samples is near");
    store
        .delete(
            &[vec![Matcher::equal("job", "b")]],
            *all.start(),
            *all.end(),
        )
        .unwrap();
    assert_eq!(samples_of(&store), 241);
    assert!(store.clean_tombstones().unwrap() > 0);
    assert_eq!((store.stats().archived, parts(&far.names())), (0, 0));
    assert_eq!(samples_of(&store), 241);
    drop(store);
    let store = open(&near, &far, &clock, config());
    (0..12).for_each(|_| store.maintain().unwrap());
    assert_eq!((store.stats().archived, samples_of(&store)), (8, 241));
    drop(store);

    // Both limits, each about its own directory; and age, which is about both.
    let bytes: u64 = far.names().iter().map(|(_, bytes)| bytes).sum();
    let limited = Config {
        archive_bytes: bytes - 100,
        retention_bytes: 1 << 30,
        ..config()
    };
    let store = open(&near, &far, &clock, limited);
    store.maintain().unwrap();
    let stats = store.stats();
    assert_eq!((stats.archived, stats.forgotten_by_bytes), (7, 1));
    drop(store);
    let aged = Config {
        retention: 3 * DAY,
        ..config()
    };
    let store = open(&near, &far, &clock, aged);
    clock.advance_ms(HOUR_MS + 1);
    (0..3).for_each(|_| store.maintain().unwrap());
    clock.advance_ms(HOUR_MS + 1);
    (0..3).for_each(|_| store.maintain().unwrap());
    assert!(store.stats().forgotten_by_age >= 5, "{:?}", store.stats());
    assert!(parts(&far.names()) <= 2);
}

#[test]
fn an_archive_that_fails_or_runs_full_is_tried_again_and_nothing_else_suffers() {
    let (near, far, clock) = (SimDisk::default(), SimDisk::default(), HandClock::new());
    let store = open(&near, &far, &clock, config());
    far.set(Faults {
        capacity: far.used() + 100,
        ..Faults::default()
    });
    let a = labels("up", "a");
    for hour in 0..120 {
        append(&store, &[(&a, START_MS + hour * HOUR_MS, 1.0)]);
        clock.advance_ms(HOUR_MS);
        // Says so; the samples stay where they are.
        drop(store.maintain());
    }
    let stats = store.stats();
    assert!(stats.archived == 0 && stats.archive_failed > 0, "{stats:?}");
    assert_eq!(
        (stats.state, samples_of(&store)),
        (store::State::Healthy, 120)
    );
    let left: Vec<String> = far.names().into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["ARCHIVE"], "nor is half a copy in the way of others");

    // One that keeps something else than what it was given, and says nothing.
    far.set(Faults {
        rot: true,
        ..Faults::default()
    });
    clock.advance_ms(61_000);
    let said = store.maintain().unwrap_err();
    let said = std::error::Error::source(&said).unwrap().to_string();
    assert!(said.contains("is not what was written"), "{said}");
    assert_eq!((store.stats().archived, samples_of(&store)), (0, 120));

    far.set(Faults::default());
    for _ in 0..6 {
        clock.advance_ms(61_000);
        store.maintain().unwrap();
    }
    assert!(store.stats().archived >= 2, "{:?}", store.stats());
    assert_eq!(samples_of(&store), 120);
}

static MOVED: AtomicU64 = AtomicU64::new(0);

/// Sessions on both disks, with faults of both, until the power goes.
fn power_cuts(seed: u64, of_far: &Faults) {
    let mut random = Random(seed);
    let (mut near, mut far) = (SimDisk::default(), SimDisk::default());
    let config = Config {
        archive_after: Some(DAY),
        ..crash::config()
    };
    let mut written = Written::default();
    for _ in 0..3 {
        let crash_at = |disk: &SimDisk, within| Some(disk.operations() + 1 + within);
        near.set(Faults {
            crash_at: crash_at(&near, random.below(160)),
            ..Faults::default()
        });
        let errors = random.chance(30).then(|| Errors {
            random: Random(random.next()),
            changes_percent: 1 + random.below(20),
            reads_percent: random.below(4),
        });
        far.set(Faults {
            crash_at: random
                .chance(50)
                .then(|| far.operations() + 1 + random.below(30)),
            errors,
            ..of_far.clone()
        });
        let disks = (Arc::new(near.clone()), Arc::new(far.clone()));
        if let Ok(disk) = Tiered::new(disks.0, disks.1, "/archive")
            && let Ok(store) = Store::open_on(Arc::new(disk), config.clone(), HandClock::new())
        {
            session(&store, &mut random, &mut written);
            MOVED.fetch_add(store.stats().archived, Relaxed);
        }
        (near, far) = (near.crashed(&mut random), far.crashed(&mut random));
        let store = open(&near, &far, &HandClock::new(), config.clone());
        written.check(&store, written.durable);
        written = found(&store);
        assert_eq!(store.stats().parts_quarantined, 0);
    }
}

#[test]
fn a_power_cut_at_any_step_of_a_move_loses_nothing() {
    const CUTS: u64 = 1_500;
    seeds(CUTS, |seed| power_cuts(seed, &Faults::default()));
    let moved = MOVED.load(Relaxed);
    assert!(moved > CUTS / 10, "days do move: {moved}");
    report::ran(
        "a power cut while days move to an archive that fails now and then",
        3 * CUTS,
        "every synced sample is there, as a prefix; the seed replays it",
    );
}

#[test]
fn the_simulation_notices_a_move_that_does_not_sync() {
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
        let noticed = (0..400).any(|seed| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| power_cuts(seed, &faults)))
                .is_err()
        });
        std::panic::set_hook(quiet);
        assert!(noticed, "{faults:?}");
    }
}

/// A store in `place/near` with days in `place/far`.
fn on_disk(place: &Path) -> (PathBuf, PathBuf, Config) {
    let (near, far) = (place.join("near"), place.join("far"));
    let config = Config {
        archive: Some(far.clone()),
        ballast_bytes: 0,
        ..config()
    };
    let clock = HandClock::new();
    let store = Store::open(&near, config.clone(), clock.clone()).unwrap();
    ten_days(&store, &clock);
    assert_eq!(store.stats().archived, 8);
    (near, far, config)
}

#[test]
fn readers_of_the_directory_snapshots_and_repair_know_the_archive() {
    let place = tempfile::tempdir().unwrap();
    let (near, far, config) = on_disk(place.path());
    let disk = ReadOnlyDisk::open(&near).unwrap();
    assert!(
        disk.list()
            .unwrap()
            .iter()
            .all(|(name, _)| name != "ARCHIVE")
    );
    let survey = store::survey(&disk, &mut |_, _| {}).unwrap();
    assert_eq!((survey.samples, survey.damaged), (480, 0));
    let checked = store::check(&disk, &mut |_, _| {}).unwrap();
    assert_eq!(
        (checked.samples, checked.faults.len()),
        (480, 0),
        "{checked:?}"
    );

    let clock = HandClock::new();
    clock.advance_ms(10 * DAY_MS);
    let store = Store::open(&near, config.clone(), clock.clone()).unwrap();
    store.snapshot("all", true).unwrap();
    drop(store);
    let copy = Store::open_read_only(&near.join("snapshots/all"), clock.clone()).unwrap();
    assert_eq!((samples_of(&copy), copy.stats().archived), (480, 0));

    // A bit of a part in the archive: found there, put right, and moved again.
    let part = fs::read_dir(&far).unwrap().flatten().map(|e| e.path());
    let part = part
        .filter(|p| p.extension().is_some_and(|e| e == "prt"))
        .min()
        .unwrap();
    let mut bytes = fs::read(&part).unwrap();
    bytes[40] ^= 8;
    fs::write(&part, bytes).unwrap();
    let disk = ReadOnlyDisk::open(&near).unwrap();
    let checked = store::check(&disk, &mut |_, _| {}).unwrap();
    assert!(!checked.faults.is_empty());
    let disk = store::open_directory(&near).unwrap();
    store::repair(&*disk, true, &mut |_, _| {}).unwrap();
    assert_eq!(store::check(&*disk, &mut |_, _| {}).unwrap().faults, []);
    drop(disk);
    let store = Store::open(&near, config, clock).unwrap();
    assert_eq!((samples_of(&store), store.stats().archived), (480, 7));
    (0..3).for_each(|_| store.maintain().unwrap());
    assert_eq!((samples_of(&store), store.stats().archived), (480, 8));
}

#[test]
fn a_store_whose_archive_is_missing_or_anothers_does_not_open_and_one_that_moved_does() {
    let place = tempfile::tempdir().unwrap();
    let (near, far, config) = on_disk(place.path());
    let clock = HandClock::new();
    clock.advance_ms(10 * DAY_MS);
    let try_with = |archive: Option<&Path>| {
        let config = Config {
            archive: archive.map(Path::to_owned),
            ..config.clone()
        };
        Store::open(&near, config, clock.clone())
    };
    let refused = |archive: Option<&Path>, why: &str| {
        let error = try_with(archive).unwrap_err();
        let said = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(said.contains(why), "{said}");
    };
    let elsewhere = place.path().join("elsewhere");
    fs::rename(&far, &elsewhere).unwrap();
    refused(None, "there is none");
    refused(Some(&far), "there is none");
    assert!(
        ReadOnlyDisk::open(&near).is_err(),
        "nor is it read as if whole"
    );
    assert!(store::open_directory(&near).is_err());
    // A mount point without its disk.
    fs::create_dir(&far).unwrap();
    refused(Some(&far), "has no ARCHIVE record");
    let (_, others, _) = on_disk(&place.path().join("other"));
    refused(Some(&others), "belongs to another store");
    assert!(!far.join("LOCK").exists() || far.read_dir().unwrap().count() == 1);

    let store = try_with(Some(&elsewhere)).unwrap();
    assert_eq!(samples_of(&store), 480);
    drop(store);
    let store = try_with(None).unwrap();
    assert_eq!(samples_of(&store), 480, "the record knows where it is now");
    let a = labels("up", "a");
    let late = batch(&[(&a, START_MS + 10 * DAY_MS, 1.0)]);
    assert_eq!(store.append(&late, Durability::Sync).unwrap().stored, 1);
    let last = everything(&store);
    assert_eq!(pairs(&last[0]).last(), Some(&(START_MS + 10 * DAY_MS, 1.0)));
}

#[test]
fn the_record_is_written_and_read_as_ever() {
    let golden = [
        b"AUSEARC\x01".as_slice(),
        &[17, 0, 0, 0],
        &[0x61, 0xB1, 0x93, 0xCD],
        &[1, 2, 3, 4, 5, 6, 7, 8],
        b"\x08/archive",
    ]
    .concat();
    let (near, far) = (SimDisk::default(), SimDisk::default());
    for (disk, bytes) in [(&near, &golden), (&far, &golden)] {
        let file = disk.create("ARCHIVE").unwrap();
        file.append(bytes).unwrap();
        file.sync().unwrap();
    }
    both(&near, &far);
    let file = near.open("ARCHIVE").unwrap();
    let mut bytes = vec![0; file.bytes() as usize];
    file.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, golden);
    near.damage("ARCHIVE", |bytes| bytes[20] ^= 1);
    let (near, far) = (Arc::new(near), Arc::new(far));
    assert!(Tiered::new(near, far, "/archive").is_err(), "not guessed");
}
