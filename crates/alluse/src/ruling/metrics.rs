//! What the rules count, under Prometheus's names with `alluse` for `prometheus`.

use std::{fmt::Write, sync::Arc};

use rules::GroupStatus;

/// A metric of each group.
struct PerGroup {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    read: fn(&GroupStatus) -> Option<f64>,
}

const PER_GROUP: [PerGroup; 9] = [
    PerGroup {
        name: "alluse_rule_group_interval_seconds",
        kind: "gauge",
        help: "Between two evaluations of the group.",
        read: |group| Some(group.spec.interval.as_secs_f64()),
    },
    PerGroup {
        name: "alluse_rule_group_rules",
        kind: "gauge",
        help: "Rules of the group.",
        read: |group| Some(group.rules.len() as f64),
    },
    PerGroup {
        name: "alluse_rule_group_last_duration_seconds",
        kind: "gauge",
        help: "What the last evaluation took.",
        read: |group| group.at_ms.map(|_| group.took.as_secs_f64()),
    },
    PerGroup {
        name: "alluse_rule_group_last_evaluation_timestamp_seconds",
        kind: "gauge",
        help: "The time the last evaluation was for.",
        read: |group| group.at_ms.map(|at| at as f64 / 1e3),
    },
    PerGroup {
        name: "alluse_rule_group_last_evaluation_samples",
        kind: "gauge",
        help: "Samples the last evaluation made.",
        read: |group| group.at_ms.map(|_| group.samples as f64),
    },
    PerGroup {
        name: "alluse_rule_group_iterations_total",
        kind: "counter",
        help: "Evaluations of the group that were due, missed ones included.",
        read: |group| Some(group.totals.iterations as f64),
    },
    PerGroup {
        name: "alluse_rule_group_iterations_missed_total",
        kind: "counter",
        help: "Evaluations skipped because the one before took too long.",
        read: |group| Some(group.totals.missed as f64),
    },
    PerGroup {
        name: "alluse_rule_evaluations_total",
        kind: "counter",
        help: "Evaluations of single rules.",
        read: |group| Some(group.totals.evaluations as f64),
    },
    PerGroup {
        name: "alluse_rule_evaluation_failures_total",
        kind: "counter",
        help: "Evaluations of single rules that failed.",
        read: |group| Some(group.totals.failures as f64),
    },
];

/// Exposition text.
pub(super) fn text(groups: &[Arc<GroupStatus>]) -> String {
    let mut out = String::new();
    if groups.is_empty() {
        return out;
    }
    for metric in &PER_GROUP {
        let (name, kind) = (metric.name, metric.kind);
        let head = format!("# HELP {name} {}\n# TYPE {name} {kind}\n", metric.help);
        out.push_str(&head);
        for group in groups {
            if let Some(value) = (metric.read)(group) {
                let key = escaped(&group.spec.key());
                writeln!(out, "{name}{{rule_group=\"{key}\"}} {value}").expect("strings take all");
            }
        }
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
