//! Relabelling, as Prometheus does it: rules that rewrite, keep or drop label sets in order.
//!
//! A rule is first *said* ([`RuleConfig`], the shape of `relabel_configs` in YAML) and then
//! *meant* ([`Rule`], checked, its regular expression compiled). Regular expressions are anchored
//! at both ends and `.` matches line feeds; templates are `$1`, `${name}`, `$$`.

mod md5;

use model::{Labels, LabelsBuilder, re2};
use regex::{Captures, Regex, RegexBuilder};
use serde::Deserialize;
use thiserror::Error;

/// Compiled size a rule's regular expression may reach, bytes: far above any real one.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Sets `target_label` to `replacement` where the regex matches; an empty result removes it.
    #[default]
    Replace,
    /// Drops what does not match.
    Keep,
    /// Drops what matches.
    Drop,
    /// Drops where the sources differ from `target_label`.
    KeepEqual,
    /// Drops where the sources equal `target_label`.
    DropEqual,
    /// Sets `target_label` to the sources' MD5 modulo `modulus`.
    HashMod,
    /// Copies each label whose name matches to the name `replacement`.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Sets `target_label` to the sources in lower case.
    Lowercase,
    /// Sets `target_label` to the sources in upper case.
    Uppercase,
}

/// A rule as written in a configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// Labels whose values are joined; absent ones are empty.
    pub source_labels: Vec<String>,
    /// What stands between them.
    pub separator: String,
    /// What the joined value, or a label's name, is matched with.
    pub regex: String,
    /// For `hashmod`.
    pub modulus: u64,
    /// The label that is set or compared.
    pub target_label: String,
    /// What it is set to.
    pub replacement: String,
    /// What is done.
    pub action: Action,
}

impl Default for RuleConfig {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            regex: "(.*)".to_owned(),
            modulus: 0,
            target_label: String::new(),
            replacement: "$1".to_owned(),
            action: Action::Replace,
        }
    }
}

/// Why a rule makes no sense.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum RelabelError {
    /// The regular expression does not compile.
    #[error("regex {regex:?}")]
    Regex {
        /// As written.
        regex: String,
        /// What is wrong with it.
        #[source]
        source: regex::Error,
    },
    /// The action needs a setting that is missing.
    #[error("action {action:?} needs {setting}")]
    Missing {
        /// The action.
        action: Action,
        /// The setting.
        setting: &'static str,
    },
    /// The action ignores a setting that was given.
    #[error("action {action:?} makes no use of {setting}")]
    Unused {
        /// The action.
        action: Action,
        /// The setting.
        setting: &'static str,
    },
}

/// A rule that can be applied.
#[derive(Debug, Clone)]
pub struct Rule {
    said: RuleConfig,
    regex: Regex,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.said == other.said
    }
}

impl Rule {
    /// The rule, checked.
    pub fn new(said: RuleConfig) -> Result<Self, RelabelError> {
        check(&said)?;
        let anchored = format!("^(?s:{})$", re2::translated(&said.regex));
        let compiled = RegexBuilder::new(&anchored)
            .size_limit(REGEX_BYTES_MAX)
            .build();
        let regex = compiled.map_err(|source| RelabelError::Regex {
            regex: said.regex.clone(),
            source,
        })?;
        Ok(Self { said, regex })
    }

    /// Applies the rule; false if the set is dropped.
    fn apply(&self, labels: &mut LabelsBuilder, names: &mut Names) -> bool {
        let said = &self.said;
        let value = || self.joined(labels);
        match said.action {
            Action::Keep => return self.regex.is_match(&value()),
            Action::Drop => return !self.regex.is_match(&value()),
            Action::KeepEqual => return get(labels, &said.target_label) == value(),
            Action::DropEqual => return get(labels, &said.target_label) != value(),
            Action::Replace => {
                let value = value();
                self.replace(&value, labels, names);
            }
            Action::Lowercase => names.set(labels, &said.target_label, &value().to_lowercase()),
            Action::Uppercase => names.set(labels, &said.target_label, &value().to_uppercase()),
            Action::HashMod => {
                let hash = md5::last_eight(value().as_bytes()) % said.modulus;
                names.set(labels, &said.target_label, &hash.to_string());
            }
            Action::LabelMap => self.map_names(labels, names),
            Action::LabelDrop => names.retain(labels, |name| !self.regex.is_match(name)),
            Action::LabelKeep => names.retain(labels, |name| self.regex.is_match(name)),
        }
        true
    }

    /// The values of the source labels.
    fn joined(&self, labels: &LabelsBuilder) -> String {
        let values = self.said.source_labels.iter().map(|name| get(labels, name));
        values.collect::<Vec<_>>().join(&self.said.separator)
    }

    fn replace(&self, value: &str, labels: &mut LabelsBuilder, names: &mut Names) {
        let Some(found) = self.regex.captures(value) else {
            return;
        };
        let target = expanded(&found, &self.said.target_label);
        if !target.is_empty() {
            names.set(labels, &target, &expanded(&found, &self.said.replacement));
        }
    }

    fn map_names(&self, labels: &mut LabelsBuilder, names: &mut Names) {
        for name in names.0.clone() {
            let Some(found) = self.regex.captures(&name) else {
                continue;
            };
            let target = expanded(&found, &self.said.replacement);
            let value = get(labels, &name).to_owned();
            names.set(labels, &target, &value);
        }
    }
}

/// Applies rules in order; `None` if the set is dropped, or nothing is left of it.
#[must_use]
pub fn relabel(labels: &Labels, rules: &[Rule]) -> Option<Labels> {
    let mut builder = labels.to_builder();
    let mut names = Names(labels.iter().map(|(name, _)| name.to_owned()).collect());
    for rule in rules {
        if !rule.apply(&mut builder, &mut names) {
            return None;
        }
    }
    let labels = builder.build();
    (!labels.is_empty()).then_some(labels)
}

/// The names in a builder, which cannot be walked itself.
struct Names(Vec<String>);

impl Names {
    fn set(&mut self, labels: &mut LabelsBuilder, name: &str, value: &str) {
        labels.set(name, value);
        self.0.retain(|known| known != name);
        if !value.is_empty() {
            self.0.push(name.to_owned());
        }
    }

    fn retain(&mut self, labels: &mut LabelsBuilder, keep: impl Fn(&str) -> bool) {
        labels.retain(&keep);
        self.0.retain(|name| keep(name));
    }
}

fn get<'l>(labels: &'l LabelsBuilder, name: &str) -> &'l str {
    labels.get(name).unwrap_or_default()
}

fn expanded(found: &Captures<'_>, template: &str) -> String {
    let mut text = String::new();
    re2::expand(found, template, &mut text);
    text
}

/// Prometheus's rules on what belongs to which action.
fn check(said: &RuleConfig) -> Result<(), RelabelError> {
    let default = RuleConfig::default();
    let action = said.action;
    let missing = |setting| Err(RelabelError::Missing { action, setting });
    let unused = |setting| Err(RelabelError::Unused { action, setting });
    let sets_target = matches!(
        action,
        Action::Replace
            | Action::HashMod
            | Action::Lowercase
            | Action::Uppercase
            | Action::KeepEqual
            | Action::DropEqual
    );
    if sets_target && said.target_label.is_empty() {
        return missing("target_label");
    }
    if action == Action::HashMod && said.modulus == 0 {
        return missing("a modulus above 0");
    }
    let by_name = matches!(action, Action::LabelDrop | Action::LabelKeep);
    let by_equality = matches!(action, Action::KeepEqual | Action::DropEqual);
    let by_case = matches!(action, Action::Lowercase | Action::Uppercase);
    if (by_name || action == Action::LabelMap) && !said.source_labels.is_empty() {
        return unused("source_labels");
    }
    if by_name && !said.target_label.is_empty() {
        return unused("target_label");
    }
    if (by_name || by_equality || by_case) && said.replacement != default.replacement {
        return unused("replacement");
    }
    if by_equality && said.regex != default.regex {
        return unused("regex");
    }
    Ok(())
}
