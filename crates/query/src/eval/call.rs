//! Function calls: which function is evaluated how.

use model::Series;

use super::grid::{Grid, Row};
use super::range::Span;
use super::rate::{Plan, RateKind};
use super::select::Take;
use super::series::{RangeSeries, Slice, Stretch, bounds};
use super::stats::Buckets;
use super::{Evaluator, Result, Sink, calendar, map, refuse};
use crate::account::Account;
use crate::annotations::Note;
use crate::ast::{Call, Expr, Extension, MatrixSelector, ValueType};
use crate::functions::Kind;
use crate::position::Position;

/// Windows may be long: how many are looked through before the next look at the stop signal.
const STEPS_BETWEEN_STOPS: usize = 64;

/// What a range function sees at one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'s> {
    pub(super) floats: Slice<'s, f64>,
    pub(super) histograms: Slice<'s, std::sync::Arc<model::Histogram>>,
    /// The range itself; the samples may reach beyond it if the selector extends it.
    pub(super) stretch: Stretch,
    /// The time of evaluation, ms.
    pub(super) time: i64,
    pub(super) span: &'s Span,
}

/// Annotations about one series, each given once.
pub(super) struct SeriesNotes<'e> {
    evaluator: &'e Evaluator<'e>,
    pub(super) metric: &'e str,
    position: Position,
    given: std::cell::RefCell<Vec<Note<'e>>>,
}

impl<'e> SeriesNotes<'e> {
    pub(super) fn new(evaluator: &'e Evaluator<'e>, metric: &'e str, position: Position) -> Self {
        Self {
            evaluator,
            metric,
            position,
            given: std::cell::RefCell::default(),
        }
    }

    pub(super) fn add(&self, note: Note<'e>) {
        let mut given = self.given.borrow_mut();
        if !given.contains(&note) {
            given.push(note);
            self.evaluator.note(&note, self.position);
        }
    }
}

impl Evaluator<'_> {
    pub(super) fn stream_call(&self, c: &Call, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        let kind = c.function.kind;
        if c.args.iter().any(|a| a.value_type() == ValueType::Matrix) {
            return match kind {
                Kind::AbsentOverTime => self.absent_over_time(c, grid, sink),
                _ => self.stream_range_call(c, grid, sink),
            };
        }
        match kind {
            Kind::Absent => self.absent(c, grid, sink),
            Kind::ToVector => {
                let column = self.scalar(&c.args[0], grid)?;
                sink(Row::from_floats(model::Labels::empty(), false, column))
            }
            Kind::Timestamp => self.timestamps(c, Take::Time, grid, sink),
            Kind::StartTimestamp => self.timestamps(c, Take::StartTime, grid, sink),
            Kind::LabelReplace => self.label_replace(c, grid, sink),
            Kind::LabelJoin => self.label_join(c, grid, sink),
            Kind::Info => self.info(c, grid, sink),
            Kind::Sort | Kind::SortDesc | Kind::SortByLabel | Kind::SortByLabelDesc => {
                self.sort(c, grid, sink)
            }
            Kind::HistogramQuantile | Kind::HistogramQuantiles | Kind::HistogramFraction => {
                self.bucketed(c, grid, sink)
            }
            Kind::Round | Kind::Clamp | Kind::ClampMin | Kind::ClampMax => {
                self.stream_with_scalars(c, grid, sink)
            }
            Kind::HistogramCount | Kind::HistogramSum | Kind::HistogramAvg => {
                self.with_buckets(Buckets::Spared, || self.stream_mapped(c, grid, sink))
            }
            _ => self.stream_mapped(c, grid, sink),
        }
    }

    /// Functions of one sample.
    fn stream_mapped(&self, c: &Call, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        let kind = c.function.kind;
        if let (Some(of), None) = (calendar::function(kind), c.args.first()) {
            let column = grid.times().map(|t| of((t / 1000) as f64)).collect();
            return sink(Row::from_floats(model::Labels::empty(), false, column));
        }
        let of_float = map::float_function(kind).or_else(|| calendar::function(kind));
        let of_histogram = map::histogram_function(kind);
        self.stream(&c.args[0], grid, &mut |row| {
            let mapped = match (of_float, of_histogram) {
                (Some(f), _) => map::mapped(row, f),
                (None, Some(f)) => map::of_histograms(&row, f),
                (None, None) => return refuse(format!("no function {}", c.function.name)),
            };
            if mapped.is_empty() {
                Ok(())
            } else {
                sink(mapped)
            }
        })
    }

    /// Functions of one sample and scalars.
    fn stream_with_scalars(&self, c: &Call, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        let scalars = c.args[1..].iter().map(|a| self.scalar(a, grid));
        let scalars = scalars.collect::<Result<Vec<_>>>()?;
        let kind = c.function.kind;
        self.stream(&c.args[0], grid, &mut |row| {
            let mapped = map::with_scalars(row, kind, &scalars);
            if mapped.is_empty() {
                Ok(())
            } else {
                sink(mapped)
            }
        })
    }

    fn timestamps(&self, c: &Call, take: Take, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        match c.args[0].unwrapped() {
            Expr::Vector(v) => self.stream_selector(v, grid, take, sink),
            // The result of an expression is as old as the step, and has no start.
            _ if take == Take::StartTime => self.stream(&c.args[0], grid, &mut |_| Ok(())),
            other => self.stream(other, grid, &mut |row| {
                let mut out = Row::new(row.labels.clone(), true, grid.count);
                for (i, time) in grid.times().enumerate().filter(|(i, _)| row.has(*i)) {
                    out.floats[i] = time as f64 / 1000.0;
                }
                sink(out)
            }),
        }
    }

    pub(super) fn scalar_call(&self, c: &Call, grid: Grid) -> Result<Vec<f64>> {
        let constant = |v: f64| Ok(vec![v; grid.count]);
        let times = self.times;
        match c.function.kind {
            Kind::Time => Ok(grid.times().map(|t| t as f64 / 1000.0).collect()),
            Kind::Pi => constant(std::f64::consts::PI),
            Kind::Start => constant(times.start as f64 / 1000.0),
            Kind::End => constant(times.end as f64 / 1000.0),
            Kind::Step => constant(times.step as f64 / 1000.0),
            Kind::Range => constant(times.end.saturating_sub(times.start) as f64 / 1000.0),
            Kind::ToScalar => self.only_float(&c.args[0], grid),
            Kind::MaxOf | Kind::MinOf => {
                let pick = if c.function.kind == Kind::MaxOf {
                    map::larger
                } else {
                    map::smaller
                };
                let (a, b) = (
                    self.scalar(&c.args[0], grid)?,
                    self.scalar(&c.args[1], grid)?,
                );
                Ok(a.into_iter().zip(b).map(|(a, b)| pick(a, b)).collect())
            }
            _ => refuse(format!("{}() is no scalar", c.function.name)),
        }
    }

    /// At each step the only float of a vector; NaN if there are none or several.
    fn only_float(&self, expr: &Expr, grid: Grid) -> Result<Vec<f64>> {
        let mut column = vec![super::grid::ABSENT; grid.count];
        let mut several = vec![false; grid.count];
        self.stream(expr, grid, &mut |row| {
            for (i, v) in row
                .floats
                .iter()
                .enumerate()
                .filter(|(_, v)| super::is_present(**v))
            {
                several[i] |= super::is_present(column[i]);
                column[i] = *v;
            }
            Ok(())
        })?;
        for (value, several) in column.iter_mut().zip(several) {
            if several || !super::is_present(*value) {
                *value = f64::NAN;
            }
        }
        Ok(column)
    }

    fn absent(&self, c: &Call, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        let mut absent = vec![1.0; grid.count];
        self.stream(&c.args[0], grid, &mut |row| {
            strike(&mut absent, |i| row.has(i));
            Ok(())
        })?;
        let row = Row::from_floats(map::absent_labels(&c.args[0]), false, absent);
        if row.is_empty() { Ok(()) } else { sink(row) }
    }

    fn absent_over_time(&self, c: &Call, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        check_extension(c)?;
        let mut absent = vec![1.0; grid.count];
        let mut windows = [Vec::new(), Vec::new()];
        self.each_range(c.args[0].unwrapped(), grid, &mut |series, span| {
            let reaches = || grid.times().map(|t| span.reach(t));
            bounds(&series.floats.times, reaches(), &mut windows[0]);
            bounds(&series.histograms.times, reaches(), &mut windows[1]);
            strike(&mut absent, |i| windows.iter().any(|w| w[i].0 < w[i].1));
            Ok(())
        })?;
        let row = Row::from_floats(map::absent_labels(&c.args[0]), true, absent);
        if row.is_empty() { Ok(()) } else { sink(row) }
    }

    /// Functions of a range of samples, one series at a time.
    fn stream_range_call(&self, c: &Call, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        check_extension(c)?;
        if self.stream_digests(c, grid, sink)? {
            return Ok(());
        }
        let is_range = |a: &&Expr| a.value_type() == ValueType::Matrix;
        let (range, scalars): (Vec<&Expr>, Vec<&Expr>) = c.args.iter().partition(is_range);
        let scalars = scalars.into_iter().map(|a| self.scalar(a, grid));
        let scalars = scalars.collect::<Result<Vec<_>>>()?;
        if let Expr::Matrix(m) = range[0].unwrapped() {
            return self.stream_selected(c, m, &scalars, grid, sink);
        }
        let mut frames = Frames::default();
        self.each_range(range[0].unwrapped(), grid, &mut |series, span| {
            let row = self.row_of_range(c, series, span, grid, &scalars, &mut frames)?;
            if row.is_empty() { Ok(()) } else { sink(row) }
        })
    }

    /// The same of a selector: series by series, on several threads if there are many.
    fn stream_selected(
        &self,
        c: &Call,
        m: &MatrixSelector,
        scalars: &[Vec<f64>],
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let (span, selection) = self.selected(m, grid)?;
        let make = |on: &Evaluator<'_>, frames: &mut Frames, series: Series| {
            let series = RangeSeries::read(on.prepared(series));
            let _held = on.budget.hold_read(series.len())?;
            on.row_of_range(c, &series, &span, grid, scalars, frames)
                .map(Some)
        };
        self.each_row(&selection, false, &make, sink)
    }

    /// One series' share of a call.
    pub(super) fn row_of_range(
        &self,
        c: &Call,
        series: &RangeSeries,
        span: &Span,
        grid: Grid,
        scalars: &[Vec<f64>],
        frames: &mut Frames,
    ) -> Result<Row> {
        frames.fit(series, span, grid);
        frames.tell(self.budget.account, grid);
        let notes = self.series_notes(&series.labels, span);
        let row = self.range_row(c, series, span, grid, frames, scalars, &notes)?;
        super::rate::note_non_counter(c.function.kind, &row, &notes);
        Ok(row)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one series' share of a call, seen once"
    )]
    fn range_row(
        &self,
        c: &Call,
        series: &RangeSeries,
        span: &Span,
        grid: Grid,
        frames: &mut Frames,
        scalars: &[Vec<f64>],
        notes: &SeriesNotes<'_>,
    ) -> Result<Row> {
        let kind = c.function.kind;
        let keeps_name = matches!(kind, Kind::LastOverTime | Kind::FirstOverTime);
        let drop_name = series.drop_name || !keeps_name;
        let mut row = Row::new(series.labels.clone(), drop_name, grid.count);
        if series.histograms.times.is_empty()
            && span.extension == Extension::None
            && super::over_time::columns(kind, series, frames, span, grid, notes, &mut row)
        {
            return Ok(row);
        }
        let mut parameters = vec![0.0; scalars.len()];
        for (i, time) in grid.times().enumerate() {
            if i % STEPS_BETWEEN_STOPS == 0 {
                self.check_stop()?;
            }
            let window = Window {
                floats: Slice::of(&series.floats, frames.floats.windows[i]),
                histograms: Slice::of(&series.histograms, frames.histograms.windows[i]),
                stretch: span.window(time),
                time,
                span,
            };
            if window.floats.is_empty() && window.histograms.is_empty() {
                continue;
            }
            for (parameter, column) in parameters.iter_mut().zip(scalars) {
                *parameter = column[i];
            }
            if kind == Kind::QuantileOverTime && !window.floats.is_empty() {
                self.check_quantile(parameters[0], c.args[0].position());
            }
            if let Some(cell) = super::over_time::at_step(kind, &window, &parameters, notes)? {
                row.put(i, cell);
            }
        }
        Ok(row)
    }

    /// Warns of a quantile outside of 0 to 1.
    pub(super) fn check_quantile(&self, q: f64, position: Position) {
        if !(0.0..=1.0).contains(&q) {
            self.note(&Note::InvalidQuantile(q), position);
        }
    }
}

/// Which samples each step's window holds. Series scraped together have the same times, and so
/// the same frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    floats: Fitted,
    histograms: Fitted,
}

/// The windows over one column of times, and what is known of rates from that alone.
#[derive(Debug, Default)]
struct Fitted {
    times: Vec<i64>,
    windows: Vec<(usize, usize)>,
    plans: Vec<Plan>,
    /// Samples in all windows together.
    inside: usize,
}

impl Fitted {
    fn fit(&mut self, times: &[i64], span: &Span, grid: Grid) {
        if self.windows.is_empty() || self.times != times {
            times.clone_into(&mut self.times);
            self.plans.clear();
            let reaches = grid.times().map(|t| span.reach(t));
            bounds(times, reaches, &mut self.windows);
            self.inside = self.windows.iter().map(|(low, high)| high - low).sum();
        }
    }
}

impl Frames {
    fn fit(&mut self, series: &RangeSeries, span: &Span, grid: Grid) {
        self.floats.fit(&series.floats.times, span, grid);
        self.histograms.fit(&series.histograms.times, span, grid);
    }

    fn tell(&self, account: &Account, grid: Grid) {
        let [floats, histograms] = [&self.floats, &self.histograms];
        let both = floats.windows.iter().zip(&histograms.windows);
        let at_steps = both.map(|((low, high), (from, to))| high - low + to - from);
        account.saw(floats.inside + histograms.inside, grid.start, at_steps);
    }

    /// Windows of floats.
    pub(super) fn floats(&self) -> &[(usize, usize)] {
        &self.floats.windows
    }

    /// How a function of `kind` extrapolates at each step; the same for all series of these
    /// times, if none of them says when its counter began.
    pub(super) fn plans(&mut self, kind: RateKind, span: &Span, grid: Grid) -> &[Plan] {
        let fitted = &mut self.floats;
        if fitted.plans.is_empty() {
            let steps = fitted.windows.iter().zip(grid.times());
            let plan = |(window, time): (&(usize, usize), i64)| {
                Plan::of(kind, &fitted.times, *window, span.window(time), span.range)
            };
            fitted.plans = steps.map(plan).collect();
        }
        &fitted.plans
    }
}

fn strike(absent: &mut [f64], is_there: impl Fn(usize) -> bool) {
    for (i, slot) in absent.iter_mut().enumerate() {
        if is_there(i) {
            *slot = super::grid::ABSENT;
        }
    }
}

/// Only functions that know about samples beyond the range may be given them.
fn check_extension(c: &Call) -> Result<()> {
    let extension = c.args.iter().find_map(|a| match a.unwrapped() {
        Expr::Matrix(m) => Some(m.selector.extension),
        _ => None,
    });
    let kind = c.function.kind;
    let is_rate = matches!(kind, Kind::Rate | Kind::Increase | Kind::Delta);
    let counts = matches!(kind, Kind::Changes | Kind::Resets);
    let (word, list) = match extension {
        Some(Extension::Anchored) if !is_rate && !counts => {
            ("anchored", "changes, delta, increase, rate, resets")
        }
        Some(Extension::Smoothed) if !is_rate => ("smoothed", "delta, increase, rate"),
        _ => return Ok(()),
    };
    let name = c.function.name;
    refuse(format!(
        "{word} modifier can only be used with: {list} - not with {name}"
    ))
}
