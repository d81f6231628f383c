//! Steps of an evaluation, and columns over them.

use std::sync::Arc;

use model::{Histogram, Labels, STALE_NAN_BITS};

/// Evenly spaced times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    /// The first, ms.
    pub(crate) start: i64,
    /// From one to the next, ms; at least 1.
    pub(crate) step: i64,
    /// How many; at least 1.
    pub(crate) count: usize,
}

impl Grid {
    pub(crate) fn single(time_ms: i64) -> Self {
        Self {
            start: time_ms,
            step: 1,
            count: 1,
        }
    }

    /// The first time alone.
    pub(crate) fn first(self) -> Self {
        Self { count: 1, ..self }
    }

    pub(crate) fn time(self, i: usize) -> i64 {
        self.start
            .saturating_add(self.step.saturating_mul(i as i64))
    }

    pub(crate) fn end(self) -> i64 {
        self.time(self.count - 1)
    }

    pub(crate) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |i| self.time(i))
    }
}

/// No float at a step. The staleness marker cannot be a result: selectors leave it out, and
/// arithmetic only ever makes quiet NaNs, which differ from it.
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether a float of a column is there.
#[inline]
pub(crate) fn is_present(value: f64) -> bool {
    value.to_bits() != STALE_NAN_BITS
}

/// One series over the steps of a grid.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// Whether name, type and unit are to be dropped at the end of the evaluation.
    pub(crate) drop_name: bool,
    /// A float a step, [`ABSENT`] where there is none.
    pub(crate) floats: Vec<f64>,
    /// Empty, or a slot a step.
    pub(crate) histograms: Vec<Option<Arc<Histogram>>>,
}

/// What a row has at a step.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Row {
    pub(crate) fn new(labels: Labels, drop_name: bool, steps: usize) -> Self {
        Self {
            labels,
            drop_name,
            floats: vec![ABSENT; steps],
            histograms: Vec::new(),
        }
    }

    pub(crate) fn from_floats(labels: Labels, drop_name: bool, floats: Vec<f64>) -> Self {
        Self {
            labels,
            drop_name,
            floats,
            histograms: Vec::new(),
        }
    }

    /// Memory it takes; labels count as if nobody shared them.
    pub(crate) fn bytes(&self) -> usize {
        let columns = 8 * (self.floats.len() + self.histograms.len());
        size_of::<Self>() + self.labels.as_bytes().len() + columns
    }

    pub(crate) fn steps(&self) -> usize {
        self.floats.len()
    }

    pub(crate) fn histogram(&self, i: usize) -> Option<&Arc<Histogram>> {
        self.histograms.get(i).and_then(Option::as_ref)
    }

    pub(crate) fn cell(&self, i: usize) -> Option<Cell> {
        if is_present(self.floats[i]) {
            return Some(Cell::Float(self.floats[i]));
        }
        self.histogram(i).map(|h| Cell::Histogram(Arc::clone(h)))
    }

    pub(crate) fn has(&self, i: usize) -> bool {
        is_present(self.floats[i]) || self.histogram(i).is_some()
    }

    pub(crate) fn put(&mut self, i: usize, cell: Cell) {
        match cell {
            Cell::Float(value) => self.floats[i] = value,
            Cell::Histogram(h) => {
                if self.histograms.is_empty() {
                    self.histograms.resize(self.floats.len(), None);
                }
                self.histograms[i] = Some(h);
            }
        }
    }

    pub(crate) fn clear(&mut self, i: usize) {
        self.floats[i] = ABSENT;
        if let Some(slot) = self.histograms.get_mut(i) {
            *slot = None;
        }
    }

    /// How many steps have something.
    pub(crate) fn present(&self) -> usize {
        let floats = self.floats.iter().filter(|v| is_present(**v)).count();
        floats + self.histograms.iter().flatten().count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.floats.iter().any(|v| is_present(*v)) && self.histograms.iter().all(Option::is_none)
    }

    /// The only step of this row, at every one of `steps`.
    pub(crate) fn repeated(self, steps: usize) -> Self {
        let mut row = Self::from_floats(self.labels, self.drop_name, vec![self.floats[0]; steps]);
        if let Some(Some(h)) = self.histograms.first() {
            row.histograms = vec![Some(Arc::clone(h)); steps];
        }
        row
    }
}
