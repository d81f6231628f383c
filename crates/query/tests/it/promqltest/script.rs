//! The script language of promqltest: `load`, `clear`, `eval`, and what an `eval` expects.

use regex::Regex;

use super::{
    duration,
    series::{self, SeriesLine, Starts},
};

/// One command.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

/// `load <interval>` and its series.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) interval_ms: i64,
    /// Whether classic histograms are loaded as custom-bucket ones besides.
    pub(super) with_nhcb: bool,
    pub(super) series: Vec<LoadSeries>,
}

#[derive(Debug, Clone)]
pub(super) struct LoadSeries {
    pub(super) line: SeriesLine,
    /// Start timestamp of each point (ms), relative to it.
    pub(super) starts_ms: Vec<Option<i64>>,
}

/// `eval` and what it expects.
#[derive(Debug, Clone)]
pub(super) struct Eval {
    /// Line of the script, from 1.
    pub(super) line: usize,
    pub(super) query: String,
    pub(super) when: When,
    pub(super) expect: Expect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Instant { at_ms: i64 },
    Range(Steps),
}

/// Times from `from_ms` to `to_ms`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) step_ms: i64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Expect {
    pub(super) ordered: bool,
    pub(super) fail: Option<Pattern>,
    pub(super) warn: Vec<Pattern>,
    pub(super) info: Vec<Pattern>,
    pub(super) no_warn: bool,
    pub(super) no_info: bool,
    /// Times of the points an instant query's matrix must have.
    pub(super) range_vector: Option<Steps>,
    pub(super) result: Expected,
}

/// The expected value. No line at all means no series.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    Scalar(f64),
    String(String),
    Series(Vec<SeriesLine>),
}

impl Default for Expected {
    fn default() -> Self {
        Self::Series(Vec::new())
    }
}

/// What a message must look like.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    Any,
    Exactly(String),
    Matching(Regex),
}

impl Pattern {
    pub(super) fn matches(&self, message: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(text) => text == message,
            Self::Matching(regex) => regex.is_match(message),
        }
    }
}

/// A fault of a script.
#[derive(Debug)]
pub(super) struct ScriptError {
    /// From 1.
    pub(super) line: usize,
    pub(super) message: String,
}

/// Reads a script.
pub(super) fn parse(text: &str) -> Result<Vec<Command>, ScriptError> {
    let lines: Vec<&str> = text
        .lines()
        .map(|line| {
            if line.trim_start().starts_with('#') {
                ""
            } else {
                line.trim()
            }
        })
        .collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let length = lines[at..]
            .iter()
            .position(|l| l.is_empty())
            .unwrap_or(lines.len() - at);
        let taken = if length == 0 {
            1
        } else {
            let (command, taken) = parse_command(at + 1, &lines[at..at + length])?;
            commands.push(command);
            taken
        };
        at += taken;
    }
    Ok(commands)
}

/// The command at the start of a block, and how many of its lines belong to it.
fn parse_command(line: usize, block: &[&str]) -> Result<(Command, usize), ScriptError> {
    let at = |offset: usize| {
        move |message: String| ScriptError {
            line: line + offset,
            message,
        }
    };
    let (word, rest) = split_word(block[0]);
    match word {
        "clear" => Ok((Command::Clear, 1)),
        "load" | "load_with_nhcb" => {
            let interval_ms = duration::parse(rest).map_err(at(0))?;
            let series = parse_load(line + 1, &block[1..])?;
            let with_nhcb = word == "load_with_nhcb";
            Ok((
                Command::Load(Load {
                    interval_ms,
                    with_nhcb,
                    series,
                }),
                block.len(),
            ))
        }
        "eval" | "eval_fail" => {
            let (when, query) = parse_eval(rest).map_err(at(0))?;
            let mut expect = Expect::default();
            if word == "eval_fail" {
                expect.fail = Some(Pattern::Any);
            }
            let mut taken = 1;
            for text in &block[1..] {
                let more = parse_expectation(&mut expect, text).map_err(at(taken))?;
                taken += 1;
                if !more {
                    break;
                }
            }
            let eval = Eval {
                line,
                query: query.to_owned(),
                when,
                expect,
            };
            Ok((Command::Eval(Box::new(eval)), taken))
        }
        _ => Err(at(0)(format!("no such command: {word}"))),
    }
}

fn parse_load(line: usize, block: &[&str]) -> Result<Vec<LoadSeries>, ScriptError> {
    let mut all: Vec<LoadSeries> = Vec::new();
    let mut pending: Option<Starts> = None;
    for (offset, text) in block.iter().enumerate() {
        let fault = |message| ScriptError {
            line: line + offset,
            message,
        };
        if let Some(starts) = series::parse_starts(text).map_err(fault)? {
            pending = Some(starts);
            continue;
        }
        let series = series::parse(text).map_err(fault)?;
        let starts_ms = match pending.take() {
            Some((labels, starts))
                if labels == series.labels && starts.len() == series.points.len() =>
            {
                starts
            }
            Some((labels, starts)) => {
                return Err(fault(format!(
                    "{} starts for {labels} before another series",
                    starts.len()
                )));
            }
            None => Vec::new(),
        };
        all.retain(|other| other.line.labels != series.labels);
        all.push(LoadSeries {
            line: series,
            starts_ms,
        });
    }
    Ok(all)
}

fn parse_eval(rest: &str) -> Result<(When, &str), String> {
    let (kind, rest) = split_word(rest);
    let (keyword, rest) = split_word(rest);
    match (kind, keyword) {
        ("instant", "at") => {
            let (at, query) = split_word(rest);
            Ok((
                When::Instant {
                    at_ms: duration::parse(at)?,
                },
                query,
            ))
        }
        ("range", "from") => {
            let (steps, query) = parse_steps(rest)?;
            Ok((When::Range(steps), query))
        }
        _ => Err(format!("no such evaluation: {kind} {keyword}")),
    }
}

/// `<from> to <to> step <step>` and what follows.
fn parse_steps(text: &str) -> Result<(Steps, &str), String> {
    let (from, rest) = split_word(text);
    let (to, rest) = split_word(keyword("to", rest)?);
    let (step, rest) = split_word(keyword("step", rest)?);
    let steps = Steps {
        from_ms: duration::parse(from)?,
        to_ms: duration::parse(to)?,
        step_ms: duration::parse(step)?,
    };
    Ok((steps, rest))
}

fn keyword<'t>(word: &str, text: &'t str) -> Result<&'t str, String> {
    match split_word(text) {
        (found, rest) if found == word => Ok(rest),
        (found, _) => Err(format!("expected {word}, found {found:?}")),
    }
}

/// Takes one line below an `eval`; false if no other line can follow.
fn parse_expectation(expect: &mut Expect, text: &str) -> Result<bool, String> {
    if let ("expect", rest) = split_word(text) {
        parse_expect(expect, rest)?;
        return Ok(true);
    }
    if let Some(value) = bare_number(text) {
        expect.result = Expected::Scalar(value);
        return Ok(false);
    }
    let line = series::parse(text)?;
    match &mut expect.result {
        Expected::Series(lines) => lines.push(line),
        Expected::Scalar(_) | Expected::String(_) => {
            return Err("a series after a value".to_owned());
        }
    }
    Ok(true)
}

fn parse_expect(expect: &mut Expect, rest: &str) -> Result<(), String> {
    let (kind, rest) = split_word(rest);
    match kind {
        "ordered" => expect.ordered = true,
        "fail" => expect.fail = Some(parse_pattern(rest)?),
        "warn" => expect.warn.push(parse_pattern(rest)?),
        "info" => expect.info.push(parse_pattern(rest)?),
        "no_warn" => expect.no_warn = true,
        "no_info" => expect.no_info = true,
        "string" => expect.result = Expected::String(series::quoted(rest)?.0),
        "range" => {
            let (steps, _) = parse_steps(keyword("from", keyword("vector", rest)?)?)?;
            expect.range_vector = Some(steps);
        }
        _ => return Err(format!("no such expectation: {kind}")),
    }
    Ok(())
}

fn parse_pattern(text: &str) -> Result<Pattern, String> {
    if text.is_empty() {
        return Ok(Pattern::Any);
    }
    match text.split_once(':') {
        Some(("msg", message)) => Ok(Pattern::Exactly(message.trim().to_owned())),
        Some(("regex", regex)) => Ok(Pattern::Matching(
            Regex::new(regex.trim()).map_err(|e| e.to_string())?,
        )),
        Some(_) | None => Err(format!("neither msg: nor regex: but {text:?}")),
    }
}

fn bare_number(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .or_else(|| Some(i64::from_str_radix(text.strip_prefix("0x")?, 16).ok()? as f64))
}

fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

#[test]
fn a_comment_ends_a_block_and_indentation_means_nothing() {
    let script = "load 5m\n\tup 1 2\n# no more\n  eval instant at 1m up\n\texpect warn msg: x (1:1)\n\tup 1\n\nclear\neval range from 0 to 1m step 30s 1 + 2\n  {} 3x2\n";
    let commands = parse(script).unwrap();
    let [
        Command::Load(load),
        Command::Eval(instant),
        Command::Clear,
        Command::Eval(range),
    ] = &commands[..]
    else {
        panic!("not load, eval, clear, eval: {commands:?}");
    };
    assert_eq!((load.interval_ms, load.series.len()), (300_000, 1));
    assert_eq!((instant.line, instant.query.as_str()), (4, "up"));
    assert!(instant.expect.warn[0].matches("x (1:1)") && !instant.expect.warn[0].matches("x"));
    let steps = Steps {
        from_ms: 0,
        to_ms: 60_000,
        step_ms: 30_000,
    };
    assert_eq!(
        (range.when, range.query.as_str()),
        (When::Range(steps), "1 + 2")
    );
}

#[test]
fn faults_are_found_with_their_line() {
    for (script, line) in [
        ("\nlaod 5m\n", 2),
        ("load 5m\n  up 1\n  up{ 2\n", 3),
        ("eval instant at x up\n", 1),
        ("eval instant at 1m up\n  expect luck\n", 2),
        ("load 5m\n  a@st 1s\n  b 1\n", 3),
    ] {
        assert_eq!(parse(script).unwrap_err().line, line, "{script}");
    }
}
