//! Where a symmetric sample lies: the Hodges–Lehmann estimate and its standard error.
//!
//! The median of all pairwise means (Walsh averages), single values included: 95 % as efficient
//! as the mean under Gaussian noise, far better under heavy tails (Hodges and Lehmann, "Estimates
//! of location based on rank tests", 1963). The standard error is half the width of the 68 %
//! interval that the Wilcoxon signed-rank test gives from the same averages (Hollander, Wolfe and
//! Chicken, "Nonparametric Statistical Methods", 3.3).

use numerics::summary::quantile_sorted;

/// Estimate and standard error of the centre of a symmetric sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Location {
    /// The centre.
    pub estimate: f64,
    /// Its standard error; absent for a single value.
    pub std_error: Option<f64>,
}

/// The centre of the values; `None` for none. O(n² log n): meant for at most a few hundred.
#[must_use]
pub fn hodges_lehmann(values: &[f64]) -> Option<Location> {
    let mut walsh: Vec<f64> = (0..values.len())
        .flat_map(|i| (0..=i).map(move |j| 0.5 * (values[i] + values[j])))
        .collect();
    walsh.sort_by(f64::total_cmp);
    let estimate = quantile_sorted(&walsh, 0.5)?;
    Some(Location {
        estimate,
        std_error: half_width(&walsh, values.len()),
    })
}

fn half_width(walsh: &[f64], n: usize) -> Option<f64> {
    if n < 2 {
        return None;
    }
    let n = n as f64;
    let spread = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
    let low = (n * (n + 1.0) / 4.0 - spread).max(0.0) as usize;
    Some(0.5 * (walsh[walsh.len() - 1 - low] - walsh[low]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use numerics::rng::Rng;

    #[test]
    fn meets_a_worked_example() {
        // Walsh averages of 1, 2, 6: 1, 1.5, 2, 3.5, 4, 6.
        let found = hodges_lehmann(&[1.0, 2.0, 6.0]).unwrap();
        assert!((found.estimate - 2.75).abs() < 1e-12);
        assert_eq!(hodges_lehmann(&[]), None);
        assert_eq!(
            hodges_lehmann(&[3.0]),
            Some(Location {
                estimate: 3.0,
                std_error: None
            })
        );
        assert_eq!(hodges_lehmann(&[1.0, 3.0]).unwrap().std_error, Some(1.0));
    }

    #[test]
    fn the_standard_error_is_the_spread_of_the_estimate() {
        for df in [3.0, 100.0] {
            let (mut errors, mut estimates) = (0.0, 0.0);
            for seed in 0..800 {
                let mut rng = Rng::stream(seed, &[df as u64]);
                let values: Vec<f64> = (0..20).map(|_| rng.student_t(df)).collect();
                let found = hodges_lehmann(&values).unwrap();
                errors += found.std_error.unwrap() / 800.0;
                estimates += found.estimate.powi(2) / 800.0;
            }
            let ratio = errors / estimates.sqrt();
            assert!((0.85..1.15).contains(&ratio), "df {df}: {ratio}");
        }
    }
}
