//! Uniform random search: the yardstick that every other method has to beat.

use numerics::rng::Rng;

use crate::history::{Group, History};
use crate::optimizer::Optimizer;
use crate::racing;
use crate::space::Point;

/// Draws before a region is taken to be used up.
const DRAWS_MAX: usize = 1_000;

/// Uniform over the region; the incumbent and the hints come first.
#[derive(Debug, Clone, Copy)]
pub struct Random;

impl Optimizer for Random {
    fn tell(&mut self, _history: &History) {}

    fn ask(&self, history: &History, rng: &mut Rng) -> Option<Point> {
        first_asks(history)
            .or_else(|| racing::again(history, None))
            .or_else(|| draw_new(history, rng))
    }

    fn recommend(&self, history: &History) -> Option<Group> {
        lowest_shrunk(history)
    }
}

/// The incumbent (where it is not measured anyway) and the hints, as long as there are any new.
#[must_use]
pub fn first_asks(history: &History) -> Option<Point> {
    let region = history.region();
    let incumbent = history
        .incumbent()
        .filter(|_| !history.setup().relative)
        .map(<[f64]>::to_vec);
    incumbent
        .into_iter()
        .chain(history.hints().iter().cloned())
        .find(|point| region.contains(point) && !history.is_known(point))
}

/// A uniform draw that may be asked.
#[must_use]
pub fn draw_new(history: &History, rng: &mut Rng) -> Option<Point> {
    let region = history.region();
    (0..DRAWS_MAX)
        .map(|_| history.space().draw(&region, history.incumbent(), rng))
        .map(|point| history.space().snap(&point))
        .find(|point| history.admits(&region, point))
}

/// The lowest mean after shrinking each towards the mean of all by its own noise (James and Stein
/// 1961): a single lucky value does not win.
#[must_use]
pub fn lowest_shrunk(history: &History) -> Option<Group> {
    let groups = history.groups();
    let n = groups.len() as f64;
    let centre = groups.iter().map(|g| g.mean).sum::<f64>() / n;
    let spread = groups
        .iter()
        .map(|g| (g.mean - centre).powi(2))
        .sum::<f64>()
        / (n - 1.0).max(1.0);
    let noise = |g: &Group| {
        let told = g.std_error.powi(2);
        let expected = (history.setup().noise * centre).powi(2) / f64::from(g.count);
        if told > 0.0 { told } else { expected }
    };
    let mean_noise = groups.iter().map(noise).sum::<f64>() / n;
    let signal = (spread - mean_noise).max(0.01 * spread);
    let shrunk = |g: &Group| {
        let trust = if signal > 0.0 {
            signal / (signal + noise(g))
        } else {
            1.0
        };
        centre + trust * (g.mean - centre)
    };
    let best = groups
        .iter()
        .min_by(|a, b| shrunk(a).total_cmp(&shrunk(b)))?;
    Some(Group {
        mean: shrunk(best),
        ..best.clone()
    })
}
