//! Rule files from the disk, and those that come with the program.

use std::path::{Path, PathBuf};

use collect::prometheus_config::{Note, PrometheusConfig, Weight, expand};
use model::Labels;
use rules::{Defaults, GroupSpec, RuleFile, file};
use yaml::Position;

use crate::config::rules::Rules;

/// What all files together say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Loaded {
    pub(crate) groups: Vec<GroupSpec>,
    pub(crate) external_labels: Labels,
    /// What is odd but usable.
    pub(crate) notices: Vec<Note>,
}

/// Groups of one server: some hundred thousand rules.
const GROUPS_MAX: usize = 20_000;

/// Reads every rule file that is named, and the defaults if they are wanted. All mistakes at once.
pub(crate) fn load(
    said: &Rules,
    prometheus: Option<&PrometheusConfig>,
) -> Result<Loaded, Vec<Note>> {
    let nothing = PrometheusConfig::default();
    let prometheus = prometheus.unwrap_or(&nothing);
    let fallback = Defaults::default();
    let defaults = Defaults {
        interval: said
            .evaluation_interval
            .or(prometheus.evaluation_interval)
            .unwrap_or(fallback.interval),
        query_offset: said
            .query_offset
            .or(prometheus.rule_query_offset)
            .unwrap_or(fallback.query_offset),
    };
    let mut reading = Reading::default();
    if said.defaults {
        for (name, text) in super::defaults::FILES {
            reading.take(file::read(name, text, fallback, &check));
        }
    }
    for path in said.files.iter().flat_map(|pattern| expand(pattern)) {
        reading.take(read_file(&path, defaults));
    }
    for path in prometheus
        .rule_files
        .iter()
        .flat_map(|pattern| expand(pattern))
    {
        if path.is_file() {
            reading.take(read_file(&path, defaults));
        } else {
            // Prometheus starts without it, and does not say so.
            let note = whole_file(&path, "does not exist", Weight::Notice);
            reading.notices.push(note);
        }
    }
    let labels = prometheus.external_labels.iter();
    let labels = labels.chain(&said.external_labels).cloned();
    reading.finish(Labels::from_pairs(labels))
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    groups: Vec<GroupSpec>,
    notices: Vec<Note>,
    mistakes: Vec<Note>,
}

impl Reading {
    fn take(&mut self, read: Result<RuleFile, Vec<Note>>) {
        match read {
            Ok(file) => {
                self.groups.extend(file.groups);
                self.notices.extend(file.notices);
            }
            Err(mistakes) => self.mistakes.extend(mistakes),
        }
    }

    fn finish(mut self, external_labels: Labels) -> Result<Loaded, Vec<Note>> {
        if self.groups.len() > GROUPS_MAX {
            let message = format!("more than {GROUPS_MAX} groups");
            self.mistakes
                .push(whole_file(Path::new("rules"), &message, Weight::Mistake));
        }
        if !self.mistakes.is_empty() {
            return Err(self.mistakes);
        }
        // A file that two patterns name is one file.
        let mut seen = std::collections::BTreeSet::new();
        self.groups.retain(|group| seen.insert(group.key()));
        Ok(Loaded {
            groups: self.groups,
            external_labels,
            notices: self.notices,
        })
    }
}

/// Reads one rule file.
pub(crate) fn read_file(path: &Path, defaults: Defaults) -> Result<RuleFile, Vec<Note>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot be read: {error}");
        vec![whole_file(path, &message, Weight::Mistake)]
    })?;
    file::read(&path.display().to_string(), &text, defaults, &check)
}

/// Checks an expression with the own query language.
pub(crate) fn check(expr: &str) -> Result<String, String> {
    let parsed = query::parse(expr).map_err(|error| error.to_string())?;
    match parsed.value_type() {
        query::ast::ValueType::Scalar | query::ast::ValueType::Vector => Ok(parsed.to_string()),
        other => Err(format!(
            "the expression gives a {}: a rule needs an instant vector or a scalar",
            other.as_str()
        )),
    }
}

pub(crate) fn whole_file(path: &Path, message: &str, weight: Weight) -> Note {
    Note {
        file: path.display().to_string(),
        at: Position { line: 1, column: 1 },
        key: String::new(),
        message: message.to_owned(),
        weight,
    }
}

/// Paths said in a configuration, relative to its folder.
pub(crate) fn beside(folder: Option<&Path>, said: &mut [PathBuf]) {
    if let Some(folder) = folder {
        for path in said {
            *path = folder.join(&path);
        }
    }
}
