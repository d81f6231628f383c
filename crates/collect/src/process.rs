//! What one process costs: CPU time, memory, threads, open files.
//!
//! Names are those of the Prometheus client libraries (`process_*`), which say them of
//! themselves; here they are said of any process, told apart by the labels given. A process that
//! is gone is an absent series, marked stale; a new one under the same number is another process,
//! known by its start time.

mod finder;

use std::{
    io::{Error, ErrorKind, Result},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use model::{Batch, Labels};

pub use finder::{PROCESSES_MAX, ProcessFinder, Selector};

use crate::{
    host::{Family, Frame, Rate, Reading, SOURCE_ERRORS, USER_HZ},
    stale::LastSeen,
    tally::Tally,
};

const CPU: Family = Family::counter(
    "process_cpu_seconds_total",
    "Total user and system CPU time spent in seconds.",
);
const CPU_BY_MODE: Family = Family::counter(
    "process_cpu_mode_seconds_total",
    "CPU time spent in seconds, by mode.",
);
const CORES: Family = Family::gauge(
    "alluse_process_cpu_cores",
    "CPU seconds used a second since the last sample (1 = one core).",
);
#[rustfmt::skip]
const GAUGES: [Family; 5] = [
    Family::gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
    Family::gauge("process_virtual_memory_bytes", "Virtual memory size in bytes."),
    Family::gauge("process_threads", "Number of OS threads in the process."),
    Family::gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds."),
    Family::gauge("process_open_fds", "Number of open file descriptors."),
];

/// Which process is sampled, and how its series are labelled.
#[derive(Debug, Clone)]
pub struct ProcessConfig {
    /// Its number.
    pub pid: u32,
    /// Labels added to every series, such as `job` and `instance`.
    pub labels: Vec<(String, String)>,
    /// Time between two samples.
    pub interval: Duration,
    /// Where `/proc` is found: `/`, or a directory for a fixture.
    pub root: PathBuf,
}

impl ProcessConfig {
    /// A process of this host, sampled each second under a `job`.
    #[must_use]
    pub fn new(pid: u32, job: impl Into<String>) -> Self {
        Self {
            pid,
            labels: vec![("job".to_owned(), job.into())],
            interval: Duration::from_secs(1),
            root: PathBuf::from("/"),
        }
    }
}

/// Samples one process.
#[derive(Debug)]
pub struct Process {
    stat: Reading,
    boot: Reading,
    files: PathBuf,
    boot_seconds: Option<f64>,
    base: Labels,
    series: Option<SeriesSet>,
    cores: Rate,
    started: Option<f64>,
    buffer: Vec<u8>,
    last: LastSeen,
    failing: bool,
    tally: Arc<Tally>,
}

/// Label sets, built once.
#[derive(Debug)]
struct SeriesSet {
    cpu: Labels,
    user: Labels,
    system: Labels,
    cores: Labels,
    gauges: [Labels; 5],
}

/// What `/proc/<pid>/stat` says.
#[derive(Debug, PartialEq)]
struct Stat {
    user_seconds: f64,
    system_seconds: f64,
    threads: f64,
    /// After boot.
    started_seconds: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
}

impl Process {
    /// A sampler; nothing is opened before the first sample.
    #[must_use]
    pub fn new(config: &ProcessConfig, tally: Arc<Tally>) -> Self {
        let pid = config.pid;
        Self {
            stat: Reading::new(&config.root, &format!("proc/{pid}/stat")),
            boot: Reading::new(&config.root, "proc/stat"),
            files: config.root.join(format!("proc/{pid}/fd")),
            boot_seconds: None,
            base: Labels::from_pairs(config.labels.iter().cloned()),
            series: None,
            cores: Rate::default(),
            started: None,
            buffer: Vec::new(),
            last: LastSeen::default(),
            failing: false,
            tally,
        }
    }

    /// Reads the process once. `monotonic` is when, for rates; samples carry `tick_ms`.
    pub fn sample(&mut self, tick_ms: i64, monotonic: Duration) -> Batch {
        let mut batch = Batch::default();
        let base = self.base.clone();
        let read = self.read(&mut Frame::new(&mut batch, &base, tick_ms, monotonic));
        let failed = read.is_err();
        if let (Err(error), false) = (read, self.failing) {
            self.tally.add(SOURCE_ERRORS, &[("source", "process")], 1.0);
            tracing::warn!(labels = %self.base, %error, "a process cannot be read: its series end");
        }
        self.failing = failed;
        let turnover = self.last.turn(&batch.samples, tick_ms);
        batch.samples.extend(turnover.gone);
        batch
    }

    /// Staleness markers for every series: sampling ends.
    pub fn end(&mut self, tick_ms: i64) -> Batch {
        Batch {
            samples: self.last.end(tick_ms),
            ..Batch::default()
        }
    }

    fn read(&mut self, frame: &mut Frame<'_>) -> Result<()> {
        let stat = parse_stat(self.stat.text(&mut self.buffer)?)
            .ok_or_else(|| Error::new(ErrorKind::InvalidData, "not the format of proc(5)"))?;
        if self.boot_seconds.is_none() {
            self.boot_seconds = self.boot.text(&mut self.buffer).ok().and_then(boot_seconds);
        }
        if self.started.replace(stat.started_seconds) != Some(stat.started_seconds) {
            self.cores = Rate::default();
        }
        self.push(&stat, frame);
        Ok(())
    }

    fn push(&mut self, stat: &Stat, frame: &mut Frame<'_>) {
        let series = self.series.get_or_insert_with(|| SeriesSet::new(frame));
        let cpu = stat.user_seconds + stat.system_seconds;
        frame.push(&series.cpu, cpu);
        frame.push(&series.user, stat.user_seconds);
        frame.push(&series.system, stat.system_seconds);
        if let Some(cores) = self.cores.step(cpu, frame.monotonic) {
            frame.push(&series.cores, cores);
        }
        let gauges = [
            Some(stat.resident_bytes),
            Some(stat.virtual_bytes),
            Some(stat.threads),
            self.boot_seconds.map(|boot| boot + stat.started_seconds),
            open_files(&self.files),
        ];
        for (labels, value) in series.gauges.iter().zip(gauges) {
            if let Some(value) = value {
                frame.push(labels, value);
            }
        }
    }
}

impl SeriesSet {
    fn new(frame: &mut Frame<'_>) -> Self {
        frame.describe([&CPU, &CPU_BY_MODE, &CORES].into_iter().chain(&GAUGES));
        Self {
            cpu: frame.series(CPU.name, &[]),
            user: frame.series(CPU_BY_MODE.name, &[("mode", "user")]),
            system: frame.series(CPU_BY_MODE.name, &[("mode", "system")]),
            cores: frame.series(CORES.name, &[]),
            gauges: GAUGES.map(|family| frame.series(family.name, &[])),
        }
    }
}

/// Fields after the command's name, which may itself hold blanks and parentheses (proc(5)).
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // proc(5) numbers the state as field 3: it is the first after the name.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some(Stat {
        user_seconds: field(14)? / USER_HZ,
        system_seconds: field(15)? / USER_HZ,
        threads: field(20)?,
        started_seconds: field(22)? / USER_HZ,
        virtual_bytes: field(23)?,
        resident_bytes: field(24)? * rustix::param::page_size() as f64,
    })
}

fn boot_seconds(stat: &str) -> Option<f64> {
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .parse()
        .ok()
}

/// How many descriptors are open: since Linux 6.2 the size of the directory, before that its
/// entries.
fn open_files(directory: &Path) -> Option<f64> {
    let size = std::fs::metadata(directory).ok()?.len();
    // A directory of a fixture on a disk has a size too, which counts nothing.
    let is_count = size > 0 && directory.starts_with("/proc");
    if is_count {
        return Some(size as f64);
    }
    Some(std::fs::read_dir(directory).ok()?.count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stat_line_is_read_past_any_command_name() {
        let line = "42 (a) b) (c)) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 7 8 20 0 9 0 1000 \
                    4096000 3 18446744073709551615 0 0";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.user_seconds, stat.system_seconds), (2.5, 0.5));
        assert_eq!((stat.threads, stat.started_seconds), (9.0, 10.0));
        assert_eq!(stat.resident_bytes, 3.0 * rustix::param::page_size() as f64);
        assert_eq!(parse_stat("42 (a) S 1"), None);
    }
}
