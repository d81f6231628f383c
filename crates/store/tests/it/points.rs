//! Points of a table: stored as the batch they stand for, whatever the table remembers.

use model::{Durability, Labels, Point, RejectReason, SampleSink as _, SeriesTable, points_batch};
use store::{Config, Store};

use crate::support::{HandClock, START_MS, append, everything, labels, pairs, quiet};

fn point(series: u32, time_ms: i64, value: f64) -> Point {
    Point {
        series,
        time_ms,
        value,
    }
}

fn open(dir: &tempfile::TempDir, config: Config) -> Store {
    Store::open(dir.path(), config, HandClock::new()).unwrap()
}

#[test]
fn points_are_stored_as_their_batch_would_be_and_replayed() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut table = SeriesTable::default();
    let slots: Vec<u32> = (0..20)
        .map(|i| table.add(labels("up", &format!("job-{i}"))))
        .collect();
    let by_points = open(&dir, quiet());
    let by_batch = open(&other, quiet());
    for round in 0..300_i64 {
        let points: Vec<Point> = slots
            .iter()
            .filter(|slot| (i64::from(**slot) + round) % 7 != 0)
            .map(|slot| point(*slot, START_MS + (round * 37) % 300, round as f64))
            .collect();
        let stored = by_points
            .append_points(&mut table, &points, "", Durability::Fast)
            .unwrap();
        assert_eq!(stored.stored, points.len() as u64);
        by_batch
            .append(&points_batch(table.shared(), &points, ""), Durability::Fast)
            .unwrap();
    }
    let want = everything(&by_batch);
    assert_eq!(want.len(), 20);
    assert_eq!(everything(&by_points), want);
    by_points.close().unwrap();
    drop(by_points);
    assert_eq!(everything(&open(&dir, quiet())), want);
}

#[test]
fn a_number_given_to_another_series_is_not_used_for_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        idle_flushes: 0,
        ..quiet()
    };
    let store = open(&dir, config);
    let mut table = SeriesTable::default();
    let (old, new) = (labels("up", "old"), labels("up", "new"));
    let slot = table.add(old.clone());
    let write = |table: &mut SeriesTable, at: i64| {
        store
            .append_points(
                table,
                &[point(slot, START_MS + at, 1.0)],
                "",
                Durability::Fast,
            )
            .unwrap();
    };
    write(&mut table, 0);
    // Flushed with a sample, then without: the number is free, and the next series takes it.
    store.flush().unwrap();
    append(&store, &[(&labels("up", "busy"), START_MS, 1.0)]);
    store.flush().unwrap();
    append(&store, &[(&new, START_MS + 1, 2.0)]);
    write(&mut table, 2);
    let of = |wanted: &Labels| {
        let all = everything(&store);
        let series = all.iter().find(|s| s.labels == *wanted).unwrap();
        pairs(series)
    };
    assert_eq!(of(&old), [(START_MS, 1.0), (START_MS + 2, 1.0)]);
    assert_eq!(of(&new), [(START_MS + 1, 2.0)]);
}

#[test]
fn a_table_used_with_one_store_is_looked_up_anew_by_another() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (open(&dir, quiet()), open(&other, quiet()));
    append(&second, &[(&labels("down", "x"), START_MS, 0.0)]);
    let mut table = SeriesTable::default();
    let slot = table.add(labels("up", "a"));
    for store in [&first, &second] {
        store
            .append_points(
                &mut table,
                &[point(slot, START_MS, 1.0)],
                "",
                Durability::Fast,
            )
            .unwrap();
        let all = everything(store);
        let up = all.iter().find(|s| s.labels == labels("up", "a")).unwrap();
        assert_eq!(pairs(up), [(START_MS, 1.0)]);
    }
}

#[test]
fn refused_points_are_counted_and_their_neighbours_stored() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        series_max: 2,
        ..quiet()
    };
    let store = open(&dir, config);
    let mut table = SeriesTable::default();
    let slots: Vec<u32> = (0..3)
        .map(|i| table.add(labels("up", &format!("{i}"))))
        .collect();
    for _ in 0..2 {
        let points = [
            point(slots[0], START_MS, 1.0),
            point(slots[0], 0, 1.0),
            point(slots[1], START_MS, 1.0),
            point(slots[2], START_MS, 1.0),
        ];
        let appended = store
            .append_points(&mut table, &points, "", Durability::Fast)
            .unwrap();
        assert_eq!(appended.stored, 2);
        let reasons: Vec<_> = appended.rejected.iter().map(|(r, n, _)| (*r, *n)).collect();
        assert_eq!(
            reasons,
            [
                (RejectReason::OutOfBounds, 1),
                (RejectReason::SeriesLimit, 1)
            ]
        );
    }
    assert_eq!(everything(&store).len(), 2);
}
