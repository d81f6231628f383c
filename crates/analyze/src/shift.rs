//! Online change points: has the series moved to another level and stayed there?
//!
//! Two-sided CUSUM (Page 1954) on means of at least eight points and half a minute, each
//! standardised by the level and the spread of the means before it, clipped so that no single
//! spike is a move, and divided by the long-run inflation of an AR(1), so that wandering noise is
//! none either. The decision bound follows from the budget by Siegmund's approximation (1985) of
//! the average run length, and rises after each change point told (a series that moves all the
//! time has no level).

/// Fewest points of one mean.
const BLOCK: u32 = 8;
/// Shortest time of one mean, ms: what moves within half a minute is an incident, not a level;
/// and means of more points are closer to the Gaussian that the bound supposes.
const BLOCK_MS: f32 = 32_000.0;
/// Half the smallest shift looked for, in standard deviations of a mean.
const DRIFT: f64 = 0.5;
/// A mean counts as at most this many standard deviations.
const CLIP: f64 = 3.0;
/// Siegmund's correction for the overshoot.
const OVERSHOOT: f64 = 1.166;
/// Means that make the new level; fewer than any clipped sum needs to reach the bound.
const LATEST: usize = 4;
/// Means over which level, spread and autocorrelation are averaged.
const MEMORY: f64 = 300.0;
/// Means needed before anything is told, and after a change until the level is known again.
const MIN_BLOCKS: f64 = 30.0;
/// Autocorrelation beyond which a series counts as wandering.
const MAX_PHI: f64 = 0.95;
/// What a change point adds to the bound; it fades in the time the budget allows one.
const RAISE: f64 = 3.0;
const MAX_RAISE: f64 = 30.0;
/// Mean absolute deviation of a Gaussian to its standard deviation.
const ABSOLUTE_TO_SIGMA: f64 = 1.2533;
const WEEK_MS: f64 = 604_800_000.0;

/// A move that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Move {
    /// Estimated begin, ms.
    pub since_ms: i64,
    /// Distance from the base before and after.
    pub before: f64,
    /// See `before`.
    pub after: f64,
    /// -log10 of the probability of such a sum at one mean, when nothing moved.
    pub severity: f64,
}

/// The state of one series.
#[derive(Debug, Clone)]
pub struct Shift {
    block_ms: i64,
    sum: f64,
    points: u32,
    count: f64,
    level: f64,
    spread: f64,
    last: f64,
    square: f64,
    product: f64,
    raise: f64,
    /// The last means: what the series moved to.
    latest: [f64; LATEST],
    up: Run,
    down: Run,
}

/// One side of the CUSUM: its sum, and when it left 0.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    sum: f64,
    since_ms: i64,
}

impl Run {
    fn observe(&mut self, start_ms: i64, z: f64) {
        if self.sum == 0.0 {
            self.since_ms = start_ms;
        }
        self.sum = (self.sum + z - DRIFT).max(0.0);
    }
}

impl Shift {
    /// Nothing seen.
    #[must_use]
    pub fn new() -> Self {
        Self {
            block_ms: 0,
            sum: 0.0,
            points: 0,
            count: 0.0,
            level: 0.0,
            spread: 0.0,
            last: 0.0,
            square: 0.0,
            product: 0.0,
            raise: 0.0,
            latest: [0.0; LATEST],
            up: Run::default(),
            down: Run::default(),
        }
    }

    /// Takes the next point as a distance from a base; distances below `floor` are noise.
    pub fn observe(
        &mut self,
        time_ms: i64,
        value: f64,
        floor: f64,
        interval_ms: f32,
        per_week: f64,
    ) -> Option<Move> {
        if self.points == 0 {
            self.block_ms = time_ms;
        }
        self.points += 1;
        self.sum += value;
        let full = BLOCK.max((BLOCK_MS / interval_ms.max(1.0)) as u32);
        if self.points < full {
            return None;
        }
        let mean = self.sum / f64::from(self.points);
        (self.points, self.sum) = (0, 0.0);
        let block_ms = f64::from(interval_ms.max(1.0)) * f64::from(full);
        let blocks_a_change = WEEK_MS / block_ms / per_week;
        self.raise *= 1.0 - (1.0 / blocks_a_change).min(1.0);
        self.block(mean, floor, blocks_a_change)
    }

    fn block(&mut self, mean: f64, floor: f64, blocks_a_change: f64) -> Option<Move> {
        self.count += 1.0;
        self.latest.rotate_right(1);
        self.latest[0] = mean;
        if self.count < 2.0 {
            self.level = mean;
        }
        let sigma = (self.spread * ABSOLUTE_TO_SIGMA).max(floor);
        let z = ((mean - self.level) / sigma).clamp(-CLIP, CLIP);
        let found = if self.count > MIN_BLOCKS {
            self.judge(z, blocks_a_change)
        } else {
            None
        };
        match found {
            Some(_) => {}
            None => self.learn(z, sigma, mean),
        }
        found
    }

    fn judge(&mut self, z: f64, blocks_a_change: f64) -> Option<Move> {
        let phi = (self.product / self.square.max(f64::MIN_POSITIVE)).clamp(0.0, MAX_PHI);
        // A spread from absolute deviations is too small for skewed or drifting series: their mean
        // square says by how much.
        let z = z / ((1.0 + phi) / (1.0 - phi) * self.square.max(1.0)).sqrt();
        self.up.observe(self.block_ms, z);
        self.down.observe(self.block_ms, -z);
        let run = if self.up.sum >= self.down.sum {
            self.up
        } else {
            self.down
        };
        if run.sum < bound(blocks_a_change) + self.raise {
            return None;
        }
        let after = self.latest.iter().sum::<f64>() / LATEST as f64;
        let severity = run.sum * 2.0 * DRIFT * std::f64::consts::LOG10_E;
        let found = Move {
            since_ms: run.since_ms,
            before: self.level,
            after,
            severity,
        };
        self.restart(after);
        Some(found)
    }

    /// The new level is what was seen since the move; how noisy the series is, is still known.
    fn restart(&mut self, level: f64) {
        (self.level, self.last) = (level, 0.0);
        self.count = MIN_BLOCKS / 2.0;
        (self.up, self.down) = (Run::default(), Run::default());
        self.raise = (self.raise + RAISE).min(MAX_RAISE);
    }

    fn learn(&mut self, z: f64, sigma: f64, mean: f64) {
        let share = 1.0 / self.count.min(MEMORY);
        let off = if self.count < MIN_BLOCKS {
            mean - self.level
        } else {
            z * sigma
        };
        self.level += off * share;
        self.spread += (off.abs() - self.spread) * share;
        self.square += (z * z - self.square) * share;
        self.product += (z * self.last - self.product) * share;
        self.last = z;
    }
}

impl Default for Shift {
    fn default() -> Self {
        Self::new()
    }
}

/// The sum at which each side alarms once in twice `run_length` means, when nothing moves:
/// ARL = (exp(2k b) - 2k b - 1) / 2k² with b the bound plus the overshoot, solved for b.
fn bound(run_length: f64) -> f64 {
    let target = 2.0 * run_length.max(100.0) * 2.0 * DRIFT * DRIFT;
    let mut exponent = target.ln();
    for _ in 0..3 {
        exponent = (target + exponent + 1.0).ln();
    }
    exponent / (2.0 * DRIFT) - OVERSHOOT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Average run lengths of the two-sided CUSUM with k = 0.5: 168 at h = 4, 465 at h = 5
    /// (Montgomery, Introduction to Statistical Quality Control, table 9.3).
    #[test]
    fn the_bound_agrees_with_published_run_lengths() {
        assert!((bound(168.0) - 4.0).abs() < 0.1, "{}", bound(168.0));
        assert!((bound(465.0) - 5.0).abs() < 0.1, "{}", bound(465.0));
    }
}
