//! Every relabelling action, and what Prometheus's own documentation says of it.

use collect::{
    Rule, RuleConfig, relabel,
    relabel::{Action, RelabelError},
};
use model::Labels;

fn rule(said: RuleConfig) -> Rule {
    Rule::new(said).unwrap()
}

fn said(action: Action) -> RuleConfig {
    RuleConfig {
        action,
        ..RuleConfig::default()
    }
}

fn from(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

fn check(rules: &[Rule], expected: Option<&str>) {
    let labels = Labels::from_pairs([("a", "foo"), ("b", "bar"), ("c", "baz"), ("__meta_x", "y")]);
    let found = relabel(&labels, rules).map(|labels| labels.to_string());
    assert_eq!(found.as_deref(), expected, "{rules:?}");
}

#[test]
fn replace_sets_moves_and_removes() {
    let replace = |regex: &str, target: &str, replacement: &str| {
        rule(RuleConfig {
            source_labels: from(&["a", "missing", "b"]),
            regex: regex.into(),
            target_label: target.into(),
            replacement: replacement.into(),
            ..RuleConfig::default()
        })
    };
    let all = r#"{__meta_x="y", a="foo", b="bar", c="baz""#;
    check(
        &[replace("f(.*);;(.*)r", "d", "ch${1}-${2}")],
        Some(&format!("{all}, d=\"choo-ba\"}}")),
    );
    check(
        &[replace("(?P<x>f).*", "${x}_label", "$x$$")],
        Some(&format!("{all}, f_label=\"f$\"}}")),
    );
    check(&[replace("nothing", "d", "x")], Some(&format!("{all}}}")));
    check(&[replace("foo", "d", "x")], Some(&format!("{all}}}")));
    check(
        &[replace(".*", "c", "")],
        Some(r#"{__meta_x="y", a="foo", b="bar"}"#),
    );
}

#[test]
fn sets_are_kept_or_dropped_by_value() {
    let by = |action, regex: &str| {
        rule(RuleConfig {
            source_labels: from(&["a"]),
            regex: regex.into(),
            ..said(action)
        })
    };
    let all = r#"{__meta_x="y", a="foo", b="bar", c="baz"}"#;
    check(&[by(Action::Keep, "fo+")], Some(all));
    check(&[by(Action::Keep, "fo")], None);
    check(&[by(Action::Drop, "fo|foo")], None);
    check(&[by(Action::Drop, "o")], Some(all));
    let equal = |action, target: &str| {
        rule(RuleConfig {
            source_labels: from(&["a"]),
            target_label: target.into(),
            ..said(action)
        })
    };
    check(&[equal(Action::KeepEqual, "a")], Some(all));
    check(&[equal(Action::KeepEqual, "b")], None);
    check(&[equal(Action::DropEqual, "a")], None);
    check(&[equal(Action::DropEqual, "b")], Some(all));
}

#[test]
fn names_are_mapped_dropped_and_kept() {
    let by = |action, regex: &str| {
        rule(RuleConfig {
            regex: regex.into(),
            ..said(action)
        })
    };
    check(
        &[by(Action::LabelDrop, "[ab]")],
        Some(r#"{__meta_x="y", c="baz"}"#),
    );
    check(
        &[by(Action::LabelKeep, "[ab]")],
        Some(r#"{a="foo", b="bar"}"#),
    );
    check(&[by(Action::LabelKeep, "nothing")], None);
    let map = rule(RuleConfig {
        regex: "__meta_(.+)".into(),
        ..said(Action::LabelMap)
    });
    check(
        &[map, by(Action::LabelDrop, "__meta_.*|b|c")],
        Some(r#"{a="foo", x="y"}"#),
    );
}

#[test]
fn case_and_hash_are_computed_from_the_sources() {
    let to = |action, modulus| {
        let source_labels = from(&["c", "b"]);
        rule(RuleConfig {
            source_labels,
            target_label: "d".into(),
            modulus,
            ..said(action)
        })
    };
    let keep = rule(RuleConfig {
        regex: "d".into(),
        ..said(Action::LabelKeep)
    });
    check(
        &[to(Action::Uppercase, 0), keep.clone()],
        Some(r#"{d="BAZ;BAR"}"#),
    );
    check(
        &[to(Action::Lowercase, 0), keep.clone()],
        Some(r#"{d="baz;bar"}"#),
    );
    // Prometheus's own test: c=baz, modulus 1000 gives 976.
    let hash = rule(RuleConfig {
        source_labels: from(&["c"]),
        target_label: "d".into(),
        modulus: 1000,
        ..said(Action::HashMod)
    });
    check(&[hash, keep], Some(r#"{d="976"}"#));
}

#[test]
fn rules_that_make_no_sense_are_refused_with_the_setting() {
    let refused = |said: RuleConfig| Rule::new(said).unwrap_err();
    let unused = |setting| move |e: RelabelError| matches!(e, RelabelError::Unused { setting: s, .. } if s == setting);
    let missing = |setting| move |e: RelabelError| matches!(e, RelabelError::Missing { setting: s, .. } if s == setting);
    assert!(missing("target_label")(refused(said(Action::Replace))));
    let target = RuleConfig {
        target_label: "t".into(),
        ..said(Action::HashMod)
    };
    assert!(missing("a modulus above 0")(refused(target)));
    let sources = RuleConfig {
        source_labels: from(&["a"]),
        ..said(Action::LabelDrop)
    };
    assert!(unused("source_labels")(refused(sources)));
    let regex = RuleConfig {
        target_label: "t".into(),
        regex: "x".into(),
        ..said(Action::KeepEqual)
    };
    assert!(unused("regex")(refused(regex)));
    let broken = RuleConfig {
        regex: "(".into(),
        ..said(Action::Keep)
    };
    assert!(matches!(refused(broken), RelabelError::Regex { .. }));
    let huge = RuleConfig {
        regex: "((x{1000}){1000}){1000}".into(),
        ..said(Action::Keep)
    };
    assert!(matches!(refused(huge), RelabelError::Regex { .. }));
}
