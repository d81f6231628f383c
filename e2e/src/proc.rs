//! What Linux says of a process under `/proc`.

use std::{collections::BTreeMap, fs, path::Path};

/// CPU time of a process by thread, to the nanosecond (`schedstat`); `stat` counts in ticks of
/// 10 ms. A thread that ends keeps what it had used when it was last looked at.
#[derive(Debug)]
pub struct Threads {
    pid: u32,
    used_ns: BTreeMap<String, u64>,
}

impl Threads {
    /// Of a process.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self {
            pid,
            used_ns: BTreeMap::new(),
        }
    }

    /// CPU time used so far by all threads seen, seconds.
    pub fn cpu_seconds(&mut self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).expect("the process lives");
        for task in tasks.flatten() {
            let Ok(stat) = fs::read_to_string(task.path().join("schedstat")) else {
                continue;
            };
            let ns = stat.split(' ').next().and_then(|ns| ns.parse().ok());
            let thread = task.file_name().to_string_lossy().into_owned();
            self.used_ns
                .insert(thread, ns.expect("nanoseconds come first"));
        }
        self.used_ns.values().sum::<u64>() as f64 / 1e9
    }
}

/// A field of `status` in kB, as bytes: `VmRSS`, `VmHWM`.
#[must_use]
pub fn memory_bytes(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find_map(|l| l.strip_prefix(field));
    let kb = line.and_then(|l| l.trim_start_matches(':').split_whitespace().next());
    kb.and_then(|kb| kb.parse::<u64>().ok())
        .expect("proc(5) has the field")
        << 10
}

/// Processes, this one apart, whose command line names a path.
#[must_use]
pub fn that_name(path: &Path) -> Vec<String> {
    let name = path.display().to_string();
    let processes = fs::read_dir("/proc")
        .expect("Linux lists its processes")
        .flatten();
    processes
        .filter(|p| p.file_name().to_str().is_some_and(is_other))
        .filter_map(|p| fs::read(p.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&name))
        .collect()
}

fn is_other(name: &str) -> bool {
    name.parse::<u32>()
        .is_ok_and(|pid| pid != std::process::id())
}
