//! The sequential test on pairs of windows: may be looked at after every pair.
//!
//! A pair gives d = ln(variant / baseline), turned so that positive is better. Two players bet
//! ([`crate::bet`]), one that d lies above zero, one that it lies below; the first to own 2/α
//! decides. Either happens with probability at most α if the change does nothing, at any stopping
//! time.
//!
//! The interval inverts the test: had the change multiplied the objective by eˢ, d - s would be
//! symmetric, so every shift s at which neither player ever owned 2/α stays possible. Wealth falls
//! monotonically as s rises (for the one who bets on "above"), so the set is an interval, found by
//! bisection, and it covers the truth at every stopping time at once with probability at least
//! 1 - α (a confidence sequence, Howard et al. 2021). This takes the effect to be additive on the
//! logarithm; the test of "no effect" does not.
//!
//! Known answer: d = 1 in every pair ends "better" with the sixth at α = 0.05.

use model::{Call, Effect, Ending, Goal, Interval, Verdict};
use numerics::summary::median;
use serde::{Deserialize, Serialize};

use crate::bet::{Wealth, ever_owns};
use crate::location::{Location, hodges_lehmann};

/// Most pairs of one test: wealth at most doubles a pair, so that it stays a finite number.
pub const PAIRS_LIMIT: u32 = 1_000;

/// When a test gives up hope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Futility {
    /// As soon as an improvement worth having is excluded: the quickest way back to the baseline,
    /// often before harm is proved.
    #[default]
    NoGain,
    /// When an improvement and a harm of that size are both excluded: harm is called by its name.
    NoDifference,
    /// At the cap only.
    Never,
}

/// What is tested, and how strictly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Which way the objective should move.
    pub goal: Goal,
    /// Probability of "better" or "worse" when the change does nothing; the interval has level
    /// 1 - alpha.
    pub alpha: f64,
    /// Smallest relative effect worth having (0.03 = 3 %).
    pub mde: f64,
    /// Most pairs, skipped ones included.
    pub pairs_max: u32,
    /// When to stop for lack of promise.
    pub futility: Futility,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleError {
    /// `alpha` is not in (0, 1).
    Alpha,
    /// `mde` is not in [0, 1).
    Mde,
    /// `pairs_max` is 0 or above [`PAIRS_LIMIT`].
    Pairs,
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Alpha => f.write_str("alpha must lie between 0 and 1, both excluded"),
            Self::Mde => f.write_str("mde must be at least 0 and below 1"),
            Self::Pairs => write!(f, "pairs_max must lie between 1 and {PAIRS_LIMIT}"),
        }
    }
}

impl std::error::Error for RuleError {}

/// Where a test stands after a pair.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// Another pair is needed.
    Continue,
    /// The test is over.
    Done(Verdict),
}

/// One pair that could be measured, in the objective's unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Pair {
    baseline: f64,
    variant: f64,
}

impl Pair {
    fn log_ratio(self) -> f64 {
        (self.variant / self.baseline).ln()
    }
}

/// The test of one change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedTest {
    rule: Rule,
    pairs: Vec<Pair>,
    skipped: u32,
    /// Bets that the change is better, and that it is worse, than no effect.
    better: Wealth,
    worse: Wealth,
    /// Bets that it gains less, and that it harms less, than is worth having.
    below_gain: Wealth,
    above_harm: Wealth,
    gain_excluded: bool,
    harm_excluded: bool,
}

impl PairedTest {
    /// A test that has seen nothing.
    pub fn new(rule: Rule) -> Result<Self, RuleError> {
        if !(rule.alpha > 0.0 && rule.alpha < 1.0) {
            return Err(RuleError::Alpha);
        }
        if !(0.0..1.0).contains(&rule.mde) {
            return Err(RuleError::Mde);
        }
        if !(1..=PAIRS_LIMIT).contains(&rule.pairs_max) {
            return Err(RuleError::Pairs);
        }
        Ok(Self {
            rule,
            pairs: Vec::new(),
            skipped: 0,
            better: Wealth::default(),
            worse: Wealth::default(),
            below_gain: Wealth::default(),
            above_harm: Wealth::default(),
            gain_excluded: false,
            harm_excluded: false,
        })
    }

    /// The rule it follows.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Pairs measured so far.
    #[must_use]
    pub fn pairs(&self) -> u32 {
        self.pairs.len() as u32
    }

    /// Pairs left out so far, because a value was missing, zero, negative or not finite: a ratio
    /// of such values says nothing.
    #[must_use]
    pub fn skipped(&self) -> u32 {
        self.skipped
    }

    /// Takes the next pair of windows, of which `baseline` and `variant` were measured in an order
    /// tossed beforehand ([`crate::coin`]).
    pub fn push(&mut self, baseline: Option<f64>, variant: Option<f64>) -> Status {
        match (baseline.and_then(measurable), variant.and_then(measurable)) {
            (Some(baseline), Some(variant)) => self.bet(Pair { baseline, variant }),
            _ => self.skipped += 1,
        }
        match self.decision() {
            Some((call, ending)) => Status::Done(self.verdict(call, ending)),
            None => Status::Continue,
        }
    }

    fn bet(&mut self, pair: Pair) {
        self.pairs.push(pair);
        let gain = self.gain(pair.log_ratio());
        self.better.bet(gain);
        self.worse.bet(-gain);
        self.below_gain.bet(self.gain_worth_having() - gain);
        self.above_harm.bet(gain + self.gain_worth_having());
        self.gain_excluded |= self.below_gain.e_value() >= self.bound();
        self.harm_excluded |= self.above_harm.e_value() >= self.bound();
    }

    /// Turns a log ratio, so that positive is better; its own inverse.
    fn gain(&self, log_ratio: f64) -> f64 {
        match self.rule.goal {
            Goal::Minimize => -log_ratio,
            Goal::Maximize => log_ratio,
        }
    }

    fn gain_worth_having(&self) -> f64 {
        match self.rule.goal {
            Goal::Minimize => -(-self.rule.mde).ln_1p(),
            Goal::Maximize => self.rule.mde.ln_1p(),
        }
    }

    /// Wealth at which one of the two sides has proved its point.
    fn bound(&self) -> f64 {
        2.0 / self.rule.alpha
    }

    fn decision(&self) -> Option<(Call, Ending)> {
        let futile = match self.rule.futility {
            Futility::NoGain => self.gain_excluded,
            Futility::NoDifference => self.gain_excluded && self.harm_excluded,
            Futility::Never => false,
        };
        if self.worse.e_value() >= self.bound() {
            Some((Call::Worse, Ending::Evidence))
        } else if self.better.e_value() >= self.bound() && self.is_worth_keeping() {
            Some((Call::Better, Ending::Evidence))
        } else if futile {
            Some((Call::Inconclusive, Ending::Futile))
        } else if self.pairs() + self.skipped >= self.rule.pairs_max {
            Some((Call::Inconclusive, Ending::Cap))
        } else {
            None
        }
    }

    /// An improvement is proved; it is kept if it also looks like half of what is worth having.
    fn is_worth_keeping(&self) -> bool {
        self.location()
            .is_some_and(|l| self.gain(l.estimate) >= 0.5 * self.gain_worth_having())
    }

    /// ln(variant / baseline) with its standard error: what an optimiser learns from the trial,
    /// whatever its verdict.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        let ratios: Vec<f64> = self.pairs.iter().map(|p| p.log_ratio()).collect();
        hodges_lehmann(&ratios)
    }

    /// Evidence against "no effect": the mean of both players' wealth.
    #[must_use]
    pub fn e_value(&self) -> f64 {
        0.5 * (self.better.e_value() + self.worse.e_value())
    }

    /// Effect so far, with an interval that is valid at any time; `None` before the first pair.
    #[must_use]
    pub fn effect(&self) -> Option<Effect> {
        let estimate = self.location()?.estimate;
        let (low, high) = (self.lower(), -self.upper_of_negated());
        Some(Effect {
            // The interval may lie beside the estimate only when it missed the truth before.
            estimate: estimate.max(low).min(high).exp_m1(),
            interval: Interval {
                low: low.exp_m1(),
                high: high.exp_m1(),
            },
            level: 1.0 - self.rule.alpha,
        })
    }

    fn lower(&self) -> f64 {
        lowest_shift(
            &self.pairs.iter().map(|p| p.log_ratio()).collect::<Vec<_>>(),
            self.bound(),
        )
    }

    fn upper_of_negated(&self) -> f64 {
        lowest_shift(
            &self
                .pairs
                .iter()
                .map(|p| -p.log_ratio())
                .collect::<Vec<_>>(),
            self.bound(),
        )
    }

    /// The verdict if the test ended now for a reason of its owner's: a guard, a call to abort.
    #[must_use]
    pub fn end(&self, ending: Ending) -> Verdict {
        let call = match ending {
            Ending::Guard => Call::Worse,
            Ending::Evidence | Ending::Futile | Ending::Cap | Ending::Aborted => Call::Inconclusive,
        };
        self.verdict(call, ending)
    }

    fn verdict(&self, call: Call, ending: Ending) -> Verdict {
        let values = |of: fn(&Pair) -> f64| median(&self.pairs.iter().map(of).collect::<Vec<_>>());
        Verdict {
            call,
            effect: self.effect(),
            pairs: self.pairs(),
            e_value: self.e_value(),
            alpha: self.rule.alpha,
            ending,
            baseline: values(|p| p.baseline),
            variant: values(|p| p.variant),
        }
    }
}

/// A value whose ratio to another says something.
fn measurable(value: f64) -> Option<f64> {
    (value.is_normal() && value > 0.0).then_some(value)
}

/// The largest shift that "all xs are symmetric about it" could have been refuted at, from below:
/// the lower end of the interval. -∞ while nothing is excluded.
fn lowest_shift(xs: &[f64], bound: f64) -> f64 {
    let excluded = |shift: f64| ever_owns(bound, xs, shift);
    let middle = median(xs).unwrap_or(0.0);
    let mut reach = 1.0;
    while !excluded(middle - reach) {
        reach *= 4.0;
        // A ratio of e^1024 is no number any more.
        if reach > 1_024.0 {
            return f64::NEG_INFINITY;
        }
    }
    let mut ceiling = middle;
    while excluded(ceiling) {
        ceiling += reach;
    }
    bisect_to(middle - reach, ceiling, excluded)
}

/// Bisection, to the side that is excluded.
fn bisect_to(mut low: f64, mut high: f64, excluded: impl Fn(f64) -> bool) -> f64 {
    while high - low > SHIFT_RESOLUTION {
        let middle = 0.5 * (low + high);
        if excluded(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Finer than any effect one would act on.
const SHIFT_RESOLUTION: f64 = 1e-5;
