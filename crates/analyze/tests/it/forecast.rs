//! When a bound is reached: known truth, and silence where there is none.

use analyze::forecast::{Crossing, Toward, exhaustion};

use crate::noise::Noise;

const MINUTE_MS: i64 = 60_000;

/// Six hours, a point a minute, judged at the last point.
fn forecast(values: &[f64], threshold: f64, toward: Toward) -> Option<Crossing> {
    let times: Vec<i64> = (0..values.len() as i64).map(|i| i * MINUTE_MS).collect();
    exhaustion(&times, values, threshold, toward, *times.last()?)
}

#[test]
fn a_noisy_ramp_is_foretold_within_its_interval() {
    let (mut close, mut inside) = (0, 0);
    for seed in 0..200 {
        let mut noise = Noise::new(seed);
        let values: Vec<f64> = (0..360)
            .map(|i| f64::from(i) * 0.1 + noise.autoregressive(0.5))
            .collect();
        let truth = (60.0 - 35.9) / 0.1 * 60.0;
        let crossing = forecast(&values, 60.0, Toward::Above).expect("a clear trend");
        close += usize::from((crossing.seconds / truth - 1.0).abs() < 0.2);
        inside += usize::from(crossing.interval.contains(truth));
    }
    assert!(close >= 195, "within 20 %: {close} of 200");
    assert!(
        (140..=190).contains(&inside),
        "an 80 % interval held {inside} of 200"
    );
}

#[test]
fn falling_memory_is_foretold_as_rising_use_is() {
    let values: Vec<f64> = (0..360).map(|i| 1000.0 - f64::from(i)).collect();
    let crossing = forecast(&values, 400.0, Toward::Below).expect("a clear trend");
    assert!(
        (crossing.seconds / 60.0 - 241.0).abs() < 2.0,
        "{crossing:?}"
    );
}

#[test]
fn a_clean_up_does_not_hide_the_growth() {
    let mut noise = Noise::new(4);
    let values: Vec<f64> = (0..360)
        .map(|i| 100.0 + f64::from(i) * 0.5 + noise.gauss() - if i >= 250 { 90.0 } else { 0.0 })
        .collect();
    let crossing = forecast(&values, 300.0, Toward::Above).expect("growth goes on");
    let truth = (300.0 - (100.0 + 359.0 * 0.5 - 90.0)) / 0.5 * 60.0;
    assert!(
        (crossing.seconds / truth - 1.0).abs() < 0.1,
        "{crossing:?}, truth {truth}"
    );
}

#[test]
fn a_new_slope_replaces_the_old_one() {
    let mut noise = Noise::new(6);
    let values: Vec<f64> = (0..360)
        .map(|i| f64::from(i) * 0.05 + f64::from((i - 200).max(0)) + noise.gauss())
        .collect();
    let crossing = forecast(&values, 400.0, Toward::Above).expect("a clear trend");
    let truth = (400.0 - (359.0 * 0.05 + 159.0)) / 1.05 * 60.0;
    assert!(
        (crossing.seconds / truth - 1.0).abs() < 0.1,
        "{crossing:?}, truth {truth}"
    );
}

#[test]
fn regular_clean_ups_that_keep_the_bound_away_give_no_forecast() {
    let values: Vec<f64> = (0..360).map(|i| 100.0 + f64::from(i % 60)).collect();
    assert_eq!(forecast(&values, 250.0, Toward::Above), None);
}

#[test]
fn no_trend_no_forecast() {
    let (mut flat, mut walk) = (0, 0);
    for seed in 0..200 {
        let mut noise = Noise::new(seed);
        let still: Vec<f64> = (0..360).map(|_| 50.0 + noise.autoregressive(0.8)).collect();
        flat += usize::from(forecast(&still, 55.0, Toward::Above).is_some());
        let mut noise = Noise::new(1000 + seed);
        let wandering: Vec<f64> = (0..360).map(|_| noise.autoregressive(1.0)).collect();
        let bound = wandering.last().expect("not empty") + 30.0;
        walk += usize::from(forecast(&wandering, bound, Toward::Above).is_some());
    }
    assert!(flat <= 4, "flat series with a forecast: {flat} of 200");
    assert!(walk <= 20, "random walks with a forecast: {walk} of 200");
}

#[test]
fn too_short_too_far_or_already_there_is_none() {
    let ramp: Vec<f64> = (0..360).map(f64::from).collect();
    assert_eq!(
        forecast(&ramp[..10], 400.0, Toward::Above),
        None,
        "ten points"
    );
    assert_eq!(
        forecast(&ramp, 359.0 * 5.0, Toward::Above),
        None,
        "four histories away"
    );
    assert_eq!(forecast(&ramp, 300.0, Toward::Above), None, "already there");
    assert_eq!(forecast(&ramp, -10.0, Toward::Below), None, "moving away");
    assert_eq!(exhaustion(&[], &[], 1.0, Toward::Above, 0), None);
    assert_eq!(forecast(&[f64::NAN; 100], 1.0, Toward::Above), None);
}
