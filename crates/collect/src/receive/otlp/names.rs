//! Names of OpenTelemetry in Prometheus's alphabet.
//!
//! The rules are those of the OpenTelemetry specification ("Prometheus and OpenMetrics
//! Compatibility") as Prometheus's own translator applies them: words joined by `_`, the unit as
//! a suffix unless the name has it, `_total` last on counters, `_ratio` on gauges of unit 1.

/// UCUM units and the words Prometheus uses for them.
const UNITS: [(&str, &str); 27] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("kBy", "kilobytes"),
    ("bit", "bits"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
];

/// Units after a slash.
const PER_UNITS: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// What a name's suffixes depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suffix {
    /// `_total`.
    Counter,
    /// `_ratio` when the unit is 1.
    Gauge,
    /// Only the unit.
    Other,
}

/// The family name of a metric: `http.server.duration`, `s` → `http_server_duration_seconds`.
#[must_use]
pub fn metric_name(name: &str, unit: &str, suffix: Suffix) -> String {
    let mut words: Vec<&str> = words(name).collect();
    let (main, per) = unit_words(unit);
    if suffix == Suffix::Counter {
        words.retain(|word| *word != "total");
    }
    for unit_word in words_of(&main).chain(words_of(&per)) {
        if !words.contains(&unit_word) {
            words.push(unit_word);
        }
    }
    match suffix {
        Suffix::Counter => words.push("total"),
        Suffix::Gauge if unit.trim() == "1" => {
            words.retain(|word| *word != "ratio");
            words.push("ratio");
        }
        Suffix::Gauge | Suffix::Other => {}
    }
    let joined = words.join("_");
    if joined.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{joined}")
    } else {
        joined
    }
}

/// A unit as metadata has it: `By/s` → `bytes_per_second`.
#[must_use]
pub fn unit_name(unit: &str) -> String {
    let (main, per) = unit_words(unit);
    let both: Vec<&str> = [main.as_str(), per.as_str()]
        .into_iter()
        .filter(|w| !w.is_empty())
        .collect();
    both.join("_")
}

fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let main = unit_word(main, &UNITS);
    let per = unit_word(per, &PER_UNITS);
    let per = if per.is_empty() {
        per
    } else {
        format!("per_{per}")
    };
    (main, per)
}

/// Annotations in braces and the unit 1 say nothing.
fn unit_word(unit: &str, table: &[(&str, &str)]) -> String {
    let unit = unit.trim();
    if unit.is_empty() || unit == "1" || unit.contains(['{', '}']) {
        return String::new();
    }
    let known = table.iter().find(|(short, _)| *short == unit);
    known.map_or_else(
        || words(unit).collect::<Vec<_>>().join("_"),
        |(_, word)| (*word).to_owned(),
    )
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let kept = |c: char| c.is_ascii_alphanumeric() || c == ':';
    text.split(move |c| !kept(c))
        .filter(|word| !word.is_empty())
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split('_').filter(|word| !word.is_empty())
}

/// A label's name: other characters become `_`, a digit in front gets `key_`.
#[must_use]
pub fn label_name(key: &str) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '_'
        }
    };
    let name: String = key.chars().map(kept).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("key_{name}")
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_compatibility_specification() {
        for (name, unit, suffix, want) in [
            (
                "http.server.duration",
                "s",
                Suffix::Other,
                "http_server_duration_seconds",
            ),
            (
                "http.server.duration",
                "ms",
                Suffix::Other,
                "http_server_duration_milliseconds",
            ),
            ("requests", "{requests}", Suffix::Counter, "requests_total"),
            ("requests_total", "1", Suffix::Counter, "requests_total"),
            ("total.io", "By", Suffix::Counter, "io_bytes_total"),
            ("net.io", "By/s", Suffix::Gauge, "net_io_bytes_per_second"),
            ("net", "{packets}/s", Suffix::Gauge, "net_per_second"),
            (
                "cpu.utilization",
                "1",
                Suffix::Gauge,
                "cpu_utilization_ratio",
            ),
            ("disk.used.bytes", "By", Suffix::Gauge, "disk_used_bytes"),
            ("2xx", "", Suffix::Other, "_2xx"),
            ("a__b-c", "", Suffix::Other, "a_b_c"),
            ("temp", "Cel", Suffix::Gauge, "temp_celsius"),
            ("x", "furlong", Suffix::Other, "x_furlong"),
        ] {
            assert_eq!(metric_name(name, unit, suffix), want, "{name} [{unit}]");
        }
        assert_eq!(label_name("http.status_code"), "http_status_code");
        assert_eq!(label_name("1st"), "key_1st");
        assert_eq!(unit_name("By/s"), "bytes_per_second");
    }
}
