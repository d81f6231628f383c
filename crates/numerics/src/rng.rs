//! Seeded randomness: one stream per (seed, purpose, index), so that any draw can be repeated alone.
//!
//! The generator is xoshiro256++ (Blackman and Vigna, "Scrambled linear pseudorandom number
//! generators", ACM TOMS 2021), its state filled by SplitMix64 as its authors advise. Not for
//! secrets.

use std::f64::consts::TAU;

/// A seeded generator of pseudo-random numbers. Equal seeds give equal draws on every machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut mixer = seed;
        Self {
            state: std::array::from_fn(|_| split_mix(&mut mixer)),
        }
    }

    /// The stream of a seed, a purpose and an index, such as `stream(seed, &[TRIAL, 17])`. Streams
    /// of different paths are independent for all practical purposes.
    #[must_use]
    pub fn stream(seed: u64, path: &[u64]) -> Self {
        Self::new(hash(seed, path))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in (0, 1]: safe to take the logarithm of.
    pub fn uniform_above_zero(&mut self) -> f64 {
        1.0 - self.uniform()
    }

    /// Uniform in [low, high).
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in 0..n, without bias (Lemire, "Fast random integer generation in an interval",
    /// 2019). `n` must not be 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "a draw needs at least one outcome");
        let rejected = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= rejected {
                return (product >> 64) as u64;
            }
        }
    }

    /// Uniform index into a slice of this length, which must not be 0.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A fair coin.
    pub fn coin(&mut self) -> bool {
        self.next_u64() >> 63 == 1
    }

    /// True with the given probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Standard normal (Box and Muller 1958; both uniforms drawn anew each time, so that a draw
    /// depends on nothing but the state).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform_above_zero().ln()).sqrt();
        radius * (TAU * self.uniform()).cos()
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -self.uniform_above_zero().ln()
    }

    /// Gamma with the given shape (> 0) and scale 1 (Marsaglia and Tsang 2000).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = self.uniform_above_zero().powf(1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.uniform_above_zero().ln() < 0.5 * x * x + d * (1.0 - v + v.ln()) {
                return d * v;
            }
        }
    }

    /// Student's t with the given degrees of freedom (> 0); its variance is df / (df - 2).
    pub fn student_t(&mut self, df: f64) -> f64 {
        self.normal() / (2.0 * self.gamma(df / 2.0) / df).sqrt()
    }

    /// Puts the items in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

/// A hash of a seed and a path, good enough to seed independent streams.
#[must_use]
pub fn hash(seed: u64, path: &[u64]) -> u64 {
    let mut state = seed;
    let mut digest = split_mix(&mut state);
    for &step in path {
        state = digest ^ step.wrapping_mul(0xff51_afd7_ed55_8ccd);
        digest = split_mix(&mut state);
    }
    digest
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_gives_its_published_sequence() {
        // The reference program's first outputs for seed 1234567.
        let mut state = 1_234_567;
        let drawn: Vec<u64> = (0..3).map(|_| split_mix(&mut state)).collect();
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn xoshiro_gives_its_published_sequence() {
        // The reference program's first outputs for the state 1, 2, 3, 4.
        let mut rng = Rng {
            state: [1, 2, 3, 4],
        };
        let drawn: Vec<u64> = (0..4).map(|_| rng.next_u64()).collect();
        assert_eq!(
            drawn,
            [
                41_943_041,
                58_720_359,
                3_588_806_011_781_223,
                3_591_011_842_654_386
            ]
        );
    }

    #[test]
    fn streams_repeat_alone_and_differ_by_path() {
        let draw = |path: &[u64]| Rng::stream(7, path).next_u64();
        assert_eq!(draw(&[1, 2]), draw(&[1, 2]));
        let paths: [&[u64]; 5] = [&[], &[0], &[1, 2], &[2, 1], &[1, 2, 0]];
        let mut seen: Vec<u64> = paths.iter().map(|p| draw(p)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), paths.len());
    }

    fn moments(draw: impl Fn(&mut Rng) -> f64) -> (f64, f64) {
        let mut rng = Rng::new(3);
        let n = 200_000;
        let values: Vec<f64> = (0..n).map(|_| draw(&mut rng)).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n);
        (mean, var)
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        // Mean and variance known in closed form; tolerances are about five standard errors.
        for (mean, var, tolerance, (m, v)) in [
            (0.5, 1.0 / 12.0, 0.004, moments(Rng::uniform)),
            (0.0, 1.0, 0.02, moments(Rng::normal)),
            (1.0, 1.0, 0.04, moments(Rng::exponential)),
            (0.5, 0.5, 0.03, moments(|r| r.gamma(0.5))),
            (3.0, 3.0, 0.06, moments(|r| r.gamma(3.0))),
            (0.0, 10.0 / 8.0, 0.03, moments(|r| r.student_t(10.0))),
        ] {
            assert!((m - mean).abs() < tolerance, "mean {m}, wanted {mean}");
            assert!((v - var).abs() < tolerance, "variance {v}, wanted {var}");
        }
    }

    #[test]
    fn below_is_uniform_and_shuffle_keeps_every_item() {
        let mut rng = Rng::new(5);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[rng.index(7)] += 1;
        }
        // Chi-square with 6 degrees of freedom: 22.5 is the 0.999 quantile.
        let chi: f64 = counts
            .iter()
            .map(|&c| (f64::from(c) - 1e4).powi(2) / 1e4)
            .sum();
        assert!(chi < 22.5, "{counts:?}");
        let mut items: Vec<u32> = (0..50).collect();
        rng.shuffle(&mut items);
        assert!(!items.is_sorted());
        items.sort_unstable();
        assert!(items.iter().copied().eq(0..50));
    }
}
