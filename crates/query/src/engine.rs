//! The engine: parses a query, checks its bounds, evaluates it, and gives the result its form.

use model::SeriesReader;

use crate::answer::Answer;
use crate::ast::Expr;
use crate::error::{ParseError, QueryError, Stop};
use crate::limits::Options;

/// Asked now and then while a query runs; answers why it has to end, if it has to.
pub type StopSignal<'a> = &'a (dyn Fn() -> Option<Stop> + Sync);

/// Evaluates queries. Holds nothing but its settings.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    options: Options,
}

impl Engine {
    /// An engine with these settings.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options }
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
}

/// What to evaluate: at one time, or at steps over a range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Instant {
        time_ms: i64,
    },
    Range {
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
    },
}

impl Engine {
    /// The answer at one time (ms).
    pub fn instant(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        time_ms: i64,
    ) -> Result<Answer, QueryError> {
        self.instant_until(reader, query, time_ms, &|| None)
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
        self.range_until(reader, query, start_ms, end_ms, step_ms, &|| None)
    }

    /// As [`Engine::instant`], ended early when `stop` says so.
    pub fn instant_until(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        time_ms: i64,
        stop: StopSignal<'_>,
    ) -> Result<Answer, QueryError> {
        self.run(reader, query, When::Instant { time_ms }, stop)
    }

    /// As [`Engine::range`], ended early when `stop` says so.
    pub fn range_until(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
        stop: StopSignal<'_>,
    ) -> Result<Answer, QueryError> {
        self.run(
            reader,
            query,
            When::Range {
                start_ms,
                end_ms,
                step_ms,
            },
            stop,
        )
    }

    fn run(
        &self,
        _reader: &dyn SeriesReader,
        query: &str,
        when: When,
        _stop: StopSignal<'_>,
    ) -> Result<Answer, QueryError> {
        self.parse(query)?;
        Err(QueryError::Execution(format!("no evaluator for {when:?}")))
    }
}
