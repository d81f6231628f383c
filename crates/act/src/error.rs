//! What can go wrong between an order and its read-back.

use std::time::Duration;

/// A failure, named for the operation: `discover`, `set`, `commit`, `restore`, `read back`.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The address is none, or no client could be made for it.
    #[error("reach targets at {url:?}")]
    Address {
        /// As configured.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// No connection, or it broke.
    #[error("{operation}: the target cannot be reached")]
    Unreachable {
        /// What was asked.
        operation: &'static str,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// No complete answer in time.
    #[error("{operation}: no complete answer within {} ms", limit.as_millis())]
    Timeout {
        /// What was asked.
        operation: &'static str,
        /// The deadline.
        limit: Duration,
    },
    /// The target refused by a rule of the protocol; nothing was applied.
    #[error("{operation}: refused by rule {rule}: {message}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// `stale_generation`, `unknown_knob`, `out_of_range`, `lease_too_long`, `bad_request`.
        rule: String,
        /// The knob it is about, if one.
        knob: Option<String>,
        /// As the target said it.
        message: String,
    },
    /// An HTTP status that is no answer of the protocol.
    #[error("{operation}: status {status}")]
    Status {
        /// What was asked.
        operation: &'static str,
        /// The status.
        status: u16,
    },
    /// The answer is larger than any sound one.
    #[error("{operation}: the answer exceeds {limit} bytes")]
    TooLarge {
        /// What was asked.
        operation: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The answer is not the JSON expected.
    #[error("{operation}: the answer is not the JSON expected")]
    Syntax {
        /// What was asked.
        operation: &'static str,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The answer is JSON and makes no sense.
    #[error("{operation}: {problem}")]
    Protocol {
        /// What was asked.
        operation: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The target carried out another order meanwhile, or started anew: what it shows is not
    /// the effect of this one.
    #[error("read back: generation {found} is in force, {ordered} was ordered")]
    Overtaken {
        /// The order's.
        ordered: u64,
        /// The target's.
        found: u64,
    },
    /// The values may be right, but what protects them is not.
    #[error("read back: {problem}")]
    NotInForce {
        /// No lease after a set, a lease after a restore, another baseline after a commit.
        problem: String,
    },
}

impl ActError {
    /// Whether the target did not answer at all: it counts as lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. })
    }

    /// The failure with its causes, on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line
    }
}
