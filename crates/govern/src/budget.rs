//! How much risk is left: changes admitted in a sliding window, and the rest after each.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{Policy, policy::ms};

/// Admissions of one target inside the window, oldest first; never more than the budget.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    admitted_ms: VecDeque<i64>,
}

impl Budget {
    /// Changes that may still be admitted now.
    #[must_use]
    pub fn left(&self, policy: &Policy, now_ms: i64) -> u32 {
        let used = self.in_window(policy, now_ms).count();
        policy
            .budget_changes
            .saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
    }

    /// When the next change is possible, if none is now.
    #[must_use]
    pub fn spent_until(&self, policy: &Policy, now_ms: i64) -> Option<i64> {
        let used = self.in_window(policy, now_ms).count();
        let over =
            used.checked_sub(usize::try_from(policy.budget_changes).unwrap_or(usize::MAX))?;
        let frees_a_place = self.in_window(policy, now_ms).nth(over)?;
        Some(frees_a_place.saturating_add(ms(policy.budget_window_ms)))
    }

    pub(crate) fn spend(&mut self, policy: &Policy, now_ms: i64) {
        let window = ms(policy.budget_window_ms);
        self.admitted_ms
            .retain(|at| at.saturating_add(window) > now_ms);
        self.admitted_ms.push_back(now_ms);
    }

    fn in_window(&self, policy: &Policy, now_ms: i64) -> impl Iterator<Item = i64> + '_ {
        let window = ms(policy.budget_window_ms);
        let open = move |at: &i64| at.saturating_add(window) > now_ms;
        self.admitted_ms.iter().copied().filter(open)
    }
}

/// The rest of one target: longer after harm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rest {
    /// Until when, ms; in the past when the target is rested.
    pub until_ms: i64,
    /// Changes in a row that did harm.
    pub harmful_in_a_row: u32,
}

impl Rest {
    /// A change ended.
    pub(crate) fn begin(&mut self, policy: &Policy, now_ms: i64, harmful: bool) {
        self.harmful_in_a_row = if harmful {
            self.harmful_in_a_row.saturating_add(1)
        } else {
            0
        };
        // 2^63 ms exceeds any cap: the shift needs no more.
        let factor = 1_u64 << self.harmful_in_a_row.min(63);
        let rest = policy.cool_down_ms.saturating_mul(factor);
        self.until_ms = now_ms.saturating_add(ms(rest.min(policy.cool_down_max_ms)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy {
            budget_changes: 2,
            budget_window_ms: 100,
            cool_down_ms: 10,
            cool_down_max_ms: 50,
            ..Policy::default()
        }
    }

    #[test]
    fn the_window_slides_and_says_when_the_next_place_is_free() {
        let (policy, mut budget) = (policy(), Budget::default());
        budget.spend(&policy, 0);
        assert_eq!(
            (budget.left(&policy, 40), budget.spent_until(&policy, 40)),
            (1, None)
        );
        budget.spend(&policy, 40);
        assert_eq!(budget.spent_until(&policy, 99), Some(100));
        assert_eq!(
            (budget.left(&policy, 100), budget.spent_until(&policy, 100)),
            (1, None)
        );
    }

    #[test]
    fn a_lowered_budget_waits_for_the_admission_that_frees_a_place() {
        let (mut policy, mut budget) = (policy(), Budget::default());
        budget.spend(&policy, 0);
        budget.spend(&policy, 40);
        policy.budget_changes = 1;
        assert_eq!(budget.spent_until(&policy, 50), Some(140));
    }

    #[test]
    fn harm_doubles_the_rest_up_to_the_cap_and_a_harmless_change_resets_it() {
        let (policy, mut rest) = (policy(), Rest::default());
        let mut lengths = Vec::new();
        for harmful in [false, true, true, true, true, false] {
            rest.begin(&policy, 1_000, harmful);
            lengths.push(rest.until_ms - 1_000);
        }
        assert_eq!(lengths, [10, 20, 40, 50, 50, 10]);
    }
}
