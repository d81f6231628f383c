//! False alarms on series in which nothing happens: per metric and week of points a minute.

use analyze::{Config, detector::Detector};

/// Series of each kind, and their length: 20 weeks at one point a minute.
const SERIES: u64 = 20;
const POINTS: i64 = 20 * 7 * 1440;
const WEEKS: f64 = 20.0;

/// A kind of noise by name.
pub(crate) type Draw = (&'static str, fn(&mut State) -> f64);

pub(crate) fn evaluate() {
    let kinds: [Draw; 9] = [
        ("Gaussian", |s| s.gauss()),
        ("AR(1) 0.9", |s| s.ar(0.9)),
        ("AR(1) 0.99", |s| s.ar(0.99)),
        ("Student t3", |s| s.student(3)),
        ("log-normal", |s| s.gauss().exp()),
        ("random walk", |s| s.ar(1.0)),
        ("Poisson 0.05", |s| s.poisson(0.05)),
        ("Poisson 3", |s| s.poisson(3.0)),
        ("daily cycle", |s| s.daily()),
    ];
    for (name, draw) in kinds {
        let (mut anomalies, mut shifts, mut worst) = (0, 0, 0);
        for seed in 0..SERIES {
            let (a, c) = count(draw, seed);
            anomalies += a;
            shifts += c;
            worst = worst.max(a);
        }
        let per = SERIES as f64 * WEEKS;
        println!(
            "{name:13} false anomalies/metric/week {:.2} (worst metric {:.2})  false change points {:.2}",
            f64::from(anomalies) / per,
            f64::from(worst) / WEEKS,
            f64::from(shifts) / per
        );
    }
}

fn count(draw: fn(&mut State) -> f64, seed: u64) -> (u32, u32) {
    let config = Config::default();
    let (mut detector, mut state) = (Detector::new(), State::new(seed));
    let (mut anomalies, mut shifts) = (0, 0);
    for minute in 0..POINTS {
        state.minute = minute;
        let told = detector.observe(minute * 60_000, draw(&mut state), &config);
        anomalies += u32::from(told.anomaly.is_some());
        shifts += u32::from(told.change_point.is_some());
    }
    (anomalies, shifts)
}

/// A generator of one series.
pub(crate) struct State {
    bits: u64,
    last: f64,
    minute: i64,
}

impl State {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            bits: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            last: 0.0,
            minute: 0,
        }
    }

    /// SplitMix64, as a number in (0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        self.bits = self.bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.bits;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    /// Box-Muller.
    pub(crate) fn gauss(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    pub(crate) fn ar(&mut self, phi: f64) -> f64 {
        self.last = self.last * phi + self.gauss();
        self.last
    }

    fn student(&mut self, freedom: u32) -> f64 {
        let square: f64 = (0..freedom).map(|_| self.gauss().powi(2)).sum();
        self.gauss() / (square / f64::from(freedom)).sqrt()
    }

    fn poisson(&mut self, mean: f64) -> f64 {
        let (mut product, mut count) = (self.uniform(), 0.0);
        while product > (-mean).exp() {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }

    fn daily(&mut self) -> f64 {
        let day = self.minute as f64 / 1440.0;
        10.0 + 5.0 * (std::f64::consts::TAU * day).sin() + self.ar(0.5) * 0.3
    }
}
