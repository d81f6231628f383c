//! Operators: on numbers, on a vector and a number, and, cell by cell, on two vectors.

use std::sync::Arc;

use model::{Histogram, ResetHint};

use super::budget::Rows;
use super::grid::{Cell, Grid, Row, is_present};
use super::{Evaluator, Result, Sink, Value};
use crate::annotations::{Note, Operation};
use crate::ast::{Binary, BinaryOp, ValueType};
use crate::histogram::{self, Incompatible, Keep};

/// An operator between numbers; comparisons answer 1 or 0.
pub(super) fn arithmetic(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => super::power::power(a, b),
        BinaryOp::Atan2 => a.atan2(b),
        op => f64::from(u8::from(holds(op, a, b))),
    }
}

/// Whether a comparison holds.
fn holds(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Greater => a > b,
        BinaryOp::Less => a < b,
        BinaryOp::GreaterEqual => a >= b,
        BinaryOp::LessEqual => a <= b,
        _ => false,
    }
}

/// What an operator makes of two cells.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) cell: Cell,
    /// Whether a comparison holds; other operators always do.
    pub(super) keep: bool,
    noted: histogram::Notes,
}

/// Why there is no outcome.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Types,
    Buckets,
}

impl From<Incompatible> for Fault {
    fn from(_: Incompatible) -> Self {
        Self::Buckets
    }
}

fn outcome(cell: Cell, keep: bool) -> Outcome {
    Outcome {
        cell,
        keep,
        noted: histogram::Notes::default(),
    }
}

fn of_histogram(h: Histogram) -> Outcome {
    outcome(Cell::Histogram(Arc::new(h)), true)
}

/// An operator between two cells.
pub(super) fn apply(
    op: BinaryOp,
    left: &Cell,
    right: &Cell,
) -> std::result::Result<Outcome, Fault> {
    match (left, right) {
        (Cell::Float(a), Cell::Float(b)) => floats(op, *a, *b),
        (Cell::Float(factor), Cell::Histogram(h)) => match op {
            BinaryOp::Mul => Ok(scaled(h, *factor, histogram::mul)),
            _ => Err(Fault::Types),
        },
        (Cell::Histogram(h), Cell::Float(number)) => match op {
            BinaryOp::Mul => Ok(scaled(h, *number, histogram::mul)),
            BinaryOp::Div => Ok(scaled(h, *number, histogram::div)),
            BinaryOp::TrimUpper => Ok(of_histogram(histogram::trim(h, *number, Keep::Below))),
            BinaryOp::TrimLower => Ok(of_histogram(histogram::trim(h, *number, Keep::Above))),
            _ => Err(Fault::Types),
        },
        (Cell::Histogram(a), Cell::Histogram(b)) => histograms(op, a, b),
    }
}

fn floats(op: BinaryOp, a: f64, b: f64) -> std::result::Result<Outcome, Fault> {
    match op {
        BinaryOp::TrimUpper | BinaryOp::TrimLower => Err(Fault::Types),
        op if op.is_comparison() => Ok(outcome(Cell::Float(a), holds(op, a, b))),
        op => Ok(outcome(Cell::Float(arithmetic(op, a, b)), true)),
    }
}

fn scaled(h: &Histogram, number: f64, scale: fn(&mut Histogram, f64)) -> Outcome {
    let mut result = h.clone();
    scale(&mut result, number);
    histogram::compact(&mut result);
    of_histogram(result)
}

fn histograms(
    op: BinaryOp,
    a: &Arc<Histogram>,
    b: &Histogram,
) -> std::result::Result<Outcome, Fault> {
    let mut result = (**a).clone();
    let noted = match op {
        BinaryOp::Add => histogram::add(&mut result, b)?,
        BinaryOp::Sub => {
            let noted = histogram::sub(&mut result, b)?;
            result.reset_hint = ResetHint::Gauge;
            noted
        }
        BinaryOp::Equal | BinaryOp::NotEqual => {
            let holds = histogram::equal(a, b) == (op == BinaryOp::Equal);
            return Ok(outcome(Cell::Histogram(Arc::clone(a)), holds));
        }
        _ => return Err(Fault::Types),
    };
    histogram::compact(&mut result);
    Ok(Outcome {
        noted,
        ..of_histogram(result)
    })
}

fn kind(cell: &Cell) -> &'static str {
    match cell {
        Cell::Float(_) => "float",
        Cell::Histogram(_) => "histogram",
    }
}

impl Evaluator<'_> {
    /// A single operator, rows handed on as they come where one operand is a scalar.
    pub(super) fn stream_operation(
        &self,
        b: &Binary,
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let is_scalar = [&b.left, &b.right].map(|e| e.value_type() == ValueType::Scalar);
        match is_scalar {
            [false, true] => {
                let column = self.scalar(&b.right, grid)?;
                self.stream(&b.left, grid, &mut |row| {
                    self.with_scalar(b, row, &column, false)
                        .map_or(Ok(()), &mut *sink)
                })
            }
            [true, false] => {
                let column = self.scalar(&b.left, grid)?;
                self.stream(&b.right, grid, &mut |row| {
                    self.with_scalar(b, row, &column, true)
                        .map_or(Ok(()), &mut *sink)
                })
            }
            _ => {
                let (left, right) = (self.rows(&b.left, grid)?, self.rows(&b.right, grid)?);
                self.of_vectors(b, left, right, grid)?
                    .into_iter()
                    .try_for_each(sink)
            }
        }
    }

    /// An operator on values that are at hand.
    pub(super) fn operate<'s>(
        &'s self,
        b: &Binary,
        left: Value<'s>,
        right: Value<'s>,
        grid: Grid,
    ) -> Result<Value<'s>> {
        let (mut rows, column, swapped) = match (left, right) {
            (Value::Scalar(x), Value::Scalar(y)) => {
                let column = x
                    .iter()
                    .zip(&y)
                    .map(|(x, y)| arithmetic(b.op, *x, *y))
                    .collect();
                return Ok(Value::Scalar(column));
            }
            (Value::Vector(x), Value::Vector(y)) => {
                let rows = self.of_vectors(b, x, y, grid)?;
                return Ok(Value::Vector(Rows::from_vec(&self.budget, rows)?));
            }
            (Value::Vector(rows), Value::Scalar(column)) => (rows, column, false),
            (Value::Scalar(column), Value::Vector(rows)) => (rows, column, true),
        };
        let rows = rows.take().into_iter();
        let rows = rows
            .filter_map(|row| self.with_scalar(b, row, &column, swapped))
            .collect();
        Ok(Value::Vector(Rows::from_vec(&self.budget, rows)?))
    }

    fn of_vectors(
        &self,
        b: &Binary,
        left: Rows<'_>,
        right: Rows<'_>,
        grid: Grid,
    ) -> Result<Vec<Row>> {
        if b.op.is_set() {
            self.set_operation(b, left, right, grid)
        } else {
            self.pair(b, &left, &right, grid)
        }
    }

    /// A row and a number a step; `swapped` if the number stands on the left.
    fn with_scalar(&self, b: &Binary, mut row: Row, column: &[f64], swapped: bool) -> Option<Row> {
        row.drop_name |= b.op.changes_meaning() || b.returns_bool;
        if row.histograms.is_empty() && b.op.changes_meaning() {
            for (value, scalar) in row.floats.iter_mut().zip(column) {
                if is_present(*value) {
                    let (x, y) = if swapped {
                        (*scalar, *value)
                    } else {
                        (*value, *scalar)
                    };
                    *value = arithmetic(b.op, x, y);
                }
            }
            return (!row.is_empty()).then_some(row);
        }
        for (i, scalar) in column.iter().enumerate() {
            let Some(cell) = row.cell(i) else { continue };
            let number = Cell::Float(*scalar);
            let (x, y) = if swapped {
                (&number, &cell)
            } else {
                (&cell, &number)
            };
            let result = self.noted(b, x, y).and_then(|o| {
                // A comparison keeps the vector's value, on whichever side it stands.
                let value = if b.op.is_comparison() {
                    cell.clone()
                } else {
                    o.cell
                };
                kept(b, value, o.keep)
            });
            row.clear(i);
            if let Some(cell) = result {
                row.put(i, cell);
            }
        }
        (!row.is_empty()).then_some(row)
    }

    /// The outcome of an operator; what there is to say about it is noted.
    pub(super) fn noted(&self, b: &Binary, left: &Cell, right: &Cell) -> Option<Outcome> {
        let op = b.op.as_str();
        match apply(b.op, left, right) {
            Ok(outcome) => {
                let operation = match b.op {
                    BinaryOp::Sub => Operation::Subtraction,
                    _ => Operation::Addition,
                };
                if outcome.noted.reset_conflict {
                    self.note(&Note::ResetCollision(operation), b.position);
                }
                if outcome.noted.bounds_reconciled {
                    self.note(&Note::BoundsReconciled(operation), b.position);
                }
                Some(outcome)
            }
            Err(Fault::Types) => {
                let (left, right) = (kind(left), kind(right));
                self.note(&Note::IncompatibleTypes { left, op, right }, b.position);
                None
            }
            Err(Fault::Buckets) => {
                self.note(&Note::IncompatibleBuckets { op }, b.position);
                None
            }
        }
    }
}

/// The result cell: a comparison filters, or with `bool` answers 1 or 0.
pub(super) fn kept(b: &Binary, cell: Cell, keep: bool) -> Option<Cell> {
    if b.returns_bool {
        return Some(Cell::Float(f64::from(u8::from(keep))));
    }
    keep.then_some(cell)
}
