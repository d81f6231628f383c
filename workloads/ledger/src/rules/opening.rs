//! Opening accounts: one by one, or a portfolio of three that shares its capital 40 / 30 / 30.

use super::{Ids, Refusal};
use crate::{
    account::{Account, AccountId, Book, Books, Kind, PortfolioId, State},
    money::{Cents, LARGEST},
    transaction::{Change, Movement, OUTSIDE, TransactionKind},
};

/// Longest name, owner or key, in characters.
pub const TEXT_LIMIT: usize = 64;

/// Who opens an account and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Whose it is.
    pub owner: String,
    /// What its owner calls it.
    pub name: String,
    /// Milliseconds since 1970.
    pub now_ms: i64,
}

/// Opens one account with an initial balance, possibly of zero.
///
/// # Errors
/// A text or the amount is not acceptable.
pub fn account(
    opening: &Opening,
    (id, portfolio): (AccountId, PortfolioId),
    kind: Kind,
    initial: Cents,
) -> Result<Change, Refusal> {
    check(opening, initial)?;
    Ok(open(vec![blank(opening, id, portfolio, kind)], &[initial]))
}

/// Opens Gen, Rev and Com with their shares of a capital; Gen takes the odd cents.
///
/// # Errors
/// A text or the amount is not acceptable.
pub fn portfolio(opening: &Opening, capital: Cents, ids: &mut Ids) -> Result<Change, Refusal> {
    check(opening, capital)?;
    let portfolio = ids.portfolio();
    let accounts = Kind::ALL.map(|kind| blank(opening, ids.account(), portfolio, kind));
    let share = |kind: Kind| capital.portion(kind.properties().capital_share, 1_000);
    let (rev, com) = (share(Kind::Rev), share(Kind::Com));
    Ok(open(accounts.into(), &[capital - rev - com, rev, com]))
}

/// An account without a balance.
pub(super) fn blank(
    opening: &Opening,
    id: AccountId,
    portfolio: PortfolioId,
    kind: Kind,
) -> Account {
    Account {
        id,
        portfolio,
        owner: opening.owner.clone(),
        name: opening.name.clone(),
        kind,
        state: State::Active,
        parent: None,
        merged_into: None,
        initial: Cents::ZERO,
        books: Books::default(),
        created_ms: opening.now_ms,
        last_fork_ms: None,
        forks_that_day: 0,
        last_merge_ms: None,
        version: 1,
        last_transaction: 0,
    }
}

/// The part of an initial balance that is held back.
pub(super) fn buffer(kind: Kind, initial: Cents) -> Cents {
    initial.portion(kind.properties().buffer_share, 1_000)
}

pub(crate) fn check_text(what: &'static str, text: &str) -> Result<(), Refusal> {
    let length = text.chars().count();
    if length == 0 || length > TEXT_LIMIT || text.chars().any(char::is_control) {
        return Err(Refusal::Text(what));
    }
    Ok(())
}

fn check(opening: &Opening, amount: Cents) -> Result<(), Refusal> {
    check_text("an owner", &opening.owner)?;
    check_text("a name", &opening.name)?;
    if !(Cents::ZERO..=LARGEST).contains(&amount) {
        return Err(Refusal::Amount(amount));
    }
    Ok(())
}

fn open(mut accounts: Vec<Account>, initial: &[Cents]) -> Change {
    let mut movement = Movement::new(TransactionKind::Deposit);
    for (account, amount) in accounts.iter_mut().zip(initial) {
        let held = buffer(account.kind, *amount);
        account.initial = *amount;
        movement.bring(OUTSIDE, account, Book::Cash, *amount - held);
        movement.bring(OUTSIDE, account, Book::Buffer, held);
    }
    Change {
        entry: Some(movement.finish()),
        opened: accounts,
        updated: Vec::new(),
    }
}
