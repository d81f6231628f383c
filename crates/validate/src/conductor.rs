//! One live trial as a state machine: which side should be in force now, which window to measure.
//!
//! Pairs of windows, one of each side, in an order tossed beforehand ([`crate::coin`]). After a
//! switch the target settles for `settle_ms` before its window begins; two windows of one side in
//! a row (AB BA) need no switch. The owner calls [`Conductor::turn`] as often as it likes, with the
//! side known to be in force; nothing here knows a clock, a target or a metric.
//!
//! ```text
//!            Arm(a)            Measure{a}           Arm(b) ...             Done
//! turn ──▶ switch, settle ──▶ window of a ──measured──▶ ... ──measured──▶ verdict
//! ```

use model::{Arm, ChangeId, Ending, Verdict};
use serde::{Deserialize, Serialize};

use crate::coin;
use crate::location::Location;
use crate::test::{PairedTest, Rule, RuleError, Status};

/// How one trial is run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The change under trial; with `seed`, it fixes every toss.
    pub change: ChangeId,
    /// Seed of the tosses.
    pub seed: u64,
    /// What is tested, and how strictly.
    pub rule: Rule,
    /// Windows begin and end at multiples of this, ms: the scrape interval.
    pub tick_ms: u64,
    /// What the target needs to settle after a switch, ms.
    pub settle_ms: u64,
    /// Length of a window, ms; rounded up to whole ticks.
    pub window_ms: u64,
    /// How long after its end a window's last sample may still arrive, ms.
    pub lag_ms: u64,
}

/// What the trial wants from its owner.
#[derive(Debug, Clone, PartialEq)]
pub enum Want {
    /// This side should be in force.
    Arm(Arm),
    /// This side should stay in force; evaluate the objective over (from, to], ms since the epoch,
    /// and report it with [`Conductor::measured`].
    Measure {
        /// The side that was in force all through the window.
        arm: Arm,
        /// Begin, excluded.
        from_ms: i64,
        /// End, included.
        to_ms: i64,
    },
    /// The trial is over.
    Done(Verdict),
}

/// The windows of one pair, as they come in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Window {
    arm: Arm,
    value: Option<f64>,
}

/// A trial under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conductor {
    plan: Plan,
    test: PairedTest,
    pair: u32,
    /// First window of the current pair, once measured.
    first: Option<Window>,
    /// No window begins before this: the trial's begin, or the end of the last window.
    free_from_ms: i64,
    /// The window wanted, until it is measured.
    wanted: Option<(Arm, i64, i64)>,
    verdict: Option<Verdict>,
}

impl Conductor {
    /// A trial that begins now.
    pub fn new(plan: Plan, now_ms: i64) -> Result<Self, RuleError> {
        Ok(Self {
            test: PairedTest::new(plan.rule)?,
            plan,
            pair: 0,
            first: None,
            free_from_ms: now_ms,
            wanted: None,
            verdict: None,
        })
    }

    /// How it is run.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The test so far: pairs, effect, evidence.
    #[must_use]
    pub fn test(&self) -> &PairedTest {
        &self.test
    }

    /// ln(variant / baseline) and its standard error so far.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        self.test.location()
    }

    /// What is wanted now, given the side in force and since when (`None` while unknown or neither
    /// side). May be called at any time; the same question gets the same answer.
    pub fn turn(&mut self, now_ms: i64, in_force: Option<(Arm, i64)>) -> Want {
        if let Some(verdict) = &self.verdict {
            return Want::Done(verdict.clone());
        }
        let arm = self.arm();
        let Some(since_ms) = in_force.filter(|(a, _)| *a == arm).map(|(_, since)| since) else {
            self.wanted = None;
            return Want::Arm(arm);
        };
        let (from_ms, to_ms) = self.window(since_ms);
        if now_ms < to_ms + ms(self.plan.lag_ms) {
            return Want::Arm(arm);
        }
        self.wanted = Some((arm, from_ms, to_ms));
        Want::Measure {
            arm,
            from_ms,
            to_ms,
        }
    }

    /// The side whose window is next.
    #[must_use]
    pub fn arm(&self) -> Arm {
        let order = coin::order(self.plan.seed, self.plan.change, self.pair);
        order[usize::from(self.first.is_some())]
    }

    fn window(&self, since_ms: i64) -> (i64, i64) {
        let tick = ms(self.plan.tick_ms).max(1);
        let up =
            |t: i64| t.div_euclid(tick) * tick + if t.rem_euclid(tick) == 0 { 0 } else { tick };
        let from = up((since_ms + ms(self.plan.settle_ms)).max(self.free_from_ms));
        (from, from + up(ms(self.plan.window_ms)).max(tick))
    }

    /// Reports the window last wanted: the objective over it, or `None` if it cannot be had.
    /// Without a window wanted it does nothing.
    pub fn measured(&mut self, value: Option<f64>) {
        let Some((arm, _, to_ms)) = self.wanted.take() else {
            return;
        };
        self.free_from_ms = to_ms;
        let Some(first) = self.first.take() else {
            self.first = Some(Window { arm, value });
            return;
        };
        self.pair += 1;
        let (baseline, variant) = match first.arm {
            Arm::Baseline => (first.value, value),
            Arm::Variant => (value, first.value),
        };
        if let Status::Done(verdict) = self.test.push(baseline, variant) {
            self.verdict = Some(verdict);
        }
    }

    /// Ends the trial for a reason from outside: a guard, a call to abort. The verdict it already
    /// has, if any, stands.
    pub fn end(&mut self, ending: Ending) -> Verdict {
        self.verdict
            .get_or_insert_with(|| self.test.end(ending))
            .clone()
    }
}

/// Durations are configured in far smaller numbers than this could saturate at.
fn ms(duration: u64) -> i64 {
    i64::try_from(duration).unwrap_or(i64::MAX / 4)
}
