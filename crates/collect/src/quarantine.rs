//! What was refused, to be looked at: a ring of the newest refusals with their reason, door,
//! series, time and value. Bounded in entries, each bounded in bytes; the oldest go first.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Refusals kept. 1,000: a page of every reason even when one source floods.
const ENTRIES_MAX: usize = 1_000;

/// Bytes of a series or a detail that are kept.
const TEXT_BYTES_MAX: usize = 512;

/// Something refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Quarantined {
    /// Rises by one a refusal since the start.
    pub id: u64,
    /// When it was refused, ms since the Unix epoch.
    pub at_ms: i64,
    /// The door it came by, as [`model::Batch::door`].
    pub door: &'static str,
    /// Why, as a label value.
    pub reason: &'static str,
    /// The series, or whatever of it could be read.
    pub series: String,
    /// The sample's own time, ms; `None` where a whole series, line or body was refused.
    pub time_ms: Option<i64>,
    /// Its value; `None` as above, and for a histogram.
    pub value: Option<f64>,
    /// What else can be said; may be empty.
    pub detail: String,
}

/// Which refusals are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only of this door.
    pub door: Option<String>,
    /// Only for this reason.
    pub reason: Option<String>,
    /// At most so many; 0 for all that are kept.
    pub limit: usize,
}

#[derive(Debug, Default)]
struct Kept {
    ring: VecDeque<Quarantined>,
    count: u64,
}

/// The newest refusals.
#[derive(Debug, Default)]
pub struct Quarantine(Mutex<Kept>);

impl Quarantine {
    /// Keeps a refusal; its `id` is given here.
    pub fn push(&self, mut refused: Quarantined) {
        shorten(&mut refused.series);
        shorten(&mut refused.detail);
        let mut kept = self.lock();
        kept.count += 1;
        refused.id = kept.count;
        if kept.ring.len() == ENTRIES_MAX {
            kept.ring.pop_front();
        }
        kept.ring.push_back(refused);
    }

    /// The wanted ones, newest first.
    #[must_use]
    pub fn newest(&self, wanted: &Wanted) -> Vec<Quarantined> {
        let is = |said: &Option<String>, found: &str| said.as_ref().is_none_or(|s| s == found);
        let kept = self.lock();
        let found = kept.ring.iter().rev();
        let found = found.filter(|q| is(&wanted.door, q.door) && is(&wanted.reason, q.reason));
        let limit = if wanted.limit == 0 {
            usize::MAX
        } else {
            wanted.limit
        };
        found.take(limit).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves whole entries behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shorten(text: &mut String) {
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(door: &'static str, reason: &'static str, series: &str) -> Quarantined {
        Quarantined {
            id: 0,
            at_ms: 0,
            door,
            reason,
            series: series.to_owned(),
            time_ms: None,
            value: None,
            detail: String::new(),
        }
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_go() {
        let quarantine = Quarantine::default();
        for i in 0..ENTRIES_MAX + 5 {
            quarantine.push(refused("scrape", "no_name", &i.to_string()));
        }
        let all = quarantine.newest(&Wanted::default());
        assert_eq!(all.len(), ENTRIES_MAX);
        assert_eq!((all[0].series.as_str(), all[0].id), ("1004", 1_005));
        assert_eq!(all.last().unwrap().series, "5");
    }

    #[test]
    fn door_and_reason_choose() {
        let quarantine = Quarantine::default();
        for (door, reason) in [("otlp", "a"), ("otlp", "b"), ("csv", "a")] {
            quarantine.push(refused(door, reason, "é".repeat(400).as_str()));
        }
        let of = |door: Option<&str>, reason: Option<&str>, limit| {
            let wanted = Wanted {
                door: door.map(str::to_owned),
                reason: reason.map(str::to_owned),
                limit,
            };
            let found = quarantine.newest(&wanted);
            found.iter().map(|q| q.id).collect::<Vec<_>>()
        };
        assert_eq!(of(Some("otlp"), None, 0), [2, 1]);
        assert_eq!(of(None, Some("a"), 0), [3, 1]);
        assert_eq!(of(Some("otlp"), Some("a"), 0), [1]);
        assert_eq!(of(None, None, 2), [3, 2]);
        let long = &quarantine.newest(&Wanted::default())[0].series;
        assert_eq!(long.len(), TEXT_BYTES_MAX, "cut between characters");
    }
}
