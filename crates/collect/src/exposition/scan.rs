//! The small pieces both formats are made of: names, quoted text, numbers.

use super::{
    NORMAL_NAN_BITS,
    error::{Fault, Parsed},
};

/// A name: where its bytes end, from `from`. `colon` allows `:` (metric names). Empty when the
/// first byte cannot begin a name.
pub(super) fn name_end(text: &str, from: usize, colon: bool) -> usize {
    let bytes = text.as_bytes();
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_' || (colon && b == b':');
    if !bytes.get(from).is_some_and(|b| first(*b)) {
        return from;
    }
    let rest = &bytes[from..];
    let length = rest.iter().position(|b| !first(*b) && !b.is_ascii_digit());
    from + length.unwrap_or(rest.len())
}

/// Past the blanks (space, tab) from `from` on.
pub(super) fn skip_blanks(text: &str, from: usize) -> usize {
    let rest = &text.as_bytes()[from..];
    from + rest
        .iter()
        .position(|b| !matches!(b, b' ' | b'\t'))
        .unwrap_or(rest.len())
}

/// Where a quoted text ends: the offset past the closing quote. `from` is past the opening one.
pub(super) fn quoted_end(text: &str, from: usize) -> Parsed<usize> {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return Ok(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Err(Fault::new(
        from.saturating_sub(1),
        "a quoted text that is not closed",
    ))
}

/// Undoes `\n`, `\"` and `\\`; any other escape is kept as written. `quotes`: whether `\"` is
/// one (it is not in a HELP text of the Prometheus format).
pub(super) fn unescape(raw: &str, quotes: bool, into: &mut String) {
    into.clear();
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        into.push_str(&rest[..at]);
        let escaped = rest[at + 1..].chars().next();
        match escaped {
            Some('n') => into.push('\n'),
            Some('\\') => into.push('\\'),
            Some('"') if quotes => into.push('"'),
            Some(other) => into.extend(['\\', other]),
            None => into.push('\\'),
        }
        rest = &rest[at + 1 + escaped.map_or(0, char::len_utf8)..];
    }
    into.push_str(rest);
}

/// A number: decimal, `NaN` or an infinity, in any case. No hexadecimal, no underscores.
pub(super) fn number(token: &str) -> Option<f64> {
    let bytes = token.as_bytes();
    let digits = bytes
        .strip_prefix(b"-")
        .or(bytes.strip_prefix(b"+"))
        .unwrap_or(bytes);
    if let [b'0'..=b'9' | b'.', ..] = digits {
        return token.parse().ok();
    }
    if token.eq_ignore_ascii_case("nan") {
        return Some(f64::from_bits(NORMAL_NAN_BITS));
    }
    let word = std::str::from_utf8(digits).ok()?;
    let infinite = word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("infinity");
    infinite.then(|| {
        if bytes[0] == b'-' {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_words_or_nothing() {
        let good = [
            ("1", 1.0),
            ("+1.5", 1.5),
            ("-.5", -0.5),
            ("1.", 1.0),
            ("0042", 42.0),
        ];
        for (text, value) in good {
            assert_eq!(number(text), Some(value), "{text}");
        }
        assert_eq!(number("+iNf"), Some(f64::INFINITY));
        assert_eq!(number("-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(number("nan").map(f64::to_bits), Some(NORMAL_NAN_BITS));
        for bad in [
            "", "+", "0x1", "1_000", "0x1p-3", "+nan", "1e", ".", "infin", "1f", " 1", "é",
        ] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn escapes_nobody_defined_stay_as_written() {
        let mut text = String::new();
        unescape(r#"a\n\"\\\é\"#, true, &mut text);
        assert_eq!(text, "a\n\"\\\\é\\");
        unescape(r#"\""#, false, &mut text);
        assert_eq!(text, r#"\""#);
    }
}
