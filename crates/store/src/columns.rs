//! Decoded samples of one series as columns, and their merge: last write wins.

use std::{ops::Range, sync::Arc};

use model::{Histogram, Value};

use crate::part::DAY_MS;

/// Samples in rising order of time. `histograms` is empty when all are floats, else one slot a
/// sample; a histogram's value is its sum.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Columns {
    pub(crate) times: Vec<i64>,
    pub(crate) values: Vec<f64>,
    pub(crate) histograms: Vec<Option<Arc<Histogram>>>,
}

impl Columns {
    /// Room for so many floats.
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self {
            times: Vec::with_capacity(count),
            values: Vec::with_capacity(count),
            histograms: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Appends one sample, in whatever order of time.
    pub(crate) fn push(&mut self, time_ms: i64, value: &Value) {
        match value {
            Value::Float(float) => self.push_slot(time_ms, *float, None),
            Value::Histogram(h) => self.push_slot(time_ms, h.sum, Some(Arc::clone(h))),
        }
    }

    fn push_slot(&mut self, time_ms: i64, value: f64, histogram: Option<Arc<Histogram>>) {
        if histogram.is_some() {
            self.histograms.resize(self.values.len(), None);
        }
        let slots = histogram.is_some() || !self.histograms.is_empty();
        self.times.push(time_ms);
        self.values.push(value);
        if slots {
            self.histograms.push(histogram);
        }
    }

    fn push_from(&mut self, other: &Self, index: usize) {
        let histogram = other.histograms.get(index).cloned().flatten();
        self.push_slot(other.times[index], other.values[index], histogram);
    }

    /// Appends floats.
    pub(crate) fn push_floats(&mut self, times: &[i64], values: &[f64]) {
        self.times.extend_from_slice(times);
        self.values.extend_from_slice(values);
        if !self.histograms.is_empty() {
            self.histograms.resize(self.values.len(), None);
        }
    }

    fn append(&mut self, mut other: Self) {
        if !other.histograms.is_empty() {
            self.histograms.resize(self.values.len(), None);
        }
        let slots = !self.histograms.is_empty() || !other.histograms.is_empty();
        self.times.append(&mut other.times);
        self.values.append(&mut other.values);
        self.histograms.append(&mut other.histograms);
        if slots {
            self.histograms.resize(self.values.len(), None);
        }
    }

    /// Keeps the samples from `from_ms` to `to_ms`, both included.
    pub(crate) fn clip(&mut self, from_ms: i64, to_ms: i64) {
        let end = self.times.partition_point(|t| *t <= to_ms);
        let start = self.times[..end].partition_point(|t| *t < from_ms);
        self.keep(start, end);
    }

    /// Removes the samples from `from_ms` to `to_ms`, both included.
    pub(crate) fn cut(&mut self, from_ms: i64, to_ms: i64) {
        let end = self.times.partition_point(|t| *t <= to_ms);
        let start = self.times[..end].partition_point(|t| *t < from_ms);
        if start == end {
            return;
        }
        if !self.histograms.is_empty() {
            self.histograms.drain(start..end);
        }
        self.times.drain(start..end);
        self.values.drain(start..end);
    }

    /// Keeps the first `count` samples, whatever columns are longer.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.times.truncate(count);
        self.values.truncate(count);
        self.histograms.truncate(count);
    }

    fn keep(&mut self, start: usize, end: usize) {
        if start == 0 && end == self.len() {
            return;
        }
        if !self.histograms.is_empty() {
            self.histograms.truncate(end);
            self.histograms.drain(..start);
        }
        self.times.truncate(end);
        self.times.drain(..start);
        self.values.truncate(end);
        self.values.drain(..start);
    }

    /// Runs of samples by whole days since the Unix epoch; samples are in order of time.
    pub(crate) fn days(&self) -> Vec<(i64, Range<usize>)> {
        let mut days = Vec::new();
        let mut start = 0;
        while start < self.len() {
            let day = self.times[start].div_euclid(DAY_MS);
            let end = self.times.partition_point(|t| t.div_euclid(DAY_MS) <= day);
            days.push((day, start..end));
            start = end;
        }
        days
    }

    /// A copy of some samples.
    pub(crate) fn slice(&self, piece: Range<usize>) -> Self {
        let Range { start, end } = piece;
        Self {
            times: self.times[start..end].to_vec(),
            values: self.values[start..end].to_vec(),
            histograms: self
                .histograms
                .get(start..end)
                .map(<[_]>::to_vec)
                .unwrap_or_default(),
        }
    }

    /// Whether what begins here may go behind the last run: it follows, and so does that run those
    /// before it. Else another run could come to lie within it, and all would have to be sorted.
    pub(crate) fn go_on(runs: &[Self], from_ms: i64) -> bool {
        let end = |run: &Self| run.times.last().copied();
        let last = runs.last().map(end);
        last.is_some_and(|last| last < Some(from_ms) && runs.iter().all(|run| end(run) <= last))
    }

    /// Runs in the order they were written, as one in order of time; of equal times the sample
    /// written last stays. Samples within a run may be in any order, too.
    pub(crate) fn merge(mut runs: Vec<Self>) -> Self {
        let mut merged = Self::default();
        runs.retain(|run| !run.is_empty());
        if runs.iter().all(|run| rises(&run.times)) && make_successive(&mut runs) {
            let count: usize = runs.iter().map(Self::len).sum();
            for run in runs {
                if merged.is_empty() {
                    merged = run;
                    let more = count - merged.len();
                    merged.times.reserve_exact(more);
                    merged.values.reserve_exact(more);
                } else {
                    merged.append(run);
                }
            }
            return merged;
        }
        merged.merge_unordered(&runs);
        merged
    }

    fn merge_unordered(&mut self, runs: &[Self]) {
        let mut order: Vec<(i64, u32, u32)> = Vec::new();
        for (r, run) in runs.iter().enumerate() {
            order.extend(
                run.times
                    .iter()
                    .enumerate()
                    .map(|(i, t)| (*t, r as u32, i as u32)),
            );
        }
        order.sort_unstable();
        for (at, (time, run, index)) in order.iter().enumerate() {
            if order.get(at + 1).is_none_or(|next| next.0 != *time) {
                self.push_from(&runs[*run as usize], *index as usize);
            }
        }
    }
}

/// Brings runs, each in order of time, into one order of time, if no time lies in two of them: then
/// nobody overwrites anybody. So it is with the parts of several days, in whatever order they were
/// written. Else they stay as they are.
fn make_successive(runs: &mut [Columns]) -> bool {
    let span = |run: &Columns| Some((*run.times.first()?, *run.times.last()?));
    let mut spans: Vec<(i64, i64)> = runs.iter().filter_map(span).collect();
    let follow = |spans: &[(i64, i64)]| spans.windows(2).all(|pair| pair[0].1 < pair[1].0);
    if follow(&spans) {
        return true;
    }
    spans.sort_unstable();
    let successive = follow(&spans);
    if successive {
        runs.sort_by_key(|run| run.times.first().copied());
    }
    successive
}

/// Looks at all pairs: without a way out in the middle several are compared at once.
fn rises(times: &[i64]) -> bool {
    let Some((_, behind)) = times.split_first() else {
        return true;
    };
    let falls = |(a, b): (&i64, &i64)| u32::from(a >= b);
    times.iter().zip(behind).map(falls).sum::<u32>() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(samples: &[(i64, f64)]) -> Columns {
        let mut columns = Columns::default();
        for (time, value) in samples {
            columns.push(*time, &Value::Float(*value));
        }
        columns
    }

    #[test]
    fn of_equal_times_the_last_written_stays() {
        let merged = Columns::merge(vec![
            run(&[(1, 1.0), (3, 1.0)]),
            run(&[]),
            run(&[(3, 2.0), (2, 2.0), (2, 3.0)]),
        ]);
        assert_eq!(merged, run(&[(1, 1.0), (2, 3.0), (3, 2.0)]));
    }

    #[test]
    fn nothing_goes_behind_a_run_that_lies_before_another() {
        let [early, late] = [1, 5].map(|time| run(&[(time, 1.0), (time + 1, 1.0)]));
        assert!(Columns::go_on(&[early.clone(), late.clone()], 7));
        assert!(!Columns::go_on(&[early.clone(), late.clone()], 6));
        assert!(!Columns::go_on(&[late, early], 9));
        assert!(!Columns::go_on(&[], 9));
    }

    #[test]
    fn runs_that_share_no_time_may_come_in_any_order() {
        let runs = || {
            let late = run(&[(5, 3.0), (6, 3.0)]);
            let mixed = run(&[(1, 1.0), (2, 1.0)]);
            vec![late, run(&[]), mixed, run(&[(4, 2.0)])]
        };
        let wanted = run(&[(1, 1.0), (2, 1.0), (4, 2.0), (5, 3.0), (6, 3.0)]);
        assert_eq!(Columns::merge(runs()), wanted);
        // One more that overlaps two of them: who wrote last counts again.
        let mut runs = runs();
        runs.push(run(&[(2, 9.0), (3, 9.0), (5, 9.0)]));
        let merged = Columns::merge(runs);
        assert_eq!(merged.values, [1.0, 9.0, 9.0, 2.0, 9.0, 3.0]);
        assert_eq!(merged.times, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_histogram_among_floats_keeps_its_place() {
        let histogram = Arc::new(Histogram {
            sum: 7.0,
            ..Histogram::default()
        });
        let mut late = Columns::default();
        late.push(2, &Value::Histogram(Arc::clone(&histogram)));
        let merged = Columns::merge(vec![run(&[(1, 1.0), (3, 1.0)]), late]);
        assert_eq!(merged.histograms, [None, Some(histogram), None]);
        assert_eq!(merged.values, [1.0, 7.0, 1.0]);
    }

    #[test]
    fn clipping_includes_both_ends() {
        let mut columns = run(&[(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]);
        columns.clip(2, 3);
        assert_eq!(columns, run(&[(2, 2.0), (3, 3.0)]));
    }

    #[test]
    fn cutting_includes_both_ends() {
        let mut columns = run(&[(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]);
        columns.cut(5, 9);
        columns.cut(3, 2);
        columns.cut(2, 3);
        assert_eq!(columns, run(&[(1, 1.0), (4, 4.0)]));
    }
}
