//! A transaction: postings that sum to zero, and the accounts as they stand after them.
//!
//! [`Movement`] is the only way to make one. It books each amount on the account as it writes the
//! posting, so a balance cannot differ from the sum of its postings, and it adds the other side
//! itself, so the postings cannot fail to sum to zero.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    account::{Account, AccountId, Book, State},
    money::Cents,
};

/// The world outside: deposits come from it, withdrawals go to it.
pub const OUTSIDE: AccountId = -1;
/// The market: premiums and assignments come from it and go to it.
pub const MARKET: AccountId = -2;

/// Why money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionKind {
    /// From outside into an account; also the opening balance.
    Deposit,
    /// From an account to outside.
    Withdrawal,
    /// Between two accounts, by their owner.
    Transfer,
    /// Earned by selling an option.
    TradePremium,
    /// Gained or lost at an assignment.
    TradeAssignment,
    /// Cash put to work in contracts and LEAPS.
    Reinvestment,
    /// A surplus that becomes accounts of its own.
    ForkTransfer,
    /// Balances that end in another account.
    MergeTransfer,
    /// Between the cash and the buffer of an account.
    CashBufferAdjustment,
}

impl TransactionKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Deposit,
        Self::Withdrawal,
        Self::Transfer,
        Self::TradePremium,
        Self::TradeAssignment,
        Self::Reinvestment,
        Self::ForkTransfer,
        Self::MergeTransfer,
        Self::CashBufferAdjustment,
    ];

    /// Its name in requests, replies and labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Withdrawal => "withdrawal",
            Self::Transfer => "transfer",
            Self::TradePremium => "trade_premium",
            Self::TradeAssignment => "trade_assignment",
            Self::Reinvestment => "reinvestment",
            Self::ForkTransfer => "fork_transfer",
            Self::MergeTransfer => "merge_transfer",
            Self::CashBufferAdjustment => "cash_buffer_adjustment",
        }
    }

    /// Whether it is a gain or a loss, and not money brought or taken.
    #[must_use]
    pub const fn is_result(self) -> bool {
        matches!(self, Self::TradePremium | Self::TradeAssignment)
    }
}

/// An amount on one book of one account, or on [`OUTSIDE`] or [`MARKET`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// Where.
    pub account: AccountId,
    /// Which part of it.
    pub book: Book,
    /// How much; negative when it leaves.
    pub amount: Cents,
}

/// What a permitted operation changes; all of it or nothing is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// The transaction, unless no money moves.
    pub entry: Option<Entry>,
    /// New accounts.
    pub opened: Vec<Account>,
    /// Accounts as they stand afterwards, with the state they were in.
    pub updated: Vec<(State, Account)>,
}

/// A transaction's kind, size and postings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Why.
    pub kind: TransactionKind,
    /// How much moved, never negative.
    pub volume: Cents,
    /// Sum to zero; at most one for each book of an account.
    pub postings: Vec<Posting>,
}

/// A transaction in the making.
#[derive(Debug)]
pub struct Movement {
    kind: TransactionKind,
    postings: BTreeMap<(AccountId, Book), Cents>,
    volume: Cents,
}

impl Movement {
    /// Nothing moved yet.
    #[must_use]
    pub fn new(kind: TransactionKind) -> Self {
        Self {
            kind,
            postings: BTreeMap::new(),
            volume: Cents::ZERO,
        }
    }

    /// Brings an amount from [`OUTSIDE`] or the [`MARKET`] into a book; out of it when negative.
    pub fn bring(&mut self, from: AccountId, to: &mut Account, book: Book, amount: Cents) {
        self.post(from, Book::Cash, -amount);
        self.book(to, book, amount);
        self.count(amount);
    }

    /// Moves an amount between two accounts.
    pub fn shift(&mut self, from: (&mut Account, Book), to: (&mut Account, Book), amount: Cents) {
        self.book(from.0, from.1, -amount);
        self.book(to.0, to.1, amount);
        self.count(amount);
    }

    /// Moves an amount between two books of an account.
    pub fn rebook(&mut self, account: &mut Account, from: Book, to: Book, amount: Cents) {
        self.book(account, from, -amount);
        self.book(account, to, amount);
        self.count(amount);
    }

    /// The finished transaction.
    #[must_use]
    pub fn finish(self) -> Entry {
        let posting = |((account, book), amount)| Posting {
            account,
            book,
            amount,
        };
        let postings: Vec<Posting> = self.postings.into_iter().map(posting).collect();
        let sum: Cents = postings.iter().map(|posting| posting.amount).sum();
        assert_eq!(sum, Cents::ZERO, "both sides of a transaction are equal");
        Entry {
            kind: self.kind,
            volume: self.volume,
            postings,
        }
    }

    fn book(&mut self, account: &mut Account, book: Book, amount: Cents) {
        *account.books.get_mut(book) += amount;
        self.post(account.id, book, amount);
    }

    fn post(&mut self, account: AccountId, book: Book, amount: Cents) {
        if amount != Cents::ZERO {
            *self.postings.entry((account, book)).or_default() += amount;
        }
    }

    fn count(&mut self, amount: Cents) {
        self.volume += Cents(amount.0.abs());
    }
}
