//! What has changed since when: so that who keeps an answer knows how much of it still holds.
//!
//! A change is told after it can be seen and before it is acknowledged, as the first time it
//! touches. What is asked is the least of these times over all changes since a version, so only
//! suffix minima are kept: a mark goes when a later change reaches as far back. Where samples
//! come in the order of time that leaves a mark for each of their seconds. When there are too
//! many, every other one of the older half joins the one before it: what is told of the past
//! gets coarser with its age, and never says less than was.

/// Marks kept: the last four minutes to the second, a day to the hour; 8 KiB.
const MARKS_MAX: usize = 512;

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
        let newer = self.marks.split_off(MARKS_MAX / 2);
        let joined = self.marks.chunks_exact(2);
        self.marks = joined.map(|pair| (pair[1].0, pair[0].1)).collect();
        self.marks.extend(newer);
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
        assert_eq!([late(1), late(60), late(240)], [0, 0, 0]);
        assert!((0..=900).contains(&late(900)), "{}", late(900));
        assert!((0..=7_200).contains(&late(3_600)), "{}", late(3_600));
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
