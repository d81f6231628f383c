//! Dates of Unix times in UTC, by the algorithms of H. Hinnant, "chrono-compatible low-level date
//! algorithms". Known answer: day 0 is 1970-01-01, a Thursday.

use crate::functions::Kind;

const DAY_SECONDS: i64 = 86_400;

/// The function of a Unix time in seconds, if `kind` is one.
pub(super) fn function(kind: Kind) -> Option<fn(f64) -> f64> {
    Some(match kind {
        Kind::Year => |s| date(s).year as f64,
        Kind::Month => |s| date(s).month as f64,
        Kind::DayOfMonth => |s| date(s).day as f64,
        Kind::DaysInMonth => |s| days_in_month(date(s)) as f64,
        Kind::DayOfWeek => |s| (day(s) + 4).rem_euclid(7) as f64,
        Kind::DayOfYear => |s| {
            let first = Date {
                month: 1,
                day: 1,
                ..date(s)
            };
            (day(s) - days_before(first) + 1) as f64
        },
        Kind::Hour => |s| (second_of_day(s) / 3600) as f64,
        Kind::Minute => |s| (second_of_day(s) % 3600 / 60) as f64,
        _ => return None,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

/// Days since 1970-01-01.
fn day(seconds: f64) -> i64 {
    (seconds as i64).div_euclid(DAY_SECONDS)
}

fn second_of_day(seconds: f64) -> i64 {
    (seconds as i64).rem_euclid(DAY_SECONDS)
}

fn date(seconds: f64) -> Date {
    // Years begin in March, so that leap days end them; eras are of 400 years.
    let days = day(seconds) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    Date {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: of_year - (153 * from_march + 2) / 5 + 1,
    }
}

/// Days from 1970-01-01 to a date.
fn days_before(date: Date) -> i64 {
    let year = date.year - i64::from(date.month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = (date.month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + date.day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

fn days_in_month(date: Date) -> i64 {
    let next = match date.month {
        12 => Date {
            year: date.year + 1,
            month: 1,
            day: 1,
        },
        month => Date {
            year: date.year,
            month: month + 1,
            day: 1,
        },
    };
    days_before(next) - days_before(Date { day: 1, ..date })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, seconds: f64) -> f64 {
        function(kind).unwrap()(seconds)
    }

    #[test]
    fn dates_agree_with_the_calendar() {
        // 2024-02-29T23:59:59Z
        let leap_day = 1_709_251_199.0;
        let wanted = [
            (Kind::Year, 2024.0),
            (Kind::Month, 2.0),
            (Kind::DayOfMonth, 29.0),
            (Kind::DaysInMonth, 29.0),
            (Kind::DayOfWeek, 4.0),
            (Kind::DayOfYear, 60.0),
            (Kind::Hour, 23.0),
            (Kind::Minute, 59.0),
        ];
        for (kind, value) in wanted {
            assert_eq!(of(kind, leap_day), value, "{kind:?}");
        }
        assert_eq!(of(Kind::DayOfWeek, 0.0), 4.0);
        assert_eq!(
            (of(Kind::Year, -1.0), of(Kind::Month, -1.0)),
            (1969.0, 12.0)
        );
    }

    #[test]
    fn days_and_dates_are_inverse() {
        for day in (-200_000..200_000).step_by(97) {
            assert_eq!(days_before(date(day as f64 * 86_400.0)), day);
        }
    }
}
