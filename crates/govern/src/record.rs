//! The event record: one JSON object a line, and the way back from it.
//!
//! A line is `{"v":1,"at_ms":…,"event":{…}}`, or `{"v":1,"at_ms":…,"state":{…}}` for a snapshot:
//! a replay needs no line before the newest snapshot. Events that left no trace (most ticks) are
//! not recorded; a replay of the rest rebuilds the governor exactly.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Command, Event, Governor, Policy};

/// Version of the lines.
pub const RECORD_VERSION: u32 = 1;

/// What a step leaves: what to do, and what to write down first.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// What is to be done, once the line is on disk.
    pub commands: Vec<Command>,
    /// The line for the record; `None` when the event left no trace.
    pub line: Option<String>,
}

/// A record that cannot be replayed.
#[derive(Debug)]
pub struct ReplayError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug)]
pub enum Problem {
    /// It is not a line of this record.
    Syntax(serde_json::Error),
    /// It was written by another version of the program.
    Version(u32),
    /// It holds neither an event nor a state, or both.
    Ambiguous,
}

/// Not `flatten`: buffered, JSON's text keys would no longer read as the numbers they are.
#[derive(Serialize, Deserialize)]
struct Line<E, S> {
    v: u32,
    at_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<E>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<S>,
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

impl Governor {
    /// [`Governor::step`], with the line that has to be on disk before any order is sent.
    pub fn turn(&mut self, now_ms: i64, event: Event) -> Turn {
        let event = event.recordable();
        let line = write(now_ms, Some(&event), None);
        let (commands, mattered) = self.advance(now_ms, event);
        Turn {
            commands,
            line: mattered.then_some(line),
        }
    }

    /// The whole state as a line: the lines before it may be dropped.
    #[must_use]
    pub fn snapshot(&self, now_ms: i64) -> String {
        write(now_ms, None, Some(self))
    }
}

/// Rebuilds the governor that wrote these lines. A caller that starts a new life then hands it
/// [`Event::Started`].
///
/// # Errors
/// The first line that is not of this record.
pub fn replay<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Governor, ReplayError> {
    let mut governor = Governor::new(Policy::default());
    for (index, text) in lines.into_iter().enumerate() {
        let line = index + 1;
        take(&mut governor, text).map_err(|problem| ReplayError { line, problem })?;
    }
    Ok(governor)
}

fn write(at_ms: i64, event: Option<&Event>, state: Option<&Governor>) -> String {
    let line = Line {
        v: RECORD_VERSION,
        at_ms,
        event,
        state,
    };
    serde_json::to_string(&line).expect("recordable events are JSON")
}

fn take(governor: &mut Governor, text: &str) -> Result<(), Problem> {
    let Versioned { v } = serde_json::from_str(text).map_err(Problem::Syntax)?;
    if v != RECORD_VERSION {
        return Err(Problem::Version(v));
    }
    let line: Line<Event, Governor> = serde_json::from_str(text).map_err(Problem::Syntax)?;
    match (line.state, line.event) {
        (Some(state), None) => *governor = state,
        (None, Some(event)) => drop(governor.advance(line.at_ms, event)),
        (None, None) | (Some(_), Some(_)) => return Err(Problem::Ambiguous),
    }
    Ok(())
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replay the governor's record: line {}: ", self.line)?;
        match &self.problem {
            Problem::Syntax(_) => f.write_str("not a line of this record"),
            Problem::Ambiguous => f.write_str("not one event or one state"),
            Problem::Version(v) => write!(
                f,
                "version {v} was written by another program; this one reads {RECORD_VERSION}"
            ),
        }
    }
}

impl std::error::Error for ReplayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Syntax(source) => Some(source),
            Problem::Version(_) | Problem::Ambiguous => None,
        }
    }
}
