//! PagerDuty's Events API: a group is an incident, opened by what fires and closed when all of it
//! is over. Version 2 (<https://developer.pagerduty.com/docs/send-alert-event>) for routing keys,
//! version 1 for the service keys of older integrations.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::message::Message;

/// Which protocol a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Events {
    /// `service_key`.
    V1,
    /// `routing_key`.
    V2,
}

impl Events {
    /// Where PagerDuty takes them.
    pub(crate) fn url(self) -> &'static str {
        match self {
            Self::V1 => "https://events.pagerduty.com/generic/2010-04-15/create_event.json",
            Self::V2 => "https://events.pagerduty.com/v2/enqueue",
        }
    }

    /// The event of a notification. Without a severity it is that of the label they share.
    pub(crate) fn event(self, message: &Message<'_>, key: &str, severity: Option<&str>) -> Value {
        let is_over = message.status() == "resolved";
        let action = if is_over { "resolve" } else { "trigger" };
        let incident = incident(&message.notification.group_key);
        let client_url = format!("{}/#/alerts", message.external_url);
        let summary = cut(&message.title(), SUMMARY_MAX);
        let details = json!({ "alerts": message.text() });
        match self {
            Self::V1 => json!({
                "service_key": key,
                "event_type": action,
                "incident_key": incident,
                "description": summary,
                "client": CLIENT,
                "client_url": client_url,
                "details": details,
            }),
            Self::V2 => json!({
                "routing_key": key,
                "event_action": action,
                "dedup_key": incident,
                "client": CLIENT,
                "client_url": client_url,
                "payload": {
                    "summary": summary,
                    "source": message.external_url,
                    "severity": severity.unwrap_or_else(|| shared(message)),
                    "custom_details": details,
                },
            }),
        }
    }
}

const CLIENT: &str = "ALL-USE";

/// Characters of a summary that PagerDuty takes.
const SUMMARY_MAX: usize = 1_024;

/// Names an incident: at most 255 characters are taken, and a group's key may be longer.
fn incident(group_key: &str) -> String {
    let hash = Sha256::digest(group_key.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// PagerDuty's word for the severity that all alerts share.
fn shared(message: &Message<'_>) -> &'static str {
    let labels = message.common_labels();
    match labels.get("severity").map(String::as_str) {
        Some("critical" | "page" | "emergency") => "critical",
        Some("warning" | "warn") => "warning",
        Some("info" | "none") => "info",
        Some(_) | None => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_is_opened_and_closed_under_one_name() {
        let to = notify::Integration {
            receiver: "pager".to_owned(),
            index: 0,
        };
        let mut notification = super::super::test_notification(to, 1_000);
        let event = |notification: &notify::Notification, events: Events, severity| {
            let message = Message {
                notification,
                external_url: "http://here",
            };
            events.event(&message, "key", severity)
        };
        let opened = event(&notification, Events::V2, None);
        assert_eq!(opened["event_action"], "trigger");
        assert_eq!(opened["payload"]["severity"], "info", "of severity=none");
        assert_eq!(opened["payload"]["summary"], "[FIRING:1] Test none");
        assert_eq!(opened["dedup_key"].as_str().unwrap().len(), 64);
        let plain = event(&notification, Events::V2, Some("warning"));
        assert_eq!(plain["payload"]["severity"], "warning");
        for told in &mut notification.alerts {
            told.is_resolved = true;
        }
        let closed = event(&notification, Events::V2, None);
        assert_eq!(closed["event_action"], "resolve");
        assert_eq!(closed["dedup_key"], opened["dedup_key"]);
        let old = event(&notification, Events::V1, None);
        assert_eq!(
            (&old["event_type"], &old["service_key"]),
            (&json!("resolve"), &json!("key"))
        );
        assert_eq!(old["incident_key"], opened["dedup_key"]);
    }
}
