//! `alluse rules`: checks rule files, runs their tests, prints the rules that come with the
//! program.

mod expect;
mod test;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use collect::prometheus_config::{Note, Weight};
use rules::Defaults;
use serde_json::{Value, json};

use crate::{Failure, ruling};

/// What can be done with rules.
#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Report every mistake of rule files with its place; exit 2 if there is one.
    ///
    /// The files are Prometheus's: groups of recording and alerting rules. Expressions, durations,
    /// names and the templates of labels and annotations are checked, keys that are not known are
    /// named with the nearest that is, and rules alike within a group are pointed out.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print what was found as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run unit tests of rules; exit 1 if one fails, 2 if a file cannot be read.
    ///
    /// The files are promtool's (`promtool test rules`), as they are: rule_files,
    /// evaluation_interval, group_eval_order, fuzzy_compare, and tests with input_series,
    /// alert_rule_test and promql_expr_test.
    Test {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print the outcome as JSON.
        #[arg(long)]
        json: bool,
        /// Only tests whose name contains this.
        #[arg(long, value_name = "TEXT")]
        run: Option<String>,
    },
    /// Print the rules that come with the program, as one file a name.
    ///
    /// They are in force unless `[rules] defaults = false`. Each alert has a test that makes it
    /// fire and one that keeps it quiet.
    Defaults {
        /// Print the names only.
        #[arg(long)]
        names: bool,
        /// Write the files and their tests into this folder instead, to be changed there.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

/// Does it.
pub(crate) fn run(command: &RulesCommand) -> Result<(), Failure> {
    match command {
        RulesCommand::Check { files, json } => check(files, *json),
        RulesCommand::Test { files, json, run } => test::run(files, run.as_deref(), *json),
        RulesCommand::Defaults { names, to } => defaults(*names, to.as_deref()),
    }
}

fn say(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| Failure::of(&error))
}

/// What was found in one file.
struct Checked {
    file: String,
    rules: usize,
    notes: Vec<Note>,
}

fn check(files: &[PathBuf], as_json: bool) -> Result<(), Failure> {
    let checked: Vec<Checked> = files.iter().map(|file| check_one(file)).collect();
    if as_json {
        let shown: Vec<Value> = checked.iter().map(checked_json).collect();
        say(&format!("{:#}", json!({ "files": shown })))?;
    } else {
        let lines: Vec<String> = checked.iter().flat_map(checked_lines).collect();
        say(&lines.join("\n"))?;
    }
    let mut notes = checked.iter().flat_map(|checked| &checked.notes);
    if notes.any(|note| note.weight == Weight::Mistake) {
        return Err(Failure::usage(""));
    }
    Ok(())
}

fn check_one(path: &Path) -> Checked {
    let (rules, notes) = match ruling::read_file(path, Defaults::default()) {
        Ok(file) => {
            let rules = file.groups.iter().map(|group| group.rules.len()).sum();
            (rules, file.notices)
        }
        Err(mistakes) => (0, mistakes),
    };
    Checked {
        file: path.display().to_string(),
        rules,
        notes,
    }
}

fn checked_lines(checked: &Checked) -> Vec<String> {
    let mut lines: Vec<String> = checked.notes.iter().map(ToString::to_string).collect();
    let mistakes = checked.notes.iter();
    let mistakes = mistakes
        .filter(|note| note.weight == Weight::Mistake)
        .count();
    lines.push(if mistakes == 0 {
        format!("{}: {} rules, no mistakes", checked.file, checked.rules)
    } else {
        format!("{}: {mistakes} mistakes", checked.file)
    });
    lines
}

fn checked_json(checked: &Checked) -> Value {
    let notes = checked.notes.iter().map(|note| {
        let weight = match note.weight {
            Weight::Mistake => "mistake",
            Weight::Notice => "notice",
        };
        json!({
            "line": note.at.line, "column": note.at.column, "key": note.key,
            "message": note.message, "weight": weight,
        })
    });
    let notes: Vec<Value> = notes.collect();
    json!({"file": checked.file, "rules": checked.rules, "notes": notes})
}

fn defaults(names: bool, to: Option<&Path>) -> Result<(), Failure> {
    if let Some(folder) = to {
        return write_defaults(folder);
    }
    for (name, text) in ruling::defaults::FILES {
        if names {
            say(name)?;
        } else {
            say(&format!("# {name}\n{}", text.trim_end()))?;
        }
    }
    Ok(())
}

fn write_defaults(folder: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!(
            "alluse: cannot write {}: {error}",
            folder.display()
        ))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let files = ruling::defaults::FILES
        .iter()
        .chain(&ruling::defaults::TESTS);
    for (name, text) in files {
        let name = Path::new(name).file_name().unwrap_or_default();
        std::fs::write(folder.join(name), text).map_err(failed)?;
        say(&folder.join(name).display().to_string())?;
    }
    Ok(())
}
