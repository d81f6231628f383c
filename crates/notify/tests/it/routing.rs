//! Which receivers an alert goes to: a table, whose answers are Alertmanager's for this tree.
#![cfg(test)]

use std::collections::BTreeMap;

use notify::{GroupBy, Plan, RouteSaid, matchers};

use crate::world::{labels, plan, receivers, route};

fn child(
    matching: &str,
    receiver: Option<&str>,
    continues: bool,
    routes: Vec<RouteSaid>,
) -> RouteSaid {
    RouteSaid {
        receiver: receiver.map(str::to_owned),
        matchers: matchers::parse(matching).unwrap(),
        continues,
        routes,
        ..RouteSaid::default()
    }
}

/// The example of Alertmanager's own test of its dispatcher (`dispatch/route_test.go`).
fn tree() -> RouteSaid {
    RouteSaid {
        routes: vec![
            child(
                "owner=team-A",
                Some("notify-A"),
                false,
                vec![
                    child("env=testing", Some("notify-testing"), false, Vec::new()),
                    child(
                        "env=production",
                        Some("notify-productionA"),
                        true,
                        Vec::new(),
                    ),
                    child(
                        "env=~\"produ.*\",job=~\".*\"",
                        Some("notify-productionB"),
                        false,
                        Vec::new(),
                    ),
                ],
            ),
            child("owner=team-B", Some("notify-BC"), false, Vec::new()),
            child(
                "group_by=\"role\"",
                None,
                false,
                vec![child(
                    "env=testing",
                    Some("notify-testing"),
                    false,
                    Vec::new(),
                )],
            ),
        ],
        ..route("notify-def", &["foo", "bar"])
    }
}

const NAMES: [&str; 6] = [
    "notify-def",
    "notify-A",
    "notify-testing",
    "notify-productionA",
    "notify-productionB",
    "notify-BC",
];

#[test]
fn an_alert_walks_down_the_tree() {
    let plan = plan(tree(), &NAMES);
    for (alert, expected) in [
        ("owner=team-A", "notify-A"),
        ("owner=team-A,env=unset", "notify-A"),
        ("owner=team-C", "notify-def"),
        ("owner=team-A,env=testing", "notify-testing"),
        (
            "owner=team-A,env=production",
            "notify-productionA notify-productionB",
        ),
        ("owner=team-B", "notify-BC"),
        ("group_by=role", "notify-def"),
        ("group_by=role,env=testing", "notify-testing"),
        ("x=y", "notify-def"),
    ] {
        let found = plan.receivers_of(&labels(alert)).join(" ");
        assert_eq!(found, expected, "{alert}");
    }
}

#[test]
fn group_labels_are_those_named_or_all() {
    let some = GroupBy::parse(&["a", "b"]).unwrap();
    assert_eq!(some.of(&labels("a=1,c=2")), labels("a=1"));
    assert_eq!(
        GroupBy::parse(&["..."]).unwrap().of(&labels("a=1,c=2")),
        labels("a=1,c=2")
    );
    assert_eq!(
        GroupBy::parse::<&str>(&[]).unwrap().of(&labels("a=1")),
        labels("")
    );
    assert!(GroupBy::parse(&["...", "a"]).is_err());
}

#[test]
fn names_that_mean_nothing_are_all_found_at_once() {
    let root = RouteSaid {
        mute_times: vec!["night".to_owned()],
        matchers: matchers::parse("a=b").unwrap(),
        ..route("nobody", &[])
    };
    let wrong = Plan::new(root, receivers(&["x"]), Vec::new(), BTreeMap::new()).unwrap_err();
    let all = wrong.join("\n");
    for part in ["\"nobody\"", "\"night\"", "no matchers"] {
        assert!(all.contains(part), "{all}");
    }
    let none = Plan::new(
        RouteSaid::default(),
        receivers(&["x"]),
        Vec::new(),
        BTreeMap::new(),
    );
    assert!(none.unwrap_err()[0].contains("names no receiver"));
}
