//! Days and dates of the proleptic Gregorian calendar: Hinnant's `civil_from_days` and
//! `days_from_civil` (<https://howardhinnant.github.io/date_algorithms.html>). Years begin in
//! March there, so that leap days end them; eras are of 400 years.

/// Days of an era.
const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Year; 0 is 1 BC.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Date {
    /// So many days after 1970-01-01.
    #[must_use]
    pub fn of(days: i64) -> Self {
        let shifted = days + EPOCH;
        let (era, of_era) = (shifted.div_euclid(ERA_DAYS), shifted.rem_euclid(ERA_DAYS));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = (from_march + 2) % 12 + 1;
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: u8::try_from(month).expect("1 to 12"),
            day: u8::try_from(day).expect("1 to 31"),
        }
    }

    /// Days from 1970-01-01; a day beyond the month's end counts into the next.
    #[must_use]
    pub fn days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = self.year - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        era * ERA_DAYS + of_era - EPOCH
    }

    /// 28 to 31.
    #[must_use]
    pub fn days_in_month(self) -> u8 {
        match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if is_leap(self.year) => 29,
            2 => 28,
            _ => 31,
        }
    }
}

/// Whether a year has a 29th of February.
#[must_use]
pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// The day of the week so many days after 1970-01-01, a Thursday; 0 is Sunday.
#[must_use]
pub fn weekday(days: i64) -> u8 {
    u8::try_from((days + 4).rem_euclid(7)).expect("0 to 6")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: i64, month: u8, day: u8) -> Date {
        Date { year, month, day }
    }

    #[test]
    fn known_days() {
        for (days, expected, day_of_week) in [
            (0, date(1970, 1, 1), 4),
            (-1, date(1969, 12, 31), 3),
            (19_782, date(2024, 2, 29), 4),
            (19_783, date(2024, 3, 1), 5),
            (11_016, date(2000, 2, 29), 2),
            (-719_468, date(0, 3, 1), 3),
        ] {
            assert_eq!(Date::of(days), expected);
            assert_eq!(expected.days(), days);
            assert_eq!(weekday(days), day_of_week, "{expected:?}");
        }
    }

    #[test]
    fn every_day_of_an_era_comes_back_and_dates_rise() {
        let mut before = Date::of(-1);
        for days in 0..ERA_DAYS {
            let date = Date::of(days);
            assert_eq!(date.days(), days);
            assert!(date > before && date.day <= date.days_in_month());
            before = date;
        }
    }

    #[test]
    fn months_have_their_lengths() {
        assert_eq!(date(2024, 2, 1).days_in_month(), 29);
        assert_eq!(date(1900, 2, 1).days_in_month(), 28);
        assert_eq!(date(2000, 2, 1).days_in_month(), 29);
        assert_eq!(date(2026, 4, 1).days_in_month(), 30);
    }
}
