//! Sum and mean of many histograms, compensated.
//!
//! Every count carries what rounding lost (Kahan's summation as Neumaier improved it, ZAMM 54
//! (1974), 39-51): 1 + 1e100 + 1 - 1e100 is 2. The mean is the sum divided once, until the sum
//! would overflow; from there on it is a running mean.

use model::{Histogram, ResetHint, Span};

use super::{
    Incompatible, Notes,
    arithmetic::{div, joint_hint, mul, overflows},
    frame::Frame,
    layout::{compact, lay_out, spread_over, union},
};

/// The compensated sum of histograms.
#[derive(Debug, Clone)]
pub struct HistogramSum {
    total: Histogram,
    /// What rounding took from `total`: a histogram of the same layout.
    lost: Histogram,
    /// Whether any of the histograms said "reset", and whether any said "not reset": together a
    /// conflict, whatever came between.
    resets_said: (bool, bool),
    notes: Notes,
}

/// What a hint says in [`HistogramSum::resets_said`].
fn said((reset, not_reset): (bool, bool), hint: ResetHint) -> (bool, bool) {
    (
        reset || hint == ResetHint::Reset,
        not_reset || hint == ResetHint::NotReset,
    )
}

impl HistogramSum {
    /// A sum of one.
    #[must_use]
    pub fn new(first: &Histogram) -> Self {
        Self {
            total: first.clone(),
            lost: zeroed(first),
            resets_said: said((false, false), first.reset_hint),
            notes: Notes::default(),
        }
    }

    /// Adds one. On `Err` the sum is unchanged.
    pub fn add(&mut self, other: &Histogram) -> Result<Notes, Incompatible> {
        let frame = Frame::common(&self.total, other)?;
        frame.apply(&mut self.total);
        frame.apply(&mut self.lost);
        let other = frame.view(other);
        (self.total.reset_hint, _) = joint_hint(self.total.reset_hint, other.reset_hint);
        self.resets_said = said(self.resets_said, other.reset_hint);
        self.add_aligned(&other);
        let notes = Notes {
            reset_conflict: self.resets_said == (true, true),
            bounds_reconciled: frame.bounds_reconciled,
        };
        self.notes = self.notes.and(notes);
        Ok(notes)
    }

    fn add_aligned(&mut self, other: &Histogram) {
        let Self { total, lost, .. } = self;
        increase(
            &mut total.zero_count,
            &mut lost.zero_count,
            other.zero_count,
        );
        increase(&mut total.count, &mut lost.count, other.count);
        increase(&mut total.sum, &mut lost.sum, other.sum);
        increase_side(
            (&mut total.positive_spans, &mut total.positive_buckets),
            (&mut lost.positive_spans, &mut lost.positive_buckets),
            (&other.positive_spans, &other.positive_buckets),
        );
        increase_side(
            (&mut total.negative_spans, &mut total.negative_buckets),
            (&mut lost.negative_spans, &mut lost.negative_buckets),
            (&other.negative_spans, &other.negative_buckets),
        );
    }

    /// Everything noted so far.
    #[must_use]
    pub fn notes(&self) -> Notes {
        self.notes
    }

    /// The sum, compacted.
    #[must_use]
    pub fn finish(mut self) -> Histogram {
        let Self { total, lost, .. } = &mut self;
        total.zero_count += lost.zero_count;
        total.count += lost.count;
        total.sum += lost.sum;
        total
            .positive_buckets
            .iter_mut()
            .zip(&lost.positive_buckets)
            .for_each(|(t, l)| *t += l);
        total
            .negative_buckets
            .iter_mut()
            .zip(&lost.negative_buckets)
            .for_each(|(t, l)| *t += l);
        compact(total);
        self.total
    }
}

/// The compensated mean of histograms.
#[derive(Debug, Clone)]
pub struct HistogramMean {
    /// The sum of all, or their mean once `running`.
    sum: HistogramSum,
    running: bool,
    n: f64,
}

impl HistogramMean {
    /// The mean of one.
    #[must_use]
    pub fn new(first: &Histogram) -> Self {
        Self {
            sum: HistogramSum::new(first),
            running: false,
            n: 1.0,
        }
    }

    /// Takes one more. On `Err` the mean is unchanged.
    pub fn add(&mut self, other: &Histogram) -> Result<Notes, Incompatible> {
        if !self.running {
            let mut next = self.sum.clone();
            let notes = next.add(other)?;
            if !overflows(&next.total) {
                self.sum = next;
                self.n += 1.0;
                return Ok(notes);
            }
            self.running = true;
            div(&mut self.sum.total, self.n);
            div(&mut self.sum.lost, self.n);
        }
        let n = self.n + 1.0;
        let keep = self.n / n;
        let mut part = other.clone();
        div(&mut part, n);
        Frame::common(&self.sum.total, other)?;
        mul(&mut self.sum.total, keep);
        mul(&mut self.sum.lost, keep);
        self.n = n;
        self.sum.add(&part)
    }

    /// Everything noted so far.
    #[must_use]
    pub fn notes(&self) -> Notes {
        self.sum.notes()
    }

    /// The mean, compacted.
    #[must_use]
    pub fn finish(self) -> Histogram {
        let Self {
            mut sum,
            running,
            n,
        } = self;
        if !running {
            div(&mut sum.total, n);
            div(&mut sum.lost, n);
        }
        sum.finish()
    }
}

fn zeroed(h: &Histogram) -> Histogram {
    let mut zero = h.clone();
    zero.zero_count = 0.0;
    zero.count = 0.0;
    zero.sum = 0.0;
    zero.positive_buckets
        .iter_mut()
        .chain(&mut zero.negative_buckets)
        .for_each(|c| *c = 0.0);
    zero
}

/// Adds the buckets of one side; `total` and `lost` get those they do not have yet.
fn increase_side(
    (spans, totals): (&mut Vec<Span>, &mut Vec<f64>),
    (lost_spans, lost): (&mut Vec<Span>, &mut Vec<f64>),
    (more_spans, more): (&[Span], &[f64]),
) {
    if *spans == more_spans {
        increase_all(totals, lost, more);
        return;
    }
    let at = union(spans, more_spans);
    *totals = spread_over(spans, totals, &at);
    *lost = spread_over(lost_spans, lost, &at);
    increase_all(totals, lost, &spread_over(more_spans, more, &at));
    (*spans, *totals) = lay_out(at.iter().copied().zip(totals.iter().copied()));
    lost_spans.clone_from(spans);
}

fn increase_all(totals: &mut [f64], lost: &mut [f64], more: &[f64]) {
    for ((total, lost), more) in totals.iter_mut().zip(lost).zip(more) {
        increase(total, lost, *more);
    }
}

fn increase(total: &mut f64, lost: &mut f64, more: f64) {
    let sum = *total + more;
    if sum.is_infinite() {
        *lost = 0.0;
    } else if total.abs() >= more.abs() {
        *lost += (*total - sum) + more;
    } else {
        *lost += (more - sum) + *total;
    }
    *total = sum;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: f64, sum: f64) -> Histogram {
        Histogram {
            count,
            sum,
            ..Histogram::default()
        }
    }

    #[test]
    fn small_observations_survive_large_ones_that_cancel() {
        let mut total = HistogramSum::new(&of(1.0, 1.0));
        for (count, sum) in [(2.0, 1e100), (3.0, 1.0), (4.0, -1e100)] {
            assert_eq!(total.add(&of(count, sum)), Ok(Notes::default()));
        }
        let total = total.finish();
        assert_eq!((total.count, total.sum), (10.0, 2.0));
    }

    #[test]
    fn contradicting_hints_are_noted_in_any_order() {
        let hinted = |reset_hint| Histogram {
            reset_hint,
            ..of(1.0, 1.0)
        };
        let mut total = HistogramSum::new(&hinted(ResetHint::NotReset));
        total.add(&hinted(ResetHint::Gauge)).unwrap();
        assert!(!total.notes().reset_conflict);
        total.add(&hinted(ResetHint::Reset)).unwrap();
        assert!(total.notes().reset_conflict);
        assert_eq!(total.finish().reset_hint, ResetHint::Gauge);
    }

    #[test]
    fn a_mean_does_not_overflow_where_its_sum_would() {
        let mut mean = HistogramMean::new(&of(f64::MAX, 1.0));
        for (count, sum) in [(1e308, 1e100), (1e-6, 1.0), (1e-6, -1e100)] {
            mean.add(&of(count, sum)).unwrap();
        }
        let mean = mean.finish();
        assert!((mean.count / 6.994_232_837_155_79e307 - 1.0).abs() < 1e-12);
        assert!((mean.sum - 0.5).abs() < 1e-12);
    }
}
