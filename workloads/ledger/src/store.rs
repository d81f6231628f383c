//! The books on disk: embedded SQLite, write-ahead log, every commit synced.
//!
//! One [`writer`] thread owns the only writing connection and commits in groups; a pool of
//! [`readers`] sees the last committed state. [`session`] is the synchronous core both rest on:
//! it carries commands out on a connection. Durability is not a setting: [`schema`] refuses a
//! database that does not report `journal_mode = wal` and `synchronous = full`.

pub mod readers;
pub mod rows;
pub mod schema;
pub mod seed;
pub mod session;
pub mod writer;

use std::{path::PathBuf, sync::Arc};

use thiserror::Error;

use crate::rules::Refusal;

/// Why a command has no result.
#[derive(Debug, Clone, Error)]
pub enum Failure {
    /// A rule is against it; nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database did not do it. Unless a commit itself failed, nothing changed.
    #[error("the database failed to {operation}")]
    Storage {
        /// What was tried.
        operation: &'static str,
        /// What SQLite says.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// Too much is waiting for the database.
    #[error("too many requests wait for the database")]
    Overloaded,
    /// The service is going down.
    #[error("the ledger is stopping")]
    Stopping,
}

/// Why the books cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Neither there nor to be made.
    #[error("cannot use {path} as data directory")]
    Directory {
        /// Which directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another ledger has it.
    #[error("{path} belongs to a ledger that is running")]
    InUse {
        /// Which directory.
        path: PathBuf,
    },
    /// SQLite refuses.
    #[error("cannot open the books")]
    Database(#[from] rusqlite::Error),
    /// Written by a newer ledger.
    #[error("the books have version {found}; this ledger knows up to {known}")]
    Version {
        /// In the file.
        found: i64,
        /// In this program.
        known: i64,
    },
    /// SQLite would not promise durability.
    #[error("SQLite reports {setting} = {found}, where {needed} is needed")]
    Durability {
        /// Which setting.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it has to be.
        needed: &'static str,
    },
}

/// Names the operation of a failed call.
pub(crate) fn storage(operation: &'static str) -> impl FnOnce(rusqlite::Error) -> Failure {
    move |source| Failure::Storage {
        operation,
        source: Arc::new(source),
    }
}
