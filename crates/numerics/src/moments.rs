//! Count, mean and variance of a stream, one value at a time, mergeable.
//!
//! Welford, "Note on a method for calculating corrected sums of squares and products" (1962); the
//! merge is Chan, Golub and LeVeque's (1979). Known answer: 2, 4, 4, 4, 5, 5, 7, 9 has mean 5 and
//! population variance 4.

/// What is known of the values seen so far; 24 bytes, whatever their number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moments {
    count: u64,
    mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
}

impl Moments {
    /// Takes one value; not-a-number makes every later answer not-a-number.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let from_old = value - self.mean;
        self.mean += from_old / self.count as f64;
        self.squares += from_old * (value - self.mean);
    }

    /// As if all values of `other` had been added here.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let apart = other.mean - self.mean;
        self.count += other.count;
        self.mean += apart * b / (a + b);
        self.squares += other.squares + apart * apart * a * b / (a + b);
    }

    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; `None` when there is none.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// Their sample variance (n - 1); `None` for fewer than two.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        (self.count > 1).then(|| self.squares / (self.count - 1) as f64)
    }

    /// Their sample standard deviation; `None` for fewer than two.
    #[must_use]
    pub fn std_dev(&self) -> Option<f64> {
        self.variance().map(f64::sqrt)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::summary;

    #[test]
    fn the_textbook_example() {
        let mut moments = Moments::default();
        for value in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
            moments.add(value);
        }
        assert_eq!(moments.mean(), Some(5.0));
        assert_eq!(moments.variance(), Some(32.0 / 7.0));
    }

    #[test]
    fn nothing_has_no_mean_and_one_has_no_variance() {
        let mut moments = Moments::default();
        assert_eq!((moments.mean(), moments.variance()), (None, None));
        moments.add(3.0);
        assert_eq!((moments.mean(), moments.variance()), (Some(3.0), None));
    }

    proptest! {
        #[test]
        fn merging_parts_is_taking_the_whole(
            values in proptest::collection::vec(-1e6_f64..1e6, 2..60), cut in 0_usize..60
        ) {
            let cut = cut.min(values.len());
            let mut parts = [Moments::default(), Moments::default()];
            for (i, value) in values.iter().enumerate() {
                parts[usize::from(i >= cut)].add(*value);
            }
            let [mut whole, rest] = parts;
            whole.merge(&rest);
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + b.abs());
            prop_assert_eq!(whole.count(), values.len() as u64);
            prop_assert!(near(whole.mean().unwrap(), summary::mean(&values).unwrap()));
            prop_assert!(near(whole.variance().unwrap(), summary::variance(&values).unwrap()));
        }
    }
}
