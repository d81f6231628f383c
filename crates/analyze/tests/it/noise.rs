//! Seeded series for the tests.

/// A generator (SplitMix64); the same seed gives the same series.
pub(crate) struct Noise {
    bits: u64,
    last: f64,
}

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            bits: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            last: 0.0,
        }
    }

    /// In (0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        self.bits = self.bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.bits;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    /// Standard Gaussian (Box & Muller).
    pub(crate) fn gauss(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// The next value of an AR(1) with unit innovations.
    pub(crate) fn autoregressive(&mut self, phi: f64) -> f64 {
        self.last = phi * self.last + self.gauss();
        self.last
    }

    /// Student's t with three degrees of freedom.
    pub(crate) fn heavy(&mut self) -> f64 {
        let square: f64 = (0..3).map(|_| self.gauss().powi(2)).sum();
        self.gauss() / (square / 3.0).sqrt()
    }

    /// Poisson (Knuth).
    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        let (mut product, mut count) = (self.uniform(), 0.0);
        while product > (-mean).exp() {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }
}
