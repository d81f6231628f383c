//! Numbers for people: Prometheus's `humanize*`, digit for digit.

use super::float::{general, not_finite};

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_1024: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// `1.235M`, `5m`.
pub(super) fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return general(value, 4);
    }
    if value.abs() >= 1.0 {
        return scaled_down(value, 1_000.0, LARGE);
    }
    let (value, prefix) = scaled_up(value);
    format!("{}{prefix}", general(value, 4))
}

/// `1.5Mi`.
pub(super) fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return general(value, 4);
    }
    scaled_down(value, 1_024.0, LARGE_1024)
}

fn scaled_down(mut value: f64, step: f64, prefixes: [&str; 8]) -> String {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < step {
            break;
        }
        prefix = next;
        value /= step;
    }
    format!("{}{prefix}", general(value, 4))
}

fn scaled_up(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1_000.0;
    }
    (value, prefix)
}

/// `1d 2h 3m 4s`, `1.5s`, `20ms`.
pub(super) fn duration(value: f64) -> String {
    if not_finite(value).is_some() {
        return general(value, 4);
    }
    if value == 0.0 {
        return format!("{}s", general(value, 4));
    }
    if value.abs() < 1.0 {
        let (value, prefix) = scaled_up(value);
        return format!("{}{prefix}s", general(value, 4));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let size = value.abs();
    let whole = size as u64;
    let (seconds, minutes) = (whole % 60, whole / 60 % 60);
    let (hours, days) = (whole / 3_600 % 24, whole / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", general(size, 4)),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, _, _) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        (_, _, _) => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

/// `12.35%`
pub(super) fn percentage(value: f64) -> String {
    format!("{}%", general(value * 100.0, 4))
}

/// As Go prints a `time.Duration`: `1h2m3.5s`, `1.5ms`.
pub(super) fn go_duration(value: f64) -> String {
    let nanos = (value * 1e9) as i64;
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let decimal = |whole: u64, part: u64, width: usize| {
        let part = format!("{part:0width$}");
        let part = part.trim_end_matches('0');
        let dot = if part.is_empty() { "" } else { "." };
        format!("{whole}{dot}{part}")
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{nanos}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(nanos / 1_000, nanos % 1_000, 3)),
        1_000_000..1_000_000_000 => {
            let text = decimal(nanos / 1_000_000, nanos % 1_000_000, 6);
            format!("{sign}{text}ms")
        }
        _ => {
            let seconds = nanos / 1_000_000_000;
            let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
            let rest = decimal(seconds % 60, nanos % 1_000_000_000, 9);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{rest}s"),
                (0, _) => format!("{sign}{minutes}m{rest}s"),
                (_, _) => format!("{sign}{hours}h{minutes}m{rest}s"),
            }
        }
    }
}
