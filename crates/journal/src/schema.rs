//! The tables, and the steps that lead to them: forward only, one transaction a step.
//!
//! `user_version` counts the steps taken. A step that has been released is never edited; a new
//! one is added at the end.

use rusqlite::{Connection, TransactionBehavior};

/// "ALUS": marks the file as ours.
pub const APPLICATION_ID: u32 = 0x414c_5553;

/// Each step leads from schema `index` to `index + 1`.
pub const STEPS: &[&str] = &[
    // 1: the loop's nouns.
    "
    CREATE TABLE studies (
        id       INTEGER PRIMARY KEY,
        begun_ms INTEGER NOT NULL,
        body     TEXT NOT NULL
    ) STRICT;

    CREATE TABLE trials (
        study INTEGER NOT NULL REFERENCES studies (id),
        id    INTEGER NOT NULL,
        body  TEXT NOT NULL,
        PRIMARY KEY (study, id)
    ) STRICT, WITHOUT ROWID;

    -- What a study was asked and told, in order: its search is a fold over these lines.
    CREATE TABLE study_log (
        study INTEGER NOT NULL REFERENCES studies (id),
        seq   INTEGER NOT NULL,
        line  TEXT NOT NULL,
        PRIMARY KEY (study, seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE changes (
        id       INTEGER PRIMARY KEY,
        target   TEXT NOT NULL,
        state    TEXT NOT NULL,
        begun_ms INTEGER NOT NULL,
        body     TEXT NOT NULL
    ) STRICT;

    CREATE TABLE decisions (
        seq      INTEGER PRIMARY KEY AUTOINCREMENT,
        proposal INTEGER NOT NULL,
        at_ms    INTEGER NOT NULL,
        body     TEXT NOT NULL
    ) STRICT;

    CREATE TABLE findings (
        id    INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        body  TEXT NOT NULL
    ) STRICT;

    -- The governor's record; seq without gaps.
    CREATE TABLE events (
        seq   INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        line  TEXT NOT NULL
    ) STRICT;

    CREATE TABLE meta (
        key   TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    ",
];

/// The newest schema known here.
#[must_use]
pub fn newest() -> u32 {
    u32::try_from(STEPS.len()).expect("steps are few")
}

/// Steps taken so far.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Takes one step, whole or not at all.
pub(crate) fn take_step(connection: &mut Connection, step: u32, sql: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have taken it while this one waited for the lock.
    if version(&transaction)? >= step {
        return Ok(());
    }
    transaction.execute_batch(sql)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", step)?;
    transaction.commit()
}
