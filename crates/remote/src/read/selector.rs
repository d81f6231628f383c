//! Matchers as PromQL writes them.

use std::fmt::Write as _;

use model::{METRIC_NAME, MatchOp, Matcher};

/// What matches every series: PromQL has no empty selector.
const EVERY_SERIES: &str = r#"{__name__!=""}"#;

/// A selector of series for which all matchers hold.
pub(super) fn selector(matchers: &[Matcher]) -> String {
    if matchers.is_empty() {
        return EVERY_SERIES.to_owned();
    }
    let mut text = "{".to_owned();
    // PromQL refuses a selector all of whose matchers hold for the empty value.
    let empty_too = matchers.iter().all(|m| m.matches(""));
    if empty_too {
        text.push_str(r#"__name__!="","#);
    }
    for (i, matcher) in matchers.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        name(&mut text, &matcher.name);
        text.push_str(matcher.op.as_str());
        quoted(&mut text, &matcher.value);
    }
    text.push('}');
    text
}

/// `__name__="x"` first where it is: stores look series up by it.
pub(super) fn in_order(matchers: &[Matcher]) -> Vec<Matcher> {
    let (mut names, rest): (Vec<_>, Vec<_>) = matchers
        .iter()
        .cloned()
        .partition(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal);
    names.extend(rest);
    names
}

fn name(out: &mut String, name: &str) {
    let classic = |(i, c): (usize, char)| {
        c == '_' || c.is_ascii_alphabetic() || (i > 0 && c.is_ascii_digit())
    };
    if !name.is_empty() && name.chars().enumerate().all(classic) {
        out.push_str(name);
    } else {
        quoted(out, name);
    }
}

fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' | '\u{7f}' => {
                write!(out, "\\x{:02x}", u32::from(c)).expect("a String takes all");
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(name: &str, op: MatchOp, value: &str) -> Matcher {
        Matcher::new(name, op, value).unwrap()
    }

    #[test]
    fn selectors_are_promql() {
        assert_eq!(selector(&[]), r#"{__name__!=""}"#);
        let both = [
            Matcher::equal("__name__", "up"),
            matcher("job", MatchOp::NotRegex, "a\\.b|\"c\"\n"),
        ];
        assert_eq!(selector(&both), r#"{__name__="up",job!~"a\\.b|\"c\"\n"}"#);
        let odd = [Matcher::equal("a.b c", "\u{1}")];
        assert_eq!(selector(&odd), r#"{"a.b c"="\x01"}"#);
    }

    #[test]
    fn what_also_matches_nothing_gets_a_matcher_that_does_not() {
        let negative = [matcher("job", MatchOp::NotEqual, "a")];
        assert_eq!(selector(&negative), r#"{__name__!="",job!="a"}"#);
    }
}
