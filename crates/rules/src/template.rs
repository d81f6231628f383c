//! The templates of labels and annotations: the part of Go's `text/template` that rules use, with
//! Prometheus's functions. Specs: <https://pkg.go.dev/text/template>,
//! <https://prometheus.io/docs/prometheus/latest/configuration/template_reference/>.
//!
//! A template is parsed once, when its file is read, and expanded at each evaluation. Text, nesting,
//! output and work are bounded, so that no rule file can hang the server or fill its memory.
//!
//! | file | what |
//! |---|---|
//! | `lexer` | text and actions into tokens |
//! | `tree`, `parser` | tokens into nodes; unknown functions and variables are found here |
//! | `value` | what templates compute with, and how it prints |
//! | `exec` | nodes and a context into text |
//! | `functions`, `compare` | what can be called |
//! | `printf`, `float` | Go's verbs and its way with floats |
//! | `humanize`, `time` | numbers and times for people |

mod compare;
mod exec;
mod float;
mod functions;
mod humanize;
mod lexer;
mod parser;
mod printf;
mod time;
mod tree;
mod value;

use model::Labels;
use thiserror::Error;

pub use float::{exponential, shortest};
pub(crate) use functions::table_link;
pub use time::rfc3339;
pub(crate) use time::rfc3339_ms;

/// Bytes of a template. No annotation of a public rule file has more than some 4 KiB.
pub const TEMPLATE_BYTES_MAX: usize = 64 << 10;

/// Bytes a template may expand to; notifiers cut far shorter.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// Nodes run and functions called in one expansion: some 50 ms of work.
pub const STEPS_MAX: u32 = 100_000;

/// Levels of nesting, of blocks, of parentheses and of templates that call templates.
pub const DEPTH_MAX: u32 = 50;

/// A template, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    tree: tree::Tree,
}

/// Answers a query within a template: series with their values, or why not.
pub type QueryFn<'a> = dyn Fn(&str) -> Result<Vec<(Labels, f64)>, String> + 'a;

/// What a template is expanded with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// `.Labels`, `$labels`: of the element of the answer, its metric name included.
    pub labels: &'a Labels,
    /// `.Value`, `$value`.
    pub value: f64,
    /// `.ExternalLabels`, `$externalLabels`.
    pub external_labels: &'a Labels,
    /// `.ExternalURL`, `$externalURL`.
    pub external_url: &'a str,
    /// When the rule is evaluated, ms since the Unix epoch.
    pub time_ms: i64,
    /// Answers `query`.
    pub query: &'a QueryFn<'a>,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("labels", self.labels)
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

/// Why a template cannot be parsed or expanded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{line}:{column}: {message}")]
pub struct TemplateError {
    /// Line within the template, from 1.
    pub line: usize,
    /// Character within the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// A fault at a byte of the text; becomes a [`TemplateError`] at the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    at: usize,
    message: String,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    fn placed(self, text: &str) -> TemplateError {
        let before = text.get(..self.at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        TemplateError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: self.message,
        }
    }
}

impl Template {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_BYTES_MAX {
            let message = format!("the template is longer than {TEMPLATE_BYTES_MAX} bytes");
            return Err(Fault::new(0, message).placed(text));
        }
        match parser::parse(text) {
            Ok(tree) => Ok(Self { tree }),
            Err(fault) => Err(fault.placed(text)),
        }
    }

    /// The text as it was said.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.tree.text
    }

    /// The text for one alert.
    pub fn expand(&self, context: &Context<'_>) -> Result<String, TemplateError> {
        exec::expand(&self.tree, context).map_err(|fault| fault.placed(&self.tree.text))
    }
}

#[cfg(test)]
mod tests;
