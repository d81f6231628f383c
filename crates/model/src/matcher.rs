//! One condition on a label, as PromQL writes it.

use std::fmt;

use regex::Regex;

use crate::re2;

/// How a [`Matcher`] compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

impl MatchOp {
    /// As written in PromQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// A condition on one label. A series without the label is judged as having the empty value.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// How it is compared.
    pub op: MatchOp,
    /// The value, or the source of the regular expression.
    pub value: String,
    regex: Option<Regex>,
}

/// Compiled size one matcher's regular expression may reach, bytes: far above any real
/// matcher, far below what a hostile one could ask for.
const REGEX_BYTES_MAX: usize = 1 << 20;

impl Matcher {
    /// A matcher; fails with the regular expression's error if it does not compile.
    pub fn new(
        name: impl Into<String>,
        op: MatchOp,
        value: impl Into<String>,
    ) -> Result<Self, regex::Error> {
        let (name, value) = (name.into(), value.into());
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(
                // As Prometheus does: anchored, and `.` matches a line break.
                regex::RegexBuilder::new(&format!("^(?s:{})$", re2::translated(&value)))
                    .size_limit(REGEX_BYTES_MAX)
                    .build()?,
            ),
        };
        Ok(Self {
            name,
            op,
            value,
            regex,
        })
    }

    /// A matcher for equality.
    #[must_use]
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            op: MatchOp::Equal,
            value: value.into(),
            regex: None,
        }
    }

    /// Whether the label's value (empty when absent) satisfies the condition.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let found = || self.regex.as_ref().is_some_and(|r| r.is_match(value));
        match self.op {
            MatchOp::Equal => value == self.value,
            MatchOp::NotEqual => value != self.value,
            MatchOp::Regex => found(),
            MatchOp::NotRegex => !found(),
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.op == other.op && self.value == other.value
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_expressions_are_anchored_and_dot_crosses_lines() {
        let matcher = Matcher::new("job", MatchOp::Regex, "a|b.c").unwrap();
        assert!(matcher.matches("a") && matcher.matches("b\nc"));
        assert!(!matcher.matches("ab") && !matcher.matches(""));
        assert!(
            Matcher::new("job", MatchOp::NotRegex, "a")
                .unwrap()
                .matches("")
        );
        assert!(Matcher::new("job", MatchOp::Regex, "(").is_err());
        assert!(Matcher::new("job", MatchOp::Regex, "(((x{1000}){1000}){1000})").is_err());
    }
}
