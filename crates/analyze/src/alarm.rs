//! When to tell: from severities, point by point, to incidents, within a budget.
//!
//! An incident opens when the severity reaches a threshold and closes after a calm stretch below
//! half of it (hysteresis); then the series is silent for a while (refractory time). The threshold
//! starts where calibrated severities would reach it as often as the budget allows, and adapts as
//! adaptive conformal inference does (Gibbs & Candès 2021): each incident raises it, and it
//! sinks back with time.

/// Milliseconds in a week.
const WEEK_MS: f32 = 604_800_000.0;
/// What an incident adds to the threshold: the next must be about three times as improbable.
const RAISE: f32 = 0.6;
/// Weeks in which a raise falls to 37 %, with a budget of one a week.
const MEMORY_WEEKS: f32 = 1.0;
/// Highest threshold, so that a plain catastrophe is always told.
const MAX_RAISE: f32 = 6.0;
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
    /// The incident outlived what counts as one: this is normal now.
    Adopted,
}

/// The budget a controller works to.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// False incidents allowed a week.
    pub per_week: f32,
    /// Silence after an incident, ms.
    pub refractory_ms: i64,
}

/// The alarm controller of one series.
#[derive(Debug, Clone, Default)]
pub struct Alarm {
    raise: f32,
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

impl Alarm {
    /// The severity that opens an incident now, for a series with this sampling interval.
    #[must_use]
    pub fn threshold(&self, interval_ms: f32, budget: Budget) -> f32 {
        (WEEK_MS / interval_ms / budget.per_week).max(100.0).log10() + self.raise
    }

    /// Whether an incident is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.incident.is_some()
    }

    /// Takes the next point's severity; `armed` is false while there is too little history.
    pub fn observe(
        &mut self,
        time_ms: i64,
        severity: f32,
        interval_ms: f32,
        budget: Budget,
        armed: bool,
    ) -> Event {
        let passed = (time_ms - self.last_ms).max(0) as f32;
        self.last_ms = time_ms;
        self.raise *= 1.0 - (passed * budget.per_week / (MEMORY_WEEKS * WEEK_MS)).min(1.0);
        let threshold = self.threshold(interval_ms, budget);
        if let Some(incident) = &mut self.incident {
            let event = incident.observe(time_ms, severity >= threshold / 2.0);
            if event != Event::Ongoing {
                let pause = budget
                    .refractory_ms
                    .max(REFRACTORY_POINTS * interval_ms as i64);
                self.silent_until_ms = time_ms + pause;
                self.incident = None;
            }
            return event;
        }
        if !armed || severity < threshold || time_ms < self.silent_until_ms {
            return Event::Calm;
        }
        self.incident = Some(Incident {
            since_ms: time_ms,
            points: 1,
            calm: 0,
        });
        Event::Opened
    }
}

impl Incident {
    fn observe(&mut self, time_ms: i64, severe: bool) -> Event {
        self.points += 1;
        self.calm = if severe { 0 } else { self.calm + 1 };
        if self.calm >= CALM_POINTS {
            Event::Calm
        } else if self.points >= MAX_INCIDENT_POINTS && time_ms - self.since_ms >= MAX_INCIDENT_MS {
            Event::Adopted
        } else {
            Event::Ongoing
        }
    }
}
