//! A Gaussian process that trusts itself only near the best point, more or less as it succeeds.
//!
//! After Eriksson, Pearce, Gardner, Turner and Poloczek, "Scalable global optimization via local
//! Bayesian optimization" (TuRBO, 2019): the box in which candidates are drawn doubles after a row
//! of successes and halves after a row of failures; here it begins as the whole region, since real
//! systems reward global search first. Under noise the last third of the budget measures the
//! leaders again (racing, [`crate::racing`]); a failed trial counts as bad as the worst one known,
//! so that its surroundings are avoided.

use numerics::rng::Rng;
use numerics::summary::median;

use crate::acquire::{Ground, most_promising};
use crate::gp::{Datum, Fit, Prior, Process};
use crate::history::{Group, History};
use crate::optimizer::Optimizer;
use crate::racing;
use crate::random::{draw_new, first_asks};
use crate::space::{Point, Region, Space};

/// Most points the model keeps: the best and the latest. Effort grows with the cube.
const DATA_MAX: usize = 160;
/// Successes in a row that double the box.
const SUCCESSES: u32 = 3;
/// A box smaller than this starts again at full size.
const SIDE_MIN: f64 = 0.5 / 128.0;
/// Points whose changes are candidates.
const LEADERS: usize = 6;
/// Floating-point operations for one learning, roughly: how many steps the fit may take.
const FIT_EFFORT: f64 = 1.2e6;
/// Share of trials drawn blindly: a model sure of itself is the last to learn that it is wrong.
const STRAYS: f64 = 0.1;
/// Share of the signal taken to be rough at the scale of single points.
const ROUGH: f64 = 0.6;
/// Standard error of a log ratio told without one: that of a single pair of noisy windows.
const ERROR_UNKNOWN: f64 = 0.3;
/// Purpose of the stream that lays out the first points.
const DESIGN: u64 = 0x6465_7369;

/// The optimizer.
#[derive(Debug, Clone)]
pub struct TrustRegionGp {
    unordered: Vec<bool>,
    fit: Fit,
    model: Option<Model>,
    /// Half the side of the box, as a share of the range; 1 covers everything.
    side: f64,
    successes: u32,
    failures: u32,
    best: f64,
}

/// What is folded from the tells.
#[derive(Debug, Clone)]
struct Model {
    process: Process,
    scaling: Scaling,
    /// Estimated value of each group, standardised; same order as the history's groups.
    means: Vec<f64>,
}

impl TrustRegionGp {
    /// An optimizer that has seen nothing.
    #[must_use]
    pub fn new(space: &Space) -> Self {
        let d = space.dimensions();
        Self {
            unordered: space
                .params()
                .iter()
                .map(crate::Param::is_unordered)
                .collect(),
            fit: Fit::new(Prior::new(d, 0.0), d),
            model: None,
            side: 1.0,
            successes: 0,
            failures: 0,
            best: f64::INFINITY,
        }
    }

    fn learn(&mut self, history: &History) {
        let groups = history.groups();
        let Some(scaling) = Scaling::of(history, &groups) else {
            return;
        };
        let data = scaling.data(history, &groups);
        let d = history.space().dimensions();
        self.fit.set_prior(Prior::new(d, scaling.noise));
        let n = data.len() as f64;
        let steps = (FIT_EFFORT / (n * n * (n + d as f64))).clamp(1.0, 12.0) as usize;
        self.fit.climb(&data, &self.unordered, steps);
        let process = Process::new(&data, self.fit.hyper().clone(), &self.unordered);
        let means = groups
            .iter()
            .map(|g| scaling.estimate(history, g, &process))
            .collect();
        self.model = Some(Model {
            process,
            scaling,
            means,
        });
    }

    /// Counts successes and failures of the last tell, and resizes the box.
    fn resize(&mut self, history: &History) {
        let last = history.evaluated().last().and_then(|e| e.value);
        let margin = self.model.as_ref().map_or(0.0, |m| 1e-3 * m.scaling.unit());
        if last.is_some_and(|v| v < self.best - margin) {
            (self.successes, self.failures) = (self.successes + 1, 0);
        } else {
            (self.successes, self.failures) = (0, self.failures + 1);
        }
        self.best = last.map_or(self.best, |v| v.min(self.best));
        let patience = 3 * history.space().dimensions().clamp(5, 15) as u32;
        if self.successes >= SUCCESSES {
            (self.side, self.successes) = ((2.0 * self.side).min(1.0), 0);
        } else if self.failures >= patience {
            (self.side, self.failures) = (0.5 * self.side, 0);
        }
        if self.side < SIDE_MIN {
            self.side = 1.0;
        }
    }

    /// The region around a point that is trusted now; parameters the model finds flat get more.
    fn trusted(&self, region: &Region, centre: &[f64]) -> Region {
        let lengths = &self.fit.hyper().ln_length;
        let typical = lengths.iter().sum::<f64>() / lengths.len() as f64;
        let side = |(i, (low, high)): (usize, &(f64, f64))| {
            if self.side >= 1.0 || self.unordered[i] {
                return (*low, *high);
            }
            let half = self.side * (lengths[i] - typical).clamp(-1.0, 1.0).exp();
            (
                (centre[i] - half).clamp(*low, *high),
                (centre[i] + half).clamp(*low, *high),
            )
        };
        Region {
            sides: region.sides.iter().enumerate().map(side).collect(),
        }
    }

    fn propose(&self, model: &Model, history: &History, rng: &mut Rng) -> Option<Point> {
        let (groups, region) = (history.groups(), history.region());
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by(|&a, &b| model.means[a].total_cmp(&model.means[b]));
        let leaders: Vec<Point> = order
            .iter()
            .take(LEADERS)
            .map(|&i| groups[i].point.clone())
            .collect();
        let trust = self.trusted(&region, leaders.first()?);
        let ground = Ground {
            space: history.space(),
            region: &region,
            trust: &trust,
            home: history.incumbent(),
            leaders: &leaders,
            reach: self.side.min(0.5),
        };
        let noisy = model.scaling.noise > 0.0;
        let admits =
            |point: &[f64]| history.admits(&region, point) && (noisy || !history.is_known(point));
        most_promising(&ground, &model.process, model.means[order[0]], &admits, rng)
    }
}

impl Optimizer for TrustRegionGp {
    fn tell(&mut self, history: &History) {
        self.resize(history);
        self.learn(history);
    }

    fn ask(&self, history: &History, rng: &mut Rng) -> Option<Point> {
        first_asks(history)
            .or_else(|| design_point(history))
            .or_else(|| racing::again(history, self.model.as_ref().map(|m| m.means.as_slice())))
            .or_else(|| stray(history, rng))
            .or_else(|| self.propose(self.model.as_ref()?, history, rng))
            .or_else(|| draw_new(history, rng))
    }

    fn recommend(&self, history: &History) -> Option<Group> {
        let (model, groups) = (self.model.as_ref()?, history.groups());
        let estimates = model.means.iter().enumerate();
        let (best, mean) = estimates.min_by(|a, b| a.1.total_cmp(b.1))?;
        Some(Group {
            mean: model.scaling.back(*mean),
            ..groups[best].clone()
        })
    }
}

/// Now and then a blind draw, where it can do no harm: never on a live target.
fn stray(history: &History, rng: &mut Rng) -> Option<Point> {
    let strays = !history.setup().relative && rng.chance(STRAYS);
    strays.then(|| draw_new(history, rng)).flatten()
}

/// The next point laid out before the model is asked, as long as there is one.
fn design_point(history: &History) -> Option<Point> {
    if history.setup().relative {
        one_at_a_time(history)
    } else {
        latin_hypercube(history)
    }
}

/// On a live target, where each trial is dear and a step in several parameters at once is more
/// likely to harm than to help: each parameter alone, in a seeded order, a good part of its step
/// to a seeded side.
fn one_at_a_time(history: &History) -> Option<Point> {
    let (space, region) = (history.space(), history.region());
    let home = history.incumbent()?;
    let mut rng = Rng::stream(history.setup().seed, &[DESIGN]);
    let mut order: Vec<usize> = (0..space.dimensions()).collect();
    rng.shuffle(&mut order);
    let steps = order.into_iter().map(|i| {
        let (low, high) = region.sides[i];
        let (share, up) = (rng.range(0.5, 1.0), rng.coin());
        // A parameter at its end has only one side to go to.
        let end = if (up && high > home[i]) || low >= home[i] {
            high
        } else {
            low
        };
        let mut point = home.to_vec();
        point[i] = home[i] + share * (end - home[i]);
        space.snap_within(&region, Some(home), &point)
    });
    // Laid out around the first incumbent; after a promotion the model takes over sooner.
    let asked = usize::try_from(history.asked()).unwrap_or(usize::MAX);
    let laid_out: Vec<Point> = steps.collect();
    let left = laid_out
        .into_iter()
        .skip(asked.saturating_sub(history.hints().len()));
    left.into_iter().find(|point| !history.is_known(point))
}

/// Number of points of the hypercube: few, as every trial is dear.
fn design_size(history: &History) -> u64 {
    let size = (2 * history.space().dimensions() as u64 + 1).clamp(3, 30);
    let third = history
        .setup()
        .budget
        .map_or(u64::MAX, |b| u64::from(b) / 3);
    size.min(third.max(1))
}

/// The next point of a Latin hypercube in the region, as long as fewer than its size were asked.
fn latin_hypercube(history: &History) -> Option<Point> {
    let (size, asked) = (design_size(history), history.asked());
    if asked >= size {
        return None;
    }
    let (space, region) = (history.space(), history.region());
    let stratum = |i: usize| {
        let mut rng = Rng::stream(history.setup().seed, &[DESIGN, i as u64]);
        let mut strata: Vec<u64> = (0..size).collect();
        rng.shuffle(&mut strata);
        let within: Vec<f64> = strata.iter().map(|_| rng.uniform()).collect();
        (strata[asked as usize] as f64 + within[asked as usize]) / size as f64
    };
    let at = |(i, (low, high)): (usize, &(f64, f64))| low + (high - low) * stratum(i);
    let point: Point = region.sides.iter().enumerate().map(at).collect();
    let point = space.snap_within(&region, history.incumbent(), &point);
    (!history.is_known(&point)).then_some(point)
}

/// How told values become standardised ones.
#[derive(Debug, Clone, Copy)]
struct Scaling {
    /// Values are positive quantities whose noise is relative: learn their logarithm.
    logarithm: bool,
    centre: f64,
    spread: f64,
    /// Typical standard deviation of one value, standardised; 0 when exact.
    noise: f64,
}

impl Scaling {
    fn of(history: &History, groups: &[Group]) -> Option<Self> {
        let logarithm = !history.setup().relative && groups.iter().all(|g| g.mean > 0.0);
        let bare = Self {
            logarithm,
            centre: 0.0,
            spread: 1.0,
            noise: 0.0,
        };
        let values: Vec<f64> = groups.iter().map(|g| bare.straight(g.mean)).collect();
        let centre = median(&values)?;
        let n = values.len() as f64;
        // Not robust on purpose: a search that has homed in must not lose sight of the rest.
        let deviation = (values.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / n).sqrt();
        let spread = if deviation > 0.0 { deviation } else { 1.0 };
        let scaled = Self {
            centre,
            spread,
            ..bare
        };
        let errors: Vec<f64> = groups
            .iter()
            .map(|g| scaled.error(history, g) * f64::from(g.count).sqrt())
            .collect();
        Some(Self {
            noise: median(&errors)?,
            ..scaled
        })
    }

    fn straight(self, value: f64) -> f64 {
        if self.logarithm { value.ln() } else { value }
    }

    /// Standardised; bad values beyond two spreads count by their logarithm only, so that a
    /// catastrophe does not flatten everything else.
    fn forth(self, value: f64) -> f64 {
        let z = (self.straight(value) - self.centre) / self.spread;
        if z > 2.0 { 2.0 + (z - 1.0).ln() } else { z }
    }

    fn back(self, z: f64) -> f64 {
        let z = if z > 2.0 { 1.0 + (z - 2.0).exp() } else { z };
        let value = self.centre + self.spread * z;
        if self.logarithm { value.exp() } else { value }
    }

    /// A spread in the unit told (as a share of the value where logarithms are learnt).
    fn unit(self) -> f64 {
        if self.logarithm {
            self.spread * self.centre.exp()
        } else {
            self.spread
        }
    }

    /// Standard error of a group, standardised.
    fn error(self, history: &History, group: &Group) -> f64 {
        let told = match history.setup() {
            _ if group.std_error > 0.0 => group.std_error,
            setup if setup.relative => ERROR_UNKNOWN,
            setup => setup.noise * group.mean.abs() / f64::from(group.count).sqrt(),
        };
        told / if self.logarithm {
            self.spread * group.mean
        } else {
            self.spread
        }
    }

    /// What a group is worth, standardised: the model's mean and the group's own, each with the
    /// weight of its precision. The model misses what is rough at the scale of single points.
    fn estimate(self, history: &History, group: &Group, process: &Process) -> f64 {
        let modelled = process.mean_of(&process.covariances(&group.point));
        let rough = ROUGH * (1.0 - self.noise * self.noise).max(0.1);
        let own = self.error(history, group).powi(2);
        (own * modelled + rough * self.forth(group.mean)) / (own + rough)
    }

    /// What the model learns from: values, failures as bad as the worst, open trials as expected.
    fn data(self, history: &History, groups: &[Group]) -> Vec<Datum> {
        let datum = |g: &Group| Datum {
            point: g.point.clone(),
            value: self.forth(g.mean),
            variance: if g.std_error > 0.0 || history.setup().relative {
                self.error(history, g).powi(2)
            } else {
                0.0
            },
            count: f64::from(g.count),
        };
        let mut data: Vec<Datum> = groups.iter().map(datum).collect();
        let worst = data.iter().map(|d| d.value).fold(1.0, f64::max);
        let failed = history.evaluated().iter().filter(|e| e.value.is_none());
        data.extend(failed.map(|e| Datum {
            point: e.point.clone(),
            value: worst,
            variance: 0.01,
            count: 1.0,
        }));
        // The incumbent is 0 by definition, being measured against itself.
        if let (true, Some(point)) = (history.setup().relative, history.incumbent()) {
            let value = self.forth(history.level());
            data.push(Datum {
                point: point.to_vec(),
                value,
                variance: 1e-4,
                count: 1.0,
            });
        }
        bounded(data)
    }
}

/// The best half and the latest half of what fits.
fn bounded(mut data: Vec<Datum>) -> Vec<Datum> {
    if data.len() <= DATA_MAX {
        return data;
    }
    let latest = data.split_off(data.len() - DATA_MAX / 2);
    data.sort_by(|a, b| a.value.total_cmp(&b.value));
    data.truncate(DATA_MAX - latest.len());
    data.extend(latest);
    data
}
