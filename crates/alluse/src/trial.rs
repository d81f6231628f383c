//! A change under trial: its conductor, and the guards that end it at once.

use model::{Arm, Change, Ending, GuardBreach, SeriesReader, Verdict};
use validate::{Conductor, Guard, GuardSpec, Plan, Rule, Want};

use crate::{
    config::{Bound, Target},
    measure::{Measure, Window},
};

/// After a tick, so long until the scrapes of that tick are taken to be stored, ms: the objective
/// may come from another service than the target, scraped on the same tick.
const ARRIVAL_MS: i64 = 100;

/// Ticks of a target may be late by so many intervals before its guards take them for missing.
const LATE_INTERVALS: i64 = 2;

/// What the trial asks of the governor after a turn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    /// Bring this side into force.
    Arm(Arm),
    /// Roll back.
    Breach(GuardBreach),
    /// Keep or undo.
    Judged(Verdict),
}

/// A trial under way.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) target: String,
    conductor: Conductor,
    /// Guards with their queries; the first is that the target is up.
    guards: Vec<(String, Guard)>,
    /// The side in force and since when, as read back.
    in_force: Option<(Arm, i64)>,
    /// The side last asked for, so that it is asked for once.
    asked: Option<Arm>,
    /// Newest tick the guards have seen, ms.
    guarded_ms: i64,
    interval_ms: i64,
}

impl Trial {
    /// A trial of an admitted change. `None` if the configured rule cannot be tested, which
    /// reading the configuration has excluded.
    pub(crate) fn new(change: &Change, target: &Target, seed: u64, now_ms: i64) -> Option<Self> {
        let interval_ms = i64::try_from(target.interval.as_millis()).ok()?;
        let ms = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let plan = Plan {
            change: change.id,
            seed,
            rule: Rule {
                goal: target.objective.goal,
                alpha: target.trial.alpha,
                mde: target.trial.mde,
                pairs_max: target.trial.pairs_max,
                futility: validate::Futility::NoGain,
            },
            tick_ms: ms(target.interval),
            settle_ms: ms(target.trial.settle),
            window_ms: ms(target.trial.window),
            // The last scrape of a window is there when the newest tick says so.
            lag_ms: 0,
        };
        Some(Self {
            target: target.name.clone(),
            conductor: Conductor::new(plan, now_ms).ok()?,
            guards: guards(target),
            in_force: None,
            asked: None,
            guarded_ms: now_ms.div_euclid(interval_ms) * interval_ms,
            interval_ms,
        })
    }

    /// The governor brought a side into force.
    pub(crate) fn in_force(&mut self, arm: Arm, now_ms: i64) {
        // A renewal of the same side keeps its first moment.
        if self.in_force.is_none_or(|(current, _)| current != arm) {
            self.in_force = Some((arm, now_ms));
        }
        self.asked = Some(arm);
    }

    /// The side in force.
    pub(crate) fn arm(&self) -> Option<Arm> {
        self.in_force.map(|(arm, _)| arm)
    }

    /// The evidence so far.
    pub(crate) fn conductor(&self) -> &Conductor {
        &self.conductor
    }

    /// The verdict when the trial is ended from outside.
    pub(crate) fn end(&mut self, ending: Ending) -> Verdict {
        self.conductor.end(ending)
    }

    /// One turn: guards first, then the next window.
    pub(crate) fn turn(
        &mut self,
        now_ms: i64,
        objective: &str,
        measure: &Measure,
        reader: &dyn SeriesReader,
    ) -> Option<Ask> {
        // Guards and windows go by the samples that have arrived, not by the clock.
        let newest_ms = measure.newest_tick(reader, &self.target, now_ms);
        let known_ms = newest_ms.unwrap_or(i64::MIN).min(now_ms - ARRIVAL_MS);
        if let Some(breach) = self.watch(now_ms, known_ms, measure, reader) {
            return Some(Ask::Breach(breach));
        }
        loop {
            match self.conductor.turn(known_ms, self.in_force) {
                Want::Done(verdict) => return Some(Ask::Judged(verdict)),
                Want::Arm(arm) => return self.ask_for(arm),
                Want::Measure { from_ms, to_ms, .. } => {
                    let range_ms = to_ms - from_ms + self.interval_ms;
                    let window = Window { to_ms, range_ms };
                    let value = measure.over_window(reader, objective, window);
                    self.conductor.measured(value);
                }
            }
        }
    }

    fn ask_for(&mut self, arm: Arm) -> Option<Ask> {
        if self.asked == Some(arm) {
            return None;
        }
        self.asked = Some(arm);
        Some(Ask::Arm(arm))
    }

    /// Shows the guards every tick that has arrived since the last turn; ticks that stay away
    /// count as missing.
    fn watch(
        &mut self,
        now_ms: i64,
        known_ms: i64,
        measure: &Measure,
        reader: &dyn SeriesReader,
    ) -> Option<GuardBreach> {
        loop {
            let next_ms = self.guarded_ms + self.interval_ms;
            let arrived = known_ms >= next_ms;
            if !arrived && now_ms < next_ms + LATE_INTERVALS * self.interval_ms {
                return None;
            }
            self.guarded_ms = next_ms;
            // What happens while the old values are in force is not the change's doing: there
            // only the target's being up is watched.
            let tried = self
                .in_force
                .is_some_and(|(arm, since_ms)| arm == Arm::Variant && next_ms > since_ms);
            let watched = if tried { self.guards.len() } else { 1 };
            for (query, guard) in self.guards.iter_mut().take(watched) {
                let value = if arrived {
                    measure.number(reader, query, next_ms)
                } else {
                    None
                };
                if let Some(breach) = guard.observe(value, next_ms) {
                    return Some(breach);
                }
            }
        }
    }
}

/// The guards of a target; that it answers at all is one of them.
fn guards(target: &Target) -> Vec<(String, Guard)> {
    let up = GuardSpec::hard("target is up", validate::Bound::AtLeast(1.0));
    let up = (format!("up{{job={:?}}}", target.name), up);
    let configured = target.guards.iter().map(|guard| {
        let spec = GuardSpec {
            name: guard.name.clone(),
            bound: match guard.bound {
                Bound::AtMost(bound) => validate::Bound::AtMost(bound),
                Bound::AtLeast(bound) => validate::Bound::AtLeast(bound),
            },
            k: guard.breaches,
            m: guard.of,
            missing_max: GUARD_MISSING_MAX,
        };
        (guard.query.clone(), spec)
    });
    std::iter::once(up)
        .chain(configured)
        .filter_map(|(query, spec)| Some((query, Guard::new(spec)?)))
        .collect()
}

/// Missing values in a row that break a guard: what cannot be watched must not be tried.
const GUARD_MISSING_MAX: u32 = 3;
