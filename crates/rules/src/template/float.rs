//! Floats as Go's `strconv` and `fmt` write them: `%e`, `%f`, `%g`, and the shortest `%v`.

/// As `%v` writes a float: the fewest digits that read back the same; with an exponent below
/// 1e-4 and from 1e6 on.
#[must_use]
pub fn shortest(value: f64) -> String {
    if let Some(text) = not_finite(value) {
        return text.to_owned();
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').expect("Rust writes an exponent");
    let exponent: i32 = exponent.parse().expect("Rust writes a number");
    let is_zero = value == 0.0;
    if !is_zero && !(-4..EXPONENT_FROM).contains(&exponent) {
        return with_exponent(mantissa, exponent);
    }
    format!("{value}")
}

/// As `strconv.FormatFloat(v, 'e', -1, 64)` writes a float: `1e+00`.
#[must_use]
pub fn exponential(value: f64) -> String {
    if let Some(text) = not_finite(value) {
        return text.to_owned();
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').expect("Rust writes an exponent");
    with_exponent(mantissa, exponent.parse().expect("Rust writes a number"))
}

/// Exponent from which `%v` and `%g` without precision write one: they decide as if six digits
/// had been asked for.
const EXPONENT_FROM: i32 = 6;

/// `NaN`, `+Inf`, `-Inf`.
pub(super) fn not_finite(value: f64) -> Option<&'static str> {
    match value {
        v if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

/// `%.{precision}e`
pub(super) fn scientific(value: f64, precision: usize) -> String {
    if let Some(text) = not_finite(value) {
        return text.to_owned();
    }
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').expect("Rust writes an exponent");
    with_exponent(mantissa, exponent.parse().expect("Rust writes a number"))
}

/// `%.{precision}f`
pub(super) fn fixed(value: f64, precision: usize) -> String {
    match not_finite(value) {
        Some(text) => text.to_owned(),
        None => format!("{value:.precision$}"),
    }
}

/// `%.{precision}g`: so many digits that count, without trailing zeros.
pub(super) fn general(value: f64, precision: usize) -> String {
    if let Some(text) = not_finite(value) {
        return text.to_owned();
    }
    let precision = precision.max(1);
    let text = scientific(value, precision - 1);
    let (mantissa, exponent) = text.split_once('e').expect("written above");
    let exponent: i32 = exponent.parse().expect("written above");
    let trimmed = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    let most = i32::try_from(precision).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= most {
        return with_exponent(trimmed, exponent);
    }
    let decimals = usize::try_from(most - 1 - exponent).unwrap_or(0);
    let plain = format!("{value:.decimals$}");
    if plain.contains('.') {
        plain.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        plain
    }
}

fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}
