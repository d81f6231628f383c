//! Why a query got no answer.

use model::ReadError;
use thiserror::Error;

use crate::position::{LineColumn, Position};

/// The text is no valid query.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{at}: parse error: {message}")]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// The offending part of the text.
    pub position: Position,
    /// Where that part begins.
    pub at: LineColumn,
}

/// Who ended a query early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Its time was up.
    Timeout,
    /// Somebody called it off.
    Cancelled,
}

/// Why a query got no answer; the kinds are those of Prometheus's HTTP API.
#[derive(Debug, Error)]
pub enum QueryError {
    /// The text does not parse (HTTP 400, `bad_data`).
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// Another parameter makes no sense (HTTP 400, `bad_data`).
    #[error("{0}")]
    BadInput(String),
    /// The query cannot be executed on this data (HTTP 422, `execution`).
    #[error("{0}")]
    Execution(String),
    /// The query would cost more than a limit allows (HTTP 422, `execution`).
    #[error("{0}")]
    TooLarge(String),
    /// The query ran out of time (HTTP 503, `timeout`).
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// The query was called off (HTTP 503, `canceled`).
    #[error("query was canceled in expression evaluation")]
    Cancelled,
    /// The store could not be read (HTTP 500, `internal`).
    #[error("cannot read series")]
    Read(#[from] ReadError),
}

impl From<Stop> for QueryError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Timeout => Self::Timeout,
            Stop::Cancelled => Self::Cancelled,
        }
    }
}
