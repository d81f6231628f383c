//! Puts cells of a result into rows, so that each set of labels has one row.

use model::Labels;
use rustc_hash::FxHashMap;

use super::Result;
use super::grid::{Cell, Grid, Row};
use crate::error::QueryError;

/// The refusal that two series of one result are the same.
pub(crate) fn same_labelset() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned())
}

/// Rows in the making.
#[derive(Debug)]
pub(crate) struct Assembly {
    steps: usize,
    rows: Vec<Row>,
    /// By labels, and whether the name goes at the end: one that stays and one that goes are two
    /// series in the end.
    numbers: FxHashMap<(Labels, bool), usize>,
}

impl Assembly {
    pub(crate) fn new(grid: Grid) -> Self {
        Self {
            steps: grid.count,
            rows: Vec::new(),
            numbers: FxHashMap::default(),
        }
    }

    /// The row of a set of labels. Over several steps rows are shared; at a single one each
    /// sample is a row, and duplicates are found at the end of the evaluation, if they are still
    /// there.
    pub(crate) fn row(&mut self, labels: &Labels, drop_name: bool) -> usize {
        let next = self.rows.len();
        if self.steps > 1 {
            let number = *self
                .numbers
                .entry((labels.clone(), drop_name))
                .or_insert(next);
            if number < next {
                return number;
            }
        }
        self.rows
            .push(Row::new(labels.clone(), drop_name, self.steps));
        next
    }

    /// Fills a cell; it must be empty.
    pub(crate) fn put(&mut self, row: usize, step: usize, cell: Cell) -> Result<()> {
        if self.rows[row].has(step) {
            return Err(same_labelset());
        }
        self.rows[row].put(step, cell);
        Ok(())
    }

    /// Adds a whole row, cell by cell if its labels are there already.
    pub(crate) fn merge(&mut self, row: Row) -> Result<()> {
        let before = self.rows.len();
        let number = self.row(&row.labels, row.drop_name);
        if number == before {
            self.rows[number] = row;
            return Ok(());
        }
        for i in 0..self.steps {
            if let Some(cell) = row.cell(i) {
                self.put(number, i, cell)?;
            }
        }
        Ok(())
    }

    /// The rows that are not empty.
    pub(crate) fn finish(mut self) -> Vec<Row> {
        self.rows.retain(|row| !row.is_empty());
        self.rows
    }
}

/// Merges rows of equal labels; two samples at one step are an error.
pub(crate) fn merged(rows: Vec<Row>) -> Result<Vec<Row>> {
    let mut numbers: FxHashMap<Labels, usize> = FxHashMap::default();
    let mut out: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        let next = out.len();
        let number = *numbers.entry(row.labels.clone()).or_insert(next);
        if number == next {
            out.push(row);
            continue;
        }
        for i in 0..row.steps() {
            let Some(cell) = row.cell(i) else { continue };
            if out[number].has(i) {
                return Err(same_labelset());
            }
            out[number].put(i, cell);
        }
    }
    Ok(out)
}
