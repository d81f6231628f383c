//! Evidence that a quantity lies above zero, gathered by betting on its sign.
//!
//! If the order of a pair's windows is a coin toss and the change does nothing, the difference d
//! of the pair is as likely d as -d, whatever the load, the drift or the memory of the noise: given
//! everything else, only the coin decides the sign. So a stake that multiplies by
//! 1 + tanh(λd) = 2σ(2λd) is a fair bet for every λ, and so is a mixture over several λ. Its wealth
//! is an e-process: it reaches 1/α with probability at most α, however often one looks (Ville's
//! inequality). See Ramdas, Ruf, Larsson and Koolen, "Admissible anytime-valid sequential inference
//! must rely on nonnegative martingales" (2020), 4.3 on symmetric distributions; Waudby-Smith and
//! Ramdas, "Estimating means of bounded random variables by betting" (JRSS-B 2024); Howard, Ramdas,
//! McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (2021).
//!
//! Known answer: wealth at most doubles with each bet, so α = 0.025 needs at least 6 pairs.

use serde::{Deserialize, Serialize};

/// Stakes λ of the mixture: 25, geometric from 0.03 (an effect as large as the noise of a whole
/// octave) to 30 (an effect of a few percent in noise of a few percent).
const STAKES: usize = 25;
const STAKE_MIN: f64 = 0.03;
const STAKE_MAX: f64 = 30.0;

fn stake(index: usize) -> f64 {
    STAKE_MIN * (STAKE_MAX / STAKE_MIN).powf(index as f64 / (STAKES - 1) as f64)
}

/// What the player of each stake owns, having begun with 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wealth {
    stakes: Vec<f64>,
    owned: Vec<f64>,
}

impl Default for Wealth {
    fn default() -> Self {
        Self {
            stakes: (0..STAKES).map(stake).collect(),
            owned: vec![1.0; STAKES],
        }
    }
}

impl Wealth {
    /// Bets that `x` is above zero.
    pub fn bet(&mut self, x: f64) {
        for (owned, stake) in self.owned.iter_mut().zip(&self.stakes) {
            // 1 + tanh(y), without cancellation for a lost bet.
            *owned *= 2.0 / (1.0 + (-2.0 * stake * x).exp());
        }
    }

    /// The e-value: at most 1 in expectation if the signs were tossed.
    #[must_use]
    pub fn e_value(&self) -> f64 {
        self.owned.iter().sum::<f64>() / STAKES as f64
    }
}

/// Whether a player who bets in turn that each x lies above `shift` ever owns `bound`. Once true
/// it stays true for every lower shift.
#[must_use]
pub fn ever_owns(bound: f64, xs: &[f64], shift: f64) -> bool {
    let mut wealth = Wealth::default();
    xs.iter().any(|x| {
        wealth.bet(x - shift);
        wealth.e_value() >= bound
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bet_is_fair_and_at_most_doubles() {
        for x in [0.0, 1e-3, 0.1, 2.0, 1e6] {
            let (mut up, mut down) = (Wealth::default(), Wealth::default());
            up.bet(x);
            down.bet(-x);
            assert!(
                (up.e_value() + down.e_value() - 2.0).abs() < 1e-12,
                "fair at {x}"
            );
            assert!(up.e_value() <= 2.0 && down.e_value() >= 0.0);
        }
    }

    #[test]
    fn six_certain_wins_are_the_fewest_for_one_in_forty() {
        assert!(!ever_owns(40.0, &[1e3; 5], 0.0) && ever_owns(40.0, &[1e3; 6], 0.0));
    }

    #[test]
    fn evidence_falls_as_the_shift_rises() {
        let xs = [0.1, -0.05, 0.2, 0.15, 0.02, -0.3, 0.2];
        for bound in [1.2, 2.0, 10.0] {
            let owns: Vec<bool> = (-200..50)
                .map(|s| ever_owns(bound, &xs, f64::from(s) / 100.0))
                .collect();
            assert!(owns[0] && owns.is_sorted_by(|a, b| a >= b));
        }
    }
}
