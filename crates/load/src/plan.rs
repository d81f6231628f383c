//! When requests are to start: fixed in advance, repeatable from a seed, whatever the server does.
//!
//! Arrivals come by time rescaling: each one waits until the integral of the rate since the one
//! before reaches 1 (constant) or an exponential draw (Poisson). So a ramp needs no small steps,
//! and a rate changed in mid-wait takes effect at once without losing what was waited already.

use std::time::Duration;

use numerics::rng::Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How arrivals are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Evenly: one each 1/rate seconds.
    Constant,
    /// As independent users: exponential gaps.
    Poisson,
}

/// A stretch of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Requests a second at its beginning.
    pub from: f64,
    /// Requests a second at its end; in between the rate changes linearly.
    pub to: f64,
    /// Its length in seconds; `None`: without end, only as the last stage and without a ramp.
    pub seconds: Option<f64>,
}

impl Stage {
    /// A steady rate without end.
    #[must_use]
    pub fn endless(rate: f64) -> Self {
        Self {
            from: rate,
            to: rate,
            seconds: None,
        }
    }

    /// A steady rate for a time.
    #[must_use]
    pub fn steady(rate: f64, lasts: Duration) -> Self {
        Self {
            from: rate,
            to: rate,
            seconds: Some(lasts.as_secs_f64()),
        }
    }

    /// A ramp.
    #[must_use]
    pub fn ramp(from: f64, to: f64, lasts: Duration) -> Self {
        Self {
            from,
            to,
            seconds: Some(lasts.as_secs_f64()),
        }
    }
}

/// A whole load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Fixes arrivals, the choice of operations, and the requests.
    pub seed: u64,
    /// How arrivals are spread.
    pub arrivals: Arrivals,
    /// One after the other; at least one.
    pub stages: Vec<Stage>,
}

/// Highest rate, requests a second: a plan above it is a slip of the pen.
pub const RATE_MAX: f64 = 1e6;

/// Arrivals, or parts of one, that rounding may cost over a long stage.
const ROUNDING: f64 = 1e-6;

/// Why a plan cannot be followed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PlanError {
    /// Nothing to do.
    #[error("the plan has no stages")]
    Empty,
    /// A rate that is no rate.
    #[error("stage {stage}: a rate of {rate}/s is not between 0 and {RATE_MAX}/s")]
    Rate {
        /// From 1.
        stage: usize,
        /// What was given.
        rate: f64,
    },
    /// A length that is no length.
    #[error("stage {stage}: {seconds} s is no length of time")]
    Length {
        /// From 1.
        stage: usize,
        /// What was given.
        seconds: f64,
    },
    /// An endless stage that is not the last, or that ramps.
    #[error("stage {stage}: only the last stage may be endless, and it cannot ramp")]
    Endless {
        /// From 1.
        stage: usize,
    },
}

impl Plan {
    /// Poisson arrivals at one rate, without end.
    #[must_use]
    pub fn endless(seed: u64, rate: f64) -> Self {
        Self {
            seed,
            arrivals: Arrivals::Poisson,
            stages: vec![Stage::endless(rate)],
        }
    }

    /// The plan checked; the first thing wrong with it otherwise.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.stages.is_empty() {
            return Err(PlanError::Empty);
        }
        for (index, stage) in self.stages.iter().enumerate() {
            stage.check(index + 1, index + 1 == self.stages.len())?;
        }
        Ok(())
    }
}

impl Stage {
    fn check(&self, number: usize, last: bool) -> Result<(), PlanError> {
        for rate in [self.from, self.to] {
            check_rate(rate).map_err(|rate| PlanError::Rate {
                stage: number,
                rate,
            })?;
        }
        match self.seconds {
            None if !last || self.from.total_cmp(&self.to).is_ne() => {
                Err(PlanError::Endless { stage: number })
            }
            Some(seconds) if !(seconds > 0.0 && seconds < 1e9) => Err(PlanError::Length {
                stage: number,
                seconds,
            }),
            _ => Ok(()),
        }
    }

    /// Change of the rate a second.
    fn slope(&self) -> f64 {
        self.seconds
            .map_or(0.0, |seconds| (self.to - self.from) / seconds)
    }

    /// Arrivals expected between two moments of the stage, seconds from its beginning.
    fn integral(&self, from: f64, to: f64) -> f64 {
        let (rate, slope) = (self.from + self.slope() * from, self.slope());
        let span = to - from;
        span * (rate + slope * span / 2.0)
    }

    /// The moment at which `owed` more arrivals are expected after `from`; `None` if the stage
    /// ends before.
    fn reaches(&self, from: f64, owed: f64) -> Option<f64> {
        let left = self
            .seconds
            .map_or(f64::INFINITY, |end| self.integral(from, end));
        // An arrival that falls on the very end belongs to the stage, whatever the rounding.
        if owed > left + ROUNDING {
            return None;
        }
        let (rate, slope) = (self.from + self.slope() * from, self.slope());
        // Root of slope/2 x² + rate x = owed, in the form that is exact for small slopes.
        let root = (rate * rate + 2.0 * slope * owed).max(0.0).sqrt();
        let span = 2.0 * owed / (rate + root);
        let end = self.seconds.unwrap_or(f64::INFINITY);
        span.is_finite().then_some((from + span).min(end))
    }
}

fn check_rate(rate: f64) -> Result<(), f64> {
    if (0.0..=RATE_MAX).contains(&rate) {
        Ok(())
    } else {
        Err(rate)
    }
}

/// Purposes of the plan's random streams.
const GAPS: u64 = 1;

/// The moments of a plan, one after the other.
#[derive(Debug, Clone)]
pub struct Schedule {
    arrivals: Arrivals,
    rng: Rng,
    stages: Vec<Stage>,
    /// The stage being walked, and when it began.
    stage: usize,
    begun: f64,
    /// How far has been walked, seconds from the stage's beginning.
    at: f64,
    /// Integral of the rate still to be walked before the next arrival.
    owed: f64,
    /// The next arrival, seconds from the plan's beginning.
    next: Option<f64>,
}

impl Schedule {
    /// The schedule of a plan, at its beginning.
    pub fn new(plan: &Plan) -> Result<Self, PlanError> {
        plan.check()?;
        let mut schedule = Self {
            arrivals: plan.arrivals,
            rng: Rng::stream(plan.seed, &[GAPS]),
            stages: plan.stages.clone(),
            stage: 0,
            begun: 0.0,
            at: 0.0,
            owed: 0.0,
            next: None,
        };
        schedule.draw();
        schedule.find();
        Ok(schedule)
    }

    /// When the next request is to start, from the plan's beginning; `None` when there is none,
    /// for now ([`Schedule::set_rate`] may bring one) or for good.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        // Beyond what a Duration can say is as good as never.
        self.next
            .map(|at| Duration::try_from_secs_f64(at).unwrap_or(Duration::MAX))
    }

    /// Whether the plan is over: no request will come by itself.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage == self.stages.len()
    }

    /// Goes on to the arrival after the next.
    pub fn advance(&mut self) {
        if let Some(next) = self.next {
            self.at = next - self.begun;
            self.draw();
            self.find();
        }
    }

    /// From `now` on the rate is this one, without end; the stages to come are dropped.
    pub fn set_rate(&mut self, now: Duration, rate: f64) -> Result<(), PlanError> {
        check_rate(rate).map_err(|rate| PlanError::Rate { stage: 1, rate })?;
        let now = now.as_secs_f64();
        if let Some(stage) = self.stages.get(self.stage) {
            // Arrivals that are due already stay due: only the wait for the next one changes.
            let to = (now - self.begun).clamp(self.at, stage.seconds.unwrap_or(f64::INFINITY));
            self.owed = (self.owed - stage.integral(self.at, to)).max(0.0);
        }
        self.stages = vec![Stage::endless(rate)];
        (self.stage, self.begun, self.at) = (0, now, 0.0);
        self.find();
        Ok(())
    }

    /// The rate planned for a moment of the stage being walked, requests a second.
    #[must_use]
    pub fn rate(&self, now: Duration) -> f64 {
        let Some(stage) = self.stages.get(self.stage) else {
            return 0.0;
        };
        let into = (now.as_secs_f64() - self.begun).max(0.0);
        stage.from + stage.slope() * stage.seconds.map_or(into, |end| into.min(end))
    }

    fn draw(&mut self) {
        self.owed = match self.arrivals {
            Arrivals::Constant => 1.0,
            Arrivals::Poisson => self.rng.exponential(),
        };
    }

    /// Walks the stages until what is owed is reached.
    fn find(&mut self) {
        self.next = None;
        while let Some(stage) = self.stages.get(self.stage) {
            if let Some(at) = stage.reaches(self.at, self.owed) {
                self.next = Some(self.begun + at);
                return;
            }
            // An endless stage that never gets there has rate 0.
            let Some(end) = stage.seconds else { return };
            self.owed -= stage.integral(self.at, end);
            self.begun += end;
            self.at = 0.0;
            self.stage += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(plan: &Plan, most: usize) -> Vec<f64> {
        let mut schedule = Schedule::new(plan).unwrap();
        let mut found = Vec::new();
        while let Some(next) = schedule.next() {
            if found.len() == most {
                break;
            }
            found.push(next.as_secs_f64());
            schedule.advance();
        }
        found
    }

    fn plan(arrivals: Arrivals, stages: &[Stage]) -> Plan {
        Plan {
            seed: 7,
            arrivals,
            stages: stages.to_vec(),
        }
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced_and_end_with_the_plan() {
        let steady = Stage::steady(10.0, Duration::from_secs(2));
        let found = moments(&plan(Arrivals::Constant, &[steady]), 1000);
        assert_eq!(found.len(), 20);
        for (index, at) in found.iter().enumerate() {
            assert!((at - (index + 1) as f64 / 10.0).abs() < 1e-9, "{found:?}");
        }
    }

    #[test]
    fn a_ramp_brings_as_many_as_its_area() {
        let stages = [
            Stage::ramp(0.0, 100.0, Duration::from_secs(10)),
            Stage::steady(0.0, Duration::from_secs(5)),
            Stage::ramp(100.0, 0.0, Duration::from_secs(10)),
        ];
        let found = moments(&plan(Arrivals::Constant, &stages), 10_000);
        assert!((found.len() as i64 - 1000).abs() <= 1, "{}", found.len());
        let early = found.iter().filter(|at| **at <= 5.0).count();
        assert_eq!(early, 125, "a quarter of the ramp's area in its first half");
        assert!(!found.iter().any(|at| *at > 10.0 && *at < 15.0));
        assert!(found.is_sorted());
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_their_kind() {
        let found = moments(&Plan::endless(3, 1000.0), 20_000);
        let gaps: Vec<f64> = found.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 1000.0 - 1.0).abs() < 0.03, "{mean}");
        assert!(
            (variance.sqrt() / mean - 1.0).abs() < 0.05,
            "exponential: deviation = mean"
        );
        assert_eq!(
            found,
            moments(&Plan::endless(3, 1000.0), 20_000),
            "repeatable"
        );
        assert_ne!(found[0], moments(&Plan::endless(4, 1000.0), 1)[0]);
    }

    #[test]
    fn a_rate_changed_in_mid_wait_counts_what_was_waited() {
        let mut schedule =
            Schedule::new(&plan(Arrivals::Constant, &[Stage::endless(1.0)])).unwrap();
        // Half of the first second is over; the other half of the wait goes ten times as fast.
        schedule.set_rate(Duration::from_millis(500), 10.0).unwrap();
        assert_eq!(schedule.next(), Some(Duration::from_millis(550)));
        schedule.advance();
        assert_eq!(schedule.next(), Some(Duration::from_millis(650)));
        schedule.set_rate(Duration::from_millis(600), 0.0).unwrap();
        assert_eq!((schedule.next(), schedule.is_over()), (None, false));
        schedule.set_rate(Duration::from_secs(10), 1.0).unwrap();
        assert_eq!(schedule.next(), Some(Duration::from_millis(10_500)));
        assert!(schedule.set_rate(Duration::from_secs(11), -1.0).is_err());
    }

    #[test]
    fn plans_that_make_no_sense_are_refused() {
        let refused = |stages: &[Stage]| plan(Arrivals::Constant, stages).check().unwrap_err();
        assert_eq!(refused(&[]), PlanError::Empty);
        let endless = Stage::endless(1.0);
        assert_eq!(
            refused(&[endless, endless]),
            PlanError::Endless { stage: 1 }
        );
        let ramp = Stage {
            from: 1.0,
            to: 2.0,
            seconds: None,
        };
        assert_eq!(refused(&[ramp]), PlanError::Endless { stage: 1 });
        assert!(matches!(
            refused(&[Stage::endless(f64::NAN)]),
            PlanError::Rate { stage: 1, .. }
        ));
        assert!(matches!(
            refused(&[Stage::endless(-1.0)]),
            PlanError::Rate { .. }
        ));
        let short = Stage::steady(1.0, Duration::ZERO);
        assert!(matches!(refused(&[short]), PlanError::Length { .. }));
    }
}
