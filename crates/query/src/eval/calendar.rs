//! Functions of dates: what the calendar says of a Unix time, in UTC.

use numerics::calendar::{Date, weekday};

use crate::functions::Kind;

const DAY_SECONDS: i128 = 86_400;

/// What every time beyond 64 bits is taken to be, and what is no number: Go converts it to the
/// least integer (on amd64), and its calendar wraps that around.
const BEYOND_SECONDS: i128 = 1 << 63;

/// The function of a Unix time in seconds, if `kind` is one.
pub(super) fn function(kind: Kind) -> Option<fn(f64) -> f64> {
    Some(match kind {
        Kind::Year => |s| date(s).year as f64,
        Kind::Month => |s| f64::from(date(s).month),
        Kind::DayOfMonth => |s| f64::from(date(s).day),
        Kind::DaysInMonth => |s| f64::from(date(s).days_in_month()),
        Kind::DayOfWeek => |s| f64::from(weekday(day(s))),
        Kind::DayOfYear => |s| {
            let first = Date {
                month: 1,
                day: 1,
                ..date(s)
            };
            (day(s) - first.days() + 1) as f64
        },
        Kind::Hour => |s| (second_of_day(s) / 3600) as f64,
        Kind::Minute => |s| (second_of_day(s) % 3600 / 60) as f64,
        _ => return None,
    })
}

/// Whole seconds, towards zero.
fn whole(seconds: f64) -> i128 {
    if seconds.abs() < BEYOND_SECONDS as f64 {
        seconds as i128
    } else {
        BEYOND_SECONDS
    }
}

/// Days since 1970-01-01.
fn day(seconds: f64) -> i64 {
    let days = whole(seconds).div_euclid(DAY_SECONDS);
    i64::try_from(days).expect("2^63 seconds are fewer days")
}

fn second_of_day(seconds: f64) -> i128 {
    whole(seconds).rem_euclid(DAY_SECONDS)
}

fn date(seconds: f64) -> Date {
    Date::of(day(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, seconds: f64) -> f64 {
        function(kind).unwrap()(seconds)
    }

    const ALL: [Kind; 8] = [
        Kind::Year,
        Kind::Month,
        Kind::DayOfMonth,
        Kind::DaysInMonth,
        Kind::DayOfWeek,
        Kind::DayOfYear,
        Kind::Hour,
        Kind::Minute,
    ];

    #[test]
    fn dates_agree_with_the_calendar() {
        // 2024-02-29T23:59:59Z
        let leap_day = ALL.map(|kind| of(kind, 1_709_251_199.0));
        assert_eq!(leap_day, [2024.0, 2.0, 29.0, 29.0, 4.0, 60.0, 23.0, 59.0]);
        assert_eq!(of(Kind::DayOfWeek, 0.0), 4.0);
        let before = [Kind::Year, Kind::Month].map(|kind| of(kind, -1.0));
        assert_eq!(before, [1969.0, 12.0]);
        // Parts of a second are cut off.
        assert_eq!(of(Kind::Year, -0.5), 1970.0);
    }

    /// As Prometheus 2.42 answers on amd64.
    #[test]
    fn what_is_no_time_is_far_away() {
        let far = [292_277_026_596.0, 12.0, 4.0, 31.0, 0.0, 339.0, 15.0, 30.0];
        for seconds in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -9.3e18] {
            assert_eq!(ALL.map(|kind| of(kind, seconds)), far, "{seconds}");
        }
    }
}
