//! An alert: what a rule says is wrong, as notifiers and Alertmanagers are told of it.
//!
//! The fields and their meaning are those of Alertmanager's API v2 (`POST /api/v2/alerts`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Labels;

/// One alert. Its labels are its identity: two alerts with equal labels are one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Who it is, `alertname` among them.
    pub labels: Labels,
    /// What a person should read, by name: `summary`, `description`, `runbook_url`.
    pub annotations: BTreeMap<String, String>,
    /// When it began to fire, ms since the Unix epoch.
    pub starts_at_ms: i64,
    /// Until when it counts as firing if nobody says more, ms. In the past: it is resolved, since
    /// then.
    pub ends_at_ms: i64,
    /// The value of the rule's expression.
    pub value: f64,
    /// Where its expression can be looked at: a path of this server's, or a whole URL.
    pub generator_url: String,
}

impl Alert {
    /// Whether it no longer fires at `now_ms`.
    #[must_use]
    pub fn is_resolved(&self, now_ms: i64) -> bool {
        self.ends_at_ms <= now_ms
    }
}

/// Takes alerts from the rules and sees to it that somebody hears of them.
pub trait AlertSink: Send + Sync + std::fmt::Debug {
    /// Hands over what fires and what has just been resolved: again after each evaluation while
    /// it lasts, so a sink that missed one hears of it by the next. Never blocks.
    fn post(&self, alerts: &[Alert]);
}
