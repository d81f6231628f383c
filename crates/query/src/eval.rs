//! Evaluates a tree over a grid of steps.
//!
//! Everything is columnar: a series is a row with one cell a step, and an instant query is a grid
//! of one step. Rows are handed on one at a time where an expression allows it
//! ([`Evaluator::stream`]), so that `sum(rate(x[5m]))` holds the groups but never all series.
//! What does not change from step to step is evaluated once.

mod aggregate;
mod assembly;
mod binary;
mod budget;
mod calendar;
mod call;
mod classic;
mod digest;
mod duration;
mod fold;
mod grid;
mod histogram_text;
mod info;
mod kahan;
mod label_set;
mod map;
mod order;
mod over_time;
mod pair;
mod power;
mod range;
mod rank;
mod rate;
mod rate_extended;
mod relabel;
mod select;
mod series;
mod spread;
mod stats;
mod xxhash;

use std::cell::{Cell as StdCell, RefCell};

use model::{Labels, ReadError, SeriesReader};

pub(crate) use assembly::merged;
pub(crate) use budget::{Budget, Rows};
pub(crate) use duration::milliseconds as duration_ms;
pub(crate) use grid::{Cell, Grid, Row, is_present};
pub(crate) use label_set::without_metadata;
pub(crate) use series::RangeSeries;
pub(crate) use stats::Buckets;

use crate::annotations::{Annotations, Note};
use crate::ast::{Binary, BinaryOp, Expr, ValueType};
use crate::engine::StopSignal;
use crate::error::QueryError;
use crate::limits::Options;
use crate::meter::Turn;
use crate::position::Position;
use crate::workers::Workers;

pub(crate) type Result<T> = std::result::Result<T, QueryError>;

/// Takes rows as they come.
pub(crate) type Sink<'s> = dyn FnMut(Row) -> Result<()> + 's;

/// What an expression evaluates to.
#[derive(Debug)]
pub(crate) enum Value<'b> {
    /// A number a step.
    Scalar(Vec<f64>),
    /// A set of rows.
    Vector(Rows<'b>),
}

/// The times a query is evaluated at, as `start()`, `end()`, `step()` and `range()` see them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryTimes {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// 0 for an instant query.
    pub(crate) step: i64,
}

/// One evaluation.
pub(crate) struct Evaluator<'a> {
    pub(crate) reader: &'a dyn SeriesReader,
    pub(crate) text: &'a str,
    pub(crate) options: &'a Options,
    pub(crate) times: QueryTimes,
    pub(crate) stop: StopSignal<'a>,
    pub(crate) budget: Budget<'a>,
    pub(crate) annotations: RefCell<Annotations>,
    /// Whether buckets matter where the evaluation stands.
    pub(crate) buckets: StdCell<Buckets>,
    pub(crate) threads: Threads<'a>,
}

/// The threads a query may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Threads<'a> {
    pub(crate) workers: Option<&'a dyn Workers>,
    /// How many, its own among them.
    pub(crate) most: usize,
}

/// An evaluator as another thread begins it: where this one stands, with notes of its own.
struct Seed<'a> {
    reader: &'a dyn SeriesReader,
    text: &'a str,
    options: &'a Options,
    times: QueryTimes,
    stop: StopSignal<'a>,
    budget: Budget<'a>,
    buckets: Buckets,
}

impl<'a> Seed<'a> {
    /// It has one thread.
    fn evaluator(&self) -> Evaluator<'a> {
        Evaluator {
            reader: self.reader,
            text: self.text,
            options: self.options,
            times: self.times,
            stop: self.stop,
            budget: self.budget,
            annotations: RefCell::default(),
            buckets: StdCell::new(self.buckets),
            threads: Threads {
                workers: None,
                most: 1,
            },
        }
    }
}

impl std::fmt::Debug for Evaluator<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator")
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}

/// The refusal of a query that cannot be executed.
pub(crate) fn refuse<T>(message: impl Into<String>) -> Result<T> {
    Err(QueryError::Execution(message.into()))
}

impl<'a> Evaluator<'a> {
    fn seed(&self) -> Seed<'a> {
        Seed {
            reader: self.reader,
            text: self.text,
            options: self.options,
            times: self.times,
            stop: self.stop,
            budget: self.budget,
            buckets: self.buckets.get(),
        }
    }

    /// An error once the query has to end.
    pub(crate) fn check_stop(&self) -> Result<()> {
        match (self.stop)() {
            None => Ok(()),
            Some(stop) => Err(stop.into()),
        }
    }

    pub(crate) fn note(&self, note: &Note<'_>, position: Position) {
        self.annotations.borrow_mut().add(note, position, self.text);
    }

    /// A series as the reader gave it; what it could not read becomes a warning.
    pub(crate) fn readable<T>(
        &self,
        series: std::result::Result<T, ReadError>,
    ) -> Result<Option<T>> {
        match series {
            Ok(series) => Ok(Some(series)),
            Err(ReadError::Corrupt { place }) => {
                self.annotations.borrow_mut().missing(&place);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the query runs over a range of time.
    fn is_range(&self) -> bool {
        self.times.step > 0
    }

    /// Evaluates an expression of type scalar or vector.
    pub(crate) fn value(&self, expr: &Expr, grid: Grid) -> Result<Value<'_>> {
        match expr.value_type() {
            ValueType::Scalar => Ok(Value::Scalar(self.scalar(expr, grid)?)),
            _ => Ok(Value::Vector(self.rows(expr, grid)?)),
        }
    }

    /// All rows of a vector.
    pub(crate) fn rows(&self, expr: &Expr, grid: Grid) -> Result<Rows<'_>> {
        let mut rows = Rows::new(&self.budget);
        self.stream(expr, grid, &mut |row| rows.push(row))?;
        Ok(rows)
    }

    /// The rows of a vector, one at a time.
    pub(crate) fn stream(&self, expr: &Expr, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        let expr = expr.unwrapped();
        match self.turn(expr.position()) {
            None => self.stream_of(expr, grid, sink),
            Some(turn) => self.stream_of(expr, grid, &mut |row| {
                turn.hand_on(row.present(), || sink(row))
            }),
        }
    }

    /// Begins to measure an operator, if somebody wants to know.
    pub(crate) fn turn(&self, position: Position) -> Option<Turn<'_>> {
        let account = self.budget.account;
        account.meter().map(|meter| meter.begin(account, position))
    }

    fn stream_of(&self, expr: &Expr, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        if grid.count > 1 && expr.step_invariant() {
            return self.stream_of(expr, grid.first(), &mut |row| {
                sink(row.repeated(grid.count))
            });
        }
        match expr {
            Expr::Unary(u) => self.stream(&u.inner, grid, &mut |row| {
                sink(if u.negative { map::negated(row) } else { row })
            }),
            Expr::Binary(b) => self.stream_binary(expr, b, grid, sink),
            Expr::Call(c) => self.stream_call(c, grid, sink),
            Expr::Aggregate(a) => self.stream_aggregate(a, grid, sink),
            Expr::Vector(v) => self.stream_selector(v, grid, select::Take::Value, sink),
            Expr::Number(_)
            | Expr::Text(_)
            | Expr::Paren(_)
            | Expr::Matrix(_)
            | Expr::Subquery(_) => refuse(format!("{expr} is no instant vector")),
        }
    }

    /// A chain of operators is evaluated from the inside out, in a loop; a single one hands its
    /// rows on as they come.
    fn stream_binary(
        &self,
        expr: &Expr,
        b: &Binary,
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let (_, chain) = expr.spine();
        let trims = |b: &&Binary| matches!(b.op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
        let evaluate = || match chain.len() {
            1 => self.stream_operation(b, grid, sink),
            _ => match self.chain(expr, grid)? {
                Value::Vector(mut rows) => rows.take().into_iter().try_for_each(sink),
                Value::Scalar(_) => refuse("a scalar is no instant vector"),
            },
        };
        if chain.iter().any(trims) {
            self.with_buckets(Buckets::Needed, evaluate)
        } else {
            evaluate()
        }
    }

    fn chain(&self, expr: &Expr, grid: Grid) -> Result<Value<'_>> {
        let (leftmost, chain) = expr.spine();
        let mut left = self.value(leftmost, grid)?;
        let outermost = chain.len() - 1;
        for (i, b) in chain.into_iter().enumerate() {
            self.check_stop()?;
            let right = self.value(&b.right, grid)?;
            // The outermost one is measured by who asked for the chain.
            let turn = (i < outermost).then(|| self.turn(b.position)).flatten();
            left = self.operate(b, left, right, grid)?;
            if let Some(turn) = turn {
                match &left {
                    Value::Scalar(column) => turn.hands(column.len()),
                    Value::Vector(rows) => rows.iter().for_each(|row| turn.hands(row.present())),
                }
            }
        }
        Ok(left)
    }

    /// A number a step.
    pub(crate) fn scalar(&self, expr: &Expr, grid: Grid) -> Result<Vec<f64>> {
        let expr = expr.unwrapped();
        let turn = self.turn(expr.position());
        let column = self.scalar_of(expr, grid)?;
        if let Some(turn) = turn {
            turn.hands(column.len());
        }
        Ok(column)
    }

    fn scalar_of(&self, expr: &Expr, grid: Grid) -> Result<Vec<f64>> {
        if grid.count > 1 && expr.step_invariant() {
            let once = self.scalar_of(expr, grid.first())?;
            return Ok(vec![once[0]; grid.count]);
        }
        match expr {
            Expr::Number(n) => Ok(vec![n.value; grid.count]),
            Expr::Unary(u) => {
                let mut column = self.scalar(&u.inner, grid)?;
                if u.negative {
                    column.iter_mut().for_each(|v| *v = -*v);
                }
                Ok(column)
            }
            Expr::Binary(_) => match self.chain(expr, grid)? {
                Value::Scalar(column) => Ok(column),
                Value::Vector(_) => refuse("an instant vector is no scalar"),
            },
            Expr::Call(c) => self.scalar_call(c, grid),
            _ => refuse(format!("{expr} is no scalar")),
        }
    }

    /// The series of a range vector at one time: the answer to an instant query for a matrix.
    pub(crate) fn matrix(&self, expr: &Expr, time_ms: i64) -> Result<Vec<RangeSeries>> {
        let mut all = Vec::new();
        let mut held = self.budget.hold(0, 0)?;
        self.each_range(
            expr.unwrapped(),
            Grid::single(time_ms),
            &mut |series, span| {
                let window = span.clip(series, span.window(time_ms));
                held.add(window.len(), 24 * window.len())?;
                if window.len() > 0 {
                    all.push(window);
                }
                Ok(())
            },
        )?;
        Ok(all)
    }

    /// The metric's name in annotations.
    fn metric(labels: &Labels) -> &str {
        labels.metric_name()
    }
}
