//! `sort` and its kin: they order the answer to an instant query, and nothing else.

use std::cmp::Ordering;

use super::grid::{Grid, Row, is_present};
use super::{Evaluator, Result, Sink, relabel};
use crate::annotations::Note;
use crate::ast::Call;
use crate::functions::Kind;

impl Evaluator<'_> {
    pub(super) fn sort(&self, c: &Call, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        if self.is_range() {
            self.note(&Note::SortInRange, c.position);
        }
        let mut rows = self.rows(&c.args[0], grid)?;
        let kind = c.function.kind;
        match kind {
            Kind::Sort | Kind::SortDesc => {
                rows.iter_mut().for_each(|row| row.histograms = Vec::new());
                rows.retain(|row| !row.is_empty());
                if grid.count == 1 {
                    let descending = kind == Kind::SortDesc;
                    rows.sort_by(|a, b| by_value(a.floats[0], b.floats[0], descending));
                }
            }
            _ => {
                let names = c.args[1..]
                    .iter()
                    .map(relabel::text)
                    .collect::<Result<Vec<_>>>()?;
                rows.sort_by(|a, b| by_labels(a, b, &names));
                if kind == Kind::SortByLabelDesc {
                    rows.reverse();
                }
            }
        }
        rows.take().into_iter().try_for_each(sink)
    }
}

/// NaN comes last either way.
fn by_value(a: f64, b: f64, descending: bool) -> Ordering {
    debug_assert!(is_present(a) && is_present(b), "empty rows were left out");
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ if descending => b.total_cmp(&a),
        _ => a.total_cmp(&b),
    }
}

fn by_labels(a: &Row, b: &Row, names: &[&str]) -> Ordering {
    let value = |row: &Row, name: &str| row.labels.get(name).unwrap_or_default().to_owned();
    names
        .iter()
        .map(|name| natural(&value(a, name), &value(b, name)))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.labels.cmp(&b.labels))
}

/// Natural order: runs of digits compare as numbers, everything else as text.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (run(a), run(b)) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((run_a, rest_a)), Some((run_b, rest_b))) => {
                let order = by_run(run_a, run_b);
                if order.is_ne() {
                    return order;
                }
                (a, b) = (rest_a, rest_b);
            }
        }
    }
}

/// The run of digits or of other characters a text begins with, and what follows.
fn run(text: &str) -> Option<(&str, &str)> {
    let is_digit = text.chars().next()?.is_ascii_digit();
    let end = text
        .find(|c: char| c.is_ascii_digit() != is_digit)
        .unwrap_or(text.len());
    Some(text.split_at(end))
}

fn by_run(a: &str, b: &str) -> Ordering {
    let is_number = |run: &str| run.starts_with(|c: char| c.is_ascii_digit());
    if !is_number(a) || !is_number(b) {
        return a.cmp(b);
    }
    let (bare_a, bare_b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    bare_a
        .len()
        .cmp(&bare_b.len())
        .then_with(|| bare_a.cmp(bare_b))
        .then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_labels_sort_as_numbers() {
        let mut names = [
            "cpu10", "cpu2", "cpu02", "4m1000", "4m600", "cpu", "1.10", "1.9",
        ];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            [
                "1.9", "1.10", "4m600", "4m1000", "cpu", "cpu02", "cpu2", "cpu10"
            ]
        );
    }

    #[test]
    fn nan_sorts_last_either_way() {
        for descending in [false, true] {
            let mut values = [f64::NAN, 1.0, 2.0];
            values.sort_by(|a, b| by_value(*a, *b, descending));
            assert!(values[2].is_nan());
        }
    }
}
