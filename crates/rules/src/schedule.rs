//! When a group is due: absolute times one interval apart, spread over the interval by a hash of
//! the group's name, so that a hundred groups do not all ask at the full minute and each asks at
//! the same moments after a restart. An evaluation that takes longer than the interval skips the
//! times it has missed; they are counted.

/// One evaluation that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The time it is for, ms since the Unix epoch.
    pub at_ms: i64,
    /// Evaluations that were due before it and are lost.
    pub missed: u64,
}

/// The times of one group. Pure: it is told the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    interval_ms: i64,
    next_ms: i64,
}

impl Schedule {
    /// The schedule of the group with this key; its first time is at or before `now_ms`, less than
    /// an interval ago, as in Prometheus: a group is evaluated as soon as it is there.
    #[must_use]
    pub fn new(key: &str, interval_ms: i64, now_ms: i64) -> Self {
        let interval_ms = interval_ms.max(1);
        let offset = hash(key) % interval_ms.unsigned_abs();
        let offset = i64::try_from(offset).expect("less than the interval");
        let past = (now_ms - offset).rem_euclid(interval_ms);
        Self {
            interval_ms,
            next_ms: now_ms - past,
        }
    }

    /// The next time, ms.
    #[must_use]
    pub fn next_ms(&self) -> i64 {
        self.next_ms
    }

    /// What is due at `now_ms`, if anything is: the latest time that has come.
    pub fn fire(&mut self, now_ms: i64) -> Option<Due> {
        let late = now_ms.checked_sub(self.next_ms).filter(|late| *late >= 0)?;
        let missed = late / self.interval_ms;
        let at_ms = self.next_ms + missed * self.interval_ms;
        self.next_ms = at_ms + self.interval_ms;
        Some(Due {
            at_ms,
            missed: missed.unsigned_abs(),
        })
    }
}

/// FNV-1a, 64 bits, then mixed (the finalizer of splitmix64): short keys differ in few bits.
pub(crate) fn hash(text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_one_interval_apart_and_what_is_missed_is_counted() {
        let mut schedule = Schedule::new("a.yml;g", 10_000, 1_000_000);
        let first = schedule.fire(1_000_000).unwrap();
        assert!(first.at_ms <= 1_000_000 && first.at_ms > 990_000);
        assert_eq!(first.missed, 0);
        assert_eq!(schedule.fire(first.at_ms + 9_999), None);
        let late = schedule.fire(first.at_ms + 34_000).unwrap();
        assert_eq!(
            late,
            Due {
                at_ms: first.at_ms + 30_000,
                missed: 2
            }
        );
        assert_eq!(schedule.next_ms(), first.at_ms + 40_000);
    }

    #[test]
    fn groups_are_spread_and_stay_where_they_are_after_a_restart() {
        let place = |key: &str, now| Schedule::new(key, 60_000, now).next_ms().rem_euclid(60_000);
        let mut places: Vec<i64> = (0..100)
            .map(|n| place(&format!("f;g{n}"), 7_000_000))
            .collect();
        assert_eq!(places[3], place("f;g3", 9_123_456));
        places.sort_unstable();
        let gap = places.windows(2).map(|w| w[1] - w[0]).max().unwrap();
        assert!(gap < 6_000, "a hundred groups leave a gap of {gap} ms");
    }
}
