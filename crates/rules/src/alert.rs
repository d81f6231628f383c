//! One alert: pending while its element has not been there long enough, firing after that,
//! inactive for a while once it is resolved, so that whoever missed the end still hears of it.
//!
//! ```text
//!              element appears          held for `for`
//!   (none) ───────────────────▶ pending ───────────────▶ firing
//!      ▲                          │                        │ element gone, and
//!      │        element gone      │                        │ `keep_firing_for` over
//!      ├──────────────────────────┘                        ▼
//!      └───────────────────────────────────────────── inactive
//!                    15 min after it was resolved
//! ```

use std::collections::BTreeMap;

use model::{Alert, Labels, METRIC_NAME, Sample};

use crate::{ALERT_STATE, ALERTS, ALERTS_FOR_STATE};

/// How long a resolved alert is still told of, ms.
pub const RESOLVED_RETENTION_MS: i64 = 15 * 60_000;

/// How often a sink tells receivers again of an alert that still fires, ms: Prometheus's
/// `--rules.alert.resend-delay`.
pub const RESEND_MS: i64 = 60_000;

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// Resolved, or never raised.
    Inactive,
    /// Waiting for `for` to pass.
    Pending,
    /// Firing.
    Firing,
}

impl AlertState {
    /// As Prometheus says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// An alert of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveAlert {
    /// Its identity, `alertname` among them.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: BTreeMap<String, String>,
    /// The element's value when it was last there.
    pub value: f64,
    /// Where it stands.
    pub state: AlertState,
    /// Since when the element is there, ms.
    pub active_at_ms: i64,
    /// When it began to fire, ms.
    pub fired_at_ms: Option<i64>,
    /// When it was resolved, ms.
    pub resolved_at_ms: Option<i64>,
    /// Since when it fires without its element, ms.
    pub keep_firing_since_ms: Option<i64>,
}

impl ActiveAlert {
    /// The samples that show it at a time.
    #[must_use]
    pub fn samples(&self, time_ms: i64) -> [Sample; 2] {
        let mut labels = self.labels.to_builder();
        labels.set(METRIC_NAME, ALERTS_FOR_STATE);
        let since = Sample::float(
            labels.clone().build(),
            time_ms,
            self.active_at_ms.div_euclid(1_000) as f64,
        );
        labels.set(METRIC_NAME, ALERTS);
        labels.set(ALERT_STATE, self.state.as_str());
        [Sample::float(labels.build(), time_ms, 1.0), since]
    }

    /// As sinks are told of it after an evaluation at `at_ms` of a group with this interval;
    /// `None` while it is pending.
    #[must_use]
    pub fn told(&self, at_ms: i64, interval_ms: i64, generator_url: &str) -> Option<Alert> {
        let starts_at_ms = self.fired_at_ms?;
        // Two evaluations or two sends may fail before it would seem resolved.
        let valid_until_ms = at_ms + 4 * interval_ms.max(RESEND_MS);
        Some(Alert {
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            starts_at_ms,
            ends_at_ms: self.resolved_at_ms.unwrap_or(valid_until_ms),
            value: self.value,
            generator_url: generator_url.to_owned(),
        })
    }
}
