//! Aggregations that pick series: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use std::cmp::Ordering;

use model::Labels;

use super::grid::{Grid, Row, is_present};
use super::label_set::Grouping;
use super::{Evaluator, Result, Sink, refuse, xxhash};
use crate::annotations::Note;
use crate::ast::{Aggregate, AggregateOp};
use crate::float_text::format_general;

/// Scalars from here on do not fit 64 bits.
const INT_MAX: f64 = 9_223_372_036_854_774_784.0;

impl Evaluator<'_> {
    pub(super) fn stream_ranked(
        &self,
        a: &Aggregate,
        grouping: &Grouping,
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let parameter = self.parameter(a, grid)?;
        let mut rows = self.rows(&a.inner, grid)?;
        if !self.check_parameter(a, &parameter)? {
            return Ok(());
        }
        let (_, groups) = self.grouped(&rows, grouping);
        let mut keep = vec![false; rows.len() * grid.count];
        let mut order = Vec::new();
        for members in &groups {
            self.check_stop()?;
            for (i, k) in parameter.iter().enumerate() {
                let picked = self.picked(a, &rows, members, i, *k);
                picked.iter().for_each(|m| keep[m * grid.count + i] = true);
                if grid.count == 1 {
                    order.extend(picked);
                }
            }
        }
        let mut rows: Vec<Option<Row>> = rows.take().into_iter().map(Some).collect();
        if grid.count > 1 {
            order = (0..rows.len()).collect();
        }
        for number in order {
            let Some(mut row) = rows[number].take() else {
                continue;
            };
            for i in 0..grid.count {
                if !keep[number * grid.count + i] {
                    row.clear(i);
                }
            }
            if !row.is_empty() {
                sink(row)?;
            }
        }
        Ok(())
    }

    /// Refuses parameters that make no sense; false if nothing can be picked at any step.
    fn check_parameter(&self, a: &Aggregate, parameter: &[f64]) -> Result<bool> {
        let largest = parameter.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let smallest = parameter.iter().copied().fold(f64::INFINITY, f64::min);
        let has_nan = parameter.iter().any(|k| k.is_nan());
        if a.op == AggregateOp::LimitRatio {
            if has_nan {
                return refuse("Ratio value is NaN");
            }
            for (given, used) in [(largest, 1.0), (smallest, -1.0)] {
                if given.abs() > 1.0 && given.signum() == used {
                    let position = a.parameter.as_ref().map(|p| p.unwrapped().position());
                    let note = Note::InvalidRatio { given, used };
                    self.note(&note, position.unwrap_or(a.position));
                }
            }
            return Ok(largest != 0.0 || smallest != 0.0);
        }
        if has_nan {
            return refuse("Parameter value is NaN");
        }
        if largest < 1.0 {
            return Ok(false);
        }
        if smallest <= i64::MIN as f64 {
            let smallest = format_general(smallest);
            return refuse(format!("Scalar value {smallest} underflows int64"));
        }
        if largest >= INT_MAX {
            let largest = format_general(largest);
            return refuse(format!("Scalar value {largest} overflows int64"));
        }
        Ok(true)
    }

    /// The rows picked from a group at one step, best first.
    fn picked(
        &self,
        a: &Aggregate,
        rows: &[Row],
        members: &[usize],
        i: usize,
        parameter: f64,
    ) -> Vec<usize> {
        let present = members.iter().copied().filter(|m| rows[*m].has(i));
        let k = parameter.max(0.0).min(rows.len() as f64) as usize;
        match a.op {
            AggregateOp::Limitk => {
                let mut members: Vec<usize> = present.collect();
                members.sort_by(|a, b| rows[*a].labels.cmp(&rows[*b].labels));
                members.truncate(k);
                members
            }
            AggregateOp::LimitRatio => {
                let ratio = parameter.clamp(-1.0, 1.0);
                present
                    .filter(|m| in_share(&rows[*m].labels, ratio))
                    .collect()
            }
            _ => {
                let largest = a.op == AggregateOp::Topk;
                let by_labels = |a: usize, b: usize| rows[a].labels.cmp(&rows[b].labels);
                let mut heap = Heap {
                    k,
                    largest,
                    by_labels: &by_labels,
                    entries: Vec::new(),
                };
                for m in present {
                    if is_present(rows[m].floats[i]) {
                        heap.offer(rows[m].floats[i], m);
                    } else if k > 0 {
                        let note = Note::IgnoredInAggregation { op: a.op.as_str() };
                        self.note(&note, a.position);
                    }
                }
                heap.sorted()
            }
        }
    }
}

/// Whether a series is in the share of all series that `ratio` asks for: below it from the
/// bottom, or, if negative, from the top. Decided by the labels alone, so that `r` and `r - 1`
/// complement each other.
fn in_share(labels: &Labels, ratio: f64) -> bool {
    let place = xxhash::of_labels(labels) as f64 / u64::MAX as f64;
    if ratio >= 0.0 {
        place < ratio || ratio == 1.0
    } else {
        place >= 1.0 + ratio
    }
}

/// A binary heap of at most k values with the worst on top. Of equal values the one whose labels
/// come first is better: what is picked does not depend on the order of the rows. (Prometheus
/// keeps one or the other by the order in which its storage gives them.)
struct Heap<'r> {
    k: usize,
    largest: bool,
    /// The order of rows by their labels.
    by_labels: &'r dyn Fn(usize, usize) -> Ordering,
    entries: Vec<(f64, usize)>,
}

impl Heap<'_> {
    /// Best first; NaN is worse than anything.
    fn order(&self, a: (f64, usize), b: (f64, usize)) -> Ordering {
        let by_value = match (a.0.is_nan(), b.0.is_nan()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ if self.largest => b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal),
            _ => a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal),
        };
        by_value.then_with(|| (self.by_labels)(a.1, b.1))
    }

    fn worse(&self, a: usize, b: usize) -> bool {
        self.order(self.entries[a], self.entries[b]).is_gt()
    }

    fn offer(&mut self, value: f64, row: usize) {
        if self.entries.len() < self.k {
            self.entries.push((value, row));
            self.up(self.entries.len() - 1);
            return;
        }
        let Some(top) = self.entries.first() else {
            return;
        };
        if self.order((value, row), *top).is_lt() {
            self.entries[0] = (value, row);
            self.down(0);
        }
    }

    fn up(&mut self, mut i: usize) {
        while i > 0 {
            let parent = (i - 1) / 2;
            if !self.worse(i, parent) {
                break;
            }
            self.entries.swap(i, parent);
            i = parent;
        }
    }

    fn down(&mut self, mut i: usize) {
        loop {
            let left = 2 * i + 1;
            if left >= self.entries.len() {
                return;
            }
            let right = left + 1;
            let pick = if right < self.entries.len() && self.worse(right, left) {
                right
            } else {
                left
            };
            if !self.worse(pick, i) {
                return;
            }
            self.entries.swap(i, pick);
            i = pick;
        }
    }

    /// The rows, best first.
    fn sorted(mut self) -> Vec<usize> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by(|a, b| self.order(*a, *b));
        entries.into_iter().map(|(_, row)| row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_and_nan_only_if_there_is_room() {
        let picked = |largest: bool, k: usize| {
            let mut heap = Heap {
                k,
                largest,
                by_labels: &|a, b| a.cmp(&b),
                entries: Vec::new(),
            };
            let values = [3.0, f64::NAN, 1.0, 4.0, 1.5];
            values
                .iter()
                .enumerate()
                .for_each(|(row, v)| heap.offer(*v, row));
            heap.sorted()
        };
        assert_eq!(picked(true, 2), [3, 0]);
        assert_eq!(picked(false, 2), [2, 4]);
        assert_eq!(picked(true, 5), [3, 0, 4, 2, 1]);
        assert!(picked(true, 0).is_empty());
    }

    #[test]
    fn of_equal_values_those_whose_labels_come_first_are_kept_in_whatever_order_they_come() {
        let values = [2.0, f64::NAN, 1.0, 2.0, 2.0, f64::NAN];
        for largest in [true, false] {
            for k in 0..=values.len() {
                let picked = |rows: &mut dyn Iterator<Item = usize>| {
                    let mut heap = Heap {
                        k,
                        largest,
                        by_labels: &|a, b| a.cmp(&b),
                        entries: Vec::new(),
                    };
                    rows.for_each(|row| heap.offer(values[row], row));
                    heap.sorted()
                };
                let forth = picked(&mut (0..values.len()));
                assert_eq!(picked(&mut (0..values.len()).rev()), forth);
                let best = if largest {
                    [0, 3, 4, 2, 1, 5]
                } else {
                    [2, 0, 3, 4, 1, 5]
                };
                assert_eq!(forth, best[..k]);
            }
        }
    }

    #[test]
    fn a_share_and_its_complement_are_everything() {
        for i in 0..200 {
            let labels = Labels::from_pairs([("i", i.to_string())]);
            assert_ne!(in_share(&labels, 0.3), in_share(&labels, -0.7));
            assert!(in_share(&labels, 1.0) && in_share(&labels, -1.0));
        }
        let labels = |i: i32| Labels::from_pairs([("i", i.to_string())]);
        let count = (0..1000).filter(|i| in_share(&labels(*i), 0.3)).count();
        assert!((200..400).contains(&count), "{count}");
    }
}
