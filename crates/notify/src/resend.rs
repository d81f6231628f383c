//! What Alertmanagers are told of the alerts that are raised here, and when again.
//!
//! They forget an alert at its end unless told anew, so what fires is sent again each minute, and
//! what is resolved for a quarter of an hour, in case a message was lost: Prometheus's own rule
//! (`rules/alerting.go`, `needsSending`, `resolvedRetention`).

use std::collections::BTreeMap;

use model::Alert;

use crate::Fingerprint;

/// Between two messages about an alert that has not changed, ms.
pub const RESEND_DELAY_MS: i64 = 60_000;

/// How long it is repeated that an alert is resolved, ms.
pub const RESOLVED_REPEATED_MS: i64 = 15 * 60_000;

/// What was sent of each alert.
#[derive(Debug)]
pub struct Resend {
    sent: BTreeMap<Fingerprint, Sent>,
    alerts_max: usize,
    refused: u64,
}

#[derive(Debug)]
struct Sent {
    alert: Alert,
    is_resolved: bool,
    resolved_at_ms: i64,
    at_ms: i64,
}

impl Resend {
    /// Nothing sent yet; so many alerts are followed at most.
    #[must_use]
    pub fn new(alerts_max: usize) -> Self {
        Self {
            sent: BTreeMap::new(),
            alerts_max,
            refused: 0,
        }
    }

    /// Alerts that were not followed, for there were too many.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// What an Alertmanager that was not there is to be told: everything that fires, and what was
    /// resolved lately.
    pub fn standing(&self) -> impl Iterator<Item = &Alert> {
        self.sent.values().map(|sent| &sent.alert)
    }

    /// Takes what is posted, and gives what of it, and of what was resolved before, is to be sent.
    pub fn post(&mut self, alerts: &[Alert], now_ms: i64) -> Vec<Alert> {
        let mut due = Vec::new();
        for alert in alerts {
            let fingerprint = Fingerprint::of(&alert.labels);
            let is_resolved = alert.is_resolved(now_ms);
            let known = self.sent.get(&fingerprint);
            let is_due = match known {
                None => !is_resolved,
                Some(sent) => {
                    sent.is_resolved != is_resolved || sent.at_ms + RESEND_DELAY_MS <= now_ms
                }
            };
            if !is_due {
                continue;
            }
            if known.is_none() && self.sent.len() >= self.alerts_max {
                self.refused += 1;
                continue;
            }
            let resolved_at_ms = match known {
                Some(sent) if sent.is_resolved && is_resolved => sent.resolved_at_ms,
                Some(_) | None => now_ms,
            };
            let sent = Sent {
                alert: alert.clone(),
                is_resolved,
                resolved_at_ms,
                at_ms: now_ms,
            };
            self.sent.insert(fingerprint, sent);
            due.push(alert.clone());
        }
        due.extend(self.repeated(now_ms));
        due
    }

    /// What was resolved lately and is due again; what nobody posts any more is over.
    fn repeated(&mut self, now_ms: i64) -> Vec<Alert> {
        for sent in self.sent.values_mut() {
            if !sent.is_resolved && sent.alert.is_resolved(now_ms) {
                (sent.is_resolved, sent.resolved_at_ms) = (true, now_ms);
            }
        }
        self.sent.retain(|_, sent| {
            !sent.is_resolved || sent.resolved_at_ms + RESOLVED_REPEATED_MS > now_ms
        });
        let due = self
            .sent
            .values_mut()
            .filter(|sent| sent.is_resolved && sent.at_ms + RESEND_DELAY_MS <= now_ms);
        let again = due.map(|sent| {
            sent.at_ms = now_ms;
            sent.alert.clone()
        });
        again.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;

    fn alert(starts_s: i64, ends_s: i64) -> Alert {
        Alert {
            labels: Labels::from_pairs([("alertname", "a")]),
            annotations: BTreeMap::new(),
            starts_at_ms: starts_s * 1_000,
            ends_at_ms: ends_s * 1_000,
            value: 1.0,
            generator_url: String::new(),
        }
    }

    #[test]
    fn is_sent_at_once_then_each_minute_and_resolved_for_a_quarter_of_an_hour() {
        let mut resend = Resend::new(10);
        let mut sent = Vec::new();
        // Evaluated each 15 s: fires for 3 minutes, then is posted once as resolved.
        for at_s in (0..=1_200).step_by(15) {
            let posted = match at_s {
                0..=180 => vec![alert(0, at_s + 240)],
                195 => vec![alert(0, 195)],
                _ => Vec::new(),
            };
            let due = resend.post(&posted, at_s * 1_000);
            sent.extend(due.iter().map(|a| (at_s, a.is_resolved(at_s * 1_000))));
        }
        let firing: Vec<i64> = sent.iter().filter(|s| !s.1).map(|s| s.0).collect();
        let resolved: Vec<i64> = sent.iter().filter(|s| s.1).map(|s| s.0).collect();
        assert_eq!(firing, [0, 60, 120, 180]);
        assert_eq!(resolved.first(), Some(&195));
        assert_eq!(resolved.last(), Some(&1_035), "within 15 minutes of 195");
        assert_eq!(resolved.len(), 15);
    }

    #[test]
    fn what_was_never_sent_is_not_resolved_and_too_many_are_counted() {
        let mut resend = Resend::new(1);
        assert!(resend.post(&[alert(0, 1)], 5_000).is_empty());
        let other = Alert {
            labels: Labels::from_pairs([("alertname", "b")]),
            ..alert(0, 100)
        };
        assert_eq!(resend.post(&[alert(0, 100), other], 5_000).len(), 1);
        assert_eq!(resend.refused(), 1);
    }
}
