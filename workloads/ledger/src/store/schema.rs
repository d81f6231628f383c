//! The tables, and connections with the settings everything else relies on.
//!
//! Postings are stored in order of account, then transaction: an account's history is one range
//! of one B-tree. Accounts carry what their books hold, which is the sum of those postings.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::OpenError;

/// Version of the tables below, kept in `user_version`.
const VERSION: i64 = 1;
/// A reader waits this long for SQLite's own short locks (a checkpoint resetting the log).
const BUSY: Duration = Duration::from_secs(5);
/// The database's name in its directory.
const FILE: &str = "ledger.sqlite";

const TABLES: &str = "
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    portfolio INTEGER NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    state INTEGER NOT NULL,
    parent INTEGER,
    merged_into INTEGER,
    initial INTEGER NOT NULL,
    cash INTEGER NOT NULL,
    buffer INTEGER NOT NULL,
    contracts INTEGER NOT NULL,
    leaps INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    last_fork_ms INTEGER,
    forks_that_day INTEGER NOT NULL,
    last_merge_ms INTEGER,
    version INTEGER NOT NULL,
    last_transaction INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX accounts_portfolio ON accounts (portfolio, kind);
CREATE INDEX accounts_owner ON accounts (owner);
CREATE INDEX accounts_parent ON accounts (parent) WHERE parent IS NOT NULL;
CREATE TABLE transactions (
    id INTEGER PRIMARY KEY,
    key TEXT,
    fingerprint INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    volume INTEGER NOT NULL,
    receipt TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX transactions_key ON transactions (key) WHERE key IS NOT NULL;
CREATE TABLE postings (
    account INTEGER NOT NULL,
    txn INTEGER NOT NULL,
    book INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (account, txn, book)
) STRICT, WITHOUT ROWID;
";

/// A data directory that belongs to this process.
#[derive(Debug)]
pub struct Directory {
    file: std::path::PathBuf,
    /// Released by the system when the process ends, however it ends.
    _lock: File,
}

impl Directory {
    /// Takes the directory, creating it if needed.
    ///
    /// # Errors
    /// It cannot be made, or another process has it.
    pub fn take(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Directory {
            path: path.into(),
            source,
        };
        fs::create_dir_all(path).map_err(failed)?;
        let lock = File::create(path.join("ledger.lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                file: path.join(FILE),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.into() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The writing connection; makes the tables if there are none.
    ///
    /// # Errors
    /// SQLite refuses, or will not promise durability.
    pub fn writer(&self) -> Result<Connection, OpenError> {
        let connection = Connection::open(&self.file)?;
        connection.busy_timeout(BUSY)?;
        make_durable(&connection)?;
        migrate(&connection)?;
        Ok(connection)
    }

    /// A reading connection.
    ///
    /// # Errors
    /// SQLite refuses.
    pub fn reader(&self) -> Result<Connection, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    }
}

/// Books in memory, for tests of rules and of the session.
///
/// # Errors
/// SQLite refuses.
pub fn in_memory() -> Result<Connection, OpenError> {
    let connection = Connection::open_in_memory()?;
    migrate(&connection)?;
    Ok(connection)
}

fn make_durable(connection: &Connection) -> Result<(), OpenError> {
    let journal: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "full")?;
    let sync: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    check("journal_mode", journal, "wal")?;
    check("synchronous", sync.to_string(), "2")
}

fn check(setting: &'static str, found: String, needed: &'static str) -> Result<(), OpenError> {
    if found == needed {
        return Ok(());
    }
    Err(OpenError::Durability {
        setting,
        found,
        needed,
    })
}

fn migrate(connection: &Connection) -> Result<(), OpenError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        return Err(OpenError::Version {
            found,
            known: VERSION,
        });
    }
    if found < VERSION {
        let sql = format!("BEGIN IMMEDIATE;{TABLES}PRAGMA user_version = {VERSION};COMMIT;");
        connection.execute_batch(&sql)?;
    }
    Ok(())
}
