//! Regular expressions as Prometheus reads them: the syntax of Go's `regexp` (RE2), said in that of
//! the crate `regex`.
//!
//! Most of both is the same. Not so: `\d`, `\s`, `\w` and `\b` know ASCII only; `\Q...\E` quotes;
//! `\012` is octal; a brace that begins no repetition stands for itself; and within brackets `[`,
//! `&`, `~` and a `-` after a class do. Scripts (`\p{Greek}`) are refused.
//! Specs: <https://github.com/google/re2/wiki/Syntax>, <https://pkg.go.dev/regexp#Regexp.Expand>.

use std::{iter::Peekable, str::Chars};

use regex::Captures;

/// What the crate `regex` reads as Go reads `pattern`. What Go refuses is left as it is, to be
/// refused where it is compiled.
#[must_use]
pub fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = match c {
            '\\' => escape(rest, false, &mut out),
            '[' => class(rest, &mut out),
            '{' if !repeats(rest) => literal(rest, &mut out),
            c => {
                out.push(c);
                &rest[c.len_utf8()..]
            }
        };
    }
    out
}

/// The first character, quoted; gives what remains.
fn literal<'p>(text: &'p str, out: &mut String) -> &'p str {
    let length = text.chars().next().map_or(0, char::len_utf8);
    out.push('\\');
    out.push_str(&text[..length]);
    &text[length..]
}

/// Whether a brace begins `{2}`, `{2,}` or `{2,3}`.
fn repeats(text: &str) -> bool {
    let Some((inside, _)) = text[1..].split_once('}') else {
        return false;
    };
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match inside.split_once(',') {
        Some((least, most)) => is_number(least) && (most.is_empty() || is_number(most)),
        None => is_number(inside),
    }
}

/// What a class of Perl's stands for, in brackets.
fn perl_class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => r"[\t\n\f\r ]",
        'S' => r"[^\t\n\f\r ]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

/// What begins with a backslash, within brackets or not; gives what remains.
fn escape<'p>(text: &'p str, in_class: bool, out: &mut String) -> &'p str {
    let Some(letter) = text[1..].chars().next() else {
        out.push('\\');
        return "";
    };
    let after = &text[1 + letter.len_utf8()..];
    if let Some(class) = perl_class(letter) {
        out.push_str(class);
        return after;
    }
    match letter {
        'Q' if !in_class => {
            let (quoted, after) = after.split_once(r"\E").unwrap_or((after, ""));
            out.push_str(&regex::escape(quoted));
            after
        }
        // The end of nothing.
        'E' if !in_class => after,
        'b' if !in_class => {
            out.push_str(r"(?-u:\b)");
            after
        }
        '<' | '>' => {
            out.push(letter);
            after
        }
        '0'..='7' => octal(text, out),
        'p' | 'P' | 'x' => {
            out.push('\\');
            out.push(letter);
            let braced = after.starts_with('{').then(|| after.find('}')).flatten();
            let length = braced.map_or(0, |end| end + 1);
            out.push_str(&after[..length]);
            &after[length..]
        }
        _ => {
            out.push('\\');
            out.push(letter);
            after
        }
    }
}

/// Up to three octal digits; but for 0, one alone would be a back-reference, which nobody reads.
fn octal<'p>(text: &'p str, out: &mut String) -> &'p str {
    let digits = text[1..].bytes().take(3);
    let length = digits.take_while(|b| matches!(b, b'0'..=b'7')).count();
    if length == 1 && !text.starts_with(r"\0") {
        out.push_str(&text[..2]);
    } else {
        let code = u32::from_str_radix(&text[1..=length], 8).unwrap_or_default();
        out.push_str(&format!("\\x{{{code:X}}}"));
    }
    &text[1 + length..]
}

/// A class in brackets; gives what remains.
fn class<'p>(text: &'p str, out: &mut String) -> &'p str {
    out.push('[');
    let mut rest = &text[1..];
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    let mut is_first = true;
    while let Some(c) = rest.chars().next() {
        if c == ']' && !is_first {
            out.push(']');
            return &rest[1..];
        }
        is_first = false;
        rest = class_item(rest, out);
    }
    rest
}

/// A character, a range, or a class of its own within brackets; gives what remains.
fn class_item<'p>(text: &'p str, out: &mut String) -> &'p str {
    if text.starts_with("[:")
        && let Some(end) = text.find(":]")
    {
        out.push_str(&text[..end + 2]);
        return &text[end + 2..];
    }
    let is_class = |text: &str| {
        let letter = text.strip_prefix('\\').and_then(|t| t.chars().next());
        letter.is_some_and(|l| perl_class(l).is_some() || matches!(l, 'p' | 'P'))
    };
    if is_class(text) {
        return escape(text, true, out);
    }
    let rest = class_char(text, out);
    match rest.strip_prefix('-') {
        Some(high) if !high.is_empty() && !high.starts_with(']') => {
            out.push('-');
            class_char(high, out)
        }
        _ => rest,
    }
}

/// One character within brackets; gives what remains.
fn class_char<'p>(text: &'p str, out: &mut String) -> &'p str {
    match text.chars().next() {
        Some('\\') => escape(text, true, out),
        Some('[' | ']' | '^' | '-' | '&' | '~') => literal(text, out),
        Some(c) => {
            out.push(c);
            &text[c.len_utf8()..]
        }
        None => text,
    }
}

/// Appends a template in which `$1`, `$name` and `${name}` stand for what groups matched, and `$$`
/// for a dollar sign. A group that is not there is empty; a dollar sign before no name stands for
/// itself.
pub fn expand(found: &Captures<'_>, template: &str, out: &mut String) {
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        match reference(rest) {
            Some((name, after)) => {
                out.push_str(group(found, name));
                rest = after;
            }
            None => out.push('$'),
        }
    }
    out.push_str(rest);
}

/// The name after a dollar sign, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let braced = text.strip_prefix('{');
    let name = braced.unwrap_or(text);
    let is_part = |c: &char| c.is_alphabetic() || c.is_numeric() || *c == '_';
    let length: usize = named(name.chars().peekable(), is_part);
    let (name, after) = name.split_at(length);
    let after = if braced.is_some() {
        after.strip_prefix('}')?
    } else {
        after
    };
    (!name.is_empty()).then_some((name, after))
}

/// Bytes of the characters that belong to a name.
fn named(mut chars: Peekable<Chars<'_>>, is_part: impl Fn(&char) -> bool) -> usize {
    std::iter::from_fn(|| chars.next_if(|c| is_part(c)))
        .map(char::len_utf8)
        .sum()
}

fn group<'f>(found: &Captures<'f>, name: &str) -> &'f str {
    let is_number = name.bytes().all(|b| b.is_ascii_digit());
    let is_plain = is_number && (name.len() == 1 || !name.starts_with('0'));
    let matched = if is_plain {
        name.parse()
            .ok()
            .and_then(|number: usize| found.get(number))
    } else {
        found.name(name)
    };
    matched.map_or("", |m| m.as_str())
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let anchored = format!("^(?s:{})$", translated(pattern));
        Regex::new(&anchored)
            .unwrap_or_else(|e| panic!("{pattern}: {e}"))
            .is_match(text)
    }

    /// Each as Go's `regexp` answers it.
    #[test]
    fn patterns_match_what_they_match_in_go() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (r"\d+", &["19"], &["\u{663}"]),
            (r"\D", &["x", "\u{663}"], &["1"]),
            (r"\w+", &["aZ_9"], &["é"]),
            (r"\W", &["é", "-"], &["a"]),
            (r"\s", &[" ", "\t", "\n"], &["\u{a0}", "\u{b}"]),
            (r"\S", &["\u{a0}", "x"], &[" "]),
            (r"é\b.*", &[], &["é x"]),
            (r"x\b.*", &["x y", "x", "xé"], &["xy"]),
            (r"\Qa.b\E+", &["a.b", "a.bb"], &["axb"]),
            (r"\Qa(", &["a("], &["a"]),
            (r"\07", &["\u{7}"], &[]),
            (r"\0", &["\0"], &[]),
            (r"\101B", &["AB"], &[]),
            (r"a{,2}", &["a{,2}"], &["a"]),
            (r"{", &["{"], &[]),
            (r"x{a}", &["x{a}"], &[]),
            (r"a{1", &["a{1"], &[]),
            (r"a{2,3}", &["aa", "aaa"], &["a", "a{2,3}"]),
            (r"\<b\>", &["<b>"], &["b"]),
            (r"[[a]b", &["[b", "ab"], &["b"]),
            (r"[a&&b]", &["a", "&", "b"], &["c"]),
            (r"[a~~b]", &["a", "~", "b"], &["c"]),
            (r"[]a]", &["]", "a"], &["b"]),
            (r"[^]a]", &["b"], &["]", "a"]),
            (r"[^[]", &["a"], &["["]),
            (r"[\d-z]", &["1", "-", "z"], &["a"]),
            (r"[^\d]", &["a", "\u{663}"], &["1"]),
            (r"[\Da]", &["a", "b"], &["1"]),
            (r"[a-]", &["a", "-"], &["b"]),
            (r"[-a]", &["a", "-"], &["b"]),
            (r"[+--]", &["+", ",", "-"], &["."]),
            (r"[a\]b]+", &["a]b"], &["c"]),
            (r"[\x41-\x{43}]", &["A", "C"], &["D"]),
            (r"[\101\-]", &["A", "-"], &["B"]),
            (r"[[:alpha:]_]+", &["a_"], &["é", "1"]),
            (r"[[:^alpha:]]", &["1"], &["a"]),
            (r"\pL+", &["é"], &["1"]),
            (r"[\p{Lu}x]", &["É", "x"], &["é"]),
            (r"(?i)[k-l]", &["K", "\u{212a}"], &["m"]),
            (r"a.b", &["a\nb"], &[]),
            ("", &[""], &["a"]),
        ];
        for (pattern, yes, no) in cases {
            for text in *yes {
                assert!(matches(pattern, text), "{pattern} matches {text:?}");
            }
            for text in *no {
                assert!(!matches(pattern, text), "{pattern} does not match {text:?}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_stays_none() {
        for pattern in [
            "(", ")", "[", "[a", "[]", r"a\", "*", r"\1", r"\y", "(?=a)", r"\Z",
        ] {
            assert!(Regex::new(&translated(pattern)).is_err(), "{pattern}");
        }
    }

    #[test]
    fn templates_expand_as_in_go() {
        let regex = Regex::new("^(?P<n>f)(x)?(oo)$").unwrap();
        let found = regex.captures("foo").unwrap();
        for (template, expected) in [
            ("$1-$3", "f-oo"),
            ("${1}x", "fx"),
            ("$1x", ""),
            ("$n${n}_", "ff_"),
            ("$2$9$none", ""),
            ("$0", "foo"),
            ("$01", ""),
            ("$$1 $", "$1 $"),
            ("${} ${1 $-", "${} ${1 $-"),
            ("$é|${é}", "|"),
        ] {
            let mut out = String::new();
            expand(&found, template, &mut out);
            assert_eq!(out, expected, "{template}");
        }
    }
}
