//! What a group holds while its series pass by: columns of running results, one slot a step.

use std::sync::Arc;

use model::{Histogram, Labels, ResetHint};

use super::grid::{ABSENT, Row, is_present};
use super::kahan::{Kahan, KahanMean};
use crate::ast::AggregateOp;
use crate::histogram::{HistogramMean, HistogramSum, Incompatible, Notes};

/// Something worth an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// A histogram where only floats count.
    Ignored,
    /// Floats and histograms in one group.
    Mixed,
    /// Exponential and custom buckets in one group.
    Incompatible,
    /// Custom bounds differed.
    Reconciled,
    /// One histogram says "reset", another "not reset".
    Collision,
}

/// Running results of floats.
#[derive(Debug)]
enum Floats {
    /// `count`, `group`.
    Count(Vec<f64>),
    /// `min` and `max`: the value, and whether a newer one beats it.
    Extreme(Vec<f64>, fn(f64, f64) -> bool),
    Sum(Sums),
    Mean(Vec<Option<KahanMean>>),
    /// `stddev` and `stdvar`, by Welford's recurrence.
    Spread(Vec<Welford>),
}

/// A compensated sum a step ([`Kahan`]), its two parts in columns of their own: several steps are
/// added at once.
#[derive(Debug)]
struct Sums {
    /// [`ABSENT`] where nothing was added.
    sums: Vec<f64>,
    lost: Vec<f64>,
}

impl Sums {
    /// Adds a column, as [`Kahan::plus`] does; every choice is made by selecting, none by a jump.
    fn add(&mut self, values: &[f64]) {
        for ((sum, lost), value) in self.sums.iter_mut().zip(&mut self.lost).zip(values) {
            let before = Kahan {
                sum: *sum,
                lost: *lost,
            };
            let next = before.plus(*value);
            let (is_there, is_first) = (is_present(*value), !is_present(before.sum));
            let (grown, grown_lost) = if is_first {
                (*value, 0.0)
            } else {
                (next.sum, next.lost)
            };
            (*sum, *lost) = if is_there {
                (grown, grown_lost)
            } else {
                (before.sum, before.lost)
            };
        }
    }

    fn finish(self) -> Vec<f64> {
        let both = self.sums.into_iter().zip(self.lost);
        let one = |(sum, lost)| if is_present(sum) { sum + lost } else { ABSENT };
        both.map(one).collect()
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Welford {
    count: f64,
    mean: f64,
    squares: f64,
}

/// Running result of histograms at one step.
#[derive(Debug)]
struct Histograms {
    total: Total,
    incompatible: bool,
    reset: bool,
    not_reset: bool,
}

#[derive(Debug)]
enum Total {
    Sum(HistogramSum),
    Mean(HistogramMean),
}

/// A group.
#[derive(Debug)]
pub(super) struct Fold {
    op: AggregateOp,
    floats: Floats,
    /// Empty, or a slot a step.
    histograms: Vec<Option<Box<Histograms>>>,
    drop_name: bool,
    steps: usize,
}

impl Fold {
    pub(super) fn new(op: AggregateOp, steps: usize) -> Self {
        let floats = match op {
            AggregateOp::Sum => Floats::Sum(Sums {
                sums: vec![ABSENT; steps],
                lost: vec![0.0; steps],
            }),
            AggregateOp::Avg => Floats::Mean(vec![None; steps]),
            AggregateOp::Min => Floats::Extreme(vec![ABSENT; steps], |new, old| new < old),
            AggregateOp::Max => Floats::Extreme(vec![ABSENT; steps], |new, old| new > old),
            AggregateOp::Stddev | AggregateOp::Stdvar => {
                Floats::Spread(vec![Welford::default(); steps])
            }
            _ => Floats::Count(vec![0.0; steps]),
        };
        Self {
            op,
            floats,
            histograms: Vec::new(),
            drop_name: false,
            steps,
        }
    }

    /// Bytes a group takes.
    pub(super) fn bytes(op: AggregateOp, steps: usize) -> usize {
        steps
            * match op {
                AggregateOp::Sum => size_of::<Kahan>(),
                AggregateOp::Avg => size_of::<Option<KahanMean>>(),
                AggregateOp::Stddev | AggregateOp::Stdvar => size_of::<Welford>(),
                _ => size_of::<f64>(),
            }
    }

    /// Takes a series in.
    pub(super) fn add(&mut self, row: &Row) -> Vec<Noted> {
        self.drop_name |= row.drop_name;
        self.add_floats(&row.floats);
        if row.histograms.is_empty() {
            Vec::new()
        } else {
            self.add_histograms(row)
        }
    }

    fn add_floats(&mut self, values: &[f64]) {
        let present = values
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, v)| is_present(*v));
        match &mut self.floats {
            Floats::Count(counts) => present.for_each(|(i, _)| counts[i] += 1.0),
            Floats::Extreme(best, beats) => present.for_each(|(i, v)| {
                if !is_present(best[i]) || beats(v, best[i]) || best[i].is_nan() {
                    best[i] = v;
                }
            }),
            Floats::Sum(sums) => sums.add(values),
            Floats::Mean(means) => present.for_each(|(i, v)| match &mut means[i] {
                Some(mean) => mean.add(v),
                slot => *slot = Some(KahanMean::of(v)),
            }),
            Floats::Spread(spreads) => present.for_each(|(i, v)| spreads[i].add(v)),
        }
    }

    fn add_histograms(&mut self, row: &Row) -> Vec<Noted> {
        let present = row.histograms.iter().enumerate();
        let present = present.filter_map(|(i, h)| h.as_ref().map(|h| (i, h)));
        match (&mut self.floats, self.op) {
            (Floats::Count(counts), _) => {
                present.for_each(|(i, _)| counts[i] += 1.0);
                Vec::new()
            }
            (_, AggregateOp::Sum | AggregateOp::Avg) => {
                self.histograms.resize_with(self.steps, || None);
                let mut noted = Vec::new();
                for (i, h) in present {
                    noted.extend(add_histogram(&mut self.histograms[i], h, self.op));
                }
                noted
            }
            _ => present.take(1).map(|_| Noted::Ignored).collect(),
        }
    }

    /// The row of the group.
    pub(super) fn finish(self, labels: Labels) -> (Row, Vec<Noted>) {
        let Self {
            op,
            floats,
            mut histograms,
            drop_name,
            steps,
        } = self;
        let column: Vec<f64> = match floats {
            Floats::Count(counts) => {
                let of = |n: f64| if op == AggregateOp::Group { 1.0 } else { n };
                counts
                    .into_iter()
                    .map(|n| if n > 0.0 { of(n) } else { ABSENT })
                    .collect()
            }
            Floats::Extreme(best, _) => best,
            Floats::Sum(sums) => sums.finish(),
            Floats::Mean(means) => means
                .into_iter()
                .map(|m| m.map_or(ABSENT, KahanMean::value))
                .collect(),
            Floats::Spread(all) => all.into_iter().map(|s| s.result(op)).collect(),
        };
        let mut row = Row::from_floats(labels, drop_name, column);
        let mut noted = Vec::new();
        histograms.resize_with(if histograms.is_empty() { 0 } else { steps }, || None);
        for (i, slot) in histograms.into_iter().enumerate() {
            let Some(found) = slot else { continue };
            if is_present(row.floats[i]) {
                row.clear(i);
                noted.push(Noted::Mixed);
                continue;
            }
            if found.incompatible {
                continue;
            }
            if found.reset && found.not_reset {
                noted.push(Noted::Collision);
            }
            row.put(
                i,
                super::grid::Cell::Histogram(Arc::new(found.total.finish())),
            );
        }
        (row, noted)
    }
}

fn add_histogram(
    slot: &mut Option<Box<Histograms>>,
    h: &Histogram,
    op: AggregateOp,
) -> Option<Noted> {
    let fresh = || {
        Box::new(Histograms {
            total: Total::new(h, op),
            incompatible: false,
            reset: false,
            not_reset: false,
        })
    };
    let is_first = slot.is_none();
    let group = slot.get_or_insert_with(fresh);
    if group.incompatible {
        return None;
    }
    group.reset |= h.reset_hint == ResetHint::Reset;
    group.not_reset |= h.reset_hint == ResetHint::NotReset;
    if is_first {
        return None;
    }
    match group.total.add(h) {
        Ok(notes) => notes.bounds_reconciled.then_some(Noted::Reconciled),
        Err(Incompatible) => {
            group.incompatible = true;
            Some(Noted::Incompatible)
        }
    }
}

impl Total {
    fn new(first: &Histogram, op: AggregateOp) -> Self {
        match op {
            AggregateOp::Avg => Self::Mean(HistogramMean::new(first)),
            _ => Self::Sum(HistogramSum::new(first)),
        }
    }

    fn add(&mut self, h: &Histogram) -> Result<Notes, Incompatible> {
        match self {
            Self::Sum(sum) => sum.add(h),
            Self::Mean(mean) => mean.add(h),
        }
    }

    fn finish(self) -> Histogram {
        match self {
            Self::Sum(sum) => sum.finish(),
            Self::Mean(mean) => mean.finish(),
        }
    }
}

impl Welford {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.mean = value;
            self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
            return;
        }
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn result(self, op: AggregateOp) -> f64 {
        match (self.count, op) {
            (0.0, _) => ABSENT,
            (n, AggregateOp::Stddev) => (self.squares / n).sqrt(),
            (n, _) => self.squares / n,
        }
    }
}
