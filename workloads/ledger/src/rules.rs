//! What is permitted: pure functions from accounts and a wish to a change, or to a refusal.
//!
//! No rule reads a clock or a table: time and accounts are arguments. A rule either refuses or
//! returns everything that changes, so nothing is ever half done.

pub mod fork;
pub mod lifecycle;
pub mod merge;
pub mod movement;
pub mod opening;
pub mod refusal;
pub mod reinvest;

pub use refusal::Refusal;

use crate::account::{AccountId, PortfolioId};

/// A day, the span of cooling and of daily limits, in milliseconds.
pub const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// Hands out identities that were never used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// The next account's.
    pub account: AccountId,
    /// The next portfolio's.
    pub portfolio: PortfolioId,
}

impl Ids {
    pub(crate) fn account(&mut self) -> AccountId {
        self.account += 1;
        self.account - 1
    }

    pub(crate) fn portfolio(&mut self) -> PortfolioId {
        self.portfolio += 1;
        self.portfolio - 1
    }
}

/// What an installation may set differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// When and how accounts fork.
    pub fork: fork::Rule,
    /// When and how accounts merge.
    pub merge: merge::Rule,
}
