//! Figures of the store: ingest, bytes a sample, memory a series, point queries.
//!
//! `cargo bench -p store --bench store [-- ingest|feed|size|mix|query|postings|memory|restart]`. CPU seconds of the whole process,
//! threads included, without what building the input costs: wall time lies on a shared machine.
//! Each figure is one line of JSON.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use model::{
    Batch, Clock, Durability, Labels, Matcher, Sample, SampleSink as _, Selection,
    SeriesReader as _,
};
use store::{Config, Delivery, Store};

#[path = "store/memory.rs"]
mod memory;
#[path = "store/mix.rs"]
mod mix;
#[path = "store/postings.rs"]
mod postings;

/// A wall clock that stands, and time that passes as the machine's does.
#[derive(Debug)]
struct BenchClock {
    wall_ms: i64,
    begun: Instant,
}

const START_MS: i64 = 1_790_000_000_000;
const DAY_MS: i64 = 86_400_000;
const FUTURE: Duration = Duration::from_secs(400 * 86_400);

impl Clock for BenchClock {
    fn wall_ms(&self) -> i64 {
        self.wall_ms
    }

    fn monotonic(&self) -> Duration {
        self.begun.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

/// Nanoseconds of CPU: the first field of `schedstat`, of all threads or of this one.
fn cpu_of(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|ns| ns.parse().ok())
        .unwrap_or(0)
}

fn process_cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux lists a process's threads");
    let cpu = |task: fs::DirEntry| cpu_of(&task.path().join("schedstat"));
    Duration::from_nanos(tasks.flatten().map(cpu).sum())
}

fn thread_cpu() -> Duration {
    Duration::from_nanos(cpu_of(Path::new("/proc/thread-self/schedstat")))
}

/// Resident memory, bytes.
fn resident() -> u64 {
    status("VmRSS:")
}

/// A size of this process, bytes.
fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with(field));
    let kb = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kb.unwrap_or(0) * 1024
}

fn open(dir: &Path, config: Config) -> Store {
    open_at(START_MS, dir, config)
}

/// A store on a day: what lies before it, an hour and more, is merged as whole days.
fn open_at(wall_ms: i64, dir: &Path, config: Config) -> Store {
    let config = Config {
        future_max: FUTURE,
        ballast_bytes: 0,
        ..config
    };
    let begun = now();
    let clock = Arc::new(BenchClock { wall_ms, begun });
    Store::open(dir, config, clock).expect("a fresh directory opens")
}

/// Label bytes of a series as a scrape of many hosts has them.
fn series_bytes(i: usize) -> Vec<u8> {
    let (host, metric) = (i / 100, i % 100);
    let labels = Labels::from_pairs([
        (
            "__name__",
            format!("node_subsystem{}_operations_total", metric % 50),
        ),
        ("instance", format!("host-{host:05}.example.net:9100")),
        ("job", "node".to_owned()),
        ("region", format!("region-{}", host % 7)),
        ("device", format!("device{}", metric / 50)),
        ("mode", "busy".to_owned()),
    ]);
    labels.as_bytes().to_vec()
}

/// A value of one of a few kinds: counters, percentages, constants.
fn value(series: usize, step: usize) -> f64 {
    let noise = ((series * 7919 + step * 104_729) % 1000) as f64;
    match series % 4 {
        0 => (step * 1500) as f64 + noise,
        1 => (noise / 10.0).round() / 10.0,
        2 => (series % 100) as f64,
        _ => 4096.0 * noise,
    }
}

/// One scrape's samples, `size` at a time; labels are fresh copies, as from the wire.
fn batch(series: &[Vec<u8>], first: usize, size: usize, step: usize) -> Batch {
    let samples = series[first..(first + size).min(series.len())]
        .iter()
        .enumerate();
    let sample = |(i, bytes): (usize, &Vec<u8>)| {
        let labels = Labels::from_bytes(bytes).expect("canonical bytes");
        Sample::float(
            labels,
            START_MS + step as i64 * 15_000,
            value(first + i, step),
        )
    };
    Batch {
        samples: samples.map(sample).collect(),
        ..Batch::default()
    }
}

fn ingest(series_count: usize, steps: usize, dir: &Path) {
    let series: Vec<Vec<u8>> = (0..series_count).map(series_bytes).collect();
    let resident_before = resident();
    let store = open(dir, Config::default());
    let (start, mut generating) = (process_cpu(), Duration::ZERO);
    let mut resident_head = 0;
    for step in 0..steps {
        for first in (0..series_count).step_by(2000) {
            let before = thread_cpu();
            let batch = batch(&series, first, 2000, step);
            generating += thread_cpu().saturating_sub(before);
            let stored = store
                .append(&batch, Durability::Fast)
                .expect("the disk has room");
            assert_eq!(stored.stored, batch.samples.len() as u64, "all are stored");
            // Dropping the input is the giver's cost, too.
            let before = thread_cpu();
            drop(batch);
            generating += thread_cpu().saturating_sub(before);
        }
        resident_head = resident_head.max(resident());
    }
    let appended = process_cpu()
        .saturating_sub(start)
        .saturating_sub(generating);
    let head_bytes = store.head_bytes();
    let head_samples = store.stats().head_samples;
    store.flush().expect("the disk has room");
    let cpu = process_cpu()
        .saturating_sub(start)
        .saturating_sub(generating);
    let samples = (series_count * steps) as f64;
    let per_series = resident_head.saturating_sub(resident_before) / series_count as u64;
    println!(
        "{{\"figure\":\"ingest\",\"series\":{series_count},\"samples\":{samples},\
         \"M_samples_per_cpu_s\":{:.2},\"with_last_flush\":{:.2},\"flushes\":{},\
         \"resident_bytes_per_series\":{per_series},\"head_bytes_per_series\":{},\
         \"head_samples_per_series\":{:.1}}}",
        samples / appended.as_secs_f64() / 1e6,
        samples / cpu.as_secs_f64() / 1e6,
        store.stats().flushes,
        head_bytes / series_count,
        head_samples as f64 / series_count as f64,
    );
}

/// What the change feed costs the one who writes, and what a subscriber costs that takes
/// everything, both by thread: appends with and without it take turns.
fn feed(dir: &Path) {
    const SERIES: usize = 10_000;
    const STEPS: usize = 60;
    const ROUNDS: usize = 5;
    let series: Vec<Vec<u8>> = (0..SERIES).map(series_bytes).collect();
    let (mut alone, mut heard, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..2 * ROUNDS {
        let quiet = Config {
            background: false,
            ..Config::default()
        };
        let store = open(&dir.join(round.to_string()), quiet);
        let mut subscriber = (round % 2 == 1).then(|| store.feed().subscribe(Vec::new()));
        let (mut appending, mut taking) = (Duration::ZERO, Duration::ZERO);
        for step in 0..STEPS {
            for first in (0..SERIES).step_by(2000) {
                let batch = batch(&series, first, 2000, step);
                let before = thread_cpu();
                store
                    .append(&batch, Durability::Fast)
                    .expect("the disk has room");
                let appended = thread_cpu();
                let points = subscriber.as_mut().map(|subscriber| {
                    let all = std::iter::from_fn(|| subscriber.take());
                    all.map(|delivery| match delivery {
                        Delivery::Points { shown, .. } => shown.len(),
                        Delivery::Missed(missed) => panic!("{missed} missed"),
                    })
                    .sum::<usize>()
                });
                taking += thread_cpu().saturating_sub(appended);
                appending += appended.saturating_sub(before);
                assert!(points.is_none_or(|points| points == batch.samples.len()));
            }
        }
        let ns = |cpu: Duration| cpu.as_secs_f64() * 1e9 / (SERIES * STEPS) as f64;
        if subscriber.is_some() {
            heard.push(ns(appending));
            taken.push(ns(taking));
        } else {
            alone.push(ns(appending));
        }
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "{{\"figure\":\"feed\",\"append_ns_per_sample\":{:.0},\"with_a_subscriber\":{:.0},\
         \"subscriber_ns_per_sample\":{:.1}}}",
        median(alone),
        median(heard),
        median(taken),
    );
}

/// The recording of one host at 1 s: `(time, series, value)` a line; see its README.
fn recording() -> Option<Vec<Batch>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/node_1s/node_1s.txt.gz");
    let file = fs::File::open(path).ok()?;
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    let mut batches: Vec<Batch> = Vec::new();
    let mut time_ms = 0;
    for line in lines {
        let line = line.ok()?;
        if let Some(time) = line.strip_prefix("#T ") {
            time_ms = time.parse().ok()?;
            batches.push(Batch::default());
            continue;
        }
        let (series, value) = line.rsplit_once(' ')?;
        let sample = Sample::float(parse_series(series), time_ms, value.parse().ok()?);
        batches.last_mut()?.samples.push(sample);
    }
    Some(batches)
}

/// `name{a="b",c="d"}`, without escapes: the recording has none.
fn parse_series(text: &str) -> Labels {
    let (name, rest) = text.split_once('{').unwrap_or((text, ""));
    let pairs = rest.trim_end_matches('}').split("\",").filter_map(|pair| {
        let (name, value) = pair.split_once("=\"")?;
        Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
    });
    Labels::from_pairs(std::iter::once(("__name__".to_owned(), name.to_owned())).chain(pairs))
}

fn size(whole_seconds: bool, dir: &Path) {
    let Some(mut batches) = recording() else {
        println!("{{\"figure\":\"size\",\"skipped\":\"no recording beside the repository\"}}");
        return;
    };
    if whole_seconds {
        let first = batches[0].samples[0].time_ms / 1000 * 1000;
        for (i, batch) in batches.iter_mut().enumerate() {
            for sample in &mut batch.samples {
                sample.time_ms = first + i as i64 * 1000;
            }
        }
    }
    let config = Config {
        background: false,
        ..Config::default()
    };
    let last_ms = batches[batches.len() - 1].samples[0].time_ms;
    let store = open_at(last_ms + 3 * DAY_MS, dir, config);
    for batch in &batches {
        store
            .append(batch, Durability::Fast)
            .expect("the disk has room");
    }
    let before = process_cpu();
    store.flush().expect("the disk has room");
    let flush = process_cpu().saturating_sub(before);
    let flushed = store.stats();
    // A sample two days later ends the day: the merge codes it as small as it can.
    let last = &batches[batches.len() - 1].samples[0];
    let later = Sample::float(last.labels.clone(), last.time_ms + 2 * DAY_MS, 1.0);
    store
        .append(
            &Batch {
                samples: vec![later],
                ..Batch::default()
            },
            Durability::Fast,
        )
        .expect("the disk has room");
    let before = process_cpu();
    let merges = store.compact().expect("the parts check");
    let merge = process_cpu().saturating_sub(before);
    assert!(merges > 0, "the day is merged");
    let merged = store.stats();
    let samples = flushed.part_samples as f64;
    let per_sample = |bytes: u64| bytes as f64 / samples;
    println!(
        "{{\"figure\":\"size\",\"whole_seconds\":{whole_seconds},\"samples\":{samples},\
         \"flushed_bytes_per_sample\":{:.3},\"merged_bytes_per_sample\":{:.3},\
         \"of_it_index\":{:.3},\"flush_M_per_cpu_s\":{:.1},\"merge_M_per_cpu_s\":{:.1}}}",
        per_sample(flushed.chunk_bytes + flushed.index_bytes),
        per_sample(merged.chunk_bytes + merged.index_bytes),
        per_sample(merged.index_bytes),
        samples / flush.as_secs_f64() / 1e6,
        samples / merge.as_secs_f64() / 1e6,
    );
}

fn query(dir: &Path) {
    let series: Vec<Vec<u8>> = (0..10_000).map(series_bytes).collect();
    let store = open(
        dir,
        Config {
            background: false,
            ..Config::default()
        },
    );
    for step in 0..480 {
        store
            .append(&batch(&series, 0, 10_000, step), Durability::Fast)
            .expect("there is room");
        if step == 239 {
            store.flush().expect("there is room");
        }
    }
    for (place, step) in [("part", 100), ("head", 400)] {
        let (start, mut times) = (process_cpu(), Vec::new());
        for i in 0..2000 {
            let labels = Labels::from_bytes(&series[i * 5]).expect("canonical bytes");
            let matchers = labels.iter().map(|(n, v)| Matcher::equal(n, v)).collect();
            let to_ms = START_MS + step * 15_000;
            let selection = Selection {
                matchers,
                from_ms: to_ms - 300_000,
                to_ms,
            };
            let begun = now();
            let found = store
                .select(&selection)
                .expect("parts are readable")
                .count();
            times.push(begun.elapsed());
            assert_eq!(found, 1, "one series");
        }
        times.sort_unstable();
        println!(
            "{{\"figure\":\"point_query\",\"from\":\"{place}\",\"cpu_us\":{:.1},\
             \"p50_us\":{:.1},\"p99_us\":{:.1}}}",
            process_cpu().saturating_sub(start).as_secs_f64() * 1e6 / 2000.0,
            times[1000].as_secs_f64() * 1e6,
            times[1980].as_secs_f64() * 1e6,
        );
    }
}

/// What a map of the file into memory could save at most: the system call that reads a column.
fn column_reads(dir: &Path) {
    use std::os::unix::fs::FileExt as _;
    const READS: u64 = 50_000;
    const COLUMN: usize = 600;
    let parts = fs::read_dir(dir).expect("the store is there").flatten();
    let part = parts
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "prt"));
    let file = fs::File::open(part.expect("a part was flushed")).expect("it is readable");
    let places = file.metadata().expect("it is there").len() - COLUMN as u64;
    let before = process_cpu();
    let mut noise = mix::Noise(1);
    for _ in 0..READS {
        let mut column = vec![0; COLUMN];
        file.read_exact_at(&mut column, noise.below(places))
            .expect("it is readable");
        assert_eq!(std::hint::black_box(column).len(), COLUMN, "read whole");
    }
    let cpu = process_cpu().saturating_sub(before).as_secs_f64() * 1e6;
    println!(
        "{{\"figure\":\"pread\",\"bytes\":{COLUMN},\"cpu_us\":{:.2}}}",
        cpu / READS as f64
    );
}

fn main() {
    if let [_, task, dir] = std::env::args().collect::<Vec<_>>().as_slice()
        && memory::task(task, Path::new(dir))
    {
        return;
    }
    let wanted = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    let wants = |name: &str| wanted.as_ref().is_none_or(|w| w == name);
    let dir = tempfile::tempdir().expect("a directory for temporary files");
    let sub = |name: &str| dir.path().join(name);
    if wants("size") {
        size(false, &sub("recorded"));
        size(true, &sub("whole"));
    }
    if wants("mix") {
        mix::run(&sub("mix"));
    }
    if wants("postings") {
        postings::run(&sub("postings"));
    }
    if wants("memory") {
        memory::memory(&sub("memory"));
    }
    if wants("restart") {
        memory::restart(&sub("restart"));
    }
    if wants("query") {
        query(&sub("query"));
        column_reads(&sub("query"));
    }
    if wants("feed") {
        feed(&sub("feed"));
    }
    if wants("ingest") {
        ingest(10_000, 400, &sub("10k"));
        ingest(200_000, 40, &sub("200k"));
    }
}
