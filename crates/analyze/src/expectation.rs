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
            }
            if s.slow_loss < self.spread {
                (base, seasonal) = (view.usual, true);
            }
        }
        let residuals = [error, value - base, value - self.local_median()];
        View {
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

    fn local_median(&self) -> f64 {
        let mut around = [0.0; LOCAL];
        around.copy_from_slice(&self.raw[..LOCAL]);
        around.sort_unstable_by(f64::total_cmp);
        around[LOCAL / 2]
    }

    /// Learns a point of no incident; `scale` is the usual size of the first residual.
    pub fn learn(&mut self, value: f64, view: &View, scale: f64, rhythm: &Rhythm) {
        let count = f64::from(rhythm.points).min(MEMORY);
        let limit = CLIP * view.unit;
        let change = value - self.raw[0];
        let residual = change - view.unit * self.plain.predict(&view.plain);
        if rhythm.points > SETTLED {
            self.plain
                .learn(&view.plain, change / view.unit, scale / view.unit);
        }
        let off = value - self.level;
        let off = if rhythm.points > SETTLED {
            off.clamp(-limit, limit)
        } else {
            off
        };
        self.level += off / f64::from(rhythm.points).min(LEVEL_MEMORY);
        self.spread += (off.abs() - self.spread) / count;
        self.plain_loss += (residual.abs().min(limit) - self.plain_loss) / count;
        if let Some(s) = &mut self.seasonal {
            s.learn(value, view, scale);
        }
    }

    /// Learns the time of day, also during incidents: a peak that comes every day must not stay
    /// an incident because it began as one. Each day's share is clipped.
    pub fn learn_season(&mut self, time_ms: i64, value: f64, rhythm: &Rhythm) {
        if let Some(s) = &mut self.seasonal {
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

    fn learn(&mut self, value: f64, view: &View, scale: f64) {
        let Some(season) = view.season else { return };
        let (unit, limit) = (view.unit, CLIP * view.unit);
        self.trials = self.trials.saturating_add(1);
        let count = f64::from(self.trials).min(MEMORY);
        let off = value - season.usual;
        self.model
            .learn(&season.features, (off - self.flat[0]) / unit, scale / unit);
        self.loss += (season.residual.abs().min(limit) - self.loss) / count;
        self.slow_loss += (off.abs().min(limit) - self.slow_loss) / count;
    }
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

fn shift_in(ring: &mut [f64; RING], value: f64) {
    ring.copy_within(0..RING - 1, 1);
    ring[0] = value;
}
