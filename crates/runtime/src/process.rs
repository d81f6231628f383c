//! What this process costs: CPU time and resident memory, read from `/proc` when scraped.

use crate::metrics::Registry;

/// Linux counts process times in hundredths of a second on every architecture it offers them
/// for (`USER_HZ`), whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Declares `process_cpu_seconds_total` and `process_resident_memory_bytes`. Where `/proc` cannot
/// be read, the series are absent.
pub fn declare(metrics: &Registry) {
    metrics.counter_fn(
        "process_cpu_seconds_total",
        "CPU time of this process, user and system.",
        &[],
        || cpu_seconds().unwrap_or(f64::NAN),
    );
    metrics.gauge_fn(
        "process_resident_memory_bytes",
        "Memory of this process that is in RAM.",
        &[],
        || resident_bytes().unwrap_or(f64::NAN),
    );
}

/// CPU time of this process so far, user and system, seconds.
#[must_use]
pub fn cpu_seconds() -> Option<f64> {
    parse_cpu(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Memory of this process that is in RAM, bytes.
#[must_use]
pub fn resident_bytes() -> Option<f64> {
    parse_resident(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Fields 14 and 15 of proc(5)'s `stat`; the program's name, field 2, may contain anything, so
/// counting starts after its closing parenthesis.
fn parse_cpu(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

fn parse_resident(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_lines_the_kernel_writes() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 5 1 2";
        assert_eq!(parse_cpu(stat), Some(2.0));
        assert_eq!(parse_resident("Name:\tx\nVmRSS:\t  2 kB\n"), Some(2_048.0));
        assert_eq!(parse_resident("Name:\tx\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory() {
        assert!(resident_bytes().unwrap() > 100_000.0);
        assert!(cpu_seconds().is_some());
    }
}
