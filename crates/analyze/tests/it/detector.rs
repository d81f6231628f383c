//! One series: what is told, what is not, and that the future does not matter.

use analyze::{
    Config,
    detector::{Detector, Reports},
};
use model::FindingKind;
use proptest::prelude::*;

use crate::noise::Noise;

const MINUTE_MS: i64 = 60_000;

/// Times and severities of everything told about a series of one point a minute.
fn told(values: impl IntoIterator<Item = f64>) -> Vec<(i64, Reports)> {
    let (config, mut detector) = (Config::default(), Detector::new());
    (0_i64..)
        .zip(values)
        .map(|(i, value)| (i, detector.observe(i * MINUTE_MS, value, &config)))
        .filter(|(_, r)| r.anomaly.is_some() || r.change_point.is_some())
        .collect()
}

fn anomalies(values: impl IntoIterator<Item = f64>) -> usize {
    told(values)
        .iter()
        .filter(|(_, r)| r.anomaly.is_some())
        .count()
}

/// A kind of noise by name.
type Kind = (&'static str, fn(&mut Noise) -> f64);

/// False incidents per metric and week, over eight series of ten weeks.
fn false_rate(draw: impl Fn(&mut Noise) -> f64) -> f64 {
    let weeks = 10;
    let total: usize = (0..8)
        .map(|seed| {
            let mut noise = Noise::new(seed);
            anomalies((0..weeks * 7 * 1440).map(|_| draw(&mut noise)))
        })
        .sum();
    total as f64 / f64::from(8 * weeks)
}

#[test]
fn noise_of_every_kind_stays_near_the_budget_of_one_a_week() {
    // 80 metric-weeks: with a true rate of 1, more than 1.5 has a probability below 1e-4.
    let kinds: [Kind; 5] = [
        ("Gaussian", Noise::gauss),
        ("AR(1)", |n| n.autoregressive(0.95)),
        ("random walk", |n| n.autoregressive(1.0)),
        ("heavy tails", Noise::heavy),
        ("rare counts", |n| n.poisson(0.05)),
    ];
    for (name, draw) in kinds {
        let rate = false_rate(draw);
        assert!(
            rate <= 1.5,
            "{name}: {rate} false incidents a metric and week"
        );
    }
}

#[test]
fn an_incident_is_told_once_with_what_was_expected() {
    let mut noise = Noise::new(7);
    let values: Vec<f64> = (0..3000)
        .map(|i| 100.0 + noise.gauss() + if (2000..2010).contains(&i) { 60.0 } else { 0.0 })
        .collect();
    let told = told(values);
    let (at, reports) = told
        .iter()
        .find(|(_, r)| r.anomaly.is_some())
        .expect("it is told");
    assert_eq!(*at, 2000, "at its first point");
    let report = reports.anomaly.as_ref().expect("found above");
    let FindingKind::Anomaly {
        observed,
        expected,
        normal,
    } = report.what
    else {
        panic!("an anomaly, not {:?}", report.what)
    };
    assert!((observed - 160.0).abs() < 5.0 && (expected - 100.0).abs() < 3.0);
    assert!(normal.low < 99.0 && normal.high > 101.0 && !normal.contains(observed));
    assert!(report.severity > 4.0);
    let during = told
        .iter()
        .filter(|(i, r)| (2000..2030).contains(i) && r.anomaly.is_some());
    assert_eq!(during.count(), 1);
}

#[test]
fn a_move_to_another_level_is_a_change_point_with_its_begin_and_levels() {
    let mut noise = Noise::new(3);
    let values: Vec<f64> = (0..4000)
        .map(|i| noise.autoregressive(0.5) + if i >= 3000 { 18.0 } else { 10.0 })
        .collect();
    let told = told(values);
    let changes: Vec<_> = told
        .iter()
        .filter_map(|(i, r)| Some((i, r.change_point.as_ref()?)))
        .collect();
    assert_eq!(changes.len(), 1, "{changes:?}");
    let FindingKind::ChangePoint {
        since_ms,
        before,
        after,
    } = changes[0].1.what
    else {
        panic!("a change point, not {:?}", changes[0].1.what)
    };
    assert!(
        (since_ms / MINUTE_MS - 3000).abs() <= 16,
        "began at {}",
        since_ms / MINUTE_MS
    );
    assert!(
        (before - 10.0).abs() < 1.0 && (after - 18.0).abs() < 1.0,
        "{before} -> {after}"
    );
    assert!(*changes[0].0 < 3200, "noticed at {}", changes[0].0);
}

#[test]
fn constant_rare_and_tiny_discrete_series_are_left_alone() {
    assert_eq!(told((0..20_000).map(|_| 42.0)), []);
    assert_eq!(
        anomalies((0..20_000).map(|i| f64::from(u8::from(i % 5000 == 4999)))),
        0
    );
    let mut noise = Noise::new(5);
    let staircase = anomalies((0..20_000).map(|_| 3.0 + (noise.uniform() * 1.02).floor()));
    assert!(
        staircase <= 2,
        "{staircase} incidents on a two-valued series of two weeks"
    );
}

#[test]
fn nothing_is_told_before_the_minimum_history() {
    let mut noise = Noise::new(1);
    let values = (0..150).map(|i| if i % 40 == 39 { 1e6 } else { noise.gauss() });
    assert_eq!(told(values), []);
}

#[test]
fn a_daily_peak_is_surprising_once_it_comes_at_the_wrong_hour() {
    let mut noise = Noise::new(11);
    let mut usual = |i: i64| {
        let peak = if (540..560).contains(&(i % 1440)) {
            50.0
        } else {
            0.0
        };
        100.0 + peak + noise.gauss()
    };
    let days = 21;
    let mut values: Vec<f64> = (0..days * 1440).map(&mut usual).collect();
    let wrong = (days - 1) * 1440 + 1000;
    values[wrong as usize..wrong as usize + 20]
        .iter_mut()
        .for_each(|v| *v += 50.0);
    let told = told(values);
    assert!(told.iter().any(|(i, r)| *i == wrong && r.anomaly.is_some()));
    let last_week = told
        .iter()
        .filter(|(i, r)| *i > (days - 7) * 1440 && r.anomaly.is_some());
    let last_week = last_week.count();
    assert!(
        last_week <= 2,
        "{last_week} incidents: the peaks at the right hour are none"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The score of a moment must not change when the future is deleted.
    #[test]
    fn the_past_is_judged_the_same_whatever_follows(
        seed in 0_u64..1000,
        cut in 1_usize..2500,
        wild in prop::collection::vec(prop::num::f64::NORMAL, 0..40),
    ) {
        let mut noise = Noise::new(seed);
        let mut values: Vec<f64> = (0..2500).map(|_| noise.autoregressive(0.9)).collect();
        let judge = |values: &[f64]| -> Vec<(u32, Reports)> {
            let (config, mut detector) = (Config::default(), Detector::new());
            (0_i64..).zip(values).map(|(i, v)| {
                let reports = detector.observe(i * 1000, *v, &config);
                (detector.severity().to_bits(), reports)
            }).collect()
        };
        let whole = judge(&values);
        values.truncate(cut);
        values.extend(wild);
        prop_assert_eq!(&judge(&values)[..cut], &whole[..cut]);
    }

    /// Any finite values: no panic, no NaN, severities within their range.
    #[test]
    fn severities_are_finite_whatever_comes(
        values in prop::collection::vec(
            prop_oneof![
                Just(0.0), -1.0..1.0, Just(f64::MAX), Just(f64::MIN), Just(f64::MIN_POSITIVE),
                prop::num::f64::NORMAL,
            ],
            0..400,
        ),
        steps in prop::collection::vec(1_i64..100_000, 400),
    ) {
        let (config, mut detector, mut time) = (Config::default(), Detector::new(), 0);
        for (value, step) in values.into_iter().zip(steps) {
            time += step;
            detector.observe(time, value, &config);
            prop_assert!((0.0..=30.0).contains(&detector.severity()));
        }
    }
}
