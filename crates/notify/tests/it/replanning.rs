//! A reload: another plan under the same alerts. And a restart with another plan, which is the
//! same thing with a night between.
#![cfg(test)]

use notify::{Notifier, Plan, RouteSaid, matchers};

use crate::world::{HOUR, MINUTE, SECOND, alert, line, plan, route, run};

fn child(matching: &str, receiver: &str) -> RouteSaid {
    RouteSaid {
        matchers: matchers::parse(matching).unwrap(),
        ..route(receiver, &["alertname"])
    }
}

fn tree(children: Vec<RouteSaid>) -> Plan {
    let root = RouteSaid {
        routes: children,
        ..route("team", &["alertname"])
    };
    plan(root, &["team", "db", "web"])
}

/// A notifier whose receivers know that these two fire, at one minute.
fn told(plan: Plan) -> Notifier {
    let mut notifier = Notifier::new(plan);
    for text in ["alertname=Slow,part=db", "alertname=Down,part=web"] {
        notifier.post(&[alert(text, 0, HOUR)], 0);
    }
    let lines = run(&mut notifier, 0, MINUTE);
    assert_eq!(lines.len(), 2, "{lines:?}");
    notifier
}

fn resolved(notifier: &mut Notifier, text: &str) -> Vec<String> {
    notifier.post(&[alert(text, 0, 10 * MINUTE)], 10 * MINUTE);
    run(notifier, 10 * MINUTE, 20 * MINUTE)
}

#[test]
fn a_route_that_stays_keeps_what_it_was_told_wherever_it_moves() {
    let mut notifier = told(tree(vec![child("part=db", "db")]));
    let moved = tree(vec![child("part=cache", "web"), child("part=db", "db")]);
    notifier.replan(moved, 2 * MINUTE);
    let lines = run(&mut notifier, 2 * MINUTE, 9 * MINUTE);
    assert_eq!(lines, Vec::<String>::new(), "nobody is told again");
    let lines = resolved(&mut notifier, "alertname=Slow,part=db");
    assert_eq!(lines, ["630 db resolved: -Slow"]);
}

#[test]
fn what_moves_to_another_receiver_is_told_there_and_the_old_one_holds_nothing_up() {
    for restarts in [false, true] {
        let mut notifier = told(tree(vec![child("part=db", "db")]));
        let changed = tree(vec![child("part=db", "web")]);
        let mut notifier = if restarts {
            Notifier::restore(changed, notifier.snapshot(2 * MINUTE), 2 * MINUTE)
        } else {
            notifier.replan(changed, 2 * MINUTE);
            notifier
        };
        let lines = run(&mut notifier, 2 * MINUTE, 9 * MINUTE);
        assert_eq!(lines, ["330 web firing: +Slow"], "restarts: {restarts}");
        let over = ["alertname=Slow,part=db", "alertname=Down,part=web"];
        let over = over.map(|text| alert(text, 0, 10 * MINUTE));
        notifier.post(&over, 10 * MINUTE);
        let lines = run(&mut notifier, 10 * MINUTE, 20 * MINUTE);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(notifier.next_due_ms(), None, "everything is forgotten");
    }
}

#[test]
fn a_route_that_goes_leaves_its_alerts_to_those_that_are_there() {
    let mut notifier = told(tree(vec![child("part=db", "db")]));
    notifier.replan(tree(Vec::new()), 2 * MINUTE);
    let lines = run(&mut notifier, 2 * MINUTE, 9 * MINUTE);
    assert_eq!(lines, ["120 team firing: +Slow"]);
}

#[test]
fn other_groups_are_told_anew_and_no_alert_is_in_two() {
    let mut notifier = told(tree(Vec::new()));
    let by_part = plan(route("team", &["part"]), &["team"]);
    notifier.replan(by_part, 2 * MINUTE);
    let lines = run(&mut notifier, 2 * MINUTE, 9 * MINUTE);
    assert_eq!(lines, ["120 team firing: +Slow", "120 team firing: +Down"]);
    assert_eq!(notifier.groups(9 * MINUTE).len(), 2);
}

#[test]
fn what_is_on_its_way_counts_if_its_receiver_stays_and_is_nothing_if_it_goes() {
    let mut notifier = Notifier::new(tree(vec![child("part=db", "db")]));
    for text in ["alertname=Slow,part=db", "alertname=Down,part=web"] {
        notifier.post(&[alert(text, 0, HOUR)], 0);
    }
    let flying = notifier.turn(30 * SECOND);
    assert_eq!(flying.len(), 2);
    notifier.replan(tree(vec![child("part=db", "web")]), 31 * SECOND);
    assert_eq!(notifier.in_flight(), 1, "to `db` nothing is on its way");
    for notification in &flying {
        notifier.delivered(notification.id, 32 * SECOND);
    }
    let mut lines = Vec::new();
    for notification in notifier.turn(6 * MINUTE) {
        lines.push(line(&notification, 6 * MINUTE));
        notifier.delivered(notification.id, 6 * MINUTE);
    }
    assert_eq!(lines, ["360 web firing: +Slow"]);
}
