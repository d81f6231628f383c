//! What every optimizer can do.

use std::fmt;

use numerics::rng::Rng;
use serde::{Deserialize, Serialize};

use crate::history::{Group, History};
use crate::random::Random;
use crate::space::Point;
use crate::trust_region::TrustRegionGp;

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
    /// Gaussian process in a trust region: for few, dear, noisy trials.
    TrustRegionGp,
}

impl Method {
    /// A fresh optimizer of this method.
    #[must_use]
    pub fn start(self, history: &History) -> Box<dyn Optimizer> {
        match self {
            Self::Random => Box::new(Random),
            Self::TrustRegionGp => Box::new(TrustRegionGp::new(history.space())),
        }
    }

    /// Its name, as written in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::TrustRegionGp => "trust_region_gp",
        }
    }
}
