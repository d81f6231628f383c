//! What can go wrong with the record.

use std::path::PathBuf;

/// A failure, named for the operation.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened or prepared.
    #[error("open the journal {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file is damaged, or no SQLite database at all.
    #[error("the journal {} is damaged: {detail}; restore it from a backup, or move it away to begin a new one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check found.
        detail: String,
    },
    /// The file is a database of another program.
    #[error("{} is a database, but no journal of this program", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer program.
    #[error("the journal {} has schema {found}, this program knows {known}: run the newer program, or restore the backup made before it (a schema never goes back)", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest one known here.
        known: u32,
    },
    /// A step of the schema failed; the file is as it was before the step.
    #[error("take the journal {} to schema {step}", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// The step.
        step: u32,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A read or a write failed.
    #[error("{operation}")]
    Sql {
        /// What was done.
        operation: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A noun that could not be read back is not written: JSON has no NaN and no infinity.
    #[error("{operation}: it would not read back")]
    Unwritable {
        /// What was done.
        operation: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A stored noun is not what its type says.
    #[error("{operation}: a stored row does not parse")]
    Unreadable {
        /// What was done.
        operation: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Events are missing in the middle of the record.
    #[error("read the governor's events: event {missing} is missing")]
    Gap {
        /// The first one missing.
        missing: u64,
    },
}

/// Names the operation of a failed statement.
pub(crate) fn sql(operation: &'static str) -> impl Fn(rusqlite::Error) -> JournalError {
    move |source| JournalError::Sql { operation, source }
}
