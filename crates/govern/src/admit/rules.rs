//! The rules of admission, one named function each. They see a [`Case`] and say which rule was
//! broken.

use std::collections::BTreeSet;

use model::{ApplyCost, ChangeState, Domain, KnobSpec, KnobValue, Why};

use super::Case;

/// Changes of one target that may wait for a person at a time.
pub(crate) const WAITING_MAX: usize = 8;

/// Steps are sums of floats: this much over the limit is rounding, not a larger step.
const STEP_ROUNDING: f64 = 1e-9;

type Ruled = Result<(), Why>;

pub(super) fn knobs_are_known(case: &Case<'_>) -> Ruled {
    let unknown = |(name, _): &&(String, KnobValue)| case.target.knob(name).is_none();
    match case.proposal.values.iter().find(unknown) {
        Some((knob, _)) => Err(Why::UnknownKnob { knob: knob.clone() }),
        None => Ok(()),
    }
}

pub(super) fn values_are_in_range(case: &Case<'_>) -> Ruled {
    let mut named = BTreeSet::new();
    for (name, value) in &case.proposal.values {
        let out_of_range = |value: String, allowed: String| Why::OutOfRange {
            knob: name.clone(),
            value,
            allowed,
        };
        if !named.insert(name) {
            return Err(out_of_range("two values".into(), "one value".into()));
        }
        if let Some(knob) = case.target.knob(name)
            && !knob.domain.contains(value)
        {
            return Err(out_of_range(value.to_string(), knob.domain.to_string()));
        }
    }
    Ok(())
}

pub(super) fn no_restart_is_needed(case: &Case<'_>) -> Ruled {
    let knobs = case
        .proposal
        .values
        .iter()
        .filter_map(|(n, _)| case.target.knob(n));
    match knobs.into_iter().find(|k| k.apply == ApplyCost::Restart) {
        Some(knob) => Err(Why::NeedsRestart {
            knob: knob.name.clone(),
        }),
        None => Ok(()),
    }
}

pub(super) fn something_changes(case: &Case<'_>) -> Ruled {
    if case.settings().is_empty() {
        return Err(Why::NothingToChange);
    }
    Ok(())
}

/// A live change moves a knob by at most `max_step` of its range, but always by one notch where
/// the domain has notches: otherwise a knob of three values could never move.
pub(super) fn steps_are_small(case: &Case<'_>) -> Ruled {
    for setting in case.settings() {
        let knob = case.target.knob(&setting.knob);
        let Some(knob) = knob.filter(|k| has_distance(&k.domain)) else {
            continue;
        };
        let max_step = max_step(case, knob);
        let step = step(knob, &setting.old, &setting.new);
        if step > max_step + STEP_ROUNDING
            && !is_one_notch(&knob.domain, &setting.old, &setting.new)
        {
            return Err(Why::StepTooLarge {
                knob: setting.knob,
                step,
                max_step,
            });
        }
    }
    Ok(())
}

fn max_step(case: &Case<'_>, knob: &KnobSpec) -> f64 {
    let policy = case.governor.policy().max_step;
    policy.map_or(knob.max_step, |limit| limit.min(knob.max_step))
}

/// An old value outside the domain (a default can be) counts as a step over the whole range.
fn step(knob: &KnobSpec, old: &KnobValue, new: &KnobValue) -> f64 {
    match (knob.domain.position(old), knob.domain.position(new)) {
        (Some(from), Some(to)) => (to - from).abs(),
        _ => 1.0,
    }
}

fn has_distance(domain: &Domain) -> bool {
    match domain {
        Domain::Int { .. } | Domain::Float { .. } => true,
        Domain::Choice { ordered, .. } => *ordered,
        Domain::Bool => false,
    }
}

fn is_one_notch(domain: &Domain, old: &KnobValue, new: &KnobValue) -> bool {
    match (domain, old, new) {
        (Domain::Int { .. }, KnobValue::Int(a), KnobValue::Int(b)) => a.abs_diff(*b) == 1,
        (Domain::Choice { choices, .. }, KnobValue::Choice(a), KnobValue::Choice(b)) => {
            let at = |name| choices.iter().position(|c| c == name);
            matches!((at(a), at(b)), (Some(i), Some(j)) if i.abs_diff(j) == 1)
        }
        _ => false,
    }
}

/// The red button, or the end of the process.
pub(super) fn nothing_is_stopped(case: &Case<'_>) -> Ruled {
    match case.governor.standstill() {
        Some(reason) => Err(Why::Frozen { reason }),
        None => Ok(()),
    }
}

/// A queue nobody looks at does not grow without end.
pub(super) fn few_changes_wait(case: &Case<'_>) -> Ruled {
    let waits = |c: &&model::Change| {
        c.state == ChangeState::Waiting && c.proposal.target == case.proposal.target
    };
    let waiting: Vec<_> = case.governor.changes().filter(waits).collect();
    match waiting.first() {
        Some(oldest) if waiting.len() >= WAITING_MAX => {
            Err(Why::ChangeInFlight { change: oldest.id })
        }
        _ => Ok(()),
    }
}

pub(super) fn target_is_not_frozen(case: &Case<'_>) -> Ruled {
    match case.target.frozen() {
        Some(reason) => Err(Why::Frozen {
            reason: reason.to_owned(),
        }),
        None => Ok(()),
    }
}

pub(super) fn target_answers(case: &Case<'_>) -> Ruled {
    if case.target.is_up() {
        Ok(())
    } else {
        Err(Why::TargetLost)
    }
}

pub(super) fn nothing_is_in_flight(case: &Case<'_>) -> Ruled {
    match case.target.in_flight() {
        Some(change) => Err(Why::ChangeInFlight { change }),
        None => Ok(()),
    }
}

/// With nothing of ours in flight every value stands at its baseline. One that does not is
/// leased to somebody else or pinned by an operator: one writer a knob. Other knobs stay free.
pub(super) fn nobody_else_holds_a_knob(case: &Case<'_>) -> Ruled {
    let knobs = case.settings();
    let knobs = knobs.iter().filter_map(|s| case.target.knob(&s.knob));
    match knobs.into_iter().find(|k| k.value != k.baseline) {
        Some(knob) => Err(Why::Frozen {
            reason: format!("{} is held at {} by another writer", knob.name, knob.value),
        }),
        None => Ok(()),
    }
}

pub(super) fn target_is_rested(case: &Case<'_>) -> Ruled {
    let until_ms = case.target.rests_until_ms();
    if case.now_ms < until_ms {
        return Err(Why::CoolingDown { until_ms });
    }
    Ok(())
}

pub(super) fn budget_is_left(case: &Case<'_>) -> Ruled {
    let policy = case.governor.policy();
    match case.target.budget.spent_until(policy, case.now_ms) {
        Some(until_ms) => Err(Why::BudgetSpent {
            allowed: policy.budget_changes,
            until_ms,
        }),
        None => Ok(()),
    }
}
