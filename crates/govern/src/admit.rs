//! May a proposal become a change? Each rule is a function named for it in [`rules`]; a refusal
//! stands whatever the time, a deferral passes.

pub(crate) mod rules;

use model::{Proposal, Setting, Why};

use crate::{Governor, Target};

/// The answer of the rules.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    /// Every rule holds; these are the settings, sorted by knob.
    Admit(Vec<Setting>),
    /// Not now.
    Defer(Why),
    /// No.
    Refuse(Why),
}

/// What the rules look at.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) governor: &'a Governor,
    pub(crate) target: &'a Target,
    pub(crate) proposal: &'a Proposal,
    pub(crate) now_ms: i64,
}

type Rule = fn(&Case<'_>) -> Result<(), Why>;

/// In this order; the first broken one is told.
const REFUSALS: [Rule; 5] = [
    rules::knobs_are_known,
    rules::values_are_in_range,
    rules::no_restart_is_needed,
    rules::something_changes,
    rules::steps_are_small,
];

/// What can pass by itself even while a change only waits for a person.
const STANDSTILLS: [Rule; 2] = [rules::nothing_is_stopped, rules::few_changes_wait];

const DEFERRALS: [Rule; 6] = [
    rules::target_is_not_frozen,
    rules::target_answers,
    rules::nothing_is_in_flight,
    rules::nobody_else_holds_a_knob,
    rules::target_is_rested,
    rules::budget_is_left,
];

impl Governor {
    /// Judges a proposal as it would be carried out now; changes nothing.
    #[must_use]
    pub fn admission(&self, proposal: &Proposal, now_ms: i64) -> Admission {
        self.examine(proposal, now_ms, &[rules::nothing_is_stopped], &DEFERRALS)
    }

    /// Judges a proposal that would wait for a person first.
    pub(crate) fn may_wait(&self, proposal: &Proposal, now_ms: i64) -> Admission {
        self.examine(proposal, now_ms, &STANDSTILLS, &[])
    }

    fn examine(
        &self,
        proposal: &Proposal,
        now_ms: i64,
        standstills: &[Rule],
        deferrals: &[Rule],
    ) -> Admission {
        let Some(target) = self.target(&proposal.target) else {
            let target = proposal.target.clone();
            return Admission::Refuse(Why::UnknownTarget { target });
        };
        let case = Case {
            governor: self,
            target,
            proposal,
            now_ms,
        };
        let broken = |rules: &[Rule]| rules.iter().find_map(|rule| rule(&case).err());
        if let Some(why) = broken(&REFUSALS) {
            return Admission::Refuse(why);
        }
        if let Some(why) = broken(standstills).or_else(|| broken(deferrals)) {
            return Admission::Defer(why);
        }
        Admission::Admit(case.settings())
    }
}

impl Case<'_> {
    /// What would change: knobs whose baseline differs from the value wanted.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        let mut settings: Vec<Setting> = self
            .proposal
            .values
            .iter()
            .filter_map(|(name, wanted)| {
                let knob = self.target.knob(name)?;
                let new = knob.domain.typed(wanted)?;
                let old = knob.baseline.clone();
                (new != old).then(|| Setting {
                    knob: name.clone(),
                    old,
                    new,
                })
            })
            .collect();
        settings.sort_by(|a, b| a.knob.cmp(&b.knob));
        settings
    }
}
