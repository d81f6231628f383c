//! Cutting a matrix by time, and joining pieces of one.

use crate::answer::MatrixSeries;

/// The points from the first time to the last, ms, both included, with room for so many more
/// behind them; series without any are left out.
pub(crate) fn cut(
    series: &[MatrixSeries],
    (first, last): (i64, i64),
    more: usize,
) -> Vec<MatrixSeries> {
    let cut_one = |s: &MatrixSeries| {
        let place = |time: i64| s.floats.partition_point(|(t, _)| *t < time);
        let points = &s.floats[place(first)..place(last.saturating_add(1))];
        if points.is_empty() {
            return None;
        }
        let mut floats = Vec::with_capacity(points.len() + more);
        floats.extend_from_slice(points);
        Some(MatrixSeries {
            labels: s.labels.clone(),
            floats,
            histograms: Vec::new(),
        })
    };
    series.iter().filter_map(cut_one).collect()
}

/// Both, the second behind the first in time; each and the result sorted by labels.
pub(crate) fn joined(earlier: Vec<MatrixSeries>, later: Vec<MatrixSeries>) -> Vec<MatrixSeries> {
    let mut out = Vec::with_capacity(earlier.len().max(later.len()));
    let mut later = later.into_iter().peekable();
    for mut series in earlier {
        while let Some(new) = later.next_if(|l| l.labels < series.labels) {
            out.push(new);
        }
        if let Some(more) = later.next_if(|l| l.labels == series.labels) {
            series.floats.extend(more.floats);
            series.histograms.extend(more.histograms);
        }
        out.push(series);
    }
    out.extend(later);
    out
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    fn series(name: &str, times: &[i64]) -> MatrixSeries {
        MatrixSeries {
            labels: Labels::from_pairs([("n", name)]),
            floats: times.iter().map(|t| (*t, *t as f64)).collect(),
            histograms: Vec::new(),
        }
    }

    #[test]
    fn what_is_cut_and_joined_again_is_the_same() {
        let whole = vec![
            series("a", &[1, 2, 3, 4, 5]),
            series("b", &[1, 2]),
            series("c", &[4, 5]),
            series("d", &[3]),
        ];
        for at in 0..6 {
            let pieces = (cut(&whole, (0, at), 1), cut(&whole, (at + 1, 9), 0));
            assert_eq!(joined(pieces.0, pieces.1), whole, "cut behind {at}");
        }
        assert_eq!(
            cut(&whole, (3, 3), 0),
            [series("a", &[3]), series("d", &[3])]
        );
    }
}
