//! What requests bring. Unknown fields are refused: a misspelt one must not be ignored.

use serde::Deserialize;

use crate::{
    account::{AccountId, Kind, PortfolioId, State},
    money::Cents,
    rules::movement::Booking,
};

/// `POST /accounts`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenAccount {
    pub(super) owner: String,
    pub(super) name: Option<String>,
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) initial_cents: Cents,
    pub(super) portfolio: Option<PortfolioId>,
    pub(super) key: Option<String>,
}

/// `POST /portfolios`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenPortfolio {
    pub(super) owner: String,
    pub(super) name: Option<String>,
    pub(super) capital_cents: Cents,
    pub(super) key: Option<String>,
}

/// `PATCH /accounts/{id}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    pub(super) name: String,
}

/// `POST /accounts/{id}/status`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetState {
    pub(super) state: State,
}

/// `POST /accounts/{id}/transactions`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Book {
    pub(super) kind: Booking,
    pub(super) amount_cents: Cents,
    pub(super) key: String,
}

/// `POST /transfers`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Transfer {
    pub(super) from: AccountId,
    pub(super) to: AccountId,
    pub(super) amount_cents: Cents,
    pub(super) key: String,
}

/// `POST /accounts/{id}/fork`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fork {
    #[serde(default = "one")]
    pub(super) children: usize,
    pub(super) key: String,
}

fn one() -> usize {
    1
}

/// `POST /merges`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Merge {
    pub(super) sources: Vec<AccountId>,
    pub(super) target: AccountId,
    pub(super) key: String,
}

/// `POST /portfolios/{id}/merge`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MergePortfolio {
    pub(super) key: String,
}

/// `POST /accounts/{id}/reinvest`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reinvest {
    pub(super) amount_cents: Option<Cents>,
    pub(super) key: String,
}

/// `GET /accounts`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    #[serde(default)]
    pub(super) after: AccountId,
    pub(super) limit: Option<i64>,
    pub(super) owner: Option<String>,
    pub(super) kind: Option<Kind>,
    pub(super) state: Option<State>,
}
