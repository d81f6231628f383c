//! False alarms on series in which nothing happens, per metric and week.

use analyze::{Config, detector::Detector};

/// How much of each kind.
struct Extent {
    interval_ms: i64,
    series: u64,
    weeks: i64,
}

const EXTENTS: [Extent; 2] = [
    Extent {
        interval_ms: 60_000,
        series: 20,
        weeks: 20,
    },
    Extent {
        interval_ms: 1000,
        series: 6,
        weeks: 1,
    },
];

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
    for extent in EXTENTS {
        println!("a point every {} s:", extent.interval_ms / 1000);
        for (name, draw) in kinds {
            print_rates(name, draw, &extent);
        }
    }
}

fn print_rates(name: &str, draw: fn(&mut State) -> f64, extent: &Extent) {
    let counts: Vec<(u32, u32)> = (0..extent.series).map(|s| count(draw, s, extent)).collect();
    let metric_weeks = (extent.series as i64 * extent.weeks) as f64;
    let anomalies: u32 = counts.iter().map(|c| c.0).sum();
    let shifts: u32 = counts.iter().map(|c| c.1).sum();
    let worst = counts.iter().map(|c| c.0).max().unwrap_or(0);
    println!(
        "{name:13} false anomalies/metric/week {:.2} (worst metric {:.2})  false change points {:.2}",
        f64::from(anomalies) / metric_weeks,
        f64::from(worst) / extent.weeks as f64,
        f64::from(shifts) / metric_weeks
    );
}

fn count(draw: fn(&mut State) -> f64, seed: u64, extent: &Extent) -> (u32, u32) {
    let config = Config::default();
    let (mut detector, mut state) = (Detector::new(), State::new(seed));
    let (mut anomalies, mut shifts, mut time) = (0, 0, 0);
    while time < extent.weeks * 604_800_000 {
        time += extent.interval_ms;
        state.time_ms = time;
        let told = detector.observe(time, draw(&mut state), &config);
        anomalies += u32::from(told.anomaly.is_some());
        shifts += u32::from(told.change_point.is_some());
    }
    (anomalies, shifts)
}

/// A generator of one series.
pub(crate) struct State {
    bits: u64,
    last: f64,
    time_ms: i64,
}

impl State {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            bits: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            last: 0.0,
            time_ms: 0,
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
        let day = self.time_ms as f64 / 86_400_000.0;
        10.0 + 5.0 * (std::f64::consts::TAU * day).sin() + self.ar(0.5) * 0.3
    }
}
