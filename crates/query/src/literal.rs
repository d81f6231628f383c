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
/// means octal, if the digits allow), else a decimal. An error says what Go says.
pub(crate) fn number(text: &str) -> Result<f64, &'static str> {
    const SYNTAX: &str = "invalid syntax";
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let digits = plain.trim_start_matches(['+', '-']);
    if let Some(hex) = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        let value = i64::from_str_radix(hex, 16).or(Err(SYNTAX))?;
        return Ok(value as f64);
    }
    let is_octal = digits.len() > 1 && digits.starts_with('0');
    if let Some(Ok(octal)) = is_octal.then(|| i64::from_str_radix(digits, 8)) {
        return Ok(octal as f64);
    }
    match plain.parse() {
        Ok(value) if f64::is_finite(value) => Ok(value),
        // Inf and NaN are written in letters.
        Ok(value) if plain.ends_with(|c: char| c.is_ascii_alphabetic()) => Ok(value),
        Ok(_) => Err("value out of range"),
        Err(_) => Err(SYNTAX),
    }
}

/// The length of a duration such as `1h30m`, in ms; each unit at most once, longest first.
pub(crate) fn duration_ms(text: &str) -> Result<i64, String> {
    let ms = units_ms(text).ok_or_else(|| format!("not a valid duration string: {text:?}"))?;
    // Prometheus keeps durations as nanoseconds in 64 bits.
    let fits = ms.filter(|ms| *ms <= i64::MAX / 1_000_000);
    fits.ok_or_else(|| "duration out of range".to_owned())
}

/// The same as far as 64 bits reach; none if these are no units in order.
fn units_ms(text: &str) -> Option<Option<i64>> {
    let mut rest = text;
    let mut units = UNITS_MS.iter();
    let mut total = Some(0_i64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        if digits == 0 {
            return None;
        }
        let count = rest[..digits].parse::<i64>().ok();
        let after = &rest[digits..];
        let length = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (_, ms) = units.by_ref().find(|(unit, _)| *unit == &after[..length])?;
        let more = count.and_then(|count| count.checked_mul(*ms));
        total = total.zip(more).and_then(|(a, b)| a.checked_add(b));
        rest = &after[length..];
    }
    Some(total)
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
pub(crate) fn unquote(text: &str) -> Result<Unquoted, String> {
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

const UNTERMINATED: &str = "escape sequence not terminated";

/// Decodes what follows a backslash; gives what remains.
fn escape<'a>(rest: &'a [u8], quote: u8, out: &mut Vec<u8>) -> Result<&'a [u8], String> {
    let (c, after) = rest.split_first().ok_or(UNTERMINATED)?;
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
        _ => return Err(format!("unknown escape sequence {}", code_point(rest))),
    };
    out.push(simple);
    Ok(after)
}

/// A byte in three octal or two hexadecimal digits, or a character in four or eight.
fn coded<'a>(
    rest: &'a [u8],
    length: usize,
    radix: u32,
    out: &mut Vec<u8>,
) -> Result<&'a [u8], String> {
    const INVALID: &str = "escape sequence is an invalid Unicode code point";
    let mut code = 0u32;
    for i in 0..length {
        let digit = rest.get(i).ok_or(UNTERMINATED)?;
        let value = char::from(*digit).to_digit(radix);
        let value = value.ok_or_else(|| {
            format!(
                "illegal character {} in escape sequence",
                code_point(&rest[i..])
            )
        })?;
        code = code.wrapping_mul(radix).wrapping_add(value);
    }
    let after = &rest[length..];
    if length <= 3 {
        out.push(u8::try_from(code).or(Err(INVALID))?);
        return Ok(after);
    }
    let c = char::from_u32(code).ok_or(INVALID)?;
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(after)
}

/// The first character as Go shows code points: `U+007A 'z'`.
fn code_point(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let c = text.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
    format!("U+{:04X} '{c}'", c as u32)
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
            assert_eq!(number(text), Ok(value), "{text}");
        }
        assert_eq!(number("Inf"), Ok(f64::INFINITY));
        assert_eq!(number("1e400"), Err("value out of range"));
        for text in ["0x", "0xffffffffffffffff"] {
            assert_eq!(number(text), Err("invalid syntax"), "{text}");
        }
    }

    #[test]
    fn durations_round_trip() {
        for text in ["1y", "2w", "90d", "1h30m", "5m", "1s500ms", "1d", "0s"] {
            assert_eq!(duration_text(duration_ms(text).unwrap()), text);
        }
        for bad in ["5m1h", "1m1m", "5x", "99999999999y"] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
        let far = duration_ms("99999999999y");
        assert_eq!(far.unwrap_err(), "duration out of range");
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
        for (text, why) in [
            (r#""\q""#, "unknown escape sequence U+0071 'q'"),
            (
                r#""\xzz""#,
                "illegal character U+007A 'z' in escape sequence",
            ),
            (
                r#""\18a""#,
                "illegal character U+0038 '8' in escape sequence",
            ),
            (r#""\u12""#, "escape sequence not terminated"),
            (
                r#""\400""#,
                "escape sequence is an invalid Unicode code point",
            ),
            (
                r#""\ud800""#,
                "escape sequence is an invalid Unicode code point",
            ),
        ] {
            assert_eq!(unquote(text).err().as_deref(), Some(why), "{text}");
        }
    }
}
