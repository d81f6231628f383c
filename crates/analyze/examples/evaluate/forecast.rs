//! Time to threshold on synthetic series with known truth, with noise, a change of slope, or
//! clean-ups; and how often a trend is seen where there is none.

use analyze::forecast::{Toward, exhaustion};
use numerics::{regress, summary};

use crate::noise::{Draw, State};

const SERIES: u64 = 400;
const POINTS: usize = 360;
const MINUTE_MS: i64 = 60_000;

/// A kind of series: its trend by point, and its noise.
type Kind = (&'static str, fn(f64) -> f64, fn(&mut State) -> f64);

pub(crate) fn evaluate() {
    let kinds: [Kind; 5] = [
        ("ramp, white noise", |t| t, |s| 10.0 * s.gauss()),
        ("ramp, AR(1) 0.8", |t| t, |s| 6.0 * s.ar(0.8)),
        (
            "slope changes",
            |t| 0.2 * t + (t - 200.0).max(0.0),
            |s| 4.0 * s.gauss(),
        ),
        (
            "clean-ups",
            |t| t - if t > 150.0 { 120.0 } else { 0.0 },
            |s| 4.0 * s.gauss(),
        ),
        (
            "spikes",
            |t| t,
            |s| {
                if s.uniform() < 0.05 {
                    200.0
                } else {
                    4.0 * s.gauss()
                }
            },
        ),
    ];
    for kind in kinds {
        print_errors(kind);
    }
    let flats: [Draw; 3] = [
        ("flat, white", |s| s.gauss()),
        ("flat, AR(1) 0.9", |s| s.ar(0.9)),
        ("random walk", |s| s.ar(1.0)),
    ];
    for (name, draw) in flats {
        let told = (0..SERIES).filter(|seed| {
            let mut state = State::new(*seed);
            let values: Vec<f64> = (0..POINTS).map(|_| draw(&mut state)).collect();
            let times: Vec<i64> = (0..POINTS as i64).map(|t| t * MINUTE_MS).collect();
            let bound = values[POINTS - 1] + 3.0 * summary::std_dev(&values).expect("values");
            exhaustion(&times, &values, bound, Toward::Above, times[POINTS - 1]).is_some()
        });
        println!("{name:20} forecasts of {SERIES}: {}", told.count());
    }
}

fn print_errors((name, trend, noise): Kind) {
    let times: Vec<i64> = (0..POINTS as i64).map(|t| t * MINUTE_MS).collect();
    let now = (POINTS - 1) as f64;
    let slope = trend(now) - trend(now - 1.0);
    let (mut ours, mut plain, mut inside) = (Vec::new(), Vec::new(), 0);
    for seed in 0..SERIES {
        let mut state = State::new(seed);
        let values: Vec<f64> = (0..POINTS)
            .map(|t| trend(t as f64) + noise(&mut state))
            .collect();
        // Between a tenth of the history and twice as far away.
        let truth = now * (0.1 + 1.9 * state.uniform());
        let bound = trend(now) + slope * truth;
        let x: Vec<f64> = (0..POINTS).map(|t| t as f64 - now).collect();
        let line = regress::least_squares(&x, &values).expect("points");
        plain.push(((bound - line.intercept) / line.slope / truth - 1.0).abs());
        if let Some(c) = exhaustion(&times, &values, bound, Toward::Above, times[POINTS - 1]) {
            ours.push((c.seconds / 60.0 / truth - 1.0).abs());
            inside += usize::from(c.interval.contains(truth * 60.0));
        }
    }
    let within = |errors: &[f64]| {
        100.0 * errors.iter().filter(|e| **e <= 0.2).count() as f64 / SERIES as f64
    };
    let median = |errors: &[f64]| 100.0 * summary::median(errors).unwrap_or(f64::NAN);
    println!(
        "{name:20} told {:3.0} %  median error {:4.1} %  within 20 % {:3.0} %  80 % interval holds {:3.0} %   least squares: {:4.1} %, {:3.0} %",
        100.0 * ours.len() as f64 / SERIES as f64,
        median(&ours),
        within(&ours),
        100.0 * inside as f64 / ours.len().max(1) as f64,
        median(&plain),
        within(&plain),
    );
}
