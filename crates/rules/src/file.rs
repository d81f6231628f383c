//! Prometheus's rule files as they are. Every mistake of a file is found in one pass and has its
//! line and column; what is odd but usable is a notice. The keys and checks are Prometheus 3's
//! (`promtool check rules`): <https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/>.

use std::{collections::BTreeSet, time::Duration};

use yaml::{Kind as NodeKind, Note, Notes, Position, Table, Weight};

use crate::{
    spec::{AlertSpec, GroupSpec, Kind, RuleSpec},
    template::Template,
};

/// What groups that do not say inherit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// Between two evaluations.
    pub interval: Duration,
    /// How far back expressions look.
    pub query_offset: Duration,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            query_offset: Duration::ZERO,
        }
    }
}

/// What a file means.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleFile {
    /// Its groups, in order.
    pub groups: Vec<GroupSpec>,
    /// What is odd but usable.
    pub notices: Vec<Note>,
}

/// Checks an expression: the same as the language's printer writes it, or what is wrong.
pub type Check<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Reads a file's text. `name` is the file's, for notes and for the groups.
pub fn read(
    name: &str,
    text: &str,
    defaults: Defaults,
    check: Check<'_>,
) -> Result<RuleFile, Vec<Note>> {
    let notes = Notes::new(name);
    let root = match yaml::parse(text) {
        Ok(root) => root,
        Err(error) => {
            notes.add(error.at, "", error.what, Weight::Mistake);
            return Err(notes.into_sorted());
        }
    };
    let table = Table::of(&notes, &root, String::new());
    let reader = Reader {
        file: name,
        defaults,
        check,
    };
    let mut names = BTreeSet::new();
    let mut groups = Vec::new();
    for said in table.tables("groups") {
        let group = reader.group(said, &mut names);
        groups.push(group);
    }
    table.finish();
    let notes = notes.into_sorted();
    let (mistakes, notices): (Vec<_>, Vec<_>) = notes
        .into_iter()
        .partition(|note| note.weight == Weight::Mistake);
    if mistakes.is_empty() {
        Ok(RuleFile { groups, notices })
    } else {
        Err(mistakes)
    }
}

/// What is the same for all of a file.
struct Reader<'a> {
    file: &'a str,
    defaults: Defaults,
    check: Check<'a>,
}

impl Reader<'_> {
    fn group(&self, said: Table<'_>, names: &mut BTreeSet<String>) -> GroupSpec {
        let name = said.text("name").unwrap_or_default();
        if name.is_empty() {
            said.mistake("name", "a group must have a name");
        } else if !names.insert(name.clone()) {
            let message = format!("the group {name:?} is repeated in the same file");
            said.mistake("name", message);
        }
        let interval = said.duration("interval").filter(|span| !span.is_zero());
        let labels = texts(&said, "labels");
        check_label_names(&said, "labels", &labels);
        let mut seen = BTreeSet::new();
        let rules = said.tables("rules").into_iter().map(|rule| {
            let at = rule.at();
            let spec = self.rule(&rule, &labels);
            if !spec.name.is_empty() && !seen.insert((spec.name.clone(), spec.labels())) {
                let message = format!(
                    "another rule of the group has the name {:?} and these labels",
                    spec.name
                );
                rule.note(at, message, Weight::Notice);
            }
            rule.finish();
            spec
        });
        let rules = rules.collect();
        let group = GroupSpec {
            file: self.file.to_owned(),
            interval: interval.unwrap_or(self.defaults.interval),
            limit: said.count("limit").unwrap_or(0),
            query_offset: said
                .duration("query_offset")
                .unwrap_or(self.defaults.query_offset),
            name,
            rules,
        };
        said.finish();
        group
    }

    fn rule(&self, said: &Table<'_>, group: &[Labelled]) -> RuleSpec {
        let (record, alert) = (said.text("record"), said.text("alert"));
        let (expr, query) = self.expr(said);
        let mut labels = texts(said, "labels");
        check_label_names(said, "labels", &labels);
        let own: BTreeSet<String> = labels.iter().map(|label| label.name.clone()).collect();
        let inherited = group.iter().filter(|label| !own.contains(&label.name));
        labels.extend(inherited.cloned());
        labels.sort_by(|a, b| a.name.cmp(&b.name));
        let (name, kind) = match (record, alert) {
            (Some(_), Some(alert)) => {
                said.mistake("alert", "only one of `record` and `alert` may be set");
                (alert, self.alert(said, &labels))
            }
            (Some(record), None) => (record.clone(), Self::record(said, &record, labels)),
            (None, Some(alert)) => (alert, self.alert(said, &labels)),
            (None, None) => {
                said.mistake("record", "one of `record` and `alert` must be set");
                (String::new(), self.alert(said, &labels))
            }
        };
        RuleSpec {
            name,
            expr,
            query,
            kind,
        }
    }

    fn expr(&self, said: &Table<'_>) -> (String, String) {
        let expr = said.required_text("expr");
        if expr.is_empty() {
            return (expr, String::new());
        }
        let query = (self.check)(&expr).unwrap_or_else(|message| {
            said.mistake_at(value_at(said, "expr"), "expr", message);
            String::new()
        });
        (expr, query)
    }

    fn record(said: &Table<'_>, name: &str, labels: Vec<Labelled>) -> Kind {
        if name.is_empty() || name.contains(['{', '}']) {
            let message = format!("{name:?} is not a metric name; should it be in `expr`?");
            said.mistake("record", message);
        }
        for key in ["for", "keep_firing_for", "annotations"] {
            if said.get(key).is_some() {
                said.mistake(key, "a recording rule has none; should it be an alert?");
            }
        }
        let pairs = labels.into_iter().map(|label| (label.name, label.text));
        Kind::Record {
            labels: pairs.collect(),
        }
    }

    fn alert(&self, said: &Table<'_>, labels: &[Labelled]) -> Kind {
        let annotations = texts(said, "annotations");
        check_label_names(said, "annotations", &annotations);
        Kind::Alert(AlertSpec {
            hold: said.duration("for").unwrap_or_default(),
            keep_firing: said.duration("keep_firing_for").unwrap_or_default(),
            labels: templates(said, labels),
            annotations: templates(said, &annotations),
        })
    }
}

/// A name and its text.
#[derive(Debug, Clone)]
struct Labelled {
    at: Position,
    key: &'static str,
    name: String,
    text: String,
}

fn value_at(said: &Table<'_>, key: &'static str) -> Position {
    said.get(key).map_or(said.at(), |node| node.at)
}

/// A mapping of names to texts, in order of name.
fn texts(said: &Table<'_>, key: &'static str) -> Vec<Labelled> {
    let Some(table) = said.table(key) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, value) in table.pairs() {
        let text = match &value.kind {
            NodeKind::Text(text) => text.clone(),
            NodeKind::Null => String::new(),
            NodeKind::List(_) | NodeKind::Map(_) => {
                let message = format!("expected a text, found {}", value.type_name());
                table.mistake_at(value.at, &name.name, message);
                continue;
            }
        };
        found.push(Labelled {
            at: value.at,
            key,
            name: name.name.clone(),
            text,
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn check_label_names(said: &Table<'_>, key: &'static str, labels: &[Labelled]) {
    for label in labels {
        let is_name = label.name == model::METRIC_NAME && key == "labels";
        if label.name.is_empty() || is_name {
            let message = format!("{:?} cannot be set here", label.name);
            said.mistake_at(label.at, key, message);
        }
    }
}

fn templates(said: &Table<'_>, labels: &[Labelled]) -> Vec<(String, Template)> {
    let mut parsed = Vec::with_capacity(labels.len());
    for label in labels {
        match Template::parse(&label.text) {
            Ok(template) => parsed.push((label.name.clone(), template)),
            Err(error) => {
                let key = format!("{}.{}", label.key, label.name);
                said.mistake_at(label.at, &key, format!("template {error}"));
            }
        }
    }
    parsed
}
