//! Windows with histograms in them.

use std::sync::Arc;

use model::{Histogram, ResetHint};

use super::super::call::{SeriesNotes, Window};
use super::super::grid::Cell;
use super::super::rate::start_resets;
use crate::annotations::{Note, Operation};
use crate::ast::Extension;
use crate::functions::Kind;
use crate::histogram::{self, HistogramMean, HistogramSum, Incompatible, Notes};

/// Sum or mean of histograms.
pub(super) fn sum_or_mean(
    kind: Kind,
    all: &[Arc<Histogram>],
    notes: &SeriesNotes<'_>,
) -> Option<Cell> {
    let computed = if kind == Kind::SumOverTime {
        sum(all)
    } else {
        mean(all)
    };
    let Ok((result, noted)) = computed else {
        notes.add(Note::MixedBuckets {
            metric: notes.metric,
        });
        return None;
    };
    let says = |hint: ResetHint| all.iter().any(|h| h.reset_hint == hint);
    if says(ResetHint::Reset) && says(ResetHint::NotReset) {
        notes.add(Note::ResetCollision(Operation::Aggregation));
    }
    if noted.bounds_reconciled {
        notes.add(Note::BoundsReconciled(Operation::Aggregation));
    }
    Some(Cell::Histogram(Arc::new(result)))
}

fn sum(all: &[Arc<Histogram>]) -> Result<(Histogram, Notes), Incompatible> {
    let mut sum = HistogramSum::new(&all[0]);
    for h in &all[1..] {
        sum.add(h)?;
    }
    let noted = sum.notes();
    Ok((sum.finish(), noted))
}

fn mean(all: &[Arc<Histogram>]) -> Result<(Histogram, Notes), Incompatible> {
    let mut mean = HistogramMean::new(&all[0]);
    for h in &all[1..] {
        mean.add(h)?;
    }
    let noted = mean.notes();
    Ok((mean.finish(), noted))
}

/// A sample of either kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample<'s> {
    time: i64,
    start: i64,
    value: Either<'s>,
}

#[derive(Debug, Clone, Copy)]
enum Either<'s> {
    Float(f64),
    Histogram(&'s Histogram),
}

impl Sample<'_> {
    pub(super) fn resets(&self, before: &Self) -> bool {
        start_resets((before.start, before.time), (self.start, self.time))
            || match (before.value, self.value) {
                (Either::Float(a), Either::Float(b)) => b < a,
                (Either::Histogram(a), Either::Histogram(b)) => histogram::detect_reset(b, a),
                _ => true,
            }
    }

    pub(super) fn differs(&self, before: &Self) -> bool {
        match (before.value, self.value) {
            (Either::Float(a), Either::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
            (Either::Histogram(a), Either::Histogram(b)) => !histogram::equal(a, b),
            _ => true,
        }
    }
}

/// The samples of a window in order of time. An anchored one begins with the last sample at or
/// before the range, and is nothing if there is no sample in the range.
pub(super) fn merged<'s>(w: &Window<'s>) -> Option<Vec<Sample<'s>>> {
    let floats = (0..w.floats.len()).map(|i| Sample {
        time: w.floats.times[i],
        start: w.floats.start(i),
        value: Either::Float(w.floats.values[i]),
    });
    let histograms = (0..w.histograms.len()).map(|i| Sample {
        time: w.histograms.times[i],
        start: w.histograms.start(i),
        value: Either::Histogram(&w.histograms.values[i]),
    });
    let mut all: Vec<Sample<'s>> = floats.chain(histograms).collect();
    all.sort_by_key(|s| s.time);
    if w.span.extension == Extension::Anchored {
        let inside = all.partition_point(|s| s.time <= w.stretch.begin);
        if inside == all.len() {
            return None;
        }
        all.drain(..inside.saturating_sub(1));
    }
    Some(all)
}
