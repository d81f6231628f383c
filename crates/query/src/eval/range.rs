//! Range vectors: samples of selectors and results of subqueries, one series at a time, each with
//! the windows of all steps.

use model::Selection;

use super::grid::Grid;
use super::series::{Points, RangeSeries, Stretch, bounds};
use super::stats::Buckets;
use super::{Evaluator, Result, refuse};
use crate::ast::{Expr, Extension, MatrixSelector, Subquery};
use crate::position::Position;

/// What a step of a subquery may take: a row, its samples, and columns of scalars on the way.
const SUBQUERY_STEP_BYTES: usize = 64;

/// Where the windows of a range vector lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) range: i64,
    offset: i64,
    at: Option<i64>,
    /// How far selectors look beyond the window for samples to extend it by.
    lookback: i64,
    pub(crate) extension: Extension,
    /// Where the range vector stands in the query.
    pub(crate) position: Position,
}

impl Span {
    /// The window of a step, without what extends it.
    pub(crate) fn window(&self, time_ms: i64) -> Stretch {
        let end = self.at.unwrap_or(time_ms).saturating_sub(self.offset);
        Stretch {
            begin: end.saturating_sub(self.range),
            end,
        }
    }

    /// The window of a step with what extends it.
    pub(crate) fn reach(&self, time_ms: i64) -> Stretch {
        let Stretch { begin, end } = self.window(time_ms);
        let before = if self.extension == Extension::None {
            0
        } else {
            self.lookback
        };
        let after = if self.extension == Extension::Smoothed {
            self.lookback
        } else {
            0
        };
        Stretch {
            begin: begin.saturating_sub(before),
            end: end.saturating_add(after),
        }
    }

    /// Everything any window of a grid may need.
    pub(super) fn whole(&self, grid: Grid) -> Stretch {
        Stretch {
            begin: self.reach(grid.start).begin,
            end: self.reach(grid.end()).end,
        }
    }

    /// The samples of a series in a stretch.
    pub(crate) fn clip(&self, series: &RangeSeries, stretch: Stretch) -> RangeSeries {
        RangeSeries {
            labels: series.labels.clone(),
            drop_name: series.drop_name,
            floats: clipped(&series.floats, stretch),
            histograms: clipped(&series.histograms, stretch),
        }
    }
}

fn clipped<T: Clone>(points: &Points<T>, stretch: Stretch) -> Points<T> {
    let mut window = Vec::with_capacity(1);
    bounds(&points.times, std::iter::once(stretch), &mut window);
    let (low, high) = window[0];
    Points {
        times: points.times[low..high].to_vec(),
        values: points.values[low..high].to_vec(),
        starts: Vec::new(),
    }
}

/// Takes a series and where its windows lie.
pub(crate) type RangeSink<'s> = dyn FnMut(&RangeSeries, &Span) -> Result<()> + 's;

impl Evaluator<'_> {
    /// The series of a range vector, one at a time.
    pub(crate) fn each_range(
        &self,
        expr: &Expr,
        grid: Grid,
        sink: &mut RangeSink<'_>,
    ) -> Result<()> {
        match self.turn(expr.position()) {
            None => self.each_of(expr, grid, sink),
            Some(turn) => self.each_of(expr, grid, &mut |series, span| {
                turn.hand_on(series.len(), || sink(series, span))
            }),
        }
    }

    fn each_of(&self, expr: &Expr, grid: Grid, sink: &mut RangeSink<'_>) -> Result<()> {
        match expr {
            Expr::Matrix(m) => self.each_selected(m, grid, sink),
            Expr::Subquery(s) => self.each_of_subquery(s, grid, sink),
            _ => refuse(format!("{expr} is no range vector")),
        }
    }

    fn each_selected(
        &self,
        m: &MatrixSelector,
        grid: Grid,
        sink: &mut RangeSink<'_>,
    ) -> Result<()> {
        let (span, selection) = self.selected(m, grid)?;
        for (count, series) in self.reader.select(&selection)?.enumerate() {
            self.check_stop()?;
            self.budget.series(count + 1)?;
            let Some(series) = self.readable(series)? else {
                continue;
            };
            let series = RangeSeries::read(self.prepared(series));
            let _held = self.budget.hold_read(series.len())?;
            sink(&series, &span)?;
        }
        Ok(())
    }

    /// Where the windows of a selector lie, and what to read for them.
    pub(super) fn selected(&self, m: &MatrixSelector, grid: Grid) -> Result<(Span, Selection)> {
        let span = self.span(m)?;
        let selection = self.selection(m, &span, grid);
        let thinned = self.reader.thinned(selection.from_ms, selection.to_ms);
        self.note_thinned(&thinned, m.position);
        Ok((span, selection))
    }

    /// Where the windows of a selector lie.
    pub(super) fn span(&self, m: &MatrixSelector) -> Result<Span> {
        Ok(Span {
            range: self.length_ms(&m.range)?,
            offset: self.offset_ms(m.selector.offset.as_ref())?,
            at: self.at_ms(m.selector.at),
            lookback: self.options.lookback_ms,
            extension: m.selector.extension,
            position: m.position,
        })
    }

    fn each_of_subquery(&self, s: &Subquery, grid: Grid, sink: &mut RangeSink<'_>) -> Result<()> {
        let span = Span {
            range: self.length_ms(&s.range)?,
            offset: self.offset_ms(s.offset.as_ref())?,
            at: self.at_ms(s.at),
            lookback: 0,
            extension: Extension::None,
            position: s.position,
        };
        let step = match &s.step {
            Some(step) => self.length_ms(step)?,
            None => self.options.subquery_step_ms,
        };
        let Some(inner_grid) = aligned(span.whole(grid), step) else {
            return Ok(());
        };
        // Before the first column is made, and for as long as any lives.
        let bytes = inner_grid.count.saturating_mul(SUBQUERY_STEP_BYTES);
        let _columns = self.budget.hold(0, bytes)?;
        let inner = || {
            self.stream(&s.inner, inner_grid, &mut |row| {
                self.check_stop()?;
                let series = RangeSeries::from_row(&row, inner_grid);
                let _held = self.budget.hold(series.len(), 0)?;
                sink(&series, &span)
            })
        };
        self.with_buckets(Buckets::Needed, inner)
    }
}

/// The multiples of `step` in a stretch.
fn aligned(stretch: Stretch, step: i64) -> Option<Grid> {
    let start = (stretch.begin.div_euclid(step) + 1).checked_mul(step)?;
    if start > stretch.end {
        return None;
    }
    let count = usize::try_from(stretch.end.checked_sub(start)? / step + 1).ok()?;
    Some(Grid { start, step, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subqueries_are_evaluated_at_multiples_of_their_step() {
        let grid = |begin, end| aligned(Stretch { begin, end }, 10);
        assert_eq!(
            grid(5, 30),
            Some(Grid {
                start: 10,
                step: 10,
                count: 3
            })
        );
        assert_eq!(
            grid(10, 30),
            Some(Grid {
                start: 20,
                step: 10,
                count: 2
            })
        );
        assert_eq!(
            grid(-25, 0),
            Some(Grid {
                start: -20,
                step: 10,
                count: 3
            })
        );
        assert_eq!(grid(11, 19), None);
    }
}
