//! The formats of `docs/formats` do not move: today's code reads the golden files and writes them
//! again to the same bytes. `UPDATE_GOLDENS=1` writes them anew, for a new version of a format.

use std::{path::PathBuf, sync::Arc};

use model::{
    Batch, Durability, Exemplar, Histogram, Labels, MatchOp, Matcher, Metadata, MetricType, Sample,
    SampleSink as _, SeriesReader as _, Span, Value,
};
use store::{Config, Disk as _, Store};

use crate::{
    sim_disk::SimDisk,
    support::{HandClock, START_MS, everything, labels, pairs, quiet},
};

const FILES: [&str; 4] = [
    "MANIFEST",
    "part-0000000001.prt",
    "part-0000000002.prt",
    "wal-0000000003.log",
];

fn open(disk: &SimDisk) -> Store {
    let config = Config {
        ballast_bytes: 0,
        block_samples: 64,
        ..quiet()
    };
    Store::open_on(Arc::new(disk.clone()), config, HandClock::new()).unwrap()
}

fn histogram(i: u32) -> Value {
    Value::Histogram(Arc::new(Histogram {
        schema: 2,
        zero_threshold: 0.001,
        zero_count: 1.0,
        count: f64::from(3 * i + 1),
        sum: f64::from(i) / 4.0,
        positive_spans: vec![Span {
            offset: -1,
            length: 2,
        }],
        positive_buckets: vec![f64::from(i), f64::from(2 * i)],
        ..Histogram::default()
    }))
}

/// One batch: every codec has something to do.
fn batch(i: u32) -> Batch {
    let time_ms = START_MS + i64::from(i) * 1000;
    let jitter = i64::from(i * i % 7);
    let float = |name: &str, value: f64| Sample::float(labels(name, "a"), time_ms, value);
    let noise = f64::from(i).sin();
    let odd = match i % 50 {
        7 => f64::INFINITY,
        9 => -0.0,
        11 => model::stale_nan(),
        _ => f64::from(i % 5) / 10.0,
    };
    let mut samples = vec![
        float("constant", 42.0),
        float("steps", f64::from(i / 40)),
        float("counter_total", f64::from(i * 4096 + (i % 3) * 4096)),
        float("noise", noise),
        float("odd", odd),
        Sample::float(labels("jittered", "a"), time_ms + jitter, f64::from(i % 3)),
    ];
    if i < 10 {
        let value = histogram(i);
        samples.push(Sample {
            labels: labels("latency", "a"),
            time_ms,
            value,
        });
    }
    let metadata = Metadata {
        family: "counter".into(),
        metric_type: MetricType::Counter,
        help: "Counts.".into(),
        unit: "bytes".into(),
    };
    Batch {
        samples,
        metadata: if i == 0 { vec![metadata] } else { Vec::new() },
        ..Batch::default()
    }
}

/// Two flushes of different length, then some batches that stay in the log.
fn write(store: &Store) {
    for i in 0..130 {
        store.append(&batch(i), Durability::Fast).unwrap();
        if i == 99 || i == 119 {
            store.flush().unwrap();
        }
    }
}

/// A golden file: the log is in its second version, which carries series over; the other formats
/// are in their first.
fn golden(name: &str, log: &str) -> PathBuf {
    let version = if name.starts_with("wal-") { log } else { "v1" };
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/testdata")
        .join(version)
        .join(name)
}

fn bytes_of(disk: &SimDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; file.bytes() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn the_same_samples_give_the_same_bytes_as_ever() {
    let disk = SimDisk::default();
    write(&open(&disk));
    let names: Vec<String> = disk.names().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, FILES);
    for name in FILES {
        let (path, today) = (golden(name, "v2"), bytes_of(&disk, name));
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            std::fs::write(&path, &today).unwrap();
        }
        let golden = std::fs::read(&path).unwrap();
        assert!(
            golden.len() < 4096,
            "{name} is to stay small: {}",
            golden.len()
        );
        assert!(golden == today, "{name} differs from its golden file");
    }
}

/// Deletes of every kind of matcher, over two parts.
fn tombstones() -> SimDisk {
    let disk = SimDisk::default();
    let store = open(&disk);
    write(&store);
    let matcher = |op, value: &str| Matcher::new("job", op, value).unwrap();
    let odd = vec![
        Matcher::equal("__name__", "odd"),
        matcher(MatchOp::NotEqual, "b"),
    ];
    let others = vec![
        matcher(MatchOp::Regex, "a|b.*"),
        matcher(MatchOp::NotRegex, "c"),
    ];
    store.delete(&[odd], i64::MIN, START_MS + 9_000).unwrap();
    store
        .delete(&[others], START_MS + 20_000, START_MS + 20_999)
        .unwrap();
    disk
}

#[test]
fn tombstones_are_written_and_read_as_ever() {
    let today = bytes_of(&tombstones(), "TOMBSTONES");
    let path = golden("TOMBSTONES", "v1");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &today).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    assert!(golden == today, "TOMBSTONES differs from its golden file");
    let disk = tombstones();
    let before = everything(&open(&disk));
    disk.damage("TOMBSTONES", |bytes| bytes.clone_from(&golden));
    let store = open(&disk);
    assert_eq!(
        (store.stats().tombstones, store.stats().tombstones_corrupt),
        (2, 0)
    );
    let after = everything(&store);
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    let samples = |series: &[model::Series]| series.iter().map(|s| s.times_ms.len()).sum::<usize>();
    // 130 samples of six series and 10 histograms, less ten, less one of each of the six.
    assert_eq!(samples(&after), 6 * 130 + 10 - 10 - 6);
}

/// A log with one batch whose exemplars are a known answer, drawn in `docs/formats/wal.md`.
fn with_exemplars() -> (SimDisk, Vec<Exemplar>) {
    let (disk, up) = (SimDisk::default(), labels("up", "a"));
    let exemplar = |trace: &[(&str, &str)], value, time_ms| Exemplar {
        series: up.clone(),
        labels: Labels::from_pairs(trace.iter().copied()),
        value,
        time_ms,
    };
    let exemplars = vec![
        exemplar(&[("trace_id", "4bf9")], 1.0, START_MS),
        exemplar(&[], -0.0, START_MS + 1),
    ];
    let batch = Batch {
        samples: vec![Sample::float(up.clone(), START_MS, 1.0)],
        exemplars: exemplars.clone(),
        ..Batch::default()
    };
    let stored = open(&disk).append(&batch, Durability::Sync).unwrap();
    assert_eq!(stored.exemplars, 2);
    (disk, exemplars)
}

#[test]
fn exemplars_are_written_and_read_as_ever() {
    const LOG: &str = "wal-0000000001.log";
    let (disk, exemplars) = with_exemplars();
    let (path, today) = (golden("wal-exemplars.log", "v2"), bytes_of(&disk, LOG));
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &today).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    assert!(golden == today, "the log differs from its golden file");
    disk.damage(LOG, |bytes| bytes.clone_from(&golden));
    let store = open(&disk);
    assert_eq!(store.stats().wal_truncated, 0);
    let every = [vec![Matcher::equal("__name__", "up")]];
    let found = store.exemplars(&every, i64::MIN, i64::MAX).unwrap();
    assert_eq!(format!("{found:?}"), format!("{exemplars:?}"), "-0 as well");
}

#[test]
fn files_written_by_earlier_code_read_as_what_was_written() {
    check_old("v1");
    check_old("v2");
}

fn check_old(version: &str) {
    let disk = SimDisk::default();
    for name in FILES {
        let golden = std::fs::read(golden(name, version)).unwrap();
        let file = disk.create(name).unwrap();
        file.append(&golden).unwrap();
        file.sync().unwrap();
    }
    disk.sync_dir().unwrap();
    let (old, fresh) = (open(&disk), SimDisk::default());
    let new = open(&fresh);
    write(&new);
    let bits = |store: &Store| {
        let series = everything(store).into_iter().map(|s| {
            let samples: Vec<_> = pairs(&s)
                .into_iter()
                .map(|(t, v)| (t, v.to_bits()))
                .collect();
            (s.labels, samples, s.histograms)
        });
        series.collect::<Vec<_>>()
    };
    assert_eq!(bits(&old), bits(&new));
    assert_eq!(old.metadata(None).unwrap(), new.metadata(None).unwrap());
    let stats = old.stats();
    assert_eq!(
        (stats.parts, stats.wal_truncated, stats.manifest_rebuilt),
        (2, 0, 0)
    );
}
