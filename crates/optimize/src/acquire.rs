//! Where to try next: the point with the largest expected improvement, found among candidates.
//!
//! The logarithm of the expected improvement keeps its shape where the improvement itself
//! underflows (Ament, Daulton, Eriksson, Balandat and Bakshy, "Unexpected improvements to expected
//! improvement for Bayesian optimization", 2023). Candidates are draws from the region and changes
//! of the best points known, a few parameters at a time; the most promising then climb, one
//! parameter at a time (as SMAC does: Hutter, Hoos and Leyton-Brown 2011).

use numerics::distribution::{normal_cdf, normal_pdf};
use numerics::rng::Rng;

use crate::gp::Process;
use crate::space::{Param, Point, Region, Space};

/// Draws from the whole region.
const DRAWS: usize = 120;
/// Changes of each good point.
const CHANGES: usize = 40;
/// Candidates whose variance is computed exactly.
const EXACT: usize = 48;
/// Candidates that climb, and how often.
const CLIMBERS: usize = 3;
const CLIMBS: usize = 3;

/// ln E[max(best - Y, 0)] for Y normal.
#[must_use]
pub fn ln_expected_improvement(mean: f64, sd: f64, best: f64) -> f64 {
    let z = (best - mean) / sd;
    if z > -20.0 {
        return sd.ln()
            + (normal_pdf(z) + z * normal_cdf(z))
                .max(f64::MIN_POSITIVE)
                .ln();
    }
    // Mills' ratio once more: φ(z) + zΦ(z) → φ(z) / z² · (1 - 3/z²).
    let density = -0.5 * z * z - 0.918_938_533_204_672_7;
    sd.ln() + density - 2.0 * (-z).ln() + (-3.0 / (z * z)).ln_1p()
}

/// What candidates are drawn from.
#[derive(Debug)]
pub struct Ground<'a> {
    /// What may be tried.
    pub space: &'a Space,
    /// Where the search may go.
    pub region: &'a Region,
    /// Where candidates are drawn: inside the region.
    pub trust: &'a Region,
    /// Where a parameter stays that has no value inside the region.
    pub home: Option<&'a [f64]>,
    /// The best points known, best first; must not be empty.
    pub leaders: &'a [Point],
    /// Size of a change of a number, a share of its range.
    pub reach: f64,
}

struct Scored {
    point: Point,
    score: f64,
}

/// The candidate with the largest expected improvement over `best` that `admits`.
pub fn most_promising(
    ground: &Ground<'_>,
    process: &Process,
    best: f64,
    admits: &dyn Fn(&[f64]) -> bool,
    rng: &mut Rng,
) -> Option<Point> {
    let exact = |point: Point| {
        let (mean, sd) = process.predict(&point);
        Scored {
            score: ln_expected_improvement(mean, sd, best),
            point,
        }
    };
    let mut screened: Vec<Scored> = candidates(ground, rng)
        .into_iter()
        .filter(|point| admits(point))
        .map(|point| screen(process, best, point))
        .collect();
    sort_best_first(&mut screened);
    screened.truncate(EXACT);
    let mut scored: Vec<Scored> = screened.into_iter().map(|s| exact(s.point)).collect();
    sort_best_first(&mut scored);
    scored.truncate(CLIMBERS);
    for climber in &mut scored {
        climb(ground, climber, &exact, admits, rng);
    }
    sort_best_first(&mut scored);
    scored.into_iter().next().map(|s| s.point)
}

fn screen(process: &Process, best: f64, point: Point) -> Scored {
    let covariances = process.covariances(&point);
    let mean = process.mean_of(&covariances);
    let sd = process.variance_near(&covariances).sqrt();
    Scored {
        score: ln_expected_improvement(mean, sd, best),
        point,
    }
}

/// Best first; the sort is stable, so equal scores keep the order drawn.
fn sort_best_first(scored: &mut [Scored]) {
    scored.sort_by(|a, b| b.score.total_cmp(&a.score));
}

fn candidates(ground: &Ground<'_>, rng: &mut Rng) -> Vec<Point> {
    let mut points: Vec<Point> = (0..DRAWS)
        .map(|_| ground.space.draw(ground.trust, ground.home, rng))
        .collect();
    for leader in ground.leaders {
        points.extend((0..CHANGES).map(|_| changed(ground, leader, rng)));
    }
    points
        .iter()
        .map(|p| ground.space.snap_within(ground.region, ground.home, p))
        .collect()
}

/// A point with a few of its parameters changed: one, two or four in the mean.
fn changed(ground: &Ground<'_>, point: &[f64], rng: &mut Rng) -> Point {
    let d = point.len();
    let share = [1.0, 2.0, 4.0][rng.index(3)] / d as f64;
    let certain = rng.index(d);
    let mut next = point.to_vec();
    for (i, param) in ground.space.params().iter().enumerate() {
        if i == certain || rng.chance(share) {
            next[i] = moved(ground, param, i, point[i], rng);
        }
    }
    next
}

/// Another position of one parameter: a step of random size, a neighbour, or a fresh draw.
fn moved(ground: &Ground<'_>, param: &Param, i: usize, from: f64, rng: &mut Rng) -> f64 {
    let (low, high) = ground.trust.sides[i];
    let fresh = param.is_unordered() || param.levels().is_some_and(|n| n <= 3) || rng.chance(0.2);
    if fresh {
        return param.draw(low, high, rng).unwrap_or(from);
    }
    // Sizes from a hundredth of the reach to all of it, each magnitude as likely.
    let size = ground.reach * 100f64.powf(-rng.uniform()) * rng.normal();
    let to = (from + size).clamp(low, high);
    let near = param.snap(to);
    // A step too small for a whole number goes to the next one.
    if param.levels().is_some() && Space::same(&[near], &[from]) {
        let [under, over] = param.neighbours(from);
        return if size < 0.0 {
            under.or(over)
        } else {
            over.or(under)
        }
        .unwrap_or(from);
    }
    to
}

fn climb(
    ground: &Ground<'_>,
    climber: &mut Scored,
    exact: &dyn Fn(Point) -> Scored,
    admits: &dyn Fn(&[f64]) -> bool,
    rng: &mut Rng,
) {
    for _ in 0..CLIMBS {
        for (i, param) in ground.space.params().iter().enumerate() {
            let mut next = climber.point.clone();
            next[i] = moved(ground, param, i, next[i], rng);
            let next = ground.space.snap_within(ground.region, ground.home, &next);
            if !admits(&next) {
                continue;
            }
            let next = exact(next);
            if next.score > climber.score {
                *climber = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_improvement_meets_its_integral_and_has_no_seam() {
        // Trapezoids over max(best - y, 0) times the density.
        for (mean, sd, best) in [(0.0, 1.0, 0.0), (1.0, 0.5, 0.2), (-1.0, 0.1, 0.0)] {
            let step = 1e-4;
            let integral: f64 = (0..200_000)
                .map(|i| best - f64::from(i) * step)
                .map(|y| (best - y) * normal_pdf((y - mean) / sd) / sd * step)
                .sum();
            let ei = ln_expected_improvement(mean, sd, best).exp();
            assert!(
                (ei - integral).abs() < 1e-5 * (1.0 + integral),
                "{ei}, {integral}"
            );
        }
        let (above, below) = (
            ln_expected_improvement(19.999, 1.0, 0.0),
            ln_expected_improvement(20.001, 1.0, 0.0),
        );
        assert!((above - below - 0.0402).abs() < 1e-3, "{above}, {below}");
        assert!(ln_expected_improvement(1e3, 1.0, 0.0).is_finite());
    }
}
