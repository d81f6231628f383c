//! Money in integer cents, and the one rounding rule: half a cent goes away from zero.
//!
//! Sums and differences are exact. Only [`Cents::portion`] rounds; whoever splits an amount
//! gives the rest to one side, so that the parts always add up to the whole.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Neg, Sub},
};

use serde::{Deserialize, Serialize};

/// An amount in cents; negative when it leaves.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Cents(pub i64);

/// Largest amount of one movement or balance: a trillion units of currency. Sums of a million
/// such amounts still fit 64 bits.
pub const LARGEST: Cents = Cents(100_000_000_000_000);

impl Cents {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whole units of currency.
    #[must_use]
    pub const fn units(units: i64) -> Self {
        Self(units * 100)
    }

    /// `numerator / denominator` of the amount, half a cent away from zero. The denominator is
    /// above zero and the share at most a few wholes.
    #[must_use]
    pub fn portion(self, numerator: i64, denominator: i64) -> Self {
        let denominator = i128::from(denominator);
        let exact = i128::from(self.0) * i128::from(numerator);
        let half = denominator / 2 * exact.signum();
        let rounded = (exact + half) / denominator;
        Self(i64::try_from(rounded).expect("a share of a bounded amount fits"))
    }

    /// The amount, or nothing if it is negative.
    #[must_use]
    pub fn floored(self) -> Self {
        self.max(Self::ZERO)
    }

    /// Whether the amount is above zero and not above [`LARGEST`].
    #[must_use]
    pub fn is_payable(self) -> bool {
        self > Self::ZERO && self <= LARGEST
    }
}

impl Add for Cents {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Cents {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Neg for Cents {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl AddAssign for Cents {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sum for Cents {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", cents / 100, cents % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_cent_goes_away_from_zero() {
        let share = |cents, n, d| Cents(cents).portion(n, d).0;
        assert_eq!(share(1, 1, 2), 1);
        assert_eq!(share(-1, 1, 2), -1);
        assert_eq!(share(1, 1, 3), 0);
        assert_eq!(share(2, 1, 3), 1);
        assert_eq!(share(10_001, 40, 100), 4_000);
        assert_eq!(share(12_000_000, 95 * 15, 100_000), 171_000);
    }

    #[test]
    fn prints_units_and_cents() {
        assert_eq!(Cents(-5).to_string(), "-0.05");
        assert_eq!(Cents::units(12).to_string(), "12.00");
    }
}
