//! Files of the store, alone in a directory: it is opened, read to the end, written to, flushed,
//! and closed. Whatever the bytes are, opening says what is wrong or serves what checks.

use std::{sync::Arc, time::Duration};

use model::{
    Batch, Clock, Durability, Labels, MatchOp, Matcher, Sample, SampleSink as _, Selection,
    SeriesReader as _,
};
use store::{Config, Store};

use crate::{doors::put_varint, memory_disk::MemoryDisk};

/// Some day in 2026, ms since the epoch.
const NOW_MS: i64 = 1_790_000_000_000;

#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn wall_ms(&self) -> i64 {
        NOW_MS
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(1)
    }
}

fn store(name: &str, bytes: &[u8]) {
    let disk = MemoryDisk::with(name, bytes);
    let config = Config {
        background: false,
        ballast_bytes: 0,
        ..Config::default()
    };
    let Ok(store) = Store::open_on(Arc::new(disk), config, Arc::new(Standing)) else {
        return;
    };
    read(&store);
    let sample = Sample::float(Labels::from_pairs([("__name__", "new")]), NOW_MS, 1.0);
    let batch = Batch {
        samples: vec![sample],
        ..Batch::default()
    };
    let appended = store.append(&batch, Durability::Sync);
    assert_eq!(appended.expect("a sound disk takes a batch").stored, 1);
    // What does not check is left alone; the new sample must be readable whatever happens.
    drop(store.flush());
    drop(store.compact());
    assert!(read(&store), "the new series is not there");
}

/// Reads everything; whether the series `new` was there.
fn read(store: &Store) -> bool {
    let selection = Selection {
        matchers: vec![Matcher::new("__name__", MatchOp::NotEqual, "").expect("a matcher")],
        from_ms: i64::MIN,
        to_ms: i64::MAX,
    };
    let Ok(series) = store.select(&selection) else {
        return true;
    };
    let mut found = false;
    for one in series {
        // A part whose index does not check fails the whole walk, and says so.
        let Ok(one) = one else {
            found = true;
            continue;
        };
        found |= one.labels.metric_name() == "new";
        assert!(one.times_ms.is_sorted(), "times that fall");
    }
    found
}

/// A segment of the log, as it lies on the disk.
pub fn wal(data: &[u8]) {
    store("wal-0000000003.log", data);
}

/// A record of the log whose checksum is right.
pub fn wal_record(data: &[u8]) {
    let mut file = b"AUSEWAL\x01".to_vec();
    let mut number = Vec::new();
    put_varint(&mut number, 3);
    frame(&mut file, &number);
    frame(&mut file, data);
    store("wal-0000000003.log", &file);
}

/// The MANIFEST, as it lies on the disk.
pub fn manifest(data: &[u8]) {
    store("MANIFEST", data);
}

/// An edit of the MANIFEST whose checksum is right.
pub fn manifest_edit(data: &[u8]) {
    let mut file = b"AUSEMAN\x01".to_vec();
    frame(&mut file, data);
    store("MANIFEST", &file);
}

/// A part.
pub fn part(data: &[u8]) {
    store("part-0000000001.prt", data);
}

/// A frame as docs/formats draws it.
fn frame(out: &mut Vec<u8>, payload: &[u8]) {
    let length = u32::try_from(payload.len())
        .expect("a short input")
        .to_le_bytes();
    let check = crc32c::crc32c_append(crc32c::crc32c(&length), payload);
    out.extend(length);
    out.extend(check.to_le_bytes());
    out.extend(payload);
}
