//! How far a counter rose within the last so many seconds: a few readings, kept as long as the
//! window.

use std::{collections::VecDeque, time::Duration};

/// Readings kept of a window: how finely it slides.
const READINGS: u32 = 16;

/// A window over the readings of a counter.
#[derive(Debug, Clone)]
pub(crate) struct Rise {
    window: Duration,
    /// Time and count; the oldest may lie before the window, where its start is read off.
    readings: VecDeque<(Duration, u64)>,
}

impl Rise {
    pub(crate) fn over(window: Duration) -> Self {
        Self {
            window,
            readings: VecDeque::new(),
        }
    }

    /// Reads the counter; by how much it rose since the window's start, or since the first
    /// reading where that is later.
    pub(crate) fn note(&mut self, now: Duration, count: u64) -> u64 {
        let newest = self.readings.back().map(|(at, _)| *at);
        if newest.is_none_or(|at| now >= at + self.window / READINGS) {
            self.readings.push_back((now, count));
        }
        let start = now.saturating_sub(self.window);
        while self.readings.get(1).is_some_and(|(at, _)| *at <= start) {
            self.readings.pop_front();
        }
        let (_, first) = self.readings[0];
        count.saturating_sub(first)
    }

    /// Whether a whole window has been seen.
    pub(crate) fn is_whole(&self, now: Duration) -> bool {
        let first = self.readings.front();
        first.is_some_and(|(at, _)| now >= *at + self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides_and_memory_does_not_grow() {
        let s = Duration::from_secs;
        let mut rise = Rise::over(s(60));
        assert_eq!(rise.note(s(0), 5), 0);
        assert_eq!(rise.note(s(10), 7), 2);
        assert!(!rise.is_whole(s(10)));
        assert_eq!(rise.note(s(60), 7), 2);
        assert!(rise.is_whole(s(60)));
        assert_eq!(rise.note(s(70), 7), 0, "the rise has left the window");
        for second in 71..1_000 {
            rise.note(s(second), second);
        }
        assert!(rise.readings.len() <= READINGS as usize + 2);
        assert!((58..=66).contains(&rise.note(s(1_000), 1_000)));
    }
}
