//! Processes found by name or by the file with their number, as they come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use model::Batch;

use super::{Process, ProcessConfig};
use crate::tally::Tally;

/// Between two looks for processes: a walk through `/proc`.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Processes of one name at most.
pub const PROCESSES_MAX: usize = 100;

/// Bytes the kernel keeps of a process's name (proc(5), `comm`).
const COMM_BYTES: usize = 15;

/// Which processes are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// One number, whatever runs under it.
    Pid(u32),
    /// A file that holds the number.
    PidFile(PathBuf),
    /// All whose `/proc/PID/comm` is this name, or its first 15 bytes. They get the label `pid`.
    Name(String),
}

/// Samples the processes a selector finds.
#[derive(Debug)]
pub struct ProcessFinder {
    selector: Selector,
    config: ProcessConfig,
    found: BTreeMap<u32, Process>,
    looked: Option<Duration>,
    tally: Arc<Tally>,
}

impl ProcessFinder {
    /// A sampler; `config` gives everything but the number.
    #[must_use]
    pub fn new(selector: Selector, config: ProcessConfig, tally: Arc<Tally>) -> Self {
        Self {
            selector,
            config,
            found: BTreeMap::new(),
            looked: None,
            tally,
        }
    }

    /// Reads every process once, and looks for others now and then.
    pub fn sample(&mut self, tick_ms: i64, monotonic: Duration) -> Batch {
        let mut batch = Batch::default();
        let is_due = self
            .looked
            .is_none_or(|then| monotonic >= then + LOOK_EVERY);
        if is_due {
            self.looked = Some(monotonic);
            self.look(tick_ms, &mut batch);
        }
        for process in self.found.values_mut() {
            let more = process.sample(tick_ms, monotonic);
            batch.samples.extend(more.samples);
            batch.metadata.extend(more.metadata);
        }
        batch
    }

    /// Staleness markers for every series: sampling ends.
    pub fn end(&mut self, tick_ms: i64) -> Batch {
        let ends = self.found.values_mut().flat_map(|p| p.end(tick_ms).samples);
        Batch {
            samples: ends.collect(),
            ..Batch::default()
        }
    }

    fn look(&mut self, tick_ms: i64, batch: &mut Batch) {
        let proc = self.config.root.join("proc");
        let now: BTreeSet<u32> = match &self.selector {
            Selector::Pid(pid) => [*pid].into(),
            Selector::PidFile(path) => number_in(path).into_iter().collect(),
            Selector::Name(name) => named(&proc, name),
        };
        let gone: Vec<u32> = self
            .found
            .keys()
            .filter(|p| !now.contains(p))
            .copied()
            .collect();
        for pid in gone {
            if let Some(mut process) = self.found.remove(&pid) {
                batch.samples.extend(process.end(tick_ms).samples);
            }
        }
        for pid in now.into_iter().take(PROCESSES_MAX) {
            let (config, tally) = (self.config_of(pid), &self.tally);
            let make = || Process::new(&config, Arc::clone(tally));
            self.found.entry(pid).or_insert_with(make);
        }
    }

    fn config_of(&self, pid: u32) -> ProcessConfig {
        let mut config = self.config.clone();
        config.pid = pid;
        if let Selector::Name(_) = self.selector {
            config.labels.push(("pid".to_owned(), pid.to_string()));
        }
        config
    }
}

fn number_in(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn named(proc: &Path, name: &str) -> BTreeSet<u32> {
    let short = &name[..name.floor_char_boundary(COMM_BYTES)];
    let Ok(entries) = std::fs::read_dir(proc) else {
        return BTreeSet::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_named = |pid: &u32| {
        let comm = std::fs::read_to_string(proc.join(format!("{pid}/comm")));
        comm.is_ok_and(|comm| comm.trim_end() == short)
    };
    pids.filter(is_named).collect()
}
