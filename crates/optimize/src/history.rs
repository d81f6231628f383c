//! What a search knows: the log of asks and tells, folded.

use std::collections::BTreeMap;

use model::TrialId;
use serde::{Deserialize, Serialize};

use crate::search::Setup;
use crate::space::{Point, Region, Space};

/// What came of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured.
    Ok,
    /// It could not be measured: a guard broke, the target was lost, the change was refused.
    Failed,
    /// It was measured and breaks a constraint.
    Infeasible,
}

/// The result of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The trial.
    pub trial: TrialId,
    /// The objective; for a live trial the log ratio to the incumbent measured beside it. Counts
    /// only with [`Outcome::Ok`].
    pub value: f64,
    /// Standard error of the value; 0 when it is exact or, in a relative search, not known.
    pub std_error: f64,
    /// What came of it.
    pub outcome: Outcome,
}

/// One evaluated point.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The trial.
    pub trial: TrialId,
    /// Where.
    pub point: Point,
    /// What was found, smaller is better; `None` when it failed or is infeasible.
    pub value: Option<f64>,
    /// Standard error of the value, 0 when exact or not known.
    pub std_error: f64,
}

/// All evaluations of one point, taken together.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Where.
    pub point: Point,
    /// Mean of its values, weighted by their precision; smaller is better.
    pub mean: f64,
    /// How many values.
    pub count: u32,
    /// Standard error of the mean as told, 0 when not known.
    pub std_error: f64,
    /// Its latest trial.
    pub trial: TrialId,
}

/// The folded log.
#[derive(Debug, Clone)]
pub struct History {
    setup: Setup,
    hints: Vec<Point>,
    evaluated: Vec<Evaluated>,
    open: BTreeMap<TrialId, Point>,
    asked: u64,
    incumbent: Option<Point>,
    /// What the present incumbent is worth on the scale of the first one.
    level: f64,
}

impl History {
    pub(crate) fn new(setup: Setup, incumbent: Option<Point>, hints: Vec<Point>) -> Self {
        Self {
            setup,
            hints,
            evaluated: Vec::new(),
            open: BTreeMap::new(),
            asked: 0,
            incumbent,
            level: 0.0,
        }
    }

    /// How the search was set up.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// What may be tried.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.setup.space
    }

    /// Everything told, in order.
    #[must_use]
    pub fn evaluated(&self) -> &[Evaluated] {
        &self.evaluated
    }

    /// Points asked and not yet told.
    pub fn open(&self) -> impl Iterator<Item = &Point> {
        self.open.values()
    }

    /// How many trials were asked.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// The point in force, if there is one.
    #[must_use]
    pub fn incumbent(&self) -> Option<&[f64]> {
        self.incumbent.as_deref()
    }

    /// Points to try first.
    #[must_use]
    pub fn hints(&self) -> &[Point] {
        &self.hints
    }

    /// Where the next trial may lie.
    #[must_use]
    pub fn region(&self) -> Region {
        self.space().region(self.incumbent())
    }

    /// Whether a point may be asked: inside the region, and new where repeats are forbidden.
    #[must_use]
    pub fn admits(&self, region: &Region, point: &[f64]) -> bool {
        region.contains(point) && !(self.setup.forbid_repeats && self.is_known(point))
    }

    /// Whether a point was asked before, or is in force.
    #[must_use]
    pub fn is_known(&self, point: &[f64]) -> bool {
        self.evaluated.iter().any(|e| Space::same(&e.point, point))
            || self.open.values().any(|open| Space::same(open, point))
            || (self.setup.relative && self.incumbent().is_some_and(|i| Space::same(i, point)))
    }

    /// The evaluations with a value, those of one point taken together; in the order first seen.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<(Group, f64)> = Vec::new();
        for e in &self.evaluated {
            let Some(value) = e.value else { continue };
            // Values of unknown error weigh alike.
            let weight = if e.std_error > 0.0 {
                e.std_error.powi(-2)
            } else {
                1.0
            };
            match groups
                .iter_mut()
                .find(|(g, _)| Space::same(&g.point, &e.point))
            {
                Some((group, total)) => {
                    *total += weight;
                    group.mean += (value - group.mean) * weight / *total;
                    group.count += 1;
                    group.trial = e.trial;
                    group.std_error = if e.std_error > 0.0 {
                        total.powf(-0.5)
                    } else {
                        0.0
                    };
                }
                None => {
                    let Evaluated {
                        trial,
                        point,
                        std_error,
                        ..
                    } = e.clone();
                    groups.push((
                        Group {
                            point,
                            mean: value,
                            count: 1,
                            std_error,
                            trial,
                        },
                        weight,
                    ));
                }
            }
        }
        groups.into_iter().map(|(group, _)| group).collect()
    }

    pub(crate) fn ask(&mut self, trial: TrialId, point: Point) {
        self.asked = self.asked.max(trial.0);
        self.open.insert(trial, point);
    }

    /// Takes a value that is already turned so that smaller is better. `None` when the trial is
    /// not open.
    pub(crate) fn tell(
        &mut self,
        trial: TrialId,
        value: Option<f64>,
        std_error: f64,
    ) -> Option<()> {
        let point = self.open.remove(&trial)?;
        let value = value.map(|v| v + self.level);
        self.evaluated.push(Evaluated {
            trial,
            point,
            value,
            std_error,
        });
        Some(())
    }

    /// Another point is in force; `worth` is its value on the scale of the first incumbent.
    pub(crate) fn promote(&mut self, point: Point, worth: f64) {
        if self.setup.relative {
            self.level = worth;
        }
        self.incumbent = Some(point);
    }

    /// What the incumbent is worth on the scale of the first one.
    #[must_use]
    pub fn level(&self) -> f64 {
        self.level
    }

    pub(crate) fn is_asked(&self, trial: TrialId) -> bool {
        self.open.contains_key(&trial) || self.is_told(trial)
    }

    pub(crate) fn is_told(&self, trial: TrialId) -> bool {
        self.evaluated.iter().any(|e| e.trial == trial)
    }
}
