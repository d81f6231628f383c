//! Readers, writers, flushes and merges at the same time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
};

use store::Store;

use crate::support::{HandClock, START_MS, append, everything, labels, quiet};

/// What was acknowledged before a read began is in it, exactly once and in order, wherever the
/// samples are on their way from memory to parts.
#[test]
fn a_reader_misses_nothing_while_samples_move() {
    let dir = tempfile::tempdir().unwrap();
    let config = store::Config {
        merge_width: 2,
        idle_flushes: 0,
        chunk_samples: 8,
        ..quiet()
    };
    let store = Arc::new(Store::open(dir.path(), config, HandClock::new()).unwrap());
    let sets = ["a", "b", "c", "d"].map(|job| labels("up", job));
    let (done, acknowledged) = (AtomicBool::new(false), AtomicI64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..3000 {
                let time = START_MS + i;
                append(
                    &store,
                    &sets.each_ref().map(|labels| (labels, time, i as f64)),
                );
                acknowledged.store(i + 1, SeqCst);
            }
            done.store(true, SeqCst);
        });
        scope.spawn(|| {
            while !done.load(SeqCst) {
                store.flush().unwrap();
                store.compact().unwrap();
            }
        });
        while !done.load(SeqCst) {
            let least = acknowledged.load(SeqCst);
            let found = everything(&store);
            assert_eq!(found.len(), if least > 0 { 4 } else { found.len() });
            for series in found {
                let whole: Vec<i64> = (0..series.times_ms.len() as i64)
                    .map(|i| START_MS + i)
                    .collect();
                assert_eq!(series.times_ms, whole, "no gap, nothing twice");
                assert!(whole.len() as i64 >= least, "{} of {least}", whole.len());
            }
        }
    });
    assert!(store.stats().flushes > 0);
}
