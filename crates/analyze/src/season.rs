//! The usual value at this time of day and of the week, learned from the days gone by.
//!
//! Two additive profiles: up to 288 slots a day (5 minutes each, or the sampling interval if it is
//! longer), and the deviation from it in each of the 168 hours of a week. A slot's mean enters
//! once a day, clipped, with a memory of about a week: an incident leaves little trace.

const DAY_MS: i64 = 86_400_000;
const SLOT_MS: i64 = 300_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_SLOTS: usize = 288;
const WEEK_SLOTS: usize = 168;
/// Days remembered by the daily profile.
const DAYS: f32 = 7.0;
/// Share of a new week in the weekly profile.
const WEEK_SHARE: f32 = 0.35;
/// A slot's mean counts as at most this many scales away from the profile.
const CLIP: f32 = 3.0;
/// Longest sampling interval for which a daily profile makes sense.
pub const MAX_INTERVAL_MS: i64 = 2 * HOUR_MS;

/// The profiles of one series.
#[derive(Debug, Clone)]
pub struct Season {
    start_ms: i64,
    slot_ms: i64,
    now_ms: i64,
    current: usize,
    sum: f64,
    count: u32,
    day: [f32; DAY_SLOTS],
    week: [f32; WEEK_SLOTS],
}

impl Season {
    /// Profiles that begin to learn at `time_ms`, for a series sampled every `interval_ms`.
    #[must_use]
    pub fn new(time_ms: i64, interval_ms: i64) -> Self {
        Self {
            start_ms: time_ms,
            slot_ms: (interval_ms + SLOT_MS - 1) / SLOT_MS * SLOT_MS,
            now_ms: time_ms,
            current: usize::MAX,
            sum: 0.0,
            count: 0,
            day: [f32::NAN; DAY_SLOTS],
            week: [0.0; WEEK_SLOTS],
        }
    }

    /// Whether two whole days have been seen.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.now_ms - self.start_ms >= 2 * DAY_MS
    }

    /// The usual value at `time_ms`; `None` where none is known.
    #[must_use]
    pub fn expect(&self, time_ms: i64) -> Option<f64> {
        let day = self.day[self.day_slot(time_ms)];
        let value = f64::from(day) + f64::from(self.weekly(time_ms));
        (self.ready() && !day.is_nan()).then_some(value)
    }

    /// Learns a value; `scale` is the usual distance from the profile.
    pub fn learn(&mut self, time_ms: i64, value: f64, scale: f64) {
        let slot = self.day_slot(time_ms);
        if slot != self.current {
            self.close_slot(scale as f32);
            (self.current, self.sum, self.count) = (slot, 0.0, 0);
        }
        self.now_ms = time_ms;
        self.sum += value;
        self.count += 1;
    }

    fn close_slot(&mut self, scale: f32) {
        if self.count == 0 {
            return;
        }
        let mean = (self.sum / f64::from(self.count)) as f32;
        let days = (self.now_ms - self.start_ms) / DAY_MS;
        let weekly = self.weekly(self.now_ms);
        let day = &mut self.day[self.current];
        if day.is_nan() {
            *day = mean;
            return;
        }
        let off = mean - *day;
        if days >= 7 {
            let hour = &mut self.week[week_slot(self.now_ms)];
            let share = WEEK_SHARE / (HOUR_MS / self.slot_ms).max(1) as f32;
            let limit = (2.0 * CLIP * scale).max(hour.abs());
            *hour += share * (off - *hour).clamp(-limit, limit);
        }
        let share = 1.0 / (days as f32 + 1.0).min(DAYS);
        let error = off - weekly;
        *day += share
            * if days >= 3 {
                error.clamp(-CLIP * scale, CLIP * scale)
            } else {
                error
            };
    }

    /// The weekly deviation counts once it rests on two weeks.
    fn weekly(&self, time_ms: i64) -> f32 {
        if time_ms - self.start_ms < 14 * DAY_MS {
            0.0
        } else {
            self.week[week_slot(time_ms)]
        }
    }

    fn day_slot(&self, time_ms: i64) -> usize {
        (time_ms.rem_euclid(DAY_MS) / self.slot_ms) as usize
    }
}

fn week_slot(time_ms: i64) -> usize {
    (time_ms.rem_euclid(7 * DAY_MS) / HOUR_MS) as usize
}
