//! A series' samples over a stretch of time, floats and histograms apart, staleness markers left
//! out; and the windows range functions look through.

use std::sync::Arc;

use model::{Histogram, Labels, ResetHint, Series, is_stale};

use super::grid::{Grid, Row, is_present};

/// Samples of one kind, rising in time.
#[derive(Debug, Clone)]
pub(crate) struct Points<T> {
    pub(crate) times: Vec<i64>,
    pub(crate) values: Vec<T>,
    /// When the counter began, 0 if unknown; empty if unknown for all.
    pub(crate) starts: Vec<i64>,
}

impl<T> Default for Points<T> {
    fn default() -> Self {
        Self {
            times: Vec::new(),
            values: Vec::new(),
            starts: Vec::new(),
        }
    }
}

impl<T> Points<T> {
    fn push(&mut self, time_ms: i64, value: T, start_ms: Option<i64>) {
        self.times.push(time_ms);
        self.values.push(value);
        self.starts.extend(start_ms);
    }
}

/// One series.
#[derive(Debug, Clone, Default)]
pub(crate) struct RangeSeries {
    pub(crate) labels: Labels,
    pub(crate) drop_name: bool,
    pub(crate) floats: Points<f64>,
    pub(crate) histograms: Points<Arc<Histogram>>,
}

impl RangeSeries {
    pub(crate) fn len(&self) -> usize {
        self.floats.times.len() + self.histograms.times.len()
    }

    /// A series as read.
    pub(crate) fn read(series: Series) -> Self {
        // Without a way out in the middle several values are looked at at once.
        let stale = |any: bool, v: &f64| any | is_stale(*v);
        let plain = series.histograms.is_empty() && !series.values.iter().fold(false, stale);
        let mut out = Self {
            labels: series.labels,
            ..Self::default()
        };
        if plain {
            out.floats = Points {
                times: series.times_ms,
                values: series.values,
                starts: series.starts_ms,
            };
            return out;
        }
        for (i, (time, value)) in series.times_ms.iter().zip(&series.values).enumerate() {
            if is_stale(*value) {
                continue;
            }
            let start = series.starts_ms.get(i).copied();
            match series.histograms.get(i).and_then(Option::as_ref) {
                Some(h) => out.histograms.push(*time, Arc::clone(h), start),
                None => out.floats.push(*time, *value, start),
            }
        }
        out
    }

    /// The cells of a subquery's row as samples. What they say of counter resets is about samples
    /// that may not be among them: it is left out.
    pub(crate) fn from_row(row: &Row, grid: Grid) -> Self {
        let mut out = Self {
            labels: row.labels.clone(),
            drop_name: row.drop_name,
            ..Self::default()
        };
        for (i, time) in grid.times().enumerate() {
            if is_present(row.floats[i]) {
                out.floats.push(time, row.floats[i], None);
            } else if let Some(h) = row.histogram(i) {
                out.histograms.push(time, without_hint(h), None);
            }
        }
        out
    }
}

fn without_hint(h: &Arc<Histogram>) -> Arc<Histogram> {
    if matches!(h.reset_hint, ResetHint::Reset | ResetHint::NotReset) {
        Arc::new(Histogram {
            reset_hint: ResetHint::Unknown,
            ..(**h).clone()
        })
    } else {
        Arc::clone(h)
    }
}

/// A stretch of time, open on the left: samples after `begin` up to and including `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) begin: i64,
    pub(crate) end: i64,
}

/// Slices of a series inside of a window.
#[derive(Debug)]
pub(crate) struct Slice<'s, T> {
    pub(crate) times: &'s [i64],
    pub(crate) values: &'s [T],
    pub(crate) starts: &'s [i64],
}

// Derived, these would ask the same of `T`.
impl<T> Clone for Slice<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slice<'_, T> {}

impl<'s, T> Slice<'s, T> {
    pub(crate) fn of(points: &'s Points<T>, (low, high): (usize, usize)) -> Self {
        let starts = points.starts.get(low..high).unwrap_or_default();
        Self {
            times: &points.times[low..high],
            values: &points.values[low..high],
            starts,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// When the counter of sample `i` began; 0 if unknown.
    pub(crate) fn start(&self, i: usize) -> i64 {
        self.starts.get(i).copied().unwrap_or(0)
    }
}

/// For each stretch, which of the rising `times` lie in it. Stretches must not go back in time:
/// two pointers, together linear.
pub(crate) fn bounds(
    times: &[i64],
    stretches: impl Iterator<Item = Stretch>,
    out: &mut Vec<(usize, usize)>,
) {
    out.clear();
    if times.is_empty() {
        out.extend(stretches.map(|_| (0, 0)));
        return;
    }
    let (mut low, mut high) = (0, 0);
    for stretch in stretches {
        while times.get(low).is_some_and(|t| *t <= stretch.begin) {
            low += 1;
        }
        high = high.max(low);
        while times.get(high).is_some_and(|t| *t <= stretch.end) {
            high += 1;
        }
        out.push((low, high));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_open_on_the_left() {
        let mut out = Vec::new();
        let stretches = [(0, 2), (1, 3), (5, 9), (9, 9)];
        let stretches = stretches.map(|(begin, end)| Stretch { begin, end });
        bounds(&[0, 1, 2, 3, 9], stretches.into_iter(), &mut out);
        assert_eq!(out, [(1, 3), (2, 4), (4, 5), (5, 5)]);
    }
}
