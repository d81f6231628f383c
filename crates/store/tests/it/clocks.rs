//! The wall clock jumps, by a second or by ten years, forward and back: nothing acknowledged is
//! lost, deadlines go on, and what a clock said for a moment forgets nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use model::{Clock, Durability, SampleSink as _};
use store::{Config, Store};
use testkit::report;

use crate::{
    sim_disk::{Random, SimDisk},
    support::{START_MS, batch, everything, labels, pairs, quiet},
};

const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 86_400 * SECOND_MS;

/// Jumps that happen: leap seconds, time zones taken for time, a flat battery.
const JUMPS_MS: &[i64] = &[
    SECOND_MS,
    60 * SECOND_MS,
    3_600 * SECOND_MS,
    DAY_MS,
    30 * DAY_MS,
    365 * DAY_MS,
    3_650 * DAY_MS,
];

/// Stories in the test run.
const STORIES: u64 = 300;

/// A clock whose wall time lies.
#[derive(Debug, Default)]
struct Lying {
    elapsed_ms: AtomicI64,
    lie_ms: AtomicI64,
}

impl Lying {
    fn advance(&self, ms: i64) {
        self.elapsed_ms.fetch_add(ms, SeqCst);
    }

    fn true_ms(&self) -> i64 {
        START_MS + self.elapsed_ms.load(SeqCst)
    }

    fn lie(&self, ms: i64) {
        self.lie_ms.store(ms, SeqCst);
    }
}

impl Clock for Lying {
    fn wall_ms(&self) -> i64 {
        self.true_ms() + self.lie_ms.load(SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms.load(SeqCst).unsigned_abs())
    }
}

fn open(disk: &SimDisk, clock: &Arc<Lying>) -> Store {
    let config = Config {
        chunk_samples: 8,
        merge_width: 2,
        flush_every: Duration::from_secs(60),
        ..quiet()
    };
    Store::open_on(Arc::new(disk.clone()), config, clock.clone()).unwrap()
}

/// Appends one sample; whether it was taken.
fn take(store: &Store, job: &str, time_ms: i64, value: f64) -> bool {
    let series = labels("up", job);
    let batch = batch(&[(&series, time_ms, value)]);
    store.append(&batch, Durability::Fast).unwrap().stored == 1
}

/// Everything a store holds of a job.
fn held(store: &Store, job: &str) -> BTreeMap<i64, f64> {
    let wanted = labels("up", job);
    let found = everything(store).into_iter().find(|s| s.labels == wanted);
    found.map_or_else(BTreeMap::new, |s| pairs(&s).into_iter().collect())
}

/// Less than an hour in which the clock jumps again and again.
fn story(seed: u64) {
    let mut random = Random(seed);
    let (disk, clock) = (SimDisk::default(), Arc::new(Lying::default()));
    let mut store = open(&disk, &clock);
    let mut expected: BTreeMap<&str, BTreeMap<i64, f64>> = BTreeMap::new();
    let mut flushes = 0;
    for step in 0..120 {
        clock.advance(20 * SECOND_MS);
        match random.below(6) {
            0 => {
                let jump = JUMPS_MS[random.below(JUMPS_MS.len() as u64) as usize];
                clock.lie(if random.chance(50) { jump } else { -jump });
            }
            1 => clock.lie(0),
            2 if random.chance(20) => {
                flushes += store.stats().flushes;
                drop(store);
                store = open(&disk, &clock);
            }
            _ => {}
        }
        // One stamps by our clock, as a scrape does; the other by its own.
        for (job, time_ms) in [("scraped", clock.wall_ms()), ("pushed", clock.true_ms())] {
            if take(&store, job, time_ms, f64::from(step)) {
                let samples = expected.entry(job).or_default();
                samples.insert(time_ms, f64::from(step));
            }
        }
        store.maintain().unwrap();
    }
    for (job, samples) in &expected {
        assert_eq!(&held(&store, job), samples, "{job}");
    }
    flushes += store.stats().flushes;
    assert!(flushes > 20, "{flushes} flushes in forty minutes");
}

#[test]
fn clock_jumps_lose_nothing_acknowledged_and_stop_no_deadline() {
    for seed in 0..STORIES {
        let told = std::panic::catch_unwind(|| story(seed));
        told.unwrap_or_else(|panic| {
            eprintln!("seed {seed} failed");
            std::panic::resume_unwind(panic)
        });
    }
    report::ran(
        "clock jumps of a second to ten years",
        20 * STORIES,
        "0 samples lost",
    );
}

#[test]
fn a_clock_in_the_future_forgets_only_when_it_has_stood_there_for_an_hour() {
    let (disk, clock) = (SimDisk::default(), Arc::new(Lying::default()));
    let store = open(&disk, &clock);
    assert!(take(&store, "old", START_MS, 1.0));
    store.flush().unwrap();
    clock.lie(3_650 * DAY_MS);
    // A sample stamped by the wrong clock makes the future look true.
    assert!(take(&store, "new", clock.wall_ms(), 2.0));
    for _ in 0..59 {
        clock.advance(60 * SECOND_MS);
        store.maintain().unwrap();
        assert_eq!(held(&store, "old").len(), 1, "forgotten at once");
    }
    clock.advance(120 * SECOND_MS);
    store.maintain().unwrap();
    assert_eq!(
        held(&store, "old").len(),
        0,
        "the retention goes by the clock that stands"
    );
    assert_eq!(held(&store, "new").len(), 1);
}

#[test]
fn a_sample_from_the_future_does_not_end_the_day() {
    let (disk, clock) = (SimDisk::default(), Arc::new(Lying::default()));
    let config = Config {
        merge_width: 10,
        ..quiet()
    };
    let store = Store::open_on(Arc::new(disk.clone()), config, clock.clone()).unwrap();
    clock.lie(3_650 * DAY_MS);
    assert!(take(&store, "a", clock.wall_ms(), 0.0));
    clock.lie(0);
    for n in 1..5 {
        assert!(take(&store, "a", clock.true_ms() + n, 0.0));
        store.flush().unwrap();
        store.maintain().unwrap();
    }
    assert_eq!(
        store.stats().merges,
        0,
        "the whole day was merged for each flush"
    );
}
