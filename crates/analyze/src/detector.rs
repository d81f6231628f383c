//! The judgement of one series, point by point.

use model::{FindingKind, Interval};

use crate::{
    Config,
    alarm::{Alarm, Budget, Event},
    autoregress::{Autoregress, Features, LAGS},
    season::{self, Season},
    tail::Tail,
};

/// Something worth telling about a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What was found.
    pub what: FindingKind,
    /// -log10 of the p-value.
    pub severity: f64,
}

/// Points kept: more than the longest lag.
const RING: usize = 16;
/// Points over which scales are averaged.
const SCALE_MEMORY: f64 = 10_000.0;
/// A residual counts as at most this many scales when the scale learns.
const SCALE_CLIP: f64 = 3.0;
/// Points over which the level is averaged.
const LEVEL_MEMORY: f64 = 500.0;
/// Moves below this share of the level are not told: nobody would act on them.
const RELATIVE_FLOOR: f64 = 1e-3;
/// A series must have moved this often before its moves can be surprising.
const MIN_MOVES: u32 = 30;
/// Sampling a quarter of a day before the season begins to cost memory.
const SEASON_AFTER_POINTS: u32 = 64;

/// One kind of signed residual: its usual size and both its tails.
#[derive(Debug, Clone)]
struct Channel {
    scale: f64,
    up: Tail,
    down: Tail,
}

impl Channel {
    fn new() -> Self {
        Self {
            scale: 0.0,
            up: Tail::new(3.0, 1.0),
            down: Tail::new(3.0, 1.0),
        }
    }

    fn severity(&self, residual: f64, floor: f64) -> f32 {
        let z = (residual / self.scale.max(floor)) as f32;
        let tail = if z >= 0.0 { &self.up } else { &self.down };
        // One side of two: half the probability each.
        (tail.severity(z.abs()) - std::f32::consts::LOG10_2).max(0.0)
    }

    fn learn(&mut self, residual: f64, floor: f64, count: f64) {
        let size = residual.abs();
        let limit = if count < 20.0 {
            size
        } else {
            SCALE_CLIP * self.scale.max(floor)
        };
        self.scale += (size.min(limit) - self.scale) / count.min(SCALE_MEMORY);
        if count >= 20.0 {
            let z = (residual / self.scale.max(floor)) as f32;
            self.up.learn(z);
            self.down.learn(-z);
        }
    }
}

/// What an incident at the threshold adds to its channel's raise.
const RAISE: f32 = 0.6;
const WEIGHTS: [f32; CHANNELS + 1] = [0.79, 0.07, 0.07, 0.07];
/// Residual channels.
const AR: usize = 0;
const SLOW: usize = 1;
const MEDIAN: usize = 2;
const CHANNELS: usize = 3;

/// The state of one series.
#[derive(Debug, Clone)]
pub struct Detector {
    points: u32,
    moves: u32,
    last_ms: i64,
    last: f64,
    interval_ms: f32,
    quantum: f64,
    level: f64,
    spread: f64,
    raw: [f64; RING],
    flat: [f64; RING],
    plain: Autoregress,
    plain_loss: f64,
    seasonal: Option<Box<Seasonal>>,
    channels: [Channel; CHANNELS],
    burst: Tail,
    recent: [f32; 8],
    total: Tail,
    alarm: Alarm,
    severity: f32,
    raises: [f32; CHANNELS + 1],
    pub parts: [f32; 12],
}

#[derive(Debug, Clone)]
struct Seasonal {
    season: Season,
    model: Autoregress,
    loss: f64,
    slow_loss: f64,
    usable: u32,
}

/// What was expected of a point, and how it differed.
#[derive(Debug, Clone, Copy)]
struct View {
    expected: f64,
    plain: (Features, f64),
    seasonal: Option<(Features, f64, f64)>,
    residuals: [f64; CHANNELS],
    floor: f64,
}

impl Detector {
    /// A detector that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            points: 0,
            moves: 0,
            last_ms: i64::MIN,
            last: f64::NAN,
            interval_ms: 0.0,
            quantum: f64::INFINITY,
            level: 0.0,
            spread: 0.0,
            raw: [0.0; RING],
            flat: [0.0; RING],
            plain: Autoregress::new(),
            plain_loss: 0.0,
            seasonal: None,
            channels: std::array::from_fn(|_| Channel::new()),
            burst: Tail::new(2.0, 0.5),
            recent: [0.0; 8],
            total: Tail::new(1.7, 0.5),
            alarm: Alarm::default(),
            severity: 0.0,
            raises: [0.7; CHANNELS + 1],
            parts: [0.0; 12],
        }
    }

    /// -log10 of the p-value of the last point.
    #[must_use]
    pub fn severity(&self) -> f32 {
        self.severity
    }

    /// Judges the next point; at most one anomaly and one change point.
    pub fn observe(&mut self, time_ms: i64, value: f64, config: &Config) -> [Option<Report>; 2] {
        self.meet(time_ms, value);
        let view = self.view(time_ms, value);
        let budget = Budget {
            per_week: config.alarms_per_week as f32,
            refractory_ms: config.refractory_ms,
        };
        let armed = self.points >= config.min_history && self.moves >= MIN_MOVES;
        let (combined, worst) = self.combine(&view);
        self.severity = combined;
        for i in 0..3 {
            self.parts[i] = self.channels[i].severity(view.residuals[i], view.floor);
            self.parts[i + 3] = (view.residuals[i].abs() / self.channels[i].scale.max(view.floor)) as f32;
            self.parts[i + 6] = view.residuals[i].abs() as f32;
        }
        self.parts[9] = self.burst.severity(self.burst_score(&view));
        self.parts[10] = combined;
        self.parts[11] = (value - self.last_raw()).abs() as f32;
        let event = self
            .alarm
            .observe(time_ms, self.severity, self.interval_ms, budget, armed);
        let threshold = self.alarm.threshold(self.interval_ms, budget);
        let fade = (self.interval_ms * budget.per_week / 604_800_000.0).min(1.0);
        self.raises.iter_mut().for_each(|r| *r *= 1.0 - fade);
        if event == Event::Opened {
            self.raises[worst] = (self.raises[worst] + RAISE * 10_f32.powf(threshold - self.severity)).min(6.0);
        }
        if matches!(event, Event::Calm | Event::Adopted) {
            self.learn(time_ms, value, &view, combined);
        }
        let told = (event == Event::Opened).then(|| self.report(value, &view, budget));
        self.push(value, &view);
        [told, None]
    }

    fn meet(&mut self, time_ms: i64, value: f64) {
        self.points = self.points.saturating_add(1);
        if self.points == 1 {
            self.raw = [value; RING];
            self.level = value;
        } else {
            let step = (time_ms - self.last_ms) as f32;
            let share = 1.0 / (self.points as f32 - 1.0).min(100.0);
            let limit = if self.points < 8 {
                f32::MAX
            } else {
                4.0 * self.interval_ms
            };
            self.interval_ms += (step.min(limit) - self.interval_ms) * share;
            let moved = (value - self.last).abs();
            if moved > 0.0 {
                self.moves = self.moves.saturating_add(1);
                self.quantum = self.quantum.min(moved);
            }
        }
        self.last_ms = time_ms;
        self.last = value;
    }

    fn view(&self, time_ms: i64, value: f64) -> View {
        let unit = self.unit();
        let features = |ring: &[f64; RING], center: f64| {
            let mut features = [center; LAGS.len() + 1];
            LAGS.iter().skip(1).zip(&mut features).for_each(|(lag, f)| *f = ring[lag - 1]);
            features[LAGS.len()] = ring[0] + unit * 0.1;
            features.map(|f| ((f - ring[0]) / unit).clamp(-4.0, 4.0))
        };
        let plain = features(&self.raw, self.level);
        let plain_error = (value - self.raw[0]) / unit - self.plain.predict(&plain);
        let usual = self
            .seasonal
            .as_ref()
            .and_then(|s| Some((s, s.season.expect(time_ms)?)));
        let seasonal = usual.map(|(s, usual)| {
            let features = features(&self.flat, 0.0);
            (
                features,
                (value - usual - self.flat[0]) / unit - s.model.predict(&features),
                usual,
            )
        });
        let mut error = plain_error;
        let mut slow = value - self.level;
        if let (Some(s), Some((_, e, usual))) = (&self.seasonal, seasonal) {
            if s.usable > 500 && s.loss < self.plain_loss {
                error = e;
            }
            if s.usable > 500 && s.slow_loss < self.spread {
                slow = value - usual;
            }
        }
        let mut around = [0.0; 9];
        around.copy_from_slice(&self.raw[..9]);
        around.sort_unstable_by(f64::total_cmp);
        View {
            expected: value - error * unit,
            plain: (plain, plain_error),
            seasonal,
            residuals: [error * unit, slow, value - around[4]],
            floor: self.floor(),
        }
    }

    fn last_raw(&self) -> f64 { self.raw[0] }
    fn unit(&self) -> f64 {
        self.spread.max(self.floor())
    }

    fn floor(&self) -> f64 {
        let quantum = if self.quantum.is_finite() {
            self.quantum
        } else {
            0.0
        };
        quantum.max(self.level.abs() * RELATIVE_FLOOR).max(1e-12)
    }

    fn combine(&self, view: &View) -> (f32, usize) {
        let mut sum = 0.0;
        let mut worst = (0.0, 0);
        let burst = self.burst.severity(self.burst_score(view));
        for i in 0..=CHANNELS {
            let severity = match self.channels.get(i) {
                Some(channel) => channel.severity(view.residuals[i], view.floor),
                None => burst,
            } - self.raises[i];
            if WEIGHTS[i].log10() + severity > worst.0 { worst = (WEIGHTS[i].log10() + severity, i); }
            sum += WEIGHTS[i] * 10_f32.powf(severity);
        }
        (sum.log10().max(0.0), worst.1)
    }

    fn burst_score(&self, view: &View) -> f32 {
        let z =
            (view.residuals[AR].abs() / self.channels[AR].scale.max(view.floor)).min(6.0) as f32;
        (self.recent.iter().sum::<f32>() - self.recent[7] + z) / 8.0
    }

    fn learn(&mut self, time_ms: i64, value: f64, view: &View, combined: f32) {
        let count = f64::from(self.points);
        let unit = self.unit();
        let burst = self.burst_score(view);
        let clipped = (value - self.level).clamp(-6.0 * unit, 6.0 * unit);
        if self.points > 20 {
            self.burst.learn(burst);
            self.total.learn(combined);
            self.plain
                .learn(&view.plain.0, view.plain.1, self.channels[AR].scale / unit);
        }
        for (channel, residual) in self.channels.iter_mut().zip(view.residuals) {
            channel.learn(residual, view.floor, count);
        }
        let off = if self.points > 20 {
            clipped
        } else {
            value - self.level
        };
        self.level += off / count.min(LEVEL_MEMORY);
        self.spread += (off.abs() - self.spread) / count.min(SCALE_MEMORY);
        let e = (view.plain.1 * unit).abs().min(6.0 * unit);
        self.plain_loss += (e - self.plain_loss) / count.min(SCALE_MEMORY);
        if self.seasonal.is_none()
            && self.points >= SEASON_AFTER_POINTS
            && self.interval_ms <= season::MAX_INTERVAL_MS as f32
        {
            let season = Season::new(time_ms, self.interval_ms as i64);
            self.seasonal = Some(Box::new(Seasonal {
                season,
                model: Autoregress::new(),
                loss: 0.0,
                slow_loss: 0.0,
                usable: 0,
            }));
        }
        let ar_scale = self.channels[AR].scale;
        let Some(s) = &mut self.seasonal else { return };
        if let Some((features, error, usual)) = &view.seasonal {
            s.usable = s.usable.saturating_add(1);
            let count = f64::from(s.usable).min(SCALE_MEMORY);
            s.model.learn(features, (value - usual - self.flat[0]) / unit, ar_scale / unit);
            s.loss += ((error * unit).abs().min(6.0 * unit) - s.loss) / count;
            s.slow_loss += ((value - usual).abs().min(6.0 * unit) - s.slow_loss) / count;
        }
        s.season.learn(time_ms, value, self.spread);
    }

    fn push(&mut self, value: f64, view: &View) {
        self.raw.copy_within(0..RING - 1, 1);
        self.raw[0] = value;
        self.flat.copy_within(0..RING - 1, 1);
        self.flat[0] = view.seasonal.map_or(0.0, |(_, _, usual)| value - usual);
        let z =
            (view.residuals[AR].abs() / self.channels[AR].scale.max(view.floor)).min(6.0) as f32;
        self.recent.copy_within(0..7, 1);
        self.recent[0] = z;
    }

    fn report(&self, value: f64, view: &View, budget: Budget) -> Report {
        let at = self.alarm.threshold(self.interval_ms, budget);
        let channel = &self.channels[AR];
        let scale = channel.scale.max(view.floor);
        let normal = Interval {
            low: view.expected - scale * f64::from(channel.down.quantile(at)),
            high: view.expected + scale * f64::from(channel.up.quantile(at)),
        };
        let what = FindingKind::Anomaly {
            observed: value,
            expected: view.expected,
            normal,
        };
        Report {
            what,
            severity: f64::from(self.severity),
        }
    }

    /// Bytes held on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.seasonal.as_ref().map_or(0, |_| size_of::<Seasonal>())
    }
}

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}
