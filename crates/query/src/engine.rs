//! The engine: parses a query, checks its bounds, evaluates it, and gives the result its form.

use std::cell::RefCell;
use std::sync::Arc;

use model::{Labels, SeriesReader};

use crate::account::{Account, Phase};
use crate::answer::{Answer, MatrixSeries, QueryValue, VectorSample};
use crate::ast::{Expr, ValueType};
use crate::cache::ResultsCache;
use crate::error::{ParseError, QueryError, Stop};
use crate::eval::{
    Budget, Cell, Evaluator, Grid, QueryTimes, RangeSeries, Row, Threads, is_present, merged,
    without_metadata,
};
use crate::explain::{Plan, Span};
use crate::limits::Options;
use crate::workers::Workers;

/// Asked now and then while a query runs; answers why it has to end, if it has to.
pub type StopSignal<'a> = &'a (dyn Fn() -> Option<Stop> + Sync);

/// Who looks after a query while it runs.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Ends it early.
    pub stop: StopSignal<'a>,
    /// Counts what it takes.
    pub account: &'a Account,
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("account", self.account)
            .finish_non_exhaustive()
    }
}

/// Evaluates queries. Holds nothing but its settings, the threads that may help, and the answers
/// it may keep.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    options: Options,
    workers: Option<Arc<dyn Workers>>,
    cache: Option<Arc<ResultsCache>>,
}

/// What to evaluate: at one time, or at steps over a range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Instant {
        time_ms: i64,
    },
    Range {
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
    },
}

impl When {
    const fn range(start_ms: i64, end_ms: i64, step_ms: i64) -> Self {
        Self::Range {
            start_ms,
            end_ms,
            step_ms,
        }
    }

    pub(crate) fn times(self) -> QueryTimes {
        match self {
            Self::Instant { time_ms } => QueryTimes {
                start: time_ms,
                end: time_ms,
                step: 0,
            },
            Self::Range {
                start_ms,
                end_ms,
                step_ms,
            } => QueryTimes {
                start: start_ms,
                end: end_ms,
                step: step_ms,
            },
        }
    }

    fn grid(self, steps_max: usize) -> Result<Grid, QueryError> {
        let Self::Range {
            start_ms,
            end_ms,
            step_ms,
        } = self
        else {
            return Ok(Grid::single(self.times().start));
        };
        if step_ms <= 0 {
            let message = "zero or negative query resolution step widths are not accepted. Try a \
                           positive integer";
            return Err(QueryError::BadInput(message.to_owned()));
        }
        if end_ms < start_ms {
            let message = "end timestamp must not be before start time";
            return Err(QueryError::BadInput(message.to_owned()));
        }
        // The difference of two times may not fit 64 bits.
        let steps = (i128::from(end_ms) - i128::from(start_ms)) / i128::from(step_ms);
        match usize::try_from(steps) {
            Ok(steps) if steps <= steps_max => Ok(Grid {
                start: start_ms,
                step: step_ms,
                count: steps + 1,
            }),
            _ => Err(QueryError::BadInput(format!(
                "exceeded maximum resolution of {} points per timeseries. Try decreasing the \
                 query resolution (?step=XX)",
                grouped(steps_max)
            ))),
        }
    }
}

/// A query that was parsed, and when to evaluate it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prepared<'a> {
    /// As it was asked.
    pub(crate) text: &'a str,
    pub(crate) expr: &'a Expr,
    pub(crate) when: When,
    pub(crate) grid: Grid,
}

impl Prepared<'_> {
    /// The same at other steps.
    pub(crate) fn over(&self, grid: Grid) -> Self {
        let when = When::range(grid.start, grid.end(), grid.step);
        Self {
            when,
            grid,
            ..*self
        }
    }
}

/// A number with commas between its thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Engine {
    /// An engine with these settings.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// With a cache of answers to range queries. It is one reader's: an engine with a cache is
    /// asked about no other.
    #[must_use]
    pub fn with_cache(self, cache: Arc<ResultsCache>) -> Self {
        Self {
            cache: Some(cache),
            ..self
        }
    }

    /// Its cache of answers, if it has one.
    #[must_use]
    pub fn cache(&self) -> Option<&Arc<ResultsCache>> {
        self.cache.as_ref()
    }

    /// Without a cache: every step is evaluated.
    #[must_use]
    pub fn without_cache(self) -> Self {
        Self {
            cache: None,
            ..self
        }
    }

    /// With threads that help with queries of many series.
    #[must_use]
    pub fn with_workers(self, workers: Arc<dyn Workers>) -> Self {
        Self {
            workers: Some(workers),
            ..self
        }
    }

    /// With other settings.
    #[must_use]
    pub fn with_options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Its settings.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Parses a query within the engine's limits.
    pub fn parse(&self, query: &str) -> Result<Expr, ParseError> {
        crate::parser::parse_within(query, &self.options.limits)
    }

    /// The answer at one time (ms).
    pub fn instant(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        time_ms: i64,
    ) -> Result<Answer, QueryError> {
        self.run_alone(reader, query, When::Instant { time_ms })
    }

    /// The answer at each step from `start_ms` up to and including `end_ms`.
    pub fn range(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
    ) -> Result<Answer, QueryError> {
        self.run_alone(reader, query, When::range(start_ms, end_ms, step_ms))
    }

    fn run_alone(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        when: When,
    ) -> Result<Answer, QueryError> {
        let watch = Watch {
            stop: &|| None,
            account: &Account::default(),
        };
        self.run(reader, query, when, watch)
    }

    /// As [`Engine::instant`], watched.
    pub fn instant_watched(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        time_ms: i64,
        watch: Watch<'_>,
    ) -> Result<Answer, QueryError> {
        self.run(reader, query, When::Instant { time_ms }, watch)
    }

    /// As [`Engine::range`], watched.
    pub fn range_watched(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
        watch: Watch<'_>,
    ) -> Result<Answer, QueryError> {
        let when = When::range(start_ms, end_ms, step_ms);
        self.run(reader, query, when, watch)
    }

    /// What [`Engine::instant`] would do, and read.
    pub fn explain_instant(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        time_ms: i64,
    ) -> Result<Plan, QueryError> {
        self.explain_alone(reader, query, When::Instant { time_ms })
    }

    /// What [`Engine::range`] would do, and read.
    pub fn explain_range(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
    ) -> Result<Plan, QueryError> {
        self.explain_alone(reader, query, When::range(start_ms, end_ms, step_ms))
    }

    fn explain_alone(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        when: When,
    ) -> Result<Plan, QueryError> {
        let watch = Watch {
            stop: &|| None,
            account: &Account::default(),
        };
        self.explain(reader, query, when, watch)
    }

    /// The answer as [`Engine::instant_watched`] gives it, and its plan with what each operator
    /// took. The account has to measure operators ([`Account::by_operator`]).
    pub fn analyze_instant(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        time_ms: i64,
        watch: Watch<'_>,
    ) -> Result<(Plan, Answer), QueryError> {
        self.analyze(reader, query, When::Instant { time_ms }, watch)
    }

    /// As [`Engine::analyze_instant`], at each step of `(start_ms, end_ms, step_ms)`.
    pub fn analyze_range(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        (start_ms, end_ms, step_ms): (i64, i64, i64),
        watch: Watch<'_>,
    ) -> Result<(Plan, Answer), QueryError> {
        let when = When::range(start_ms, end_ms, step_ms);
        self.analyze(reader, query, when, watch)
    }

    fn analyze(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        when: When,
        watch: Watch<'_>,
    ) -> Result<(Plan, Answer), QueryError> {
        let whole = self.clone().without_cache();
        let answer = whole.run(reader, query, when, watch)?;
        Ok((self.explain(reader, query, when, watch)?, answer))
    }

    fn explain(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        when: When,
        watch: Watch<'_>,
    ) -> Result<Plan, QueryError> {
        let grid = when.grid(self.options.limits.steps)?;
        let expr = self.parse(query)?;
        let span = Span {
            from_ms: grid.start,
            to_ms: grid.end(),
            steps: grid.count as u64,
        };
        let evaluator = self.evaluator(reader, query, when, watch);
        Ok(Plan {
            steps: span.steps,
            root: evaluator.explained(&expr, span)?,
        })
    }

    fn evaluator<'a>(
        &'a self,
        reader: &'a dyn SeriesReader,
        query: &'a str,
        when: When,
        watch: Watch<'a>,
    ) -> Evaluator<'a> {
        Evaluator {
            reader,
            text: query,
            options: &self.options,
            times: when.times(),
            stop: watch.stop,
            budget: Budget::new(&self.options.limits, watch.account),
            annotations: RefCell::default(),
            buckets: std::cell::Cell::default(),
            threads: Threads {
                workers: self.workers.as_deref(),
                most: self.options.threads,
            },
        }
    }

    fn run(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        when: When,
        watch: Watch<'_>,
    ) -> Result<Answer, QueryError> {
        let account = watch.account;
        let prepare = || {
            let grid = when.grid(self.options.limits.steps)?;
            account.begin_steps(grid.start, grid.step, grid.count);
            Ok::<_, QueryError>((grid, self.parse(query)?))
        };
        let (grid, expr) = account.timed(Phase::Prepare, prepare)?;
        let query = Prepared {
            text: query,
            expr: &expr,
            when,
            grid,
        };
        let cache = self.cache.as_deref();
        let cache = cache.filter(|_| matches!(when, When::Range { .. }));
        let reused = cache.and_then(|cache| self.reused(cache, reader, &query, watch));
        reused.unwrap_or_else(|| self.evaluated(reader, &query, watch))
    }

    /// Evaluates all steps.
    pub(crate) fn evaluated(
        &self,
        reader: &dyn SeriesReader,
        query: &Prepared<'_>,
        watch: Watch<'_>,
    ) -> Result<Answer, QueryError> {
        let Prepared { expr, grid, .. } = *query;
        let evaluator = self.evaluator(reader, query.text, query.when, watch);
        evaluator.check_stop()?;
        let value = match query.when {
            When::Instant { time_ms } => instant_value(&evaluator, expr, time_ms)?,
            When::Range { .. } => QueryValue::Matrix(range_value(&evaluator, expr, grid)?),
        };
        let (warnings, infos) = evaluator.annotations.into_inner().into_lists();
        Ok(Answer {
            value,
            warnings,
            infos,
        })
    }
}

fn instant_value(
    evaluator: &Evaluator<'_>,
    expr: &Expr,
    time_ms: i64,
) -> Result<QueryValue, QueryError> {
    let grid = Grid::single(time_ms);
    Ok(match expr.value_type() {
        ValueType::Scalar => QueryValue::Scalar {
            time_ms,
            value: evaluated(evaluator, || evaluator.scalar(expr, grid))?[0],
        },
        ValueType::String => match expr.unwrapped() {
            Expr::Text(t) => QueryValue::String {
                time_ms,
                text: t.value.clone(),
            },
            other => return Err(QueryError::Execution(format!("{other} is no string"))),
        },
        ValueType::Vector => {
            let mut held = evaluated(evaluator, || evaluator.rows(expr, grid))?;
            sorted(evaluator, || {
                let rows = named(held.take())?.into_iter();
                let samples = rows.filter_map(|row| sample(row, time_ms));
                Ok(QueryValue::Vector(samples.collect()))
            })?
        }
        ValueType::Matrix => {
            let series = evaluated(evaluator, || evaluator.matrix(expr, time_ms))?;
            QueryValue::Matrix(sorted(evaluator, || window(series))?)
        }
    })
}

fn range_value(
    evaluator: &Evaluator<'_>,
    expr: &Expr,
    grid: Grid,
) -> Result<Vec<MatrixSeries>, QueryError> {
    let mut held = match expr.value_type() {
        ValueType::Scalar => {
            let column = evaluated(evaluator, || evaluator.scalar(expr, grid))?;
            return Ok(vec![points(
                Row::from_floats(Labels::empty(), false, column),
                grid,
            )]);
        }
        ValueType::Vector => evaluated(evaluator, || evaluator.rows(expr, grid))?,
        other => {
            let found = other.as_str();
            return Err(QueryError::BadInput(format!(
                "invalid expression type {found:?} for range query, must be Scalar or instant \
                 Vector"
            )));
        }
    };
    sorted(evaluator, || {
        let rows = named(held.take())?.into_iter();
        let mut series: Vec<MatrixSeries> = rows.map(|row| points(row, grid)).collect();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(series)
    })
}

/// Evaluates, timed as such.
fn evaluated<T>(
    evaluator: &Evaluator<'_>,
    work: impl FnOnce() -> Result<T, QueryError>,
) -> Result<T, QueryError> {
    evaluator.budget.account.timed(Phase::Evaluate, work)
}

/// Gives rows their final form, timed as such.
fn sorted<T>(
    evaluator: &Evaluator<'_>,
    work: impl FnOnce() -> Result<T, QueryError>,
) -> Result<T, QueryError> {
    evaluator.budget.account.timed(Phase::Sort, work)
}

/// Drops the names that were to be dropped; what becomes equal is merged.
fn named(mut rows: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    for row in rows.iter_mut().filter(|row| row.drop_name) {
        row.labels = without_metadata(&row.labels);
    }
    merged(rows)
}

fn sample(row: Row, time_ms: i64) -> Option<VectorSample> {
    let value = match row.cell(0)? {
        Cell::Float(v) => model::Value::Float(v),
        Cell::Histogram(h) => model::Value::Histogram(h),
    };
    Some(VectorSample {
        labels: row.labels,
        time_ms,
        value,
    })
}

fn points(row: Row, grid: Grid) -> MatrixSeries {
    let mut floats = Vec::with_capacity(row.floats.iter().filter(|v| is_present(**v)).count());
    for (i, value) in row.floats.iter().enumerate() {
        if is_present(*value) {
            floats.push((grid.time(i), *value));
        }
    }
    let histograms = row.histograms.into_iter().enumerate();
    MatrixSeries {
        labels: row.labels,
        floats,
        histograms: histograms
            .filter_map(|(i, h)| h.map(|h| (grid.time(i), h)))
            .collect(),
    }
}

/// The answer to an instant query for a range vector.
fn window(series: Vec<RangeSeries>) -> Result<Vec<MatrixSeries>, QueryError> {
    let mut all: Vec<MatrixSeries> = series
        .into_iter()
        .map(|s| MatrixSeries {
            labels: if s.drop_name {
                without_metadata(&s.labels)
            } else {
                s.labels
            },
            floats: s.floats.times.into_iter().zip(s.floats.values).collect(),
            histograms: s
                .histograms
                .times
                .into_iter()
                .zip(s.histograms.values)
                .collect(),
        })
        .collect();
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    if all.windows(2).any(|pair| pair[0].labels == pair[1].labels) {
        let message = "vector cannot contain metrics with the same labelset";
        return Err(QueryError::Execution(message.to_owned()));
    }
    Ok(all)
}
