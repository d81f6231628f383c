//! The queue on the disk: order, bounds, crashes, damage.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use collect::spill::{Batching, Overflow, Spill, SpillConfig, SpillError, Window};
use model::{
    Batch, Exemplar, Histogram, Labels, Metadata, MetricType, ResetHint, Sample, Span, Value,
};
use proptest::prelude::*;
use testkit::VirtualClock;

/// Everything there is, at once.
const NOW: Batching = Batching {
    samples_max: usize::MAX,
    delay_max: Duration::ZERO,
};

fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "m".to_owned()), ("i", series.to_string())])
}

/// One sample of each of so many series, all with this value.
fn batch(series: usize, value: f64) -> Batch {
    Batch {
        samples: (0..series)
            .map(|i| Sample::float(labels(i), value as i64 * 1_000, value))
            .collect(),
        ..Batch::default()
    }
}

fn small(folder: &Path) -> SpillConfig {
    SpillConfig {
        bytes_max: 64 << 10,
        ..SpillConfig::new(folder)
    }
}

fn open(config: &SpillConfig) -> Spill {
    Spill::open(config.clone(), Arc::new(VirtualClock::at(1_000_000))).unwrap()
}

fn take(spill: &Spill) -> Window {
    spill.take(NOW).unwrap().expect("it is not closed")
}

fn values(batch: &Batch) -> Vec<f64> {
    let value = |sample: &Sample| match sample.value {
        Value::Float(value) => value,
        Value::Histogram(_) => f64::NAN,
    };
    batch.samples.iter().map(value).collect()
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut segments: Vec<PathBuf> = names
        .filter(|p| p.extension().is_some_and(|e| e == "seg"))
        .collect();
    segments.sort();
    segments
}

#[test]
fn batches_are_taken_in_order_and_committed_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpillConfig::new(folder.path());
    let spill = open(&config);
    for value in 0..10 {
        assert!(spill.append(&batch(3, f64::from(value))).unwrap());
    }
    let some = Batching {
        samples_max: 12,
        ..NOW
    };
    let first = spill.take(some).unwrap().unwrap();
    assert_eq!(
        values(&first.batch),
        [0., 0., 0., 1., 1., 1., 2., 2., 2., 3., 3., 3.]
    );
    let second = take(&spill);
    assert_eq!(second.batch.samples.len(), 18);
    assert_eq!(spill.stats().queued, 30, "taken is not acknowledged");
    spill.commit(&first).unwrap();
    assert_eq!(spill.stats().queued, 18);
    drop(spill);
    let again = open(&config);
    assert_eq!(
        again.stats().recovered,
        18,
        "what was not committed is there again"
    );
    assert_eq!(take(&again).batch, second.batch);
}

#[test]
fn a_window_waits_for_others_but_not_too_long() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(VirtualClock::at(1_000_000));
    let spill = Spill::open(SpillConfig::new(folder.path()), clock.clone()).unwrap();
    let batching = Batching {
        samples_max: 100,
        delay_max: Duration::from_secs(5),
    };
    std::thread::scope(|scope| {
        let taking = scope.spawn(|| spill.take(batching).unwrap().unwrap());
        spill.append(&batch(40, 1.0)).unwrap();
        spill.append(&batch(40, 2.0)).unwrap();
        clock.advance(4_000);
        assert!(!taking.is_finished(), "80 samples, 4 s");
        spill.append(&batch(40, 3.0)).unwrap();
        assert_eq!(
            taking.join().unwrap().batch.samples.len(),
            120,
            "enough samples"
        );
        let taking = scope.spawn(|| spill.take(batching).unwrap().unwrap());
        spill.append(&batch(1, 4.0)).unwrap();
        clock.advance(5_000);
        assert_eq!(taking.join().unwrap().batch.samples.len(), 1, "enough time");
    });
}

#[test]
fn a_full_queue_drops_its_oldest_and_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(folder.path());
    let spill = open(&config);
    for value in 0..200 {
        assert!(spill.append(&batch(100, f64::from(value))).unwrap());
    }
    let stats = spill.stats();
    assert!(stats.bytes <= config.bytes_max, "{stats:?}");
    let on_disk: u64 = segments(folder.path())
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    assert_eq!(on_disk, stats.bytes, "the bound is of what is on the disk");
    assert!(stats.dropped_oldest > 0);
    assert_eq!(
        stats.queued + stats.dropped_oldest,
        20_000,
        "none is unaccounted for"
    );
    let left = take(&spill);
    assert_eq!(left.batch.samples.len() as u64, stats.queued);
    assert_eq!(values(&left.batch).last(), Some(&199.0));
    spill.commit(&left).unwrap();
    assert_eq!(spill.stats().queued, 0);
}

#[test]
fn a_full_queue_can_drop_what_is_newest() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpillConfig {
        overflow: Overflow::DropNewest,
        ..small(folder.path())
    };
    let spill = open(&config);
    let taken = (0..200)
        .filter(|value| spill.append(&batch(100, f64::from(*value))).unwrap())
        .count() as u64;
    let stats = spill.stats();
    assert!(taken < 200 && stats.bytes <= config.bytes_max, "{stats:?}");
    assert_eq!(stats.dropped_newest, (200 - taken) * 100);
    let window = take(&spill);
    assert_eq!(
        values(&window.batch).first(),
        Some(&0.0),
        "the oldest are there"
    );
    assert_eq!(window.batch.samples.len() as u64, taken * 100);
    spill.commit(&window).unwrap();
    assert!(spill.append(&batch(100, 1.0)).unwrap(), "room again");
    assert_eq!(take(&spill).batch.samples.len(), 100);
}

#[test]
fn a_full_queue_can_make_the_writer_wait() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpillConfig {
        overflow: Overflow::Block,
        ..small(folder.path())
    };
    let spill = open(&config);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for value in 0..300 {
                assert!(spill.append(&batch(100, f64::from(value))).unwrap());
            }
        });
        let mut seen = Vec::new();
        while seen.len() < 30_000 {
            let window = take(&spill);
            assert!(spill.stats().bytes <= config.bytes_max);
            seen.extend(values(&window.batch));
            spill.commit(&window).unwrap();
        }
        writing.join().unwrap();
        let want: Vec<f64> = (0..30_000).map(|i| f64::from(i / 100)).collect();
        assert_eq!(seen, want, "nothing is lost, in order");
    });
    assert_eq!(
        spill.stats().dropped_newest + spill.stats().dropped_oldest,
        0
    );
}

/// The value of a record's first sample: the round it was written in.
fn round_of(of_one: &[Sample]) -> f64 {
    match of_one[0].value {
        Value::Float(value) => value,
        Value::Histogram(_) => f64::NAN,
    }
}

#[test]
fn writers_that_wait_do_not_spoil_each_others_records() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpillConfig {
        overflow: Overflow::Block,
        ..small(folder.path())
    };
    let spill = open(&config);
    const EACH: usize = 60;
    let write = |writer: usize| {
        for round in 0..EACH {
            // Series of its own, some of them new each time.
            let series = |i: usize| labels(writer * 100_000 + round * 50 + i);
            let samples = (0..100).map(|i| Sample::float(series(i), 1, round as f64));
            let batch = Batch {
                samples: samples.collect(),
                ..Batch::default()
            };
            assert!(spill.append(&batch).unwrap());
        }
    };
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let write = &write;
            scope.spawn(move || write(writer));
        }
        let mut seen = 0;
        while seen < 3 * EACH * 100 {
            let window = take(&spill);
            seen += window.batch.samples.len();
            for of_one in window.batch.samples.chunks(100) {
                let value =
                    |s: &Sample| matches!(s.value, Value::Float(v) if v == round_of(of_one));
                assert!(of_one.iter().all(value), "a record in one piece");
                let number = |s: &Sample| s.labels.get("i").unwrap().parse::<usize>().unwrap();
                let first = number(&of_one[0]);
                assert_eq!(first % 100_000, round_of(of_one) as usize * 50);
                let rises = of_one
                    .iter()
                    .enumerate()
                    .all(|(i, s)| number(s) == first + i);
                assert!(rises, "each with its own labels");
            }
            spill.commit(&window).unwrap();
        }
    });
    let stats = spill.stats();
    assert_eq!((stats.damaged_bytes, stats.queued), (0, 0), "{stats:?}");
}

#[test]
fn a_closed_queue_takes_no_more_and_gives_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let spill = open(&SpillConfig::new(folder.path()));
    spill.append(&batch(2, 1.0)).unwrap();
    spill.close().unwrap();
    assert!(matches!(
        spill.append(&batch(1, 2.0)),
        Err(SpillError::Closed)
    ));
    let patient = Batching {
        samples_max: 1_000,
        delay_max: Duration::from_secs(3_600),
    };
    assert_eq!(spill.take(patient).unwrap().unwrap().batch.samples.len(), 2);
    assert_eq!(spill.take(patient).unwrap(), None);
}

#[test]
fn one_process_has_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpillConfig::new(folder.path());
    let first = open(&config);
    let clock = Arc::new(VirtualClock::at(0));
    let second = Spill::open(config.clone(), clock);
    assert!(matches!(second, Err(SpillError::Locked { .. })));
    drop(first);
    open(&config);
}

#[test]
fn a_torn_tail_is_cut_off_and_the_rest_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpillConfig::new(folder.path());
    let spill = open(&config);
    for value in 0..5 {
        spill.append(&batch(10, f64::from(value))).unwrap();
    }
    drop(spill);
    let segment = segments(folder.path()).remove(0);
    let whole = fs::read(&segment).unwrap();
    // The last record is torn at each of its bytes in turn.
    let records = 5;
    for cut in whole.len() - 40..whole.len() {
        fs::write(&segment, &whole[..cut]).unwrap();
        let spill = open(&config);
        assert_eq!(
            take(&spill).batch.samples.len(),
            (records - 1) * 10,
            "cut at {cut}"
        );
        assert!(spill.stats().damaged_bytes > 0);
    }
}

#[test]
fn damage_in_the_middle_is_never_taken_for_samples() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpillConfig::new(folder.path());
    let spill = open(&config);
    for value in 0..5 {
        spill.append(&batch(10, f64::from(value))).unwrap();
    }
    let all = values(&take(&spill).batch);
    drop(spill);
    let segment = segments(folder.path()).remove(0);
    let whole = fs::read(&segment).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        for later in segments(folder.path()) {
            fs::remove_file(later).unwrap();
        }
        fs::write(&segment, &flipped).unwrap();
        let spill = open(&config);
        assert!(spill.stats().damaged_bytes > 0, "byte {at} goes unnoticed");
        spill.append(&batch(1, 77.0)).unwrap();
        let mut found = values(&take(&spill).batch);
        assert_eq!(found.pop(), Some(77.0), "the queue goes on");
        assert_eq!(found, all[..found.len()], "a prefix of what was written");
    }
}

#[test]
fn a_lost_cursor_means_more_is_sent_again_never_less() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpillConfig::new(folder.path());
    let spill = open(&config);
    spill.append(&batch(10, 1.0)).unwrap();
    let window = take(&spill);
    spill.commit(&window).unwrap();
    spill.append(&batch(10, 2.0)).unwrap();
    drop(spill);
    let cursor = folder.path().join("CURSOR");
    let whole = fs::read(&cursor).unwrap();
    let spill = open(&config);
    assert_eq!(spill.stats().queued, 10);
    drop(spill);
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        fs::write(&cursor, &flipped).unwrap();
        assert_eq!(open(&config).stats().queued, 20, "byte {at}");
    }
}

#[test]
fn what_a_crash_leaves_half_written_does_not_stop_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpillConfig::new(folder.path());
    let spill = open(&config);
    spill.append(&batch(10, 1.0)).unwrap();
    drop(spill);
    let segment = segments(folder.path()).remove(0);
    let mut file = OpenOptions::new().append(true).open(&segment).unwrap();
    file.write_all(&[0xff; 100]).unwrap();
    fs::write(folder.path().join("spill-0000000002.seg"), b"AUSE").unwrap();
    let spill = open(&config);
    spill.append(&batch(10, 2.0)).unwrap();
    let found = values(&take(&spill).batch);
    assert_eq!(found.len(), 20);
    assert_eq!(spill.stats().damaged_bytes, 104);
}

fn rich() -> Batch {
    let histogram = Histogram {
        schema: -53,
        count: 5.0,
        sum: model::stale_nan(),
        positive_spans: vec![Span {
            offset: 1,
            length: 2,
        }],
        positive_buckets: vec![2.0, 3.0],
        custom_values: vec![0.1, 1.0, 10.0],
        reset_hint: ResetHint::Gauge,
        ..Histogram::default()
    };
    let odd = [-0.0, f64::INFINITY, 1.5, 1e-300];
    let mut samples: Vec<Sample> = (0..)
        .zip(odd)
        .map(|(i, value)| Sample::float(labels(i), 1_790_000_000_000 + i as i64, value))
        .collect();
    samples.push(Sample {
        labels: labels(9),
        time_ms: -5,
        value: Value::Histogram(Arc::new(histogram)),
    });
    Batch {
        samples,
        metadata: vec![Metadata {
            family: "m".into(),
            metric_type: MetricType::GaugeHistogram,
            help: "grün".into(),
            unit: "bytes".into(),
        }],
        exemplars: vec![Exemplar {
            series: labels(1),
            labels: Labels::from_pairs([("trace_id", "abc")]),
            value: 0.25,
            time_ms: 1_790_000_000_001,
        }],
        ..Batch::default()
    }
}

/// Histograms with a NaN sum are not equal to themselves: compared as text.
fn text(batch: &Batch) -> String {
    format!("{batch:?}")
}

#[test]
fn everything_a_batch_holds_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let spill = open(&SpillConfig::new(folder.path()));
    spill.append(&rich()).unwrap();
    assert_eq!(text(&take(&spill).batch), text(&rich()));
    let Value::Histogram(h) = &rich().samples[4].value else {
        panic!("the fifth is one");
    };
    assert!(model::is_stale(h.sum));
}

/// Today's code reads the golden segment and writes it again to the same bytes.
/// `UPDATE_GOLDENS=1` writes it anew, for a new version of the format.
#[test]
fn the_format_does_not_move() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/testdata/spill");
    let folder = tempfile::tempdir().unwrap();
    let spill = open(&SpillConfig::new(folder.path()));
    spill.append(&rich()).unwrap();
    spill.append(&batch(3, 2.0)).unwrap();
    let window = take(&spill);
    spill.commit(&window).unwrap();
    for name in ["spill-0000000001.seg", "CURSOR"] {
        let written = fs::read(folder.path().join(name)).unwrap();
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            fs::create_dir_all(&golden).unwrap();
            fs::write(golden.join(name), &written).unwrap();
        }
        let kept = fs::read(golden.join(name)).expect("the golden file is there");
        assert_eq!(written, kept, "{name}");
    }
    let again = tempfile::tempdir().unwrap();
    let segment = "spill-0000000001.seg";
    fs::copy(golden.join(segment), again.path().join(segment)).unwrap();
    let read = take(&open(&SpillConfig::new(again.path()))).batch;
    assert_eq!(text(&read), text(&window.batch));
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Take(usize),
    Commit,
    /// The process dies and starts again.
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..40).prop_map(Step::Append),
        3 => (1_usize..80).prop_map(Step::Take),
        3 => Just(Step::Commit),
        1 => Just(Step::Die),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever happens in between, what was appended is delivered, in order, at least once, and
    /// what was committed is never delivered again in the same life.
    #[test]
    fn nothing_is_lost_or_out_of_order(steps in prop::collection::vec(step(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let config = SpillConfig { segment_bytes: 2_000, ..SpillConfig::new(folder.path()) };
        let mut spill = open(&config);
        let (mut appended, mut committed, mut read) = (0_usize, 0_usize, 0_usize);
        let mut taken: Option<Window> = None;
        for step in steps {
            match step {
                Step::Append(count) => {
                    let sample = |i: usize| Sample::float(labels(i % 7), i as i64, i as f64);
                    let samples = (appended..appended + count).map(sample).collect();
                    spill.append(&Batch { samples, ..Batch::default() }).unwrap();
                    appended += count;
                }
                Step::Take(samples_max) if taken.is_none() && read < appended => {
                    let window = spill.take(Batching { samples_max, ..NOW }).unwrap().unwrap();
                    let want: Vec<f64> =
                        (read..read + window.batch.samples.len()).map(|i| i as f64).collect();
                    prop_assert_eq!(values(&window.batch), want);
                    read += window.batch.samples.len();
                    taken = Some(window);
                }
                Step::Commit => if let Some(window) = taken.take() {
                    spill.commit(&window).unwrap();
                    committed = read;
                },
                Step::Die => {
                    drop(spill);
                    spill = open(&config);
                    taken = None;
                    read = committed;
                }
                Step::Take(_) => {}
            }
            prop_assert_eq!(spill.stats().queued, (appended - committed) as u64);
        }
    }
}
