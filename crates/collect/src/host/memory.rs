//! `/proc/meminfo` and the paging counters of `/proc/vmstat`.

use std::{io::Result, path::Path};

use model::{Labels, MetricType};

use super::{
    Source,
    frame::{Family, Frame},
    reading::Reading,
};

const USED: Family = Family::gauge(
    "alluse_host_memory_used_ratio",
    "Share of the memory that is not available to new work (1 - MemAvailable / MemTotal), 0 to 1.",
);

/// `/proc/meminfo`: every line, in bytes where it says kB.
#[derive(Debug)]
pub(super) struct Memory {
    file: Reading,
    /// In the order of the lines, which no running kernel changes.
    lines: Vec<(String, Labels)>,
    used: Labels,
}

impl Memory {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            file: Reading::new(root, "proc/meminfo"),
            lines: Vec::new(),
            used: Labels::empty(),
        }
    }
}

impl Source for Memory {
    fn name(&self) -> &'static str {
        "meminfo"
    }

    fn sample(&mut self, frame: &mut Frame<'_>, buffer: &mut Vec<u8>) -> Result<()> {
        let text = self.file.text(buffer)?;
        if self.used.is_empty() {
            frame.describe([&USED]);
            self.used = frame.series(USED.name, &[]);
        }
        let (mut total, mut available) = (None, None);
        for (index, (key, value, unit)) in text.lines().filter_map(meminfo_line).enumerate() {
            if self.lines.get(index).is_none_or(|(known, _)| known != key) {
                self.lines.truncate(index);
                self.lines
                    .push((key.to_owned(), meminfo_series(key, unit, frame)));
            }
            frame.push(&self.lines[index].1, value);
            match key {
                "MemTotal" => total = Some(value),
                "MemAvailable" => available = Some(value),
                _ => {}
            }
        }
        if let (Some(total), Some(available)) = (total, available)
            && total > 0.0
        {
            frame.push(&self.used, 1.0 - available / total);
        }
        Ok(())
    }
}

/// `MemFree:   123 kB` as its key, its value and the unit's suffix.
fn meminfo_line(line: &str) -> Option<(&str, f64, &'static str)> {
    let (key, rest) = line.split_once(':')?;
    let mut words = rest.split_ascii_whitespace();
    let value: f64 = words.next()?.parse().ok()?;
    match words.next() {
        None => Some((key, value, "")),
        Some("kB") => Some((key, value * 1024.0, "_bytes")),
        Some(_) => None,
    }
}

/// node_exporter's name: `Active(anon)` in kB is `node_memory_Active_anon_bytes`.
fn meminfo_series(key: &str, unit: &str, frame: &mut Frame<'_>) -> Labels {
    let field = key.replace('(', "_").replace(')', "");
    let name = format!("node_memory_{field}{unit}");
    let help = format!("Memory information field {field}{unit}.");
    frame.describe_as(&name, MetricType::Gauge, &help);
    frame.series(&name, &[])
}

/// Lines of `/proc/vmstat` that node_exporter exports.
const PAGING: [(&str, &str); 7] = [
    ("oom_kill", "node_vmstat_oom_kill"),
    ("pgfault", "node_vmstat_pgfault"),
    ("pgmajfault", "node_vmstat_pgmajfault"),
    ("pgpgin", "node_vmstat_pgpgin"),
    ("pgpgout", "node_vmstat_pgpgout"),
    ("pswpin", "node_vmstat_pswpin"),
    ("pswpout", "node_vmstat_pswpout"),
];

/// `/proc/vmstat`.
#[derive(Debug)]
pub(super) struct Paging {
    file: Reading,
    labels: Vec<Labels>,
}

impl Paging {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            file: Reading::new(root, "proc/vmstat"),
            labels: Vec::new(),
        }
    }

    fn prepare(&mut self, frame: &mut Frame<'_>) {
        if !self.labels.is_empty() {
            return;
        }
        for (field, name) in PAGING {
            let help = format!("/proc/vmstat information field {field}.");
            frame.describe_as(name, MetricType::Unknown, &help);
            self.labels.push(frame.series(name, &[]));
        }
    }
}

impl Source for Paging {
    fn name(&self) -> &'static str {
        "vmstat"
    }

    fn sample(&mut self, frame: &mut Frame<'_>, buffer: &mut Vec<u8>) -> Result<()> {
        let text = self.file.text(buffer)?;
        self.prepare(frame);
        for line in text.lines() {
            let Some((field, value)) = line.split_once(' ') else {
                continue;
            };
            let Some(index) = PAGING.iter().position(|(known, _)| *known == field) else {
                continue;
            };
            if let Ok(value) = value.parse() {
                frame.push(&self.labels[index], value);
            }
        }
        Ok(())
    }
}
