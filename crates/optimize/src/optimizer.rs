//! What every optimizer can do.

use std::fmt;

use numerics::rng::Rng;
use serde::{Deserialize, Serialize};

use crate::history::{Group, History};
use crate::random::Random;
use crate::space::Point;

/// An optimizer: a fold over the tells, and a proposal from what it folded.
///
/// It is told of every result, also of points it did not ask for. It draws randomness only from
/// the generator handed in, which is made anew for each trial: a proposal depends on the log and
/// the number of the trial, on nothing else.
pub trait Optimizer: fmt::Debug + Send {
    /// Something new was told; it is the last entry of the history.
    fn tell(&mut self, history: &History);

    /// The next point worth trying; `None` when nothing is left to try.
    fn ask(&self, history: &History, rng: &mut Rng) -> Option<Point>;

    /// The point to deploy now, with its estimated value: an average or a model's mean, never the
    /// best single value under noise.
    fn recommend(&self, history: &History) -> Option<Group>;
}

/// The optimizers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Uniform random search: the yardstick.
    Random,
}

impl Method {
    /// A fresh optimizer of this method.
    #[must_use]
    pub fn start(self, _history: &History) -> Box<dyn Optimizer> {
        match self {
            Self::Random => Box::new(Random),
        }
    }

    /// Its name, as written in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
        }
    }
}
