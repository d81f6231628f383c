//! Evaluates recording and alerting rules, and keeps the state of alerts.
//!
//! [`file::read`] turns Prometheus's rule files into [`GroupSpec`]s, every mistake with its place.
//! A [`Group`] evaluates one of them at a time it is told: it asks an [`Evaluate`] (the query
//! engine, for whoever wires it), stores what comes out through a [`model::SampleSink`], and
//! returns the alerts that fire. [`Schedule`] says when. The semantics are those of Prometheus 3,
//! see <https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/>.
//!
//! | file | what |
//! |---|---|
//! | [`file`](mod@file) | rule files as they are |
//! | [`spec`] | what they mean: groups, rules |
//! | [`template`] | labels and annotations: Go's `text/template` within bounds |
//! | [`alert`] | one alert: inactive, pending, firing |
//! | [`alerting`] | the alerts of one rule, from one evaluation to the next |
//! | [`group`] | the rules of one group in their order |
//! | [`restore`] | the `for` clock of alerts after a restart |
//! | [`schedule`] | when a group is due, and what it missed |
//! | [`unit_test`] | `promtool`'s test files |

pub mod alert;
pub mod alerting;
pub mod file;
pub mod group;
pub mod restore;
pub mod schedule;
pub mod spec;
pub mod template;
pub mod unit_test;

use model::{Labels, Value};

pub use alert::{ActiveAlert, AlertState};
pub use file::{Defaults, RuleFile};
pub use group::{Group, GroupStatus, Health, RuleStatus, Surroundings, Totals};
pub use schedule::{Due, Schedule};
pub use spec::{GroupSpec, Kind, RuleSpec};

/// Answers expressions: what a group asks at each evaluation.
pub trait Evaluate: Send + Sync {
    /// The elements of an instant vector, or a scalar as one element without labels; the reason
    /// when there is no answer, or one that is neither.
    fn evaluate(&self, expr: &str, at_ms: i64) -> Result<Vec<(Labels, Value)>, String>;
}

/// How what rules make comes in, as a label value.
pub const DOOR: &str = "rules";

/// The metric of alerts that are pending or firing, value 1.
pub const ALERTS: &str = "ALERTS";

/// The metric that says since when an alert is pending or firing, seconds since the Unix epoch.
pub const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// The label with an alert's name.
pub const ALERT_NAME: &str = "alertname";

/// The label of [`ALERTS`] with the state.
pub const ALERT_STATE: &str = "alertstate";

/// Where an expression can be looked at: a path, as Prometheus links to it.
#[must_use]
pub fn table_link(expr: &str) -> String {
    template::table_link(expr)
}
