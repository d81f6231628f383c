//! How long to wait before the next attempt: exponential backoff with full jitter, never sooner
//! than the peer asked.
//!
//! Full jitter (a uniform wait between 0 and the exponential bound) spreads the return of many
//! senders best: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
//! `Retry-After` is seconds or an HTTP date: RFC 9110, sections 10.2.3 and 5.6.7.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Longest wait a peer may ask for: a wrong header must not silence a sender for a day.
const ASKED_MAX: Duration = Duration::from_secs(600);

/// Bounds of the wait between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first wait. 100 ms.
    pub min: Duration,
    /// Bound of every wait. 30 s: an outage's end is noticed within it.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(100),
            max: Duration::from_secs(30),
        }
    }
}

impl Backoff {
    /// The wait before attempt `retry` (1 for the first retry), from a random number in [0, 1).
    #[must_use]
    pub fn wait(&self, retry: u32, asked: Option<Duration>, random: f64) -> Duration {
        let doubled = self
            .min
            .saturating_mul(1 << retry.saturating_sub(1).min(20));
        let drawn = doubled.min(self.max).mul_f64(random.clamp(0.0, 1.0));
        // The jitter also spreads those who were asked to come at the same time.
        asked.map_or(drawn, |asked| asked.min(ASKED_MAX) + drawn.min(self.min))
    }
}

/// A random number in [0, 1), from the process's own hashing keys.
#[must_use]
pub fn random() -> f64 {
    let bits = RandomState::new().hash_one(0_u8);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Reads `Retry-After`: seconds, or a date as seen at `now_ms`.
#[must_use]
pub fn retry_after(header: &str, now_ms: i64) -> Option<Duration> {
    if let Ok(seconds) = header.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at_ms = http_date_ms(header.trim())?;
    let wait_ms = at_ms.saturating_sub(now_ms).max(0);
    Some(Duration::from_millis(wait_ms.unsigned_abs()))
}

/// `Wed, 21 Oct 2015 07:28:00 GMT` as ms since the Unix epoch.
fn http_date_ms(text: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: i64 = words.next()?.parse().ok()?;
    let month = i64::try_from(MONTHS.find(words.next()?)? / 3 + 1).ok()?;
    let year: i64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(str::parse::<i64>);
    let mut part = || clock.next()?.ok();
    let (hour, minute, second) = (part()?, part()?, part()?);
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    (words.next() == Some("GMT")).then_some(seconds * 1_000)
}

/// Days since 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn the_bound_doubles_up_to_its_maximum_and_jitter_is_full() {
        let backoff = Backoff::default();
        let bounds = [1, 2, 3, 9, 10, 40].map(|retry| backoff.wait(retry, None, 1.0));
        assert_eq!(
            bounds,
            [
                MS(100),
                MS(200),
                MS(400),
                MS(25_600),
                MS(30_000),
                MS(30_000)
            ]
        );
        assert_eq!(backoff.wait(7, None, 0.0), Duration::ZERO);
        assert_eq!(backoff.wait(1, None, 0.25), MS(25));
    }

    #[test]
    fn what_the_peer_asked_for_is_waited_for() {
        let backoff = Backoff::default();
        assert!(backoff.wait(1, Some(MS(7_000)), 0.0) >= MS(7_000));
        assert!(backoff.wait(9, Some(MS(7_000)), 0.9) <= MS(7_100));
        assert!(backoff.wait(1, Some(Duration::MAX), 0.0) <= ASKED_MAX);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("120", 0), Some(MS(120_000)));
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(retry_after(date, 1_445_412_470_000), Some(MS(10_000)));
        assert_eq!(retry_after(date, 1_445_412_490_000), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", 0), None);
    }

    #[test]
    fn random_numbers_differ_and_stay_in_range() {
        let drawn: Vec<f64> = (0..100).map(|_| random()).collect();
        assert!(drawn.iter().all(|x| (0.0..1.0).contains(x)));
        assert!(drawn.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
