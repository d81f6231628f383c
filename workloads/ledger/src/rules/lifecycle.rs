//! The state table: which step an account may take, and why not.
//!
//! | from | to |
//! |---|---|
//! | active | inactive, suspended, forking, merging |
//! | inactive, suspended | active |
//! | forking | active |
//! | merging | closed |
//! | active, inactive, suspended, with a balance of zero | closed |

use super::Refusal;
use crate::{
    account::{Account, State},
    money::Cents,
    transaction::Change,
};

/// Checks one step.
///
/// # Errors
/// The table does not have it.
pub fn step(from: State, to: State, balance: Cents) -> Result<(), Refusal> {
    let refuse = |why| Err(Refusal::Transition { from, to, why });
    match (from, to) {
        (State::Active, State::Inactive | State::Suspended | State::Forking | State::Merging)
        | (State::Inactive | State::Suspended | State::Forking, State::Active)
        | (State::Merging, State::Closed) => Ok(()),
        (State::Active | State::Inactive | State::Suspended, State::Closed) => {
            if balance == Cents::ZERO {
                return Ok(());
            }
            refuse("only an account without a balance is closed")
        }
        (State::Closed, _) => refuse("a closed account stays closed"),
        (State::Forking, _) => refuse("a fork ends in active"),
        (State::Merging, _) => refuse("a merge ends in closed"),
        _ => refuse("the way leads over active"),
    }
}

/// Changes a state on request. Forking and merging are not requested, they are parts of a fork
/// and a merge.
///
/// # Errors
/// The table does not have the step.
pub fn request(mut account: Account, to: State) -> Result<Change, Refusal> {
    let from = account.state;
    if matches!(to, State::Forking | State::Merging) {
        let why = "it is part of a fork or a merge";
        return Err(Refusal::Transition { from, to, why });
    }
    step(from, to, account.balance())?;
    account.state = to;
    Ok(Change {
        updated: vec![(from, account)],
        ..Change::default()
    })
}

/// Gives an account another name.
///
/// # Errors
/// The name is no name, or the account is closed.
pub fn rename(mut account: Account, name: String) -> Result<Change, Refusal> {
    super::opening::check_text("a name", &name)?;
    let state = account.state;
    if state == State::Closed {
        return Err(Refusal::NotActive {
            id: account.id,
            state,
        });
    }
    account.name = name;
    Ok(Change {
        updated: vec![(state, account)],
        ..Change::default()
    })
}

pub(super) fn check_active(account: &Account) -> Result<(), Refusal> {
    if account.state == State::Active {
        return Ok(());
    }
    Err(Refusal::NotActive {
        id: account.id,
        state: account.state,
    })
}
