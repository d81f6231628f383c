//! What the governor knows about one target: its knobs, its rest and budget, and the one change
//! in flight there.

use std::collections::BTreeMap;

use model::{ChangeId, Generation, KnobSpec, KnobValue, Setting};
use serde::{Deserialize, Serialize};

use crate::{
    Policy,
    budget::{Budget, Rest},
    run::Run,
};

/// One target. It holds at most one [`Run`]: one change in flight a target, one writer a knob.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Since when it does not answer; `None` while it does.
    pub(crate) lost_since_ms: Option<i64>,
    pub(crate) instance: String,
    /// Newest generation ordered or seen.
    pub(crate) generation: Generation,
    /// Newest generation the target is known to have carried out.
    pub(crate) carried: Generation,
    pub(crate) knobs: BTreeMap<String, KnobSpec>,
    pub(crate) frozen: Option<String>,
    pub(crate) rest: Rest,
    pub(crate) budget: Budget,
    pub(crate) run: Option<Run>,
}

impl Target {
    /// Whether it answers.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.lost_since_ms.is_none()
    }

    /// Its knobs as last seen, with what was read back since; sorted by name.
    pub fn knobs(&self) -> impl Iterator<Item = &KnobSpec> {
        self.knobs.values()
    }

    /// One knob.
    #[must_use]
    pub fn knob(&self, name: &str) -> Option<&KnobSpec> {
        self.knobs.get(name)
    }

    /// Why it is frozen, when it is.
    #[must_use]
    pub fn frozen(&self) -> Option<&str> {
        self.frozen.as_deref()
    }

    /// The change in flight.
    #[must_use]
    pub fn in_flight(&self) -> Option<ChangeId> {
        self.run.as_ref().map(|run| run.change)
    }

    /// Newest generation ordered or seen; it never falls.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Until when it rests, ms; in the past when it is rested.
    #[must_use]
    pub fn rests_until_ms(&self) -> i64 {
        self.rest.until_ms
    }

    /// Changes the budget still allows now.
    #[must_use]
    pub fn budget_left(&self, policy: &Policy, now_ms: i64) -> u32 {
        self.budget.left(policy, now_ms)
    }

    /// The knob of these settings that no longer has its new value as the baseline.
    pub(crate) fn superseded<'s>(&self, settings: &'s [Setting]) -> Option<&'s str> {
        let stands = |s: &Setting| self.knob(&s.knob).is_some_and(|k| k.baseline == s.new);
        let gone = settings.iter().find(|s| !stands(s))?;
        Some(&gone.knob)
    }

    /// The target showed these values in force.
    pub(crate) fn note_values(&mut self, read: &[(String, KnobValue)]) {
        for (name, value) in read {
            if let Some(knob) = self.knobs.get_mut(name) {
                knob.value = value.clone();
            }
        }
    }

    /// The target made these values its baseline.
    pub(crate) fn note_baseline(&mut self, committed: &[(String, KnobValue)]) {
        for (name, value) in committed {
            if let Some(knob) = self.knobs.get_mut(name) {
                knob.baseline = value.clone();
            }
        }
    }
}
