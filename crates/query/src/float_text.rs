//! Floats as text, as Prometheus writes them: shortest digits that read back the same, never an
//! exponent (Go's format 'f' with precision -1). Digits come from Schubfach (Giulietti 2022).

/// A float as Prometheus's HTTP API writes it: `1.5`, `100000000000000000000`, `+Inf`, `NaN`.
#[must_use]
pub fn format_value(value: f64) -> String {
    let mut out = Vec::with_capacity(24);
    write_value(&mut out, value);
    String::from_utf8(out).expect("only ASCII was written")
}

/// Appends what [`format_value`] gives.
pub fn write_value(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.extend_from_slice(match value {
            v if v.is_nan() => b"NaN",
            v if v > 0.0 => b"+Inf",
            _ => b"-Inf",
        });
        return;
    }
    // Most samples are whole numbers: their digits are cheaper this way.
    let whole = value as i64;
    let size = value.abs();
    if size < 9e15 && whole as f64 == value && (whole != 0 || value.is_sign_positive()) {
        append(out, itoa::Buffer::new().format(whole).as_bytes());
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    // Far from where exponents begin there is none to look for.
    if !(1e-3..1e15).contains(&size) && text.contains('e') {
        positional(out, text);
    } else {
        let plain = text.strip_suffix(".0").unwrap_or(text);
        append(out, plain.as_bytes());
    }
}

/// Appends a text, which is short: two moves of fixed size that overlap are several times as fast
/// as a copy of any length.
#[inline]
fn append(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        16..=32 => in_two::<16, 32>(out, text),
        8..16 => in_two::<8, 16>(out, text),
        _ => out.extend_from_slice(text),
    }
}

/// Appends a text of at least `HALF` bytes and at most `WHOLE`, which is twice that.
#[inline]
fn in_two<const HALF: usize, const WHOLE: usize>(out: &mut Vec<u8>, text: &[u8]) {
    let (start, length) = (out.len(), text.len());
    out.extend_from_slice(&[0; WHOLE]);
    let place = &mut out[start..];
    place[..HALF].copy_from_slice(&text[..HALF]);
    place[length - HALF..length].copy_from_slice(&text[length - HALF..]);
    out.truncate(start + length);
}

/// Rewrites `1.5e-7` without an exponent and without a trailing `.0`.
fn positional(out: &mut Vec<u8>, text: &str) {
    let (mantissa, exponent) = match text.split_once('e') {
        Some((m, e)) => (m, e.parse::<i32>().expect("a number stands after e")),
        None => (text, 0),
    };
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    if unsigned.len() < mantissa.len() {
        out.push(b'-');
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let fraction = if fraction == "0" { "" } else { fraction };
    let digits = whole.bytes().chain(fraction.bytes());
    let count = whole.len() + fraction.len();
    // Where the point comes to stand, counted in digits from the left.
    let point = whole.len() as i32 + exponent;
    if point <= 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
        out.extend(digits);
        return;
    }
    let point = point as usize;
    for (i, digit) in digits.enumerate() {
        if i == point {
            out.push(b'.');
        }
        out.push(digit);
    }
    out.extend(std::iter::repeat_n(b'0', point.saturating_sub(count)));
}

/// A float in Go's format 'g': shortest digits, an exponent below 1e-4 and from 1e6 on.
pub(crate) fn format_general(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || value == 0.0 || (1e-4..1e6).contains(&size) {
        return format_value(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_writes_them() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1e-7, "0.0000001"),
            (1.25e-10, "0.000000000125"),
            (1e20, "100000000000000000000"),
            (
                1.7976931348623157e308,
                &format!("17976931348623157{}", "0".repeat(292)),
            ),
            (123456789.125, "123456789.125"),
            (9007199254740993.0, "9007199254740992"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in cases {
            assert_eq!(format_value(value), text);
        }
    }

    #[test]
    fn floats_are_written_in_go_s_general_format() {
        let cases = [
            (1.1, "1.1"),
            (f64::NAN, "NaN"),
            (-5.0, "-5"),
            (1e-7, "1e-07"),
            (2e22, "2e+22"),
            (123456.5, "123456.5"),
            (1e6, "1e+06"),
            (-1234567.5, "-1.2345675e+06"),
        ];
        for (value, text) in cases {
            assert_eq!(format_general(value), text);
        }
    }

    #[test]
    fn every_float_reads_back_the_same() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                assert_eq!(format_value(value).parse::<f64>().unwrap().to_bits(), bits);
            }
        }
    }
}
