//! What Linux says of a process under `/proc`.

use std::{fs, path::Path};

/// CPU time a process has used, all threads, seconds: fields 14 and 15 of `stat` (proc(5)).
#[must_use]
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    // The name may hold anything, spaces and brackets too.
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let ticks = |n: usize| -> f64 {
        let field = fields.split(' ').nth(n - 3).expect("proc(5) has the field");
        field.parse().expect("a number")
    };
    (ticks(14) + ticks(15)) / rustix::param::clock_ticks_per_second() as f64
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
