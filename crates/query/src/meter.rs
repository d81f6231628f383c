//! What each operator of a query really took, measured while it runs.
//!
//! Rows are handed on one at a time, so operators take turns: while a selector streams, what
//! consumes its rows works in between. A stack of turns says whose it is; the time from one change
//! of turns to the next belongs to the operator whose turn it was. Own times therefore add up to
//! the whole evaluation, and nothing is counted twice. Helping threads are not followed: who waits
//! for their rows takes the time.
//!
//! Nothing above an operator reads while it streams. What the account counts from its first turn
//! to its last is what it read, with all below it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::account::Account;
use crate::position::Position;

/// What an operator took. Series and samples read include what is below it; its own time does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Took {
    /// Time of its own work; zero without a clock.
    pub own: Duration,
    /// Series it handed on.
    pub series: u64,
    /// Points of them.
    pub points: u64,
    /// Series it read.
    pub series_read: u64,
    /// Samples it read.
    pub samples_read: u64,
}

/// An operator: first and last byte of its text. No two operators share both.
type Key = (usize, usize);

/// Measures operators.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whose turn it is, on top of those who wait for it.
    turns: Vec<Option<Key>>,
    /// Since when.
    since: Duration,
    took: BTreeMap<Key, Took>,
}

impl State {
    /// The time up to now belongs to whose turn it was.
    fn settle(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.since);
        self.since = now;
        if let Some(key) = self.turns.last().copied().flatten() {
            self.took.entry(key).or_default().own += passed;
        }
    }
}

/// One evaluation of an operator.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    meter: &'a Meter,
    account: &'a Account,
    key: Key,
    /// Who takes the rows.
    consumer: Option<Key>,
    series_before: u64,
    samples_before: u64,
}

impl Meter {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn of the operator at `position` begins.
    pub(crate) fn begin<'a>(&'a self, account: &'a Account, position: Position) -> Turn<'a> {
        let key = (position.start, position.end);
        let mut state = self.lock();
        state.settle(account.now());
        let consumer = state.turns.last().copied().flatten();
        state.turns.push(Some(key));
        Turn {
            meter: self,
            account,
            key,
            consumer,
            series_before: account.series(),
            samples_before: account.samples_read(),
        }
    }

    /// What the operator at `position` took, if it was evaluated on its own.
    pub(crate) fn took(&self, position: Position) -> Option<Took> {
        let key = (position.start, position.end);
        self.lock().took.get(&key).copied()
    }
}

impl Turn<'_> {
    /// Hands a series on: while `take` runs, it is the consumer's turn.
    pub(crate) fn hand_on<T>(&self, points: usize, take: impl FnOnce() -> T) -> T {
        self.hands(points);
        {
            let mut state = self.meter.lock();
            state.settle(self.account.now());
            state.turns.push(self.consumer);
        }
        let taken = take();
        let mut state = self.meter.lock();
        state.settle(self.account.now());
        state.turns.pop();
        taken
    }

    /// Counts a series that is handed on.
    pub(crate) fn hands(&self, points: usize) {
        let mut state = self.meter.lock();
        let took = state.took.entry(self.key).or_default();
        took.series += 1;
        took.points += points as u64;
    }
}

/// The turn ends, also by an error.
impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.meter.lock();
        state.settle(self.account.now());
        state.turns.pop();
        let took = state.took.entry(self.key).or_default();
        took.series_read += self.account.series() - self.series_before;
        took.samples_read += self.account.samples_read() - self.samples_before;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const OUTER: Position = Position { start: 0, end: 9 };
    const INNER: Position = Position { start: 4, end: 8 };

    #[test]
    fn time_belongs_to_whose_turn_it_is() {
        let clock = Arc::new(testkit::VirtualClock::at(0));
        let pass = |ms| clock.advance(ms);
        let account = Account::default().timed_by(clock.clone()).by_operator();
        let meter = account.meter().unwrap();
        {
            let _outer = meter.begin(&account, OUTER);
            pass(1);
            {
                let inner = meter.begin(&account, INNER);
                pass(10);
                account.read(1, 50);
                // What the outer one does with the row is its own.
                inner.hand_on(3, || pass(100));
                pass(1_000);
            }
            pass(10_000);
        }
        let (outer, inner) = (meter.took(OUTER).unwrap(), meter.took(INNER).unwrap());
        assert_eq!(outer.own, Duration::from_millis(10_101));
        assert_eq!(inner.own, Duration::from_millis(1_010));
        assert_eq!((inner.series, inner.points), (1, 3));
        assert_eq!((outer.series_read, outer.samples_read), (1, 50));
        assert_eq!(meter.took(Position::new(0, 1)), None);
    }
}
