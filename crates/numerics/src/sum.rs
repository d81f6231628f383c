//! Compensated summation.
//!
//! Neumaier's variant of Kahan's algorithm ("Rundungsfehleranalyse einiger Verfahren zur Summation
//! endlicher Summen", 1974): the rounding error of each addition is carried along, also when the
//! addend is larger than the sum. Known answer: 1 + 1e100 + 1 - 1e100 = 2.

/// A running sum whose error does not grow with the number of terms.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    /// Adds a term.
    pub fn add(&mut self, term: f64) {
        let next = self.total + term;
        if next.is_finite() {
            self.lost += if self.total.abs() >= term.abs() {
                (self.total - next) + term
            } else {
                (term - next) + self.total
            };
        }
        self.total = next;
    }

    /// The sum so far; 0 for no terms. Infinities and NaN pass through as in plain addition.
    #[must_use]
    pub fn value(self) -> f64 {
        if self.total.is_finite() {
            self.total + self.lost
        } else {
            self.total
        }
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(terms: I) -> Self {
        let mut sum = Self::default();
        terms.into_iter().for_each(|term| sum.add(term));
        sum
    }
}

/// The compensated sum of the terms.
#[must_use]
pub fn sum(terms: impl IntoIterator<Item = f64>) -> f64 {
    terms.into_iter().collect::<Sum>().value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_plain_addition_loses() {
        assert!((sum([1.0, 1e100, 1.0, -1e100]) - 2.0).abs() < 1e-15);
        let tenth = sum(std::iter::repeat_n(0.1, 1_000_000));
        assert!((tenth - 100_000.0).abs() < 1e-10, "{tenth}");
    }

    #[test]
    fn infinities_pass_through_and_nothing_sums_to_zero() {
        assert_eq!(sum([1.0, f64::INFINITY, 2.0]), f64::INFINITY);
        assert!(sum([f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(sum([]), 0.0);
    }
}
