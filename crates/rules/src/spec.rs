//! What rule files mean: groups of rules, ready to evaluate.

use std::time::Duration;

use model::Labels;

use crate::template::Template;

/// A group: rules evaluated together, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSpec {
    /// Name of its file, as given.
    pub file: String,
    /// Its name, unique within the file.
    pub name: String,
    /// Between two evaluations.
    pub interval: Duration,
    /// Series a rule may make; 0: any number.
    pub limit: usize,
    /// How far before the time of the evaluation expressions are answered.
    pub query_offset: Duration,
    /// In order.
    pub rules: Vec<RuleSpec>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSpec {
    /// The name of the metric it records, or of the alert it raises.
    pub name: String,
    /// Its expression as said.
    pub expr: String,
    /// The same as the query language's printer writes it.
    pub query: String,
    /// What it does with the answer.
    pub kind: Kind,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Stores the answer under the rule's name.
    Record {
        /// Set on each series, in order of name; an empty value removes the label.
        labels: Vec<(String, String)>,
    },
    /// Raises an alert for each element.
    Alert(AlertSpec),
}

/// How alerts are raised.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertSpec {
    /// How long an element must be there until its alert fires.
    pub hold: Duration,
    /// How long an alert fires on after its element is gone.
    pub keep_firing: Duration,
    /// Set on each alert, in order of name.
    pub labels: Vec<(String, Template)>,
    /// Texts for people, in order of name.
    pub annotations: Vec<(String, Template)>,
}

impl GroupSpec {
    /// What tells it from all other groups.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{};{}", self.file, self.name)
    }
}

impl RuleSpec {
    /// Its labels as said, templates unexpanded.
    #[must_use]
    pub fn labels(&self) -> Labels {
        match &self.kind {
            Kind::Record { labels } => Labels::from_pairs(labels.iter().cloned()),
            Kind::Alert(alert) => texts(&alert.labels),
        }
    }

    /// How it raises alerts, if it does.
    #[must_use]
    pub fn alert(&self) -> Option<&AlertSpec> {
        match &self.kind {
            Kind::Record { .. } => None,
            Kind::Alert(alert) => Some(alert),
        }
    }
}

fn texts(templates: &[(String, Template)]) -> Labels {
    let pairs = templates.iter();
    Labels::from_pairs(pairs.map(|(name, template)| (name.as_str(), template.text())))
}

/// A duration as whole milliseconds.
pub(crate) fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}
