//! Money in, money out, money across: deposits, withdrawals, transfers, trades, the buffer.

use serde::{Deserialize, Serialize};

use super::{Refusal, lifecycle::check_active};
use crate::{
    account::{Account, Book},
    money::{Cents, LARGEST},
    transaction::{Change, MARKET, Movement, OUTSIDE, TransactionKind},
};

/// What one account can be asked to book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Booking {
    /// See [`TransactionKind::Deposit`].
    Deposit,
    /// See [`TransactionKind::Withdrawal`].
    Withdrawal,
    /// See [`TransactionKind::TradePremium`].
    TradePremium,
    /// See [`TransactionKind::TradeAssignment`]; a loss is negative.
    TradeAssignment,
    /// See [`TransactionKind::CashBufferAdjustment`]; negative from the buffer into cash.
    CashBufferAdjustment,
}

/// Books an amount on one account.
///
/// # Errors
/// The account is not active, its kind forbids it, or there is not enough.
pub fn book(mut account: Account, booking: Booking, amount: Cents) -> Result<Change, Refusal> {
    check_active(&account)?;
    let state = account.state;
    let entry = match booking {
        Booking::Deposit => bring(&mut account, TransactionKind::Deposit, OUTSIDE, amount),
        Booking::TradePremium => bring(&mut account, TransactionKind::TradePremium, MARKET, amount),
        Booking::Withdrawal => withdraw(&mut account, amount),
        Booking::TradeAssignment => assign(&mut account, amount),
        Booking::CashBufferAdjustment => adjust_buffer(&mut account, amount),
    }?;
    Ok(Change {
        entry: Some(entry.finish()),
        opened: Vec::new(),
        updated: vec![(state, account)],
    })
}

/// Moves an amount from one account to another; for the source it is a withdrawal.
///
/// # Errors
/// As for a withdrawal; the target is not active; both are the same.
pub fn transfer(mut from: Account, mut to: Account, amount: Cents) -> Result<Change, Refusal> {
    if from.id == to.id {
        return Err(Refusal::NamedTwice(from.id));
    }
    check_active(&from)?;
    check_active(&to)?;
    check_withdrawal(&from, amount)?;
    check_room(&to, amount)?;
    let mut movement = Movement::new(TransactionKind::Transfer);
    movement.shift((&mut from, Book::Cash), (&mut to, Book::Cash), amount);
    Ok(Change {
        entry: Some(movement.finish()),
        opened: Vec::new(),
        updated: vec![(from.state, from), (to.state, to)],
    })
}

fn bring(
    account: &mut Account,
    kind: TransactionKind,
    from: i64,
    amount: Cents,
) -> Result<Movement, Refusal> {
    check_amount(amount)?;
    check_room(account, amount)?;
    let mut movement = Movement::new(kind);
    movement.bring(from, account, Book::Cash, amount);
    Ok(movement)
}

fn withdraw(account: &mut Account, amount: Cents) -> Result<Movement, Refusal> {
    check_withdrawal(account, amount)?;
    let mut movement = Movement::new(TransactionKind::Withdrawal);
    movement.bring(OUTSIDE, account, Book::Cash, -amount);
    Ok(movement)
}

/// A loss may use up the buffer, which is what it is for, but not more than the balance.
fn assign(account: &mut Account, amount: Cents) -> Result<Movement, Refusal> {
    check_amount(Cents(amount.0.saturating_abs()))?;
    check_room(account, amount)?;
    if account.balance() + amount < Cents::ZERO {
        return Err(insufficient(account, account.balance(), "in all", -amount));
    }
    let mut movement = Movement::new(TransactionKind::TradeAssignment);
    movement.bring(MARKET, account, Book::Cash, amount);
    Ok(movement)
}

fn adjust_buffer(account: &mut Account, amount: Cents) -> Result<Movement, Refusal> {
    check_amount(Cents(amount.0.saturating_abs()))?;
    if amount > account.available() {
        return Err(insufficient(
            account,
            account.available(),
            "available",
            amount,
        ));
    }
    if -amount > account.books.buffer {
        return Err(insufficient(
            account,
            account.books.buffer,
            "in its buffer",
            -amount,
        ));
    }
    let mut movement = Movement::new(TransactionKind::CashBufferAdjustment);
    if amount > Cents::ZERO {
        movement.rebook(account, Book::Cash, Book::Buffer, amount);
    } else {
        movement.rebook(account, Book::Buffer, Book::Cash, -amount);
    }
    Ok(movement)
}

fn check_withdrawal(account: &Account, amount: Cents) -> Result<(), Refusal> {
    check_amount(amount)?;
    if !account.kind.properties().withdrawals {
        return Err(Refusal::KindForbids {
            kind: account.kind,
            what: "is not withdrawn from",
        });
    }
    if amount > account.available() {
        return Err(insufficient(
            account,
            account.available(),
            "available",
            amount,
        ));
    }
    Ok(())
}

fn check_amount(amount: Cents) -> Result<(), Refusal> {
    if amount.is_payable() {
        return Ok(());
    }
    Err(Refusal::Amount(amount))
}

pub(super) fn check_room(account: &Account, amount: Cents) -> Result<(), Refusal> {
    if account.balance() + amount > LARGEST {
        return Err(Refusal::Overflow(account.id));
    }
    Ok(())
}

pub(super) fn insufficient(
    account: &Account,
    available: Cents,
    what: &'static str,
    wanted: Cents,
) -> Refusal {
    Refusal::Insufficient {
        id: account.id,
        available,
        what,
        wanted,
    }
}
