//! What the next point of a series should be, three ways: by its last points, by its level or the
//! time of day, and by the median of the last few.
//!
//! The autoregression runs on the values and, once a season is known, also on the values less
//! the season; whichever predicted better so far (prequentially: each point judged before it is
//! learned) makes the expectation. The slow view follows the season where that lies closer than
//! the level.

use crate::{
    autoregress::{Autoregress, Features, LAGS, TERMS},
    rhythm::Rhythm,
    season::{self, Season},
};

/// Points kept: at least the longest lag and the local median.
const RING: usize = 10;
/// Points of the local median; odd.
const LOCAL: usize = 9;
/// Points over which the level is averaged.
const LEVEL_MEMORY: f64 = 500.0;
/// Points over which losses and the spread are averaged.
pub const MEMORY: f64 = 10_000.0;
/// A distance counts as at most this many spreads when something is learned from it.
const CLIP: f64 = 6.0;
/// Points until which the level follows without clipping.
const SETTLED: u32 = 20;
/// Moves below this share of the level are noise: nobody would act on them.
const RELATIVE_FLOOR: f64 = 1e-3;
/// Least unit, so that a series that is always 0 divides by something.
const LEAST_UNIT: f64 = 1e-12;
/// Features are clipped at this many units: one wild value must not outweigh a thousand others.
const LEVERAGE: f64 = 4.0;
/// The constant term, in units: small, since a lasting drift is.
const CONSTANT: f64 = 0.1;
/// Points before a season begins to cost memory.
const SEASON_AFTER: u32 = 64;
/// Predictions a season must have made before it is believed.
const SEASON_TRIALS: u32 = 500;

/// The learned expectation of one series.
#[derive(Debug, Clone)]
pub struct Expectation {
    level: f64,
    spread: f64,
    /// Last values, newest first.
    raw: [f64; RING],
    plain: Autoregress,
    plain_loss: f64,
    level_loss: f64,
    seasonal: Option<Box<Seasonal>>,
}

/// What costs memory only once a season can be learned.
#[derive(Debug, Clone)]
struct Seasonal {
    season: Season,
    /// Last values less the season, newest first.
    flat: [f64; RING],
    model: Autoregress,
    loss: f64,
    slow_loss: f64,
    trials: u32,
}

/// The three signed distances from what was expected.
pub const RESIDUALS: usize = 3;

/// One point, seen before it is learned.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// What the better autoregression expects.
    pub expected: f64,
    /// Distance from: the expectation; the level or season; the local median.
    pub residuals: [f64; RESIDUALS],
    /// The level or season that the slow residual is measured from.
    pub base: f64,
    /// Whether `base` is the season.
    pub seasonal: bool,
    /// Distances below this are noise.
    pub floor: f64,
    /// Half the resolution of the source: a value stands for that much on either side.
    pub grain: f64,
    unit: f64,
    plain: Features,
    season: Option<SeasonView>,
}

#[derive(Debug, Clone, Copy)]
struct SeasonView {
    usual: f64,
    features: Features,
    residual: f64,
}

impl Expectation {
    /// Knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            level: 0.0,
            spread: 0.0,
            raw: [0.0; RING],
            plain: Autoregress::new(),
            plain_loss: 0.0,
            level_loss: 0.0,
            seasonal: None,
        }
    }

    /// Starts at the first value of a series.
    pub fn start(&mut self, value: f64) {
        (self.level, self.raw) = (value, [value; RING]);
    }

    /// Sees the next point.
    #[must_use]
    pub fn view(&self, time_ms: i64, value: f64, rhythm: &Rhythm) -> View {
        let floor = rhythm
            .quantum
            .max(self.level.abs() * RELATIVE_FLOOR)
            .max(LEAST_UNIT);
        let unit = self.spread.max(floor);
        let plain = features(&self.raw, self.level, unit);
        let mut error = value - self.raw[0] - unit * self.plain.predict(&plain);
        let mut local = value - median(&self.raw);
        let (mut base, mut seasonal) = (self.level, false);
        let season = self
            .seasonal
            .as_ref()
            .and_then(|s| s.view(time_ms, value, unit));
        if let (Some(s), Some(view)) = (&self.seasonal, season)
            && s.trials > SEASON_TRIALS
        {
            if s.loss < self.plain_loss {
                error = view.residual;
                local = value - view.usual - median(&s.flat);
            }
            if s.slow_loss < self.level_loss {
                (base, seasonal) = (view.usual, true);
            }
        }
        let residuals = [error, value - base, local];
        let grain = rhythm.quantum / 2.0;
        View {
            grain,
            expected: value - error,
            residuals,
            base,
            seasonal,
            floor,
            unit,
            plain,
            season,
        }
    }

    /// Learns a point of no incident; `scale` is the usual size of the first residual.
    pub fn learn(&mut self, value: f64, view: &View, scale: f64, rhythm: &Rhythm) {
        let (unit, settled) = (view.unit, rhythm.points > SETTLED);
        if settled {
            let change = value - self.raw[0];
            self.plain.learn(&view.plain, change / unit, scale / unit);
        }
        if let (Some(s), Some(season)) = (&mut self.seasonal, view.season) {
            let change = value - season.usual - s.flat[0];
            s.model.learn(&season.features, change / unit, scale / unit);
        }
        let (off, limit) = (value - self.level, CLIP * unit);
        let off = if settled {
            off.clamp(-limit, limit)
        } else {
            off
        };
        self.level += off / f64::from(rhythm.points).min(LEVEL_MEMORY);
        self.spread += (off.abs() - self.spread) / f64::from(rhythm.points).min(MEMORY);
    }

    /// Learns the time of day and which view is the better one, also during incidents: a peak
    /// that comes every day must not stay an incident because it began as one. What one point
    /// contributes is clipped.
    pub fn learn_season(&mut self, time_ms: i64, value: f64, view: &View, rhythm: &Rhythm) {
        let limit = CLIP * view.unit;
        let share = 1.0 / f64::from(rhythm.points).min(MEMORY);
        let plain = value - self.raw[0] - view.unit * self.plain.predict(&view.plain);
        self.plain_loss += (loss(plain, limit) - self.plain_loss) * share;
        self.level_loss += (loss(value - self.level, limit) - self.level_loss) * share;
        if let Some(s) = &mut self.seasonal {
            s.compare(value, view.season, limit);
            s.season.learn(time_ms, value, self.spread);
        } else if rhythm.points >= SEASON_AFTER
            && rhythm.interval_ms <= season::MAX_INTERVAL_MS as f32
        {
            let season = Season::new(time_ms, rhythm.interval_ms as i64);
            self.seasonal = Some(Box::new(Seasonal::new(season)));
        }
    }

    /// Makes the point one of the last ones, learned or not.
    pub fn push(&mut self, value: f64, view: &View) {
        shift_in(&mut self.raw, value);
        if let Some(s) = &mut self.seasonal {
            shift_in(
                &mut s.flat,
                view.season.map_or(0.0, |season| value - season.usual),
            );
        }
    }

    /// Bytes held on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.seasonal.as_ref().map_or(0, |_| size_of::<Seasonal>())
    }
}

impl Default for Expectation {
    fn default() -> Self {
        Self::new()
    }
}

impl Seasonal {
    fn new(season: Season) -> Self {
        let model = Autoregress::new();
        Self {
            season,
            flat: [0.0; RING],
            model,
            loss: 0.0,
            slow_loss: 0.0,
            trials: 0,
        }
    }

    fn view(&self, time_ms: i64, value: f64, unit: f64) -> Option<SeasonView> {
        let usual = self.season.expect(time_ms)?;
        let features = features(&self.flat, 0.0, unit);
        let change = value - usual - self.flat[0];
        Some(SeasonView {
            usual,
            features,
            residual: change - unit * self.model.predict(&features),
        })
    }

    fn compare(&mut self, value: f64, view: Option<SeasonView>, limit: f64) {
        let Some(view) = view else { return };
        self.trials = self.trials.saturating_add(1);
        let share = 1.0 / f64::from(self.trials).min(MEMORY);
        self.loss += (loss(view.residual, limit) - self.loss) * share;
        self.slow_loss += (loss(value - view.usual, limit) - self.slow_loss) * share;
    }
}

/// Squared, since what matters is who is rarely far off; clipped, since incidents are nobody's.
fn loss(residual: f64, limit: f64) -> f64 {
    residual.abs().min(limit).powi(2)
}

/// The level and the other lags relative to the last value, and the constant, in units.
fn features(ring: &[f64; RING], level: f64, unit: f64) -> Features {
    let mut features = [CONSTANT; TERMS];
    let relative = |value: f64| ((value - ring[0]) / unit).clamp(-LEVERAGE, LEVERAGE);
    features[0] = relative(level);
    for (lag, feature) in LAGS[1..].iter().zip(&mut features[1..]) {
        *feature = relative(ring[lag - 1]);
    }
    features
}

/// The median of the last few values.
fn median(ring: &[f64; RING]) -> f64 {
    let mut around = [0.0; LOCAL];
    around.copy_from_slice(&ring[..LOCAL]);
    around.sort_unstable_by(f64::total_cmp);
    around[LOCAL / 2]
}

fn shift_in(ring: &mut [f64; RING], value: f64) {
    ring.copy_within(0..RING - 1, 1);
    ring[0] = value;
}
