//! Two vectors: which series of one belong to which of the other, and what comes of them.
//!
//! Series are numbered by the labels that must agree; the side of the many is walked in order,
//! and each of its rows meets the rows of the same number on the side of the one. Whether a match
//! is ambiguous is decided step by step: two series that are never there together do not clash.

use model::Labels;
use rustc_hash::FxHashMap;

use super::assembly::Assembly;
use super::binary::{arithmetic, kept};
use super::budget::Rows;
use super::grid::{ABSENT, Cell, Grid, Row, is_present};
use super::label_set::{GroupIndex, Grouping, filtered, is_metadata, written_out};
use super::{Evaluator, Result, refuse};
use crate::ast::{Binary, BinaryOp, Cardinality, Matching};

/// Which labels must agree.
fn grouping(m: &Matching) -> Grouping {
    if m.on {
        Grouping::by(&m.labels)
    } else {
        Grouping::without(&m.labels)
    }
}

/// Both sides of an operation, the many first.
struct Sides<'r> {
    b: &'r Binary,
    grid: Grid,
    many: &'r [Row],
    ones: &'r [Row],
    /// Whether the many stand on the right.
    swapped: bool,
    /// Rows of the ones by number.
    by_number: Vec<Vec<usize>>,
    /// How many of the many have each number.
    many_count: Vec<usize>,
    index: GroupIndex,
    /// Value for a missing one, and for missing many.
    fill_one: Option<f64>,
    fill_many: Option<f64>,
}

/// What has been matched so far.
struct Matched {
    assembly: Assembly,
    /// By number: at which steps a match was made. Kept only where it can matter.
    steps: Vec<Vec<bool>>,
    /// For explicit many-to-one: result labels of each number, and where they were given.
    results: FxHashMap<(usize, Labels), Vec<bool>>,
}

impl<'r> Sides<'r> {
    fn new(b: &'r Binary, left: &'r [Row], right: &'r [Row], grid: Grid) -> Self {
        let swapped = b.matching.cardinality == Cardinality::OneToMany;
        let (many, ones) = if swapped {
            (right, left)
        } else {
            (left, right)
        };
        let value = |n: Option<crate::ast::Number>| n.map(|n| n.value);
        // With `group_right`, Prometheus swaps the sides but not the values to fill them with.
        let (fill_one, fill_many) = (value(b.matching.fill_right), value(b.matching.fill_left));
        let mut index = GroupIndex::new(grouping(&b.matching));
        let mut by_number: Vec<Vec<usize>> = Vec::new();
        for (i, row) in ones.iter().enumerate() {
            let number = index.of(&row.labels);
            by_number.resize_with(index.count(), Vec::new);
            by_number[number].push(i);
        }
        let many_count = Vec::new();
        Self {
            b,
            grid,
            many,
            ones,
            swapped,
            by_number,
            many_count,
            index,
            fill_one,
            fill_many,
        }
    }

    fn is_one_to_one(&self) -> bool {
        self.b.matching.cardinality == Cardinality::OneToOne
    }

    /// Refuses two rows of the ones that are there at one step, if anything is matched there.
    fn check_ones(&self) -> Result<()> {
        let fills = self.fill_one.is_some() || self.fill_many.is_some();
        for rows in self.by_number.iter().filter(|rows| rows.len() > 1) {
            for i in 0..self.grid.count {
                let mut there = rows.iter().map(|r| &self.ones[*r]).filter(|row| row.has(i));
                let (Some(first), Some(second)) = (there.next(), there.next()) else {
                    continue;
                };
                if fills || self.many.iter().any(|row| row.has(i)) {
                    let ordered = first.labels <= second.labels;
                    let (first, second) = if ordered {
                        (first, second)
                    } else {
                        (second, first)
                    };
                    return self.ambiguous(first, second);
                }
            }
        }
        Ok(())
    }

    fn ambiguous(&self, first: &Row, second: &Row) -> Result<()> {
        let side = if self.swapped { "left" } else { "right" };
        let group = written_out(&self.index.grouping().key(&second.labels));
        let pair = format!(
            "{}, {}",
            written_out(&first.labels),
            written_out(&second.labels)
        );
        refuse(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the \
             operation: [{pair}];many-to-many matching not allowed: matching labels must be \
             unique on one side"
        ))
    }

    /// The labels of a result.
    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let m = &self.b.matching;
        let keeps = |name: &str| {
            if self.b.op.changes_meaning() && is_metadata(name) {
                return false;
            }
            !self.is_one_to_one() || m.labels.iter().any(|l| l == name) == m.on
        };
        let labels = filtered(many, keeps);
        if m.include.is_empty() {
            return labels;
        }
        let mut builder = labels.to_builder();
        for name in &m.include {
            builder.set(name.as_str(), one.get(name).unwrap_or_default());
        }
        builder.build()
    }
}

impl Evaluator<'_> {
    pub(super) fn pair(
        &self,
        b: &Binary,
        left: &[Row],
        right: &[Row],
        grid: Grid,
    ) -> Result<Vec<Row>> {
        let mut sides = Sides::new(b, left, right, grid);
        sides.check_ones()?;
        let mut matched = Matched {
            assembly: Assembly::new(grid),
            steps: vec![Vec::new(); sides.index.count()],
            results: FxHashMap::default(),
        };
        let numbers: Vec<usize> = sides
            .many
            .iter()
            .map(|row| sides.index.of(&row.labels))
            .collect();
        sides.by_number.resize_with(sides.index.count(), Vec::new);
        matched.steps.resize_with(sides.index.count(), Vec::new);
        sides.many_count.resize(sides.index.count(), 0);
        numbers.iter().for_each(|n| sides.many_count[*n] += 1);
        for (row, number) in sides.many.iter().zip(numbers) {
            self.check_stop()?;
            for one in &sides.by_number[number] {
                self.match_rows(&sides, &mut matched, number, row, &sides.ones[*one])?;
            }
            if let Some(fill) = sides.fill_one {
                self.fill_one(&sides, &mut matched, number, row, fill)?;
            }
        }
        if let Some(fill) = sides.fill_many {
            self.fill_many(&sides, &mut matched, fill)?;
        }
        Ok(matched.assembly.finish())
    }

    fn match_rows(
        &self,
        sides: &Sides<'_>,
        matched: &mut Matched,
        number: usize,
        many: &Row,
        one: &Row,
    ) -> Result<()> {
        let labels = sides.result_labels(&many.labels, &one.labels);
        let drop_name = sides.b.returns_bool || many.drop_name;
        let plain = many.histograms.is_empty() && one.histograms.is_empty();
        if plain && sides.b.op.changes_meaning() && self.is_alone(sides, number) {
            let floats = columns(sides, &many.floats, &one.floats);
            let row = Row::from_floats(labels, drop_name, floats);
            return if row.is_empty() {
                Ok(())
            } else {
                matched.assembly.merge(row)
            };
        }
        let mut target = None;
        for i in 0..sides.grid.count {
            let (Some(x), Some(y)) = (many.cell(i), one.cell(i)) else {
                continue;
            };
            let row = (&labels, drop_name);
            self.match_cells(sides, matched, number, i, (x, y), row, &mut target)?;
        }
        Ok(())
    }

    /// Whether nothing but one row on each side has this number, so that nothing can clash.
    fn is_alone(&self, sides: &Sides<'_>, number: usize) -> bool {
        let others = sides.fill_one.is_some() || sides.fill_many.is_some();
        let alone = sides.by_number[number].len() == 1 && sides.many_count[number] == 1;
        alone && !others && sides.is_one_to_one()
    }

    #[expect(clippy::too_many_arguments, reason = "one cell of a result, seen once")]
    fn match_cells(
        &self,
        sides: &Sides<'_>,
        matched: &mut Matched,
        number: usize,
        i: usize,
        (many, one): (Cell, Cell),
        (labels, drop_name): (&Labels, bool),
        target: &mut Option<usize>,
    ) -> Result<()> {
        let (left, right) = if sides.swapped {
            (&one, &many)
        } else {
            (&many, &one)
        };
        let Some(outcome) = self.noted(sides.b, left, right) else {
            return Ok(());
        };
        let steps = &mut matched.steps[number];
        steps.resize(sides.grid.count, false);
        let again = std::mem::replace(&mut steps[i], true);
        if again && sides.is_one_to_one() {
            return refuse(
                "multiple matches for labels: many-to-one matching must be explicit \
                 (group_left/group_right)",
            );
        }
        if !sides.is_one_to_one() {
            let given = matched.results.entry((number, labels.clone())).or_default();
            given.resize(sides.grid.count, false);
            if std::mem::replace(&mut given[i], true) {
                return refuse(
                    "multiple matches for labels: grouping labels must ensure unique matches",
                );
            }
        }
        if let Some(cell) = kept(sides.b, outcome.cell, outcome.keep) {
            let row = *target.get_or_insert_with(|| matched.assembly.row(labels, drop_name));
            matched.assembly.put(row, i, cell)?;
        }
        Ok(())
    }

    /// Steps at which a row of the many has no counterpart.
    fn fill_one(
        &self,
        sides: &Sides<'_>,
        matched: &mut Matched,
        number: usize,
        many: &Row,
        fill: f64,
    ) -> Result<()> {
        let key = sides.index.grouping().key(&many.labels);
        let labels = sides.result_labels(&many.labels, &key);
        let drop_name = sides.b.returns_bool || many.drop_name;
        let mut target = None;
        for i in 0..sides.grid.count {
            let has_one = sides.by_number[number]
                .iter()
                .any(|o| sides.ones[*o].has(i));
            let Some(cell) = many.cell(i).filter(|_| !has_one) else {
                continue;
            };
            let pair = (cell, Cell::Float(fill));
            self.match_cells(
                sides,
                matched,
                number,
                i,
                pair,
                (&labels, drop_name),
                &mut target,
            )?;
        }
        Ok(())
    }

    /// Steps at which a row of the ones was matched by nothing.
    fn fill_many(&self, sides: &Sides<'_>, matched: &mut Matched, fill: f64) -> Result<()> {
        for (number, rows) in sides.by_number.iter().enumerate() {
            let taken = matched.steps[number].clone();
            for one in rows.iter().map(|o| &sides.ones[*o]) {
                let key = sides.index.grouping().key(&one.labels);
                let labels = sides.result_labels(&key, &one.labels);
                let mut target = None;
                for i in 0..sides.grid.count {
                    let is_taken = taken.get(i).copied().unwrap_or(false);
                    let Some(cell) = one.cell(i).filter(|_| !is_taken) else {
                        continue;
                    };
                    let pair = (Cell::Float(fill), cell);
                    let row = (&labels, sides.b.returns_bool);
                    self.match_cells(sides, matched, number, i, pair, row, &mut target)?;
                }
            }
        }
        Ok(())
    }

    /// `and`, `or`, `unless`.
    pub(super) fn set_operation(
        &self,
        b: &Binary,
        mut left: Rows<'_>,
        mut right: Rows<'_>,
        grid: Grid,
    ) -> Result<Vec<Row>> {
        let mut index = GroupIndex::new(grouping(&b.matching));
        if b.op == BinaryOp::Or {
            let there = presence(&left, &mut index, grid);
            let mut all = Assembly::new(grid);
            left.take().into_iter().try_for_each(|row| all.merge(row))?;
            for mut row in right.take() {
                let number = index.find(&row.labels);
                mask(&mut row, number.map(|n| &there[n]), false);
                if !row.is_empty() {
                    all.merge(row)?;
                }
            }
            return Ok(all.finish());
        }
        let there = presence(&right, &mut index, grid);
        let mut rows = left.take();
        for row in &mut rows {
            let wanted = b.op == BinaryOp::And;
            let number = index.find(&row.labels);
            mask(row, number.map(|n| &there[n]), wanted);
        }
        rows.retain(|row| !row.is_empty());
        Ok(rows)
    }
}

/// At which steps anything with the labels of each number is there.
fn presence(rows: &[Row], index: &mut GroupIndex, grid: Grid) -> Vec<Vec<bool>> {
    let mut there: Vec<Vec<bool>> = Vec::new();
    for row in rows {
        let number = index.of(&row.labels);
        there.resize_with(index.count(), || vec![false; grid.count]);
        for (i, slot) in there[number].iter_mut().enumerate() {
            *slot |= row.has(i);
        }
    }
    there
}

/// Keeps the cells where the other side's presence is as wanted.
fn mask(row: &mut Row, there: Option<&Vec<bool>>, wanted: bool) {
    for i in 0..row.steps() {
        if there.is_some_and(|t| t[i]) != wanted {
            row.clear(i);
        }
    }
}

/// Two rows of floats, both orders.
fn columns(sides: &Sides<'_>, many: &[f64], one: &[f64]) -> Vec<f64> {
    let op = sides.b.op;
    let both = many.iter().zip(one).map(|(x, y)| {
        if !is_present(*x) || !is_present(*y) {
            return ABSENT;
        }
        if sides.swapped {
            arithmetic(op, *y, *x)
        } else {
            arithmetic(op, *x, *y)
        }
    });
    both.collect()
}
