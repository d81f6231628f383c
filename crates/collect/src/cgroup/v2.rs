//! The files of a group in the unified hierarchy.

use std::path::Path;

use super::{CPU, Figures, MOUNT, families as f, keyed, number};
use crate::host::Reading;

/// The kernel counts microseconds here.
const MICROSECONDS: f64 = 1e-6;

#[derive(Debug)]
pub(super) struct Files {
    cpu: Reading,
    cpu_max: Reading,
    memory: Reading,
    memory_max: Reading,
    swap: Reading,
    memory_stat: Reading,
    memory_events: Reading,
    io: Reading,
    threads: Reading,
    threads_max: Reading,
    pressures: [Reading; 3],
}

impl Files {
    pub(super) fn new(root: &Path, id: &str) -> Self {
        let group = format!("{MOUNT}/{}", id.trim_matches('/'));
        let file = |name: &str| Reading::new(root, &format!("{group}/{name}"));
        Self {
            cpu: file("cpu.stat"),
            cpu_max: file("cpu.max"),
            memory: file("memory.current"),
            memory_max: file("memory.max"),
            swap: file("memory.swap.current"),
            memory_stat: file("memory.stat"),
            memory_events: file("memory.events"),
            io: file("io.stat"),
            threads: file("pids.current"),
            threads_max: file("pids.max"),
            pressures: ["cpu.pressure", "memory.pressure", "io.pressure"].map(file),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, figures: &mut Figures) {
        self.read_cpu(buffer, figures);
        self.read_memory(buffer, figures);
        self.read_io(buffer, figures);
        figures.push(f::THREADS, number(&mut self.threads, buffer));
        figures.push(f::THREADS_MAX, number(&mut self.threads_max, buffer));
        self.read_pressure(buffer, figures);
    }

    fn read_cpu(&mut self, buffer: &mut Vec<u8>, figures: &mut Figures) {
        if let Ok(text) = self.cpu.text(buffer) {
            let seconds = |key| keyed(text, key).map(|us| us * MICROSECONDS);
            figures.push(CPU, seconds("usage_usec"));
            figures.push(f::CPU_USER, seconds("user_usec"));
            figures.push(f::CPU_SYSTEM, seconds("system_usec"));
            figures.push(f::PERIODS, keyed(text, "nr_periods"));
            figures.push(f::THROTTLED_PERIODS, keyed(text, "nr_throttled"));
            figures.push(f::THROTTLED, seconds("throttled_usec"));
        }
        if let Ok(text) = self.cpu_max.text(buffer) {
            let mut words = text.split_ascii_whitespace().map(|word| word.parse().ok());
            figures.push(f::QUOTA, words.next().flatten());
            figures.push(f::PERIOD, words.next().flatten());
        }
    }

    fn read_memory(&mut self, buffer: &mut Vec<u8>, figures: &mut Figures) {
        let usage = number(&mut self.memory, buffer);
        figures.push(f::MEMORY, usage);
        figures.push(f::MEMORY_LIMIT, number(&mut self.memory_max, buffer));
        figures.push(f::SWAP, number(&mut self.swap, buffer));
        if let Ok(text) = self.memory_stat.text(buffer) {
            let inactive = keyed(text, "inactive_file");
            let working = usage
                .zip(inactive)
                .map(|(usage, idle)| (usage - idle).max(0.0));
            figures.push(f::WORKING_SET, working);
            figures.push(f::RSS, keyed(text, "anon"));
            figures.push(f::CACHE, keyed(text, "file"));
            figures.push(f::PAGE_FAULTS, keyed(text, "pgfault"));
            figures.push(f::MAJOR_FAULTS, keyed(text, "pgmajfault"));
        }
        if let Ok(text) = self.memory_events.text(buffer) {
            figures.push(f::OOM, keyed(text, "oom_kill"));
        }
    }

    /// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0` a line.
    fn read_io(&mut self, buffer: &mut Vec<u8>, figures: &mut Figures) {
        let Ok(text) = self.io.text(buffer) else {
            return;
        };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let device = words.next().unwrap_or_default();
            for word in words {
                let Some((key, value)) = word.split_once('=') else {
                    continue;
                };
                let family = match key {
                    "rbytes" => f::READ_BYTES,
                    "wbytes" => f::WRITTEN_BYTES,
                    "rios" => f::READS,
                    "wios" => f::WRITES,
                    _ => continue,
                };
                figures.push_for(family, device, value.parse().ok());
            }
        }
    }

    /// `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`, and a line `full`.
    fn read_pressure(&mut self, buffer: &mut Vec<u8>, figures: &mut Figures) {
        let families = [
            (f::CPU_WAITING, f::CPU_STALLED),
            (f::MEMORY_WAITING, f::MEMORY_STALLED),
            (f::IO_WAITING, f::IO_STALLED),
        ];
        for (file, (some, full)) in self.pressures.iter_mut().zip(families) {
            let Ok(text) = file.text(buffer) else {
                continue;
            };
            let total = |kind: &str| {
                let line = text.lines().find(|line| line.starts_with(kind))?;
                let total = line.rsplit_once("total=")?.1.trim().parse::<f64>().ok()?;
                Some(total * MICROSECONDS)
            };
            figures.push(some, total("some "));
            figures.push(full, total("full "));
        }
    }
}
