//! Aggregations: each series belongs to one group, found once; groups fold into one cell a step.

use model::Labels;

use super::assembly::Assembly;
use super::fold::{Fold, Noted};
use super::grid::{Cell, Grid, Row, is_present};
use super::label_set::{GroupIndex, Grouping};
use super::{Evaluator, Result, Sink, histogram_text, over_time, refuse};
use crate::annotations::{Note, Operation};
use crate::ast::{Aggregate, AggregateOp, Expr};
use crate::float_text::format_value;

/// A row, its number by labels, and a column: what each takes beside its contents.
const ROW_BYTES: usize = 256;

/// How the labels of an aggregation decide.
fn grouping(a: &Aggregate) -> Grouping {
    if a.without {
        Grouping::without(&a.labels)
    } else {
        Grouping::by(&a.labels)
    }
}

impl Evaluator<'_> {
    pub(super) fn stream_aggregate(
        &self,
        a: &Aggregate,
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        match a.op {
            AggregateOp::CountValues => self.count_values(a, grid, sink),
            AggregateOp::Quantile => self.quantiles(a, grid, sink),
            AggregateOp::Topk
            | AggregateOp::Bottomk
            | AggregateOp::Limitk
            | AggregateOp::LimitRatio => self.stream_ranked(a, &grouping(a), grid, sink),
            _ => self.stream_folded(a, grid, sink),
        }
    }

    /// The parameter of an operator that takes a number, at each step.
    pub(super) fn parameter(&self, a: &Aggregate, grid: Grid) -> Result<Vec<f64>> {
        match &a.parameter {
            Some(parameter) => self.scalar(parameter, grid),
            None => refuse(format!("{} takes a parameter", a.op.as_str())),
        }
    }

    /// Operators that need no more than one series at a time.
    fn stream_folded(&self, a: &Aggregate, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        let mut index = GroupIndex::new(grouping(a));
        let mut groups: Vec<(Labels, Fold)> = Vec::new();
        let mut held = self.budget.hold(0, 0)?;
        let position = a.inner.unwrapped().position();
        self.stream(&a.inner, grid, &mut |row| {
            let number = index.of(&row.labels);
            if number == groups.len() {
                let labels = index.grouping().key(&row.labels);
                let key = 2 * labels.as_bytes().len() + ROW_BYTES;
                held.add(grid.count, Fold::bytes(a.op, grid.count) + key)?;
                groups.push((labels, Fold::new(a.op, grid.count)));
            }
            for noted in groups[number].1.add(&row) {
                self.note(&aggregated(noted, a.op, row.labels.metric_name()), position);
            }
            Ok(())
        })?;
        for (labels, fold) in groups {
            let (row, noted) = fold.finish(labels);
            for noted in noted {
                self.note(&aggregated(noted, a.op, ""), position);
            }
            if !row.is_empty() {
                sink(row)?;
            }
        }
        Ok(())
    }

    /// Rows of each group, in the order they came.
    pub(super) fn grouped(
        &self,
        rows: &[Row],
        grouping: &Grouping,
    ) -> (GroupIndex, Vec<Vec<usize>>) {
        let mut index = GroupIndex::new(grouping.clone());
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            let number = index.of(&row.labels);
            if number == groups.len() {
                groups.push(Vec::new());
            }
            groups[number].push(i);
        }
        (index, groups)
    }

    fn quantiles(&self, a: &Aggregate, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        let parameter = self.parameter(a, grid)?;
        let rows = self.rows(&a.inner, grid)?;
        let Some(position) = a.parameter.as_ref().map(|p| p.unwrapped().position()) else {
            return Ok(());
        };
        self.note_quantiles(&parameter, position);
        if rows.iter().any(|row| !row.histograms.is_empty()) {
            let note = Note::IgnoredInAggregation { op: "quantile" };
            self.note(&note, a.inner.unwrapped().position());
        }
        let (index, groups) = self.grouped(&rows, &grouping(a));
        for members in groups {
            self.check_stop()?;
            let labels = index.grouping().key(&rows[members[0]].labels);
            let drop_name = members.iter().any(|m| rows[*m].drop_name);
            let mut out = Row::new(labels, drop_name, grid.count);
            for (i, q) in parameter.iter().enumerate() {
                let values = members.iter().map(|m| rows[*m].floats[i]);
                let values: Vec<f64> = values.filter(|v| is_present(*v)).collect();
                if !values.is_empty() {
                    out.floats[i] = over_time::quantile(*q, values);
                }
            }
            if !out.is_empty() {
                sink(out)?;
            }
        }
        Ok(())
    }

    /// Warns of each kind of bad quantile once, naming the worst.
    fn note_quantiles(&self, all: &[f64], position: crate::position::Position) {
        let largest = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let smallest = all.iter().copied().fold(f64::INFINITY, f64::min);
        if all.iter().any(|q| q.is_nan()) {
            self.note(&Note::InvalidQuantile(f64::NAN), position);
        }
        if largest > 1.0 {
            self.note(&Note::InvalidQuantile(largest), position);
        }
        if smallest < 0.0 {
            self.note(&Note::InvalidQuantile(smallest), position);
        }
    }

    fn count_values(&self, a: &Aggregate, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        let Some(Expr::Text(label)) = a.parameter.as_ref().map(Expr::unwrapped) else {
            return refuse("count_values takes a label name");
        };
        if !label.is_valid || label.value.is_empty() {
            let written = &self.text[label.position.start..label.position.end];
            return refuse(format!("invalid label name {written}"));
        }
        let mut labels = a.labels.clone();
        if !a.without {
            labels.push(label.value.clone());
        }
        let grouping = if a.without {
            Grouping::without(&labels)
        } else {
            Grouping::by(&labels)
        };
        let mut counts = Assembly::new(Grid {
            count: grid.count.max(2),
            ..grid
        });
        let mut numbers = Vec::new();
        let mut held = self.budget.hold(0, 0)?;
        self.stream(&a.inner, grid, &mut |row| {
            for i in 0..grid.count {
                let Some(cell) = row.cell(i) else { continue };
                let value = match cell {
                    Cell::Float(v) => format_value(v),
                    Cell::Histogram(h) => histogram_text::display(&h),
                };
                let key = grouping.key(&row.labels.with(&label.value, &value));
                let number = counts.row(&key, false);
                if number == numbers.len() {
                    // The counts and the row they end up in.
                    held.add(0, key.as_bytes().len() + 2 * 8 * grid.count + ROW_BYTES)?;
                    numbers.push(vec![0.0_f64; grid.count]);
                }
                numbers[number][i] += 1.0;
            }
            Ok(())
        })?;
        for (number, column) in numbers.into_iter().enumerate() {
            for (i, count) in column.into_iter().enumerate().filter(|(_, n)| *n > 0.0) {
                counts.put(number, i, Cell::Float(count))?;
            }
        }
        counts.finish().into_iter().try_for_each(|mut row| {
            row.floats.truncate(grid.count);
            sink(row)
        })
    }
}

/// What a fold noted, as an annotation.
fn aggregated<'a>(noted: Noted, op: AggregateOp, metric: &'a str) -> Note<'a> {
    match noted {
        Noted::Ignored => Note::IgnoredInAggregation { op: op.as_str() },
        Noted::Mixed => Note::MixedFloatsHistogramsAggregated,
        Noted::Incompatible => Note::MixedBuckets { metric },
        Noted::Reconciled => Note::BoundsReconciled(Operation::Aggregation),
        Noted::Collision => Note::ResetCollision(Operation::Aggregation),
    }
}
