//! Merging: balances of several accounts end in one, and the sources close.
//!
//! By itself, a forked pair that has grown to the rule's total merges into the Com account of the
//! portfolio it came from. By hand, 2 to 10 active accounts with a balance merge into an active
//! one; the target then rests. Cash and buffers arrive as cash, what is invested stays invested.

use super::{DAY_MS, Refusal, lifecycle, movement};
use crate::{
    account::{Account, Book, PortfolioId, State},
    money::Cents,
    transaction::{Change, Movement, TransactionKind},
};

/// When accounts merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Total of a forked pair at which it merges by itself.
    pub total: Cents,
    /// Rest of a target between two merges by hand, milliseconds.
    pub cooling_ms: i64,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            total: Cents::units(500_000),
            cooling_ms: DAY_MS,
        }
    }
}

/// Fewest and most sources of a merge by hand.
pub const SOURCES: (usize, usize) = (2, 10);

/// Whether a forked pair has grown to the rule's total.
#[must_use]
pub fn is_due(pair: &[Account], rule: &Rule) -> bool {
    pair.iter().map(Account::balance).sum::<Cents>() >= rule.total
}

/// Merges `sources` into `target`, by hand.
///
/// # Errors
/// The number of sources, a state, an empty source, a repetition, or the target's rest.
pub fn by_hand(
    sources: Vec<Account>,
    target: Account,
    rule: &Rule,
    now_ms: i64,
) -> Result<Change, Refusal> {
    let (least, most) = SOURCES;
    if !(least..=most).contains(&sources.len()) {
        return Err(Refusal::Count {
            what: "accounts to merge",
            given: sources.len(),
            least,
            most,
        });
    }
    match target.last_merge_ms {
        Some(last) if now_ms < last + rule.cooling_ms => {
            return Err(Refusal::Cooling {
                id: target.id,
                what: "merge",
                until_ms: last + rule.cooling_ms,
            });
        }
        _ => {}
    }
    for source in &sources {
        if source.balance() <= Cents::ZERO {
            let (available, wanted) = (source.balance(), Cents(1));
            return Err(movement::insufficient(
                source, available, "to merge", wanted,
            ));
        }
    }
    merge(sources, target, now_ms)
}

/// Merges a forked pair into the Com account of the portfolio it came from.
///
/// # Errors
/// The pair is not due, or an account is not active.
pub fn by_rule(
    (id, pair): (PortfolioId, Vec<Account>),
    target: Account,
    rule: &Rule,
    now_ms: i64,
) -> Result<Change, Refusal> {
    if !is_due(&pair, rule) {
        return Err(Refusal::MergeNotDue {
            id,
            total: pair.iter().map(Account::balance).sum(),
            due: rule.total,
        });
    }
    merge(pair, target, now_ms)
}

fn merge(sources: Vec<Account>, mut target: Account, now_ms: i64) -> Result<Change, Refusal> {
    check_distinct(&sources, &target)?;
    lifecycle::check_active(&target)?;
    let total: Cents = sources.iter().map(Account::balance).sum();
    movement::check_room(&target, total)?;
    let mut movement = Movement::new(TransactionKind::MergeTransfer);
    let mut updated = Vec::with_capacity(sources.len() + 1);
    for mut source in sources {
        let from = source.state;
        lifecycle::check_active(&source)?;
        lifecycle::step(from, State::Merging, source.balance())?;
        empty(&mut source, &mut target, &mut movement);
        lifecycle::step(State::Merging, State::Closed, source.balance())?;
        source.state = State::Closed;
        source.merged_into = Some(target.id);
        updated.push((from, source));
    }
    target.last_merge_ms = Some(now_ms);
    updated.push((target.state, target));
    Ok(Change {
        entry: Some(movement.finish()),
        opened: Vec::new(),
        updated,
    })
}

fn check_distinct(sources: &[Account], target: &Account) -> Result<(), Refusal> {
    for (index, source) in sources.iter().enumerate() {
        let earlier = sources[..index].iter().any(|other| other.id == source.id);
        if earlier || source.id == target.id {
            return Err(Refusal::NamedTwice(source.id));
        }
    }
    Ok(())
}

fn empty(source: &mut Account, target: &mut Account, movement: &mut Movement) {
    for book in Book::ALL {
        let amount = source.books.get(book);
        let into = if book == Book::Buffer {
            Book::Cash
        } else {
            book
        };
        movement.shift((source, book), (target, into), amount);
    }
}
