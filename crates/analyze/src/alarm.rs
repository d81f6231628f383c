//! When to tell: from severities, point by point, to incidents, within a budget.
//!
//! An incident opens when the severity reaches a threshold and closes after a calm stretch below
//! half of it (hysteresis); then the series is silent for a while (refractory time). The
//! threshold is where calibrated severities of independent points would come a few times as often
//! as the budget allows. Handicaps do the rest: each kind of evidence has one, taken off its
//! severity, that adapts as adaptive conformal inference does (Gibbs & Candès 2021). An incident
//! raises the handicap of the evidence that caused it, much if it was near the threshold, as false
//! ones mostly are, and hardly if it was beyond doubt; with time it sinks back.

/// Milliseconds in a week.
const WEEK_MS: f32 = 604_800_000.0;
/// How far below the budget's severity the threshold lies, decades: exceedances come in clusters,
/// and the handicaps hold back what is too much.
const LENIENCE: f32 = 0.3;
/// Least threshold, however long the interval.
const LEAST_THRESHOLD: f32 = 2.0;
/// What an incident just at the threshold adds to a handicap, decades; ten times less for each
/// decade beyond.
const RAISE: f32 = 1.3;
/// Highest handicap, so that a plain catastrophe is always told.
const MAX_HANDICAP: f32 = 6.0;
/// Handicap of evidence whose tail is not yet known well.
const FIRST_HANDICAP: f32 = 0.7;
/// Points below half the threshold that end an incident.
const CALM_POINTS: u16 = 8;
/// An incident of this many points, and of at least [`MAX_INCIDENT_MS`], has become the normal
/// state: it ends, and learning resumes.
const MAX_INCIDENT_POINTS: u32 = 120;
const MAX_INCIDENT_MS: i64 = 600_000;
/// Shortest refractory time in points.
const REFRACTORY_POINTS: i64 = 8;

/// What a point did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Nothing to tell, and safe to learn from.
    Calm,
    /// A new incident: tell it.
    Opened,
    /// Part of the open incident.
    Ongoing,
}

/// The budget a controller works to.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// False incidents allowed a week.
    pub per_week: f32,
    /// Silence after an incident, ms.
    pub refractory_ms: i64,
}

/// The alarm controller of one series with `KINDS` kinds of evidence.
#[derive(Debug, Clone)]
pub struct Alarm<const KINDS: usize> {
    handicaps: [f32; KINDS],
    last_ms: i64,
    silent_until_ms: i64,
    incident: Option<Incident>,
}

#[derive(Debug, Clone, Copy)]
struct Incident {
    since_ms: i64,
    points: u32,
    calm: u16,
}

/// The severity from which a point opens an incident, at this sampling interval.
#[must_use]
pub fn threshold(interval_ms: f32, budget: Budget) -> f32 {
    let points = WEEK_MS / interval_ms.max(1.0) / budget.per_week;
    (points.log10() - LENIENCE).max(LEAST_THRESHOLD)
}

impl<const KINDS: usize> Alarm<KINDS> {
    /// Nothing told yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            handicaps: [FIRST_HANDICAP; KINDS],
            last_ms: 0,
            silent_until_ms: i64::MIN,
            incident: None,
        }
    }

    /// Decades to take off the severity of each kind of evidence.
    #[must_use]
    pub fn handicaps(&self) -> &[f32; KINDS] {
        &self.handicaps
    }

    /// Takes the next point's severity; `leading` is the evidence that contributed most; an
    /// incident opens only when `armed`.
    pub fn observe(
        &mut self,
        time_ms: i64,
        severity: f32,
        leading: usize,
        interval_ms: f32,
        budget: Budget,
        armed: bool,
    ) -> Event {
        self.fade(time_ms, budget);
        let threshold = threshold(interval_ms, budget);
        if let Some(incident) = &mut self.incident {
            if incident.goes_on(time_ms, severity >= threshold / 2.0) {
                return Event::Ongoing;
            }
            let pause = budget
                .refractory_ms
                .max(REFRACTORY_POINTS * interval_ms as i64);
            self.silent_until_ms = time_ms.saturating_add(pause);
            self.incident = None;
            return Event::Calm;
        }
        if !armed || severity < threshold || time_ms < self.silent_until_ms {
            return Event::Calm;
        }
        let raised = self.handicaps[leading] + RAISE * 10_f32.powf(threshold - severity);
        self.handicaps[leading] = raised.min(MAX_HANDICAP);
        self.incident = Some(Incident {
            since_ms: time_ms,
            points: 1,
            calm: 0,
        });
        Event::Opened
    }

    /// Handicaps fall to 37 % in the time in which the budget allows one incident.
    fn fade(&mut self, time_ms: i64, budget: Budget) {
        let passed = time_ms.saturating_sub(self.last_ms).max(0) as f32;
        let keep = if self.last_ms == 0 {
            1.0
        } else {
            1.0 - passed * budget.per_week / WEEK_MS
        };
        self.handicaps.iter_mut().for_each(|h| *h *= keep.max(0.0));
        self.last_ms = time_ms;
    }
}

impl<const KINDS: usize> Default for Alarm<KINDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl Incident {
    fn goes_on(&mut self, time_ms: i64, severe: bool) -> bool {
        self.points += 1;
        self.calm = if severe { 0 } else { self.calm + 1 };
        let lasting =
            self.points >= MAX_INCIDENT_POINTS && time_ms - self.since_ms >= MAX_INCIDENT_MS;
        self.calm < CALM_POINTS && !lasting
    }
}
