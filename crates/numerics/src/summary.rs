//! Summaries of a set of numbers: moments, quantiles, median and MAD.
//!
//! Quantiles interpolate linearly between order statistics (Hyndman & Fan 1996, type 7: the
//! definition of R and NumPy). Nothing here accepts NaN: callers drop missing values first.

/// Makes the median absolute deviation estimate the standard deviation of a Gaussian:
/// 1 / Φ⁻¹(3/4).
pub const MAD_TO_SIGMA: f64 = 1.482_602_218_505_602;

/// The arithmetic mean; `None` for no values.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count(values))
}

/// The unbiased sample variance; `None` for fewer than two values. Two passes, so that a large
/// common offset does no harm.
#[must_use]
pub fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    Some(squares / (count(values) - 1.0))
}

/// The square root of [`variance`].
#[must_use]
pub fn std_dev(values: &[f64]) -> Option<f64> {
    variance(values).map(f64::sqrt)
}

/// The `q` quantile of any values, `q` in [0, 1]; `None` for no values. O(n log n).
#[must_use]
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantile_sorted(&sorted, q)
}

/// The `q` quantile of values in rising order, `q` in [0, 1] (clamped); `None` for no values.
#[must_use]
pub fn quantile_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let rank = q.clamp(0.0, 1.0) * last as f64;
    let below = rank.floor();
    let low = sorted[(below as usize).min(last)];
    let high = sorted[(below as usize + 1).min(last)];
    Some(low + (high - low) * (rank - below))
}

/// The median; `None` for no values. O(n) on average.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    median_in_place(&mut values.to_vec())
}

/// The median of values that may be reordered, without allocating; `None` for no values.
pub fn median_in_place(values: &mut [f64]) -> Option<f64> {
    let (half, odd) = (values.len() / 2, values.len() % 2 == 1);
    if values.is_empty() {
        return None;
    }
    let (below, middle, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    let middle = *middle;
    if odd {
        return Some(middle);
    }
    let under = below
        .iter()
        .copied()
        .max_by(f64::total_cmp)
        .expect("an even count is at least 2");
    Some(under + (middle - under) / 2.0)
}

/// The median absolute deviation from the median, unscaled; `None` for no values.
/// Times [`MAD_TO_SIGMA`] it estimates a Gaussian's standard deviation.
#[must_use]
pub fn mad(values: &[f64]) -> Option<f64> {
    let center = median(values)?;
    let mut deviations: Vec<f64> = values.iter().map(|x| (x - center).abs()).collect();
    median_in_place(&mut deviations)
}

/// Autocorrelation at `lag`, in [-1, 1]; `None` for too few values or no variation.
#[must_use]
pub fn autocorrelation(values: &[f64], lag: usize) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > lag + 1)?;
    let total: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    let product: f64 = values
        .iter()
        .zip(&values[lag..])
        .map(|(a, b)| (a - mean) * (b - mean))
        .sum();
    (total > 0.0).then(|| product / total)
}

fn count(values: &[f64]) -> f64 {
    values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R's `quantile(c(1, 3, 4, 9, 10))`, type 7.
    #[test]
    fn quantiles_agree_with_the_published_definition() {
        let values = [10.0, 3.0, 9.0, 1.0, 4.0];
        for (q, expected) in [(0.0, 1.0), (0.25, 3.0), (0.5, 4.0), (0.9, 9.6), (1.0, 10.0)] {
            assert!(
                (quantile(&values, q).unwrap() - expected).abs() < 1e-12,
                "q {q}"
            );
        }
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn median_of_an_even_count_is_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[5.0]), Some(5.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn variance_survives_a_large_offset() {
        let values: Vec<f64> = [4.0, 7.0, 13.0, 16.0].iter().map(|x| x + 1e9).collect();
        assert_eq!(variance(&values), Some(30.0));
        assert_eq!(variance(&[1.0]), None);
    }

    #[test]
    fn mad_ignores_one_wild_value() {
        assert_eq!(mad(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]), Some(1.0));
        assert_eq!(mad(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9e9]), Some(1.0));
    }

    #[test]
    fn an_alternating_series_has_negative_autocorrelation() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(i % 2)).collect();
        assert!((autocorrelation(&values, 1).unwrap() + 0.99).abs() < 1e-9);
        assert_eq!(autocorrelation(&[1.0; 9], 1), None);
    }
}
