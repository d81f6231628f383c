//! What may be tried: typed parameters, as points of the unit cube.
//!
//! A point has one coordinate a parameter, its position on the parameter's scale from 0 to 1
//! ([`Domain::position`]). `decode(encode(p)) == p` holds exactly for whole numbers, switches and
//! choices, and for numbers of at most 12 significant digits: decoding rounds to that, since
//! nobody wants to read more of a setting.

use model::{Domain, KnobSpec, KnobValue, Params, Scale};
use numerics::rng::Rng;
use serde::{Deserialize, Serialize};

/// Positions this close are the same: well above the rounding of logarithms, well below a step.
const SAME: f64 = 1e-9;
/// Widest range of whole numbers: they have to survive the way through a double.
const WHOLE_MAX: u64 = 1 << 53;

/// A parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// The values it may take.
    pub domain: Domain,
    /// Largest step away from the incumbent, as a share of the range on the parameter's scale;
    /// 1 = anywhere. One notch is always allowed, and switches and unordered choices have no
    /// distance.
    pub max_step: f64,
}

impl Param {
    /// A parameter that may go anywhere in its domain.
    #[must_use]
    pub fn new(name: &str, domain: Domain) -> Self {
        Self {
            name: name.to_owned(),
            domain,
            max_step: 1.0,
        }
    }

    /// Number of values, unless it is a continuum.
    #[must_use]
    pub fn levels(&self) -> Option<u64> {
        match &self.domain {
            Domain::Int { min, max, .. } => Some(max.abs_diff(*min) + 1),
            Domain::Float { min, max, .. } => (min >= max).then_some(1),
            Domain::Bool => Some(2),
            Domain::Choice { choices, .. } => Some(choices.len() as u64),
        }
    }

    /// Whether the order of its values means nothing.
    #[must_use]
    pub fn is_unordered(&self) -> bool {
        matches!(&self.domain, Domain::Choice { choices, ordered: false } if choices.len() > 2)
    }

    /// The value at a position, the nearest one there is.
    #[must_use]
    pub fn value(&self, position: f64) -> KnobValue {
        let u = position.clamp(0.0, 1.0);
        match &self.domain {
            Domain::Int { min, max, scale } => KnobValue::Int(
                (at(*min as f64, *max as f64, *scale, u).round() as i64).clamp(*min, *max),
            ),
            Domain::Float { min, max, scale } => {
                KnobValue::Float(readable(at(*min, *max, *scale, u)).clamp(*min, *max))
            }
            Domain::Bool => KnobValue::Bool(u >= 0.5),
            Domain::Choice { choices, .. } => {
                let index = (u * (choices.len() - 1) as f64).round() as usize;
                KnobValue::Choice(choices[index].clone())
            }
        }
    }

    /// The position of the nearest value.
    #[must_use]
    pub fn snap(&self, position: f64) -> f64 {
        let value = self.value(position);
        self.domain
            .position(&value)
            .expect("a decoded value lies in its domain")
    }

    /// The position of the nearest value in [low, high]; `None` when none lies there.
    #[must_use]
    pub fn snap_within(&self, position: f64, low: f64, high: f64) -> Option<f64> {
        let near = self.snap(position.clamp(low, high));
        let inside = |u: &f64| low - SAME <= *u && *u <= high + SAME;
        if inside(&near) {
            return Some(near);
        }
        let [under, over] = self.neighbours(near);
        [under, over].into_iter().flatten().find(inside)
    }

    /// The positions next to that of a value, below and above; `None` for a continuum and at an
    /// end.
    #[must_use]
    pub fn neighbours(&self, position: f64) -> [Option<f64>; 2] {
        if let (Domain::Int { .. }, KnobValue::Int(v)) = (&self.domain, self.value(position)) {
            return [v - 1, v + 1].map(|w| self.domain.position(&KnobValue::Int(w)));
        }
        let Some(levels) = self.levels().filter(|&n| n > 1) else {
            return [None, None];
        };
        let step = 1.0 / (levels - 1) as f64;
        let inside = |u: f64| (-SAME..=1.0 + SAME).contains(&u).then(|| self.snap(u));
        [inside(position - step), inside(position + step)]
    }

    /// The positions one step from `from` may reach: `max_step` away, and always the next notch
    /// where there are notches (a parameter of three values could never move otherwise). Without
    /// an order there is no distance.
    fn reachable(&self, from: f64) -> (f64, f64) {
        if self.is_unordered() || self.levels() == Some(2) {
            return (0.0, 1.0);
        }
        let [under, over] = self.neighbours(from);
        let low = (from - self.max_step).max(0.0);
        let high = (from + self.max_step).min(1.0);
        (
            under.map_or(low, |u| u.min(low)),
            over.map_or(high, |o| o.max(high)),
        )
    }

    /// A random position in [low, high], uniform over the values there on the parameter's scale;
    /// `None` when no value lies there.
    pub fn draw(&self, low: f64, high: f64, rng: &mut Rng) -> Option<f64> {
        let Some(levels) = self.levels() else {
            return Some(rng.range(low, high));
        };
        if levels == 1 {
            return (low <= SAME).then_some(0.0);
        }
        let drawn = match &self.domain {
            Domain::Int {
                min,
                max,
                scale: Scale::Log,
            } => draw_whole_log(*min, *max, low, high, rng)?,
            _ => {
                let steps = (levels - 1) as f64;
                let first = ((low - SAME) * steps).ceil().max(0.0) as u64;
                let last = ((high + SAME) * steps).floor().min(steps) as u64;
                let count = (last + 1).checked_sub(first).filter(|&n| n > 0)?;
                (first + rng.below(count)) as f64 / steps
            }
        };
        Some(self.snap(drawn))
    }

    fn check(&self) -> Result<(), SpaceError> {
        let wrong = |what| {
            Err(SpaceError::Domain {
                param: self.name.clone(),
                what,
            })
        };
        match &self.domain {
            Domain::Int { min, max, .. } if min > max => wrong("min is above max"),
            Domain::Int { min, max, .. } if max.abs_diff(*min) >= WHOLE_MAX => {
                wrong("the range is wider than 2^53")
            }
            Domain::Int {
                min,
                scale: Scale::Log,
                ..
            } if *min < 1 => wrong("a log scale begins above 0"),
            Domain::Float { min, max, .. } if !(min.is_finite() && max.is_finite()) => {
                wrong("an end is not finite")
            }
            Domain::Float { min, max, .. } if min > max => wrong("min is above max"),
            Domain::Float {
                min,
                scale: Scale::Log,
                ..
            } if *min <= 0.0 => wrong("a log scale begins above 0"),
            Domain::Choice { choices, .. } if choices.is_empty() => wrong("there is no choice"),
            Domain::Choice { choices, .. } if has_repeats(choices) => {
                wrong("a choice is there twice")
            }
            Domain::Int { .. } | Domain::Float { .. } | Domain::Bool | Domain::Choice { .. } => {
                if (0.0..=1.0).contains(&self.max_step) {
                    Ok(())
                } else {
                    wrong("max_step is not in 0 to 1")
                }
            }
        }
    }
}

fn at(min: f64, max: f64, scale: Scale, u: f64) -> f64 {
    // The ends exactly; in between, rounding may not leave the range either (values are clamped).
    if u <= 0.0 {
        return min;
    }
    if u >= 1.0 {
        return max;
    }
    match scale {
        Scale::Linear => min + u * (max - min),
        Scale::Log => min * (u * (max / min).ln()).exp(),
    }
}

/// Twelve significant digits.
fn readable(value: f64) -> f64 {
    format!("{value:.11e}")
        .parse()
        .expect("a number printed is a number")
}

/// Uniform on the logarithm, each whole number with the stretch that rounds to it.
fn draw_whole_log(min: i64, max: i64, low: f64, high: f64, rng: &mut Rng) -> Option<f64> {
    let (a, b) = (min as f64, max as f64);
    let first = (at(a, b, Scale::Log, low) * (1.0 - SAME)).ceil().max(a);
    let last = (at(a, b, Scale::Log, high) * (1.0 + SAME)).floor().min(b);
    if first > last {
        return None;
    }
    let drawn = rng
        .range((first - 0.5).ln(), (last + 0.5).ln())
        .exp()
        .round()
        .clamp(first, last);
    Some((drawn / a).ln() / (b / a).ln())
}

fn has_repeats(names: &[String]) -> bool {
    names
        .iter()
        .enumerate()
        .any(|(i, name)| names[..i].contains(name))
}

/// What is wrong with a space, or with values for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// Nothing to search.
    #[error("the space has no parameter")]
    Empty,
    /// Two parameters of one name.
    #[error("parameter {0:?} is there twice")]
    Repeated(String),
    /// A domain nobody can draw from.
    #[error("parameter {param:?}: {what}")]
    Domain {
        /// The parameter.
        param: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Values that leave out a parameter.
    #[error("no value for parameter {0:?}")]
    Missing(String),
    /// A value for something that is no parameter.
    #[error("{0:?} is no parameter of the space")]
    Unknown(String),
    /// A value of the wrong type or outside the domain.
    #[error("parameter {param:?}: {value} is not {domain}")]
    Outside {
        /// The parameter.
        param: String,
        /// The value.
        value: String,
        /// What it should have been.
        domain: String,
    },
}

/// A point of the unit cube, one position a parameter.
pub type Point = Vec<f64>;

/// The parameters, sorted by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Param>", into = "Vec<Param>")]
pub struct Space {
    params: Vec<Param>,
}

impl TryFrom<Vec<Param>> for Space {
    type Error = SpaceError;

    fn try_from(params: Vec<Param>) -> Result<Self, SpaceError> {
        Self::new(params)
    }
}

impl From<Space> for Vec<Param> {
    fn from(space: Space) -> Self {
        space.params
    }
}

impl Space {
    /// The space of these parameters.
    pub fn new(mut params: Vec<Param>) -> Result<Self, SpaceError> {
        if params.is_empty() {
            return Err(SpaceError::Empty);
        }
        params.iter().try_for_each(Param::check)?;
        params.sort_by(|a, b| a.name.cmp(&b.name));
        match params.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => Err(SpaceError::Repeated(pair[0].name.clone())),
            None => Ok(Self { params }),
        }
    }

    /// The space of these knobs, each with its own step limit.
    pub fn of_knobs(knobs: &[KnobSpec]) -> Result<Self, SpaceError> {
        let param = |knob: &KnobSpec| Param {
            name: knob.name.clone(),
            domain: knob.domain.clone(),
            max_step: knob.max_step,
        };
        Self::new(knobs.iter().map(param).collect())
    }

    /// The parameters, sorted by name.
    #[must_use]
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Number of parameters.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.params.len()
    }

    /// The point of these values, which name every parameter once.
    pub fn encode(&self, values: &Params) -> Result<Point, SpaceError> {
        let named = |name: &str| self.params.iter().any(|p| p.name == name);
        if let Some((name, _)) = values.iter().find(|(name, _)| !named(name)) {
            return Err(SpaceError::Unknown(name.clone()));
        }
        if values.len() > self.params.len() {
            return Err(SpaceError::Repeated(values[0].0.clone()));
        }
        self.params
            .iter()
            .map(|param| position(param, values))
            .collect()
    }

    /// The values at a point, the nearest ones there are.
    #[must_use]
    pub fn decode(&self, point: &[f64]) -> Params {
        let values = self
            .params
            .iter()
            .zip(point)
            .map(|(p, &u)| (p.name.clone(), p.value(u)));
        values.collect()
    }

    /// The point of the nearest values.
    #[must_use]
    pub fn snap(&self, point: &[f64]) -> Point {
        self.params
            .iter()
            .zip(point)
            .map(|(p, &u)| p.snap(u))
            .collect()
    }

    /// Whether two points stand for the same values.
    #[must_use]
    pub fn same(a: &[f64], b: &[f64]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() <= SAME)
    }

    /// Where a search may go: within every parameter's step of the incumbent, or anywhere.
    #[must_use]
    pub fn region(&self, incumbent: Option<&[f64]>) -> Region {
        let side = |(i, param): (usize, &Param)| match incumbent {
            Some(point) => param.reachable(point[i]),
            None => (0.0, 1.0),
        };
        Region {
            sides: self.params.iter().enumerate().map(side).collect(),
        }
    }

    /// The nearest point of a region that stands for values; where a parameter has no value in the
    /// region, `home`'s position.
    #[must_use]
    pub fn snap_within(&self, region: &Region, home: Option<&[f64]>, point: &[f64]) -> Point {
        let coordinate = |(i, param): (usize, &Param)| {
            let (low, high) = region.sides[i];
            let stay = || home.map_or(low, |h| h[i]);
            param.snap_within(point[i], low, high).unwrap_or_else(stay)
        };
        self.params.iter().enumerate().map(coordinate).collect()
    }

    /// A random point of a region; where a parameter has no value in it, `home`'s position.
    pub fn draw(&self, region: &Region, home: Option<&[f64]>, rng: &mut Rng) -> Point {
        let coordinate = |(i, param): (usize, &Param)| {
            let (low, high) = region.sides[i];
            let stay = || home.map_or(low, |h| h[i]);
            param.draw(low, high, rng).unwrap_or_else(stay)
        };
        self.params.iter().enumerate().map(coordinate).collect()
    }
}

fn position(param: &Param, values: &Params) -> Result<f64, SpaceError> {
    let (_, value) = values
        .iter()
        .find(|(name, _)| *name == param.name)
        .ok_or_else(|| SpaceError::Missing(param.name.clone()))?;
    param
        .domain
        .position(value)
        .ok_or_else(|| SpaceError::Outside {
            param: param.name.clone(),
            value: value.to_string(),
            domain: param.domain.to_string(),
        })
}

/// A box in the unit cube.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// Low and high end by parameter.
    pub sides: Vec<(f64, f64)>,
}

impl Region {
    /// Whether a point lies inside.
    #[must_use]
    pub fn contains(&self, point: &[f64]) -> bool {
        self.sides
            .iter()
            .zip(point)
            .all(|((low, high), u)| low - SAME <= *u && *u <= high + SAME)
    }
}
