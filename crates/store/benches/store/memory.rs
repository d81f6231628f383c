//! Memory a series, and what a restart costs: each in a process of its own, so that what is
//! measured is the store's and nothing was freed and kept by the allocator before.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use model::{
    Batch, Durability, Labels, Matcher, Sample, SampleSink as _, Selection, SeriesReader as _,
};
use store::{Config, Store};

use crate::{START_MS, mix::Noise, now, open, process_cpu, resident, series_bytes};

/// Samples a batch, as remote write sends them.
const BATCH: usize = 2000;

/// What a series' values are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Two decimals of noise: 7 bytes a sample while open, 1.4 compressed.
    Noisy,
    /// Random bits: nothing compresses them.
    Random,
    /// As `Noisy`; a tenth of the series is replaced every 60 steps.
    Churny,
}

/// How fast samples come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// As fast as they can be made: flushes run beside hundreds of scrapes.
    Flood,
    /// As if a scrape's interval passed after each: what upkeep is due is done before the next.
    OfTheSource,
}

fn value(kind: Kind, noise: &mut Noise) -> f64 {
    match kind {
        Kind::Noisy | Kind::Churny => (2000 + noise.below(1900)) as f64 / 100.0,
        Kind::Random => noise.unit(),
    }
}

/// Feeds `steps` scrapes of `count` series, `step_ms` apart; the greatest resident memory.
fn feed(
    store: &Store,
    (count, steps, step_ms): (usize, usize, i64),
    kind: Kind,
    pace: Pace,
) -> u64 {
    let mut noise = Noise(7);
    let mut peak = 0;
    for step in 0..steps {
        // Of churning series number i lives on as number i + count when its time comes.
        let age = |i: usize| {
            let turn = step / 60;
            if kind == Kind::Churny {
                (turn + 9 - i % 10) / 10
            } else {
                0
            }
        };
        for first in (0..count).step_by(BATCH) {
            let samples = (first..(first + BATCH).min(count)).map(|i| {
                let bytes = series_bytes(i + age(i) * count);
                let labels = Labels::from_bytes(&bytes).expect("canonical bytes");
                let time_ms = START_MS + step as i64 * step_ms;
                Sample::float(labels, time_ms, value(kind, &mut noise))
            });
            let batch = Batch {
                samples: samples.collect(),
                ..Batch::default()
            };
            store
                .append(&batch, Durability::Fast)
                .expect("there is room");
        }
        if pace == Pace::OfTheSource {
            store.maintain().expect("there is room");
        }
        peak = peak.max(resident());
    }
    peak
}

/// Runs this program again for one task and gives its first line; `kill` ends it right there.
fn child(task: &str, dir: &Path, kill: bool) -> String {
    let program = std::env::current_exe().expect("this program has a path");
    let mut child = Command::new(program)
        .args([task.as_ref(), dir.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts again");
    let stdout = child.stdout.take().expect("it is piped");
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("it answers");
    if kill {
        child.kill().expect("it runs until then");
    } else {
        drop(child.stdin.take());
    }
    child.wait().expect("it is ours");
    line.trim_end().to_owned()
}

/// Waits until the one who started this closes the pipe, or kills.
fn wait_for_the_end() {
    let mut line = String::new();
    drop(std::io::stdin().read_line(&mut line));
}

/// The tasks of child processes; whether `task` is one.
pub(crate) fn task(task: &str, dir: &Path) -> bool {
    let (name, rest) = task.split_once(':').unwrap_or((task, ""));
    let numbers: Vec<usize> = rest.split(',').filter_map(|n| n.parse().ok()).collect();
    match (name, numbers.as_slice()) {
        ("fill" | "paced", [kind, count, steps, step_ms]) => {
            let kind = [Kind::Noisy, Kind::Random, Kind::Churny][*kind];
            let pace = match name {
                "paced" => Pace::OfTheSource,
                _ => Pace::Flood,
            };
            let before = resident();
            let config = Config {
                background: pace == Pace::Flood,
                ..Config::default()
            };
            let store = open(dir, config);
            let scrapes = (*count, *steps, *step_ms as i64);
            let peak = feed(&store, scrapes, kind, pace);
            let stats = store.stats();
            println!(
                "\"resident_bytes_per_series\":{},\"peak_bytes_per_series\":{},\"active_series\":{},\
                 \"flushes\":{},\"head_bytes_per_series\":{}",
                (resident() - before) / stats.series,
                (peak - before) / stats.series,
                stats.series,
                stats.flushes,
                store.head_bytes() as u64 / stats.series,
            );
            wait_for_the_end();
        }
        ("reopen", _) => {
            let (begun, cpu) = (now(), process_cpu());
            let store = open(dir, Config::default());
            let opened = begun.elapsed();
            let selection = Selection {
                matchers: vec![
                    Matcher::equal("instance", "host-00077.example.net:9100"),
                    Matcher::equal("device", "device1"),
                ],
                from_ms: START_MS,
                to_ms: i64::MAX,
            };
            let found = store.select(&selection).expect("it is readable").count();
            assert_eq!(found, 50, "half of a host's series");
            println!(
                "\"open_s\":{:.2},\"first_query_s\":{:.2},\"cpu_s\":{:.2},\"peak_resident\":{},\
                 \"series\":{}",
                opened.as_secs_f64(),
                begun.elapsed().as_secs_f64(),
                process_cpu().saturating_sub(cpu).as_secs_f64(),
                high_water(),
                store.stats().series,
            );
            wait_for_the_end();
        }
        _ => return false,
    }
    true
}

/// The greatest resident memory of this process so far, bytes.
fn high_water() -> u64 {
    crate::status("VmHWM:")
}

pub(crate) fn memory(dir: &Path) {
    for (name, task) in [
        ("noisy at 1 s", "paced:0,10000,900,1000"),
        ("noisy at 1 s", "paced:0,50000,900,1000"),
        ("noisy at 1 s, in a flood", "fill:0,10000,900,1000"),
        ("noisy at 1 s, in a flood", "fill:0,50000,900,1000"),
        ("random at 1 s", "fill:1,10000,600,1000"),
        ("churny at 1 s", "fill:2,10000,900,1000"),
        ("noisy at 1 s", "fill:0,200000,60,1000"),
        ("noisy at 15 s", "fill:0,1000000,4,15000"),
    ] {
        let sub = dir.join(task.replace([':', ','], "-"));
        let line = child(task, &sub, false);
        println!("{{\"figure\":\"memory\",\"series\":\"{name}\",{line}}}");
        drop(std::fs::remove_dir_all(sub));
    }
}

pub(crate) fn restart(dir: &Path) {
    for _ in 0..3 {
        let sub = dir.join("restart");
        let running = child("fill:0,1000000,3,15000", &sub, true);
        println!("{{\"figure\":\"restart\",\"before\":\"kill -9\",{running}}}");
        for after in ["kill -9", "kill -9 again"] {
            let line = child("reopen", &sub, true);
            println!("{{\"figure\":\"restart\",\"after\":\"{after}\",{line}}}");
        }
        drop(std::fs::remove_dir_all(sub));
    }
}
