//! When somebody is told: waits, intervals, repeats, muting, escalation, restarts. Known answers.
#![cfg(test)]

use std::collections::BTreeMap;

use notify::{
    Acknowledgement, Fate, Fingerprint, InhibitRule, Notifier, Plan, RouteSaid, SilenceDraft,
    SilenceRefusal, Snapshot, matchers,
    times::{TimeInterval, clock_range},
};

use crate::world::{
    AHEAD, HOUR, MINUTE, SECOND, alert, labels, plan, receivers, route, run, steps,
};

/// Posted until far away.
const ON: i64 = 1_000 * HOUR;

fn team() -> Notifier {
    Notifier::new(plan(route("team", &["service"]), &["team"]))
}

#[test]
fn a_group_waits_is_told_once_and_again_when_it_changes_or_after_long() {
    let mut notifier = team();
    notifier.post(&[alert("alertname=a,service=s", 0, ON)], 0);
    let mut lines = run(&mut notifier, 0, 10 * SECOND);
    notifier.post(
        &[alert("alertname=b,service=s", 10 * SECOND, ON)],
        10 * SECOND,
    );
    lines.extend(run(&mut notifier, 10 * SECOND, MINUTE));
    notifier.post(&[alert("alertname=c,service=s", MINUTE, ON)], MINUTE);
    lines.extend(run(&mut notifier, MINUTE, HOUR));
    notifier.post(&[alert("alertname=a,service=s", 0, HOUR)], HOUR);
    lines.extend(run(&mut notifier, HOUR, 6 * HOUR));
    assert_eq!(
        lines,
        [
            "30 team firing: +a +b",
            "330 team firing: +a +b +c",
            "3630 team resolved: +b +c -a",
            // Four hours later, at the next look of the group.
            "18030 team repeated: +b +c",
        ]
    );
}

#[test]
fn what_was_never_told_is_forgotten_when_it_is_over() {
    let mut notifier = team();
    notifier.post(&[alert("alertname=a", 0, ON)], 0);
    notifier.post(&[alert("alertname=a", 0, 10 * SECOND)], 10 * SECOND);
    assert_eq!(run(&mut notifier, 0, HOUR), [""; 0]);
    assert_eq!(notifier.next_due_ms(), None, "nothing is held");
}

#[test]
fn an_alert_nobody_posts_any_more_is_over_at_its_end() {
    let mut notifier = team();
    notifier.post(&[alert("alertname=a", 0, AHEAD)], 0);
    let lines = run(&mut notifier, 0, HOUR);
    assert_eq!(lines, ["30 team firing: +a", "330 team resolved: -a"]);
}

#[test]
fn a_way_that_fails_is_tried_again_with_what_is_true_then() {
    let mut notifier = team();
    notifier.post(&[alert("alertname=a", 0, ON)], 0);
    assert!(notifier.turn(29 * SECOND).is_empty());
    let first = notifier.turn(30 * SECOND);
    assert_eq!((first.len(), first[0].attempt), (1, 0));
    notifier.failed(first[0].id, Fate::Lost, 40 * SECOND);
    assert!(notifier.turn(39 * SECOND).is_empty());
    notifier.post(&[alert("alertname=b", 35 * SECOND, ON)], 35 * SECOND);
    let second = notifier.turn(40 * SECOND);
    assert_eq!((second[0].attempt, second[0].alerts.len()), (1, 2));
    notifier.delivered(second[0].id, 41 * SECOND);
    assert_eq!(run(&mut notifier, 42 * SECOND, HOUR), [""; 0]);
}

#[test]
fn one_way_has_a_bounded_number_on_its_way_and_the_rest_follow() {
    let mut notifier = Notifier::new(plan(route("team", &["..."]), &["team"]));
    let all: Vec<_> = (0..9)
        .map(|n| alert(&format!("alertname=a{n}"), 0, ON))
        .collect();
    notifier.post(&all, 0);
    let first = notifier.turn(30 * SECOND);
    assert_eq!(first.len(), 4);
    for notification in &first {
        notifier.delivered(notification.id, 30 * SECOND);
    }
    assert_eq!(run(&mut notifier, 31 * SECOND, 40 * SECOND).len(), 5);
}

fn silence(matching: &str, from_ms: i64, to_ms: i64) -> SilenceDraft {
    SilenceDraft {
        replaces: None,
        matchers: matchers::parse(matching).unwrap(),
        starts_at_ms: from_ms,
        ends_at_ms: to_ms,
        created_by: "ann".to_owned(),
        comment: "works on it".to_owned(),
    }
}

#[test]
fn a_silenced_alert_is_told_when_the_silence_ends_and_its_end_too() {
    let mut notifier = team();
    let draft = silence("alertname=a", 0, HOUR);
    notifier.silence(draft, "s1".to_owned(), 0).unwrap();
    notifier.post(&[alert("alertname=a", 0, ON)], 0);
    assert_eq!(run(&mut notifier, 0, HOUR - SECOND), [""; 0]);
    assert_eq!(
        run(&mut notifier, HOUR, HOUR + 5 * MINUTE),
        ["3630 team firing: +a"]
    );

    // Told, then silenced, then over: told to be over once the silence ends.
    let draft = silence("alertname=a", 2 * HOUR, 3 * HOUR);
    let id = notifier.silence(draft, "s2".to_owned(), 2 * HOUR).unwrap();
    let over = 2 * HOUR + MINUTE;
    notifier.post(&[alert("alertname=a", 0, over)], over);
    assert_eq!(run(&mut notifier, over, 2 * HOUR + 30 * MINUTE), [""; 0]);
    notifier
        .expire_silence(&id, 2 * HOUR + 30 * MINUTE)
        .unwrap();
    let lines = run(&mut notifier, 2 * HOUR + 30 * MINUTE, 4 * HOUR);
    assert_eq!(lines, ["9060 team resolved: -a"]);
}

#[test]
fn a_silence_is_changed_in_place_or_replaced_and_nonsense_is_refused() {
    let mut notifier = team();
    let id = notifier
        .silence(silence("a=b", 0, HOUR), "s1".to_owned(), 0)
        .unwrap();
    let longer = SilenceDraft {
        replaces: Some(id.clone()),
        ..silence("a=b", 0, 2 * HOUR)
    };
    assert_eq!(
        notifier.silence(longer, "s2".to_owned(), MINUTE),
        Ok(id.clone())
    );
    let other = SilenceDraft {
        replaces: Some(id.clone()),
        ..silence("a=c", 0, 2 * HOUR)
    };
    assert_eq!(
        notifier.silence(other, "s3".to_owned(), MINUTE),
        Ok("s3".to_owned())
    );
    assert_eq!(
        notifier.silence_of(&id).unwrap().ends_at_ms,
        MINUTE,
        "the old one ended"
    );
    for (draft, why) in [
        (silence("a=~.*", 0, HOUR), SilenceRefusal::Everything),
        (silence("a=b", HOUR, HOUR), SilenceRefusal::Ended),
        (silence("a=b", 0, MINUTE), SilenceRefusal::Ended),
        (
            SilenceDraft {
                comment: String::new(),
                ..silence("a=b", 0, HOUR)
            },
            SilenceRefusal::Anonymous,
        ),
        (
            SilenceDraft {
                replaces: Some("x".to_owned()),
                ..silence("a=b", 0, HOUR)
            },
            SilenceRefusal::Unknown("x".to_owned()),
        ),
    ] {
        assert_eq!(
            notifier.silence(draft, "s9".to_owned(), 2 * MINUTE),
            Err(why)
        );
    }
    assert_eq!(
        notifier.expire_silence(&id, HOUR),
        Err(SilenceRefusal::Expired(id))
    );
    let far = 200 * HOUR;
    notifier.turn(far);
    notifier.post(&[alert("alertname=a", far, ON)], far);
    run(&mut notifier, far, far + MINUTE);
    assert_eq!(
        notifier.silences().count(),
        0,
        "forgotten five days after their end"
    );
}

#[test]
fn an_alert_that_follows_from_another_is_inhibited_while_that_fires() {
    let rule = InhibitRule {
        source: matchers::parse("severity=critical").unwrap(),
        target: matchers::parse("severity=warning").unwrap(),
        equal: vec!["host".to_owned()],
    };
    let way = receivers(&["team"]);
    let plan = Plan::new(
        route("team", &["alertname"]),
        way,
        vec![rule],
        BTreeMap::new(),
    );
    let mut notifier = Notifier::new(plan.unwrap());
    let down = "alertname=down,severity=critical,host=h";
    notifier.post(
        &[
            alert(down, 0, ON),
            alert("alertname=slow,severity=warning,host=h", 0, ON),
            alert("alertname=else,severity=warning,host=g", 0, ON),
        ],
        0,
    );
    let mut lines = run(&mut notifier, 0, HOUR);
    lines.sort();
    assert_eq!(lines, ["30 team firing: +down", "30 team firing: +else"]);
    notifier.post(&[alert(down, 0, HOUR)], HOUR);
    let lines = run(&mut notifier, HOUR, 2 * HOUR);
    assert_eq!(
        lines,
        ["3630 team resolved: -down", "3630 team firing: +slow"]
    );
}

#[test]
fn an_alert_does_not_inhibit_itself_nor_its_equals() {
    let both = InhibitRule {
        source: matchers::parse("kind=x").unwrap(),
        target: matchers::parse("kind=x").unwrap(),
        equal: Vec::new(),
    };
    let way = receivers(&["team"]);
    let plan = Plan::new(route("team", &[]), way, vec![both], BTreeMap::new()).unwrap();
    let mut notifier = Notifier::new(plan);
    notifier.post(
        &[
            alert("alertname=a,kind=x", 0, ON),
            alert("alertname=b,kind=x", 0, ON),
        ],
        0,
    );
    assert_eq!(run(&mut notifier, 0, MINUTE).len(), 1);
    assert!(
        notifier
            .firing(MINUTE)
            .iter()
            .all(|status| status.inhibited_by.is_none())
    );
}

#[test]
fn at_night_a_muted_route_waits_until_morning() {
    let night = TimeInterval {
        minutes: vec![clock_range("00:00", "06:00").unwrap()],
        ..TimeInterval::default()
    };
    let times = BTreeMap::from([("night".to_owned(), vec![night])]);
    let root = route("team", &[]);
    let quiet = RouteSaid {
        mute_times: vec!["night".to_owned()],
        matchers: matchers::parse("severity=info").unwrap(),
        ..RouteSaid::default()
    };
    let root = RouteSaid {
        routes: vec![quiet],
        ..root
    };
    let plan = Plan::new(root, receivers(&["team"]), Vec::new(), times).unwrap();
    let mut notifier = Notifier::new(plan);
    let posted = [
        alert("alertname=a,severity=info", 0, ON),
        alert("alertname=b", 0, ON),
    ];
    notifier.post(&posted, 0);
    assert_eq!(run(&mut notifier, 0, HOUR), ["30 team firing: +b"]);
    let morning = run(&mut notifier, HOUR, 7 * HOUR);
    assert_eq!(
        morning,
        ["14430 team repeated: +b", "21630 team firing: +a"]
    );
}

fn on_call() -> Notifier {
    let root = RouteSaid {
        escalate: steps(&[(15 * MINUTE, "second"), (30 * MINUTE, "boss")]),
        ..route("first", &["service"])
    };
    Notifier::new(plan(root, &["first", "second", "boss"]))
}

#[test]
fn who_does_not_acknowledge_is_passed_over() {
    let mut notifier = on_call();
    notifier.post(&[alert("alertname=a", 0, ON)], 0);
    let lines = run(&mut notifier, 0, HOUR);
    assert_eq!(
        lines,
        [
            "30 first firing: +a",
            "930 second escalated 1: +a",
            "1830 boss escalated 2: +a"
        ]
    );
    notifier.post(&[alert("alertname=a", 0, HOUR)], HOUR);
    let mut over = run(&mut notifier, HOUR, 2 * HOUR);
    over.sort();
    assert_eq!(
        over,
        [
            "3630 boss resolved: -a",
            "3630 first resolved: -a",
            "3630 second resolved: -a"
        ]
    );
}

#[test]
fn an_acknowledgement_ends_escalation_and_repetition_until_the_alert_comes_back() {
    let mut notifier = on_call();
    notifier.post(&[alert("alertname=a", 0, ON)], 0);
    let mut lines = run(&mut notifier, 0, 16 * MINUTE);
    let name = Fingerprint::of(&labels("alertname=a"));
    let acknowledgement = Acknowledgement {
        by: "ann".to_owned(),
        comment: String::new(),
        at_ms: 16 * MINUTE,
    };
    notifier.acknowledge(name, acknowledgement.clone()).unwrap();
    lines.extend(run(&mut notifier, 16 * MINUTE, 9 * HOUR));
    assert_eq!(lines, ["30 first firing: +a", "930 second escalated 1: +a"]);
    notifier.post(&[alert("alertname=a", 0, 9 * HOUR)], 9 * HOUR);
    run(&mut notifier, 9 * HOUR, 10 * HOUR);
    assert!(
        notifier.acknowledge(name, acknowledgement).is_err(),
        "it is over"
    );
    notifier.post(&[alert("alertname=a", 10 * HOUR, ON)], 10 * HOUR);
    let again = run(&mut notifier, 10 * HOUR, 11 * HOUR);
    assert_eq!(again.len(), 3, "from the beginning: {again:?}");
}

/// Through JSON, as it is kept on disk.
fn restarted(notifier: &Notifier, at_ms: i64, up_ms: i64) -> Notifier {
    let text = serde_json::to_string(&notifier.snapshot(at_ms)).unwrap();
    let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
    Notifier::restore(notifier.plan().clone(), snapshot, up_ms)
}

#[test]
fn a_restart_neither_doubles_nor_forgets() {
    let mut notifier = on_call();
    notifier
        .silence(silence("x=y", 0, 9 * HOUR), "s1".to_owned(), 0)
        .unwrap();
    let nan = model::Alert {
        value: f64::NAN,
        ..alert("alertname=a", 0, AHEAD)
    };
    notifier.post(&[nan], 0);
    assert_eq!(run(&mut notifier, 0, MINUTE), ["30 first firing: +a"]);
    let mut notifier = restarted(&notifier, MINUTE, 10 * MINUTE);
    assert_eq!(notifier.silences().count(), 1);
    notifier.post(&[alert("alertname=a", 0, ON)], 11 * MINUTE);
    let lines = run(&mut notifier, 11 * MINUTE, 20 * MINUTE);
    assert_eq!(
        lines,
        ["930 second escalated 1: +a"],
        "told before, and the clock went on"
    );

    // Down while it ended, and nobody posts it again: over when the grace is.
    let mut notifier = restarted(&notifier, 20 * MINUTE, 2_000 * HOUR);
    let lines = run(&mut notifier, 2_000 * HOUR, 2_001 * HOUR);
    let over = lines
        .iter()
        .filter(|line| line.contains("resolved: -a"))
        .count();
    assert_eq!(over, 3, "{lines:?}");
}

#[test]
fn what_was_on_its_way_at_a_crash_is_told_again() {
    let mut notifier = team();
    notifier.post(&[alert("alertname=a", 0, ON)], 0);
    assert_eq!(notifier.turn(30 * SECOND).len(), 1);
    let mut notifier = restarted(&notifier, 31 * SECOND, 40 * SECOND);
    assert_eq!(
        run(&mut notifier, 40 * SECOND, 41 * SECOND),
        ["40 team firing: +a"]
    );
}

#[test]
fn after_a_changed_plan_alerts_are_told_where_they_belong_now() {
    let mut notifier = team();
    notifier.post(&[alert("alertname=a", 0, ON)], 0);
    run(&mut notifier, 0, MINUTE);
    let snapshot = notifier.snapshot(MINUTE);
    let other = plan(
        RouteSaid {
            routes: vec![RouteSaid {
                receiver: Some("new".to_owned()),
                matchers: matchers::parse("alertname=a").unwrap(),
                ..RouteSaid::default()
            }],
            ..route("team", &["service"])
        },
        &["team", "new"],
    );
    let mut notifier = Notifier::restore(other, snapshot, MINUTE);
    let lines = run(&mut notifier, MINUTE, 2 * MINUTE);
    assert_eq!(lines, ["60 new firing: +a"]);
}

#[test]
fn more_alerts_than_the_limit_are_refused_and_counted() {
    let limits = notify::Limits {
        alerts: 2,
        ..notify::Limits::default()
    };
    let mut notifier = Notifier::new(plan(route("team", &[]), &["team"]).with_limits(limits));
    let all: Vec<_> = (0..5)
        .map(|n| alert(&format!("alertname=a{n}"), 0, ON))
        .collect();
    notifier.post(&all, 0);
    assert_eq!((notifier.tally().raised, notifier.tally().refused), (2, 3));
    assert_eq!(
        run(&mut notifier, 0, MINUTE),
        ["30 team firing: +a0 +a1"].map(|s| {
            // Equal starts are in the order of their names' hashes.
            if notifier.firing(0)[0].alert.labels == labels("alertname=a0") {
                s.to_owned()
            } else {
                "30 team firing: +a1 +a0".to_owned()
            }
        })
    );
}
