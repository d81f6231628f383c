//! Times in UTC: as Go prints them, as RFC 3339, and in the layouts of Go's `Format`.

use numerics::calendar::{Date, weekday};

use super::value::Value;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Latest time that is written, seconds: Go keeps nanoseconds in 64 bits.
const SECONDS_MAX: f64 = 9_223_372_036.0;

/// A time, taken apart.
#[derive(Debug, Clone, Copy)]
struct Parts {
    unix: i64,
    nanos: u32,
    year: i64,
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    weekday: usize,
}

fn parts(seconds: f64) -> Option<Parts> {
    if !seconds.is_finite() || seconds.abs() >= SECONDS_MAX {
        return None;
    }
    // Whole milliseconds, cut off: what Prometheus makes of a float.
    let nanos = (seconds * 1e9) as i64 / 1_000_000 * 1_000_000;
    let (unix, nanos) = (
        nanos.div_euclid(1_000_000_000),
        nanos.rem_euclid(1_000_000_000),
    );
    let (days, rest) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let date = Date::of(days);
    Some(Parts {
        unix,
        nanos: u32::try_from(nanos).unwrap_or(0),
        year: date.year,
        month: usize::from(date.month - 1),
        day: i64::from(date.day),
        hour: rest / 3_600,
        minute: rest / 60 % 60,
        second: rest % 60,
        weekday: usize::from(weekday(days)),
    })
}

/// Whether the time can be written.
pub(super) fn is_writable(seconds: f64) -> bool {
    parts(seconds).is_some()
}

/// As Go prints a time: `2015-07-01 20:10:30.781 +0000 UTC`.
pub(super) fn go(seconds: f64) -> String {
    let Some(p) = parts(seconds) else {
        return "a time out of range".to_owned();
    };
    let date = format!("{:04}-{:02}-{:02}", p.year, p.month + 1, p.day);
    let fraction = fraction(p.nanos);
    let (hour, minute, second) = (p.hour, p.minute, p.second);
    format!("{date} {hour:02}:{minute:02}:{second:02}{fraction} +0000 UTC")
}

/// A time in ms as RFC 3339 with as many decimals as it needs, as Go writes times in JSON.
#[must_use]
pub fn rfc3339(time_ms: i64) -> String {
    let Some(p) = parts(time_ms.div_euclid(1_000) as f64) else {
        return "0001-01-01T00:00:00Z".to_owned();
    };
    let ms = u32::try_from(time_ms.rem_euclid(1_000)).unwrap_or(0);
    let date = format!("{:04}-{:02}-{:02}", p.year, p.month + 1, p.day);
    let fraction = fraction(ms * 1_000_000);
    let (hour, minute, second) = (p.hour, p.minute, p.second);
    format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

fn fraction(nanos: u32) -> String {
    if nanos == 0 {
        return String::new();
    }
    let digits = format!("{nanos:09}");
    format!(".{}", digits.trim_end_matches('0'))
}

/// What a method of Go's `time.Time` without arguments gives; `None`: there is none of the name.
pub(super) fn part(seconds: f64, name: &str) -> Option<Value> {
    let p = parts(seconds)?;
    Some(match name {
        "Unix" => Value::Int(p.unix),
        "Year" => Value::Int(p.year),
        "Month" => Value::Text(MONTHS[p.month].to_owned()),
        "Day" => Value::Int(p.day),
        "Hour" => Value::Int(p.hour),
        "Minute" => Value::Int(p.minute),
        "Second" => Value::Int(p.second),
        "Weekday" => Value::Text(DAYS[p.weekday].to_owned()),
        "UTC" | "Local" => Value::Time(seconds),
        "String" => Value::Text(go(seconds)),
        _ => return None,
    })
}

/// Go's `Format`: the layout is the reference time, Mon Jan 2 15:04:05 MST 2006, written as
/// wanted. Longer pieces first.
pub(super) fn format(seconds: f64, layout: &str) -> String {
    let Some(p) = parts(seconds) else {
        return go(seconds);
    };
    let hour_12 = (p.hour + 11) % 12 + 1;
    let pieces: [(&str, String); 21] = [
        ("January", MONTHS[p.month].to_owned()),
        ("Jan", MONTHS[p.month][..3].to_owned()),
        ("Monday", DAYS[p.weekday].to_owned()),
        ("Mon", DAYS[p.weekday][..3].to_owned()),
        ("MST", "UTC".to_owned()),
        ("2006", format!("{:04}", p.year)),
        ("Z07:00", "Z".to_owned()),
        ("-07:00", "+00:00".to_owned()),
        ("-0700", "+0000".to_owned()),
        (".000", format!(".{:03}", p.nanos / 1_000_000)),
        ("PM", if p.hour < 12 { "AM" } else { "PM" }.to_owned()),
        ("01", format!("{:02}", p.month + 1)),
        ("02", format!("{:02}", p.day)),
        ("03", format!("{hour_12:02}")),
        ("04", format!("{:02}", p.minute)),
        ("05", format!("{:02}", p.second)),
        ("06", format!("{:02}", p.year % 100)),
        ("15", format!("{:02}", p.hour)),
        ("1", format!("{}", p.month + 1)),
        ("2", p.day.to_string()),
        ("3", hour_12.to_string()),
    ];
    let mut out = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        let piece = pieces.iter().find(|(name, _)| rest.starts_with(name));
        let length = match piece {
            Some((name, text)) => {
                out.push_str(text);
                name.len()
            }
            None => {
                out.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    out
}

/// RFC 3339 into ms; `None` if it is not that.
pub(crate) fn rfc3339_ms(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone_at);
    let numbers = |text: &str, by: char| -> Option<[i64; 3]> {
        let parts: Option<Vec<i64>> = text.split(by).map(|part| part.parse().ok()).collect();
        parts?.try_into().ok()
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(clock, ':')?;
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let size = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
            if zone.starts_with('-') { -size } else { size }
        }
    };
    let in_range = (0..10_000).contains(&year) && (1..=12).contains(&month);
    if !in_range || !(1..=31).contains(&day) {
        return None;
    }
    let days = Date {
        year,
        month: u8::try_from(month).ok()?,
        day: u8::try_from(day).ok()?,
    }
    .days();
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset * 60;
    Some(seconds * 1_000 + (fraction * 1_000.0) as i64)
}
