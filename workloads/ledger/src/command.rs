//! What the ledger can be asked to do, and what it answers.

use serde::{Deserialize, Serialize};

use crate::{
    account::{Account, AccountId, Kind, PortfolioId, State},
    money::Cents,
    rules::movement::Booking,
    transaction::{Change, TransactionKind},
};

/// A wish; carried out whole or refused. Its serialisation is what an idempotency key is
/// compared with, so a field may be added only with a default that is not serialised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Opens an account, in a portfolio of its own or in an existing one.
    OpenAccount {
        /// Whose it is; in an existing portfolio, the portfolio's owner.
        owner: String,
        /// What its owner calls it.
        name: String,
        /// What it is for.
        kind: Kind,
        /// Balance to begin with.
        initial_cents: Cents,
        /// An existing portfolio without an account of this kind.
        portfolio: Option<PortfolioId>,
    },
    /// Opens Gen, Rev and Com together.
    OpenPortfolio {
        /// Whose it is.
        owner: String,
        /// What its owner calls it.
        name: String,
        /// Shared 40 / 30 / 30.
        capital_cents: Cents,
    },
    /// Gives an account another name.
    Rename {
        /// Which.
        account: AccountId,
        /// The name.
        name: String,
    },
    /// Changes an account's state; closing it is one.
    SetState {
        /// Which.
        account: AccountId,
        /// To what.
        state: State,
    },
    /// Books an amount on one account.
    Book {
        /// Which.
        account: AccountId,
        /// Why.
        booking: Booking,
        /// How much.
        amount_cents: Cents,
    },
    /// Moves an amount between two accounts.
    Transfer {
        /// Source.
        from: AccountId,
        /// Target.
        to: AccountId,
        /// How much.
        amount_cents: Cents,
    },
    /// Forks pairs off.
    Fork {
        /// Which account.
        account: AccountId,
        /// How many pairs.
        children: usize,
    },
    /// Merges accounts by hand.
    Merge {
        /// These close.
        sources: Vec<AccountId>,
        /// This one receives.
        target: AccountId,
    },
    /// Merges a forked pair that has grown large enough.
    MergePortfolio {
        /// The pair's portfolio.
        portfolio: PortfolioId,
    },
    /// Puts cash to work.
    Reinvest {
        /// Which account.
        account: AccountId,
        /// How much; everything available if absent.
        amount_cents: Option<Cents>,
    },
}

/// The answer: what happened, and how the accounts stand right after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The transaction, if money moved.
    pub transaction: Option<i64>,
    /// Its kind.
    pub kind: Option<TransactionKind>,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// How much moved.
    pub volume_cents: Cents,
    /// The accounts opened or changed.
    pub accounts: Vec<Position>,
}

/// How an account stands, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which.
    pub id: AccountId,
    /// Opened with which others.
    pub portfolio: PortfolioId,
    /// What it is for.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// Sum of its postings.
    pub balance_cents: Cents,
    /// What may leave.
    pub available_cents: Cents,
}

impl Receipt {
    /// The answer to a change that was made as `transaction`.
    #[must_use]
    pub fn of(change: &Change, transaction: i64, at_ms: i64) -> Self {
        let entry = change.entry.as_ref();
        let updated = change.updated.iter().map(|(_, account)| account);
        Self {
            transaction: entry.map(|_| transaction),
            kind: entry.map(|entry| entry.kind),
            at_ms,
            volume_cents: entry.map_or(Cents::ZERO, |entry| entry.volume),
            accounts: change
                .opened
                .iter()
                .chain(updated)
                .map(Position::of)
                .collect(),
        }
    }
}

impl Position {
    fn of(account: &Account) -> Self {
        Self {
            id: account.id,
            portfolio: account.portfolio,
            kind: account.kind,
            state: account.state,
            balance_cents: account.balance(),
            available_cents: account.available(),
        }
    }
}

impl Command {
    /// A number that two different commands share with a probability of 2^-64: FNV-1a over the
    /// serialisation.
    #[must_use]
    pub fn fingerprint(&self) -> i64 {
        let text = serde_json::to_vec(self).expect("a command is plain data");
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        text.iter().fold(0xcbf2_9ce4_8422_2325, mix).cast_signed()
    }
}
