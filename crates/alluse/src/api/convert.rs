//! The loop's nouns as the API tells them.

use model::{
    Author, Call, Change, ChangeState, Decision, Effect, Ending, Finding, FindingKind, Goal,
    KnobSpec, KnobValue, Ruling, StudyState, TrialState, Verdict,
};
use wire::{control, knobs};

pub(crate) fn value(value: &KnobValue) -> knobs::Value {
    match value {
        KnobValue::Bool(v) => knobs::Value::Bool(*v),
        KnobValue::Int(v) => knobs::Value::Int(*v),
        KnobValue::Float(v) => knobs::Value::Float(*v),
        KnobValue::Choice(v) => knobs::Value::Text(v.clone()),
    }
}

pub(crate) fn knob_value(value: &knobs::Value) -> KnobValue {
    match value {
        knobs::Value::Bool(v) => KnobValue::Bool(*v),
        knobs::Value::Int(v) => KnobValue::Int(*v),
        knobs::Value::Float(v) => KnobValue::Float(*v),
        knobs::Value::Text(v) => KnobValue::Choice(v.clone()),
    }
}

pub(crate) fn knob(spec: &KnobSpec) -> knobs::Knob {
    knobs::Knob {
        name: spec.name.clone(),
        help: spec.help.clone(),
        unit: spec.unit.clone(),
        domain: domain(&spec.domain),
        default: value(&spec.default),
        baseline: value(&spec.baseline),
        value: value(&spec.value),
        max_step: spec.max_step,
        apply: match spec.apply {
            model::ApplyCost::Free => knobs::ApplyCost::Free,
            model::ApplyCost::Settles => knobs::ApplyCost::Settles,
            model::ApplyCost::Restart => knobs::ApplyCost::Restart,
        },
    }
}

fn domain(domain: &model::Domain) -> knobs::Domain {
    let log = |scale: model::Scale| scale == model::Scale::Log;
    match domain {
        model::Domain::Int { min, max, scale } => knobs::Domain::Int {
            min: *min,
            max: *max,
            log: log(*scale),
        },
        model::Domain::Float { min, max, scale } => knobs::Domain::Float {
            min: *min,
            max: *max,
            log: log(*scale),
        },
        model::Domain::Bool => knobs::Domain::Bool,
        model::Domain::Choice { choices, ordered } => knobs::Domain::Choice {
            choices: choices.clone(),
            ordered: *ordered,
        },
    }
}

pub(crate) fn effect(effect: Effect) -> control::Effect {
    let finite = |x: f64| x.is_finite().then_some(x);
    control::Effect {
        estimate: effect.estimate,
        low: finite(effect.interval.low),
        high: finite(effect.interval.high),
        level: effect.level,
    }
}

pub(crate) fn verdict(verdict: &Verdict) -> control::Verdict {
    let call = match verdict.call {
        Call::Better => "better",
        Call::Worse => "worse",
        Call::Inconclusive => "inconclusive",
    };
    let ending = match verdict.ending {
        Ending::Evidence => "evidence",
        Ending::Futile => "futile",
        Ending::Cap => "cap",
        Ending::Guard => "guard",
        Ending::Aborted => "aborted",
    };
    control::Verdict {
        call: call.to_owned(),
        ending: ending.to_owned(),
        effect: verdict.effect.map(effect),
        pairs: verdict.pairs,
        e_value: verdict.e_value,
        alpha: verdict.alpha,
        baseline: verdict.baseline,
        variant: verdict.variant,
    }
}

pub(crate) fn author(author: &Author) -> String {
    match author {
        Author::Study { study, trial } => format!("study {study}, trial {trial}"),
        Author::Rule { name } => format!("rule {name}"),
        Author::Person { name } => name.clone(),
    }
}

/// When the steps of a change happened, ms; kept by the loop beside the change itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Timing {
    /// When the first values were ordered, ms since the Unix epoch.
    pub(crate) ordered_ms: Option<i64>,
    /// From the first order to the variant read back.
    pub(crate) apply_ms: Option<u64>,
    /// From the breach to the roll-back read back.
    pub(crate) rollback_ms: Option<u64>,
}

pub(crate) fn change(change: &Change, timing: Timing) -> control::Change {
    let read = |knob: &str| {
        change
            .read_back
            .iter()
            .find(|(k, _)| k == knob)
            .map(|(_, v)| v)
    };
    let settings = change.settings.iter().map(|s| control::Setting {
        knob: s.knob.clone(),
        old: value(&s.old),
        new: value(&s.new),
        read_back: read(&s.knob).map(value),
    });
    control::Change {
        id: change.id.0,
        target: change.proposal.target.clone(),
        state: govern::explain::word(change.state).to_owned(),
        author: author(&change.proposal.author),
        reason: change.proposal.reason.clone(),
        settings: settings.collect(),
        begun_ms: change.begun_ms,
        ended_ms: change.ended_ms,
        verdict: change.verdict.as_ref().map(verdict),
        breach: change.breach.as_ref().map(|b| control::Breach {
            guard: b.guard.clone(),
            value: b.value,
            bound: b.bound,
            at_ms: b.at_ms,
        }),
        verified: verified(change),
        rollback_ms: timing.rollback_ms,
        apply_ms: timing.apply_ms,
    }
}

/// Whether an ended change's last read-back shows what its end promises.
fn verified(change: &Change) -> bool {
    let wanted = |s: &model::Setting| match change.state {
        ChangeState::Kept => Some(s.new.clone()),
        ChangeState::Undone => Some(s.old.clone()),
        _ => None,
    };
    !change.read_back.is_empty()
        && change.settings.iter().all(|s| {
            let read = change
                .read_back
                .iter()
                .find(|(k, _)| *k == s.knob)
                .map(|(_, v)| v.clone());
            read.is_some() && read == wanted(s)
        })
}

pub(crate) fn decision(decision: &Decision) -> control::Decision {
    let (ruling, rule) = match &decision.ruling {
        Ruling::Admit => ("admit", None),
        Ruling::AwaitApproval => ("await_approval", None),
        Ruling::Defer { why } => ("defer", Some(why)),
        Ruling::Refuse { why } => ("refuse", Some(why)),
    };
    control::Decision {
        proposal: decision.proposal.0,
        change: decision.change.map(|c| c.0),
        ruling: ruling.to_owned(),
        rule: rule.map(|why| govern::explain::rule(why).to_owned()),
        message: govern::explain::decision(decision),
        at_ms: decision.at_ms,
    }
}

pub(crate) fn finding(finding: &Finding) -> control::Finding {
    let kind = match finding.what {
        FindingKind::Anomaly { .. } => "anomaly",
        FindingKind::ChangePoint { .. } => "change_point",
        FindingKind::Exhaustion { .. } => "exhaustion",
    };
    control::Finding {
        id: finding.id.0,
        series: finding.series.to_string(),
        at_ms: finding.at_ms,
        kind: kind.to_owned(),
        severity: finding.severity,
        summary: finding.summary.clone(),
    }
}

pub(crate) fn goal(goal: Goal) -> &'static str {
    match goal {
        Goal::Minimize => "minimize",
        Goal::Maximize => "maximize",
    }
}

pub(crate) fn study(study: &model::Study, trials: &[model::Trial]) -> control::Study {
    let trials = trials.iter().map(|t| control::Trial {
        id: t.id.0,
        change: t.change.map(|c| c.0),
        params: t
            .params
            .iter()
            .map(|(k, v)| (k.clone(), value(v)))
            .collect(),
        state: match t.state {
            TrialState::Open => "open",
            TrialState::Complete => "complete",
            TrialState::Failed => "failed",
        }
        .to_owned(),
        value: t.value,
    });
    control::Study {
        id: study.id.0,
        target: study.target.clone(),
        objective: study.objective.clone(),
        method: study.method.clone(),
        seed: study.seed,
        state: match study.state {
            StudyState::Running => "running",
            StudyState::Done => "done",
        }
        .to_owned(),
        trials: trials.collect(),
    }
}

pub(crate) fn trust(trust: govern::Trust) -> control::TrustLevel {
    match trust {
        govern::Trust::Recommend => control::TrustLevel::Recommend,
        govern::Trust::Approve => control::TrustLevel::Approve,
        govern::Trust::Autonomous => control::TrustLevel::Autonomous,
    }
}

pub(crate) fn trust_meant(trust: control::TrustLevel) -> govern::Trust {
    match trust {
        control::TrustLevel::Recommend => govern::Trust::Recommend,
        control::TrustLevel::Approve => govern::Trust::Approve,
        control::TrustLevel::Autonomous => govern::Trust::Autonomous,
    }
}
