//! The judgement of one series, point by point: how surprising, worth telling or not.
//!
//! Four kinds of evidence: the distance from the prediction, from the level or season, from the
//! local median, and the mean size of the last eight prediction errors. Each becomes a p-value by
//! its own tail; they are joined by the Cauchy combination (Liu & Xie 2020), which holds under any
//! dependence and which for small p is their weighted harmonic mean.

use model::{FindingKind, Interval};

use crate::{
    Config,
    alarm::{self, Alarm, Budget, Event},
    channel::{Burst, Channel},
    expectation::{Expectation, RESIDUALS, View},
    rhythm::Rhythm,
    shift::{Move, Shift},
    tail::MAX_SEVERITY,
};

/// Kinds of evidence: the residuals, and the burst.
const KINDS: usize = RESIDUALS + 1;
/// Their weights in the combination: the prediction sees most, the others what it adapts to.
const WEIGHTS: [f32; KINDS] = [0.79, 0.07, 0.07, 0.07];
/// A series must have moved this often before its moves can be surprising.
const MIN_MOVES: u32 = 30;
/// Values are clipped here: the season is kept in single precision, and squares stay finite.
const LARGEST: f64 = 1e30;
/// Points before the burst is learned.
const SETTLED: u32 = 20;
/// An incident this many decades beyond the threshold is no part of the usual tail.
const BEYOND_DOUBT: f32 = 1.0;

/// Something worth telling about a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What was found.
    pub what: FindingKind,
    /// -log10 of the p-value.
    pub severity: f64,
}

/// What one point brought: at most one finding of each kind.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reports {
    /// An incident began.
    pub anomaly: Option<Report>,
    /// The level was found to have moved.
    pub change_point: Option<Report>,
}

/// The state of one series.
#[derive(Debug, Clone)]
pub struct Detector {
    rhythm: Rhythm,
    expectation: Expectation,
    channels: [Channel; RESIDUALS],
    burst: Burst,
    alarm: Alarm<KINDS>,
    shift: Shift,
    shift_seasonal: bool,
    severity: f32,
}

impl Detector {
    /// A detector that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            rhythm: Rhythm::new(),
            expectation: Expectation::new(),
            channels: std::array::from_fn(|_| Channel::new()),
            burst: Burst::new(),
            alarm: Alarm::new(),
            shift: Shift::new(),
            shift_seasonal: false,
            severity: 0.0,
        }
    }

    /// -log10 of the p-value of the last point, less the handicap that past incidents earned.
    #[must_use]
    pub fn severity(&self) -> f32 {
        self.severity
    }

    /// Bytes held on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.expectation.heap_bytes()
    }

    /// Judges the next point and learns it; `time_ms` rises, `value` is finite.
    pub fn observe(&mut self, time_ms: i64, value: f64, config: &Config) -> Reports {
        let value = value.clamp(-LARGEST, LARGEST);
        self.rhythm.observe(time_ms, value);
        if self.rhythm.points == 1 {
            self.expectation.start(value);
        }
        let view = self.expectation.view(time_ms, value, &self.rhythm);
        // Before anything is learned from the point, so that views are compared prequentially.
        self.expectation
            .learn_season(time_ms, value, &view, &self.rhythm);
        let anomaly = self.judge(time_ms, value, &view, config);
        let change_point = self.judge_level(time_ms, value, &view, config);
        self.expectation.push(value, &view);
        Reports {
            anomaly,
            change_point,
        }
    }

    fn judge(&mut self, time_ms: i64, value: f64, view: &View, config: &Config) -> Option<Report> {
        let budget = Budget {
            per_week: config.alarms_per_week as f32,
            refractory_ms: config.refractory_ms,
        };
        let interval_ms = self.rhythm.interval_ms;
        let armed = self.rhythm.points > config.min_history && self.rhythm.moves >= MIN_MOVES;
        let burst = self
            .burst
            .push(view.residuals[0] / self.channels[0].scale(view.floor));
        let (severity, leading) = self.combine(view, burst);
        self.severity = severity;
        match self
            .alarm
            .observe(time_ms, severity, leading, interval_ms, budget, armed)
        {
            Event::Calm => self.learn(value, view, burst),
            Event::Ongoing => {}
            Event::Opened => {
                let threshold = alarm::threshold(interval_ms, budget);
                if severity < threshold + BEYOND_DOUBT {
                    let channels = self.channels.iter_mut().zip(view.residuals);
                    channels.for_each(|(channel, r)| channel.learn_tails(r, view.floor));
                }
                return Some(self.report(value, view, threshold));
            }
        }
        None
    }

    /// The combined severity, and which evidence contributed most.
    fn combine(&self, view: &View, burst: f32) -> (f32, usize) {
        let mut severities = [self.burst.severity(burst); KINDS];
        for (i, channel) in self.channels.iter().enumerate() {
            severities[i] = channel.severity(view.residuals[i], view.floor, view.grain);
        }
        let (mut sum, mut leading, mut most) = (0.0, 0, 0.0);
        for i in 0..KINDS {
            let share = WEIGHTS[i] * 10_f32.powf(severities[i] - self.alarm.handicaps()[i]);
            sum += share;
            if share > most {
                (leading, most) = (i, share);
            }
        }
        (sum.log10().clamp(0.0, MAX_SEVERITY), leading)
    }

    fn learn(&mut self, value: f64, view: &View, burst: f32) {
        if self.rhythm.points > SETTLED {
            self.burst.learn(burst);
        }
        let scale = self.channels[0].scale(view.floor);
        for (channel, residual) in self.channels.iter_mut().zip(view.residuals) {
            channel.learn(residual, view.floor, self.rhythm.points);
        }
        self.expectation.learn(value, view, scale, &self.rhythm);
    }

    fn report(&self, value: f64, view: &View, threshold: f32) -> Report {
        let (below, above) = self.channels[0].limits(threshold, view.floor);
        let normal = Interval {
            low: view.expected + below,
            high: view.expected + above,
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

    /// The level is watched relative to the season, once there is one.
    fn judge_level(
        &mut self,
        time_ms: i64,
        value: f64,
        view: &View,
        config: &Config,
    ) -> Option<Report> {
        if view.seasonal != self.shift_seasonal {
            (self.shift, self.shift_seasonal) = (Shift::new(), view.seasonal);
        }
        let base = if view.seasonal { view.base } else { 0.0 };
        let (interval, budget) = (self.rhythm.interval_ms, config.change_points_per_week);
        let found = self
            .shift
            .observe(time_ms, value - base, view.floor, interval, budget)?;
        let Move {
            since_ms,
            before,
            after,
            severity,
        } = found;
        let what = FindingKind::ChangePoint {
            since_ms,
            before: base + before,
            after: base + after,
        };
        (self.rhythm.points > config.min_history).then_some(Report { what, severity })
    }
}

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}
