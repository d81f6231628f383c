//! The record: what is written, what is not, and what cannot be read.

use govern::{Event, Governor, HISTORY_MAX, Policy, Trust, record};
use model::{ChangeId, Effect, Interval, KnobValue};

use crate::script::{Script, verdict};

const BEGIN: &str = "\
knob linger.ms float 0..10 = 2.5
policy trust=approve
@0 started
@0 seen ledger first gen 0";

fn begun() -> Script {
    let mut script = Script::new();
    BEGIN.lines().for_each(|line| drop(script.line(line)));
    script
}

#[test]
fn events_without_a_trace_are_not_recorded() {
    let mut governor = begun().governor;
    let before = governor.clone();
    assert_eq!(governor.turn(5_000, Event::Tick).line, None);
    let target = "nobody".to_owned();
    assert_eq!(
        governor.turn(6_000, Event::TargetLost { target }).line,
        None
    );
    assert_eq!(governor, before);
    let target = "ledger".to_owned();
    assert!(
        governor
            .turn(7_000, Event::TargetLost { target })
            .line
            .is_some()
    );
}

#[test]
fn what_is_not_finite_replays_as_it_was_taken() {
    let mut script = begun();
    let mut odd = verdict(model::Call::Worse);
    odd.e_value = f64::INFINITY;
    odd.baseline = Some(f64::NAN);
    odd.effect = Some(Effect {
        estimate: 0.1,
        interval: Interval {
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
        },
        level: 0.95,
    });
    script.line("@10 trust autonomous");
    script.line("@10 propose 1 ledger linger.ms=3");
    let change = ChangeId(1);
    let verdict = odd;
    script.feed(20, Event::Judged { change, verdict });
    let kept = script
        .governor
        .change(change)
        .unwrap()
        .verdict
        .clone()
        .unwrap();
    assert_eq!((kept.e_value, kept.baseline), (f64::MAX, None));
    assert_eq!(kept.effect.unwrap().interval.high, f64::INFINITY);
    script.line("@30 done reads linger.ms=NaN");
    script.assert_replays();
}

#[test]
fn floats_come_back_bit_for_bit() {
    // Shortest decimals that a parser off by one unit in the last place gets wrong.
    let mut governor = begun().governor;
    for bits in 0..2_000_u64 {
        let odd = f64::from_bits(0x3FF1_2345_6789_ABCD + bits * 0x1_0003_0001);
        let spec = governor
            .target("ledger")
            .unwrap()
            .knob("linger.ms")
            .unwrap();
        let mut spec = spec.clone();
        spec.value = KnobValue::Float(odd);
        let seen = Event::TargetSeen {
            target: "ledger".into(),
            instance: "first".into(),
            generation: model::Generation(0),
            knobs: vec![spec],
        };
        governor.step(1, seen);
        let snapshot = governor.snapshot(1);
        assert_eq!(record::replay([snapshot.as_str()]).unwrap(), governor);
    }
}

#[test]
fn a_clock_that_falls_is_held() {
    let mut script = begun();
    script.line("@5000 propose 1 ledger linger.ms=3");
    script.line("@10 approve 1 by kim");
    assert_eq!(script.governor.change(ChangeId(1)).unwrap().begun_ms, 5_000);
    script.assert_replays();
}

#[test]
fn a_new_life_has_the_policy_it_was_started_with() {
    let mut script = begun();
    script.line("policy trust=autonomous");
    assert_eq!(script.governor.trust(), Trust::Approve);
    script.line("@10 started");
    assert_eq!(script.governor.trust(), Trust::Autonomous);
    script.assert_replays();
}

#[test]
fn lines_that_are_none_are_told_with_their_number() {
    let good = Governor::new(Policy::default()).snapshot(0);
    let told = |bad: &str| {
        record::replay([good.as_str(), bad])
            .unwrap_err()
            .to_string()
    };
    let expected = "replay the governor's record: line 2: ";
    assert_eq!(told("{"), format!("{expected}not a line of this record"));
    let unknown = r#"{"v":1,"at_ms":0,"event":{"event":"Rain"}}"#;
    assert_eq!(
        told(unknown),
        format!("{expected}not a line of this record")
    );
    let empty = r#"{"v":1,"at_ms":0}"#;
    assert_eq!(told(empty), format!("{expected}not one event or one state"));
    let newer = r#"{"v":2,"at_ms":0,"rain":true}"#;
    let version = "version 2 was written by another program; this one reads 1";
    assert_eq!(told(newer), format!("{expected}{version}"));
}

#[test]
fn the_memory_of_ended_changes_is_bounded() {
    let mut script = begun();
    for n in 1..=HISTORY_MAX + 50 {
        script.line(&format!("@{n} propose {n} ledger linger.ms=3"));
        script.line(&format!("@{n} reject {n} by kim"));
    }
    assert_eq!(script.governor.changes().count(), HISTORY_MAX);
    assert_eq!(script.governor.change(ChangeId(50)), None);
    assert!(script.governor.change(ChangeId(51)).is_some());
}
