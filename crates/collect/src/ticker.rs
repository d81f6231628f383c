//! When to sample next: absolute deadlines on whole multiples of the interval, without drift.
//!
//! A tick carries the time it was *scheduled* for, so the samples of a steady collector are
//! exactly one interval apart however late it woke. A tick that could not be served before the
//! next one was due is skipped and counted, never served twice as fast later. Deadlines are
//! monotonic; the wall clock only says where the multiples lie. Where the two drift apart slowly
//! the deadlines follow by small steps; where the wall clock jumps they are laid out anew, and
//! the jump is counted.

use std::time::Duration;

/// Shortest interval, ms: below it the sampling would measure itself.
pub const INTERVAL_MS_MIN: i64 = 10;

/// Share of an interval by which one tick may be moved to follow the wall clock.
const SLEW_SHARE: i64 = 100;

/// One moment to sample at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// The time its samples carry: ms since the Unix epoch, a multiple of the interval.
    pub stamp_ms: i64,
    /// Ticks before this one that were due and are lost.
    pub skipped: u64,
    /// How long after its deadline it was served.
    pub late: Duration,
}

/// The schedule of one interval. Pure: it is told the time.
#[derive(Debug, Clone)]
pub struct Ticker {
    interval_ms: i64,
    stamp_ms: i64,
    deadline: Duration,
    skipped: u64,
    jumps: u64,
}

impl Ticker {
    /// A schedule whose first tick is the first multiple of `interval` at or after now.
    /// Intervals are rounded to milliseconds and are at least [`INTERVAL_MS_MIN`].
    #[must_use]
    pub fn new(interval: Duration, wall_ms: i64, monotonic: Duration) -> Self {
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX / 4);
        let interval_ms = interval_ms.clamp(INTERVAL_MS_MIN, i64::MAX / 4);
        let mut ticker = Self {
            interval_ms,
            stamp_ms: 0,
            deadline: monotonic,
            skipped: 0,
            jumps: 0,
        };
        ticker.lay_out(wall_ms, monotonic);
        ticker
    }

    /// When the next tick is due, on the monotonic clock.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Ticks lost so far.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Jumps of the wall clock met so far.
    #[must_use]
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// The tick that is due now, if one is. The latest one counts, earlier ones are skipped.
    pub fn fire(&mut self, wall_ms: i64, monotonic: Duration) -> Option<Tick> {
        let late = monotonic.checked_sub(self.deadline)?;
        let late_ms = i64::try_from(late.as_millis()).unwrap_or(i64::MAX / 4);
        let missed = late_ms / self.interval_ms;
        let stamp_ms = self.stamp_ms + missed * self.interval_ms;
        let late = late.saturating_sub(millis(missed * self.interval_ms));
        let skipped = missed.unsigned_abs();
        self.skipped += skipped;
        let ahead_ms = wall_ms.saturating_sub(stamp_ms + late_ms % self.interval_ms);
        if ahead_ms.saturating_abs() > self.interval_ms / 2 {
            self.jumps += 1;
            self.lay_out(wall_ms.saturating_add(1), monotonic + millis(1));
            return Some(Tick {
                stamp_ms: self.stamp_ms - self.interval_ms,
                skipped,
                late,
            });
        }
        self.stamp_ms = stamp_ms + self.interval_ms;
        self.deadline += millis((missed + 1) * self.interval_ms);
        self.follow(ahead_ms);
        Some(Tick {
            stamp_ms,
            skipped,
            late,
        })
    }

    /// Moves the next deadline a little towards where the wall clock says it is.
    fn follow(&mut self, ahead_ms: i64) {
        let most_ms = (self.interval_ms / SLEW_SHARE).max(1);
        let step_ms = ahead_ms.clamp(-most_ms, most_ms);
        if step_ms > 0 {
            self.deadline = self.deadline.saturating_sub(millis(step_ms));
        } else {
            self.deadline += millis(-step_ms);
        }
    }

    /// The next tick is the first multiple at or after `wall_ms`.
    fn lay_out(&mut self, wall_ms: i64, monotonic: Duration) {
        let past = wall_ms.rem_euclid(self.interval_ms);
        let wait_ms = if past == 0 {
            0
        } else {
            self.interval_ms - past
        };
        self.stamp_ms = wall_ms.saturating_add(wait_ms);
        self.deadline = monotonic + millis(wait_ms);
    }
}

/// A duration that is not negative.
fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn ticks_carry_multiples_of_the_interval_however_late_they_are_served() {
        let mut ticker = Ticker::new(SECOND, 10_250, at(0));
        assert_eq!(ticker.deadline(), at(750));
        assert_eq!(ticker.fire(10_999, at(749)), None);
        let mut stamps = Vec::new();
        for (tick, late) in [0, 3, 40, 900, 7].into_iter().enumerate() {
            let now = 750 + 1000 * tick as u64 + late;
            let tick = ticker.fire(10_250 + now as i64, at(now)).unwrap();
            assert_eq!(tick.late, at(late));
            stamps.push(tick.stamp_ms);
        }
        assert_eq!(stamps, [11_000, 12_000, 13_000, 14_000, 15_000]);
        assert_eq!((ticker.skipped(), ticker.jumps()), (0, 0));
    }

    #[test]
    fn what_could_not_be_served_in_time_is_skipped_and_counted() {
        let mut ticker = Ticker::new(SECOND, 0, at(0));
        assert_eq!(ticker.fire(0, at(0)).unwrap().stamp_ms, 0);
        let tick = ticker.fire(3_400, at(3_400)).unwrap();
        assert_eq!(
            tick,
            Tick {
                stamp_ms: 3_000,
                skipped: 2,
                late: at(400)
            }
        );
        assert_eq!(ticker.deadline(), at(4_000));
    }

    #[test]
    fn a_slow_drift_of_the_clocks_is_followed() {
        // The wall clock runs 0.05 % faster than the monotonic one: half a millisecond a tick.
        let mut ticker = Ticker::new(SECOND, 0, at(0));
        let mut last = -1000;
        for _ in 0..10_000 {
            let now = ticker.deadline();
            let wall_ms = (now.as_secs_f64() * 1000.5) as i64;
            let tick = ticker.fire(wall_ms, now).unwrap();
            assert_eq!(tick.stamp_ms - last, 1000);
            assert!((wall_ms - tick.stamp_ms).abs() <= 2, "{wall_ms} {tick:?}");
            last = tick.stamp_ms;
        }
        assert_eq!((ticker.skipped(), ticker.jumps()), (0, 0));
    }

    #[test]
    fn a_jump_of_the_wall_clock_is_counted_and_the_ticks_laid_out_anew() {
        let mut ticker = Ticker::new(SECOND, 0, at(0));
        ticker.fire(0, at(0)).unwrap();
        assert_eq!(
            ticker.fire(3_600_400, at(1_000)).unwrap().stamp_ms,
            3_600_000
        );
        assert_eq!((ticker.jumps(), ticker.deadline()), (1, at(1_600)));
        assert_eq!(
            ticker.fire(3_601_000, at(1_600)).unwrap().stamp_ms,
            3_601_000
        );
        assert_eq!(ticker.fire(1_000, at(2_600)).unwrap().stamp_ms, 1_000);
        assert_eq!(ticker.fire(2_000, at(3_600)).unwrap().stamp_ms, 2_000);
        assert_eq!(ticker.jumps(), 2);
    }
}
