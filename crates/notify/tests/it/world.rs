//! A notifier with receivers that take everything, or nothing, and a clock of its own.
#![cfg(test)]

use std::collections::BTreeMap;

use model::{Alert, Labels};
use notify::{Escalation, GroupBy, Notification, Notifier, Plan, Reason, RouteSaid, Way, matchers};

pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// Alerts are posted as long as they fire, so far ahead.
pub(crate) const AHEAD: i64 = 4 * MINUTE;

pub(crate) fn labels(text: &str) -> Labels {
    let read = if text.is_empty() {
        Vec::new()
    } else {
        matchers::parse(text).unwrap()
    };
    Labels::from_pairs(read.into_iter().map(|m| (m.name, m.value)))
}

pub(crate) fn alert(text: &str, starts_at_ms: i64, ends_at_ms: i64) -> Alert {
    Alert {
        labels: labels(text),
        annotations: BTreeMap::new(),
        starts_at_ms,
        ends_at_ms,
        value: 1.0,
        generator_url: String::new(),
    }
}

pub(crate) fn route(receiver: &str, group_by: &[&str]) -> RouteSaid {
    RouteSaid {
        receiver: Some(receiver.to_owned()),
        group_by: Some(GroupBy::parse(group_by).unwrap()),
        ..RouteSaid::default()
    }
}

pub(crate) fn steps(said: &[(i64, &str)]) -> Option<Vec<Escalation>> {
    let step = |(after_ms, receiver): &(i64, &str)| Escalation {
        after_ms: *after_ms,
        receiver: (*receiver).to_owned(),
    };
    Some(said.iter().map(step).collect())
}

/// A way each for these receivers.
pub(crate) fn receivers(names: &[&str]) -> BTreeMap<String, Vec<Way>> {
    let way = Way {
        send_resolved: true,
    };
    names
        .iter()
        .map(|name| ((*name).to_owned(), vec![way]))
        .collect()
}

pub(crate) fn plan(root: RouteSaid, names: &[&str]) -> Plan {
    Plan::new(root, receivers(names), Vec::new(), BTreeMap::new()).unwrap()
}

/// Runs turns from one time to another, every notification delivered at once; what was told, as
/// lines `seconds receiver reason: alerts`.
pub(crate) fn run(notifier: &mut Notifier, from_ms: i64, to_ms: i64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut now_ms = from_ms;
    while now_ms <= to_ms {
        for notification in notifier.turn(now_ms) {
            lines.push(line(&notification, now_ms));
            notifier.delivered(notification.id, now_ms);
        }
        let next = notifier.next_due_ms().unwrap_or(i64::MAX);
        now_ms = next.max(now_ms + 1);
    }
    lines
}

pub(crate) fn line(notification: &Notification, now_ms: i64) -> String {
    let reason = match notification.reason {
        Reason::Firing => "firing".to_owned(),
        Reason::Resolved => "resolved".to_owned(),
        Reason::Repeated => "repeated".to_owned(),
        Reason::Escalated(step) => format!("escalated {step}"),
    };
    let alerts = notification.alerts.iter().map(|told| {
        let sign = if told.is_resolved { "-" } else { "+" };
        let name = told.alert.labels.get("alertname").unwrap_or("?");
        let followers = match told.followers.len() {
            0 => String::new(),
            count => format!("(and {count})"),
        };
        format!("{sign}{name}{followers}")
    });
    let alerts: Vec<String> = alerts.collect();
    let seconds = now_ms / SECOND;
    format!(
        "{seconds} {} {reason}: {}",
        notification.to.receiver,
        alerts.join(" ")
    )
}
