//! Matchers as Alertmanager writes them: `severity="critical"`, `team=~"a|b"`, `{a=b, c!="d"}`.
//!
//! Values may be quoted or bare; quoted ones know `\"`, `\\` and `\n`. Names may be quoted too.
//! <https://prometheus.io/docs/alerting/latest/configuration/#label-matchers>

use model::{Labels, MatchOp, Matcher};

/// Whether a label set satisfies all of them; an absent label is empty.
#[must_use]
pub fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    let value = |matcher: &Matcher| labels.get(&matcher.name).unwrap_or_default().to_owned();
    matchers.iter().all(|m| m.matches(&value(m)))
}

/// Reads one matcher or a list of them, braces optional. Fails with what is wrong.
pub fn parse(text: &str) -> Result<Vec<Matcher>, String> {
    let trimmed = text.trim();
    let inner = match (trimmed.strip_prefix('{'), trimmed.ends_with('}')) {
        (Some(rest), true) => &rest[..rest.len() - 1],
        (None, _) => trimmed,
        (Some(_), false) => return Err(format!("{text:?} has a brace that is not closed")),
    };
    let mut rest = inner.trim();
    let mut matchers = Vec::new();
    while !rest.is_empty() {
        let (matcher, after) = one(rest).map_err(|why| format!("{text:?} {why}"))?;
        matchers.push(matcher);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => "",
            None => return Err(format!("{text:?} needs a comma before {after:?}")),
        };
    }
    if matchers.is_empty() {
        return Err(format!(
            "{text:?} holds no matcher such as severity=\"critical\""
        ));
    }
    Ok(matchers)
}

const OPERATORS: [(&str, MatchOp); 4] = [
    ("=~", MatchOp::Regex),
    ("!~", MatchOp::NotRegex),
    ("!=", MatchOp::NotEqual),
    ("=", MatchOp::Equal),
];

fn one(text: &str) -> Result<(Matcher, &str), String> {
    let (name, rest) = name(text)?;
    let rest = rest.trim_start();
    let operator = OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign));
    let (sign, op) = operator.ok_or("needs =, !=, =~ or !~ after its name")?;
    let (value, rest) = value(rest[sign.len()..].trim_start())?;
    let matcher = Matcher::new(name, *op, value).map_err(|error| format!("regex: {error}"))?;
    Ok((matcher, rest))
}

fn name(text: &str) -> Result<(String, &str), String> {
    if text.starts_with('"') {
        return quoted(text);
    }
    let end = text.find(['=', '!', ' ', ',']).unwrap_or(text.len());
    if end == 0 {
        return Err("lacks a label's name".to_owned());
    }
    Ok((text[..end].to_owned(), &text[end..]))
}

fn value(text: &str) -> Result<(String, &str), String> {
    if text.starts_with('"') {
        return quoted(text);
    }
    let end = text.find(',').unwrap_or(text.len());
    let bare = text[..end].trim_end();
    if bare.contains('"') {
        return Err("has a quote inside a bare value".to_owned());
    }
    Ok((bare.to_owned(), &text[end..]))
}

fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                // As in Alertmanager, so that `\.` of a regular expression needs no second one.
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            other => value.push(other),
        }
    }
    Err("has a quote that is not closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let read = parse(text).unwrap();
        let shown: Vec<String> = read.iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn reads_what_alertmanager_reads() {
        check("foo=bar", &[r#"foo="bar""#]);
        check("foo = bar baz ", &[r#"foo="bar baz""#]);
        check(
            r#"{foo!="b,r", x=~"a|b"}"#,
            &[r#"foo!="b,r""#, r#"x=~"a|b""#],
        );
        check(r#"a="q\"\\\n""#, &[r#"a="q\"\\\n""#]);
        check(r#"a=~"x\.y""#, &[r#"a=~"x\\.y""#]);
        check(r#""with space"=x,"#, &[r#"with space="x""#]);
        check("foo=", &[r#"foo="""#]);
    }

    #[test]
    fn says_what_is_wrong() {
        for (bad, why) in [
            ("", "no matcher"),
            ("{}", "no matcher"),
            ("{a=b", "not closed"),
            ("=b", "name"),
            ("a", "after its name"),
            ("a=\"b", "not closed"),
            ("a=~\"(\"", "regex"),
            ("a=\"b\" c=\"d\"", "comma"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn an_absent_label_is_empty() {
        let labels = Labels::from_pairs([("a", "1")]);
        assert!(all_match(&parse("a=1,b=").unwrap(), &labels));
        assert!(!all_match(&parse("a=1,b=~.+").unwrap(), &labels));
    }
}
