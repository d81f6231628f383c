//! Groups: order, staleness, reloads.
#![cfg(test)]

use crate::scene::{Scene, group, groups};
use rules::{Group, Health};

#[test]
fn rules_see_what_those_before_them_made_at_the_same_time() {
    let scene = Scene::default();
    let mut group = group(
        "groups: [{name: g, rules: [{record: a, expr: e, labels: {x: y}}, \
         {record: b, expr: metric a}, {alert: C, expr: metric b}]}]",
        false,
    );
    scene.answer("e", &[(&[("__name__", "up"), ("job", "j")], 3.0)]);
    let told = scene.evaluate(&mut group, 0);
    assert_eq!(scene.stored("a"), ["a{job=\"j\", x=\"y\"} 0:3"]);
    assert_eq!(scene.stored("b"), ["b{job=\"j\", x=\"y\"} 0:3"]);
    assert_eq!(told[0].value, 3.0);
    assert_eq!(
        group.status().samples,
        4,
        "two records, and the alert's two"
    );
}

#[test]
fn series_that_are_no_longer_made_end_with_a_marker() {
    let scene = Scene::default();
    let text = "groups: [{name: g, query_offset: 1m, rules: [{record: a, expr: e}]}]";
    let mut group = group(text, false);
    scene.answer("e", &[(&[("job", "1")], 1.0), (&[("job", "2")], 2.0)]);
    scene.evaluate(&mut group, 600_000);
    scene.answer("e", &[(&[("job", "2")], 3.0)]);
    scene.evaluate(&mut group, 660_000);
    scene.fail("e", "no answer ends no series");
    scene.evaluate(&mut group, 720_000);
    assert_eq!(
        scene.stored("a"),
        ["a{job=\"1\"} 540:1 600:stale", "a{job=\"2\"} 540:2 600:3"]
    );
}

#[test]
fn series_of_a_recording_rule_that_become_alike_are_an_error() {
    let scene = Scene::default();
    let text = "groups: [{name: g, rules: [{record: a, expr: e, labels: {job: ''}}]}]";
    let mut group = group(text, false);
    scene.answer("e", &[(&[("job", "1")], 1.0), (&[("job", "2")], 2.0)]);
    scene.evaluate(&mut group, 0);
    assert_eq!(group.status().rules[0].health, Health::Bad);
    assert!(scene.stored("a").is_empty());
}

#[test]
fn a_reload_keeps_the_state_of_rules_that_stay_and_ends_the_series_of_those_that_go() {
    let scene = Scene::default();
    let mut old = group(
        "groups: [{name: g, rules: [{alert: A, expr: e, for: 10m}, {record: r, expr: e}]}]",
        false,
    );
    scene.answer("e", &[(&[("job", "1")], 1.0)]);
    scene.evaluate(&mut old, 0);
    let new = "groups: [{name: g, rules: [{record: s, expr: e}, {alert: A, expr: e2, for: 1m}]}]";
    let mut new = Group::new(groups(new).remove(0).into(), false);
    new.take_over(&mut old);
    scene.answer("e2", &[(&[("job", "1")], 1.0)]);
    let told = scene.evaluate(&mut new, 60_000);
    assert_eq!(told.len(), 1, "pending since the old rule saw it");
    assert_eq!(scene.stored("r"), ["r{job=\"1\"} 0:1 60:stale"]);
    assert_eq!(scene.stored("s"), ["s{job=\"1\"} 60:1"]);
    let ends = new.farewell(120_000);
    assert_eq!(ends.len(), 3);
}
