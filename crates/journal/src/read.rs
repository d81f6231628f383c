//! Reading the record back. Lists are newest first and bounded by the caller.

use model::{Change, ChangeId, Decision, Finding, ProposalId, Study, StudyId, Trial};
use rusqlite::{OptionalExtension, Params};
use serde::de::DeserializeOwned;

use crate::{Journal, JournalError, error::sql};

impl Journal {
    /// All studies, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn studies(&self) -> Result<Vec<Study>, JournalError> {
        let query = "SELECT body FROM studies ORDER BY id DESC";
        self.nouns("list studies", query, [])
    }

    /// The trials of a study, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn trials(&self, study: StudyId) -> Result<Vec<Trial>, JournalError> {
        let query = "SELECT body FROM trials WHERE study = ?1 ORDER BY id DESC";
        self.nouns("list trials", query, [study.0])
    }

    /// The log of a study, oldest line first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn study_log(&self, study: StudyId) -> Result<Vec<String>, JournalError> {
        let query = "SELECT line FROM study_log WHERE study = ?1 ORDER BY seq";
        self.texts("read a study's log", query, [study.0])
    }

    /// The newest changes, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn changes(&self, limit: u32) -> Result<Vec<Change>, JournalError> {
        let query = "SELECT body FROM changes ORDER BY id DESC LIMIT ?1";
        self.nouns("list changes", query, [limit])
    }

    /// One change.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn change(&self, id: ChangeId) -> Result<Option<Change>, JournalError> {
        let query = "SELECT body FROM changes WHERE id = ?1";
        let found = self.nouns("read a change", query, [id.0])?;
        Ok(found.into_iter().next())
    }

    /// The newest decisions, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn decisions(&self, limit: u32) -> Result<Vec<Decision>, JournalError> {
        let query = "SELECT body FROM decisions ORDER BY seq DESC LIMIT ?1";
        self.nouns("list decisions", query, [limit])
    }

    /// The newest findings, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn findings(&self, limit: u32) -> Result<Vec<Finding>, JournalError> {
        let query = "SELECT body FROM findings ORDER BY id DESC LIMIT ?1";
        self.nouns("list findings", query, [limit])
    }

    /// The governor's record since its last snapshot, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read, or an event is missing in the middle.
    pub fn events(&self) -> Result<Vec<String>, JournalError> {
        let operation = "read the governor's events";
        let query = "SELECT seq, line FROM events ORDER BY seq";
        let mut statement = self.connection.prepare(query).map_err(sql(operation))?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        let mut expected: Option<u64> = None;
        let mut lines = Vec::new();
        for row in rows.map_err(sql(operation))? {
            let (seq, line): (u64, String) = row.map_err(sql(operation))?;
            let missing = expected.unwrap_or(seq);
            if seq != missing {
                return Err(JournalError::Gap { missing });
            }
            expected = Some(seq + 1);
            lines.push(line);
        }
        Ok(lines)
    }

    /// The newest proposal a decision was made on; 0 before the first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn newest_proposal(&self) -> Result<ProposalId, JournalError> {
        let query = "SELECT coalesce(max(proposal), 0) FROM decisions";
        Ok(ProposalId(self.number("find the newest proposal", query)?))
    }

    /// The newest study; 0 before the first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn newest_study(&self) -> Result<StudyId, JournalError> {
        let query = "SELECT coalesce(max(id), 0) FROM studies";
        Ok(StudyId(self.number("find the newest study", query)?))
    }

    /// One remembered value.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn meta(&self, key: &str) -> Result<Option<String>, JournalError> {
        let query = "SELECT value FROM meta WHERE key = ?1";
        self.connection
            .query_row(query, [key], |row| row.get(0))
            .optional()
            .map_err(sql("read a remembered value"))
    }

    fn number(&self, operation: &'static str, query: &str) -> Result<u64, JournalError> {
        let number = self.connection.query_row(query, [], |row| row.get(0));
        number.map_err(sql(operation))
    }

    fn texts(
        &self,
        operation: &'static str,
        query: &str,
        values: impl Params,
    ) -> Result<Vec<String>, JournalError> {
        let failed = sql(operation);
        let mut statement = self.connection.prepare_cached(query).map_err(&failed)?;
        let rows = statement
            .query_map(values, |row| row.get(0))
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    fn nouns<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        query: &str,
        values: impl Params,
    ) -> Result<Vec<T>, JournalError> {
        let unreadable = |source| JournalError::Unreadable { operation, source };
        let texts = self.texts(operation, query, values)?;
        let parsed = texts.iter().map(|text| serde_json::from_str(text));
        parsed.collect::<Result<_, _>>().map_err(unreadable)
    }
}
