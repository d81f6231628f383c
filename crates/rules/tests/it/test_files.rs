//! promtool's unit-test files are read whole.
#![cfg(test)]

use std::time::Duration;

use rules::unit_test::read;

#[test]
fn everything_a_test_may_say_is_read() {
    let file = read(
        "t.yml",
        "rule_files: [a.yml, 'b/*.yml']\n\
         evaluation_interval: 30s\n\
         group_eval_order: [g2, g1]\n\
         fuzzy_compare: true\n\
         tests:\n\
         - name: one\n\
         \x20 interval: 1m\n\
         \x20 start_timestamp: 2020-01-01T00:00:00Z\n\
         \x20 external_labels: {cluster: eu}\n\
         \x20 external_url: http://x\n\
         \x20 input_series:\n\
         \x20 - {series: 'up{job=\"a\"}', values: '1+0x10 _ stale'}\n\
         \x20 alert_rule_test:\n\
         \x20 - {eval_time: 5m, alertname: A, exp_alerts: [{exp_labels: {a: b}, exp_annotations: {c: d}}]}\n\
         \x20 promql_expr_test:\n\
         \x20 - {expr: up, eval_time: 1m, exp_samples: [{labels: 'up{}', value: 1e3}, {labels: x, value: .inf}]}\n",
    );
    let file = file.unwrap();
    assert_eq!(file.evaluation_interval, Duration::from_secs(30));
    assert!(file.fuzzy);
    let test = &file.tests[0];
    assert_eq!(test.start_ms, 1_577_836_800_000);
    assert_eq!(test.place, "t.yml:6:3");
    assert_eq!(test.alerts[0].expected[0].labels["a"], "b");
    assert_eq!(test.queries[0].expected[0].value, 1e3);
    assert_eq!(test.queries[0].expected[1].value, f64::INFINITY);
}

#[test]
fn a_key_that_is_misspelt_is_a_mistake() {
    let notes = read("t.yml", "tests: [{input_serie: []}]").unwrap_err();
    assert!(
        notes[0].to_string().contains("did you mean `input_series`"),
        "{notes:?}"
    );
}
