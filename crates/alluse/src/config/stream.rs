//! `[[stream]]`: what is windowed, joined and reshaped in flight.
//!
//! ```toml
//! [[stream]]
//! name = "checkout_seconds"                 # results: checkout_seconds_mean, ...
//! select = 'http_request_seconds{path="/checkout"}'
//! lateness = "5s"
//!
//! [[stream.step]]
//! do = "window"
//! every = "1m"
//! by = ["job"]
//! stats = ["count", "mean", "p99"]
//! ```

use std::time::Duration;

use model::Matcher;
use stream::{
    Arithmetic, Enrich, Filter, JoinSpec, MapSpec, Normalize, Range, Stat, Step, StreamSpec,
    Validate, WindowKind, WindowSpec,
};

use super::said::Section;

/// Panes of a sliding window: each close merges so many.
const PANES_MAX: i64 = 360;

/// Longest window: its samples are read again after a restart.
const WINDOW_MAX: Duration = Duration::from_secs(86_400);

const SHORTEST: Duration = Duration::from_millis(1);

pub(super) fn streams(root: &Section<'_, '_>) -> Vec<StreamSpec> {
    let streams: Vec<StreamSpec> = root.sections("stream").into_iter().map(stream).collect();
    let names: Vec<&str> = streams.iter().map(|s| s.name.as_str()).collect();
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            root.mistake("stream", format!("two streams are named {name:?}"));
        }
    }
    streams
}

fn stream(said: Section<'_, '_>) -> StreamSpec {
    let name = said.required_text("name");
    if !name.is_empty() && !is_metric_name(&name) {
        said.mistake("name", format!("{name:?} cannot be a metric's name"));
    }
    let steps = said.sections("step");
    if steps.is_empty() {
        said.mistake("step", "a stream has at least one [[stream.step]]");
    }
    let stream = StreamSpec {
        name,
        matchers: selector(&said, "select").unwrap_or_default(),
        lateness_ms: span(&said, "lateness", Duration::ZERO..=WINDOW_MAX).unwrap_or(5_000),
        steps: steps.into_iter().filter_map(step).collect(),
    };
    said.finish();
    stream
}

fn is_metric_name(name: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    name.chars().all(inside) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn span(
    said: &Section<'_, '_>,
    key: &'static str,
    allowed: std::ops::RangeInclusive<Duration>,
) -> Option<i64> {
    let span = said.duration(key, allowed)?;
    Some(i64::try_from(span.as_millis()).expect("at most a day"))
}

/// A selector that must be there.
fn selector(said: &Section<'_, '_>, key: &'static str) -> Option<Vec<Matcher>> {
    let text = said.required_text(key);
    if text.is_empty() {
        return None;
    }
    query::parse_selector(&text)
        .map_err(|error| said.mistake(key, error.to_string()))
        .ok()
}

/// Reads a step of one kind.
type ReadsStep = fn(&Section<'_, '_>) -> Step;

const STEPS: [(&str, ReadsStep); 8] = [
    ("validate", validate),
    ("filter", filter),
    ("map", map),
    ("normalize", normalize),
    ("enrich", enrich),
    ("order", |_| Step::Order),
    ("window", window),
    ("join", join),
];

fn step(said: Section<'_, '_>) -> Option<Step> {
    if said.required_text("do").is_empty() {
        return None;
    }
    let step = said.choice("do", &STEPS)?(&said);
    said.finish();
    Some(step)
}

fn range(said: &Section<'_, '_>) -> Range {
    let all = Range::default();
    Range {
        at_least: said.number("at_least").unwrap_or(all.at_least),
        at_most: said.number("at_most").unwrap_or(all.at_most),
    }
}

fn validate(said: &Section<'_, '_>) -> Step {
    Step::Validate(Validate {
        range: range(said),
        require: said.texts("require"),
    })
}

fn filter(said: &Section<'_, '_>) -> Step {
    let keep = said.has("keep").then(|| selector(said, "keep")).flatten();
    Step::Filter(Filter {
        range: range(said),
        matchers: keep.unwrap_or_default(),
    })
}

fn map(said: &Section<'_, '_>) -> Step {
    Step::Map(MapSpec {
        scale: said.number("scale").unwrap_or(1.0),
        offset: said.number("offset").unwrap_or(0.0),
    })
}

fn normalize(said: &Section<'_, '_>) -> Step {
    Step::Normalize(Normalize {
        half_life_ms: span(said, "half_life", SHORTEST..=WINDOW_MAX).unwrap_or(300_000),
    })
}

fn enrich(said: &Section<'_, '_>) -> Step {
    let table = said.section("table");
    let enrich = Enrich {
        labels: said.section("labels").plain_texts(),
        drop: said.texts("drop"),
        on: said.text("on"),
        table: table
            .tables()
            .into_iter()
            .map(|(value, labels)| (value, labels.plain_texts()))
            .collect(),
        required: said.flag("required").unwrap_or(false),
    };
    if enrich.on.is_none() && !enrich.table.is_empty() {
        said.mistake("on", "is missing: which label is looked up in the table");
    }
    Step::Enrich(enrich)
}

fn window(said: &Section<'_, '_>) -> Step {
    let stats = said.texts("stats");
    if stats.is_empty() {
        said.mistake(
            "stats",
            "is missing: such as [\"count\", \"mean\", \"p99\"]",
        );
    }
    Step::Window(WindowSpec {
        kind: window_kind(said),
        by: said.texts("by"),
        stats: stats.iter().filter_map(|text| stat(said, text)).collect(),
    })
}

fn window_kind(said: &Section<'_, '_>) -> WindowKind {
    let every = span(said, "every", SHORTEST..=WINDOW_MAX);
    let slide = span(said, "slide", SHORTEST..=WINDOW_MAX);
    let gap = span(said, "gap", SHORTEST..=WINDOW_MAX);
    let longest = span(said, "longest", SHORTEST..=WINDOW_MAX);
    match (every, slide, gap) {
        (Some(size_ms), None, None) => WindowKind::Tumbling { size_ms },
        (Some(size_ms), Some(slide_ms), None) => {
            if size_ms % slide_ms != 0 || size_ms / slide_ms > PANES_MAX {
                let message = format!("`every` must be 1 to {PANES_MAX} times `slide`");
                said.mistake("slide", message);
            }
            WindowKind::Sliding { size_ms, slide_ms }
        }
        (None, None, Some(gap_ms)) => WindowKind::Session {
            gap_ms,
            size_max_ms: longest.unwrap_or(3_600_000),
        },
        _ => {
            said.mistake("every", "give `every`, `every` and `slide`, or `gap`");
            WindowKind::Tumbling { size_ms: 60_000 }
        }
    }
}

const STATS: [(&str, Stat); 8] = [
    ("count", Stat::Count),
    ("sum", Stat::Sum),
    ("mean", Stat::Mean),
    ("stddev", Stat::StdDev),
    ("min", Stat::Min),
    ("max", Stat::Max),
    ("first", Stat::First),
    ("last", Stat::Last),
];

/// A statistic by its name; `p99` and `p99.9` are quantiles.
fn stat(said: &Section<'_, '_>, text: &str) -> Option<Stat> {
    let named = STATS.iter().find(|(name, _)| *name == text);
    let percent = || text.strip_prefix('p')?.parse::<f64>().ok();
    let quantile = || {
        let percent = percent().filter(|p| (0.0..=100.0).contains(p))?;
        // As the text says it: 99.9 / 100 is not the float that is written 0.999.
        Some(Stat::Quantile((percent * 1e6).round() / 1e8))
    };
    let found = named.map(|(_, stat)| *stat).or_else(quantile);
    if found.is_none() {
        let names: Vec<&str> = STATS.iter().map(|(name, _)| *name).collect();
        let known = names.join(", ");
        said.mistake("stats", format!("{text:?} is none of {known}, p0 to p100"));
    }
    found
}

fn join(said: &Section<'_, '_>) -> Step {
    let arithmetic = [
        ("add", Arithmetic::Add),
        ("sub", Arithmetic::Sub),
        ("mul", Arithmetic::Mul),
        ("div", Arithmetic::Div),
        ("left", Arithmetic::Left),
        ("right", Arithmetic::Right),
    ];
    Step::Join(JoinSpec {
        with: selector(said, "with").unwrap_or_default(),
        on: said.texts("on"),
        within_ms: span(said, "within", Duration::ZERO..=WINDOW_MAX).unwrap_or(1_000),
        arithmetic: said.choice("make", &arithmetic).unwrap_or(Arithmetic::Left),
    })
}

#[cfg(test)]
mod tests {
    use stream::{Stat, Step, WindowKind};

    use crate::config::read;

    #[test]
    fn a_stream_is_read_step_by_step() {
        let text = r#"
            [[stream]]
            name = "checkout_seconds"
            select = 'http_request_seconds{path="/checkout"}'
            lateness = "2s"
            [[stream.step]]
            do = "enrich"
            on = "instance"
            labels = { tier = "front" }
            [stream.step.table.a1]
            team = "red"
            [[stream.step]]
            do = "window"
            every = "5m"
            slide = "1m"
            by = ["job"]
            stats = ["mean", "p99.9"]
            [[stream]]
            name = "share"
            select = 'used'
            [[stream.step]]
            do = "join"
            with = 'total'
            on = ["host"]
            make = "div"
        "#;
        let streams = read("test", text, &[]).unwrap().streams;
        assert_eq!(
            (streams[0].name.as_str(), streams[0].lateness_ms),
            ("checkout_seconds", 2_000)
        );
        let Step::Enrich(enrich) = &streams[0].steps[0] else {
            panic!("the first step enriches")
        };
        let red = ("team".to_owned(), "red".to_owned());
        assert_eq!(enrich.table["a1"], [red]);
        let Step::Window(window) = &streams[0].steps[1] else {
            panic!("the second step is a window")
        };
        let sliding = WindowKind::Sliding {
            size_ms: 300_000,
            slide_ms: 60_000,
        };
        assert_eq!(window.kind, sliding);
        assert_eq!(window.stats, [Stat::Mean, Stat::Quantile(0.999)]);
        assert!(matches!(&streams[1].steps[0], Step::Join(join) if join.on == ["host"]));
    }

    #[test]
    fn mistakes_are_named_by_their_place() {
        let text = r#"
            [[stream]]
            name = "1st"
            select = 'x{'
            [[stream.step]]
            do = "window"
            every = "1m"
            slide = "7s"
            stats = ["median"]
            [[stream.step]]
            do = "shake"
        "#;
        let mistakes = read("test", text, &[]).unwrap_err();
        let keys: Vec<&str> = mistakes.iter().map(|m| m.key.as_str()).collect();
        for key in [
            "name",
            "select",
            "step[0].slide",
            "step[0].stats",
            "step[1].do",
        ] {
            let key = format!("stream[0].{key}");
            assert!(keys.contains(&key.as_str()), "{key} in {keys:?}");
        }
    }
}
