//! A trial from its first window to its verdict, on a target that answers at once.

use model::{Arm, Call, ChangeId, Ending, Goal, Verdict};
use validate::{Conductor, Futility, Plan, Rule, RuleError, Want};

pub(crate) const RULE: Rule = Rule {
    goal: Goal::Minimize,
    alpha: 0.05,
    mde: 0.03,
    pairs_max: 30,
    futility: Futility::NoGain,
};

fn plan() -> Plan {
    Plan {
        change: ChangeId(3),
        seed: 11,
        rule: RULE,
        tick_ms: 1_000,
        settle_ms: 1_500,
        window_ms: 4_000,
        lag_ms: 500,
    }
}

/// What happened in a run: the verdict, the windows measured, the switches made, the time taken.
struct Run {
    verdict: Verdict,
    windows: Vec<(Arm, i64, i64)>,
    switches: usize,
}

/// Runs a trial at 100 ms a turn against a target that obeys at once.
fn run(plan: Plan, value: impl Fn(Arm, i64) -> Option<f64>) -> Run {
    let mut conductor = Conductor::new(plan, 250).expect("a sound plan");
    let (mut force, mut windows, mut switches) = ((Arm::Baseline, 0), Vec::new(), 0);
    for step in 0..100_000 {
        let now = 250 + step * 100;
        match conductor.turn(now, Some(force)) {
            Want::Arm(arm) => {
                if arm != force.0 {
                    force = (arm, now);
                    switches += 1;
                }
            }
            Want::Measure {
                arm,
                from_ms,
                to_ms,
            } => {
                assert!(
                    now >= to_ms + 500,
                    "a window is measured once its samples are in"
                );
                assert_eq!(
                    conductor.turn(now, Some(force)),
                    Want::Measure {
                        arm,
                        from_ms,
                        to_ms
                    }
                );
                assert_eq!(arm, force.0);
                assert!(
                    from_ms >= force.1 + 1_500 || force.1 == 0,
                    "settled before the window"
                );
                windows.push((arm, from_ms, to_ms));
                conductor.measured(value(arm, to_ms));
            }
            Want::Done(verdict) => {
                return Run {
                    verdict,
                    windows,
                    switches,
                };
            }
        }
    }
    panic!("a trial ends");
}

#[test]
fn windows_are_whole_ticks_apart_settled_and_balanced() {
    let run = run(plan(), |arm, _| {
        Some(if arm == Arm::Baseline { 10.0 } else { 7.0 })
    });
    assert!(
        run.windows
            .iter()
            .all(|(_, from, to)| from % 1_000 == 0 && to - from == 4_000)
    );
    assert!(
        run.windows.windows(2).all(|w| w[0].2 <= w[1].1),
        "windows do not overlap"
    );
    assert!(
        run.windows.chunks(2).all(|pair| pair[0].0 != pair[1].0),
        "one of each a pair"
    );
    let runs = run.windows.chunk_by(|a, b| a.0 == b.0).count();
    assert!(
        run.switches <= runs,
        "two windows of a side in a row need no switch"
    );
}

#[test]
fn a_clear_gain_is_better_and_a_clear_harm_is_not() {
    let better = run(plan(), |arm, _| {
        Some(if arm == Arm::Baseline { 10.0 } else { 7.0 })
    })
    .verdict;
    assert_eq!(
        (better.call, better.ending),
        (Call::Better, Ending::Evidence)
    );
    let effect = better.effect.unwrap();
    assert!((effect.estimate + 0.3).abs() < 1e-9 && effect.interval.contains(-0.3));
    assert!(!effect.interval.contains(0.0));
    assert_eq!((better.baseline, better.variant), (Some(10.0), Some(7.0)));
    let harm = |arm, _| Some(if arm == Arm::Baseline { 10.0 } else { 12.0 });
    assert_ne!(run(plan(), harm).verdict.call, Call::Better);
    let mut named = plan();
    named.rule.futility = Futility::NoDifference;
    assert_eq!(run(named, harm).verdict.call, Call::Worse);
    named.rule.goal = Goal::Maximize;
    assert_eq!(run(named, harm).verdict.call, Call::Better);
}

#[test]
fn pairs_that_cannot_be_measured_are_left_out_and_end_at_the_cap() {
    let run = run(plan(), |arm, _| (arm == Arm::Baseline).then_some(0.0));
    assert_eq!(
        (run.verdict.call, run.verdict.ending),
        (Call::Inconclusive, Ending::Cap)
    );
    assert_eq!((run.verdict.pairs, run.verdict.effect), (0, None));
    assert_eq!(run.windows.len(), 60);
}

#[test]
fn a_lost_side_restarts_the_window() {
    let mut conductor = Conductor::new(plan(), 0).unwrap();
    let arm = conductor.arm();
    assert_eq!(conductor.turn(5_000, None), Want::Arm(arm));
    assert_eq!(conductor.turn(6_000, Some((arm, 5_900))), Want::Arm(arm));
    // Settled at 7.4 s, so the window is (8, 12] s, its last sample here by 12.5 s.
    assert_eq!(conductor.turn(12_400, Some((arm, 5_900))), Want::Arm(arm));
    let wanted = Want::Measure {
        arm,
        from_ms: 8_000,
        to_ms: 12_000,
    };
    assert_eq!(conductor.turn(12_500, Some((arm, 5_900))), wanted);
    assert_eq!(
        conductor.turn(12_600, None),
        Want::Arm(arm),
        "what is not in force is no window"
    );
    conductor.measured(Some(1.0));
    assert_eq!(
        conductor.arm(),
        arm,
        "a window nobody wanted any more is not taken"
    );
}

#[test]
fn a_guard_ends_the_trial_as_worse_and_the_verdict_stands() {
    let mut conductor = Conductor::new(plan(), 0).unwrap();
    let verdict = conductor.end(Ending::Guard);
    assert_eq!((verdict.call, verdict.ending), (Call::Worse, Ending::Guard));
    assert_eq!(conductor.end(Ending::Aborted), verdict);
    assert_eq!(conductor.turn(0, None), Want::Done(verdict));
    let aborted = Conductor::new(plan(), 0).unwrap().end(Ending::Aborted);
    assert_eq!(aborted.call, Call::Inconclusive);
}

#[test]
fn a_rule_out_of_range_is_refused() {
    let with = |change: fn(&mut Rule)| {
        let mut plan = plan();
        change(&mut plan.rule);
        Conductor::new(plan, 0).map(|_| ())
    };
    assert_eq!(with(|r| r.alpha = 0.0), Err(RuleError::Alpha));
    assert_eq!(with(|r| r.mde = f64::NAN), Err(RuleError::Mde));
    assert_eq!(with(|r| r.pairs_max = 1_001), Err(RuleError::Pairs));
    assert_eq!(with(|_| ()), Ok(()));
}
