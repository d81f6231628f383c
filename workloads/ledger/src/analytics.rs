//! What an account's postings say about it: returns, drawdown, volatility, Sharpe, counts.
//!
//! Postings are folded in the order they were made, in batches of any size. A *week* is seven
//! days counted from 1970. The return of a week is what was gained in it over the capital at work:
//! the balance it began with plus what was brought in, less what was taken out, during it (simple
//! Dietz, flows at the start). Drawdown and volatility are of the index that compounds those
//! returns, so that deposits and withdrawals are neither. Weeks without postings return zero.
//! Sharpe is annualised over a riskless rate of zero. What cannot be computed is absent.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    money::Cents,
    oracle::WEEK_MS,
    transaction::{Posting, TransactionKind},
};

/// Weeks of a year, for annualising.
const WEEKS_A_YEAR: f64 = 52.0;
/// Weeks kept of an account's life, twenty years; older ones only count in the totals.
const WEEKS_KEPT: usize = 1_040;

/// A posting with what its transaction says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dated {
    /// The posting.
    pub posting: Posting,
    /// Its transaction.
    pub transaction: i64,
    /// Why.
    pub kind: TransactionKind,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
}

/// Count and volume of one kind of transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Activity {
    /// Transactions.
    pub count: u64,
    /// What they moved, in and out alike.
    pub volume_cents: Cents,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Sum of the postings.
    pub balance_cents: Cents,
    /// Premiums and assignments over the account's life.
    pub gain_cents: Cents,
    /// Growth of the index since the start, or over twenty years.
    pub total_return: Option<f64>,
    /// Of the last full or running week.
    pub weekly_return: Option<f64>,
    /// Of the last 4 weeks.
    pub monthly_return: Option<f64>,
    /// Of the last 13 weeks.
    pub quarterly_return: Option<f64>,
    /// Of the last 52 weeks.
    pub annual_return: Option<f64>,
    /// How far the index is below its highest, 0 to 1.
    pub current_drawdown: f64,
    /// How far it ever was below its highest until then, 0 to 1.
    pub maximum_drawdown: f64,
    /// Standard deviation of weekly returns, annualised; from 2 weeks on.
    pub volatility: Option<f64>,
    /// Mean weekly return over its deviation, annualised.
    pub sharpe: Option<f64>,
    /// Transactions by kind, those that occurred.
    pub transactions: BTreeMap<TransactionKind, Activity>,
    /// Postings folded.
    pub postings: u64,
}

/// A report in the making.
#[derive(Debug, Default)]
pub struct Fold {
    balance: Cents,
    gain: Cents,
    postings: u64,
    /// Gain or loss, and capital it was made with, by week.
    weeks: BTreeMap<i64, Week>,
    activity: BTreeMap<TransactionKind, Activity>,
    last_transaction: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Week {
    start: Cents,
    flow: Cents,
    gain: Cents,
}

impl Fold {
    /// Adds the next posting.
    pub fn add(&mut self, dated: &Dated) {
        let amount = dated.posting.amount;
        let week = dated.at_ms.div_euclid(WEEK_MS);
        let start = self.balance;
        let week = self.weeks.entry(week).or_insert(Week {
            start,
            ..Week::default()
        });
        if dated.kind.is_result() {
            week.gain += amount;
            self.gain += amount;
        } else {
            week.flow += amount;
        }
        self.balance += amount;
        self.postings += 1;
        self.count(dated);
        if self.weeks.len() > WEEKS_KEPT {
            self.weeks.pop_first();
        }
    }

    /// Counts a transaction once, however many books it touched. Volume is what entered or left
    /// the account, or for moves inside it what entered the receiving book.
    fn count(&mut self, dated: &Dated) {
        let inside = matches!(
            dated.kind,
            TransactionKind::Reinvestment | TransactionKind::CashBufferAdjustment
        );
        let activity = self.activity.entry(dated.kind).or_default();
        if dated.transaction != self.last_transaction {
            activity.count += 1;
            self.last_transaction = dated.transaction;
        }
        let amount = dated.posting.amount.0;
        if !inside || amount > 0 {
            activity.volume_cents += Cents(amount.abs());
        }
    }

    /// The report as of `now_ms`.
    #[must_use]
    pub fn report(self, now_ms: i64) -> Report {
        let returns = self.returns(now_ms.div_euclid(WEEK_MS));
        let (current_drawdown, maximum_drawdown) = drawdowns(&returns);
        let deviation = deviation(&returns);
        let annualised = |(mean, deviation): (f64, f64)| {
            (deviation > 0.0).then(|| mean / deviation * WEEKS_A_YEAR.sqrt())
        };
        let over = |weeks: usize| compound(&returns, weeks);
        Report {
            balance_cents: self.balance,
            gain_cents: self.gain,
            total_return: over(WEEKS_KEPT),
            weekly_return: over(1),
            monthly_return: over(4),
            quarterly_return: over(13),
            annual_return: over(52),
            current_drawdown,
            maximum_drawdown,
            volatility: deviation.map(|(_, deviation)| deviation * WEEKS_A_YEAR.sqrt()),
            sharpe: deviation.and_then(annualised),
            transactions: self.activity,
            postings: self.postings,
        }
    }

    /// Weekly returns from the first week with a posting to `last`, gaps included.
    fn returns(&self, last: i64) -> Vec<f64> {
        let Some((&first, _)) = self.weeks.first_key_value() else {
            return Vec::new();
        };
        let kept = i64::try_from(WEEKS_KEPT).expect("a small constant");
        let first = first.max(last - kept + 1);
        (first..=last)
            .map(|week| self.weeks.get(&week).map_or(0.0, Week::rate))
            .collect()
    }
}

impl Week {
    /// Gain over capital; zero where there was no capital.
    fn rate(&self) -> f64 {
        let capital = (self.start + self.flow.floored()).0;
        if capital <= 0 {
            return 0.0;
        }
        self.gain.0 as f64 / capital as f64
    }
}

/// Return of the last `weeks`; absent for an account without postings.
fn compound(returns: &[f64], weeks: usize) -> Option<f64> {
    let from = returns.len().saturating_sub(weeks);
    let growth = |product, rate: &f64| product * (1.0 + rate);
    (!returns.is_empty()).then(|| returns[from..].iter().fold(1.0, growth) - 1.0)
}

/// Current and maximum drop of the index below its highest.
fn drawdowns(returns: &[f64]) -> (f64, f64) {
    let (mut index, mut highest, mut worst) = (1.0_f64, 1.0_f64, 0.0_f64);
    for rate in returns {
        index *= 1.0 + rate;
        highest = highest.max(index);
        worst = worst.max(1.0 - index / highest);
    }
    (1.0 - index / highest, worst)
}

/// Mean and sample standard deviation.
fn deviation(returns: &[f64]) -> Option<(f64, f64)> {
    if returns.len() < 2 {
        return None;
    }
    let n = returns.len() as f64;
    let mean = returns.iter().sum::<f64>() / n;
    let squares: f64 = returns.iter().map(|rate| (rate - mean).powi(2)).sum();
    Some((mean, (squares / (n - 1.0)).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Book;

    fn dated(week: i64, kind: TransactionKind, cents: i64) -> Dated {
        let posting = Posting {
            account: 1,
            book: Book::Cash,
            amount: Cents(cents),
        };
        Dated {
            posting,
            transaction: week * 10 + cents.rem_euclid(7) + 1,
            kind,
            at_ms: week * WEEK_MS,
        }
    }

    fn report(postings: &[Dated], now_week: i64) -> Report {
        let mut fold = Fold::default();
        postings.iter().for_each(|posting| fold.add(posting));
        fold.report(now_week * WEEK_MS)
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn returns_are_of_results_not_of_flows() {
        let postings = [
            dated(0, TransactionKind::Deposit, 10_000),
            dated(1, TransactionKind::TradePremium, 1_000),
            dated(2, TransactionKind::Deposit, 11_000),
            dated(2, TransactionKind::TradeAssignment, -2_200),
        ];
        let report = report(&postings, 2);
        assert!(close(report.total_return.unwrap(), 1.1 * 0.9 - 1.0));
        assert!(close(report.weekly_return.unwrap(), -0.1));
        assert!(close(report.current_drawdown, 0.1));
        assert_eq!(report.balance_cents, Cents(19_800));
        assert_eq!(report.gain_cents, Cents(-1_200));
        assert_eq!(report.transactions[&TransactionKind::Deposit].count, 2);
        assert_eq!(
            report.transactions[&TransactionKind::TradeAssignment].volume_cents,
            Cents(2_200)
        );
    }

    #[test]
    fn deviation_and_sharpe_have_their_known_values() {
        // Weekly returns 0, 10 %, 10 %: mean 1/15, sample deviation 1/sqrt(300).
        let postings = [
            dated(0, TransactionKind::Deposit, 10_000),
            dated(1, TransactionKind::TradePremium, 1_000),
            dated(2, TransactionKind::TradePremium, 1_100),
        ];
        let report = report(&postings, 2);
        assert!(close(report.volatility.unwrap(), (52.0_f64 / 300.0).sqrt()));
        assert!(close(
            report.sharpe.unwrap(),
            300.0_f64.sqrt() / 15.0 * 52.0_f64.sqrt()
        ));
        assert_eq!(report.maximum_drawdown, 0.0);
    }

    #[test]
    fn quiet_weeks_return_nothing_and_an_empty_account_has_no_returns() {
        let report_of = report(&[dated(0, TransactionKind::Deposit, 10_000)], 100);
        assert_eq!(report_of.annual_return, Some(0.0));
        assert_eq!(report_of.sharpe, None);
        let empty = report(&[], 3);
        assert_eq!((empty.total_return, empty.volatility), (None, None));
    }
}
