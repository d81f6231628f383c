//! Accounts, transfers and their growth: the I/O-bound reference service, with real knobs.
//!
//! From the inside out: [`money`], [`account`], [`transaction`] are the nouns; [`rules`] decide,
//! purely; [`command`] is what can be asked; [`store`] keeps the books durably; [`ledger`] joins
//! writer, readers and caches; `http` answers; [`service`] starts and stops it all; [`cli`] is the
//! program. [`analytics`] reads postings; [`oracle`] runs the rules for years without a store.

pub mod account;
pub mod analytics;
pub mod cli;
pub mod command;
mod http;
pub mod ledger;
pub mod money;
pub mod oracle;
pub mod rules;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod transaction;
