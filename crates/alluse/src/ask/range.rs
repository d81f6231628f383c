//! The range a query is asked for: what is left out ends now, by the server's clock, and has about
//! as many steps as a screen has columns.

use crate::{
    Failure,
    api::params::{Span, time_ms},
    asking,
    cli::QueryArgs,
};

/// First time, last time and step, seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) step: f64,
}

/// Steps that a person has an idea of, seconds.
const STEPS: [f64; 19] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0,
    10_800.0, 21_600.0, 43_200.0, 86_400.0, 604_800.0,
];

/// Steps of a range at most, unless its step is given.
const COUNT: f64 = 240.0;

impl Range {
    /// The range that is asked for, if one is.
    pub(super) fn of(args: &QueryArgs) -> Result<Option<Self>, Failure> {
        let parse = |flag: &str, text: &str, read: fn(&str) -> Option<i64>, example: &str| {
            let wrong = || Failure::usage(format!("alluse: --{flag} {text:?} is not {example}"));
            read(text).map(|ms| ms as f64 / 1e3).ok_or_else(wrong)
        };
        let time = |flag, text| {
            let example = "a time such as 2026-01-31T12:00:00Z or seconds since the Unix epoch";
            parse(flag, text, time_ms, example)
        };
        let positive = |text: &str| {
            let span = Span::parse(text).ok().filter(|span| span.ms > 0)?;
            Some(span.ms)
        };
        let span = |flag, text| parse(flag, text, positive, "a span such as 15s or 1h");
        if args.start.is_none() && args.last.is_none() {
            return Ok(None);
        }
        let end = match &args.end {
            Some(end) => time("end", end)?,
            None => now(args)?,
        };
        let start = match (&args.start, &args.last) {
            (Some(start), _) => time("start", start)?,
            (None, last) => end - span("last", last.as_deref().unwrap_or_default())?,
        };
        let step = match &args.step {
            Some(step) => span("step", step)?,
            None => usual_step(end - start),
        };
        // Steps that stay where they are from one asking to the next.
        let aligned = args.end.is_none() && args.start.is_none();
        let floor = |time: f64| (time / step).floor() * step;
        Ok(Some(match aligned && step > 0.0 {
            true => Self {
                start: floor(start),
                end: floor(end),
                step,
            },
            false => Self { start, end, step },
        }))
    }
}

/// The time that the server's clock says, seconds.
fn now(args: &QueryArgs) -> Result<f64, Failure> {
    let url = asking::api(&args.url, "query");
    let reply = asking::ask(|client| client.post(url).form(&[("query", "time()")]))?;
    let time = reply["data"]["result"][1].as_str();
    let time = time.and_then(|text| text.parse().ok());
    time.ok_or_else(|| Failure::new(format!("alluse: the server does not say the time: {reply}")))
}

/// The first of the usual steps of which a range has not too many.
fn usual_step(length: f64) -> f64 {
    let fits = |step: &f64| length / step <= COUNT;
    STEPS.into_iter().find(fits).unwrap_or(length / COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_about_as_many_steps_as_a_screen_has_columns() {
        let steps = [0.0, 60.0, 600.0, 3_600.0, 86_400.0, 30.0 * 86_400.0].map(usual_step);
        assert_eq!(steps, [1.0, 1.0, 5.0, 15.0, 600.0, 10_800.0]);
    }
}
