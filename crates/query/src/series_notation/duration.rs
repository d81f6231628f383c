//! Durations as Prometheus writes them: `1h30m`, `10s500ms`, `0`.

const UNITS_MS: [(&str, i64); 7] = [
    ("ms", 1),
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
];

/// Milliseconds of a duration, with or without a sign.
pub fn parse(text: &str) -> Result<i64, String> {
    match prefix(text)? {
        (ms, "") => Ok(ms),
        (_, rest) => Err(format!("{rest:?} after the duration in {text:?}")),
    }
}

/// The duration at the start of the text, and what follows it.
pub fn prefix(text: &str) -> Result<(i64, &str), String> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (mut total, mut rest) = (0, unsigned);
    while rest.starts_with(|c: char| c.is_ascii_digit()) {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: i64 = number.parse().map_err(|e| format!("{number:?}: {e}"))?;
        let unit = UNITS_MS.iter().find(|(unit, _)| after.starts_with(unit));
        let (unit, ms) = match unit {
            Some((unit, ms)) => (*unit, *ms),
            None if number == 0 => ("", 0),
            None => return Err(format!("{text:?} has a number without a unit")),
        };
        total += number * ms;
        rest = &after[unit.len()..];
    }
    if rest.len() == unsigned.len() {
        return Err(format!("{text:?} is no duration"));
    }
    Ok((sign * total, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up() {
        assert_eq!(parse("1h30m"), Ok(5_400_000));
        assert_eq!(parse("10s500ms"), Ok(10_500));
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("-1m"), Ok(-60_000));
        assert_eq!(prefix("-30s-1mx2"), Ok((-30_000, "-1mx2")));
        assert_eq!(prefix("0-1mx4"), Ok((0, "-1mx4")));
        assert!(parse("5").is_err() && parse("m").is_err());
    }
}
