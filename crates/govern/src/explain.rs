//! Rules and rulings as sentences for a person.

use model::{ChangeState, Decision, Ruling, Why};

/// The rule's stable word, as it stands in JSON.
#[must_use]
pub fn rule(why: &Why) -> &'static str {
    match why {
        Why::UnknownTarget { .. } => "unknown_target",
        Why::UnknownKnob { .. } => "unknown_knob",
        Why::OutOfRange { .. } => "out_of_range",
        Why::StepTooLarge { .. } => "step_too_large",
        Why::NeedsRestart { .. } => "needs_restart",
        Why::NothingToChange => "nothing_to_change",
        Why::CoolingDown { .. } => "cooling_down",
        Why::BudgetSpent { .. } => "budget_spent",
        Why::Frozen { .. } => "frozen",
        Why::ChangeInFlight { .. } => "change_in_flight",
        Why::TargetLost => "target_lost",
        Why::Superseded { .. } => "superseded",
        Why::WrongState { .. } => "wrong_state",
    }
}

/// The rule as a sentence, at the time it was applied.
#[must_use]
pub fn why(why: &Why, at_ms: i64) -> String {
    match why {
        Why::UnknownTarget { target } => format!("No target is called {target:?}."),
        Why::UnknownKnob { knob } => format!("The target has no knob called {knob:?}."),
        Why::OutOfRange {
            knob,
            value,
            allowed,
        } => format!("{knob} takes {allowed}, not {value}."),
        Why::StepTooLarge {
            knob,
            step,
            max_step,
        } => format!(
            "{knob} would move by {:.1} % of its range; one change may move it by {:.1} %.",
            step * 100.0,
            max_step * 100.0
        ),
        Why::NeedsRestart { knob } => {
            format!("{knob} takes effect only after a restart; it is not changed live.")
        }
        Why::NothingToChange => "Every value asked for is already in force.".into(),
        Why::CoolingDown { until_ms } => format!(
            "The target rests after an earlier change, for another {}.",
            wait(*until_ms, at_ms)
        ),
        Why::BudgetSpent { allowed, until_ms } => format!(
            "The budget of {allowed} changes is used up; the next one is possible in {}.",
            wait(*until_ms, at_ms)
        ),
        Why::Frozen { reason } => format!("Nothing is changed now: {reason}."),
        Why::ChangeInFlight { change } => {
            format!("Change {change} of the same target is not finished.")
        }
        Why::TargetLost => "The target does not answer.".into(),
        Why::Superseded { knob } => {
            format!("{knob} no longer has the value this change gave it.")
        }
        Why::WrongState { state } => format!("The change is {}.", word(*state)),
    }
}

/// A decision as a sentence.
#[must_use]
pub fn decision(decision: &Decision) -> String {
    match &decision.ruling {
        Ruling::Admit => "Admitted.".into(),
        Ruling::AwaitApproval => "Waiting for a person to approve it.".into(),
        Ruling::Defer { why: rule } => format!("Not now. {}", why(rule, decision.at_ms)),
        Ruling::Refuse { why: rule } => format!("Refused. {}", why(rule, decision.at_ms)),
    }
}

/// The state's stable word, as it stands in JSON.
#[must_use]
pub fn word(state: ChangeState) -> &'static str {
    match state {
        ChangeState::Waiting => "waiting",
        ChangeState::Trying => "trying",
        ChangeState::Keeping => "keeping",
        ChangeState::Undoing => "undoing",
        ChangeState::Kept => "kept",
        ChangeState::Undone => "undone",
        ChangeState::Refused => "refused",
        ChangeState::Expired => "expired",
        ChangeState::Failed => "failed",
    }
}

/// Rounded up: after the time told, asking again is not in vain.
fn wait(until_ms: i64, at_ms: i64) -> String {
    let seconds = until_ms.saturating_sub(at_ms).max(0).saturating_add(999) / 1_000;
    if seconds < 120 {
        format!("{seconds} s")
    } else {
        format!("{} min", seconds.saturating_add(59) / 60)
    }
}
