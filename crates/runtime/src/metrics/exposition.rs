//! The text a scraper reads: Prometheus text format 0.0.4 and OpenMetrics 1.0.
//!
//! They differ here in one thing that matters: OpenMetrics names a counter's family without
//! `_total`, and ends with `# EOF`.

use std::{collections::BTreeMap, fmt::Write};

use super::{Family, Histogram, Kind, Labels, Source};

/// Which text to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What a scraper's `Accept` header asks for.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The `Content-Type` of the text.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

pub(super) fn render(families: &BTreeMap<String, Family>, format: Format) -> String {
    let mut text = String::new();
    for (name, family) in families {
        write_family(&mut text, name, family, format);
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn write_family(text: &mut String, name: &str, family: &Family, format: Format) {
    let title = match (format, family.kind) {
        (Format::OpenMetrics, Kind::Counter) => name.trim_end_matches("_total"),
        _ => name,
    };
    line(
        text,
        format_args!("# HELP {title} {}", escape(&family.help, format)),
    );
    line(text, format_args!("# TYPE {title} {}", family.kind.word()));
    for (labels, source) in &family.series {
        match source {
            Source::Counter(counter) => sample(text, name, labels, counter.get()),
            Source::Gauge(gauge) => sample(text, name, labels, gauge.get()),
            Source::Histogram(histogram) => write_histogram(text, name, labels, histogram),
            Source::Read(read) => write_reading(text, name, labels, read()),
        }
    }
}

fn write_reading(text: &mut String, name: &str, labels: &str, value: f64) {
    if value.is_finite() {
        sample(text, name, labels, value);
    }
}

fn write_histogram(text: &mut String, name: &str, labels: &str, histogram: &Histogram) {
    let reading = histogram.read();
    let comma = if labels.is_empty() { "" } else { "," };
    let mut count = 0;
    for (bound, cumulative) in reading.cumulative {
        count = cumulative;
        let le = if bound.is_finite() {
            // Nine digits are exact for every bound in use and hide the binary fraction.
            let exact = format!("{bound:.9}");
            exact
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_string()
        } else {
            "+Inf".into()
        };
        line(
            text,
            format_args!("{name}_bucket{{{labels}{comma}le=\"{le}\"}} {count}"),
        );
    }
    sample(text, &format!("{name}_sum"), labels, reading.sum);
    sample(text, &format!("{name}_count"), labels, count);
}

fn sample(text: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    if labels.is_empty() {
        line(text, format_args!("{name} {value}"));
    } else {
        line(text, format_args!("{name}{{{labels}}} {value}"));
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("a String takes any text");
}

/// Labels as they appear between the braces, in the order given.
pub(super) fn labels(labels: Labels<'_>) -> String {
    let pair = |(name, value): &(&str, &str)| {
        assert!(is_label_name(name), "{name}: not a label name");
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    labels.iter().map(pair).collect::<Vec<_>>().join(",")
}

/// OpenMetrics escapes quotes in a help text too.
fn escape(help: &str, format: Format) -> String {
    let escaped = help.replace('\\', "\\\\").replace('\n', "\\n");
    match format {
        Format::Prometheus => escaped,
        Format::OpenMetrics => escaped.replace('"', "\\\""),
    }
}

pub(super) fn is_metric_name(name: &str) -> bool {
    name.split(':')
        .all(|part| part.is_empty() || is_label_name(part))
        && !name.is_empty()
}

fn is_label_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}
