//! `histogram_quantile` and `histogram_fraction` of classic buckets: cumulative counts by upper
//! bound.
//!
//! Observations are taken to be spread evenly inside a bucket; the first one starts at zero if it
//! ends above. Scrapes are not atomic and rates round, so counts may fall where they should rise:
//! differences below [`TOLERANCE`] are taken for rounding, others are flattened and told.

/// Upper bound (`le`) and cumulative count.
pub type ClassicBucket = (f64, f64);

/// Relative difference of counts that is taken for rounding.
const TOLERANCE: f64 = 1e-12;

/// An estimated quantile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassicQuantile {
    /// NaN without observations, without a bucket up to +Inf, or with no other bucket.
    pub value: f64,
    /// Counts fell by more than rounding explains, and were flattened.
    pub forced_monotonic: bool,
}

/// The `q`-quantile. Buckets may come in any order; those of one bound are added.
#[must_use]
pub fn quantile(q: f64, buckets: Vec<ClassicBucket>) -> ClassicQuantile {
    let plain = |value| ClassicQuantile {
        value,
        forced_monotonic: false,
    };
    if q.is_nan() {
        return plain(f64::NAN);
    }
    if q < 0.0 {
        return plain(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return plain(f64::INFINITY);
    }
    let Some(mut buckets) = in_order(buckets) else {
        return plain(f64::NAN);
    };
    let forced_monotonic = make_monotonic(&mut buckets);
    ClassicQuantile {
        value: among(q, &buckets),
        forced_monotonic,
    }
}

fn among(q: f64, buckets: &[ClassicBucket]) -> f64 {
    let [.., (last_finite, _), (_, observations)] = *buckets else {
        return f64::NAN;
    };
    // Written so that a count of NaN has no quantile either.
    if observations == 0.0 || observations.is_nan() {
        return f64::NAN;
    }
    let rank = q * observations;
    let found = buckets[..buckets.len() - 1].partition_point(|(_, count)| *count < rank);
    if found == buckets.len() - 1 {
        return last_finite;
    }
    let (end, reached) = buckets[found];
    if found == 0 && end <= 0.0 {
        return end;
    }
    let (start, before) = if found == 0 {
        (0.0, 0.0)
    } else {
        buckets[found - 1]
    };
    start + (end - start) * ((rank - before) / (reached - before))
}

/// The share of observations between `lower` and `upper`: NaN without observations or a bucket up
/// to +Inf, 0 if the bounds do not rise.
#[must_use]
pub fn fraction(lower: f64, upper: f64, buckets: Vec<ClassicBucket>) -> f64 {
    let Some(buckets) = in_order(buckets) else {
        return f64::NAN;
    };
    let observations = buckets.last().map_or(0.0, |(_, count)| *count);
    if observations == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let below = |value| rank(value, &buckets).min(observations);
    (below(upper) - below(lower)) / observations
}

/// How many observations are below a value.
fn rank(value: f64, buckets: &[ClassicBucket]) -> f64 {
    let (mut start, mut before) = (f64::NEG_INFINITY, 0.0);
    for (end, reached) in buckets.iter().copied() {
        if start == f64::NEG_INFINITY && end > 0.0 {
            start = 0.0;
        }
        if value <= start {
            break;
        }
        if value < end {
            // A bucket without an upper bound lies above every finite value, one without a lower
            // bound below.
            let share = match (start == f64::NEG_INFINITY, end == f64::INFINITY) {
                (true, _) => 1.0,
                (false, true) => 0.0,
                (false, false) => (value - start) / (end - start),
            };
            return before + (reached - before) * share;
        }
        (start, before) = (end, reached);
    }
    before
}

/// Sorted, one bucket a bound; `None` without a bucket up to +Inf.
fn in_order(mut buckets: Vec<ClassicBucket>) -> Option<Vec<ClassicBucket>> {
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    if buckets.last()?.0 != f64::INFINITY {
        return None;
    }
    buckets.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        earlier.1 += if same { later.1 } else { 0.0 };
        same
    });
    Some(buckets)
}

/// Flattens counts that fall; says whether any fell by more than rounding.
fn make_monotonic(buckets: &mut [ClassicBucket]) -> bool {
    let mut forced = false;
    let mut highest = buckets.first().map_or(0.0, |(_, count)| *count);
    for (_, count) in buckets.iter_mut().skip(1) {
        let rounding = (*count - highest).abs() / (count.abs() + highest.abs()) < TOLERANCE;
        if rounding || *count < highest {
            forced |= !rounding;
            *count = highest;
        } else {
            highest = *count;
        }
    }
    forced
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    #[track_caller]
    fn check(q: f64, buckets: &[ClassicBucket], expected: f64) {
        let found = quantile(q, buckets.to_vec()).value;
        let same = found == expected || (found.is_nan() && expected.is_nan());
        assert!(
            same || (found - expected).abs() < 1e-12,
            "{found}, not {expected}"
        );
    }

    #[test]
    fn quantiles_are_linear_inside_a_bucket() {
        let buckets = [(0.1, 10.0), (INF, 40.0), (0.5, 30.0), (1.0, 40.0)];
        check(0.5, &buckets, 0.3);
        check(0.125, &buckets, 0.05);
        check(1.0, &buckets, 1.0);
        check(1.1, &buckets, INF);
        check(-0.1, &buckets, -INF);
        check(f64::NAN, &buckets, f64::NAN);
    }

    #[test]
    fn edges_have_no_inside() {
        check(0.9, &[(1.0, 1.0), (INF, 2.0)], 1.0);
        check(0.1, &[(-1.0, 1.0), (INF, 2.0)], -1.0);
        check(0.5, &[(INF, 2.0)], f64::NAN);
        check(0.5, &[(1.0, 1.0), (2.0, 2.0)], f64::NAN);
        check(0.5, &[(1.0, 0.0), (INF, 0.0)], f64::NAN);
        check(0.5, &[], f64::NAN);
    }

    #[test]
    fn falling_counts_are_flattened_and_told_unless_they_are_rounding() {
        let falling = quantile(0.5, vec![(1.0, 10.0), (2.0, 5.0), (INF, 20.0)]);
        assert_eq!(
            falling,
            ClassicQuantile {
                value: 1.0,
                forced_monotonic: true
            }
        );
        let rounded = quantile(0.5, vec![(1.0, 10.0), (2.0, 10.0 - 1e-13), (INF, 20.0)]);
        assert_eq!(
            rounded,
            ClassicQuantile {
                value: 1.0,
                forced_monotonic: false
            }
        );
    }

    #[test]
    fn a_fraction_is_the_inverse_of_a_quantile() {
        let buckets = vec![(0.1, 10.0), (0.5, 30.0), (1.0, 40.0), (INF, 50.0)];
        for q in [0.1, 0.25, 0.5, 0.75] {
            let value = quantile(q, buckets.clone()).value;
            assert!(
                (fraction(-INF, value, buckets.clone()) - q).abs() < 1e-12,
                "{q}"
            );
        }
        assert_eq!(fraction(-INF, 100.0, buckets.clone()), 0.8);
        assert_eq!(fraction(-INF, INF, buckets.clone()), 1.0);
        assert_eq!(fraction(2.0, 1.0, buckets), 0.0);
    }
}
