//! The states of alerts: known answers, after the meaning of Prometheus's own tests.
#![cfg(test)]

use rules::{AlertState, Group, Health};

use crate::scene::{Scene, group, labels};

const MINUTE: i64 = 60_000;

/// The one alert of the group's first rule.
fn only(group: &Group) -> Option<rules::ActiveAlert> {
    let status = group.status();
    assert!(status.rules[0].alerts.len() <= 1);
    status.rules[0].alerts.first().cloned()
}

fn state(group: &Group) -> Option<AlertState> {
    only(group).map(|alert| alert.state)
}

#[test]
fn an_alert_is_pending_then_fires_then_is_resolved_for_a_quarter_of_an_hour() {
    let scene = Scene::default();
    let mut group = group(
        "groups: [{name: g, rules: [{alert: Down, expr: e, for: 2m, labels: {severity: page}, \
         annotations: {summary: '{{ $labels.job }} at {{ $value }}'}}]}]",
        false,
    );
    scene.answer("e", &[(&[("__name__", "up"), ("job", "a")], 0.5)]);
    for (minute, expected) in [
        (0, AlertState::Pending),
        (1, AlertState::Pending),
        (2, AlertState::Firing),
    ] {
        let told = scene.evaluate(&mut group, minute * MINUTE);
        assert_eq!(state(&group), Some(expected));
        assert_eq!(told.len(), usize::from(expected == AlertState::Firing));
    }
    let alert = only(&group).unwrap();
    let own = labels(&[("alertname", "Down"), ("job", "a"), ("severity", "page")]);
    assert_eq!(alert.labels, own);
    assert_eq!(alert.annotations["summary"], "a at 0.5");
    assert_eq!(alert.active_at_ms, 0);

    scene.answer("e", &[(&[("__name__", "up"), ("job", "a")], 0.25)]);
    let told = scene.evaluate(&mut group, 3 * MINUTE);
    assert_eq!(told[0].starts_at_ms, 2 * MINUTE, "when it began to fire");
    assert_eq!(told[0].ends_at_ms, 7 * MINUTE, "four intervals ahead");
    assert_eq!(told[0].annotations["summary"], "a at 0.25");
    assert_eq!(
        told[0].generator_url,
        "http://here/graph?g0.expr=e&g0.tab=1"
    );

    scene.answer("e", &[]);
    let told = scene.evaluate(&mut group, 4 * MINUTE);
    assert_eq!(
        (told[0].ends_at_ms, state(&group)),
        (4 * MINUTE, Some(AlertState::Inactive))
    );
    let told = scene.evaluate(&mut group, 19 * MINUTE);
    assert_eq!(
        told[0].ends_at_ms,
        4 * MINUTE,
        "told again, the end unchanged"
    );
    assert!(scene.evaluate(&mut group, 20 * MINUTE).is_empty());
    assert_eq!(state(&group), None);

    assert_eq!(
        scene.stored("ALERTS"),
        [
            "ALERTS{alertname=\"Down\", alertstate=\"firing\", job=\"a\", severity=\"page\"} 120:1 180:1 240:stale",
            "ALERTS{alertname=\"Down\", alertstate=\"pending\", job=\"a\", severity=\"page\"} 0:1 60:1 120:stale",
        ]
    );
    assert_eq!(
        scene.stored("ALERTS_FOR_STATE"),
        [
            "ALERTS_FOR_STATE{alertname=\"Down\", job=\"a\", severity=\"page\"} 0:0 60:0 120:0 180:0 240:stale"
        ]
    );
}

#[test]
fn a_pending_alert_whose_element_goes_is_forgotten_and_begins_anew() {
    let scene = Scene::default();
    let mut group = group(
        "groups: [{name: g, rules: [{alert: A, expr: e, for: 2m}]}]",
        false,
    );
    scene.answer("e", &[(&[("job", "a")], 1.0)]);
    scene.evaluate(&mut group, 0);
    scene.answer("e", &[]);
    assert!(scene.evaluate(&mut group, MINUTE).is_empty());
    assert_eq!(state(&group), None);
    scene.answer("e", &[(&[("job", "a")], 1.0)]);
    scene.evaluate(&mut group, 2 * MINUTE);
    assert_eq!(only(&group).unwrap().active_at_ms, 2 * MINUTE);
}

#[test]
fn without_for_an_alert_fires_at_once_and_may_fire_again_after_it_was_resolved() {
    let scene = Scene::default();
    let mut group = group("groups: [{name: g, rules: [{alert: A, expr: e}]}]", false);
    for (minute, there) in [(0, true), (1, false), (2, true)] {
        let elements: &[(&[(&str, &str)], f64)] = if there {
            &[(&[("job", "a")], 1.0)]
        } else {
            &[]
        };
        scene.answer("e", elements);
        let told = scene.evaluate(&mut group, minute * MINUTE);
        assert_eq!(told.len(), 1);
    }
    let alert = only(&group).unwrap();
    assert_eq!(
        (alert.state, alert.fired_at_ms),
        (AlertState::Firing, Some(2 * MINUTE))
    );
    assert_eq!(alert.resolved_at_ms, None);
}

#[test]
fn keep_firing_for_bridges_gaps_and_ends_after_its_span() {
    let scene = Scene::default();
    let text = "groups: [{name: g, rules: [{alert: A, expr: e, keep_firing_for: 5m}]}]";
    let mut group = group(text, false);
    scene.answer("e", &[(&[("job", "a")], 1.0)]);
    scene.evaluate(&mut group, 0);
    scene.answer("e", &[]);
    scene.evaluate(&mut group, MINUTE);
    assert_eq!(only(&group).unwrap().keep_firing_since_ms, Some(MINUTE));
    scene.evaluate(&mut group, 5 * MINUTE);
    assert_eq!(state(&group), Some(AlertState::Firing));
    scene.answer("e", &[(&[("job", "a")], 1.0)]);
    scene.evaluate(&mut group, 6 * MINUTE);
    assert_eq!(
        only(&group).unwrap().keep_firing_since_ms,
        None,
        "the span begins anew"
    );
    scene.answer("e", &[]);
    scene.evaluate(&mut group, 7 * MINUTE);
    scene.evaluate(&mut group, 11 * MINUTE);
    assert_eq!(state(&group), Some(AlertState::Firing));
    scene.evaluate(&mut group, 12 * MINUTE);
    assert_eq!(state(&group), Some(AlertState::Inactive));
}

#[test]
fn two_alerts_alike_are_an_error_and_nobody_is_told() {
    let scene = Scene::default();
    let text = "groups: [{name: g, rules: [{alert: A, expr: e, labels: {job: same}}]}]";
    let mut group = group(text, false);
    scene.answer("e", &[(&[("job", "a")], 1.0), (&[("job", "b")], 1.0)]);
    assert!(scene.evaluate(&mut group, 0).is_empty());
    let status = group.status();
    assert_eq!(status.rules[0].health, Health::Bad);
    let error = status.rules[0].last_error.clone().unwrap();
    assert_eq!(
        error,
        "vector contains metrics with the same labelset after applying alert labels"
    );
    assert!(scene.stored("ALERTS").is_empty());
    assert_eq!(status.totals.failures, 1);
}

#[test]
fn beyond_the_limit_everything_is_dropped() {
    let scene = Scene::default();
    let text = "groups: [{name: g, limit: 1, rules: [{alert: A, expr: e}, {record: r, expr: e}]}]";
    let mut group = group(text, false);
    scene.answer("e", &[(&[("job", "a")], 1.0), (&[("job", "b")], 1.0)]);
    assert!(scene.evaluate(&mut group, 0).is_empty());
    let status = group.status();
    let errors = status
        .rules
        .iter()
        .map(|rule| rule.last_error.as_deref().unwrap());
    assert_eq!(
        errors.collect::<Vec<_>>(),
        [
            "exceeded limit of 1 with 2 alerts",
            "exceeded limit of 1 with 2 series"
        ]
    );
    assert!(scene.stored("ALERTS").is_empty() && scene.stored("r").is_empty());
    assert!(status.rules[0].alerts.is_empty());
    scene.answer("e", &[(&[("job", "a")], 1.0)]);
    assert_eq!(scene.evaluate(&mut group, MINUTE).len(), 1);
}

#[test]
fn the_rule_s_name_wins_over_a_label_alertname_and_labels_that_expand_to_nothing_vanish() {
    let scene = Scene::default();
    let mut group = group(
        "groups: [{name: g, labels: {team: db, tier: x}, rules: [{alert: A, expr: e, \
         labels: {alertname: B, team: web, gone: '{{ $labels.nothing }}', \
         cluster: '{{ $externalLabels.cluster }}'}, annotations: {bad: '{{ gt $value 1 }}'}}]}]",
        false,
    );
    scene.answer("e", &[(&[("alertname", "C")], 1.0)]);
    let told = scene.evaluate(&mut group, 0);
    let expected = [
        ("alertname", "A"),
        ("cluster", "eu"),
        ("team", "web"),
        ("tier", "x"),
    ];
    assert_eq!(told[0].labels, labels(&expected));
    let bad = &told[0].annotations["bad"];
    assert!(bad.starts_with("<error expanding template: "), "{bad}");
}

#[test]
fn an_evaluation_that_fails_leaves_alerts_as_they_are() {
    let scene = Scene::default();
    let mut group = group("groups: [{name: g, rules: [{alert: A, expr: e}]}]", false);
    scene.answer("e", &[(&[("job", "a")], 1.0)]);
    scene.evaluate(&mut group, 0);
    scene.fail("e", "too busy");
    assert!(scene.evaluate(&mut group, MINUTE).is_empty());
    assert_eq!(state(&group), Some(AlertState::Firing));
    assert_eq!(
        group.status().rules[0].last_error.as_deref(),
        Some("too busy")
    );
}

/// A rule with `for: 30m` is evaluated each minute until `down`, and again from `up` on; when it
/// fires then, in minutes.
fn fires_after_an_outage(down: i64, up: i64) -> i64 {
    let scene = Scene::default();
    let text = "groups: [{name: g, rules: [{alert: A, expr: e, for: 30m}]}]";
    let mut first = group(text, false);
    scene.answer("e", &[(&[("job", "a")], 1.0)]);
    for minute in 0..=down {
        scene.evaluate(&mut first, minute * MINUTE);
    }
    let mut second = group(text, true);
    for minute in up..up + 200 {
        let told = scene.evaluate(&mut second, minute * MINUTE);
        if !told.is_empty() {
            return minute;
        }
        if minute == up + 1 {
            second.restore(minute * MINUTE, &scene.store).unwrap();
        }
    }
    panic!("it never fires")
}

#[test]
fn after_a_restart_the_clock_of_for_goes_on() {
    assert_eq!(
        fires_after_an_outage(10, 15),
        10 + 20 + 6,
        "20 min were left; down for 6"
    );
    assert_eq!(
        fires_after_an_outage(25, 30),
        30 + 1 + 10,
        "5 were left: the grace period"
    );
    assert_eq!(
        fires_after_an_outage(40, 45),
        45 + 2,
        "it was firing: at the next evaluation"
    );
    assert_eq!(fires_after_an_outage(10, 90), 90 + 30, "too long ago: anew");
}

#[test]
fn before_an_earlier_state_was_looked_for_no_samples_hide_it() {
    let scene = Scene::default();
    let mut group = group(
        "groups: [{name: g, rules: [{alert: A, expr: e, for: 30m}]}]",
        true,
    );
    scene.answer("e", &[(&[("job", "a")], 1.0)]);
    scene.evaluate(&mut group, 0);
    assert!(scene.stored("ALERTS_FOR_STATE").is_empty());
    group.restore(0, &scene.store).unwrap();
    scene.evaluate(&mut group, MINUTE);
    assert_eq!(scene.stored("ALERTS_FOR_STATE").len(), 1);
}
