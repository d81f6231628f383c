//! Racing: under noise, the last part of a budget measures the leaders again.
//!
//! The best of many noisy values is mostly the luckiest (the optimizer's curse, Smith and Winkler
//! 2006). With a third of the budget left, 12 leaders race, then 6, then 3; the one measured least
//! goes first.

use crate::history::{Group, History};
use crate::space::Point;

/// Share of the budget that races.
const SHARE: f64 = 0.3;
/// How many race, as the race goes on.
const FIELD: [usize; 3] = [12, 6, 3];

/// A leader to measure again, once the race is on. `means` are the groups' estimated values, best
/// lowest; without them the groups' own means count.
#[must_use]
pub fn again(history: &History, means: Option<&[f64]>) -> Option<Point> {
    let setup = history.setup();
    let budget = f64::from(setup.budget?);
    let noisy = setup.noise > 0.0 || history.evaluated().iter().any(|e| e.std_error > 0.0);
    let progress = (history.asked() as f64 / budget - (1.0 - SHARE)) / SHARE;
    if !noisy || setup.forbid_repeats || progress < 0.0 {
        return None;
    }
    let lap = ((progress * FIELD.len() as f64) as usize).min(FIELD.len() - 1);
    let groups = history.groups();
    let order = field(&groups, means, FIELD[lap]);
    let region = history.region();
    let racers = order
        .into_iter()
        .filter(|&i| history.admits(&region, &groups[i].point));
    let least = racers.min_by_key(|&i| runs(history, &groups[i]))?;
    Some(groups[least].point.clone())
}

/// The leaders, by their own means and by the model's in turn: where a landscape is rough, the
/// model takes the best points for lucky ones.
fn field(groups: &[Group], means: Option<&[f64]>, size: usize) -> Vec<usize> {
    let ranked = |value: &dyn Fn(usize) -> f64| {
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
        order
    };
    let own = ranked(&|i| groups[i].mean);
    let modelled = means.map_or_else(|| own.clone(), |m| ranked(&|i| m[i]));
    let mut field = Vec::new();
    for racer in modelled.into_iter().zip(own).flat_map(|(a, b)| [a, b]) {
        if field.len() < size && !field.contains(&racer) {
            field.push(racer);
        }
    }
    field
}

/// How often a point was measured, open trials included.
fn runs(history: &History, group: &Group) -> u32 {
    let open = history
        .open()
        .filter(|p| crate::Space::same(p, &group.point))
        .count();
    group.count + open as u32
}
