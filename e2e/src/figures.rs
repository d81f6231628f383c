//! Figures of a noisy machine: medians with their spread and an interval that assumes nothing
//! about the shape of the noise, and the line that says where and on what they were measured.

use std::{fmt, fs, process::Command};

/// The `q`-quantile of some values, the nearest rank. `None` of none.
#[must_use]
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

/// A median, the smallest and largest value, and how many there were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// How many.
    pub count: usize,
}

impl Spread {
    /// Of some values.
    ///
    /// # Panics
    /// When there are none: then nothing was measured.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let at = |q| quantile(values, q).expect("something was measured");
        Self {
            median: at(0.5),
            min: at(0.0),
            max: at(1.0),
            count: values.len(),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let Self {
            median,
            min,
            max,
            count,
        } = self;
        write!(
            f,
            "{median:.digits$} (min {min:.digits$}, max {max:.digits$}, n {count})"
        )
    }
}

/// A 95 % interval for the median: the two order statistics between which it lies with that
/// probability, whatever the distribution (Thompson 1936: ranks of a binomial with p = 1/2).
/// Of 10 values these are the 2nd and the 9th. `None` below 6 values: no two are far enough apart.
#[must_use]
pub fn median_interval(values: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    // P(fewer than k of n tosses are heads), until half of the error is used up.
    let (mut term, mut below, mut k) = (0.5_f64.powi(i32::try_from(n).ok()?), 0.0, 0_usize);
    while below + term <= 0.025 {
        below += term;
        term *= (n - k) as f64 / (k + 1) as f64;
        k += 1;
    }
    (k > 0).then(|| (sorted[k - 1], sorted[n - k]))
}

/// Cores, kernel and commit: what a figure depends on.
#[must_use]
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let commit = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=10"])
        .output();
    let commit = commit.map_or_else(
        |_no_git| "unknown".to_owned(),
        |out| String::from_utf8_lossy(&out.stdout).trim().to_owned(),
    );
    format!(
        "machine: {cores} cores, Linux {}, load average {load}; commit {commit}",
        kernel.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_median_has_the_ranks_of_the_published_tables() {
        let ranks = |n: u32| {
            let values: Vec<f64> = (1..=n).map(f64::from).collect();
            median_interval(&values)
        };
        assert_eq!(ranks(5), None);
        assert_eq!(ranks(6), Some((1.0, 6.0)));
        assert_eq!(ranks(10), Some((2.0, 9.0)));
        assert_eq!(ranks(25), Some((8.0, 18.0)));
        assert_eq!(ranks(50), Some((18.0, 33.0)));
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&values, 0.5), Some(2.0));
        assert_eq!(quantile(&values, 0.99), Some(4.0));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(
            Spread::of(&values).to_string(),
            "2.00 (min 1.00, max 4.00, n 4)"
        );
    }
}
