//! An export as an SQLite database, to be asked with SQL.
//!
//! SQLite has no NaN: such a value is NULL, and `nan_bits` has its bits (the staleness marker is
//! 9218868437227405314).

use std::path::Path;

use model::Series;
use rusqlite::{Connection, params};

use crate::{Failure, exchange::histogram_json};

const SCHEMA: &str = "
    CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT NOT NULL, labels TEXT NOT NULL);
    CREATE TABLE labels (
        series_id INTEGER NOT NULL REFERENCES series, name TEXT NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (series_id, name)) WITHOUT ROWID;
    CREATE TABLE samples (
        series_id INTEGER NOT NULL REFERENCES series, time_ms INTEGER NOT NULL, value REAL,
        nan_bits INTEGER, PRIMARY KEY (series_id, time_ms)) WITHOUT ROWID;
    CREATE TABLE histograms (
        series_id INTEGER NOT NULL REFERENCES series, time_ms INTEGER NOT NULL,
        histogram TEXT NOT NULL, PRIMARY KEY (series_id, time_ms)) WITHOUT ROWID;
    CREATE INDEX labels_by_value ON labels (name, value);
    BEGIN;
";

/// A database being filled, in one transaction.
pub(super) struct Database {
    connection: Connection,
    series: i64,
}

fn failed(error: &rusqlite::Error) -> Failure {
    Failure::of(error)
}

impl Database {
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        if path.exists() {
            return Err(Failure::usage(format!("alluse: {} exists", path.display())));
        }
        let connection = Connection::open(path).map_err(|e| failed(&e))?;
        connection.execute_batch(SCHEMA).map_err(|e| failed(&e))?;
        Ok(Self {
            connection,
            series: 0,
        })
    }

    pub(super) fn series(&mut self, series: &Series) -> Result<(), Failure> {
        self.series += 1;
        self.insert(series).map_err(|e| failed(&e))
    }

    fn insert(&self, series: &Series) -> rusqlite::Result<()> {
        let (id, labels) = (self.series, &series.labels);
        let json = serde_json::to_string(labels).expect("labels are JSON");
        self.connection
            .prepare_cached("INSERT INTO series VALUES (?1, ?2, ?3)")?
            .execute(params![id, labels.metric_name(), json])?;
        for (name, value) in labels.iter() {
            self.connection
                .prepare_cached("INSERT INTO labels VALUES (?1, ?2, ?3)")?
                .execute(params![id, name, value])?;
        }
        let mut samples = self
            .connection
            .prepare_cached("INSERT INTO samples VALUES (?1, ?2, ?3, ?4)")?;
        let mut histograms = self
            .connection
            .prepare_cached("INSERT INTO histograms VALUES (?1, ?2, ?3)")?;
        for (i, time_ms) in series.times_ms.iter().enumerate() {
            match series.histograms.get(i).and_then(Option::as_ref) {
                Some(histogram) => {
                    histograms.execute(params![id, time_ms, histogram_json(*time_ms, histogram)])?
                }
                None => {
                    let value = series.values[i];
                    let bits = value.is_nan().then(|| value.to_bits().cast_signed());
                    let value = (!value.is_nan()).then_some(value);
                    samples.execute(params![id, time_ms, value, bits])?
                }
            };
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Failure> {
        self.connection
            .execute_batch("COMMIT")
            .map_err(|e| failed(&e))?;
        self.connection.close().map_err(|(_, e)| failed(&e))
    }
}
