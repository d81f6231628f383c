//! What the loop has done so far: for a person, and for a script.

use wire::control::{Change, Effect, ObjectiveReport, Own, Report, Setting, Target};

use crate::view::View;

/// The report of a view.
pub(crate) fn report(view: &View, own: impl FnOnce(f64) -> Option<Own>) -> Report {
    let status = &view.status;
    let seconds = (status.now_ms - status.started_ms) as f64 / 1_000.0;
    Report {
        version: status.version.clone(),
        seconds,
        objectives: view.targets.iter().map(|t| objective(view, t)).collect(),
        changes: view.changes.values().cloned().collect(),
        knobs: view.targets.iter().flat_map(moved_knobs).collect(),
        own: own(seconds),
    }
}

/// Kept changes of a target, oldest first.
fn kept<'a>(view: &'a View, target: &'a str) -> impl Iterator<Item = &'a Change> {
    view.changes
        .values()
        .filter(move |c| c.target == target && c.state == "kept")
}

fn objective(view: &View, target: &Target) -> ObjectiveReport {
    let verdicts: Vec<_> = kept(view, &target.name)
        .filter_map(|c| c.verdict.as_ref())
        .collect();
    let effects: Option<Vec<Effect>> = verdicts.iter().map(|v| v.effect).collect();
    ObjectiveReport {
        name: target.objective.name.clone(),
        unit: target.objective.unit.clone(),
        target: target.name.clone(),
        before: verdicts.first().and_then(|v| v.baseline),
        after: verdicts.last().and_then(|v| v.variant),
        effect: effects.and_then(|effects| combined(&effects)),
    }
}

/// The effect of changes one after another. Each interval holds at its own level, so all hold
/// together at the level left after adding up their error rates (Bonferroni).
fn combined(effects: &[Effect]) -> Option<Effect> {
    let product = |of: &dyn Fn(&Effect) -> Option<f64>| {
        effects
            .iter()
            .try_fold(1.0, |all, e| Some(all * (1.0 + of(e)?)))
            .map(|all| all - 1.0)
    };
    let miss: f64 = effects.iter().map(|e| 1.0 - e.level).sum();
    (!effects.is_empty()).then_some(())?;
    Some(Effect {
        estimate: product(&|e| Some(e.estimate))?,
        low: product(&|e| e.low),
        high: product(&|e| e.high),
        level: (1.0 - miss).max(0.0),
    })
}

/// The knobs whose baseline is not the value they were built with.
fn moved_knobs(target: &Target) -> impl Iterator<Item = Setting> + '_ {
    target
        .knobs
        .iter()
        .filter(|k| k.baseline != k.default)
        .map(|k| Setting {
            knob: k.name.clone(),
            old: k.default.clone(),
            new: k.baseline.clone(),
            read_back: Some(k.value.clone()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_multiply_and_their_error_rates_add_up() {
        let effect = |estimate, low, high| Effect {
            estimate,
            low: Some(low),
            high: Some(high),
            level: 0.95,
        };
        let all = combined(&[effect(-0.5, -0.6, -0.4), effect(-0.2, -0.3, -0.1)]).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(all.estimate, -0.6) && near(all.level, 0.9));
        assert!(near(all.low.unwrap(), -0.72) && near(all.high.unwrap(), -0.46));
        assert_eq!(combined(&[]), None);
        let open = Effect {
            low: None,
            ..effect(-0.1, 0.0, 0.0)
        };
        assert_eq!(combined(&[open]).unwrap().low, None);
    }
}
