//! Keeps the record: studies, trials, changes, decisions, models, users, audit; SQLite, or PostgreSQL.
//!
//! Today: studies with their logs, trials, changes, decisions, findings and the governor's
//! events, in one SQLite file. [`Journal::batch`] is one turn of the loop: one transaction, on
//! disk before it returns, so that an intent is durable before the order it leads to is sent.
//!
//! A noun is stored as the JSON its type in `model` defines, beside the columns it is found by;
//! [`schema`] has the tables and how they came about.

mod batch;
mod error;
mod journal;
mod read;
pub mod schema;

pub use batch::Batch;
pub use error::JournalError;
pub use journal::{Journal, Settings};
