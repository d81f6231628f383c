//! PromQL's acceptance scripts: the upstream ones where they are at hand, and our own.
//!
//! Upstream cases that are known to fail are listed in `expected_failures.txt`, one
//! `file:line reason` a line. A case that passes must leave the list and one that fails must not
//! join it unseen; `PROMQLTEST_WRITE=1` writes the list afresh.

mod compare;
mod load;
mod rewrite;
mod run;
mod script;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use query::series_notation::{self as series, duration};
use run::{Failure, Report};

/// Cases in the upstream scripts of August 2026.
const UPSTREAM_CASES: usize = 2214;
/// Failures told in full before the rest is only counted.
const TOLD_IN_FULL: usize = 40;
/// Longest reason in the list of expected failures, characters.
const REASON_CHARS: usize = 140;

fn manifest_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn expected_failures_path() -> PathBuf {
    manifest_dir().join("tests/it/expected_failures.txt")
}

/// Scripts of a folder with their text, by file name; none if there is no such folder.
fn scripts(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return BTreeMap::new();
    };
    let paths = entries.map(|entry| entry.expect("the folder can be listed").path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "test"))
        .map(|path| {
            let name = path
                .file_name()
                .expect("a listed file has a name")
                .to_string_lossy()
                .into_owned();
            (
                name,
                fs::read_to_string(&path).expect("a script can be read"),
            )
        })
        .collect()
}

/// The upstream scripts, unless they are not here.
fn upstream() -> Option<BTreeMap<String, String>> {
    let found = scripts(&manifest_dir().join("../../../shared/data/promqltest"));
    if found.is_empty() {
        tell("the upstream promqltest scripts are not here: skipped\n");
        return None;
    }
    Some(found)
}

/// Writes past the capture of the test harness: the figures are for everyone to see.
fn tell(text: &str) {
    std::io::stderr()
        .write_all(text.as_bytes())
        .expect("standard error can be written");
}

fn run_all(scripts: &BTreeMap<String, String>) -> Vec<Report> {
    scripts
        .iter()
        .map(|(file, text)| run::run(file, text).unwrap_or_else(|e| panic!("{e}")))
        .collect()
}

fn table(reports: &[Report]) -> String {
    let mut text = String::new();
    let mut line = |file: &str, failed: usize, cases: usize| {
        writeln!(text, "{file:<28}{:>6} /{cases:>5}", cases - failed).expect("a string takes text");
    };
    for report in reports {
        line(&report.file, report.failures.len(), report.cases);
    }
    let failed = reports.iter().map(|r| r.failures.len()).sum();
    line("all", failed, reports.iter().map(|r| r.cases).sum());
    text
}

/// Failures by script and line.
type Failures<'r> = BTreeMap<(&'r str, usize), &'r Failure>;

fn failures(reports: &[Report]) -> Failures<'_> {
    let all = reports
        .iter()
        .flat_map(|r| r.failures.iter().map(|f| (r.file.as_str(), f)));
    all.map(|(file, failure)| ((file, failure.line), failure))
        .collect()
}

fn told<'f>(failures: impl Iterator<Item = (&'f (&'f str, usize), &'f &'f Failure)>) -> String {
    let mut text = String::new();
    for ((file, line), failure) in failures.take(TOLD_IN_FULL) {
        write!(
            text,
            "\n{file}:{line}: {}\n    {}\n",
            failure.query, failure.reason
        )
        .expect("a string takes text");
    }
    text
}

fn write_expected(failures: &Failures<'_>) {
    let mut text = String::new();
    for ((file, line), failure) in failures {
        let words: Vec<&str> = failure.reason.split_whitespace().collect();
        let reason: String = words.join(" ").chars().take(REASON_CHARS).collect();
        writeln!(text, "{file}:{line} {reason}").expect("a string takes text");
    }
    fs::write(expected_failures_path(), text).expect("the list can be written");
}

#[test]
fn upstream_scripts_pass_but_for_the_listed_cases() {
    let Some(scripts) = upstream() else { return };
    let reports = run_all(&scripts);
    tell(&table(&reports));
    let failures = failures(&reports);
    if std::env::var_os("PROMQLTEST_WRITE").is_some() {
        write_expected(&failures);
        return;
    }
    let text = fs::read_to_string(expected_failures_path()).unwrap_or_default();
    let listed: Vec<(&str, usize)> = text.lines().map(place).collect();
    let unexpected = failures.iter().filter(|(place, _)| !listed.contains(place));
    let count = unexpected.clone().count();
    assert!(
        count == 0,
        "{count} cases fail that are not listed:{}",
        told(unexpected)
    );
    let passing: Vec<_> = listed
        .iter()
        .filter(|place| !failures.contains_key(place))
        .collect();
    assert!(
        passing.is_empty(),
        "these pass now and must leave expected_failures.txt: {passing:?}"
    );
}

/// Script and line at the start of a line of the list.
fn place(line: &str) -> (&str, usize) {
    let place = line
        .split_whitespace()
        .next()
        .and_then(|word| word.split_once(':'));
    let place = place.and_then(|(file, line)| Some((file, line.parse().ok()?)));
    place.unwrap_or_else(|| panic!("{line:?} is not `file:line reason`"))
}

#[test]
fn every_upstream_case_is_read() {
    let Some(scripts) = upstream() else { return };
    let cases = scripts.iter().map(|(file, text)| {
        let commands =
            script::parse(text).unwrap_or_else(|e| panic!("{file}:{} {}", e.line, e.message));
        commands
            .iter()
            .filter(|c| matches!(c, script::Command::Eval(_)))
            .count()
    });
    assert_eq!(cases.sum::<usize>(), UPSTREAM_CASES);
}

#[test]
fn every_upstream_query_is_parsed_and_can_be_fixed_in_time() {
    let Some(scripts) = upstream() else { return };
    let engine = run::engine();
    let mut faults = Vec::new();
    for (file, text) in &scripts {
        for command in script::parse(text).expect("every upstream case is read") {
            let script::Command::Eval(eval) = command else {
                continue;
            };
            let fixed = engine
                .parse(&eval.query)
                .map(|e| rewrite::fixed_at(&eval.query, &e, 1500));
            let fault = match fixed {
                Ok(Some(fixed)) => engine.parse(&fixed).err().map(|e| format!("{fixed}: {e}")),
                Ok(None) => None,
                Err(e) if eval.expect.fail.is_none() => Some(format!("{}: {e}", eval.query)),
                Err(_) => None,
            };
            faults.extend(fault.map(|fault| format!("{file}:{} {fault}", eval.line)));
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn our_own_scripts_pass() {
    let scripts = scripts(&manifest_dir().join("tests/testdata"));
    assert!(
        !scripts.is_empty(),
        "our own scripts are part of the repository"
    );
    let reports = run_all(&scripts);
    tell(&table(&reports));
    let failures = failures(&reports);
    assert!(
        failures.is_empty(),
        "{} cases fail:{}",
        failures.len(),
        told(failures.iter())
    );
}

/// A case per fault that the runner must see; each fails.
const WRONG: &str = r#"
load 1m
  x{a="1"} 1 2 3
  x{a="2"} {{count:2 buckets:[1 1]}}x2

eval instant at 1m x{a="1"}
  x{a="1"} 2.1

eval instant at 1m x{a="1"}
  x{a="1"} 2
  x{a="3"} 2

eval instant at 1m x
  x{a="1"} 2

eval instant at 1m x{a="2"}
  x{a="2"} {{count:2 buckets:[1 2]}}

eval instant at 1m x{a="2"}
  x{a="2"} {{count:2 buckets:[1 1] counter_reset_hint:gauge}}

eval instant at 1m sum(x{a="1"})
  expect warn
  {} 2

eval instant at 1m sum(x)
  expect no_warn

eval instant at 1m sum(x)
  expect warn msg: something else

eval instant at 1m sort(x{a="1"} or vector(1))
  expect ordered
  x{a="1"} 2
  {} 1

eval instant at 1m x{a="1"}
  expect fail

eval instant at 1m x{
  x 1

eval instant at 1m x{
  expect fail msg: another reason

eval instant at 1m 1
  2

eval instant at 1m "a"
  expect string "b"

eval range from 0 to 2m step 1m x{a="1"}
  x{a="1"} 1 2 3 3

eval range from 0 to 2m step 1m x{a="1"}
  x{a="1"} 1 2 _

eval instant at 2m x{a="1"}[2m]
  expect range vector from 0 to 2m step 1m
  x{a="1"} 1 2 3
"#;

#[test]
fn the_runner_sees_every_kind_of_fault() {
    let report = run::run("wrong", WRONG).unwrap_or_else(|e| panic!("{e}"));
    let seen: Vec<usize> = report.failures.iter().map(|f| f.line).collect();
    assert_eq!(report.cases, WRONG.matches("eval").count());
    assert_eq!(seen.len(), report.cases, "only these were seen: {seen:?}");
}
