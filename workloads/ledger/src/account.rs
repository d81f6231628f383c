//! An account: its kind with the kind's properties, its state, its books.

use serde::{Deserialize, Serialize};

use crate::money::Cents;

/// Identity of an account; above zero.
pub type AccountId = i64;
/// Identity of a portfolio: the accounts opened together.
pub type PortfolioId = i64;

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Generation: earns, and forks its surplus off.
    Gen,
    /// Revenue: earns for withdrawals.
    Rev,
    /// Compounding: grows and is not withdrawn from.
    Com,
}

/// What holds for every account of a kind; shares are in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Properties {
    /// Share of a portfolio's initial capital.
    pub capital_share: i64,
    /// Share of the initial balance that is held as a cash buffer.
    pub buffer_share: i64,
    /// Weekly return aimed at.
    pub weekly_target: i64,
    /// Option delta to trade at, in hundredths, from and to.
    pub delta: (i64, i64),
    /// Drawdown that should not be exceeded.
    pub drawdown_limit: i64,
    /// Whether its owner may withdraw.
    pub withdrawals: bool,
    /// Whether it may fork.
    pub forks: bool,
}

impl Kind {
    /// All kinds, in the order they are worked through in a week.
    pub const ALL: [Self; 3] = [Self::Gen, Self::Rev, Self::Com];

    /// What holds for this kind.
    #[must_use]
    pub const fn properties(self) -> Properties {
        match self {
            Self::Gen => Properties {
                capital_share: 400,
                buffer_share: 50,
                weekly_target: 15,
                delta: (40, 50),
                drawdown_limit: 150,
                withdrawals: true,
                forks: true,
            },
            Self::Rev => Properties {
                capital_share: 300,
                buffer_share: 50,
                weekly_target: 10,
                delta: (30, 40),
                drawdown_limit: 100,
                withdrawals: true,
                forks: false,
            },
            Self::Com => Properties {
                capital_share: 300,
                buffer_share: 50,
                weekly_target: 5,
                delta: (20, 30),
                drawdown_limit: 70,
                withdrawals: false,
                forks: false,
            },
        }
    }

    /// Its name in requests, replies and labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gen => "gen",
            Self::Rev => "rev",
            Self::Com => "com",
        }
    }
}

/// Where an account stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Money moves.
    Active,
    /// Its owner rests it.
    Inactive,
    /// Its operator stopped it.
    Suspended,
    /// Empty, for good.
    Closed,
    /// Its surplus is leaving.
    Forking,
    /// Its balance is leaving.
    Merging,
}

impl State {
    /// All states.
    pub const ALL: [Self; 6] = [
        Self::Active,
        Self::Inactive,
        Self::Suspended,
        Self::Closed,
        Self::Forking,
        Self::Merging,
    ];

    /// Its name in requests, replies and labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
            Self::Forking => "forking",
            Self::Merging => "merging",
        }
    }
}

/// A part of an account that postings go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Book {
    /// Free to move.
    Cash,
    /// Held back.
    Buffer,
    /// Reinvested in option contracts.
    Contracts,
    /// Reinvested in long-dated options.
    Leaps,
}

impl Book {
    /// All books.
    pub const ALL: [Self; 4] = [Self::Cash, Self::Buffer, Self::Contracts, Self::Leaps];
}

/// What each book holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Books {
    /// See [`Book::Cash`].
    pub cash: Cents,
    /// See [`Book::Buffer`].
    pub buffer: Cents,
    /// See [`Book::Contracts`].
    pub contracts: Cents,
    /// See [`Book::Leaps`].
    pub leaps: Cents,
}

impl Books {
    /// What one book holds.
    #[must_use]
    pub fn get(&self, book: Book) -> Cents {
        match book {
            Book::Cash => self.cash,
            Book::Buffer => self.buffer,
            Book::Contracts => self.contracts,
            Book::Leaps => self.leaps,
        }
    }

    pub(crate) fn get_mut(&mut self, book: Book) -> &mut Cents {
        match book {
            Book::Cash => &mut self.cash,
            Book::Buffer => &mut self.buffer,
            Book::Contracts => &mut self.contracts,
            Book::Leaps => &mut self.leaps,
        }
    }
}

/// An account as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Identity.
    pub id: AccountId,
    /// The accounts it was opened with.
    pub portfolio: PortfolioId,
    /// Whose it is.
    pub owner: String,
    /// What its owner calls it.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// The Gen account it was forked from.
    pub parent: Option<AccountId>,
    /// The account its balance went to.
    pub merged_into: Option<AccountId>,
    /// Balance it was opened with.
    pub initial: Cents,
    /// What its books hold.
    pub books: Books,
    /// When it was opened, milliseconds since 1970.
    pub created_ms: i64,
    /// Its last fork.
    pub last_fork_ms: Option<i64>,
    /// Accounts forked off on the day of the last fork.
    pub forks_that_day: i64,
    /// Its last merge, as a target.
    pub last_merge_ms: Option<i64>,
    /// Counts its changes, from 1.
    pub version: i64,
    /// The newest transaction with a posting to it.
    pub last_transaction: i64,
}

impl Account {
    /// The sum of its postings.
    #[must_use]
    pub fn balance(&self) -> Cents {
        Book::ALL.iter().map(|book| self.books.get(*book)).sum()
    }

    /// What is at work in contracts and LEAPS.
    #[must_use]
    pub fn invested(&self) -> Cents {
        self.books.contracts + self.books.leaps
    }

    /// What may leave: balance less buffer and what is invested, at least nothing.
    #[must_use]
    pub fn available(&self) -> Cents {
        self.books.cash.floored()
    }
}
