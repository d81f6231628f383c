//! Regression: least squares, Theil-Sen, Mann-Kendall.

/// A straight line `y = intercept + slope * x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Value at x = 0.
    pub intercept: f64,
    /// Change per unit of x.
    pub slope: f64,
}

impl Line {
    /// The value at `x`.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

/// Ordinary least squares; `None` for fewer than two points or when all `x` are equal.
///
/// # Panics
/// If the columns differ in length.
#[must_use]
pub fn least_squares(x: &[f64], y: &[f64]) -> Option<Line> {
    assert_eq!(x.len(), y.len(), "columns are equally long");
    let n = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut sxx, mut sxy) = (0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        sxx += (a - mean_x) * (a - mean_x);
        sxy += (a - mean_x) * (b - mean_y);
    }
    let slope = sxy / sxx;
    (sxx > 0.0).then_some(Line {
        intercept: mean_y - slope * mean_x,
        slope,
    })
}

/// The Theil-Sen line (Theil 1950, Sen 1968): the median of the slopes of all pairs, and the
/// median of `y - slope * x`; a quarter of the points may be arbitrarily wrong. `None` for fewer
/// than two different `x`. O(n²) time and memory: thin out to a few hundred points first.
///
/// # Panics
/// If the columns differ in length.
#[must_use]
pub fn theil_sen(x: &[f64], y: &[f64]) -> Option<Line> {
    assert_eq!(x.len(), y.len(), "columns are equally long");
    let mut slopes = Vec::with_capacity(x.len() * x.len().saturating_sub(1) / 2);
    for i in 0..x.len() {
        let pairs = x[i + 1..].iter().zip(&y[i + 1..]);
        slopes.extend(
            pairs
                .map(|(a, b)| (b - y[i]) / (a - x[i]))
                .filter(|s| s.is_finite()),
        );
    }
    let slope = crate::summary::median_in_place(&mut slopes)?;
    let mut offsets: Vec<f64> = x.iter().zip(y).map(|(a, b)| b - slope * a).collect();
    let intercept = crate::summary::median_in_place(&mut offsets)?;
    Some(Line { intercept, slope })
}

/// Result of the [`mann_kendall`] test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MannKendall {
    /// Pairs that rise less pairs that fall.
    pub s: i64,
    /// Standardised statistic, continuity-corrected; Gaussian when there is no trend.
    pub z: f64,
}

/// Mann-Kendall trend test (Mann 1945, Kendall 1975) with the correction for ties; values in
/// order of time. `variance_inflation` multiplies the variance for autocorrelated values
/// (Hamed & Rao 1998); 1 for independent ones. `None` for fewer than four values or when all are
/// equal. O(n²).
#[must_use]
pub fn mann_kendall(values: &[f64], variance_inflation: f64) -> Option<MannKendall> {
    let n = values.len() as f64;
    let mut s = 0_i64;
    for (i, a) in values.iter().enumerate() {
        s += values[i + 1..]
            .iter()
            .map(|b| i64::from(b > a) - i64::from(b < a))
            .sum::<i64>();
    }
    let variance = (n * (n - 1.0) * (2.0 * n + 5.0) - ties(values)) / 18.0 * variance_inflation;
    let z = (s - s.signum()) as f64 / variance.sqrt();
    (values.len() >= 4 && variance > 0.0).then_some(MannKendall { s, z })
}

/// Sum of t(t-1)(2t+5) over groups of t equal values.
fn ties(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
        .chunk_by(|a, b| a.total_cmp(b).is_eq())
        .map(|group| group.len() as f64)
        .map(|t| t * (t - 1.0) * (2.0 * t + 5.0))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_wild_points_does_not_move_theil_sen() {
        let x: Vec<f64> = (0..40).map(f64::from).collect();
        let mut y: Vec<f64> = x.iter().map(|x| 3.0 + 2.0 * x).collect();
        y.iter_mut().step_by(5).for_each(|y| *y = 1e6);
        let robust = theil_sen(&x, &y).unwrap();
        assert!((robust.slope - 2.0).abs() < 1e-9 && (robust.at(0.0) - 3.0).abs() < 1e-9);
        assert!((least_squares(&x, &y).unwrap().slope - 2.0).abs() > 1.0);
    }

    #[test]
    fn least_squares_finds_the_anscombe_line() {
        let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
        let y = [
            8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68,
        ];
        let line = least_squares(&x, &y).unwrap();
        assert!((line.slope - 0.500_09).abs() < 1e-5 && (line.intercept - 3.000_09).abs() < 1e-5);
        assert_eq!(least_squares(&[1.0, 1.0], &[1.0, 2.0]), None);
    }

    /// The statistic, its variance and the correction for ties, worked by hand.
    #[test]
    fn mann_kendall_counts_pairs_and_corrects_for_ties() {
        let rising = mann_kendall(&[1.0, 2.0, 3.0, 4.0, 5.0], 1.0).unwrap();
        assert_eq!(rising.s, 10);
        assert!((rising.z - 9.0 / (300.0_f64 / 18.0).sqrt()).abs() < 1e-12);
        let tied = mann_kendall(&[1.0, 2.0, 2.0, 3.0, 1.0], 1.0).unwrap();
        assert_eq!(tied.s, 2);
        assert!((tied.z - 1.0 / ((300.0_f64 - 36.0) / 18.0).sqrt()).abs() < 1e-12);
        assert_eq!(mann_kendall(&[2.0; 9], 1.0), None);
    }
}
