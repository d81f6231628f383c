//! When summer time begins and ends each year, as POSIX writes it in `TZ`
//! (`CET-1CEST,M3.5.0,M10.5.0/3`; RFC 8536, section 3.3.1, with hours up to 167 either way).

use numerics::calendar::{Date, weekday};

const HOUR_S: i32 = 3_600;
const DAY_S: i64 = 86_400;

/// One offset, or two and the days on which they change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    standard_s: i32,
    summer: Option<Summer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Summer {
    offset_s: i32,
    begins: Change,
    ends: Change,
}

/// A day of the year and the second of it, by the clock that ends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    day: Day,
    second: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    /// 1 to 365; the 29th of February is not counted.
    Julian(i64),
    /// From 0; it is counted.
    Ordinal(i64),
    /// The week-th such weekday of a month, 5 for the last; 0 is Sunday.
    Weekday { month: u8, week: i64, weekday: i64 },
}

impl Rule {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (standard, rest) = offset(name(text)?)?;
        let standard_s = -standard;
        if rest.is_empty() {
            return Some(Self {
                standard_s,
                summer: None,
            });
        }
        let rest = name(rest)?;
        let (offset_s, rest) = match rest.strip_prefix(',') {
            Some(_) => (standard_s + HOUR_S, rest),
            None => offset(rest).map(|(summer, rest)| (-summer, rest))?,
        };
        let (begins, ends) = rest.strip_prefix(',')?.split_once(',')?;
        let summer = Summer {
            offset_s,
            begins: Change::parse(begins)?,
            ends: Change::parse(ends)?,
        };
        Some(Self {
            standard_s,
            summer: Some(summer),
        })
    }

    pub(super) fn offset_s(&self, at_s: i64) -> i32 {
        let Some(summer) = &self.summer else {
            return self.standard_s;
        };
        let days = (at_s + i64::from(self.standard_s)).div_euclid(DAY_S);
        let year = Date::of(days).year;
        let begins = summer.begins.local_s(year) - i64::from(self.standard_s);
        let ends = summer.ends.local_s(year) - i64::from(summer.offset_s);
        let is_summer = if begins <= ends {
            (begins..ends).contains(&at_s)
        } else {
            // South of the equator the year begins in summer.
            !(ends..begins).contains(&at_s)
        };
        if is_summer {
            summer.offset_s
        } else {
            self.standard_s
        }
    }
}

impl Change {
    fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.split_once('/').unwrap_or((text, "2"));
        let (second, rest) = offset(time)?;
        let day = Day::parse(day)?;
        rest.is_empty().then_some(Self { day, second })
    }

    /// Seconds from the epoch by the clock that ends there.
    fn local_s(&self, year: i64) -> i64 {
        self.day.of(year) * DAY_S + i64::from(self.second)
    }
}

impl Day {
    fn parse(text: &str) -> Option<Self> {
        if let Some(day) = text.strip_prefix('J') {
            return number(day, 1..=365).map(Self::Julian);
        }
        let Some(weekday) = text.strip_prefix('M') else {
            return number(text, 0..=365).map(Self::Ordinal);
        };
        let mut parts = weekday.split('.');
        let day = Self::Weekday {
            month: u8::try_from(number(parts.next()?, 1..=12)?).ok()?,
            week: number(parts.next()?, 1..=5)?,
            weekday: number(parts.next()?, 0..=6)?,
        };
        parts.next().is_none().then_some(day)
    }

    /// Days from the epoch.
    fn of(self, year: i64) -> i64 {
        let first = |month| Date {
            year,
            month,
            day: 1,
        };
        let new_year = first(1).days();
        match self {
            Self::Ordinal(day) => new_year + day,
            Self::Julian(day) => {
                let is_after_leap_day = numerics::calendar::is_leap(year) && day > 59;
                new_year + day - 1 + i64::from(is_after_leap_day)
            }
            Self::Weekday {
                month,
                week,
                weekday: wanted,
            } => {
                let first = first(month);
                let start = first.days();
                let to_wanted = (wanted - i64::from(weekday(start))).rem_euclid(7);
                let last = i64::from(first.days_in_month()) - 1;
                let day = to_wanted + (week - 1) * 7;
                start + if day > last { day - 7 } else { day }
            }
        }
    }
}

fn number(text: &str, allowed: std::ops::RangeInclusive<i64>) -> Option<i64> {
    text.parse().ok().filter(|number| allowed.contains(number))
}

/// What follows a zone's name: letters, or anything in `<>`.
fn name(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('<') {
        return quoted.split_once('>').map(|(_, rest)| rest);
    }
    let end = text.find(|c: char| !c.is_ascii_alphabetic())?;
    (end >= 3).then(|| &text[end..])
}

/// `[+-]hh[:mm[:ss]]` in seconds, and what follows it.
fn offset(text: &str) -> Option<(i32, &str)> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits
        .find(|c: char| !c.is_ascii_digit() && c != ':')
        .unwrap_or(digits.len());
    let mut seconds = 0;
    let parts: Vec<&str> = digits[..end].split(':').collect();
    for (part, (unit, most)) in parts.iter().zip([(HOUR_S, 167), (60, 59), (1, 59)]) {
        seconds += i32::try_from(number(part, 0..=most)?).ok()? * unit;
    }
    (parts.len() <= 3).then_some((sign * seconds, &digits[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(rule: &str, at_s: i64) -> f64 {
        f64::from(Rule::parse(rule).unwrap().offset_s(at_s)) / 3_600.0
    }

    #[test]
    fn summer_time_begins_and_ends_on_its_seconds() {
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        // 2026-03-29 01:00 and 2026-10-25 01:00 UTC.
        let (spring, autumn) = (1_774_746_000, 1_792_890_000);
        assert_eq!(hours(berlin, spring - 1), 1.0);
        assert_eq!(hours(berlin, spring), 2.0);
        assert_eq!(hours(berlin, autumn - 1), 2.0);
        assert_eq!(hours(berlin, autumn), 1.0);
    }

    #[test]
    fn south_of_the_equator_and_with_names_in_brackets() {
        let sydney = "AEST-10AEDT,M10.1.0,M4.1.0/3";
        // 2026-01-15 and 2026-07-15 UTC.
        assert_eq!(hours(sydney, 1_768_435_200), 11.0);
        assert_eq!(hours(sydney, 1_784_073_600), 10.0);
        assert_eq!(hours("<+0330>-3:30", 0), 3.5);
        // Greenland's change stands on the day before, at an hour below 0.
        let nuuk = "<-02>2<-01>,M3.5.0/-1,M10.5.0/0";
        assert_eq!(hours(nuuk, 1_774_746_000), -1.0);
        assert_eq!(hours(nuuk, 1_774_745_999), -2.0);
    }

    #[test]
    fn days_are_counted_with_and_without_leap_days() {
        let first_of_march = |year, day: &str| Day::parse(day).unwrap().of(year);
        for year in [2023, 2024] {
            let march = Date {
                year,
                month: 3,
                day: 1,
            };
            assert_eq!(first_of_march(year, "J60"), march.days());
        }
        assert_eq!(Date::of(first_of_march(2024, "59")).day, 29);
        assert_eq!(Date::of(first_of_march(2026, "M2.5.6")).day, 28);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "C",
            "CET",
            "CET-1CEST",
            "CET-1CEST,M3.5.0",
            "CET-1CEST,M13.5.0,M10.5.0",
            "CET-1CEST,M3.6.0,M10.5.0",
            "CET-1CEST,J0,J365",
            "CET-1:60",
            "CET-1CEST,M3.5.0/x,J1",
        ] {
            assert_eq!(Rule::parse(bad), None, "{bad}");
        }
    }
}
