//! How a series comes in: how often, how often it moves, and in which steps.

/// Points over which the interval is averaged.
const MEMORY: f32 = 100.0;
/// A gap counts as at most this many intervals.
const GAP: f32 = 4.0;
/// Points after which gaps are clipped.
const SETTLED: u32 = 8;

/// What is known of the arrival of points.
#[derive(Debug, Clone)]
pub struct Rhythm {
    /// Points so far.
    pub points: u32,
    /// Points that differed from the one before.
    pub moves: u32,
    /// Usual time between points, ms; 0 before the second.
    pub interval_ms: f32,
    /// Smallest move seen: the resolution of the source; 0 before the first.
    pub quantum: f64,
    last_ms: i64,
    last: f64,
}

impl Rhythm {
    /// Nothing seen.
    #[must_use]
    pub fn new() -> Self {
        Self {
            points: 0,
            moves: 0,
            interval_ms: 0.0,
            quantum: 0.0,
            last_ms: 0,
            last: 0.0,
        }
    }

    /// Takes the next point; `time_ms` rises.
    pub fn observe(&mut self, time_ms: i64, value: f64) {
        self.points = self.points.saturating_add(1);
        if self.points > 1 {
            self.step((time_ms - self.last_ms) as f32, (value - self.last).abs());
        }
        (self.last_ms, self.last) = (time_ms, value);
    }

    fn step(&mut self, passed_ms: f32, moved: f64) {
        let limit = if self.points < SETTLED {
            f32::MAX
        } else {
            GAP * self.interval_ms
        };
        let share = 1.0 / (self.points as f32 - 1.0).min(MEMORY);
        self.interval_ms += (passed_ms.min(limit) - self.interval_ms) * share;
        if moved > 0.0 {
            self.quantum = if self.moves == 0 {
                moved
            } else {
                self.quantum.min(moved)
            };
            self.moves = self.moves.saturating_add(1);
        }
    }
}

impl Default for Rhythm {
    fn default() -> Self {
        Self::new()
    }
}
