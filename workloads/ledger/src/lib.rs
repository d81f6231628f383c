//! Accounts, transfers and their growth: the I/O-bound reference service, with real knobs.

pub mod account;
pub mod analytics;
pub mod money;
pub mod oracle;
pub mod rules;
pub mod transaction;
