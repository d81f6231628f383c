//! Runs a script against the engine, each instant case three ways.
//!
//! As it stands; fixed with `@` and asked at other times; and each of these as a range query,
//! whose middle step must answer the same.

use model::Value;
use query::{Engine, Limits, Options, QueryError, QueryValue};
use regex::Regex;

use super::{
    compare,
    load::Loaded,
    rewrite,
    script::{self, Command, Eval, Expected, When},
};

/// Samples a query of a script may hold.
const SAMPLES_MAX: usize = 10_000;
const MINUTE_MS: i64 = 60_000;

/// What became of one script.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) file: String,
    pub(super) cases: usize,
    pub(super) failures: Vec<Failure>,
}

/// A case that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// Line of the case in its script.
    pub(super) line: usize,
    pub(super) query: String,
    pub(super) reason: String,
}

/// The engine with the settings that scripts assume.
pub(super) fn engine() -> Engine {
    let limits = Limits {
        samples: SAMPLES_MAX,
        ..Limits::default()
    };
    Engine::new(Options {
        limits,
        ..Options::default()
    })
}

/// Runs all cases of a script; `Err` if the script itself is faulty.
pub(super) fn run(file: &str, text: &str) -> Result<Report, String> {
    let commands =
        script::parse(text).map_err(|fault| format!("{file}:{} {}", fault.line, fault.message))?;
    let engine = engine();
    let mut loaded = Loaded::default();
    let mut report = Report {
        file: file.to_owned(),
        cases: 0,
        failures: Vec::new(),
    };
    for command in &commands {
        match command {
            Command::Clear => loaded = Loaded::default(),
            Command::Load(load) => loaded
                .load(load)
                .map_err(|e| format!("{file}: load: {e}"))?,
            Command::Eval(eval) => {
                report.cases += 1;
                if let Err(reason) = run_eval(&engine, &loaded, eval) {
                    let query = eval.query.clone();
                    report.failures.push(Failure {
                        line: eval.line,
                        query,
                        reason,
                    });
                }
            }
        }
    }
    Ok(report)
}

fn run_eval(engine: &Engine, loaded: &Loaded, eval: &Eval) -> Result<(), String> {
    let at_ms = match eval.when {
        When::Instant { at_ms } => at_ms,
        When::Range(steps) => {
            let answer = engine.range(
                &loaded.store,
                &eval.query,
                steps.from_ms,
                steps.to_ms,
                steps.step_ms,
            );
            return match judge_error(eval, answer)? {
                Some(answer) => compare::compare(&eval.expect, Some(steps), &answer),
                None => Ok(()),
            };
        }
    };
    let at_ms = eval.expect.range_vector.map_or(at_ms, |_| at_ms);
    instant(engine, loaded, eval, &eval.query, at_ms)?;
    let Ok(expr) = engine.parse(&eval.query) else {
        return Ok(());
    };
    let fixed_at = eval.expect.range_vector.map_or(at_ms, |steps| steps.to_ms);
    let Some(fixed) = rewrite::fixed_at(&eval.query, &expr, fixed_at) else {
        return Ok(());
    };
    for time_ms in rewrite::times(fixed_at) {
        instant(engine, loaded, eval, &fixed, time_ms)
            .map_err(|reason| format!("as {fixed} at {time_ms} ms: {reason}"))?;
    }
    Ok(())
}

/// The answer to compare; `None` if the case failed as it should.
fn judge_error(
    eval: &Eval,
    answer: Result<query::Answer, QueryError>,
) -> Result<Option<query::Answer>, String> {
    match (answer, &eval.expect.fail) {
        (Ok(answer), None) => Ok(Some(answer)),
        (Ok(answer), Some(_)) => Err(format!(
            "expected to fail, found\n{}",
            compare::show(&answer.value)
        )),
        (Err(error), Some(pattern)) if pattern.matches(&message(&error)) => Ok(None),
        (Err(error), Some(pattern)) => Err(format!(
            "expected to fail with {pattern:?}, not: {}",
            message(&error)
        )),
        (Err(error), None) => Err(format!("failed: {error}")),
    }
}

/// The message of an error as Prometheus gives it: without the position.
fn message(error: &QueryError) -> String {
    match error {
        QueryError::Parse(parse) => parse.message.clone(),
        other => other.to_string(),
    }
}

fn instant(
    engine: &Engine,
    loaded: &Loaded,
    eval: &Eval,
    query: &str,
    at_ms: i64,
) -> Result<(), String> {
    let answer = engine.instant(&loaded.store, query, at_ms);
    let Some(answer) = judge_error(eval, answer)? else {
        return Ok(());
    };
    compare::compare(&eval.expect, None, &answer)?;
    if has_middle_step(eval, query) {
        middle_step(engine, loaded, eval, query, at_ms)
            .map_err(|reason| format!("as a range query: {reason}"))?;
    }
    Ok(())
}

/// Whether a range query around the time must agree in its middle.
fn has_middle_step(eval: &Eval, query: &str) -> bool {
    let depends_on_range =
        Regex::new(r"(start|end|range|step)\(\)").expect("the expression is valid");
    !eval.expect.ordered
        && eval.expect.range_vector.is_none()
        && !matches!(eval.expect.result, Expected::String(_))
        && !depends_on_range.is_match(query)
}

fn middle_step(
    engine: &Engine,
    loaded: &Loaded,
    eval: &Eval,
    query: &str,
    at_ms: i64,
) -> Result<(), String> {
    let (from, to) = (at_ms - MINUTE_MS, at_ms + MINUTE_MS);
    let answer = engine
        .range(&loaded.store, query, from, to, MINUTE_MS)
        .map_err(|error| format!("failed: {error}"))?;
    let QueryValue::Matrix(series) = &answer.value else {
        return Err(format!("no matrix but\n{}", compare::show(&answer.value)));
    };
    if !compare::sorted(series) {
        return Err(format!(
            "not sorted by labels:\n{}",
            compare::show(&answer.value)
        ));
    }
    let samples = compare::step_of(series, at_ms);
    let value = match (&eval.expect.result, samples.first().map(|s| &s.value)) {
        (Expected::Scalar(_), Some(Value::Float(value))) => QueryValue::Scalar {
            time_ms: at_ms,
            value: *value,
        },
        _ => QueryValue::Vector(samples),
    };
    compare::value(&eval.expect, None, &value)
}
