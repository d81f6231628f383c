//! A search: the log of asks and tells, and the optimizer folded from it.
//!
//! Every ask draws from a stream of randomness of its own, hash(seed, trial): a search resumed from
//! its log after a crash asks the same next trial, bit for bit.

use model::{Goal, Params, TrialId};
use numerics::rng::Rng;
use serde::{Deserialize, Serialize};

use crate::history::{History, Observation, Outcome};
use crate::optimizer::{Method, Optimizer};
use crate::space::{Space, SpaceError};

/// Purpose of this stream of randomness.
const PURPOSE: u64 = 0x0074_7269_616c;

/// What fixes a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The optimizer.
    pub method: Method,
    /// What may be tried.
    pub space: Space,
    /// Which way the objective should move.
    pub goal: Goal,
    /// Fixes every random choice.
    pub seed: u64,
    /// How many trials will be told in all, if known: lets a method plan its last ones.
    pub budget: Option<u32>,
    /// Relative standard deviation expected of a value; 0 when values are exact. Used where an
    /// observation brings no standard error.
    pub noise: f64,
    /// Values are log ratios to the incumbent, which is measured beside every trial (and so is
    /// never asked itself).
    pub relative: bool,
    /// Never ask a point again.
    pub forbid_repeats: bool,
    /// The values in force; every step begins here.
    pub incumbent: Option<Params>,
    /// Values to try first, such as a vendor's advice.
    pub hints: Vec<Params>,
}

impl Setup {
    /// A search in the open: exact values, no incumbent.
    #[must_use]
    pub fn offline(method: Method, space: Space, goal: Goal, seed: u64) -> Self {
        Self {
            method,
            space,
            goal,
            seed,
            budget: None,
            noise: 0.0,
            relative: false,
            forbid_repeats: false,
            incumbent: None,
            hints: Vec::new(),
        }
    }

    /// A search on a live target: log ratios to the incumbent, small steps from it, nothing twice.
    #[must_use]
    pub fn live(method: Method, space: Space, goal: Goal, seed: u64, incumbent: Params) -> Self {
        Self {
            relative: true,
            forbid_repeats: true,
            incumbent: Some(incumbent),
            ..Self::offline(method, space, goal, seed)
        }
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A trial was asked.
    Asked(Asked),
    /// A trial was told.
    Told(Observation),
    /// Other values are in force.
    Promoted {
        /// The values.
        params: Params,
    },
}

/// A trial to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Its identity, unique within the search, from 1.
    pub trial: TrialId,
    /// What to try.
    pub params: Params,
}

/// Everything needed to continue a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// What fixes it.
    pub setup: Setup,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// What to deploy now.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// The values.
    pub params: Params,
    /// Their latest trial.
    pub trial: TrialId,
    /// Estimated objective: on the told scale; for a relative search, against the first incumbent.
    pub value: f64,
}

/// Whether a tell was news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was taken.
    New,
    /// The trial had been told before; nothing changed.
    Repeated,
}

/// Why a search cannot do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Values that do not fit the space.
    #[error("{what} does not fit the space")]
    Space {
        /// Which values.
        what: &'static str,
        /// What is wrong.
        #[source]
        source: SpaceError,
    },
    /// A trial nobody asked.
    #[error("trial {0} was never asked")]
    Unasked(TrialId),
    /// A value that is no number.
    #[error("trial {0}: the value and its standard error must be finite, the error at least 0")]
    Value(TrialId),
    /// Nothing is left to try within the step limits.
    #[error("nothing new is left to try within the step limits")]
    Exhausted,
}

/// A search under way.
#[derive(Debug)]
pub struct Search {
    events: Vec<Event>,
    history: History,
    optimizer: Box<dyn Optimizer>,
}

impl Search {
    /// A search that has seen nothing.
    pub fn new(setup: Setup) -> Result<Self, Error> {
        let fit = |what, params: &Params| {
            setup
                .space
                .encode(params)
                .map_err(|source| Error::Space { what, source })
        };
        let incumbent = setup
            .incumbent
            .as_ref()
            .map(|i| fit("the incumbent", i))
            .transpose()?;
        let hints = setup
            .hints
            .iter()
            .map(|h| fit("a hint", h))
            .collect::<Result<_, _>>()?;
        let history = History::new(setup, incumbent, hints);
        Ok(Self {
            events: Vec::new(),
            optimizer: history.setup().method.start(&history),
            history,
        })
    }

    /// The search as its log left it.
    pub fn resume(log: Log) -> Result<Self, Error> {
        let mut search = Self::new(log.setup)?;
        for event in log.events {
            match event {
                Event::Asked(asked) => search.record_ask(asked)?,
                Event::Told(observation) => {
                    search.tell(observation)?;
                }
                Event::Promoted { params } => search.promote(params)?,
            }
        }
        Ok(search)
    }

    /// The log so far; writing it down is writing the search down.
    #[must_use]
    pub fn log(&self) -> Log {
        Log {
            setup: self.history.setup().clone(),
            events: self.events.clone(),
        }
    }

    /// What happened, in order; each call of [`Self::ask`], [`Self::tell`] and [`Self::promote`]
    /// that changes anything adds one.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What it knows.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The next trial.
    pub fn ask(&mut self) -> Result<Asked, Error> {
        let trial = TrialId(self.history.asked() + 1);
        let mut rng = Rng::stream(self.history.setup().seed, &[PURPOSE, trial.0]);
        let point = self
            .optimizer
            .ask(&self.history, &mut rng)
            .ok_or(Error::Exhausted)?;
        let asked = Asked {
            trial,
            params: self.history.space().decode(&point),
        };
        self.record_ask(asked.clone())?;
        Ok(asked)
    }

    fn record_ask(&mut self, asked: Asked) -> Result<(), Error> {
        let point = self.fit("the trial", &asked.params)?;
        self.history.ask(asked.trial, point);
        self.events.push(Event::Asked(asked));
        Ok(())
    }

    fn fit(&self, what: &'static str, params: &Params) -> Result<Vec<f64>, Error> {
        self.history
            .space()
            .encode(params)
            .map_err(|source| Error::Space { what, source })
    }

    /// Takes the result of a trial; told again, it changes nothing.
    pub fn tell(&mut self, observation: Observation) -> Result<Taken, Error> {
        let Observation {
            trial,
            value,
            std_error,
            outcome,
        } = observation;
        if self.history.is_told(trial) {
            return Ok(Taken::Repeated);
        }
        let counts = outcome == Outcome::Ok;
        if counts && !(value.is_finite() && std_error.is_finite() && std_error >= 0.0) {
            return Err(Error::Value(trial));
        }
        let value = counts.then_some(self.turned(value));
        self.history
            .tell(trial, value, std_error)
            .ok_or(Error::Unasked(trial))?;
        self.optimizer.tell(&self.history);
        self.events.push(Event::Told(observation));
        Ok(Taken::New)
    }

    /// Other values are in force from now on (a change was kept): later values of a relative
    /// search are ratios to these.
    pub fn promote(&mut self, params: Params) -> Result<(), Error> {
        let point = self.fit("the promoted point", &params)?;
        let groups = self.history.groups();
        let known = groups.iter().find(|g| Space::same(&g.point, &point));
        let worth = known.map_or(self.history.level(), |g| g.mean);
        self.history.promote(point, worth);
        self.events.push(Event::Promoted { params });
        Ok(())
    }

    /// What to deploy now; `None` before the first value.
    #[must_use]
    pub fn recommend(&self) -> Option<Recommendation> {
        let group = self.optimizer.recommend(&self.history)?;
        Some(Recommendation {
            params: self.history.space().decode(&group.point),
            trial: group.trial,
            value: self.turned(group.mean),
        })
    }

    /// Turns a value so that smaller is better; its own inverse.
    fn turned(&self, value: f64) -> f64 {
        match self.history.setup().goal {
            Goal::Minimize => value,
            Goal::Maximize => -value,
        }
    }
}
