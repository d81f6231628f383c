//! Decides who is told of which alert, and when.
//!
//! ```text
//! post ─▶ alerts ─▶ route tree ─▶ groups ──due──▶ muted? ─▶ told already? ─▶ Notification
//!                                   ▲              silence     by lane            │
//!                                   │              inhibition                     ▼
//!                                   │              dependency        delivered · failed (again later)
//!                                   └───────────── escalation: nobody acknowledged
//! ```
//!
//! [`Notifier`] is handed alerts, silences, acknowledgements and the outcomes of deliveries, each
//! with the time; [`Notifier::turn`] gives the [`Notification`]s that are due. There is no clock
//! and no I/O, so that a simulation runs weeks of alerts in a moment. Routing, grouping,
//! inhibition and silences mean what they mean in Alertmanager
//! (<https://prometheus.io/docs/alerting/latest/configuration/>); acknowledgement, escalation and
//! dependencies are ours.
//!
//! It holds that:
//! - no alert that fires and is not muted goes untold while a way to its receiver works;
//! - a lane (a group and one way of telling) is told nothing twice within its repeat interval;
//! - whoever was told of an alert is told once that it is resolved;
//! - what is muted is never told: it is left alone until it is no longer;
//! - after a restart from [`Notifier::snapshot`], and under another plan after
//!   [`Notifier::replan`], all of this still holds.

pub mod correlate;
mod fingerprint;
mod group;
mod inhibit;
pub mod learn;
pub mod matchers;
mod mute;
mod notification;
mod notifier;
mod plan;
mod replan;
pub mod resend;
mod route;
mod silence;
mod snapshot;
mod status;
pub mod times;
pub mod zone;

pub use fingerprint::Fingerprint;
pub use inhibit::InhibitRule;
pub use notification::{Integration, Notification, Reason, Told};
pub use notifier::{Acknowledgement, Fate, NotFiring, Notifier, Tally};
pub use plan::{Limits, Plan, Way};
pub use route::{Escalation, GroupBy, Route, RouteSaid};
pub use silence::{Silence, SilenceDraft, SilenceRefusal, SilenceState};
pub use snapshot::Snapshot;
pub use status::{AlertState, AlertStatus, GroupStatus};
