//! Times of the week and the year at which a route is quiet or heard: Alertmanager's time
//! intervals (<https://prometheus.io/docs/alerting/latest/configuration/#time_interval>).
//!
//! A moment is inside an interval when it is inside each part that is given, by the clock of the
//! interval's place.

use std::ops::RangeInclusive;

use numerics::calendar;

use crate::zone::Zone;

/// When; a part without ranges holds always.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimeInterval {
    /// Minutes of the day, from 0, the end not included.
    pub minutes: Vec<(u16, u16)>,
    /// Days of the week, 0 for Sunday.
    pub weekdays: Vec<RangeInclusive<u8>>,
    /// Days of the month: 1 to 31, or -1 for the last to -31.
    pub days: Vec<RangeInclusive<i8>>,
    /// Months, 1 to 12.
    pub months: Vec<RangeInclusive<u8>>,
    /// Years.
    pub years: Vec<RangeInclusive<i32>>,
    /// Whose clock it is.
    pub zone: Zone,
}

const WEEKDAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAY_MINUTES: u16 = 24 * 60;

impl TimeInterval {
    /// Whether a moment, ms since the Unix epoch, is inside.
    #[must_use]
    pub fn contains(&self, at_ms: i64) -> bool {
        let at_s = at_ms.div_euclid(1_000);
        let minutes = (at_s + i64::from(self.zone.offset_s(at_s))).div_euclid(60);
        let (day, minute) = (
            minutes.div_euclid(i64::from(DAY_MINUTES)),
            minutes.rem_euclid(i64::from(DAY_MINUTES)),
        );
        let minute = u16::try_from(minute).expect("a minute of a day");
        let date = Date::of(day);
        let within = |(from, to): &(u16, u16)| (*from..*to).contains(&minute);
        holds(&self.minutes, within)
            && holds(&self.weekdays, |r| r.contains(&date.weekday))
            && holds(&self.days, |r| date.is_in(r))
            && holds(&self.months, |r| r.contains(&date.month))
            && holds(&self.years, |r| r.contains(&date.year))
    }
}

fn holds<R>(ranges: &[R], contains: impl Fn(&R) -> bool) -> bool {
    ranges.is_empty() || ranges.iter().any(contains)
}

struct Date {
    year: i32,
    month: u8,
    day: i8,
    days_in_month: i8,
    weekday: u8,
}

impl Date {
    /// So many days after 1970-01-01.
    fn of(days: i64) -> Self {
        let date = calendar::Date::of(days);
        let signed = |day: u8| i8::try_from(day).expect("1 to 31");
        Self {
            year: i32::try_from(date.year).unwrap_or(i32::MAX),
            month: date.month,
            day: signed(date.day),
            days_in_month: signed(date.days_in_month()),
            weekday: calendar::weekday(days),
        }
    }

    /// Days below 0 count from the end; a range is cut to the month.
    fn is_in(&self, range: &RangeInclusive<i8>) -> bool {
        let from_start = |day: i8| {
            if day < 0 {
                self.days_in_month + day + 1
            } else {
                day
            }
        };
        let (from, to) = (from_start(*range.start()), from_start(*range.end()));
        (from.max(1)..=to.min(self.days_in_month)).contains(&self.day)
    }
}

/// `HH:MM` as minutes of the day; `24:00` is its end.
pub fn clock_time(text: &str) -> Result<u16, String> {
    let wrong = || format!("{text:?} is not a time of day such as 22:30");
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| {
        let is_two = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        is_two.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours).zip(number(minutes))).ok_or_else(wrong)?;
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= DAY_MINUTES)
        .then_some(total)
        .ok_or_else(wrong)
}

/// `22:30` to `24:00` as a range; it may not pass midnight.
pub fn clock_range(from: &str, to: &str) -> Result<(u16, u16), String> {
    let (from, to) = (clock_time(from)?, clock_time(to)?);
    if from >= to {
        return Err(
            "a time range ends after it begins: write one that passes midnight as two".to_owned(),
        );
    }
    Ok((from, to))
}

/// `monday` or `monday:friday`.
pub fn weekdays(text: &str) -> Result<RangeInclusive<u8>, String> {
    named(
        text,
        &WEEKDAYS,
        0,
        "a weekday such as monday or monday:friday",
    )
}

/// `january`, `1` or `january:march`.
pub fn months(text: &str) -> Result<RangeInclusive<u8>, String> {
    named(text, &MONTHS, 1, "a month such as may, 5 or january:march")
}

/// `1:5` or `-3:-1`.
pub fn days_of_month(text: &str) -> Result<RangeInclusive<i8>, String> {
    let wrong = || format!("{text:?} is not a range of days such as 1:5 or -3:-1");
    let range = numbers::<i8>(text).ok_or_else(wrong)?;
    let is_day = |day: &i8| (1..=31).contains(&day.abs());
    let (from, to) = (range.start(), range.end());
    let rises = (*from < 0) != (*to < 0) || from <= to;
    let is_possible = is_day(from) && is_day(to) && rises && !(*from > 0 && *to < -30);
    (is_possible).then_some(range.clone()).ok_or_else(wrong)
}

/// `2026` or `2026:2028`.
pub fn years(text: &str) -> Result<RangeInclusive<i32>, String> {
    let range = numbers::<i32>(text).filter(|range| !range.is_empty());
    range.ok_or_else(|| format!("{text:?} is not a range of years such as 2026:2028"))
}

/// `UTC`, or an offset such as `+02:00`; `None` for the name of a place.
#[must_use]
pub fn offset(text: &str) -> Option<Zone> {
    if matches!(text, "" | "UTC" | "Etc/UTC" | "GMT") {
        return Some(Zone::default());
    }
    let offset = |sign: i16, rest: &str| -> Option<i16> {
        let minutes = clock_time(rest).ok()?;
        Some(sign * i16::try_from(minutes).ok()?)
    };
    let minutes = match text.split_at_checked(1) {
        Some(("+", rest)) => offset(1, rest),
        Some(("-", rest)) => offset(-1, rest),
        _ => None,
    };
    minutes.map(Zone::fixed)
}

fn numbers<N: std::str::FromStr + Copy>(text: &str) -> Option<RangeInclusive<N>> {
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    Some(from.trim().parse().ok()?..=to.trim().parse().ok()?)
}

fn named(text: &str, names: &[&str], first: u8, what: &str) -> Result<RangeInclusive<u8>, String> {
    let index = |text: &str| {
        let lower = text.trim().to_lowercase();
        let named = names.iter().position(|name| **name == lower);
        let named = named
            .and_then(|at| u8::try_from(at).ok())
            .map(|at| at + first);
        let last = u8::try_from(names.len()).ok()? - 1 + first;
        let numbered = || {
            lower
                .parse()
                .ok()
                .filter(|n| first > 0 && (first..=last).contains(n))
        };
        named.or_else(numbered)
    };
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    let range = index(from).zip(index(to)).filter(|(from, to)| from <= to);
    let (from, to) = range.ok_or_else(|| format!("{text:?} is not {what}"))?;
    Ok(from..=to)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-02-27 21:30 UTC, a Friday, the last but one day of its month.
    const FRIDAY: i64 = 1_772_227_800_000;

    #[test]
    fn a_moment_is_inside_when_each_part_holds() {
        let night = TimeInterval {
            minutes: vec![clock_range("21:00", "24:00").unwrap()],
            weekdays: vec![weekdays("monday:friday").unwrap()],
            days: vec![days_of_month("-2:-1").unwrap()],
            months: vec![months("february").unwrap()],
            years: vec![years("2025:2026").unwrap()],
            zone: Zone::default(),
        };
        assert!(night.contains(FRIDAY));
        assert!(!night.contains(FRIDAY - 31 * 60_000), "20:59");
        assert!(!night.contains(FRIDAY + 24 * 3_600_000), "Saturday");
        assert!(!night.contains(FRIDAY - 24 * 3_600_000), "the 26th");
        let east = TimeInterval {
            zone: offset("+03:00").unwrap(),
            ..night
        };
        assert!(!east.contains(FRIDAY), "00:30 on Saturday there");
        assert!(TimeInterval::default().contains(0));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let leap = Date::of(19_782);
        assert_eq!(
            (leap.year, leap.month, leap.day, leap.weekday),
            (2024, 2, 29, 4)
        );
        let last = Date::of(-1);
        assert_eq!(
            (last.year, last.month, last.day, last.weekday),
            (1969, 12, 31, 3)
        );
        assert!(leap.is_in(&days_of_month("-1").unwrap()));
        assert!(!Date::of(19_781).is_in(&days_of_month("-1").unwrap()));
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        for bad in ["24:01", "7:00", "12:60", "noon"] {
            assert!(clock_time(bad).is_err(), "{bad}");
        }
        assert!(
            clock_range("22:00", "06:00")
                .unwrap_err()
                .contains("midnight")
        );
        assert!(weekdays("friday:monday").is_err() && weekdays("5").is_err());
        assert!(months("13").is_err() && months("0").is_err());
        assert_eq!(months("5"), Ok(5..=5));
        assert!(days_of_month("0").is_err() && days_of_month("5:1").is_err());
        assert_eq!(offset("-03:30"), Some(Zone::fixed(-210)));
        assert_eq!(
            offset("Europe/Berlin"),
            None,
            "a name, for who knows places"
        );
    }
}
