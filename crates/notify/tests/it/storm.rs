//! A storm of alerts from one cause: what people are told of it, with and without what is known of
//! dependencies.
#![cfg(test)]

use notify::{
    GroupBy, Notifier, RouteSaid,
    correlate::{Component, Dependencies},
    matchers,
};

use crate::world::{AHEAD, MINUTE, SECOND, alert, line, plan, route};

/// A tree: one disk, 2 databases on it, 10 services on those, 5 instances each, all failing
/// within half a minute; the services flap.
const SERVICES: usize = 10;
const INSTANCES: usize = 5;

fn dependencies() -> Dependencies {
    let component = |name: String, on: Vec<String>| Component {
        matchers: matchers::parse(&format!("component={name}")).unwrap(),
        name,
        depends_on: on,
    };
    let mut all = vec![component("disk".to_owned(), Vec::new())];
    all.extend((0..2).map(|n| component(format!("db{n}"), vec!["disk".to_owned()])));
    all.extend((0..SERVICES).map(|n| component(format!("s{n}"), vec![format!("db{}", n % 2)])));
    Dependencies::new(all, 5 * MINUTE).unwrap()
}

/// The alerts that fire at a second of the storm.
fn firing(second: i64) -> Vec<model::Alert> {
    let until = |labels: &str, began: i64| alert(labels, began * SECOND, second * SECOND + AHEAD);
    let mut all = Vec::new();
    if second >= 10 {
        all.push(until("alertname=DiskFailing,component=disk", 10));
    }
    if second >= 15 {
        all.extend((0..2).map(|n| until(&format!("alertname=DatabaseDown,component=db{n}"), 15)));
    }
    for service in 0..SERVICES {
        for instance in 0..INSTANCES {
            let began = 20 + i64::try_from(service + instance).unwrap();
            if second >= began {
                let labels = format!("alertname=Errors,component=s{service},instance=i{instance}");
                all.push(until(&labels, began));
            }
        }
    }
    all
}

/// Notifications of ten minutes, and the alerts raised.
fn storm(root: RouteSaid, known: Dependencies) -> (Vec<String>, u64) {
    let mut notifier = Notifier::new(plan(root, &["team"]).with_dependencies(known));
    let mut lines = Vec::new();
    for second in 0..600 {
        let now_ms = second * SECOND;
        if second % 5 == 0 {
            notifier.post(&firing(second), now_ms);
        }
        for notification in notifier.turn(now_ms) {
            lines.push(line(&notification, now_ms));
            notifier.delivered(notification.id, now_ms);
        }
    }
    (lines, notifier.tally().raised)
}

#[test]
fn one_cause_is_told_once_and_named() {
    let each = RouteSaid {
        group_by: Some(GroupBy::parse(&["..."]).unwrap()),
        ..route("team", &[])
    };
    let (ungrouped, raised) = storm(each.clone(), Dependencies::default());
    let (grouped, _) = storm(
        route("team", &["alertname", "component"]),
        Dependencies::default(),
    );
    let (correlated, _) = storm(route("team", &["alertname", "component"]), dependencies());
    eprintln!(
        "storm: {raised} alerts raised; notifications: {} one an alert, {} grouped by component, {} with dependencies known",
        ungrouped.len(),
        grouped.len(),
        correlated.len(),
    );
    assert_eq!((raised, ungrouped.len()), (53, 53));
    assert_eq!(
        correlated,
        ["40 team firing: +DiskFailing(and 52)"],
        "the root, alone"
    );
    assert!(grouped.len() > 10 * correlated.len());
}

#[test]
fn what_outlives_its_root_is_told_by_itself() {
    let root = route("team", &["alertname", "component"]);
    let mut notifier = Notifier::new(plan(root, &["team"]).with_dependencies(dependencies()));
    let disk = |ends| alert("alertname=DiskFailing,component=disk", 0, ends);
    let database = |ends| alert("alertname=DatabaseDown,component=db0", 0, ends);
    let mut lines = Vec::new();
    for minute in 0..20 {
        let now = minute * MINUTE;
        let disk_ends = if minute < 7 { now + AHEAD } else { 7 * MINUTE };
        notifier.post(&[disk(disk_ends), database(now + AHEAD)], now);
        lines.extend(crate::world::run(&mut notifier, now, now + MINUTE - 1));
    }
    assert_eq!(
        lines,
        [
            "30 team firing: +DiskFailing(and 1)",
            "630 team firing: +DatabaseDown",
            "630 team resolved: -DiskFailing",
        ]
    );
}
