//! The file: opened, checked, brought up to date; and single writes for those who need no batch.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use model::{Change, Decision, Finding, FindingId, Study, StudyId, Trial};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::{Batch, JournalError, error::sql, schema};

/// Longest wait for another connection's write.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// What the journal keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Newest findings kept; older ones are forgotten. A detector gone wild fills no disk.
    pub findings_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            findings_max: 10_000,
        }
    }
}

/// The record of one installation.
#[derive(Debug)]
pub struct Journal {
    pub(crate) connection: Connection,
    settings: Settings,
}

impl Journal {
    /// Opens the file, or begins it; checks it (reads it once) and takes the steps of the schema
    /// it has not taken.
    ///
    /// # Errors
    /// When the file cannot be opened, is damaged, another program's, or a newer program's.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        Self::open_with(path, Settings::default())
    }

    /// [`Journal::open`] with settings of one's own.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with(path: impl AsRef<Path>, settings: Settings) -> Result<Self, JournalError> {
        let path = path.as_ref();
        let at = |source| open_failed(path, source);
        let connection = Connection::open(path).map_err(at)?;
        Self::prepare(connection, path, settings)
    }

    /// Copies the journal at `path` as it is at this moment to a new file `to`, also while another
    /// process writes to it (`VACUUM INTO`, one read transaction). The copy is on disk, with its
    /// name, only when the caller has synced it and its directory.
    ///
    /// # Errors
    /// When the journal cannot be read, or `to` exists or cannot be written.
    pub fn back_up(path: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), JournalError> {
        let path = path.as_ref();
        let connection = Connection::open_with_flags(
            path,
            rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(|source| open_failed(path, source))?;
        connection
            .busy_timeout(BUSY_WAIT)
            .map_err(|source| open_failed(path, source))?;
        let to = to.as_ref().to_string_lossy();
        connection
            .execute("VACUUM INTO ?1", [&*to])
            .map_err(sql("copy the journal"))?;
        Ok(())
    }

    /// A journal that ends with the process, for simulations and tests.
    ///
    /// # Errors
    /// When SQLite cannot be had.
    pub fn in_memory() -> Result<Self, JournalError> {
        let path = Path::new(":memory:");
        let connection = Connection::open_in_memory().map_err(|e| open_failed(path, e))?;
        Self::prepare(connection, path, Settings::default())
    }

    fn prepare(
        mut connection: Connection,
        path: &Path,
        settings: Settings,
    ) -> Result<Self, JournalError> {
        let at = |source| open_failed(path, source);
        connection.busy_timeout(BUSY_WAIT).map_err(at)?;
        check(&connection, path)?;
        durable(&connection).map_err(at)?;
        migrate(&mut connection, path)?;
        Ok(Self {
            connection,
            settings,
        })
    }

    /// One turn: what is recorded in it is on disk, all of it, when [`Batch::commit`] returns,
    /// and none of it otherwise.
    ///
    /// # Errors
    /// When the file is locked or cannot be written.
    pub fn batch(&mut self) -> Result<Batch<'_>, JournalError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sql("begin a turn"))?;
        Ok(Batch::new(transaction, self.settings.findings_max))
    }

    fn alone<T>(
        &mut self,
        write: impl FnOnce(&mut Batch<'_>) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let mut batch = self.batch()?;
        let written = write(&mut batch)?;
        batch.commit()?;
        Ok(written)
    }

    /// [`Batch::record_study`], on disk at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_study(&mut self, study: &Study) -> Result<(), JournalError> {
        self.alone(|batch| batch.record_study(study))
    }

    /// [`Batch::record_trial`], on disk at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_trial(&mut self, trial: &Trial) -> Result<(), JournalError> {
        self.alone(|batch| batch.record_trial(trial))
    }

    /// [`Batch::record_change`], on disk at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_change(&mut self, change: &Change) -> Result<(), JournalError> {
        self.alone(|batch| batch.record_change(change))
    }

    /// [`Batch::record_decision`], on disk at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_decision(&mut self, decision: &Decision) -> Result<(), JournalError> {
        self.alone(|batch| batch.record_decision(decision))
    }

    /// [`Batch::record_finding`], on disk at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_finding(&mut self, finding: &mut Finding) -> Result<FindingId, JournalError> {
        self.alone(|batch| batch.record_finding(finding))
    }

    /// [`Batch::append_event`], on disk at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append_event(&mut self, at_ms: i64, line: &str) -> Result<u64, JournalError> {
        self.alone(|batch| batch.append_event(at_ms, line))
    }

    /// [`Batch::append_study_log`], on disk at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append_study_log(&mut self, study: StudyId, line: &str) -> Result<(), JournalError> {
        self.alone(|batch| batch.append_study_log(study, line))
    }

    /// [`Batch::set_meta`], on disk at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_meta(&mut self, key: &str, value: &str) -> Result<(), JournalError> {
        self.alone(|batch| batch.set_meta(key, value))
    }
}

/// Damage is told before anything is written to the file.
fn check(connection: &Connection, path: &Path) -> Result<(), JournalError> {
    let at = |source| open_failed(path, source);
    let ours: u32 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(at)?;
    let tables = "SELECT count(*) FROM sqlite_schema";
    let tables: u64 = connection
        .query_row(tables, [], |row| row.get(0))
        .map_err(at)?;
    if tables > 0 && ours != schema::APPLICATION_ID {
        let path = path.to_owned();
        return Err(JournalError::Foreign { path });
    }
    let (found, known) = (schema::version(connection).map_err(at)?, schema::newest());
    if found > known {
        let path = path.to_owned();
        return Err(JournalError::Newer { path, found, known });
    }
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(at)?;
    if verdict != "ok" {
        return Err(damaged(path, verdict));
    }
    Ok(())
}

/// FULL: a commit returns when its WAL frames are fsynced.
fn durable(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), JournalError> {
    let taken = schema::version(connection).map_err(|e| open_failed(path, e))?;
    for (step, sql) in (1..).zip(schema::STEPS).skip(taken as usize) {
        schema::take_step(connection, step, sql).map_err(|source| JournalError::Migrate {
            path: path.to_owned(),
            step,
            source,
        })?;
    }
    Ok(())
}

fn open_failed(path: &Path, source: rusqlite::Error) -> JournalError {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            damaged(path, source.to_string())
        }
        _ => JournalError::Open {
            path: PathBuf::from(path),
            source,
        },
    }
}

fn damaged(path: &Path, detail: String) -> JournalError {
    JournalError::Damaged {
        path: path.to_owned(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_waits_for_the_disk_and_studies_are_not_forgotten_by_their_trials() {
        let journal = Journal::in_memory().unwrap();
        let pragma = |name: &str| -> i64 {
            let number = |row: &rusqlite::Row<'_>| row.get(0);
            journal
                .connection
                .pragma_query_value(None, name, number)
                .unwrap()
        };
        // 2 is FULL: the log is fsynced before a commit returns.
        assert_eq!((pragma("synchronous"), pragma("foreign_keys")), (2, 1));
    }
}
