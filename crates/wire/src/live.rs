//! The stream of events a page listens to (server-sent events, one JSON object each).

use serde::{Deserialize, Serialize};

use crate::control;

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// New values of the queries the page asked for (`?query=...`, repeated): once a second.
    Points {
        /// The tick, ms since the Unix epoch.
        at_ms: i64,
        /// One entry for each series of each query, in order.
        points: Vec<Point>,
    },
    /// A change began, moved on or ended.
    Change {
        /// As it is now.
        change: control::Change,
    },
    /// The governor ruled.
    Decision {
        /// Its ruling.
        decision: control::Decision,
    },
    /// Something was found.
    Finding {
        /// The finding.
        finding: control::Finding,
    },
    /// The loop at a glance: once a second, and at once when it changes.
    Status {
        /// As it is now.
        status: control::Status,
    },
}

/// The newest value of one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Index of the query in the request.
    pub query: u32,
    /// The series, as PromQL writes it.
    pub series: String,
    /// Its value; absent when the series has none now.
    pub value: Option<f64>,
}
