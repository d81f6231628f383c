//! Quantiles of a stream with a bounded relative error, mergeable.
//!
//! Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
//! guarantees" (VLDB 2019): values are counted in buckets whose bounds grow by a constant factor,
//! so that any value of a bucket is within the error of any other.

use std::collections::BTreeMap;

/// Relative error of a quantile.
const ERROR: f64 = 0.01;

/// Buckets a sketch may hold of one sign: with 1 % error 2,048 of them span 17 decades. Beyond
/// it the smallest magnitudes share a bucket, and only they lose precision.
const BUCKETS_MAX: usize = 2_048;

/// Below this magnitude a value counts as zero.
const TINY: f64 = 1e-300;

/// Counts of values by magnitude.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sketch {
    negative: BTreeMap<i32, u64>,
    zeros: u64,
    positive: BTreeMap<i32, u64>,
    count: u64,
}

impl Sketch {
    /// Counts one value. Not-a-number and infinities have no place in a quantile: not counted.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.count += 1;
        if value.abs() < TINY {
            self.zeros += 1;
            return;
        }
        let side = self.side(value < 0.0);
        *side.entry(bucket(value.abs())).or_default() += 1;
        bound(side);
    }

    /// As if all values of `other` had been counted here.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.zeros += other.zeros;
        for (negative, theirs) in [(true, &other.negative), (false, &other.positive)] {
            let side = self.side(negative);
            for (bucket, count) in theirs {
                *side.entry(*bucket).or_default() += count;
            }
            bound(side);
        }
    }

    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The value at rank `q * (count - 1)`, within 1 % of it; `None` when nothing was counted or
    /// `q` is outside 0 to 1.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = (q * (self.count - 1) as f64) as u64;
        let below = self.negative.iter().rev().map(|(b, n)| (-middle(*b), *n));
        let zeros = (self.zeros > 0).then_some((0.0, self.zeros));
        let above = self.positive.iter().map(|(b, n)| (middle(*b), *n));
        let mut seen = 0;
        below
            .chain(zeros)
            .chain(above)
            .find(|(_, count)| {
                seen += count;
                seen > rank
            })
            .map(|(value, _)| value)
    }

    fn side(&mut self, negative: bool) -> &mut BTreeMap<i32, u64> {
        if negative {
            &mut self.negative
        } else {
            &mut self.positive
        }
    }
}

/// Factor between the bounds of a bucket.
fn gamma() -> f64 {
    (1.0 + ERROR) / (1.0 - ERROR)
}

/// The bucket of a magnitude: it lies in (gamma^(b-1), gamma^b].
fn bucket(magnitude: f64) -> i32 {
    (magnitude.ln() / gamma().ln()).ceil() as i32
}

/// The value of a bucket from which no value in it is further than the error.
fn middle(bucket: i32) -> f64 {
    2.0 * gamma().powi(bucket) / (gamma() + 1.0)
}

fn bound(side: &mut BTreeMap<i32, u64>) {
    while side.len() > BUCKETS_MAX {
        let (_, count) = side.pop_first().expect("more than the most");
        *side.first_entry().expect("at least the most").get_mut() += count;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_to_a_hundred() {
        let mut sketch = Sketch::default();
        (1..=100).for_each(|n| sketch.add(f64::from(n)));
        for (q, exact) in [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let answer = sketch.quantile(q).unwrap();
            assert!((answer - exact).abs() <= 0.0101 * exact, "{q}: {answer}");
        }
        assert_eq!(sketch.quantile(1.5), None);
        assert_eq!(Sketch::default().quantile(0.5), None);
    }

    #[test]
    fn memory_is_bounded_and_large_values_stay_exact() {
        let mut sketch = Sketch::default();
        (-299..300).for_each(|e| (1..10).for_each(|m| sketch.add(f64::from(m) * 10_f64.powi(e))));
        assert!(sketch.positive.len() <= BUCKETS_MAX);
        let largest = sketch.quantile(1.0).unwrap();
        assert!((largest / 9e299 - 1.0).abs() < 0.0101);
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_its_error_of_the_value_at_that_rank(
            mut values in proptest::collection::vec(-1e9_f64..1e9, 1..200), q in 0.0_f64..1.0,
            cut in 0_usize..200
        ) {
            let mut parts = [Sketch::default(), Sketch::default()];
            for (i, value) in values.iter().enumerate() {
                parts[usize::from(i >= cut)].add(*value);
            }
            let [mut sketch, rest] = parts;
            sketch.merge(&rest);
            values.sort_by(f64::total_cmp);
            let exact = values[(q * (values.len() - 1) as f64) as usize];
            let answer = sketch.quantile(q).unwrap();
            prop_assert!((answer - exact).abs() <= 0.0101 * exact.abs(), "{answer} for {exact}");
        }
    }
}
