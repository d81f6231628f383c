//! Distribution functions and their inverses.
//!
//! Built on two special functions: the regularised incomplete gamma (series and continued
//! fraction) and the regularised incomplete beta (continued fraction, modified Lentz), after
//! Abramowitz and Stegun, "Handbook of Mathematical Functions", 6.5 and 26.5. The normal quantile
//! is Wichura's AS 241 (1988). Known answers: Φ(1.96) = 0.975002, t₁₀(2.228139) = 0.975.

use std::f64::consts::{LN_2, PI, SQRT_2};

/// Most terms of a series or fraction; all of them converge long before.
const TERMS_MAX: usize = 10_000;
/// Keeps the denominators of a continued fraction away from zero.
const TINY: f64 = 1e-300;
/// ln √(2π).
const LN_SQRT_TAU: f64 = 0.918_938_533_204_672_7;

/// Logarithm of the gamma function for x > 0 (Lanczos, g = 7, nine terms); relative error about
/// 1e-15.
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        // Reflection.
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let series: f64 = COEFFICIENTS
        .iter()
        .enumerate()
        .map(|(i, c)| c / (x + i as f64 + 1.0))
        .sum();
    let t = x + 7.5;
    LN_SQRT_TAU + (x + 0.5) * t.ln() - t + (0.999_999_999_999_809_9 + series).ln()
}

/// Regularised lower incomplete gamma P(a, x), a > 0, x >= 0.
#[must_use]
pub fn gamma_p(a: f64, x: f64) -> f64 {
    if x < a + 1.0 {
        gamma_series(a, x)
    } else {
        1.0 - gamma_fraction(a, x)
    }
}

/// Regularised upper incomplete gamma Q(a, x) = 1 - P(a, x), accurate in its far tail.
#[must_use]
pub fn gamma_q(a: f64, x: f64) -> f64 {
    if x < a + 1.0 {
        1.0 - gamma_series(a, x)
    } else {
        gamma_fraction(a, x)
    }
}

fn gamma_series(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let mut term = 1.0 / a;
    let mut total = term;
    for n in 1..TERMS_MAX {
        term *= x / (a + n as f64);
        total += term;
        if term < total * f64::EPSILON {
            break;
        }
    }
    total * (a * x.ln() - x - ln_gamma(a)).exp()
}

fn gamma_fraction(a: f64, x: f64) -> f64 {
    if x.is_infinite() {
        return 0.0;
    }
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..TERMS_MAX {
        let an = -(i as f64) * (i as f64 - a);
        b += 2.0;
        d = 1.0 / away_from_zero(an * d + b);
        c = away_from_zero(b + an / c);
        h *= c * d;
        if (c * d - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    h * (a * x.ln() - x - ln_gamma(a)).exp()
}

/// Regularised incomplete beta I_x(a, b), a and b > 0, x in [0, 1].
#[must_use]
pub fn beta_inc(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p();
    if x < (a + 1.0) / (a + b + 2.0) {
        front.exp() * beta_fraction(a, b, x) / a
    } else {
        1.0 - front.exp() * beta_fraction(b, a, 1.0 - x) / b
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for m in 1..TERMS_MAX {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + term * d);
            c = away_from_zero(1.0 + term / c);
            change = c * d;
            h *= change;
        }
        if (change - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    h
}

fn away_from_zero(x: f64) -> f64 {
    if x.abs() < TINY { TINY } else { x }
}

/// Complementary error function, accurate in both tails.
#[must_use]
pub fn erfc(x: f64) -> f64 {
    let tail = gamma_q(0.5, x * x);
    if x >= 0.0 { tail } else { 2.0 - tail }
}

/// Density of the standard normal.
#[must_use]
pub fn normal_pdf(z: f64) -> f64 {
    (-0.5 * z * z - LN_SQRT_TAU).exp()
}

/// P(Z <= z) for a standard normal Z, accurate in the lower tail.
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * erfc(-z / SQRT_2)
}

/// Logarithm of [`normal_cdf`]; finite also where the probability itself underflows.
#[must_use]
pub fn normal_ln_cdf(z: f64) -> f64 {
    if z > -30.0 {
        return normal_cdf(z).ln();
    }
    // Asymptotic series of Mills' ratio (Abramowitz and Stegun 26.2.12).
    let r = 1.0 / (z * z);
    let mills = 1.0 - r * (1.0 - 3.0 * r * (1.0 - 5.0 * r * (1.0 - 7.0 * r)));
    -0.5 * z * z - LN_SQRT_TAU - (-z).ln() + mills.ln()
}

/// The z with P(Z <= z) = p; infinite at 0 and 1, NaN outside.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        return q * ratio(0.180_625 - q * q, &CENTRE_A, &CENTRE_B);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    if tail <= 0.0 {
        return f64::INFINITY.copysign(q);
    }
    let r = (-tail.ln()).sqrt();
    let size = if r <= 5.0 {
        ratio(r - 1.6, &MIDDLE_A, &MIDDLE_B)
    } else {
        ratio(r - 5.0, &FAR_A, &FAR_B)
    };
    size.copysign(q)
}

fn ratio(x: f64, above: &[f64; 8], below: &[f64; 8]) -> f64 {
    let polynomial = |c: &[f64; 8]| c.iter().rev().fold(0.0, |sum, c| sum * x + c);
    polynomial(above) / polynomial(below)
}

const CENTRE_A: [f64; 8] = [
    3.387_132_872_796_366_5,
    1.331_416_678_917_843_8e2,
    1.971_590_950_306_551_3e3,
    1.373_169_376_550_946e4,
    4.592_195_393_154_987e4,
    6.726_577_092_700_87e4,
    3.343_057_558_358_813e4,
    2.509_080_928_730_122_7e3,
];
const CENTRE_B: [f64; 8] = [
    1.0,
    4.231_333_070_160_091e1,
    6.871_870_074_920_579e2,
    5.394_196_021_424_751e3,
    2.121_379_430_158_659_7e4,
    3.930_789_580_009_271e4,
    2.872_908_573_572_194_3e4,
    5.226_495_278_852_854e3,
];
const MIDDLE_A: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    2.417_807_251_774_506e-1,
    2.272_384_498_926_918_4e-2,
    7.745_450_142_783_414e-4,
];
const MIDDLE_B: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    6.897_673_349_851e-1,
    1.481_039_764_274_800_8e-1,
    1.519_866_656_361_645_7e-2,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];
const FAR_A: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    2.965_605_718_285_048_7e-1,
    2.653_218_952_657_612_4e-2,
    1.242_660_947_388_078_4e-3,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];
const FAR_B: [f64; 8] = [
    1.0,
    5.998_322_065_558_88e-1,
    1.369_298_809_227_358e-1,
    1.487_536_129_085_061_5e-2,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];

/// P(T <= t) for Student's t with `df` > 0 degrees of freedom.
#[must_use]
pub fn student_t_cdf(t: f64, df: f64) -> f64 {
    let tail = 0.5 * beta_inc(df / 2.0, 0.5, df / (df + t * t));
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// The t with P(T <= t) = p, for p in (0, 1).
#[must_use]
pub fn student_t_quantile(p: f64, df: f64) -> f64 {
    if p > 0.5 {
        return -student_t_quantile(1.0 - p, df);
    }
    // The normal is a bound for the lower tail's size; double until the root is enclosed.
    let mut low = normal_quantile(p).min(-1.0);
    while low.is_finite() && student_t_cdf(low, df) > p {
        low *= 2.0;
    }
    bisect(low, 0.0, |t| student_t_cdf(t, df) < p)
}

/// P(X <= x) for a chi-square with `df` > 0 degrees of freedom.
#[must_use]
pub fn chi_square_cdf(x: f64, df: f64) -> f64 {
    gamma_p(df / 2.0, x.max(0.0) / 2.0)
}

/// The x with P(X <= x) = p, for p in [0, 1).
#[must_use]
pub fn chi_square_quantile(p: f64, df: f64) -> f64 {
    let mut high = df.max(1.0);
    while high.is_finite() && chi_square_cdf(high, df) < p {
        high *= 2.0;
    }
    bisect(0.0, high, |x| chi_square_cdf(x, df) < p)
}

/// P(X <= k) for a binomial of `n` trials with probability `p`.
#[must_use]
pub fn binomial_cdf(k: u64, n: u64, p: f64) -> f64 {
    if k >= n {
        1.0
    } else {
        beta_inc((n - k) as f64, k as f64 + 1.0, 1.0 - p)
    }
}

/// Where `below` turns from true to false between `low` and `high`, to the last bit or so.
#[must_use]
pub fn bisect(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    // 200 halvings exhaust a double, also near zero.
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// ln Σ exp(xᵢ) without overflow; -∞ for no terms.
#[must_use]
pub fn log_sum_exp(terms: &[f64]) -> f64 {
    let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top.is_infinite() {
        return top;
    }
    top + terms.iter().map(|x| (x - top).exp()).sum::<f64>().ln()
}

/// ln(1 - eˣ) for x < 0, accurate near both ends (Mächler 2012).
#[must_use]
pub fn ln_1m_exp(x: f64) -> f64 {
    if x > -LN_2 {
        (-x.exp_m1()).ln()
    } else {
        (-x.exp()).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, wanted: f64, relative: f64) {
        assert!(
            (got - wanted).abs() <= relative * wanted.abs(),
            "{got}, wanted {wanted}"
        );
    }

    #[test]
    fn gamma_functions_meet_their_closed_forms() {
        let mut factorial: f64 = 1.0;
        for n in 1..20 {
            factorial *= f64::from(n);
            close(ln_gamma(f64::from(n) + 1.0).exp(), factorial, 1e-13);
        }
        close(ln_gamma(0.5), PI.sqrt().ln(), 1e-14);
        close(ln_gamma(0.1), 2.252_712_651_734_206, 1e-14);
        for x in [0.01, 0.5, 1.0, 3.0, 20.0] {
            close(gamma_p(1.0, x), -f64::exp_m1(-x), 1e-13);
            close(gamma_q(2.0, x), (1.0 + x) * (-x).exp(), 1e-13);
            close(beta_inc(2.0, 1.0, x / 21.0), (x / 21.0).powi(2), 1e-13);
        }
    }

    #[test]
    fn normal_meets_the_published_tables() {
        // Abramowitz and Stegun, tables 26.1 and 26.2, and the tail at -8 and -20.
        for (z, p) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_543),
            (1.96, 0.975_002_104_851_780),
            (3.0, 0.998_650_101_968_370),
            (-8.0, 6.220_960_574_271_785e-16),
            (-20.0, 2.753_624_118_606_233_7e-89),
        ] {
            close(normal_cdf(z), p, 1e-12);
            close(normal_ln_cdf(z), p.ln(), 1e-11);
        }
        close(
            normal_ln_cdf(-30.000_001),
            normal_cdf(-30.000_001).ln(),
            1e-12,
        );
        close(normal_ln_cdf(-50.0), -1_254.831_361_139_42, 1e-13);
        close(normal_pdf(1.0), 0.241_970_724_519_143, 1e-14);
        close(erfc(1.0), 0.157_299_207_050_285, 1e-13);
        for (p, z) in [
            (0.975, 1.959_963_984_540_054),
            (0.999, 3.090_232_306_167_814),
            (0.25, -0.674_489_750_196_082),
            (1e-10, -6.361_340_902_404_056),
            (1e-20, -9.262_340_089_798_408),
        ] {
            close(normal_quantile(p), z, 1e-13);
        }
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert!(normal_quantile(1.1).is_nan());
    }

    #[test]
    fn quantiles_meet_the_published_tables() {
        // Student's t, one-sided; chi-square: the tables printed in every textbook, six digits.
        for (p, df, t) in [
            (0.975, 1.0, 12.706_205),
            (0.975, 10.0, 2.228_139),
            (0.99, 4.0, 3.746_947),
            (0.95, 30.0, 1.697_261),
            (0.005, 5.0, -4.032_143),
        ] {
            close(student_t_quantile(p, df), t, 1e-6);
            close(student_t_cdf(t, df), p, 1e-6);
        }
        for (p, df, x) in [
            (0.95, 1.0, 3.841_459),
            (0.99, 10.0, 23.209_251),
            (0.05, 5.0, 1.145_476),
            (0.999, 6.0, 22.457_745),
        ] {
            close(chi_square_quantile(p, df), x, 1e-6);
            close(chi_square_cdf(x, df), p, 1e-6);
        }
        close(binomial_cdf(2, 5, 0.3), 0.836_92, 1e-12);
        close(binomial_cdf(5, 5, 0.3), 1.0, 0.0);
    }

    #[test]
    fn logarithms_of_sums_do_not_overflow() {
        close(log_sum_exp(&[1_000.0, 1_000.0]), 1_000.0 + LN_2, 1e-15);
        assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
        close(ln_1m_exp(-1e-10), (1e-10f64).ln(), 1e-9);
        close(ln_1m_exp(-50.0), -(-50.0f64).exp(), 1e-12);
    }
}
