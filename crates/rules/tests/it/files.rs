//! Rule files: what is read, and every mistake with its place.
#![cfg(test)]

use std::time::Duration;

use rules::{Kind, file};

fn read(text: &str) -> Result<file::RuleFile, Vec<String>> {
    let check = |expr: &str| match expr.contains("bad") {
        true => Err("1:1: parse error: bad".to_owned()),
        false => Ok(expr.trim().to_owned()),
    };
    file::read("r.yml", text, file::Defaults::default(), &check)
        .map_err(|notes| notes.iter().map(ToString::to_string).collect())
}

#[test]
fn everything_a_group_and_its_rules_may_say_is_read() {
    let file = read(
        "groups:\n\
         - name: g\n\
         \x20 interval: 30s\n\
         \x20 limit: 7\n\
         \x20 query_offset: 1m\n\
         \x20 labels: {team: db, severity: info}\n\
         \x20 rules:\n\
         \x20 - record: job:up:sum\n\
         \x20   expr: sum by (job) (up)\n\
         \x20   labels: {a: 1}\n\
         \x20 - alert: Down\n\
         \x20   expr: |\n\
         \x20     up == 0\n\
         \x20   for: 1h30m\n\
         \x20   keep_firing_for: 5m\n\
         \x20   labels: {severity: page}\n\
         \x20   annotations: {summary: '{{ $value }}'}\n",
    );
    let file = file.unwrap();
    let group = &file.groups[0];
    assert_eq!(
        (group.interval, group.limit, group.query_offset),
        (Duration::from_secs(30), 7, Duration::from_secs(60))
    );
    let labels: Vec<String> = group.rules.iter().map(|r| r.labels().to_string()).collect();
    assert_eq!(
        labels,
        [
            "{a=\"1\", severity=\"info\", team=\"db\"}",
            "{severity=\"page\", team=\"db\"}"
        ]
    );
    let Kind::Alert(alert) = &group.rules[1].kind else {
        panic!()
    };
    assert_eq!(alert.hold, Duration::from_secs(5_400));
    assert_eq!(alert.keep_firing, Duration::from_secs(300));
    assert_eq!(group.rules[1].query, "up == 0");
}

#[test]
fn an_empty_file_has_no_groups() {
    assert!(read("").unwrap().groups.is_empty());
    assert!(read("groups:\n").unwrap().groups.is_empty());
}

#[test]
fn all_mistakes_are_found_at_once_each_with_its_place() {
    let found = read(
        "groups:\n\
         - name: g\n\
         \x20 intervall: 1m\n\
         \x20 rules:\n\
         \x20 - alert: A\n\
         \x20   expr: bad\n\
         \x20   annotations: {x: '{{ nothing }}', 'y': '{{ $z }}'}\n\
         \x20 - {record: 'a{b}', expr: up, for: 1m}\n\
         \x20 - {expr: up}\n\
         \x20 - {alert: A, record: b, expr: up}\n\
         \x20 - {alert: A, exprs: up}\n\
         - name: g\n\
         - {rules: []}\n",
    )
    .unwrap_err();
    let expected = [
        "r.yml:3:3: groups[0].intervall: is not a key Prometheus knows here; did you mean `interval`?",
        "r.yml:6:11: groups[0].rules[0].expr: 1:1: parse error: bad",
        "function \"nothing\" not defined",
        "undefined variable \"$z\"",
        "\"a{b}\" is not a metric name",
        "groups[0].rules[1].for: a recording rule has none",
        "one of `record` and `alert` must be set",
        "only one of `record` and `alert` may be set",
        "groups[0].rules[4].expr: is missing",
        "did you mean `expr`?",
        "the group \"g\" is repeated in the same file",
        "a group must have a name",
    ];
    for text in expected {
        let times = found.iter().filter(|line| line.contains(text)).count();
        assert_eq!(times, 1, "{text} in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn rules_alike_are_noticed() {
    let file = read(
        "groups: [{name: g, rules: [{alert: A, expr: a}, {alert: A, expr: b}, \
         {alert: A, expr: b, labels: {x: y}}]}]",
    );
    assert_eq!(file.unwrap().notices.len(), 1);
}
