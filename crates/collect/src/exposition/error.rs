//! Where an exposition is wrong, and why.

use std::borrow::Cow;

use thiserror::Error;

/// The first thing wrong in a body.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {what}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong, in words.
    pub what: Cow<'static, str>,
}

/// Why the format of a body is not known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormatError {
    /// The source sent no `Content-Type`.
    #[error("the target sent no Content-Type, and no fallback_scrape_protocol is set")]
    Missing,
    /// Not a type we read.
    #[error("the target sent Content-Type {0:?}, which is not an exposition format")]
    Unknown(String),
}

/// Something wrong inside a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Byte offset in the line.
    pub(super) at: usize,
    pub(super) what: Cow<'static, str>,
}

pub(super) type Parsed<T> = Result<T, Fault>;

impl Fault {
    pub(super) fn new(at: usize, what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            at,
            what: what.into(),
        }
    }

    /// The same fault in a piece of text that begins `by` bytes into the line.
    pub(super) fn shifted(mut self, by: usize) -> Self {
        self.at += by;
        self
    }

    /// With its place in the body; `line_number` counts from 1.
    pub(super) fn in_line(self, line_number: usize, line: &str) -> ParseError {
        let mut at = self.at.min(line.len());
        while !line.is_char_boundary(at) {
            at -= 1;
        }
        ParseError {
            line: line_number,
            column: line[..at].chars().count() + 1,
            what: self.what,
        }
    }
}
