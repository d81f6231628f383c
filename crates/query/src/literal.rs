//! The values of literals: numbers, durations, quoted strings; and durations back to text.

/// Milliseconds of a unit, longest first, in the only order they may be written in.
const UNITS_MS: &[(&str, i64)] = &[
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The value of a number as Go reads it: an integer in the base of its prefix (a leading zero
/// means octal, if the digits allow), else a decimal.
pub(crate) fn number(text: &str) -> Option<f64> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let digits = plain.trim_start_matches(['+', '-']);
    if let Some(hex) = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        return i64::from_str_radix(hex, 16).ok().map(|n| n as f64);
    }
    let is_octal = digits.len() > 1 && digits.starts_with('0');
    if let Some(Ok(octal)) = is_octal.then(|| i64::from_str_radix(digits, 8)) {
        return Some(octal as f64);
    }
    plain.parse().ok()
}

/// The length of a duration such as `1h30m`, in ms; each unit at most once, longest first.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut units = UNITS_MS.iter();
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let length = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (_, ms) = units.by_ref().find(|(unit, _)| *unit == &after[..length])?;
        total = total.checked_add(count.checked_mul(*ms)?)?;
        rest = &after[length..];
    }
    // Prometheus keeps durations as nanoseconds in 64 bits.
    (total <= i64::MAX / 1_000_000).then_some(total)
}

/// A duration as Prometheus writes it; years and weeks only where nothing remains.
pub(crate) fn duration_text(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::from(if ms < 0 { "-" } else { "" });
    let mut rest = ms.unsigned_abs();
    for (unit, size) in UNITS_MS {
        let size = size.unsigned_abs();
        let must_divide = matches!(*unit, "y" | "w");
        if rest >= size && (!must_divide || rest.is_multiple_of(size)) {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    text
}

/// A quoted string's value; bytes that are no UTF-8 come out as U+FFFD and the flag says so.
pub(crate) struct Unquoted {
    pub(crate) value: String,
    pub(crate) is_valid: bool,
}

/// The value of a string in quotes or backquotes; an error names what is wrong.
pub(crate) fn unquote(text: &str) -> Result<Unquoted, &'static str> {
    let inner = &text[1..text.len() - 1];
    if text.starts_with('`') {
        return Ok(Unquoted {
            value: inner.to_owned(),
            is_valid: true,
        });
    }
    let quote = text.as_bytes()[0];
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.as_bytes();
    while let Some((b, after)) = rest.split_first() {
        rest = after;
        if *b == b'\\' {
            rest = escape(rest, quote, &mut bytes)?;
        } else {
            bytes.push(*b);
        }
    }
    Ok(match String::from_utf8(bytes) {
        Ok(value) => Unquoted {
            value,
            is_valid: true,
        },
        Err(e) => Unquoted {
            value: String::from_utf8_lossy(e.as_bytes()).into_owned(),
            is_valid: false,
        },
    })
}

/// Decodes what follows a backslash; gives what remains.
fn escape<'a>(rest: &'a [u8], quote: u8, out: &mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    let (c, after) = rest.split_first().ok_or("escape sequence not terminated")?;
    let simple = match c {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' => b'\\',
        c if *c == quote => quote,
        b'0'..=b'7' => return coded(rest, 3, 8, out),
        b'x' => return coded(after, 2, 16, out),
        b'u' => return coded(after, 4, 16, out),
        b'U' => return coded(after, 8, 16, out),
        _ => return Err("unknown escape sequence"),
    };
    out.push(simple);
    Ok(after)
}

fn coded<'a>(
    rest: &'a [u8],
    length: usize,
    radix: u32,
    out: &mut Vec<u8>,
) -> Result<&'a [u8], &'static str> {
    let (digits, after) = rest
        .split_at_checked(length)
        .ok_or("escape sequence not terminated")?;
    let mut code = 0u32;
    for digit in digits {
        let value = char::from(*digit)
            .to_digit(radix)
            .ok_or("illegal character in escape")?;
        code = code.wrapping_mul(radix).wrapping_add(value);
    }
    if length <= 3 {
        out.push(u8::try_from(code).or(Err("escape sequence is an invalid byte"))?);
        return Ok(after);
    }
    let c = char::from_u32(code).ok_or("escape sequence is an invalid Unicode code point")?;
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(after)
}

/// A text in double quotes, as [`unquote`] reads it.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        let cases = [
            ("0755", 493.0),
            ("08", 8.0),
            ("0x1F", 31.0),
            ("1_000", 1000.0),
            ("1e3", 1000.0),
            (".5", 0.5),
            ("2.", 2.0),
        ];
        for (text, value) in cases {
            assert_eq!(number(text), Some(value), "{text}");
        }
    }

    #[test]
    fn durations_round_trip() {
        for text in ["1y", "2w", "90d", "1h30m", "5m", "1s500ms", "1d", "0s"] {
            assert_eq!(duration_text(duration_ms(text).unwrap()), text);
        }
        for bad in ["5m1h", "1m1m", "5x", "99999999999y"] {
            assert_eq!(duration_ms(bad), None, "{bad}");
        }
        assert_eq!(duration_text(-90_000), "-1m30s");
    }

    #[test]
    fn strings_round_trip() {
        for text in ["", "a\"b", "tab\tnew\nline", "höst \\ €", "\u{1}\u{7f}"] {
            let unquoted = unquote(&quote(text)).unwrap();
            assert_eq!(unquoted.value, text);
            assert!(unquoted.is_valid);
        }
        assert_eq!(
            unquote(r#""\x41\101\u0042\U00000043""#).unwrap().value,
            "AABC"
        );
        assert!(!unquote(r#""a\xc5z""#).unwrap().is_valid);
        assert!(unquote(r#""\q""#).is_err());
        assert!(unquote(r#""\ud800""#).is_err());
    }
}
