//! What the service says about itself: operations, errors, accounts, volumes.

use std::collections::BTreeMap;

use runtime::metrics::{Counter, Gauge, Histogram, Registry};

use crate::{
    account::{Kind, State},
    transaction::{Change, TransactionKind},
};

/// What a request is, for its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Accounts and portfolios opened.
    Create,
    /// Names and states.
    Update,
    /// Accounts closed.
    Delete,
    /// Accounts read: one, a list, a lineage.
    Query,
    /// Deposits, withdrawals, transfers, trades, buffer adjustments.
    Transaction,
    /// Forks.
    Fork,
    /// Merges.
    Merge,
    /// Reinvestments.
    Reinvest,
    /// Analytics.
    Analytics,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Done.
    Ok,
    /// A rule was against it, or it made no sense.
    Refused,
    /// Too much to do.
    Overloaded,
    /// The ledger's own fault.
    Failed,
}

impl Operation {
    const ALL: [Self; 9] = [
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Query,
        Self::Transaction,
        Self::Fork,
        Self::Merge,
        Self::Reinvest,
        Self::Analytics,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Query => "query",
            Self::Transaction => "transaction",
            Self::Fork => "fork",
            Self::Merge => "merge",
            Self::Reinvest => "reinvest",
            Self::Analytics => "analytics",
        }
    }
}

impl Ending {
    const ALL: [Self; 4] = [Self::Ok, Self::Refused, Self::Overloaded, Self::Failed];

    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Overloaded => "overloaded",
            Self::Failed => "failed",
        }
    }
}

/// Durations and counts of one operation.
#[derive(Debug)]
pub struct OperationMetrics {
    /// From arrival, the wait included.
    pub duration: Histogram,
    endings: [Counter; Ending::ALL.len()],
}

/// Handles on the service's own series.
#[derive(Debug)]
pub struct Telemetry {
    operations: [OperationMetrics; Operation::ALL.len()],
    errors: BTreeMap<&'static str, Counter>,
    accounts: BTreeMap<(Kind, State), Gauge>,
    transactions: BTreeMap<TransactionKind, (Counter, Counter)>,
}

/// Classes of errors, also the `class` of an error's body.
pub const ERROR_CLASSES: [&str; 6] = [
    "malformed",
    "missing",
    "conflict",
    "validation",
    "overload",
    "database",
];

impl Telemetry {
    /// Registers every series, so that each is there before its first event.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self {
            operations: Operation::ALL.map(|operation| OperationMetrics::new(registry, operation)),
            errors: ERROR_CLASSES
                .map(|class| (class, error_counter(registry, class)))
                .into(),
            accounts: account_gauges(registry),
            transactions: TransactionKind::ALL
                .map(|kind| (kind, transaction_counters(registry, kind)))
                .into(),
        }
    }

    /// The metrics of an operation.
    #[must_use]
    pub fn operation(&self, operation: Operation) -> &OperationMetrics {
        &self.operations[operation as usize]
    }

    /// Counts an error.
    pub fn error(&self, class: &'static str) {
        if let Some(counter) = self.errors.get(class) {
            counter.increment();
        }
    }

    /// Counts the accounts that were there at the start.
    pub fn census(&self, census: &[(Kind, State, i64)]) {
        for (kind, state, count) in census {
            self.accounts[&(*kind, *state)].add(*count);
        }
    }

    /// Follows a committed change.
    pub fn committed(&self, change: &Change) {
        if let Some(entry) = &change.entry {
            let (count, volume) = &self.transactions[&entry.kind];
            count.increment();
            volume.add(u64::try_from(entry.volume.0).expect("a volume is not negative"));
        }
        for account in &change.opened {
            self.accounts[&(account.kind, account.state)].add(1);
        }
        for (before, account) in &change.updated {
            if *before != account.state {
                self.accounts[&(account.kind, *before)].add(-1);
                self.accounts[&(account.kind, account.state)].add(1);
            }
        }
    }
}

impl OperationMetrics {
    fn new(registry: &Registry, operation: Operation) -> Self {
        let op = operation.name();
        let ending = |ending: Ending| {
            let labels = [("op", op), ("result", ending.name())];
            registry.counter("ledger_operations_total", "Requests by result.", &labels)
        };
        Self {
            duration: registry.latency(
                "ledger_operation_duration_seconds",
                "Time from the arrival of a request to its answer, waiting included.",
                &[("op", op)],
            ),
            endings: Ending::ALL.map(ending),
        }
    }

    /// Counts how a request ended.
    pub fn ended(&self, ending: Ending) {
        self.endings[ending as usize].increment();
    }
}

fn error_counter(registry: &Registry, class: &str) -> Counter {
    registry.counter(
        "ledger_errors_total",
        "Requests that were not carried out, by class.",
        &[("class", class)],
    )
}

fn account_gauges(registry: &Registry) -> BTreeMap<(Kind, State), Gauge> {
    let gauge = |kind: Kind, state: State| {
        let labels = [("kind", kind.name()), ("state", state.name())];
        registry.gauge("ledger_accounts", "Accounts by kind and state.", &labels)
    };
    let pairs = Kind::ALL
        .into_iter()
        .flat_map(|kind| State::ALL.map(|state| (kind, state)));
    pairs
        .map(|(kind, state)| ((kind, state), gauge(kind, state)))
        .collect()
}

fn transaction_counters(registry: &Registry, kind: TransactionKind) -> (Counter, Counter) {
    let labels = [("kind", kind.name())];
    (
        registry.counter(
            "ledger_transactions_total",
            "Transactions committed.",
            &labels,
        ),
        registry.counter(
            "ledger_transaction_volume_cents_total",
            "What committed transactions moved.",
            &labels,
        ),
    )
}
