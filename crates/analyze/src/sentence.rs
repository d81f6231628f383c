//! Findings in words: one plain sentence, with numbers and units.

use model::{Interval, Labels};

/// Units by the last words of a metric's name, after the OpenMetrics naming rules.
const UNITS: [(&str, &str); 7] = [
    ("_bytes", "bytes"),
    ("_seconds", "s"),
    ("_milliseconds", "ms"),
    ("_ratio", "ratio"),
    ("_percent", "percent"),
    ("_celsius", "celsius"),
    ("_hertz", "hertz"),
];

/// "x is 95 MB, where 12 MB was expected (normally 10 MB to 14 MB)".
#[must_use]
pub fn anomaly(
    labels: &Labels,
    rate: bool,
    observed: f64,
    expected: f64,
    normal: Interval,
) -> String {
    let unit = unit(labels, rate);
    let how = if observed > normal.high {
        "unusually high"
    } else if observed < normal.low {
        "unusually low"
    } else {
        "behaving unusually"
    };
    format!(
        "{} is {how}: {} where {} was expected (normally {} to {}).",
        subject(labels, rate),
        number(observed, unit),
        number(expected, unit),
        number(normal.low, unit),
        number(normal.high, unit),
    )
}

/// "x moved from 10 to 20 (up 100 %) 35 s ago and stayed there".
#[must_use]
pub fn change_point(
    labels: &Labels,
    rate: bool,
    before: f64,
    after: f64,
    seconds_ago: f64,
) -> String {
    let unit = unit(labels, rate);
    let by = match (after - before) / before.abs() {
        by if by.is_finite() && by.abs() < 10.0 => format!(" ({:+.0} %)", by * 100.0),
        _ => String::new(),
    };
    format!(
        "{} moved from {} to {}{by} about {} ago and stayed there.",
        subject(labels, rate),
        number(before, unit),
        number(after, unit),
        duration(seconds_ago),
    )
}

/// "x will reach 100 GB in about 3 hours (80 % sure: between 2 hours and 5 hours)".
#[must_use]
pub fn exhaustion(labels: &Labels, threshold: f64, seconds: f64, interval: Interval) -> String {
    let unit = unit(labels, false);
    let latest = if interval.high.is_finite() {
        format!(
            "between {} and {}",
            duration(interval.low),
            duration(interval.high)
        )
    } else {
        format!("not before {}", duration(interval.low))
    };
    format!(
        "{} will reach {} in about {} if it goes on like this (80 % interval: {latest}).",
        subject(labels, false),
        number(threshold, unit),
        duration(seconds),
    )
}

fn subject(labels: &Labels, rate: bool) -> String {
    if rate {
        format!("The rate of {labels}")
    } else {
        labels.to_string()
    }
}

/// (base unit, whether per second)
fn unit(labels: &Labels, rate: bool) -> (&'static str, bool) {
    let name = labels.metric_name();
    let stem = ["_total", "_sum", "_count", "_bucket"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name);
    let counted = rate && (name.ends_with("_count") || name.ends_with("_bucket"));
    let found = UNITS
        .iter()
        .find(|(suffix, _)| !counted && stem.ends_with(suffix));
    (found.map_or("", |(_, unit)| unit), rate)
}

/// Three significant digits with the unit: `1.5 GB`, `12.3 ms`, `40 %`, `3.2 k/s`.
fn number(value: f64, (unit, per_second): (&'static str, bool)) -> String {
    let per = if per_second { "/s" } else { "" };
    match unit {
        "bytes" => format!("{}B{per}", with_prefix(value)),
        "s" if per_second => format!("{} s/s", significant(value)),
        "s" => signed_duration(value),
        "ms" => signed_duration(value / 1e3),
        "ratio" => format!("{} %{per}", significant(value * 100.0)),
        "percent" => format!("{} %{per}", significant(value)),
        "celsius" => format!("{} °C{per}", significant(value)),
        "hertz" => format!("{}Hz{per}", with_prefix(value)),
        _ => format!("{}{per}", with_prefix(value).trim_end()),
    }
}

/// A number and its SI prefix: `1.5 G`, `40 `.
fn with_prefix(value: f64) -> String {
    let size = value.abs();
    let steps = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")];
    match steps.iter().find(|(at, _)| size >= *at) {
        Some((1e4, prefix)) => format!("{} {prefix}", significant(value / 1e3)),
        Some((at, prefix)) => format!("{} {prefix}", significant(value / at)),
        None => format!("{} ", significant(value)),
    }
}

/// Three significant digits, whole numbers in full, no trailing zeros.
fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor();
    if !(-5.0..7.0).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = (2.0 - magnitude).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn signed_duration(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "-" } else { "" };
    format!("{sign}{}", duration(seconds.abs()))
}

/// A length of time at the scale a person would use.
fn duration(seconds: f64) -> String {
    let scales = [
        (2.0 * 86_400.0, 86_400.0, "days"),
        (2.0 * 3600.0, 3600.0, "hours"),
        (120.0, 60.0, "minutes"),
        (1.0, 1.0, "s"),
        (1e-3, 1e-3, "ms"),
        (1e-6, 1e-6, "µs"),
    ];
    match scales.iter().find(|(from, _, _)| seconds >= *from) {
        Some((_, unit, name)) => format!("{} {name}", significant(seconds / unit)),
        None if seconds == 0.0 => "0 s".to_owned(),
        None => format!("{} ns", significant(seconds * 1e9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Labels {
        Labels::from_pairs([(model::METRIC_NAME, name)])
    }

    #[test]
    fn numbers_are_written_as_a_person_would() {
        let check = |name, rate, value, expected| {
            assert_eq!(
                number(value, unit(&named(name), rate)),
                expected,
                "{name} {value}"
            );
        };
        check("node_filesystem_avail_bytes", false, 1.5e9, "1.5 GB");
        check(
            "node_network_receive_bytes_total",
            true,
            12_345.0,
            "12.3 kB/s",
        );
        check("request_duration_seconds", false, 0.0123, "12.3 ms");
        check("cpu_usage_ratio", false, 0.4, "40 %");
        check("ledger_transfers_total", true, 3210.0, "3210/s");
        check("node_load1", false, 0.0, "0");
        check("queue_length", false, -4.0, "-4");
        check("request_duration_seconds_count", true, 7.0, "7/s");
    }

    #[test]
    fn each_kind_of_finding_is_one_sentence() {
        let disk = Labels::from_pairs([(model::METRIC_NAME, "disk_free_bytes"), ("mount", "/")]);
        let normal = Interval {
            low: 9e9,
            high: 11e9,
        };
        assert_eq!(
            anomaly(&disk, false, 2e9, 1e10, normal),
            "disk_free_bytes{mount=\"/\"} is unusually low: 2 GB where 10 GB was expected \
             (normally 9 GB to 11 GB)."
        );
        assert_eq!(
            change_point(&named("jobs_total"), true, 10.0, 15.0, 95.0),
            "The rate of jobs_total moved from 10/s to 15/s (+50 %) about 95 s ago and stayed \
             there."
        );
        let interval = Interval {
            low: 7200.0,
            high: f64::INFINITY,
        };
        assert_eq!(
            exhaustion(&disk, 0.0, 10_800.0, interval),
            "disk_free_bytes{mount=\"/\"} will reach 0 B in about 3 hours if it goes on like this \
             (80 % interval: not before 2 hours)."
        );
    }
}
