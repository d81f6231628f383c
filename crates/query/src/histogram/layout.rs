//! Spans: how the buckets of one side are laid out, and how layouts merge.

use model::{Histogram, Span};

use super::buckets::{cells, indexes};

/// Spans and counts of cells in order of index; runs of adjacent indexes share a span.
#[must_use]
pub fn lay_out(cells: impl IntoIterator<Item = (i32, f64)>) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut counts = Vec::new();
    let mut next = 0_i32;
    for (index, count) in cells {
        let gap = index.wrapping_sub(next);
        match spans.last_mut() {
            Some(last) if gap == 0 => last.length += 1,
            Some(_) | None => spans.push(Span {
                offset: gap,
                length: 1,
            }),
        }
        counts.push(count);
        next = index.wrapping_add(1);
    }
    (spans, counts)
}

/// Removes empty buckets and joins adjacent spans.
pub fn compact(h: &mut Histogram) {
    compact_side(&mut h.positive_spans, &mut h.positive_buckets);
    compact_side(&mut h.negative_spans, &mut h.negative_buckets);
}

fn compact_side(spans: &mut Vec<Span>, counts: &mut Vec<f64>) {
    let tight = counts.iter().all(|c| *c != 0.0)
        && spans
            .iter()
            .enumerate()
            .all(|(i, s)| s.length > 0 && (i == 0 || s.offset > 0));
    if !tight {
        (*spans, *counts) = lay_out(cells(spans, counts).filter(|(_, count)| *count != 0.0));
    }
}

/// A copy without empty buckets.
#[must_use]
pub fn compacted(h: &Histogram) -> Histogram {
    let mut copy = h.clone();
    compact(&mut copy);
    copy
}

/// The indexes that either layout covers, in order.
#[must_use]
pub fn union(a: &[Span], b: &[Span]) -> Vec<i32> {
    let mut found: Vec<i32> = Vec::new();
    let (mut a, mut b) = (indexes(a).peekable(), indexes(b).peekable());
    loop {
        let next = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) => *x.min(y),
            (Some(x), None) => *x,
            (None, Some(y)) => *y,
            (None, None) => return found,
        };
        a.next_if_eq(&next);
        b.next_if_eq(&next);
        found.push(next);
    }
}

/// The counts of a layout at the given indexes, 0 where it has no bucket. `at` must rise and
/// cover the layout.
#[must_use]
pub fn spread_over(spans: &[Span], counts: &[f64], at: &[i32]) -> Vec<f64> {
    let mut own = cells(spans, counts).peekable();
    at.iter()
        .map(|i| {
            own.next_if(|(own, _)| own == i)
                .map_or(0.0, |(_, count)| count)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn compacting_cuts_empty_buckets_out_of_spans() {
        let mut h = Histogram {
            positive_spans: vec![
                Span {
                    offset: 1,
                    length: 3,
                },
                Span {
                    offset: 0,
                    length: 2,
                },
            ],
            positive_buckets: vec![0.0, 1.0, 0.0, 2.0, 3.0],
            ..Histogram::default()
        };
        compact(&mut h);
        assert_eq!(
            h.positive_spans,
            [
                Span {
                    offset: 2,
                    length: 1
                },
                Span {
                    offset: 1,
                    length: 2
                }
            ]
        );
        assert_eq!(h.positive_buckets, [1.0, 2.0, 3.0]);
    }

    proptest! {
        #[test]
        fn a_layout_gives_its_cells_back(
            cells_in in proptest::collection::btree_map(-50..50_i32, -5.0..5.0_f64, 0..20),
        ) {
            let (spans, counts) = lay_out(cells_in.clone());
            prop_assert_eq!(cells(&spans, &counts).collect::<Vec<_>>(), cells_in.into_iter().collect::<Vec<_>>());
            prop_assert!(spans.iter().skip(1).all(|s| s.offset > 0));
        }
    }
}
