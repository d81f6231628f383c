//! One turn's writes: one transaction.

use model::{Change, Decision, Finding, FindingId, Study, StudyId, Trial};
use rusqlite::{Params, Transaction, params};
use serde::{Serialize, de::DeserializeOwned};

use crate::{JournalError, error::sql};

/// Writes that become durable together. Dropped without [`Batch::commit`], nothing is written.
#[derive(Debug)]
pub struct Batch<'j> {
    transaction: Transaction<'j>,
    findings_max: u64,
}

impl<'j> Batch<'j> {
    pub(crate) fn new(transaction: Transaction<'j>, findings_max: u64) -> Self {
        Self {
            transaction,
            findings_max,
        }
    }

    /// Makes the writes durable: when this returns they survive a power cut.
    ///
    /// # Errors
    /// When they could not be; then none of them happened.
    pub fn commit(self) -> Result<(), JournalError> {
        self.transaction.commit().map_err(sql("commit a turn"))
    }

    /// The study is now this.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_study(&mut self, study: &Study) -> Result<(), JournalError> {
        let operation = "record a study";
        let body = body(operation, study)?;
        self.write(
            operation,
            "INSERT INTO studies (id, begun_ms, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET begun_ms = ?2, body = ?3",
            params![study.id.0, study.begun_ms, body],
        )
    }

    /// The trial is now this. Its study is recorded before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_trial(&mut self, trial: &Trial) -> Result<(), JournalError> {
        let operation = "record a trial";
        let body = body(operation, trial)?;
        self.write(
            operation,
            "INSERT INTO trials (study, id, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (study, id) DO UPDATE SET body = ?3",
            params![trial.study.0, trial.id.0, body],
        )
    }

    /// The change is now this.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_change(&mut self, change: &Change) -> Result<(), JournalError> {
        let operation = "record a change";
        let body = body(operation, change)?;
        let state = serde_json::to_value(change.state)
            .map_err(|source| JournalError::Unwritable { operation, source })?;
        self.write(
            operation,
            "INSERT INTO changes (id, target, state, begun_ms, body) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET state = ?3, begun_ms = ?4, body = ?5",
            params![
                change.id.0,
                change.proposal.target,
                state.as_str().expect("a state is a word"),
                change.begun_ms,
                body
            ],
        )
    }

    /// One more decision.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_decision(&mut self, decision: &Decision) -> Result<(), JournalError> {
        let operation = "record a decision";
        let body = body(operation, decision)?;
        self.write(
            operation,
            "INSERT INTO decisions (proposal, at_ms, body) VALUES (?1, ?2, ?3)",
            params![decision.proposal.0, decision.at_ms, body],
        )
    }

    /// One more finding; gives it its identity, and forgets the oldest beyond the setting.
    ///
    /// # Errors
    /// When it cannot be written; the finding is then as it was.
    pub fn record_finding(&mut self, finding: &mut Finding) -> Result<FindingId, JournalError> {
        let operation = "record a finding";
        let newest = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'findings'";
        let newest: u64 = self
            .transaction
            .query_row(newest, [], |row| row.get(0))
            .map_err(sql(operation))?;
        let id = FindingId(newest).next();
        let named = Finding {
            id,
            ..finding.clone()
        };
        self.write(
            operation,
            "INSERT INTO findings (id, at_ms, body) VALUES (?1, ?2, ?3)",
            params![id.0, named.at_ms, body(operation, &named)?],
        )?;
        let kept_after = id.0.saturating_sub(self.findings_max);
        let forget = "DELETE FROM findings WHERE id <= ?1";
        self.write("forget old findings", forget, [kept_after])?;
        finding.id = id;
        Ok(id)
    }

    /// One more line of the governor's record; gives its number.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append_event(&mut self, at_ms: i64, line: &str) -> Result<u64, JournalError> {
        let operation = "append an event";
        let insert = "INSERT INTO events (at_ms, line) VALUES (?1, ?2)";
        self.write(operation, insert, params![at_ms, line])?;
        let seq = self.transaction.last_insert_rowid();
        Ok(u64::try_from(seq).expect("events are counted from 1"))
    }

    /// Appends a snapshot of the governor and forgets the events before it, which it stands for.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn compact_events(&mut self, at_ms: i64, snapshot: &str) -> Result<u64, JournalError> {
        let seq = self.append_event(at_ms, snapshot)?;
        let forget = "DELETE FROM events WHERE seq < ?1";
        self.write("compact the events", forget, [seq])?;
        Ok(seq)
    }

    /// One more line of a study's log. The study is recorded before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append_study_log(&mut self, study: StudyId, line: &str) -> Result<(), JournalError> {
        self.write(
            "append to a study's log",
            "INSERT INTO study_log (study, seq, line)
             SELECT ?1, coalesce(max(seq), 0) + 1, ?2 FROM study_log WHERE study = ?1",
            params![study.0, line],
        )
    }

    /// Sets one remembered value.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_meta(&mut self, key: &str, value: &str) -> Result<(), JournalError> {
        self.write(
            "set a remembered value",
            "INSERT INTO meta (key, value) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET value = ?2",
            [key, value],
        )
    }

    fn write(
        &mut self,
        operation: &'static str,
        statement: &str,
        values: impl Params,
    ) -> Result<(), JournalError> {
        let mut statement = self
            .transaction
            .prepare_cached(statement)
            .map_err(sql(operation))?;
        statement.execute(values).map_err(sql(operation))?;
        Ok(())
    }
}

/// The noun as JSON that reads back: what does not is told now, not when it is needed.
fn body<T: Serialize + DeserializeOwned>(
    operation: &'static str,
    noun: &T,
) -> Result<String, JournalError> {
    let unwritable = |source| JournalError::Unwritable { operation, source };
    let body = serde_json::to_string(noun).map_err(unwritable)?;
    serde_json::from_str::<T>(&body).map_err(unwritable)?;
    Ok(body)
}
