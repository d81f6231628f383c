//! Guards: what ends a trial at once.

use validate::guard::{Harm, SLACK_MIN};
use validate::{Bound, Guard, GuardSpec};

fn spec(k: u32, m: u32, missing_max: u32) -> GuardSpec {
    GuardSpec {
        name: "p99".into(),
        bound: Bound::AtMost(10.0),
        k,
        m,
        missing_max,
    }
}

/// The index of the observation at which the guard breaks.
fn breaks(spec: GuardSpec, values: &[Option<f64>]) -> Option<usize> {
    let mut guard = Guard::new(spec).expect("a sound guard");
    values.iter().position(|&v| guard.observe(v, 0).is_some())
}

#[test]
fn a_hard_guard_breaks_with_the_second_bad_scrape() {
    let hard = GuardSpec::hard("p99", Bound::AtMost(10.0));
    assert_eq!(
        breaks(hard.clone(), &[Some(1.0), Some(11.0), Some(11.0)]),
        Some(2)
    );
    assert_eq!(
        breaks(
            hard.clone(),
            &[Some(11.0), Some(1.0), Some(11.0), Some(10.0)]
        ),
        None
    );
    let low = GuardSpec::hard("rate", Bound::AtLeast(10.0));
    assert_eq!(breaks(low, &[Some(9.0), Some(f64::NEG_INFINITY)]), Some(1));
    assert_eq!(breaks(hard, &[None, Some(f64::NAN), None, None]), Some(3));
}

#[test]
fn k_of_m_counts_only_the_last_m() {
    let (bad, good) = (Some(11.0), Some(9.0));
    assert_eq!(breaks(spec(3, 5, 3), &[bad, good, bad, good, bad]), Some(4));
    assert_eq!(
        breaks(spec(3, 5, 3), &[bad, good, good, bad, good, bad, good]),
        None
    );
    // A missing value is no good value, and does not push an old one out.
    assert_eq!(breaks(spec(2, 2, 3), &[bad, None, bad]), Some(2));
}

#[test]
fn missing_values_break_only_in_a_row() {
    assert_eq!(
        breaks(spec(1, 1, 2), &[None, None, Some(1.0), None, None]),
        None
    );
    assert_eq!(breaks(spec(1, 1, 0), &[Some(1.0), None]), Some(1));
}

#[test]
fn a_breach_says_what_was_seen_and_stays() {
    let mut guard = Guard::new(spec(1, 1, 1)).unwrap();
    let breach = guard.observe(Some(12.5), 7_000).unwrap();
    assert_eq!(
        (breach.value, breach.bound, breach.at_ms),
        (Some(12.5), 10.0, 7_000)
    );
    assert_eq!(
        guard.observe(Some(1.0), 8_000),
        Some(breach),
        "a broken guard stays broken"
    );
}

#[test]
fn senseless_guards_are_refused() {
    for (k, m) in [(0, 1), (2, 1), (1, 10_000)] {
        assert!(Guard::new(spec(k, m, 1)).is_none());
    }
    assert!(Guard::new(GuardSpec::hard("x", Bound::AtMost(f64::NAN))).is_none());
}

#[test]
fn a_bound_taken_from_the_baseline_is_median_and_mads_with_a_least_slack() {
    let values = [10.0, 11.0, 9.0, 10.0, 12.0, 8.0, f64::NAN];
    assert_eq!(
        Bound::beyond_baseline(&values, Harm::Above, 6.0),
        Some(Bound::AtMost(16.0))
    );
    assert_eq!(
        Bound::beyond_baseline(&values, Harm::Below, 6.0),
        Some(Bound::AtLeast(4.0))
    );
    let still = Bound::beyond_baseline(&[10.0; 5], Harm::Above, 6.0);
    assert_eq!(still, Some(Bound::AtMost(10.0 + 10.0 * SLACK_MIN)));
    assert_eq!(Bound::beyond_baseline(&[f64::NAN], Harm::Above, 6.0), None);
}
