//! Why an operation is not permitted; each variant is one rule.

use thiserror::Error;

use crate::{
    account::{AccountId, Kind, PortfolioId, State},
    money::Cents,
};

/// The rule, with what a sentence needs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No such account.
    #[error("there is no account {0}")]
    UnknownAccount(AccountId),
    /// No such portfolio.
    #[error("there is no portfolio {0}")]
    UnknownPortfolio(PortfolioId),
    /// The portfolio has an account of this kind.
    #[error("portfolio {portfolio} has a {} account already", kind.name())]
    KindTaken {
        /// Which portfolio.
        portfolio: PortfolioId,
        /// Which kind.
        kind: Kind,
    },
    /// Money moves on active accounts only.
    #[error("account {id} is {}, not active", state.name())]
    NotActive {
        /// Which account.
        id: AccountId,
        /// Its state.
        state: State,
    },
    /// The state table has no such step.
    #[error("an account cannot go from {} to {}: {why}", from.name(), to.name())]
    Transition {
        /// Its state.
        from: State,
        /// The state asked for.
        to: State,
        /// What would have to hold.
        why: &'static str,
    },
    /// Not above zero, or above the largest amount.
    #[error("{0} is no amount to move: it is above 0.00 and at most 1000000000000.00")]
    Amount(Cents),
    /// The account's kind forbids it.
    #[error("a {} account {what}", kind.name())]
    KindForbids {
        /// Which kind.
        kind: Kind,
        /// What it does not do.
        what: &'static str,
    },
    /// More than what is there.
    #[error("account {id} has {available} {what}, not {wanted}")]
    Insufficient {
        /// Which account.
        id: AccountId,
        /// What it has.
        available: Cents,
        /// Which part of it is meant.
        what: &'static str,
        /// What was asked for.
        wanted: Cents,
    },
    /// A balance above the largest amount.
    #[error("account {0} cannot hold that much")]
    Overflow(AccountId),
    /// From and to are the same, or a source is named twice.
    #[error("account {0} is named twice")]
    NamedTwice(AccountId),
    /// The surplus is below the rule's.
    #[error("account {id} has a surplus of {surplus}; it forks at {due}")]
    ForkNotDue {
        /// Which account.
        id: AccountId,
        /// Balance less initial balance.
        surplus: Cents,
        /// What the rule asks for.
        due: Cents,
    },
    /// Too few or too many.
    #[error("{what}: {given}, where {least} to {most} are possible")]
    Count {
        /// Of what.
        what: &'static str,
        /// Asked for.
        given: usize,
        /// At least.
        least: usize,
        /// At most.
        most: usize,
    },
    /// The day's forks are used up.
    #[error("account {id} may fork off {left} more accounts today, not {wanted}")]
    DailyForks {
        /// Which account.
        id: AccountId,
        /// How many are left.
        left: i64,
        /// Asked for.
        wanted: i64,
    },
    /// Too soon after the last time.
    #[error("account {id} has to rest after a {what} until {until_ms} ms since 1970")]
    Cooling {
        /// Which account.
        id: AccountId,
        /// After what.
        what: &'static str,
        /// Until when.
        until_ms: i64,
    },
    /// The fork would leave too little behind.
    #[error("account {id} would keep {left}, less than {least}")]
    TooLittleLeft {
        /// Which account.
        id: AccountId,
        /// What would be left.
        left: Cents,
        /// What has to be left.
        least: Cents,
    },
    /// Only what was forked off merges by itself, and into a Com account that is there.
    #[error("portfolio {0} was not forked off, or its parent has no active com account")]
    NoMergeTarget(PortfolioId),
    /// The fork is not large enough to merge by itself.
    #[error("portfolio {id} holds {total}; it merges at {due}")]
    MergeNotDue {
        /// Which portfolio.
        id: PortfolioId,
        /// What its accounts hold.
        total: Cents,
        /// What the rule asks for.
        due: Cents,
    },
    /// Reinvestment has its weeks.
    #[error("a {} account reinvests {when}", kind.name())]
    ReinvestNotDue {
        /// Which kind.
        kind: Kind,
        /// When it would.
        when: &'static str,
    },
    /// A text is empty, too long or holds control characters.
    #[error("{0} is 1 to 64 characters without control characters")]
    Text(&'static str),
    /// The idempotency key belongs to another request.
    #[error("the key was used for another request")]
    KeyReused,
}

/// What kind of answer a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It is not there.
    Missing,
    /// Not as things stand now.
    Conflict,
    /// Not at all.
    Invalid,
}

impl Refusal {
    /// The rule's name, stable for programs.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::UnknownAccount(_) => "unknown_account",
            Self::UnknownPortfolio(_) => "unknown_portfolio",
            Self::KindTaken { .. } => "kind_taken",
            Self::NotActive { .. } => "not_active",
            Self::Transition { .. } => "transition",
            Self::Amount(_) => "amount",
            Self::KindForbids { .. } => "kind_forbids",
            Self::Insufficient { .. } => "insufficient",
            Self::Overflow(_) => "overflow",
            Self::NamedTwice(_) => "named_twice",
            Self::ForkNotDue { .. } => "fork_not_due",
            Self::Count { .. } => "count",
            Self::DailyForks { .. } => "daily_forks",
            Self::Cooling { .. } => "cooling",
            Self::TooLittleLeft { .. } => "too_little_left",
            Self::NoMergeTarget(_) => "no_merge_target",
            Self::MergeNotDue { .. } => "merge_not_due",
            Self::ReinvestNotDue { .. } => "reinvest_not_due",
            Self::Text(_) => "text",
            Self::KeyReused => "key_reused",
        }
    }

    /// What kind of answer it is.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::UnknownAccount(_) | Self::UnknownPortfolio(_) => Class::Missing,
            Self::NotActive { .. }
            | Self::Transition { .. }
            | Self::KindTaken { .. }
            | Self::Cooling { .. }
            | Self::KeyReused => Class::Conflict,
            Self::Amount(_)
            | Self::KindForbids { .. }
            | Self::Insufficient { .. }
            | Self::Overflow(_)
            | Self::NamedTwice(_)
            | Self::ForkNotDue { .. }
            | Self::Count { .. }
            | Self::DailyForks { .. }
            | Self::TooLittleLeft { .. }
            | Self::NoMergeTarget(_)
            | Self::MergeNotDue { .. }
            | Self::ReinvestNotDue { .. }
            | Self::Text(_) => Class::Invalid,
        }
    }
}
