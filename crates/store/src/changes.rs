//! What has changed since when: so that who keeps an answer knows how much of it still holds.
//!
//! A change is told after it can be seen and before it is acknowledged, as the first time it
//! touches. What is asked is the least of these times over all changes since a version, so only
//! suffix minima are kept: a mark goes when a later change reaches as far back. Where samples
//! come in the order of time that leaves a mark for each of their seconds. When there are too
//! many, marks join the one before them where the two are closer than a share of their age: what
//! is told of the past gets coarser the older it is, and never says less than was.

/// Marks kept, 8 KiB: a month is told as finely as [`FINEST`] says.
const MARKS_MAX: usize = 512;

/// What is told is off by at most this part of its age: after an hour by four minutes.
const FINEST: i64 = 16;

/// Times are told to the second.
const GRAIN_MS: i64 = 1_000;

#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Changes so far.
    version: u64,
    /// A version and the first time, ms, touched by changes from the mark before up to it, or
    /// later; both rising.
    marks: Vec<(u64, i64)>,
}

impl Changes {
    /// Something changed at or after this time, ms.
    pub(crate) fn note(&mut self, from_ms: i64) {
        let from_ms = from_ms.div_euclid(GRAIN_MS).saturating_mul(GRAIN_MS);
        self.version += 1;
        while self.marks.last().is_some_and(|(_, t)| *t >= from_ms) {
            self.marks.pop();
        }
        self.marks.push((self.version, from_ms));
        if self.marks.len() > MARKS_MAX {
            self.thin();
        }
    }

    fn thin(&mut self) {
        let mut share = FINEST;
        while self.marks.len() > MARKS_MAX * 3 / 4 && share > 0 {
            self.join(share);
            share /= 2;
        }
    }

    /// Joins marks where what they then say is off by no more than this part of its age.
    fn join(&mut self, share: i64) {
        let Some((_, newest)) = self.marks.last().copied() else {
            return;
        };
        let mut joined: Vec<(u64, i64)> = Vec::with_capacity(MARKS_MAX);
        for pair in self.marks.windows(2) {
            let [(version, time), (_, next)] = [pair[0], pair[1]];
            match joined.last_mut() {
                Some(last)
                    if next.saturating_sub(last.1) <= newest.saturating_sub(next) / share =>
                {
                    last.0 = version;
                }
                _ => joined.push((version, time)),
            }
        }
        joined.extend(self.marks.last());
        self.marks = joined;
    }

    /// What a reader of that version has missed.
    pub(crate) fn since(&self, version: u64) -> model::Changes {
        let missed = self.marks.partition_point(|(v, _)| *v <= version);
        model::Changes {
            version: self.version,
            from_ms: self.marks.get(missed).map_or(i64::MAX, |(_, t)| *t),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_least_time_since_a_version_is_told() {
        let mut changes = Changes::default();
        assert_eq!(changes.since(0).from_ms, i64::MAX);
        for time in [10_000, 30_000, 20_999, 40_000] {
            changes.note(time);
        }
        let since = [0, 1, 2, 3, 4].map(|version| changes.since(version).from_ms);
        assert_eq!(since, [10_000, 20_000, 20_000, 40_000, i64::MAX]);
        assert_eq!(changes.since(2).version, 4);
    }

    #[test]
    fn what_is_long_ago_is_told_more_coarsely() {
        let mut changes = Changes::default();
        let day = 86_400;
        for second in 0..day {
            changes.note(second * GRAIN_MS);
        }
        let late = |ago: i64| {
            let told = changes.since((day - ago) as u64).from_ms / GRAIN_MS;
            day - ago - told
        };
        assert_eq!([late(1), late(5), late(15)], [0, 0, 0]);
        for ago in (16..day).step_by(37) {
            assert!(
                (0..=ago / FINEST + 1).contains(&late(ago)),
                "{ago}: {}",
                late(ago)
            );
        }
        assert!(changes.marks.len() <= MARKS_MAX);
    }

    proptest! {
        #[test]
        fn no_change_is_missed(noise in proptest::collection::vec(-50i64..2_000, 0..1_500)) {
            let mut changes = Changes::default();
            // Mostly in order, as samples come.
            let time = |(i, noise): (usize, &i64)| noise / 40 * GRAIN_MS + i as i64 * 300;
            let times: Vec<i64> = noise.iter().enumerate().map(time).collect();
            times.iter().for_each(|time| changes.note(*time));
            prop_assert!(changes.marks.len() <= MARKS_MAX);
            let mut least = i64::MAX;
            for (i, time) in times.iter().enumerate().rev() {
                least = least.min(*time);
                let told = changes.since(i as u64).from_ms;
                prop_assert!(told <= least, "of version {i}: {told} is after {least}");
                let is_exact = times.len() <= MARKS_MAX;
                prop_assert!(!is_exact || least - told < GRAIN_MS, "of version {i}: {told}");
            }
        }
    }
}
