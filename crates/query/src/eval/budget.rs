//! What a query holds in memory, counted before it is taken.

use std::ops::{Deref, DerefMut};

use super::grid::Row;
use crate::account::Account;
use crate::error::QueryError;
use crate::limits::Limits;

/// What one query may hold and read, and the account of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget<'a> {
    pub(crate) account: &'a Account,
    samples_max: usize,
    bytes_max: usize,
    series_max: usize,
}

impl<'a> Budget<'a> {
    pub(crate) fn new(limits: &Limits, account: &'a Account) -> Self {
        Self {
            account,
            samples_max: limits.samples,
            bytes_max: limits.bytes,
            series_max: limits.series,
        }
    }

    /// No room yet.
    pub(crate) fn nothing(&self) -> Held<'_> {
        Held {
            budget: self,
            samples: 0,
            bytes: 0,
        }
    }

    /// Takes room for samples and bytes, until the answer is dropped.
    pub(crate) fn hold(&self, samples: usize, bytes: usize) -> Result<Held<'_>, QueryError> {
        let mut held = self.nothing();
        held.add(samples, bytes)?;
        Ok(held)
    }

    /// Takes room for the samples of a series that was read.
    pub(crate) fn hold_read(&self, samples: usize) -> Result<Held<'_>, QueryError> {
        self.account.read(1, samples);
        self.hold(samples, SAMPLE_BYTES * samples)
    }

    /// Whether one selector may read so many series.
    pub(crate) fn series(&self, count: usize) -> Result<(), QueryError> {
        if count <= self.series_max {
            return Ok(());
        }
        let message = format!("a selector matches more than {} series", self.series_max);
        Err(QueryError::TooLarge(message))
    }
}

/// A time and a value.
const SAMPLE_BYTES: usize = 16;

/// Room taken; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held<'b> {
    budget: &'b Budget<'b>,
    samples: usize,
    bytes: usize,
}

impl Held<'_> {
    pub(crate) fn add(&mut self, samples: usize, bytes: usize) -> Result<(), QueryError> {
        let Budget {
            account,
            samples_max,
            bytes_max,
            ..
        } = self.budget;
        if account.samples().saturating_add(samples) > *samples_max {
            let message = "query processing would load too many samples into memory in query \
                           execution";
            return Err(QueryError::TooLarge(message.to_owned()));
        }
        if account.bytes().saturating_add(bytes) > *bytes_max {
            let message = format!("query would hold more than {bytes_max} bytes of results");
            return Err(QueryError::TooLarge(message));
        }
        account.take(samples, bytes)?;
        self.samples += samples;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.budget.account.give(self.samples, self.bytes);
    }
}

/// Rows and the room they take.
#[derive(Debug)]
pub(crate) struct Rows<'b> {
    rows: Vec<Row>,
    held: Held<'b>,
}

impl<'b> Rows<'b> {
    pub(crate) fn new(budget: &'b Budget<'b>) -> Self {
        Self {
            rows: Vec::new(),
            held: budget.nothing(),
        }
    }

    pub(crate) fn from_vec(budget: &'b Budget<'b>, rows: Vec<Row>) -> Result<Self, QueryError> {
        let mut all = Self::new(budget);
        for row in rows {
            all.push(row)?;
        }
        Ok(all)
    }

    pub(crate) fn push(&mut self, row: Row) -> Result<(), QueryError> {
        self.held.add(row.present(), row.bytes())?;
        self.rows.push(row);
        Ok(())
    }

    /// The rows; their room is taken for as long as this lives.
    pub(crate) fn take(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.rows)
    }
}

impl Deref for Rows<'_> {
    type Target = Vec<Row>;

    fn deref(&self) -> &Vec<Row> {
        &self.rows
    }
}

impl DerefMut for Rows<'_> {
    fn deref_mut(&mut self) -> &mut Vec<Row> {
        &mut self.rows
    }
}
