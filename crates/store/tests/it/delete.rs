//! Deleting: gone at once and for good, and nothing else is.

use std::sync::Arc;

use model::{
    Batch, Durability, Exemplar, LabelQuery, Labels, MatchOp, Matcher, SampleSink as _, Selection,
    SeriesReader as _,
};
use store::{Config, DeleteError, Store};

use crate::{
    sim_disk::{Faults, Random, SimDisk},
    support::{HandClock, START_MS, append, everything, labels, pairs, quiet},
};

fn open(disk: &SimDisk) -> Store {
    Store::open_on(Arc::new(disk.clone()), quiet(), HandClock::new()).unwrap()
}

fn of_job(job: &str) -> Vec<Vec<Matcher>> {
    vec![vec![Matcher::equal("job", job)]]
}

fn times_of(store: &Store, labels: &Labels) -> Vec<i64> {
    let all = everything(store);
    let found = all.iter().find(|s| s.labels == *labels);
    found.map_or_else(Vec::new, |s| {
        s.times_ms.iter().map(|t| t - START_MS).collect()
    })
}

fn filled(disk: &SimDisk) -> Store {
    let store = open(disk);
    for i in 0..10 {
        let (a, b) = (labels("up", "a"), labels("up", "b"));
        append(&store, &[(&a, START_MS + i, 1.0), (&b, START_MS + i, 2.0)]);
        if i == 4 {
            store.flush().unwrap();
        }
    }
    store
}

#[test]
fn what_is_deleted_is_gone_from_memory_and_parts_and_stays_gone() {
    let disk = SimDisk::default();
    let store = filled(&disk);
    let (a, b) = (labels("up", "a"), labels("up", "b"));
    store
        .delete(&of_job("a"), START_MS + 2, START_MS + 7)
        .unwrap();
    let check = |store: &Store| {
        assert_eq!(times_of(store, &a), [0, 1, 8, 9]);
        assert_eq!(times_of(store, &b), (0..10).collect::<Vec<_>>());
    };
    check(&store);
    drop(store);
    let store = open(&disk);
    assert_eq!(store.stats().tombstones, 1);
    check(&store);
    assert_eq!(store.clean_tombstones().unwrap(), 2);
    assert_eq!(
        (store.stats().tombstones, store.stats().part_samples),
        (0, 14)
    );
    check(&store);
    drop(store);
    check(&open(&disk));
}

#[test]
fn samples_written_after_a_delete_are_visible_within_its_range() {
    let disk = SimDisk::default();
    let store = filled(&disk);
    let a = labels("up", "a");
    store.delete(&of_job("a"), i64::MIN, i64::MAX).unwrap();
    append(&store, &[(&a, START_MS + 3, 7.0)]);
    let check = |store: &Store| {
        let all = everything(store);
        assert_eq!(pairs(&all[0]), [(START_MS + 3, 7.0)]);
    };
    check(&store);
    store.flush().unwrap();
    check(&store);
    store.clean_tombstones().unwrap();
    check(&store);
    drop(store);
    check(&open(&disk));
}

/// Exemplars of both jobs, five each.
fn with_exemplars(store: &Store) {
    let exemplar = |job: &str, i: i64| Exemplar {
        series: labels("up", job),
        labels: Labels::from_pairs([("trace_id", i.to_string())]),
        value: 1.0,
        time_ms: START_MS + i,
    };
    let exemplars = (0..5).flat_map(|i| [exemplar("a", i), exemplar("b", i)]);
    let batch = Batch {
        exemplars: exemplars.collect(),
        ..Batch::default()
    };
    let stored = store.append(&batch, Durability::Fast).unwrap();
    assert_eq!(stored.exemplars, 10);
}

fn exemplars_of(store: &Store, job: &str) -> Vec<i64> {
    let found = store.exemplars(&of_job(job), i64::MIN, i64::MAX).unwrap();
    found.iter().map(|e| e.time_ms - START_MS).collect()
}

#[test]
fn a_delete_takes_the_exemplars_in_its_range_and_no_restart_brings_them_back() {
    let disk = SimDisk::default();
    let mut store = filled(&disk);
    with_exemplars(&store);
    let check = |store: &Store, left: &[i64]| {
        assert_eq!(exemplars_of(store, "a"), left);
        assert_eq!(exemplars_of(store, "b"), [0, 1, 2, 3, 4]);
    };
    // From the memory and the log they came in; then from the log they were carried into.
    for (from, to, left) in [(1, 2, &[0, 3, 4][..]), (4, 9, &[0, 3])] {
        let of_a = [vec![
            Matcher::equal("__name__", "up"),
            Matcher::equal("job", "a"),
        ]];
        store.delete(&of_a, START_MS + from, START_MS + to).unwrap();
        check(&store, left);
        drop(store);
        store = open(&disk);
        check(&store, left);
    }
    // One that is younger than what was deleted is taken as ever.
    store.delete(&of_job("a"), i64::MIN, i64::MAX).unwrap();
    check(&store, &[]);
    drop(store);
    check(&open(&disk.crashed(&mut Random(7))), &[]);
}

#[test]
fn a_hole_within_a_block_is_carried_out_once() {
    let disk = SimDisk::default();
    let store = open(&disk);
    let a = labels("up", "a");
    for i in 0..100 {
        append(&store, &[(&a, START_MS + i, 1.0)]);
    }
    store
        .delete(&of_job("a"), START_MS + 40, START_MS + 59)
        .unwrap();
    assert_eq!(store.clean_tombstones().unwrap(), 1);
    assert_eq!(
        (store.stats().tombstones, store.stats().part_samples),
        (0, 80)
    );
}

#[test]
fn a_part_of_which_nothing_is_left_goes() {
    let disk = SimDisk::default();
    let store = filled(&disk);
    for job in ["a", "b"] {
        store.delete(&of_job(job), i64::MIN, i64::MAX).unwrap();
    }
    store.clean_tombstones().unwrap();
    assert_eq!((store.stats().parts, store.stats().tombstones), (0, 0));
    let files = disk.names();
    assert!(
        !files
            .iter()
            .any(|(n, _)| n.ends_with(".prt") || n == "TOMBSTONES"),
        "{files:?}"
    );
    drop(store);
    assert!(everything(&open(&disk)).is_empty());
}

#[test]
fn upkeep_carries_deletes_out_by_itself() {
    let disk = SimDisk::default();
    let store = filled(&disk);
    store.delete(&of_job("a"), i64::MIN, START_MS).unwrap();
    for _ in 0..3 {
        store.maintain().unwrap();
    }
    assert_eq!(
        (store.stats().tombstones, store.stats().part_samples),
        (0, 19)
    );
}

#[test]
fn summaries_and_label_questions_know_of_deletes() {
    let disk = SimDisk::default();
    let store = filled(&disk);
    store.delete(&of_job("b"), i64::MIN, i64::MAX).unwrap();
    store.delete(&of_job("a"), START_MS + 8, i64::MAX).unwrap();
    let selection = Selection {
        matchers: vec![Matcher::equal("__name__", "up")],
        from_ms: i64::MIN,
        to_ms: i64::MAX,
    };
    let found = store.summaries(&selection).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].1.count, found[0].1.sum), (8, 8.0));
    let query = LabelQuery {
        any_of: Vec::new(),
        from_ms: i64::MIN,
        to_ms: i64::MAX,
        limit: 0,
    };
    assert_eq!(store.label_values("job", &query).unwrap(), ["a"]);
}

#[test]
fn a_selector_that_would_delete_everything_is_refused() {
    let disk = SimDisk::default();
    let store = filled(&disk);
    for any_of in [vec![], vec![vec![]]] {
        let refused = store.delete(&any_of, i64::MIN, i64::MAX).unwrap_err();
        assert!(matches!(refused, DeleteError::EmptySelector));
    }
    let nothing = vec![vec![Matcher::new("job", MatchOp::Regex, "x|y").unwrap()]];
    store.delete(&nothing, i64::MIN, i64::MAX).unwrap();
    assert_eq!(times_of(&store, &labels("up", "a")).len(), 10);
}

/// One story: writes, deletes, clean-ups, a power cut at any operation, and a look at what is
/// left: the delete counts as a whole or not at all, and once it counted it stays. In every other
/// story the manifest is lost as well, and is rebuilt from what is there: files whose removal the
/// power cut undid among it.
fn power_cut(seed: u64) {
    let mut random = Random(seed);
    let disk = SimDisk::default();
    let store = filled(&disk);
    store.flush().unwrap();
    // A part that nothing is left of, and that no other part replaces.
    let other_day = START_MS - 2 * 86_400_000;
    assert_eq!(append(&store, &[(&labels("up", "a"), other_day, 1.0)]), 1);
    store.flush().unwrap();
    disk.set(Faults {
        crash_at: Some(disk.operations() + 1 + random.below(60)),
        ..Faults::default()
    });
    let deleted = store.delete(&of_job("a"), i64::MIN, i64::MAX).is_ok();
    if deleted && store.clean_tombstones().is_ok() {
        drop(store.compact());
    }
    let after = disk.crashed(&mut random);
    if seed % 2 == 1 {
        after.damage("MANIFEST", |bytes| bytes[8] ^= 1);
    }
    let store = open(&after);
    assert!(store.stats().manifest_rebuilt >= seed % 2, "seed {seed}");
    let left = times_of(&store, &labels("up", "a"));
    assert!(
        left.is_empty() || !deleted && left.len() == 11,
        "seed {seed}: {left:?} left, deleted {deleted}"
    );
    assert_eq!(
        times_of(&store, &labels("up", "b")).len(),
        10,
        "seed {seed}"
    );
    assert!(
        store::check(&after, &mut |_, _| {})
            .unwrap()
            .faults
            .is_empty()
    );
}

#[test]
fn a_power_cut_leaves_a_delete_whole_or_undone() {
    for seed in 0..1500 {
        power_cut(seed);
    }
}

#[test]
fn the_engine_merges_without_what_is_deleted() {
    let disk = SimDisk::default();
    let config = Config {
        merge_width: 2,
        ..quiet()
    };
    let store = Store::open_on(Arc::new(disk.clone()), config, HandClock::new()).unwrap();
    let a = labels("up", "a");
    append(&store, &[(&a, START_MS, 1.0), (&a, START_MS + 1, 1.0)]);
    store.delete(&of_job("a"), START_MS, START_MS).unwrap();
    append(&store, &[(&a, START_MS + 2, 1.0)]);
    store.flush().unwrap();
    assert_eq!(store.compact().unwrap(), 1);
    assert_eq!(store.stats().part_samples, 2);
    assert_eq!(times_of(&store, &a), [1, 2]);
}
