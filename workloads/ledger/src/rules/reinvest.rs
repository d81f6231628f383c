//! Reinvestment: cash goes to work, 75 % in contracts and 25 % in LEAPS.
//!
//! Rev and Com reinvest in the last seven days of a quarter (months 3, 6, 9, 12, UTC), Gen in the
//! seven days after it forked; the money stays in the account and in its balance, and is no
//! longer available.

use super::{DAY_MS, Refusal, lifecycle::check_active, movement::insufficient};
use crate::{
    account::{Account, Book, Kind},
    money::Cents,
    transaction::{Change, Movement, TransactionKind},
};

/// Least that has to be available.
pub const LEAST_AVAILABLE: Cents = Cents::units(10_000);
/// Days in which a due reinvestment is made: one round of the weekly protocol.
const WINDOW_DAYS: i64 = 7;
/// Per cent that goes into contracts; the rest goes into LEAPS.
const CONTRACTS: i64 = 75;

/// Puts `amount` to work, or everything available.
///
/// # Errors
/// Not active, not in its time, or not enough available.
pub fn reinvest(
    mut account: Account,
    amount: Option<Cents>,
    now_ms: i64,
) -> Result<Change, Refusal> {
    check_active(&account)?;
    check_time(&account, now_ms)?;
    let available = account.available();
    if available < LEAST_AVAILABLE {
        return Err(insufficient(
            &account,
            available,
            "available",
            LEAST_AVAILABLE,
        ));
    }
    let amount = amount.unwrap_or(available);
    if !amount.is_payable() {
        return Err(Refusal::Amount(amount));
    }
    if amount > available {
        return Err(insufficient(&account, available, "available", amount));
    }
    let contracts = amount.portion(CONTRACTS, 100);
    let mut movement = Movement::new(TransactionKind::Reinvestment);
    movement.rebook(&mut account, Book::Cash, Book::Contracts, contracts);
    movement.rebook(&mut account, Book::Cash, Book::Leaps, amount - contracts);
    Ok(Change {
        entry: Some(movement.finish()),
        opened: Vec::new(),
        updated: vec![(account.state, account)],
    })
}

fn check_time(account: &Account, now_ms: i64) -> Result<(), Refusal> {
    let (due, when) = match account.kind {
        Kind::Gen => (
            account
                .last_fork_ms
                .is_some_and(|last| now_ms - last < WINDOW_DAYS * DAY_MS),
            "in the seven days after it forked",
        ),
        Kind::Rev | Kind::Com => (
            is_quarter_end(now_ms.div_euclid(DAY_MS)),
            "in the last seven days of months 3, 6, 9 and 12",
        ),
    };
    if due {
        return Ok(());
    }
    let kind = account.kind;
    Err(Refusal::ReinvestNotDue { kind, when })
}

/// Whether a day (counted from 1970) is among the last seven of a quarter: seven days later, it
/// is the first month of the next one, and not yet its eighth day.
fn is_quarter_end(day: i64) -> bool {
    let (month, of_month) = month_and_day(day + WINDOW_DAYS);
    matches!(month, 1 | 4 | 7 | 10) && of_month <= WINDOW_DAYS
}

/// Month 1-12 and day 1-31 of the Gregorian calendar; Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`.
fn month_and_day(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_calendar() {
        assert_eq!(month_and_day(0), (1, 1));
        assert_eq!(month_and_day(19_782), (2, 29)); // 2024-02-29
        assert_eq!(month_and_day(20_454), (1, 1)); // 2026-01-01
    }

    #[test]
    fn a_quarter_ends_in_its_last_seven_days() {
        let last_of_2025 = 20_453;
        assert!(is_quarter_end(last_of_2025));
        assert!(is_quarter_end(last_of_2025 - 6));
        assert!(!is_quarter_end(last_of_2025 - 7));
        assert!(!is_quarter_end(last_of_2025 + 1));
        assert!(
            !is_quarter_end(last_of_2025 + 31),
            "January ends no quarter"
        );
    }
}
