//! Compensated summation: Kahan's, as Neumaier improved it (ZAMM 54 (1974), 39-51), with its two
//! parts at hand. The mean divides each part alone, as Prometheus does. Known answer:
//! 1 + 1e100 + 1 - 1e100 = 2.

/// A sum and what rounding lost of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Kahan {
    pub(crate) sum: f64,
    pub(crate) lost: f64,
}

impl Kahan {
    pub(crate) fn of(value: f64) -> Self {
        Self {
            sum: value,
            lost: 0.0,
        }
    }

    /// With one more term.
    #[inline]
    #[must_use]
    pub(crate) fn plus(self, term: f64) -> Self {
        let sum = self.sum + term;
        let lost = if self.sum.abs() >= term.abs() {
            (self.sum - sum) + term
        } else {
            (term - sum) + self.sum
        };
        let lost = if sum.is_infinite() {
            0.0
        } else {
            self.lost + lost
        };
        Self { sum, lost }
    }

    pub(crate) fn value(self) -> f64 {
        if self.sum.is_infinite() {
            self.sum
        } else {
            self.sum + self.lost
        }
    }
}

/// A mean: the sum divided once, until the sum would overflow; from there on a running mean.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KahanMean {
    total: Kahan,
    count: f64,
    is_running: bool,
}

impl KahanMean {
    pub(crate) fn of(value: f64) -> Self {
        Self {
            total: Kahan::of(value),
            count: 1.0,
            is_running: false,
        }
    }

    pub(crate) fn add(&mut self, value: f64) {
        let before = self.count;
        self.count += 1.0;
        if !self.is_running {
            let next = self.total.plus(value);
            if !next.sum.is_infinite() {
                self.total = next;
                return;
            }
            self.is_running = true;
            self.total.sum /= before;
            self.total.lost /= before;
        }
        let share = before / self.count;
        let scaled = Kahan {
            sum: share * self.total.sum,
            lost: share * self.total.lost,
        };
        self.total = scaled.plus(value / self.count);
    }

    pub(crate) fn value(self) -> f64 {
        if self.is_running {
            self.total.sum + self.total.lost
        } else {
            self.total.sum / self.count + self.total.lost / self.count
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_survive_large_ones_that_cancel() {
        let sum = [1.0, 1e100, 1.0, -1e100]
            .into_iter()
            .fold(Kahan::default(), Kahan::plus);
        assert_eq!(sum.value(), 2.0);
    }

    #[test]
    fn a_mean_does_not_overflow_where_its_sum_would() {
        let mut mean = KahanMean::of(f64::MAX);
        mean.add(f64::MAX);
        assert_eq!(mean.value(), f64::MAX);
    }
}
