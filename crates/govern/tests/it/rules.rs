//! Each rule of admission refuses what it is named for, and nothing near it.

use govern::Command;
use model::{Ruling, Why};

use crate::script::Script;

const KNOBS: &str = "\
knob batch int 1..3 step=0.1 = 1
knob cache.size int 100..10000 log step=0.25 = 1000
knob linger.ms float 0..10 step=0.25 = 2.5
knob mode choice slow|normal|fast ordered step=0.1 = slow
knob policy choice lru|lfu|fifo step=0.1 = lru
knob read.ahead bool step=0.1 = off
knob threads int 1..64 restart = 4
@0 started
@0 seen ledger first gen 0";

/// The ruling on one proposal of a fresh, autonomous governor.
fn ruling(policy: &str, proposal: &str) -> Ruling {
    let mut script = Script::new();
    if !policy.is_empty() {
        script.line(&format!("policy {policy}"));
    }
    KNOBS.lines().for_each(|line| drop(script.line(line)));
    let commands = script.line(&format!("@1 propose 1 ledger {proposal}"));
    match &commands[0] {
        Command::Decided(decision) => decision.ruling.clone(),
        other => panic!("no decision: {other:?}"),
    }
}

fn check(proposal: &str, expected: Result<(), Why>) {
    let expected = match expected {
        Ok(()) => Ruling::Admit,
        Err(why) => Ruling::Refuse { why },
    };
    assert_eq!(ruling("", proposal), expected, "{proposal}");
}

#[test]
fn refuses_knobs_and_targets_it_does_not_know() {
    let knob = "cache.sise".to_owned();
    check("cache.sise=1", Err(Why::UnknownKnob { knob }));
    let mut script = Script::new();
    script.line("@0 started");
    let commands = script.line("@1 propose 1 ledger a=1");
    let target = "ledger".to_owned();
    let why = Why::UnknownTarget { target };
    assert!(
        matches!(&commands[..], [Command::Decided(d)] if d.ruling == Ruling::Refuse { why: why.clone() })
    );
}

#[test]
fn refuses_values_outside_the_domain_or_of_another_type() {
    let out = |knob: &str, value: &str, allowed: &str| {
        Err(Why::OutOfRange {
            knob: knob.into(),
            value: value.into(),
            allowed: allowed.into(),
        })
    };
    let range = "a whole number from 100 to 10000";
    check("cache.size=99", out("cache.size", "99", range));
    check("cache.size=10001", out("cache.size", "10001", range));
    check("cache.size=on", out("cache.size", "true", range));
    check("cache.size=999.5", out("cache.size", "999.5", range));
    check(
        "linger.ms=NaN",
        out("linger.ms", "NaN", "a number from 0 to 10"),
    );
    check(
        "linger.ms=inf",
        out("linger.ms", "inf", "a number from 0 to 10"),
    );
    check("read.ahead=1", out("read.ahead", "1", "true or false"));
    check("policy=arc", out("policy", "arc", "one of lru, lfu, fifo"));
    check(
        "linger.ms=3 linger.ms=4",
        out("linger.ms", "two values", "one value"),
    );
    // A whole float is written as an integer.
    check("linger.ms=3", Ok(()));
}

#[test]
fn refuses_what_needs_a_restart() {
    let knob = "threads".to_owned();
    check("threads=8", Err(Why::NeedsRestart { knob }));
}

#[test]
fn refuses_to_change_nothing() {
    check("", Err(Why::NothingToChange));
    check("cache.size=1000 linger.ms=2.5", Err(Why::NothingToChange));
    check("cache.size=1000 linger.ms=2.6", Ok(()));
}

#[test]
fn refuses_steps_larger_than_the_knob_allows_on_its_scale() {
    let large = |knob: &str, step: f64, max_step: f64| {
        Err(Why::StepTooLarge {
            knob: knob.into(),
            step,
            max_step,
        })
    };
    // Two decades: a quarter of them is a factor of 3.16.
    check("cache.size=3162", Ok(()));
    check("cache.size=317", Ok(()));
    check("cache.size=10000", large("cache.size", 0.5, 0.25));
    check("linger.ms=5", Ok(()));
    check("linger.ms=7.5", large("linger.ms", 0.5, 0.25));
    // One notch is always possible; two are not. Unordered choices have no distance.
    check("batch=2", Ok(()));
    check("batch=3", large("batch", 1.0, 0.1));
    check("mode=normal", Ok(()));
    check("mode=fast", large("mode", 1.0, 0.1));
    check("policy=fifo", Ok(()));
    check("read.ahead=on", Ok(()));
}

#[test]
fn a_policy_tightens_steps_and_cannot_loosen_them() {
    let refused = |policy: &str, proposal: &str| match ruling(policy, proposal) {
        Ruling::Refuse {
            why: Why::StepTooLarge { max_step, .. },
        } => Some(max_step),
        _ => None,
    };
    assert_eq!(refused("max_step=0.125", "linger.ms=5"), Some(0.125));
    assert_eq!(refused("max_step=1.0", "linger.ms=7.5"), Some(0.25));
}

#[test]
fn the_budget_of_a_window_is_spent_and_comes_back() {
    let mut script = Script::new();
    let story = "\
policy budget_changes=2 budget_window_ms=10000 cool_down_ms=0
knob pool.size int 1..256 log = 16
@0 started
@0 seen ledger first gen 0
@100 propose 1 ledger pool.size=8
> proposal 1, change 1: Admitted.
> change 1 is trying
> begin the trial of 1
@200 undo 1 by kim
> end the trial of 1
> change 1 is undoing
> order 1 to ledger for 1: restore: pool.size=16
@210 done ok
> change 1 is undone
@4000 propose 2 ledger pool.size=8
> proposal 2, change 2: Admitted.
> change 2 is trying
> begin the trial of 2
@4100 undo 2 by kim
> end the trial of 2
> change 2 is undoing
> order 2 to ledger for 2: restore: pool.size=16
@4110 done ok
> change 2 is undone
@5000 propose 3 ledger pool.size=8
> proposal 3: defer budget_spent - Not now. The budget of 2 changes is used up; the next one is possible in 6 s.
@10099 propose 4 ledger pool.size=8
> proposal 4: defer budget_spent - Not now. The budget of 2 changes is used up; the next one is possible in 1 s.
@10100 propose 5 ledger pool.size=8
> proposal 5, change 3: Admitted.
> change 3 is trying
> begin the trial of 3
";
    assert_eq!(script.run(story), story);
}

#[test]
fn changes_waiting_for_a_person_do_not_pile_up() {
    let mut script = Script::new();
    script.line("policy trust=approve");
    KNOBS.lines().for_each(|line| drop(script.line(line)));
    let rulings: Vec<Ruling> = (0..9)
        .flat_map(|n| script.line(&format!("@{n} propose {n} ledger linger.ms=3")))
        .filter_map(|command| match command {
            Command::Decided(decision) => Some(decision.ruling),
            _ => None,
        })
        .collect();
    assert!(rulings[..8].iter().all(|r| *r == Ruling::AwaitApproval));
    let change = model::ChangeId(1);
    let why = Why::ChangeInFlight { change };
    assert_eq!(rulings[8], Ruling::Defer { why });
}
