//! Which window of a pair comes first: a coin that can be tossed again.
//!
//! The order must not depend on anything measured, and must be known before the pair begins; a
//! hash of (seed, change, pair) gives both, so a record of the seed is a record of every toss.

use model::{Arm, ChangeId};
use numerics::rng::Rng;

/// Purpose of this stream of randomness, so that other users of the seed draw other numbers.
const PURPOSE: u64 = 0x636f_696e;

/// The two arms of pair `pair` (counted from 0) of a change, in the order to be measured.
#[must_use]
pub fn order(seed: u64, change: ChangeId, pair: u32) -> [Arm; 2] {
    if Rng::stream(seed, &[PURPOSE, change.0, u64::from(pair)]).coin() {
        [Arm::Baseline, Arm::Variant]
    } else {
        [Arm::Variant, Arm::Baseline]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64, change: u64, pair: u32) -> bool {
        order(seed, ChangeId(change), pair)[0] == Arm::Variant
    }

    #[test]
    fn repeats_from_its_seed_and_names_both_arms() {
        for pair in 0..100 {
            assert_eq!(order(9, ChangeId(4), pair), order(9, ChangeId(4), pair));
            let [a, b] = order(9, ChangeId(4), pair);
            assert_ne!(a, b);
        }
    }

    #[test]
    fn is_fair_and_without_memory_over_pairs_changes_and_seeds() {
        let n = 40_000u32;
        // Five standard errors of a fair coin.
        let bound = 2.5 * f64::from(n).sqrt();
        let heads = |toss: &dyn Fn(u32) -> bool| {
            (f64::from((0..n).filter(|&i| toss(i)).count() as u32) - f64::from(n) / 2.0).abs()
        };
        assert!(heads(&|i| first(1, 1, i)) < bound);
        assert!(heads(&|i| first(1, u64::from(i), 0)) < bound);
        assert!(heads(&|i| first(u64::from(i), 1, 0)) < bound);
        assert!(heads(&|i| first(1, 1, i) == first(1, 1, i + 1)) < bound);
        assert!(heads(&|i| first(1, 1, i) == first(1, 2, i)) < bound);
    }
}
