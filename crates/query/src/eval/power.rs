//! `^` as Go's `math.Pow` computes it for whole exponents: by repeated squaring of the fraction,
//! with the exponent apart (H. Cohen, A Course in Computational Algebraic Number Theory, 1.2.1).
//! It is less exact than the C library, and Prometheus's: `10 ^ 100 % 10` is 0.

/// Exponents beyond this are no sequence of squarings any more: the result has long left the
/// numbers there are.
const EXPONENT_MAX: f64 = (1_u64 << 53) as f64;

/// `x` to the power of `y`.
pub(super) fn power(x: f64, y: f64) -> f64 {
    let is_plain = x.is_finite() && x != 0.0 && y.fract() == 0.0 && y.abs() <= EXPONENT_MAX;
    if is_plain { whole(x, y) } else { x.powf(y) }
}

fn whole(x: f64, y: f64) -> f64 {
    let (mut square, mut square_exponent) = split(x);
    let (mut result, mut exponent) = (1.0, 0_i64);
    let mut rest = y.abs() as u64;
    while rest != 0 {
        if square_exponent.abs() > 1 << 12 {
            // Over- or underflow, whatever the fraction.
            exponent += square_exponent;
            break;
        }
        if rest & 1 == 1 {
            result *= square;
            exponent += square_exponent;
        }
        square *= square;
        square_exponent <<= 1;
        if square < 0.5 {
            square += square;
            square_exponent -= 1;
        }
        rest >>= 1;
    }
    if y < 0.0 {
        (result, exponent) = (1.0 / result, -exponent);
    }
    scaled(result, exponent)
}

/// A number as a fraction, from 0.5 up to but not including 1, times a power of two.
fn split(x: f64) -> (f64, i64) {
    /// Makes numbers below the least normal one normal.
    const UP: i64 = 64;
    if x.abs() < f64::MIN_POSITIVE {
        let (fraction, exponent) = split(x * (UP as f64).exp2());
        return (fraction, exponent - UP);
    }
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff).cast_signed() - 1022;
    (f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52), exponent)
}

/// `fraction` times two to the power of `exponent`, rounded once.
fn scaled(fraction: f64, exponent: i64) -> f64 {
    let (fraction, more) = split(fraction);
    let exponent = exponent.saturating_add(more);
    let two_to = |n: i64| (n as f64).exp2();
    match exponent {
        1025.. => fraction * f64::INFINITY,
        ..-1080 => fraction * 0.0,
        // The last step is the only one that leaves the normal numbers.
        -1080..-1021 => fraction * two_to(-1000) * two_to(exponent + 1000),
        _ => fraction * 2.0 * two_to(exponent - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_powers_are_those_of_go() {
        assert_eq!(power(2.0, 10.0), 1024.0);
        assert_eq!(power(-2.0, 3.0), -8.0);
        assert_eq!(power(4.0, -1.0), 0.25);
        assert_eq!(power(10.0, 100.0) % 10.0, 0.0);
        assert_eq!(power(2.0, 1023.0), 2.0_f64.powi(1023));
        assert_eq!(power(2.0, 1024.0), f64::INFINITY);
        assert_eq!(power(-2.0, 1025.0), f64::NEG_INFINITY);
        assert_eq!(power(2.0, -1074.0), f64::from_bits(1));
        assert_eq!(power(2.0, -1076.0), 0.0);
        assert_eq!(power(f64::from_bits(1), 1.0), f64::from_bits(1));
        assert_eq!(power(-1.0, 9_007_199_254_740_991.0), -1.0);
        assert_eq!(power(1.0, 1e300), 1.0);
        assert_eq!(power(7.5, 0.0), 1.0);
    }

    #[test]
    fn other_powers_are_as_ieee_754_has_them() {
        assert_eq!(power(4.0, 0.5), 2.0);
        assert!(power(-4.0, 0.5).is_nan());
        assert_eq!(power(f64::NAN, 0.0), 1.0);
        assert_eq!(power(0.0, -1.0), f64::INFINITY);
        assert_eq!(power(f64::NEG_INFINITY, 3.0), f64::NEG_INFINITY);
    }
}
