//! Where something stands in the text of a query.

use std::fmt;

/// A run of bytes of the query's text.
///
/// Where a node stands is no part of what it says: two positions always compare equal, so that
/// trees from different spellings of one query compare by meaning.
#[derive(Debug, Clone, Copy, Default)]
pub struct Position {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl PartialEq for Position {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Position {}

impl Position {
    /// From `start` up to but not including `end`.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The smallest run that holds both.
    #[must_use]
    pub fn to(self, last: Self) -> Self {
        Self {
            start: self.start,
            end: last.end,
        }
    }

    /// Line and column of the first byte in `text`.
    #[must_use]
    pub fn line_column(self, text: &str) -> LineColumn {
        let before = &text.as_bytes()[..self.start.min(text.len())];
        let line_start = before
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |i| i + 1);
        LineColumn {
            line: 1 + before.iter().filter(|b| **b == b'\n').count(),
            column: 1 + before.len() - line_start,
        }
    }
}

/// Line and column, both counted from 1; columns count bytes, as Prometheus's do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineColumn {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for LineColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let text = "a\n+ b\n";
        assert_eq!(Position::new(0, 1).line_column(text).to_string(), "1:1");
        assert_eq!(Position::new(4, 5).line_column(text).to_string(), "2:3");
        assert_eq!(Position::new(99, 99).line_column(text).to_string(), "3:1");
    }
}
