//! Durations to milliseconds: they may depend on the step and the range of the query.

use super::{Evaluator, QueryTimes, Result};
use crate::ast::{At, BinaryOp, Duration};
use crate::error::QueryError;

fn bad<T>(message: &str) -> Result<T> {
    Err(QueryError::BadInput(message.to_owned()))
}

/// A duration in seconds.
fn seconds(duration: &Duration, times: QueryTimes) -> Result<f64> {
    let both = |a: &Duration, b: &Duration| -> Result<(f64, f64)> {
        Ok((seconds(a, times)?, seconds(b, times)?))
    };
    Ok(match duration {
        Duration::Literal(n) => n.value,
        Duration::Step(_) => times.step as f64 / 1000.0,
        Duration::Range(_) => times.end.saturating_sub(times.start) as f64 / 1000.0,
        Duration::Negative(inner, _) => -seconds(inner, times)?,
        Duration::Paren(inner, _) => seconds(inner, times)?,
        Duration::MinOf(a, b, _) => both(a, b).map(|(a, b)| a.min(b))?,
        Duration::MaxOf(a, b, _) => both(a, b).map(|(a, b)| a.max(b))?,
        Duration::Binary(op, a, b) => {
            let (a, b) = both(a, b)?;
            match op {
                BinaryOp::Div if b == 0.0 => return bad("division by zero"),
                BinaryOp::Mod if b == 0.0 => return bad("modulo by zero"),
                op => super::binary::arithmetic(*op, a, b),
            }
        }
    })
}

/// Prometheus keeps durations as nanoseconds in 64 bits.
const MS_MAX: f64 = 9_223_372_036_854.0;

pub(crate) fn milliseconds(duration: &Duration, times: QueryTimes) -> Result<i64> {
    let ms = (seconds(duration, times)? * 1000.0 * 1e3).round() / 1e3;
    if ms.is_nan() || ms.abs() > MS_MAX {
        return bad("duration is out of range");
    }
    Ok(ms.trunc() as i64)
}

impl Evaluator<'_> {
    /// A length of time; at least 1 ms.
    pub(crate) fn length_ms(&self, duration: &Duration) -> Result<i64> {
        match milliseconds(duration, self.times)? {
            ms if ms > 0 => Ok(ms),
            _ => bad("duration must be greater than 0"),
        }
    }

    /// An offset; 0 if there is none.
    pub(crate) fn offset_ms(&self, duration: Option<&Duration>) -> Result<i64> {
        duration.map_or(Ok(0), |d| milliseconds(d, self.times))
    }

    /// The fixed time of evaluation, if there is one.
    pub(crate) fn at_ms(&self, at: Option<At>) -> Option<i64> {
        at.map(|at| match at {
            At::Time(ms) => ms,
            At::Start => self.times.start,
            At::End => self.times.end,
        })
    }
}
