//! Numbers for the loop, read with PromQL from its own store.

use model::SeriesReader;
use query::{Engine, QueryValue};
use wire::live::Point;

/// Reads single numbers.
#[derive(Debug, Clone)]
pub(crate) struct Measure {
    engine: Engine,
}

impl Measure {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// The one number a query answers at a time; `None` when it answers none, or no finite one.
    /// A query that answers several numbers has no single meaning: that is `None` too.
    pub(crate) fn number(&self, reader: &dyn SeriesReader, query: &str, at_ms: i64) -> Option<f64> {
        let answer = match self.engine.instant(reader, query, at_ms) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(query, %error, "a query of the loop failed");
                return None;
            }
        };
        let value = match answer.value {
            QueryValue::Scalar { value, .. } => Some(value),
            QueryValue::Vector(samples) => match samples.as_slice() {
                [one] => match one.value {
                    model::Value::Float(value) => Some(value),
                    model::Value::Histogram(_) => None,
                },
                _ => None,
            },
            QueryValue::String { .. } | QueryValue::Matrix(_) => None,
        };
        value.filter(|v| v.is_finite())
    }

    /// The objective over a window that ends at `to_ms`.
    pub(crate) fn over_window(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        window: Window,
    ) -> Option<f64> {
        let query = query.replace("$window", &format!("{}ms", window.range_ms));
        self.number(reader, &query, window.to_ms)
    }

    /// The newest tick of a target whose scrape has arrived, ms.
    pub(crate) fn newest_tick(
        &self,
        reader: &dyn SeriesReader,
        target: &str,
        now_ms: i64,
    ) -> Option<i64> {
        let query = format!("timestamp(up{{job={target:?}}})");
        let seconds = self.number(reader, &query, now_ms)?;
        Some((seconds * 1_000.0).round() as i64)
    }

    /// The series of a query over (start, end, step), ms; none when the query fails.
    pub(crate) fn matrix(
        &self,
        reader: &dyn SeriesReader,
        query: &str,
        (start_ms, end_ms, step_ms): (i64, i64, i64),
    ) -> Vec<query::MatrixSeries> {
        match self.engine.range(reader, query, start_ms, end_ms, step_ms) {
            Ok(answer) => match answer.value {
                QueryValue::Matrix(series) => series,
                QueryValue::Scalar { .. } | QueryValue::String { .. } | QueryValue::Vector(_) => {
                    Vec::new()
                }
            },
            Err(error) => {
                tracing::warn!(query, %error, "a query of the loop failed");
                Vec::new()
            }
        }
    }

    /// The newest values of several queries, for a live page. A query that fails has no points.
    pub(crate) fn points(
        &self,
        reader: &dyn SeriesReader,
        queries: &[String],
        at_ms: i64,
    ) -> Vec<Point> {
        let mut points = Vec::new();
        for (index, query) in (0u32..).zip(queries) {
            let Ok(answer) = self.engine.instant(reader, query, at_ms) else {
                continue;
            };
            match answer.value {
                QueryValue::Vector(samples) => {
                    for sample in samples.into_iter().take(POINTS_A_QUERY_MAX) {
                        if let model::Value::Float(value) = sample.value {
                            points.push(Point {
                                query: index,
                                series: sample.labels.to_string(),
                                value: value.is_finite().then_some(value),
                            });
                        }
                    }
                }
                QueryValue::Scalar { value, .. } => points.push(Point {
                    query: index,
                    series: String::new(),
                    value: value.is_finite().then_some(value),
                }),
                QueryValue::String { .. } | QueryValue::Matrix(_) => {}
            }
        }
        points
    }
}

/// Series of one query sent to a live page: more lines than this nobody tells apart.
const POINTS_A_QUERY_MAX: usize = 64;

/// A window to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Its end, ms; the time the query is evaluated at.
    pub(crate) to_ms: i64,
    /// Length of the range selector, ms: the window and one interval more, because a range leaves
    /// out its first instant and n intervals need n + 1 samples.
    pub(crate) range_ms: i64,
}
