//! What one query may cost, and the settings that change its meaning.

/// Bounds on one query. Each is checked before the memory it guards is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest query text, bytes; judged before the first character is looked at.
    pub query_bytes: usize,
    /// Deepest nesting of parentheses, calls, signs and `^`: bounds recursion, and so the stack.
    pub depth: usize,
    /// Most binary operators in one query.
    pub operators: usize,
    /// Most steps from the first point of a range query to its last (Prometheus: 11,000).
    pub steps: usize,
    /// Most samples held at once: raw samples of the series at hand and points of results.
    pub samples: usize,
    /// Most series one selector may read.
    pub series: usize,
    /// Most bytes held at once by columns of results.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            query_bytes: 16 << 10,
            depth: 128,
            operators: 1_000,
            steps: 11_000,
            samples: 50_000_000,
            series: 1_000_000,
            bytes: 1 << 30,
        }
    }
}

/// Settings of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How far back an instant selector looks for a sample, ms.
    pub lookback_ms: i64,
    /// Step of a subquery that names none, ms.
    pub subquery_step_ms: i64,
    /// Threads one query may use, its own among them. The answer does not depend on it.
    pub threads: usize,
    /// Bounds on one query.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lookback_ms: 5 * 60_000,
            subquery_step_ms: 60_000,
            threads: 1,
            limits: Limits::default(),
        }
    }
}
