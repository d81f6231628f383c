//! `/proc/stat`: time by core and mode, interrupts, context switches, processes, boot time.

use std::{io::Result, path::Path};

use model::Labels;

use super::{
    Source,
    frame::{Family, Frame},
    reading::Reading,
    table::{Rate, numbers},
};

/// Ticks a second in `/proc`: the kernel's USER_HZ, part of its ABI and 100 on every platform
/// Rust's Linux targets cover (node_exporter fixes it too).
pub(crate) const USER_HZ: f64 = 100.0;

/// Modes in the order of the line.
const MODES: [&str; 8] = [
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];
const IDLE: usize = 3;
const IOWAIT: usize = 4;

const CPU_SECONDS: Family = Family::counter(
    "node_cpu_seconds_total",
    "Seconds the CPUs spent in each mode.",
);
const GUEST_SECONDS: Family = Family::counter(
    "node_cpu_guest_seconds_total",
    "Seconds the CPUs spent in guests (VMs) for each mode.",
);
const UTILIZATION: Family = Family::gauge(
    "alluse_host_cpu_utilization_ratio",
    "Share of all CPU time in each mode since the last sample, from 0 to 1; the modes add up to 1.",
);
const CORE_UTILIZATION: Family = Family::gauge(
    "alluse_host_cpu_core_utilization_ratio",
    "Share of a core's time neither idle nor waiting for I/O since the last sample, from 0 to 1.",
);
const SWITCH_RATE: Family = Family::gauge(
    "alluse_host_context_switches_per_second",
    "Context switches a second since the last sample.",
);

/// Lines of one number each: the kernel's word, and the family.
const SINGLE: [(&str, Family); 6] = [
    (
        "intr",
        Family::counter("node_intr_total", "Total number of interrupts serviced."),
    ),
    (
        "ctxt",
        Family::counter(
            "node_context_switches_total",
            "Total number of context switches.",
        ),
    ),
    (
        "btime",
        Family::gauge("node_boot_time_seconds", "Node boot time, in unixtime."),
    ),
    (
        "processes",
        Family::counter("node_forks_total", "Total number of forks."),
    ),
    (
        "procs_running",
        Family::gauge(
            "node_procs_running",
            "Number of processes in runnable state.",
        ),
    ),
    (
        "procs_blocked",
        Family::gauge(
            "node_procs_blocked",
            "Number of processes blocked waiting for I/O to complete.",
        ),
    ),
];
const CONTEXT_SWITCHES: usize = 1;

/// One core: its labels and its last reading.
#[derive(Debug)]
struct Core {
    name: String,
    seconds: [Labels; 8],
    guest: [Labels; 2],
    busy: Labels,
    last: Option<[f64; 8]>,
}

/// The source.
#[derive(Debug)]
pub(super) struct Cpu {
    stat: Reading,
    cores: Vec<Core>,
    total_last: Option<[f64; 8]>,
    total: Option<[Labels; 8]>,
    single: Vec<Labels>,
    switches: Rate,
    switch_rate: Labels,
    fields: Vec<f64>,
}

impl Cpu {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            stat: Reading::new(root, "proc/stat"),
            cores: Vec::new(),
            total_last: None,
            total: None,
            single: Vec::new(),
            switches: Rate::default(),
            switch_rate: Labels::empty(),
            fields: Vec::new(),
        }
    }

    fn prepare(&mut self, frame: &mut Frame<'_>) {
        if self.total.is_some() {
            return;
        }
        let cpu = [
            CPU_SECONDS,
            GUEST_SECONDS,
            UTILIZATION,
            CORE_UTILIZATION,
            SWITCH_RATE,
        ];
        frame.describe(cpu.iter().chain(SINGLE.iter().map(|(_, family)| family)));
        self.total = Some(MODES.map(|mode| frame.series(UTILIZATION.name, &[("mode", mode)])));
        self.single = SINGLE
            .iter()
            .map(|(_, f)| frame.series(f.name, &[]))
            .collect();
        self.switch_rate = frame.series(SWITCH_RATE.name, &[]);
    }

    fn line(&mut self, line: &str, core_index: &mut usize, frame: &mut Frame<'_>) {
        let Some((word, rest)) = line.split_once(' ') else {
            return;
        };
        if let Some(core) = word.strip_prefix("cpu") {
            numbers(rest, &mut self.fields);
            if core.is_empty() {
                self.all_cores(frame);
            } else {
                self.core(*core_index, core, frame);
                *core_index += 1;
            }
        } else if let Some(index) = SINGLE.iter().position(|(known, _)| *known == word) {
            self.single(index, rest, frame);
        }
    }

    fn single(&mut self, index: usize, rest: &str, frame: &mut Frame<'_>) {
        let first = rest.split(' ').next().unwrap_or_default();
        let Ok(value) = first.parse::<f64>() else {
            return;
        };
        frame.push(&self.single[index], value);
        if index == CONTEXT_SWITCHES
            && let Some(rate) = self.switches.step(value, frame.monotonic)
        {
            frame.push(&self.switch_rate, rate);
        }
    }

    fn all_cores(&mut self, frame: &mut Frame<'_>) {
        let Some(now) = modes(&self.fields) else {
            return;
        };
        let before = self.total_last.replace(now);
        let labels = self.total.as_ref().expect("prepared before the first line");
        if let Some(shares) = before.and_then(|before| shares(before, now)) {
            for (labels, share) in labels.iter().zip(shares) {
                frame.push(labels, share);
            }
        }
    }

    fn core(&mut self, index: usize, name: &str, frame: &mut Frame<'_>) {
        // Cores come in the same order each time; one that went offline moves the rest up.
        if self.cores.get(index).is_none_or(|core| core.name != name) {
            self.cores.truncate(index);
            self.cores.push(Core::new(name, frame));
        }
        self.cores[index].push(&self.fields, frame);
    }
}

impl Core {
    fn new(name: &str, frame: &Frame<'_>) -> Self {
        let labels = |family: Family, mode: &str| {
            frame.series(family.name, &[("cpu", name), ("mode", mode)])
        };
        Self {
            name: name.to_owned(),
            seconds: MODES.map(|mode| labels(CPU_SECONDS, mode)),
            guest: ["user", "nice"].map(|mode| labels(GUEST_SECONDS, mode)),
            busy: frame.series(CORE_UTILIZATION.name, &[("cpu", name)]),
            last: None,
        }
    }

    fn push(&mut self, fields: &[f64], frame: &mut Frame<'_>) {
        for (labels, ticks) in self.seconds.iter().zip(fields) {
            frame.push(labels, ticks / USER_HZ);
        }
        for (labels, ticks) in self.guest.iter().zip(fields.iter().skip(MODES.len())) {
            frame.push(labels, ticks / USER_HZ);
        }
        let Some(now) = modes(fields) else { return };
        let before = self.last.replace(now);
        if let Some(shares) = before.and_then(|before| shares(before, now)) {
            frame.push(&self.busy, (1.0 - shares[IDLE] - shares[IOWAIT]).max(0.0));
        }
    }
}

/// The eight modes, if the line has them all.
fn modes(fields: &[f64]) -> Option<[f64; 8]> {
    fields.first_chunk::<8>().copied()
}

/// Share of each mode in the time between two readings. The kernel lets idle and iowait fall
/// back a little now and then: such a mode had no time.
fn shares(before: [f64; 8], now: [f64; 8]) -> Option<[f64; 8]> {
    let spent: [f64; 8] = std::array::from_fn(|mode| (now[mode] - before[mode]).max(0.0));
    let total: f64 = spent.iter().sum();
    (total > 0.0).then(|| spent.map(|ticks| ticks / total))
}

impl Source for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn sample(&mut self, frame: &mut Frame<'_>, buffer: &mut Vec<u8>) -> Result<()> {
        self.prepare(frame);
        let mut core_index = 0;
        for line in self.stat.text(buffer)?.lines() {
            self.line(line, &mut core_index, frame);
        }
        Ok(())
    }
}
