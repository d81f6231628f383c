//! Runs `promtool`'s unit-test files: a store in memory gets the series of a test, the groups of
//! the named files are evaluated one interval after the other, and what is expected is compared
//! with what there is.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use model::{Clock, Labels, Sample, Value};
use query::{Engine, series_notation, series_notation::Point};
use rules::{
    ActiveAlert, Defaults, Evaluate, Group, GroupSpec, Surroundings,
    unit_test::{self, Test, TestFile},
};
use serde_json::json;
use testkit::MemoryStore;

use super::{
    expect::{self, Mismatch},
    say,
};
use crate::{Failure, ruling};

/// Evaluations of one test: more than a year of minutes is a slip of the keyboard.
const EVALUATIONS_MAX: i64 = 1_000_000;

/// What came of one file.
struct Outcome {
    file: String,
    tests: usize,
    mismatches: Vec<Mismatch>,
    /// The file, or one it names, cannot be read.
    mistakes: Vec<String>,
}

pub(super) fn run(files: &[PathBuf], only: Option<&str>, as_json: bool) -> Result<(), Failure> {
    let outcomes: Vec<Outcome> = files.iter().map(|file| run_file(file, only)).collect();
    let shown = if as_json {
        format!("{:#}", as_json_value(&outcomes))
    } else {
        let lines: Vec<String> = outcomes.iter().flat_map(lines).collect();
        lines.join("\n")
    };
    say(&shown)?;
    if outcomes.iter().any(|outcome| !outcome.mistakes.is_empty()) {
        return Err(Failure::usage(""));
    }
    if outcomes
        .iter()
        .any(|outcome| !outcome.mismatches.is_empty())
    {
        return Err(Failure::new(""));
    }
    Ok(())
}

fn lines(outcome: &Outcome) -> Vec<String> {
    let mut lines = outcome.mistakes.clone();
    lines.extend(outcome.mismatches.iter().flat_map(Mismatch::lines));
    let (file, tests) = (&outcome.file, outcome.tests);
    lines.push(match (outcome.mistakes.len(), outcome.mismatches.len()) {
        (0, 0) => format!("{file}: {tests} tests passed"),
        (0, failed) => format!("{file}: FAILED, {failed} expectations of {tests} tests not met"),
        (_, _) => format!("{file}: cannot be run"),
    });
    lines
}

fn as_json_value(outcomes: &[Outcome]) -> serde_json::Value {
    let mismatch = |m: &Mismatch| json!({"place": m.place, "what": m.what, "expected": m.expected, "found": m.found});
    let file = |outcome: &Outcome| {
        let mismatches: Vec<_> = outcome.mismatches.iter().map(mismatch).collect();
        json!({
            "file": outcome.file, "tests": outcome.tests,
            "mistakes": outcome.mistakes, "mismatches": mismatches,
        })
    };
    json!({ "files": outcomes.iter().map(file).collect::<Vec<_>>() })
}

fn run_file(path: &Path, only: Option<&str>) -> Outcome {
    let mut outcome = Outcome {
        file: path.display().to_string(),
        tests: 0,
        mismatches: Vec::new(),
        mistakes: Vec::new(),
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let what = format!("{}: cannot be read: {error}", path.display());
            outcome.mistakes.push(what);
            return outcome;
        }
    };
    let file = match unit_test::read(&outcome.file, &text) {
        Ok(file) => file,
        Err(notes) => {
            outcome.mistakes = notes.iter().map(ToString::to_string).collect();
            return outcome;
        }
    };
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let groups = match groups(folder, &file) {
        Ok(groups) => groups,
        Err(mistakes) => {
            outcome.mistakes = mistakes;
            return outcome;
        }
    };
    let wanted = |test: &&Test| only.is_none_or(|only| test.name.contains(only));
    for test in file.tests.iter().filter(wanted) {
        outcome.tests += 1;
        outcome.mismatches.extend(run_test(&file, test, &groups));
    }
    outcome
}

/// The groups of all rule files a test file names, in the order they are evaluated in.
fn groups(folder: &Path, file: &TestFile) -> Result<Vec<GroupSpec>, Vec<String>> {
    let defaults = Defaults {
        interval: file.evaluation_interval,
        query_offset: Duration::ZERO,
    };
    let (mut groups, mut mistakes) = (Vec::new(), Vec::new());
    for pattern in &file.rule_files {
        for path in collect::prometheus_config::expand(&folder.join(pattern)) {
            match ruling::read_file(&path, defaults) {
                Ok(read) => groups.extend(read.groups),
                Err(notes) => mistakes.extend(notes.iter().map(ToString::to_string)),
            }
        }
    }
    let order = |group: &GroupSpec| {
        let place = file.group_order.iter().position(|name| *name == group.name);
        place.unwrap_or(usize::MAX)
    };
    groups.sort_by_key(order);
    if mistakes.is_empty() {
        Ok(groups)
    } else {
        Err(mistakes)
    }
}

/// One test. `groups` are those of all files.
pub(super) fn run_test(file: &TestFile, test: &Test, groups: &[GroupSpec]) -> Vec<Mismatch> {
    let bench = Bench::default();
    if let Err(what) = bench.load(test) {
        return vec![Mismatch::failed(&test.place, what)];
    }
    let mut groups: Vec<Group> = groups
        .iter()
        .map(|spec| Group::new(spec.clone().into(), false))
        .collect();
    let step_ms = ms(file.evaluation_interval);
    let last = test.alerts.iter().map(|alert| alert.at);
    let last = last.chain(test.queries.iter().map(|query| query.at)).max();
    let last_ms = ms(last.unwrap_or_default());
    if last_ms / step_ms > EVALUATIONS_MAX {
        let what = format!("more than {EVALUATIONS_MAX} evaluations");
        return vec![Mismatch::failed(&test.place, what)];
    }
    let external = Labels::from_pairs(test.external_labels.iter().cloned());
    let mut mismatches = Vec::new();
    for after_ms in (0..=last_ms).step_by(usize::try_from(step_ms).unwrap_or(1)) {
        let at_ms = test.start_ms + after_ms;
        let mut failed = Vec::new();
        for group in &mut groups {
            bench.evaluate(group, at_ms, &external, &test.external_url);
            failed.extend(errors(group, test, after_ms));
        }
        if !failed.is_empty() {
            return failed;
        }
        let alerts = active(&groups);
        let judged = test
            .alerts
            .iter()
            .filter(|alert| (after_ms..after_ms + step_ms).contains(&ms(alert.at)));
        mismatches.extend(judged.filter_map(|alert| expect::alerts(alert, &alerts)));
    }
    for query in &test.queries {
        let at_ms = test.start_ms + ms(query.at);
        mismatches.extend(match bench.answer(&query.expr, at_ms) {
            Ok(answer) => expect::samples(query, &answer, file.fuzzy),
            Err(what) => Some(Mismatch::failed(
                &query.place,
                format!("{}: {what}", query.expr),
            )),
        });
    }
    for mismatch in &mut mismatches {
        if !test.name.is_empty() {
            mismatch.what = format!("{}: {}", test.name, mismatch.what);
        }
    }
    mismatches
}

fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Rules whose evaluation failed.
fn errors(group: &Group, test: &Test, after_ms: i64) -> Vec<Mismatch> {
    let status = group.status();
    let failed = status.rules.iter().filter_map(|rule| {
        let error = rule.last_error.as_ref()?;
        let name = &status.spec.rules[rule.index].name;
        let what = format!("rule {name} at {} s: {error}", after_ms / 1_000);
        Some(Mismatch::failed(&test.place, what))
    });
    failed.collect()
}

fn active(groups: &[Group]) -> Vec<ActiveAlert> {
    let statuses = groups.iter().map(Group::status);
    let alerts = statuses.flat_map(|status| {
        let rules = status.rules.into_iter();
        rules.flat_map(|rule| rule.alerts).collect::<Vec<_>>()
    });
    alerts.collect()
}

/// A store in memory and the query engine.
#[derive(Default)]
struct Bench {
    store: MemoryStore,
    engine: Engine,
}

/// A clock that does not move: evaluations take no time.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn wall_ms(&self) -> i64 {
        0
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

impl Bench {
    fn load(&self, test: &Test) -> Result<(), String> {
        let mut seen = BTreeMap::new();
        for (series, values) in &test.series {
            let line = series_notation::parse(&format!("{series} {values}"))
                .map_err(|what| format!("{series}: {what}"))?;
            if seen.insert(line.labels.clone(), ()).is_some() {
                return Err(format!("the series {} is there twice", line.labels));
            }
            let times = (0..).map(|i| test.start_ms + i * ms(test.interval));
            for (time_ms, point) in times.zip(line.points) {
                let value = match point {
                    Point::Missing => continue,
                    Point::Float(value) => Value::Float(value),
                    Point::Histogram { histogram, .. } => Value::Histogram(histogram),
                };
                let sample = Sample {
                    labels: line.labels.clone(),
                    time_ms,
                    value,
                };
                self.store.insert(&sample, None);
            }
        }
        Ok(())
    }

    fn evaluate(&self, group: &mut Group, at_ms: i64, external: &Labels, url: &str) {
        let around = Surroundings {
            evaluator: self,
            sink: &self.store,
            clock: &Still,
            external_labels: external,
            external_url: url,
        };
        // Nobody is told: the test looks at the states.
        drop(group.evaluate(at_ms, &around));
    }

    fn answer(&self, expr: &str, at_ms: i64) -> Result<Vec<(Labels, Value)>, String> {
        let answer = self.engine.instant(&self.store, expr, at_ms);
        let answer = answer.map_err(|error| crate::api::problem::chain(&error))?;
        ruling::elements(answer.value)
    }
}

impl Evaluate for Bench {
    fn evaluate(&self, expr: &str, at_ms: i64) -> Result<Vec<(Labels, Value)>, String> {
        self.answer(expr, at_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rules::Kind;

    use super::*;
    use crate::ruling::defaults;

    /// The default rules with their tests, by the name they share.
    fn shipped() -> Vec<(Vec<GroupSpec>, TestFile)> {
        let files = defaults::FILES.iter().zip(&defaults::TESTS);
        files
            .map(|((name, text), (test_name, test))| {
                let stem = name.strip_suffix(".yml").unwrap();
                assert_eq!(*test_name, format!("{stem}.test.yml"));
                let check = &crate::ruling::check;
                let rules = rules::file::read(name, text, Defaults::default(), check);
                let test = unit_test::read(test_name, test);
                (
                    rules.unwrap_or_else(|notes| panic!("{notes:#?}")).groups,
                    test.unwrap_or_else(|notes| panic!("{notes:#?}")),
                )
            })
            .collect()
    }

    #[test]
    fn the_tests_of_the_shipped_rules_pass() {
        for (groups, file) in shipped() {
            for test in &file.tests {
                let mismatches = run_test(&file, test, &groups);
                let lines: Vec<String> = mismatches.iter().flat_map(Mismatch::lines).collect();
                assert!(lines.is_empty(), "{}", lines.join("\n"));
            }
        }
    }

    #[test]
    fn every_shipped_alert_has_a_test_that_makes_it_fire_and_one_that_keeps_it_quiet() {
        let mut alerts = 0;
        for (groups, file) in shipped() {
            let tests = file.tests.iter().flat_map(|test| &test.alerts);
            let (firing, quiet): (Vec<_>, Vec<_>) = tests.partition(|t| !t.expected.is_empty());
            let names = |tests: &[&rules::unit_test::AlertTest]| -> BTreeSet<String> {
                tests.iter().map(|test| test.name.clone()).collect()
            };
            let (firing, quiet) = (names(&firing), names(&quiet));
            for rule in groups.iter().flat_map(|group| &group.rules) {
                if let Kind::Alert(alert) = &rule.kind {
                    alerts += 1;
                    assert!(firing.contains(&rule.name), "{} never fires", rule.name);
                    assert!(quiet.contains(&rule.name), "{} is never quiet", rule.name);
                    let has = |name: &str| alert.annotations.iter().any(|(n, _)| n == name);
                    assert!(has("summary") && has("description"), "{}", rule.name);
                    let severity = rule.labels().get("severity").map(str::to_owned);
                    let severity = severity.unwrap_or_default();
                    assert!(matches!(severity.as_str(), "info" | "warning" | "critical"));
                }
            }
        }
        assert!(alerts >= 20, "{alerts} alerts are shipped");
    }
}
