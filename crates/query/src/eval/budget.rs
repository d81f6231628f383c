//! What a query holds in memory, counted before it is taken.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

use super::grid::Row;
use crate::error::QueryError;
use crate::limits::Limits;

/// Samples and bytes held at the moment.
#[derive(Debug)]
pub(crate) struct Budget {
    samples: Cell<usize>,
    samples_max: usize,
    bytes: Cell<usize>,
    bytes_max: usize,
    series_max: usize,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            samples: Cell::new(0),
            samples_max: limits.samples,
            bytes: Cell::new(0),
            bytes_max: limits.bytes,
            series_max: limits.series,
        }
    }

    /// Takes room for samples and bytes, until the answer is dropped.
    pub(crate) fn hold(&self, samples: usize, bytes: usize) -> Result<Held<'_>, QueryError> {
        let mut held = Held {
            budget: self,
            samples: 0,
            bytes: 0,
        };
        held.add(samples, bytes)?;
        Ok(held)
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

/// Room taken; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held<'b> {
    budget: &'b Budget,
    samples: usize,
    bytes: usize,
}

impl Held<'_> {
    pub(crate) fn add(&mut self, samples: usize, bytes: usize) -> Result<(), QueryError> {
        let budget = self.budget;
        let all_samples = budget.samples.get().saturating_add(samples);
        let all_bytes = budget.bytes.get().saturating_add(bytes);
        if all_samples > budget.samples_max {
            let message = "query processing would load too many samples into memory in query \
                           execution";
            return Err(QueryError::TooLarge(message.to_owned()));
        }
        if all_bytes > budget.bytes_max {
            let message = format!(
                "query would hold more than {} bytes of results",
                budget.bytes_max
            );
            return Err(QueryError::TooLarge(message));
        }
        budget.samples.set(all_samples);
        budget.bytes.set(all_bytes);
        self.samples += samples;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.budget
            .samples
            .set(self.budget.samples.get() - self.samples);
        self.budget.bytes.set(self.budget.bytes.get() - self.bytes);
    }
}

/// Rows and the room they take.
#[derive(Debug)]
pub(crate) struct Rows<'b> {
    rows: Vec<Row>,
    held: Held<'b>,
}

impl<'b> Rows<'b> {
    pub(crate) fn new(budget: &'b Budget) -> Self {
        Self {
            rows: Vec::new(),
            held: Held {
                budget,
                samples: 0,
                bytes: 0,
            },
        }
    }

    pub(crate) fn from_vec(budget: &'b Budget, rows: Vec<Row>) -> Result<Self, QueryError> {
        let mut all = Self::new(budget);
        for row in rows {
            all.push(row)?;
        }
        Ok(all)
    }

    pub(crate) fn push(&mut self, row: Row) -> Result<(), QueryError> {
        let bytes = size_of::<Row>() + 8 * (row.floats.len() + row.histograms.len());
        self.held.add(row.present(), bytes)?;
        self.rows.push(row);
        Ok(())
    }

    /// The rows; from here on they are not counted.
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
