//! `/proc/pressure`: how long work waited for CPU, memory and I/O (the kernel's PSI).

use std::{io::Result, path::Path};

use model::Labels;

use super::{
    Source,
    frame::{Family, Frame},
    reading::Reading,
    table::Rate,
};

/// The kernel counts microseconds.
const MICROSECONDS: f64 = 1e-6;

const STALL: Family = Family::gauge(
    "alluse_host_pressure_stall_ratio",
    "Share of the time since the last sample in which some (or, kind=\"full\", all) work waited for the resource, 0 to 1.",
);

/// File, first word of the line, node_exporter's family. `cpu` has a line `full` too, which
/// means nothing for a whole host.
#[rustfmt::skip]
const LINES: [(&str, &str, Family); 6] = [
    ("cpu", "some", Family::counter("node_pressure_cpu_waiting_seconds_total", "Total time in seconds that processes have waited for CPU time")),
    ("io", "some", Family::counter("node_pressure_io_waiting_seconds_total", "Total time in seconds that processes have waited due to IO congestion")),
    ("io", "full", Family::counter("node_pressure_io_stalled_seconds_total", "Total time in seconds no process could make progress due to IO congestion")),
    ("memory", "some", Family::counter("node_pressure_memory_waiting_seconds_total", "Total time in seconds that processes have waited for memory")),
    ("memory", "full", Family::counter("node_pressure_memory_stalled_seconds_total", "Total time in seconds no process could make progress due to memory congestion")),
    ("irq", "full", Family::counter("node_pressure_irq_stalled_seconds_total", "Total time in seconds no process could make progress due to IRQ congestion")),
];

/// A line's labels and its rate.
#[derive(Debug)]
struct Stall {
    total: Labels,
    share: Labels,
    rate: Rate,
}

/// The source.
#[derive(Debug)]
pub(super) struct Pressure {
    files: Vec<(&'static str, Reading)>,
    stalls: Vec<Stall>,
}

impl Pressure {
    pub(super) fn new(root: &Path) -> Self {
        let file = |name| (name, Reading::new(root, &format!("proc/pressure/{name}")));
        Self {
            files: ["cpu", "io", "memory", "irq"].map(file).into(),
            stalls: Vec::new(),
        }
    }

    fn prepare(&mut self, frame: &mut Frame<'_>) {
        if !self.stalls.is_empty() {
            return;
        }
        frame.describe(LINES.iter().map(|(.., family)| family).chain([&STALL]));
        for (resource, kind, family) in LINES {
            self.stalls.push(Stall {
                total: frame.series(family.name, &[]),
                share: frame.series(STALL.name, &[("resource", resource), ("kind", kind)]),
                rate: Rate::default(),
            });
        }
    }
}

impl Source for Pressure {
    fn name(&self) -> &'static str {
        "pressure"
    }

    fn sample(&mut self, frame: &mut Frame<'_>, buffer: &mut Vec<u8>) -> Result<()> {
        self.prepare(frame);
        let mut outcome = Ok(());
        for (resource, file) in &mut self.files {
            match file.text(buffer) {
                Ok(text) => push_stalls(resource, text, &mut self.stalls, frame),
                // Kernels before 6.1, or without IRQ time accounting, have no such file.
                Err(_) if *resource == "irq" => {}
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }
}

fn push_stalls(resource: &str, text: &str, stalls: &mut [Stall], frame: &mut Frame<'_>) {
    for line in text.lines() {
        let Some((kind, total)) = stall_line(line) else {
            continue;
        };
        let known = |(r, k, _): &(&str, &str, Family)| *r == resource && *k == kind;
        let Some(index) = LINES.iter().position(known) else {
            continue;
        };
        let stall = &mut stalls[index];
        frame.push(&stall.total, total * MICROSECONDS);
        if let Some(share) = stall.rate.step(total * MICROSECONDS, frame.monotonic) {
            frame.push(&stall.share, share);
        }
    }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`.
fn stall_line(line: &str) -> Option<(&str, f64)> {
    let (kind, rest) = line.split_once(' ')?;
    let (_, total) = rest.rsplit_once("total=")?;
    Some((kind, total.trim().parse().ok()?))
}
