//! What the loop may do: how far, how often, by whom. Plain data; every limit has its unit.

use serde::{Deserialize, Serialize};

/// How much the loop may do by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Proposals are recorded; nothing is changed.
    Recommend,
    /// Each change waits for a person.
    Approve,
    /// Admitted changes are carried out at once.
    Autonomous,
}

/// The policy. Durations are in milliseconds; the defaults suit a service scraped each second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// How much the loop may do by itself.
    pub trust: Trust,
    /// Rest of a target after each change.
    pub cool_down_ms: u64,
    /// The rest doubles with every harmful change in a row, up to this.
    pub cool_down_max_ms: u64,
    /// Changes admitted for one target in one window of `budget_window_ms`.
    pub budget_changes: u32,
    /// Length of the sliding window of the budget.
    pub budget_window_ms: u64,
    /// How long trial values hold without renewal; renewed after a third of it.
    pub lease_ms: u64,
    /// An order without an answer for this long counts as failed.
    pub order_timeout_ms: u64,
    /// Further attempts at setting or committing values before the change is undone.
    pub apply_retries: u32,
    /// Further attempts at putting old values back before the target is frozen.
    pub undo_retries: u32,
    /// Pause before the first further attempt; doubles with each.
    pub retry_pause_ms: u64,
    /// A change nobody approves for this long expires.
    pub approval_expiry_ms: u64,
    /// A trial nobody judges for this long is called off.
    pub trial_max_ms: u64,
    /// A target lost for this long, with values of ours to put back, is given up and frozen.
    pub lost_grace_ms: u64,
    /// Tightens every knob's own largest step, as a share of its range, 0 to 1. A policy cannot
    /// loosen what the target declares.
    pub max_step: Option<f64>,
}

/// A setting of the policy that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field.
    pub key: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            trust: Trust::Approve,
            cool_down_ms: 10_000,
            cool_down_max_ms: 600_000,
            budget_changes: 60,
            budget_window_ms: 3_600_000,
            lease_ms: 15_000,
            order_timeout_ms: 3_000,
            apply_retries: 2,
            undo_retries: 5,
            retry_pause_ms: 200,
            approval_expiry_ms: 600_000,
            trial_max_ms: 1_800_000,
            lost_grace_ms: 60_000,
            max_step: None,
        }
    }
}

impl Policy {
    /// All settings that cannot be meant; empty for a sound policy.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut check = |holds: bool, key: &'static str, message: &str| {
            if !holds {
                let message = message.to_owned();
                found.push(Problem { key, message });
            }
        };
        let step_is_share = self.max_step.is_none_or(|s| s > 0.0 && s <= 1.0);
        check(step_is_share, "max_step", "must be above 0 and at most 1");
        check(
            self.order_timeout_ms > 0,
            "order_timeout_ms",
            "must be above 0",
        );
        // A renewal is sent after a third of the lease and has to be answered before the rest.
        let renewable = self.lease_ms / 3 * 2 > self.order_timeout_ms;
        check(
            renewable,
            "lease_ms",
            "must be above 1.5 times order_timeout_ms",
        );
        let ordered = self.cool_down_ms <= self.cool_down_max_ms;
        check(ordered, "cool_down_max_ms", "must be at least cool_down_ms");
        check(self.budget_changes > 0, "budget_changes", "must be above 0");
        check(
            self.budget_window_ms > 0,
            "budget_window_ms",
            "must be above 0",
        );
        check(self.trial_max_ms > 0, "trial_max_ms", "must be above 0");
        check(
            self.approval_expiry_ms > 0,
            "approval_expiry_ms",
            "must be above 0",
        );
        found
    }
}

/// A duration of the policy on the clock's signed axis.
pub(crate) fn ms(duration: u64) -> i64 {
    i64::try_from(duration).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_is_sound() {
        assert_eq!(Policy::default().problems(), []);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let policy = Policy {
            max_step: Some(0.0),
            lease_ms: 3_000,
            budget_changes: 0,
            ..Policy::default()
        };
        let keys: Vec<_> = policy.problems().iter().map(|p| p.key).collect();
        assert_eq!(keys, ["max_step", "lease_ms", "budget_changes"]);
    }
}
