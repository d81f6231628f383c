//! Accounts to begin with, so that a load has something to work on: made through the same rules
//! and commands as every other account, only earlier.

use super::{
    Failure,
    session::{Request, Session},
};
use crate::{
    account::Kind, command::Command, money::Cents, oracle::WEEK_MS, rules::movement::Booking,
};

/// Balance of a seeded account.
pub const INITIAL: Cents = Cents::units(1_000_000);
/// Commands of one commit while seeding.
const BATCH: usize = 1_000;

/// How many accounts, and how much history each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    /// Accounts 1 to this: odd ones Gen, even ones Rev, so that every one may pay.
    pub accounts: i64,
    /// Weekly premiums in the past of each.
    pub weeks: i64,
}

/// Fills empty books; leaves others as they are. Gives how many accounts were made.
///
/// # Errors
/// The database failed.
pub fn fill(session: &mut Session, seed: Seed, now_ms: i64) -> Result<i64, Failure> {
    if session.newest_account() > 0 {
        return Ok(0);
    }
    let start = now_ms - seed.weeks * WEEK_MS;
    run(session, (1..=seed.accounts).map(|id| open(id, start)))?;
    for week in 0..seed.weeks {
        let at_ms = start + week * WEEK_MS + WEEK_MS / 2;
        run(
            session,
            (1..=seed.accounts).map(|id| premium(id, week, at_ms)),
        )?;
    }
    Ok(seed.accounts)
}

fn run(session: &mut Session, requests: impl Iterator<Item = Request>) -> Result<(), Failure> {
    let requests: Vec<Request> = requests.collect();
    for batch in requests.chunks(BATCH) {
        for result in session.group(batch)? {
            result?;
        }
    }
    Ok(())
}

fn open(id: i64, at_ms: i64) -> Request {
    let kind = kind_of(id);
    let command = Command::OpenAccount {
        owner: format!("owner {id}"),
        name: format!("account {id}"),
        kind,
        initial_cents: INITIAL,
        portfolio: None,
    };
    Request {
        command,
        key: None,
        at_ms,
    }
}

/// Between half and one and a half times the weekly target, the same in every run.
fn premium(id: i64, week: i64, at_ms: i64) -> Request {
    let target = INITIAL.portion(kind_of(id).properties().weekly_target, 1_000);
    let share = 500 + (id * 7_919 + week * 104_729).rem_euclid(1_000);
    let command = Command::Book {
        account: id,
        booking: Booking::TradePremium,
        amount_cents: target.portion(share, 1_000),
    };
    Request {
        command,
        key: None,
        at_ms,
    }
}

fn kind_of(id: i64) -> Kind {
    if id % 2 == 1 { Kind::Gen } else { Kind::Rev }
}
