//! Forking: a Gen account's surplus leaves and becomes accounts of its own.
//!
//! A forked account is a pair, half a new Gen and half a new Com, in a portfolio of its own; the
//! Gen takes an odd cent. Asked for several, the surplus is split evenly among the pairs, the
//! first taking the odd cents. Each pair is one fork against the daily limit; the rest period is
//! between operations.

use super::{DAY_MS, Ids, Refusal, lifecycle, movement, opening};
use crate::{
    account::{Account, Book, Kind, State},
    money::Cents,
    transaction::{Change, Movement, TransactionKind},
};

/// When an account forks and how much leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Surplus over the initial balance at which a fork is due.
    pub surplus: Cents,
    /// Share of the surplus that leaves, per cent.
    pub moved: i64,
    /// What has to stay behind.
    pub least_left: Cents,
    /// Pairs an account may fork off in a day.
    pub daily: i64,
    /// Rest between two forks of an account, milliseconds.
    pub cooling_ms: i64,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            surplus: Cents::units(50_000),
            moved: 100,
            least_left: Cents::units(25_000),
            daily: 5,
            cooling_ms: DAY_MS,
        }
    }
}

/// Most pairs of one fork.
pub const MOST_CHILDREN: usize = 5;

/// Whether the account's balance has reached the rule's surplus.
#[must_use]
pub fn is_due(account: &Account, rule: &Rule) -> bool {
    account.kind.properties().forks && account.balance() - account.initial >= rule.surplus
}

/// Forks `children` pairs off.
///
/// # Errors
/// Not a Gen account, not active, not due, too soon, too many, too little would be left, or the
/// surplus is not in cash.
pub fn fork(
    mut parent: Account,
    children: usize,
    rule: &Rule,
    ids: &mut Ids,
    now_ms: i64,
) -> Result<Change, Refusal> {
    let moved = check(&parent, children, rule, now_ms)?;
    let from = parent.state;
    lifecycle::step(from, State::Forking, parent.balance())?;
    parent.state = State::Forking;
    let mut movement = Movement::new(TransactionKind::ForkTransfer);
    let mut opened = Vec::new();
    for share in split(moved, children) {
        opened.extend(pair(&mut parent, share, &mut movement, ids, now_ms));
    }
    lifecycle::step(State::Forking, State::Active, parent.balance())?;
    parent.state = State::Active;
    parent.forks_that_day = forks_today(&parent, now_ms) + count(children);
    parent.last_fork_ms = Some(now_ms);
    Ok(Change {
        entry: Some(movement.finish()),
        opened,
        updated: vec![(from, parent)],
    })
}

/// What leaves, if the fork is permitted.
fn check(parent: &Account, children: usize, rule: &Rule, now_ms: i64) -> Result<Cents, Refusal> {
    let id = parent.id;
    check_kind(parent)?;
    lifecycle::check_active(parent)?;
    check_children(children)?;
    let surplus = parent.balance() - parent.initial;
    if !is_due(parent, rule) {
        let due = rule.surplus;
        return Err(Refusal::ForkNotDue { id, surplus, due });
    }
    check_pace(parent, children, rule, now_ms)?;
    let moved = surplus.portion(rule.moved, 100);
    let left = parent.balance() - moved;
    if left < rule.least_left {
        let least = rule.least_left;
        return Err(Refusal::TooLittleLeft { id, left, least });
    }
    if moved > parent.available() {
        let available = parent.available();
        return Err(movement::insufficient(
            parent,
            available,
            "available",
            moved,
        ));
    }
    Ok(moved)
}

fn check_kind(parent: &Account) -> Result<(), Refusal> {
    if parent.kind.properties().forks {
        return Ok(());
    }
    Err(Refusal::KindForbids {
        kind: parent.kind,
        what: "does not fork",
    })
}

fn check_children(given: usize) -> Result<(), Refusal> {
    if (1..=MOST_CHILDREN).contains(&given) {
        return Ok(());
    }
    Err(Refusal::Count {
        what: "accounts to fork off",
        given,
        least: 1,
        most: MOST_CHILDREN,
    })
}

fn check_pace(parent: &Account, children: usize, rule: &Rule, now_ms: i64) -> Result<(), Refusal> {
    let left = rule.daily - forks_today(parent, now_ms);
    if count(children) > left {
        return Err(Refusal::DailyForks {
            id: parent.id,
            left: left.max(0),
            wanted: count(children),
        });
    }
    match parent.last_fork_ms {
        Some(last) if now_ms < last + rule.cooling_ms => Err(Refusal::Cooling {
            id: parent.id,
            what: "fork",
            until_ms: last + rule.cooling_ms,
        }),
        _ => Ok(()),
    }
}

/// Days are counted in UTC.
fn forks_today(parent: &Account, now_ms: i64) -> i64 {
    let day = |ms: i64| ms.div_euclid(DAY_MS);
    match parent.last_fork_ms {
        Some(last) if day(last) == day(now_ms) => parent.forks_that_day,
        _ => 0,
    }
}

fn pair(
    parent: &mut Account,
    share: Cents,
    movement: &mut Movement,
    ids: &mut Ids,
    now_ms: i64,
) -> [Account; 2] {
    let opening = opening::Opening {
        owner: parent.owner.clone(),
        name: format!("fork of {}", parent.id),
        now_ms,
    };
    let portfolio = ids.portfolio();
    let com = Cents(share.0 / 2);
    [(Kind::Gen, share - com), (Kind::Com, com)].map(|(kind, initial)| {
        let mut child = opening::blank(&opening, ids.account(), portfolio, kind);
        let held = opening::buffer(kind, initial);
        child.parent = Some(parent.id);
        child.initial = initial;
        movement.shift(
            (parent, Book::Cash),
            (&mut child, Book::Cash),
            initial - held,
        );
        movement.shift((parent, Book::Cash), (&mut child, Book::Buffer), held);
        child
    })
}

fn split(amount: Cents, parts: usize) -> Vec<Cents> {
    let each = Cents(amount.0 / count(parts));
    let mut shares = vec![each; parts];
    shares[0] = amount - Cents(each.0 * (count(parts) - 1));
    shares
}

fn count(children: usize) -> i64 {
    i64::try_from(children).expect("a count of children is small")
}
