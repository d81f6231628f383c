//! The files of a group in the hierarchies of version 1, one a controller.

use std::path::Path;

use super::{CPU, Figures, MOUNT, families as f, keyed, number};
use crate::host::{Reading, USER_HZ};

/// The kernel counts nanoseconds here.
const NANOSECONDS: f64 = 1e-9;

/// From here on a limit is none: the kernel writes the largest multiple of a page.
const NO_LIMIT: f64 = 4e18;

#[derive(Debug)]
pub(super) struct Files {
    cpu_usage: Reading,
    cpu_modes: Reading,
    cpu: Reading,
    quota: Reading,
    period: Reading,
    memory: Reading,
    memory_max: Reading,
    memory_stat: Reading,
    oom: Reading,
    io_bytes: Reading,
    io_counts: Reading,
    threads: Reading,
    threads_max: Reading,
}

impl Files {
    /// `path` is the group's path by controller.
    pub(super) fn new(root: &Path, path: impl Fn(&str) -> String) -> Self {
        let file = |controller: &str, name: &str| {
            let group = path(controller);
            let group = group.trim_matches('/');
            Reading::new(root, &format!("{MOUNT}/{controller}/{group}/{name}"))
        };
        Self {
            cpu_usage: file("cpuacct", "cpuacct.usage"),
            cpu_modes: file("cpuacct", "cpuacct.stat"),
            cpu: file("cpu", "cpu.stat"),
            quota: file("cpu", "cpu.cfs_quota_us"),
            period: file("cpu", "cpu.cfs_period_us"),
            memory: file("memory", "memory.usage_in_bytes"),
            memory_max: file("memory", "memory.limit_in_bytes"),
            memory_stat: file("memory", "memory.stat"),
            oom: file("memory", "memory.oom_control"),
            io_bytes: file("blkio", "blkio.throttle.io_service_bytes"),
            io_counts: file("blkio", "blkio.throttle.io_serviced"),
            threads: file("pids", "pids.current"),
            threads_max: file("pids", "pids.max"),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, figures: &mut Figures) {
        self.read_cpu(buffer, figures);
        self.read_memory(buffer, figures);
        let bytes = [("Read", f::READ_BYTES), ("Write", f::WRITTEN_BYTES)];
        read_io(&mut self.io_bytes, bytes, buffer, figures);
        let counts = [("Read", f::READS), ("Write", f::WRITES)];
        read_io(&mut self.io_counts, counts, buffer, figures);
        figures.push(f::THREADS, number(&mut self.threads, buffer));
        figures.push(f::THREADS_MAX, number(&mut self.threads_max, buffer));
    }

    fn read_cpu(&mut self, buffer: &mut Vec<u8>, figures: &mut Figures) {
        let usage = number(&mut self.cpu_usage, buffer);
        figures.push(CPU, usage.map(|ns| ns * NANOSECONDS));
        if let Ok(text) = self.cpu_modes.text(buffer) {
            let seconds = |key| keyed(text, key).map(|ticks| ticks / USER_HZ);
            figures.push(f::CPU_USER, seconds("user"));
            figures.push(f::CPU_SYSTEM, seconds("system"));
        }
        if let Ok(text) = self.cpu.text(buffer) {
            figures.push(f::PERIODS, keyed(text, "nr_periods"));
            figures.push(f::THROTTLED_PERIODS, keyed(text, "nr_throttled"));
            let throttled = keyed(text, "throttled_time");
            figures.push(f::THROTTLED, throttled.map(|ns| ns * NANOSECONDS));
        }
        // A quota of -1 is none.
        let quota = number(&mut self.quota, buffer).filter(|quota| *quota >= 0.0);
        figures.push(f::QUOTA, quota);
        figures.push(f::PERIOD, number(&mut self.period, buffer));
    }

    fn read_memory(&mut self, buffer: &mut Vec<u8>, figures: &mut Figures) {
        let usage = number(&mut self.memory, buffer);
        figures.push(f::MEMORY, usage);
        let limit = number(&mut self.memory_max, buffer);
        figures.push(f::MEMORY_LIMIT, limit.filter(|limit| *limit < NO_LIMIT));
        if let Ok(text) = self.memory_stat.text(buffer) {
            let inactive = keyed(text, "total_inactive_file");
            let working = usage
                .zip(inactive)
                .map(|(usage, idle)| (usage - idle).max(0.0));
            figures.push(f::WORKING_SET, working);
            figures.push(f::RSS, keyed(text, "total_rss"));
            figures.push(f::CACHE, keyed(text, "total_cache"));
            figures.push(f::SWAP, keyed(text, "total_swap"));
            figures.push(f::PAGE_FAULTS, keyed(text, "total_pgfault"));
            figures.push(f::MAJOR_FAULTS, keyed(text, "total_pgmajfault"));
        }
        if let Ok(text) = self.oom.text(buffer) {
            figures.push(f::OOM, keyed(text, "oom_kill"));
        }
    }
}

/// `8:0 Read 123` a line; the last line, `Total 5`, names no device.
fn read_io(
    file: &mut Reading,
    families: [(&str, crate::host::Family); 2],
    buffer: &mut Vec<u8>,
    figures: &mut Figures,
) {
    let Ok(text) = file.text(buffer) else {
        return;
    };
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(device), Some(kind), Some(value)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if let Some((_, family)) = families.iter().find(|(name, _)| *name == kind) {
            figures.push_for(*family, device, value.parse().ok());
        }
    }
}
