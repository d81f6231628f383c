//! What receivers read: the one place where notifications become words.

use std::collections::BTreeMap;

use model::Labels;
use notify::{Notification, Reason, Told};
use serde_json::{Value, json};

use crate::api::targets::rfc3339;

/// What Alertmanager writes for the end of an alert that still fires.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// A notification and where this server is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) notification: &'a Notification,
    /// Base address for links, without a slash at the end.
    pub(crate) external_url: &'a str,
}

impl Message<'_> {
    /// `firing` while anything does.
    pub(crate) fn status(&self) -> &'static str {
        if self.notification.is_resolved() {
            "resolved"
        } else {
            "firing"
        }
    }

    /// One line: `[FIRING:2] HighLatency api (severity="critical")`.
    pub(crate) fn title(&self) -> String {
        let count = self.firing().count();
        let status = match self.status() {
            "firing" => format!("FIRING:{count}"),
            _ => "RESOLVED".to_owned(),
        };
        let group: Vec<&str> = self
            .notification
            .group_labels
            .iter()
            .map(|(_, v)| v)
            .collect();
        let common = self.common_labels();
        let rest = common
            .iter()
            .filter(|(name, _)| self.notification.group_labels.get(name).is_none())
            .map(|(name, value)| format!("{name}={value:?}"));
        let rest: Vec<String> = rest.collect();
        let mut words = vec![format!("[{status}]")];
        words.extend(group.iter().map(|s| (*s).to_owned()));
        words.extend((!rest.is_empty()).then(|| format!("({})", rest.join(", "))));
        words.extend(self.why());
        words.join(" ")
    }

    fn why(&self) -> Option<String> {
        match self.notification.reason {
            Reason::Escalated(step) => Some(format!("· nobody has acknowledged, step {step}")),
            Reason::Repeated => Some("· still".to_owned()),
            Reason::Firing | Reason::Resolved => None,
        }
    }

    /// All of it, as text; a paragraph an alert.
    pub(crate) fn text(&self) -> String {
        let paragraphs = self
            .notification
            .alerts
            .iter()
            .map(|told| self.paragraph(told));
        paragraphs.collect::<Vec<_>>().join("\n\n")
    }

    fn paragraph(&self, told: &Told) -> String {
        let alert = &told.alert;
        let state = if told.is_resolved {
            "resolved"
        } else {
            "firing"
        };
        let mut lines = vec![format!("{state}: {}", alert.labels)];
        let said = ["summary", "description", "message"].iter();
        lines.extend(said.filter_map(|name| alert.annotations.get(*name).cloned()));
        lines.push(match told.is_resolved {
            true => format!(
                "from {} to {}",
                rfc3339(alert.starts_at_ms),
                rfc3339(alert.ends_at_ms)
            ),
            // Alerts that others post have no value.
            false if alert.value.is_nan() => format!("since {}", rfc3339(alert.starts_at_ms)),
            false => format!(
                "since {}, value {}",
                rfc3339(alert.starts_at_ms),
                alert.value
            ),
        });
        lines.extend(
            told.acknowledged_by
                .as_ref()
                .map(|by| format!("acknowledged by {by}")),
        );
        lines.extend(followers(told));
        lines.extend(
            alert
                .annotations
                .get("runbook_url")
                .map(|url| format!("runbook: {url}")),
        );
        let link = self.link(&alert.generator_url);
        lines.extend((!link.is_empty()).then(|| format!("look: {link}")));
        lines.join("\n")
    }

    /// A path of this server's as a whole address.
    pub(crate) fn link(&self, url: &str) -> String {
        linked(self.external_url, url)
    }

    fn firing(&self) -> impl Iterator<Item = &Told> {
        self.notification
            .alerts
            .iter()
            .filter(|told| !told.is_resolved)
    }

    /// Labels that all its alerts share.
    pub(crate) fn common_labels(&self) -> BTreeMap<String, String> {
        let of = |told: &Told| pairs(&told.alert.labels);
        common(self.notification.alerts.iter().map(of))
    }

    /// Alertmanager's webhook message, version 4; the fields `reason` and `followers` are ours.
    /// Of more alerts than `alerts_max` (0: no limit) the rest is counted.
    pub(crate) fn webhook(&self, alerts_max: usize) -> Value {
        let notification = self.notification;
        let count = notification.alerts.len();
        let shown = if alerts_max == 0 {
            count
        } else {
            alerts_max.min(count)
        };
        let alerts: Vec<Value> = notification.alerts[..shown]
            .iter()
            .map(|t| self.alert(t))
            .collect();
        let annotations = notification
            .alerts
            .iter()
            .map(|told| told.alert.annotations.clone());
        let reason = match notification.reason {
            Reason::Firing => "firing".to_owned(),
            Reason::Resolved => "resolved".to_owned(),
            Reason::Repeated => "repeated".to_owned(),
            Reason::Escalated(step) => format!("escalated {step}"),
        };
        json!({
            "version": "4",
            "groupKey": notification.group_key,
            "truncatedAlerts": count - shown,
            "status": self.status(),
            "receiver": notification.to.receiver,
            "groupLabels": pairs(&notification.group_labels),
            "commonLabels": self.common_labels(),
            "commonAnnotations": common(annotations),
            "externalURL": self.external_url,
            "reason": reason,
            "alerts": alerts,
        })
    }

    fn alert(&self, told: &Told) -> Value {
        let alert = &told.alert;
        let ends_at = if told.is_resolved {
            rfc3339(alert.ends_at_ms)
        } else {
            NO_END.to_owned()
        };
        let followers: Vec<&Labels> = told.followers.iter().map(|a| &a.labels).collect();
        json!({
            "status": if told.is_resolved { "resolved" } else { "firing" },
            "labels": pairs(&alert.labels),
            "annotations": alert.annotations,
            "startsAt": rfc3339(alert.starts_at_ms),
            "endsAt": ends_at,
            "generatorURL": self.link(&alert.generator_url),
            "fingerprint": told.fingerprint.to_string(),
            "followers": followers,
        })
    }

    /// A message of Slack's incoming webhooks, which others understand too.
    pub(crate) fn slack(&self) -> Value {
        let color = if self.status() == "firing" {
            "danger"
        } else {
            "good"
        };
        json!({
            "text": self.title(),
            "attachments": [{
                "color": color,
                "title": self.title(),
                "title_link": format!("{}/#/alerts", self.external_url),
                "text": self.text(),
                "fallback": self.title(),
            }],
        })
    }
}

/// Alerts shown by name after the root they follow from; the rest is counted.
const FOLLOWERS_SHOWN: usize = 10;

fn followers(told: &Told) -> Vec<String> {
    let count = told.followers.len();
    if count == 0 {
        return Vec::new();
    }
    let shown = told.followers.iter().take(FOLLOWERS_SHOWN);
    let shown = shown.map(|alert| format!("  {}", alert.labels));
    let mut lines = vec![format!("probable root of {count} more:")];
    lines.extend(shown);
    let rest = count.saturating_sub(FOLLOWERS_SHOWN);
    lines.extend((rest > 0).then(|| format!("  and {rest} more")));
    lines
}

/// A path of this server's as a whole address; a whole address as it is.
pub(crate) fn linked(external_url: &str, url: &str) -> String {
    match url.starts_with('/') || url.starts_with('#') {
        true => format!(
            "{external_url}{}{url}",
            if url.starts_with('/') { "" } else { "/" }
        ),
        false => url.to_owned(),
    }
}

fn pairs(labels: &Labels) -> BTreeMap<String, String> {
    labels
        .iter()
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect()
}

/// What all have in common.
fn common(mut all: impl Iterator<Item = BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let first = all.next().unwrap_or_default();
    all.fold(first, |mut common, next| {
        common.retain(|name, value| next.get(name) == Some(value));
        common
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::{Fingerprint, Integration};

    fn told(labels: &[(&str, &str)], is_resolved: bool) -> Told {
        let labels = Labels::from_pairs(labels.iter().copied());
        Told {
            fingerprint: Fingerprint::of(&labels),
            alert: model::Alert {
                labels,
                annotations: BTreeMap::from([("summary".to_owned(), "It is slow.".to_owned())]),
                starts_at_ms: 1_000,
                ends_at_ms: 61_000,
                value: 2.5,
                generator_url: "/#/explore?expr=x".to_owned(),
            },
            is_resolved,
            acknowledged_by: None,
            followers: Vec::new(),
        }
    }

    fn notification(alerts: Vec<Told>) -> Notification {
        Notification {
            id: 1,
            to: Integration {
                receiver: "team".to_owned(),
                index: 0,
            },
            group_key: "{}:{}".to_owned(),
            group_labels: Labels::from_pairs([("alertname", "Slow")]),
            reason: Reason::Firing,
            attempt: 0,
            alerts,
        }
    }

    #[test]
    fn words_say_what_where_since_when_and_where_to_look() {
        let one = told(
            &[("alertname", "Slow"), ("host", "a"), ("team", "x")],
            false,
        );
        let two = told(&[("alertname", "Slow"), ("host", "b"), ("team", "x")], true);
        let notification = notification(vec![one, two]);
        let message = Message {
            notification: &notification,
            external_url: "http://au:9400",
        };
        assert_eq!(message.title(), "[FIRING:1] Slow (team=\"x\")");
        assert_eq!(
            message.text(),
            "firing: {alertname=\"Slow\", host=\"a\", team=\"x\"}\nIt is slow.\n\
             since 1970-01-01T00:00:01.000Z, value 2.5\n\
             look: http://au:9400/#/explore?expr=x\n\n\
             resolved: {alertname=\"Slow\", host=\"b\", team=\"x\"}\nIt is slow.\n\
             from 1970-01-01T00:00:01.000Z to 1970-01-01T00:01:01.000Z\n\
             look: http://au:9400/#/explore?expr=x"
        );
    }

    #[test]
    fn the_webhook_message_is_alertmanagers() {
        let notification = notification(vec![
            told(&[("alertname", "Slow"), ("host", "a")], false),
            told(&[("alertname", "Slow"), ("host", "b")], true),
        ]);
        let message = Message {
            notification: &notification,
            external_url: "http://au:9400",
        };
        let body = message.webhook(0);
        assert_eq!(body["version"], "4");
        assert_eq!(
            (&body["status"], &body["truncatedAlerts"]),
            (&json!("firing"), &json!(0))
        );
        assert_eq!(body["commonLabels"], json!({"alertname": "Slow"}));
        assert_eq!(body["commonAnnotations"], json!({"summary": "It is slow."}));
        assert_eq!(body["alerts"][0]["endsAt"], NO_END);
        assert_eq!(body["alerts"][1]["endsAt"], "1970-01-01T00:01:01.000Z");
        assert_eq!(message.webhook(1)["truncatedAlerts"], 1);
    }
}
