//! `/proc/diskstats`: block devices, without partitions and memory disks.

use std::{io::Result, path::Path};

use model::Labels;

use super::{
    Source,
    frame::{Family, Frame},
    reading::Reading,
    table::{Column, Devices, Rate, column, column_labels, numbers, push_columns},
};

/// Bytes of a sector in `/proc/diskstats`, whatever the device's own.
const SECTOR_BYTES: f64 = 512.0;

/// Milliseconds to seconds.
const MS: f64 = 0.001;

/// The fields after the device's name (kernel's Documentation/admin-guide/iostats.rst).
#[rustfmt::skip]
const COLUMNS: [Column; 17] = [
    column(Family::counter("node_disk_reads_completed_total", "The total number of reads completed successfully."), 0, 1.0),
    column(Family::counter("node_disk_reads_merged_total", "The total number of reads merged."), 1, 1.0),
    column(Family::counter("node_disk_read_bytes_total", "The total number of bytes read successfully."), 2, SECTOR_BYTES),
    column(Family::counter("node_disk_read_time_seconds_total", "The total number of seconds spent by all reads."), 3, MS),
    column(Family::counter("node_disk_writes_completed_total", "The total number of writes completed successfully."), 4, 1.0),
    column(Family::counter("node_disk_writes_merged_total", "The number of writes merged."), 5, 1.0),
    column(Family::counter("node_disk_written_bytes_total", "The total number of bytes written successfully."), 6, SECTOR_BYTES),
    column(Family::counter("node_disk_write_time_seconds_total", "This is the total number of seconds spent by all writes."), 7, MS),
    column(Family::gauge("node_disk_io_now", "The number of I/Os currently in progress."), 8, 1.0),
    column(Family::counter("node_disk_io_time_seconds_total", "Total seconds spent doing I/Os."), 9, MS),
    column(Family::counter("node_disk_io_time_weighted_seconds_total", "The weighted # of seconds spent doing I/Os."), 10, MS),
    column(Family::counter("node_disk_discards_completed_total", "The total number of discards completed successfully."), 11, 1.0),
    column(Family::counter("node_disk_discards_merged_total", "The total number of discards merged."), 12, 1.0),
    column(Family::counter("node_disk_discarded_sectors_total", "The total number of sectors discarded successfully."), 13, 1.0),
    column(Family::counter("node_disk_discard_time_seconds_total", "This is the total number of seconds spent by all discards."), 14, MS),
    column(Family::counter("node_disk_flush_requests_total", "The total number of flush requests completed successfully"), 15, 1.0),
    column(Family::counter("node_disk_flush_requests_time_seconds_total", "This is the total number of seconds spent by all flush requests."), 16, MS),
];

/// Rates: the counter's field, its factor, and the gauge.
#[rustfmt::skip]
const RATES: [Column; 5] = [
    column(Family::gauge("alluse_host_disk_read_bytes_per_second", "Bytes read a second since the last sample."), 2, SECTOR_BYTES),
    column(Family::gauge("alluse_host_disk_written_bytes_per_second", "Bytes written a second since the last sample."), 6, SECTOR_BYTES),
    column(Family::gauge("alluse_host_disk_reads_per_second", "Reads completed a second since the last sample."), 0, 1.0),
    column(Family::gauge("alluse_host_disk_writes_per_second", "Writes completed a second since the last sample."), 4, 1.0),
    column(Family::gauge("alluse_host_disk_busy_ratio", "Share of the time with at least one I/O in progress since the last sample, 0 to 1."), 9, MS),
];

/// One device.
#[derive(Debug)]
struct Device {
    columns: Vec<Labels>,
    rates: Vec<(Labels, Rate)>,
}

/// The source.
#[derive(Debug)]
pub(super) struct Disk {
    file: Reading,
    devices: Devices<Device>,
    fields: Vec<f64>,
}

impl Disk {
    pub(super) fn new(root: &Path) -> Self {
        let file = Reading::new(root, "proc/diskstats");
        Self {
            file,
            devices: Devices::default(),
            fields: Vec::new(),
        }
    }
}

impl Source for Disk {
    fn name(&self) -> &'static str {
        "diskstats"
    }

    fn sample(&mut self, frame: &mut Frame<'_>, buffer: &mut Vec<u8>) -> Result<()> {
        let text = self.file.text(buffer)?;
        if self.devices.is_first_tick() {
            frame.describe(COLUMNS.iter().chain(&RATES).map(|c| &c.family));
        }
        for line in text.lines() {
            let Some((name, rest)) = device_line(line) else {
                continue;
            };
            numbers(rest, &mut self.fields);
            let device = self.devices.entry(name, || Device::new(name, frame));
            device.push(&self.fields, frame);
        }
        self.devices.end_tick();
        Ok(())
    }
}

impl Device {
    fn new(name: &str, frame: &Frame<'_>) -> Self {
        let rates = column_labels(&RATES, frame, name).into_iter();
        Self {
            columns: column_labels(&COLUMNS, frame, name),
            rates: rates.map(|labels| (labels, Rate::default())).collect(),
        }
    }

    fn push(&mut self, fields: &[f64], frame: &mut Frame<'_>) {
        push_columns(&COLUMNS, &self.columns, fields, frame);
        for (column, (labels, rate)) in RATES.iter().zip(&mut self.rates) {
            let Some(count) = fields.get(column.index) else {
                continue;
            };
            if let Some(per_second) = rate.step(count * column.scale, frame.monotonic) {
                frame.push(labels, per_second);
            }
        }
    }
}

/// The device of a line and its fields, unless it is left out.
fn device_line(line: &str) -> Option<(&str, &str)> {
    let rest = after_word(after_word(line.trim_start())?)?;
    let (name, fields) = rest.split_once(' ')?;
    (!left_out(name)).then_some((name, fields))
}

fn after_word(text: &str) -> Option<&str> {
    text.split_once(' ').map(|(_, rest)| rest.trim_start())
}

/// What node_exporter leaves out: `^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`, memory
/// disks and partitions.
fn left_out(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == name.len() {
        return false;
    }
    let partition = |prefix: &str| {
        let letter = stem.strip_prefix(prefix).map(str::as_bytes);
        matches!(letter, Some([b'a'..=b'z']))
    };
    matches!(stem, "ram" | "zram" | "loop" | "fd")
        || ["hd", "sd", "vd", "xvd"].into_iter().any(partition)
        || (stem.starts_with("nvme") && stem.ends_with('p'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_and_memory_disks_are_left_out() {
        for name in [
            "ram0",
            "zram0",
            "loop7",
            "fd0",
            "sda1",
            "vdb12",
            "xvdf3",
            "nvme0n1p2",
        ] {
            assert!(left_out(name), "{name}");
        }
        for name in ["sda", "vda", "nvme0n1", "dm-0", "md127", "mmcblk0", "sdaa"] {
            assert!(!left_out(name), "{name}");
        }
    }
}
