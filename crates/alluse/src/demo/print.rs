//! What the demo says in the terminal: progress, every verdict, and the report at the end.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use wire::{
    control::{Change, Effect, Report, Setting, Status},
    knobs::Value,
};

/// The terminal. Everything goes to standard error; standard output is for the JSON.
#[derive(Debug)]
pub(super) struct Terminal {
    bar: ProgressBar,
    quiet: bool,
}

impl Terminal {
    pub(super) fn new(quiet: bool) -> Self {
        let bar = ProgressBar::new_spinner();
        Self { bar, quiet }
    }

    /// A line that stays.
    pub(super) fn say(&self, line: impl AsRef<str>) {
        if !self.quiet {
            self.bar.suspend(|| eprintln!("{}", line.as_ref()));
        }
    }

    /// A step begins that takes a moment.
    pub(super) fn step(&self, what: &str) {
        self.say(format!("▸ {what}"));
    }

    /// Tuning begins: a bar over its time, on a terminal.
    pub(super) fn begin(&self, duration: Duration) {
        if self.quiet {
            return;
        }
        let style = ProgressStyle::with_template("  {bar:32} {elapsed} of {len}s  {wide_msg}")
            .expect("the template is well-formed");
        self.bar.set_style(style);
        self.bar.set_length(duration.as_secs());
    }

    /// Tuning goes on.
    pub(super) fn progress(&self, elapsed: Duration, status: &Status) {
        self.bar.set_position(elapsed.as_secs());
        let message = match &status.running {
            Some(running) => format!(
                "change {}: pair {} of at most {}, evidence {:.1}",
                running.change, running.pairs, running.pairs_max, running.e_value
            ),
            None => "between two changes".to_owned(),
        };
        self.bar.set_message(message);
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// A change when it begins to be tried.
pub(super) fn begun(change: &Change) -> String {
    format!(
        "  change {} by {}: {}",
        change.id,
        change.author,
        settings(&change.settings)
    )
}

/// A change when it has ended.
pub(super) fn ended(change: &Change) -> String {
    let verdict = change
        .verdict
        .as_ref()
        .map_or("not judged", |v| v.call.as_str());
    let effect = change.verdict.as_ref().and_then(|v| v.effect.as_ref());
    let effect = effect
        .map(|e| format!(", {}", self::effect(e)))
        .unwrap_or_default();
    let pairs = change.verdict.as_ref().map_or(0, |v| v.pairs);
    let read_back = if change.verified {
        "read back"
    } else {
        "NOT verified"
    };
    let breach = change.breach.as_ref().map(|b| {
        let value = b
            .value
            .map_or_else(|| "nothing".to_owned(), |v| format!("{v:.4}"));
        let undone = change.rollback_ms.map(|ms| format!(", undone in {ms} ms"));
        format!(
            "; guard \"{}\" saw {value}, bound {:.4}{}",
            b.guard,
            b.bound,
            undone.unwrap_or_default()
        )
    });
    format!(
        "    {verdict}{effect} after {pairs} pairs: {} ({read_back}){}",
        change.state,
        breach.unwrap_or_default()
    )
}

/// Knobs with their old and new values.
pub(super) fn settings(settings: &[Setting]) -> String {
    let each = settings
        .iter()
        .map(|s| format!("{} {} → {}", s.knob, value(&s.old), value(&s.new)));
    each.collect::<Vec<_>>().join(", ")
}

fn value(value: &Value) -> String {
    match value {
        Value::Bool(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::Float(v) => v.to_string(),
        Value::Text(v) => v.clone(),
    }
}

/// An effect with its interval, in per cent.
pub(super) fn effect(effect: &Effect) -> String {
    let end = |x: Option<f64>| {
        x.map_or_else(
            || "unbounded".to_owned(),
            |x| format!("{:+.0} %", 100.0 * x),
        )
    };
    format!(
        "{:+.0} % [{} to {}, {:.0} % level]",
        100.0 * effect.estimate,
        end(effect.low),
        end(effect.high),
        100.0 * effect.level
    )
}

/// The report at the end.
pub(super) fn report(report: &Report) -> String {
    let mut lines = vec![String::new(), format!("After {:.0} s:", report.seconds)];
    for objective in &report.objectives {
        let ms =
            |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{:.2} ms", 1e3 * x));
        let effect = objective.effect.as_ref().map_or_else(
            || "no change was kept".to_owned(),
            |e| {
                format!(
                    "{} → {}: {}",
                    ms(objective.before),
                    ms(objective.after),
                    effect(e)
                )
            },
        );
        lines.push(format!(
            "  {} of {}: {effect}",
            objective.name, objective.target
        ));
    }
    let kept = report.changes.iter().filter(|c| c.state == "kept").count();
    let undone = report
        .changes
        .iter()
        .filter(|c| c.state == "undone")
        .count();
    lines.push(format!(
        "  {} changes: {kept} kept, {undone} undone, {} other",
        report.changes.len(),
        report.changes.len() - kept - undone
    ));
    for knob in &report.knobs {
        lines.push(format!("    {}", settings(std::slice::from_ref(knob))));
    }
    if let Some(own) = &report.own {
        lines.push(format!(
            "  ALL-USE itself: {:.1} CPU-s, {:.2} % of a core, {:.0} MB",
            own.cpu_seconds,
            100.0 * own.cpu_share,
            own.memory_bytes as f64 / 1e6
        ));
    }
    lines.join("\n")
}
