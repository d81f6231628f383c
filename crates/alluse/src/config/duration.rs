//! Time spans as people write them: `500ms`, `1s`, `2h30m`, `15d`.

use std::time::Duration;

const UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// Parses a span; parts add up, each a whole number and a unit.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let bad =
        || format!("{text:?} is not a time span such as \"500ms\", \"1s\", \"2h30m\", \"15d\"");
    let mut rest = text.trim();
    let mut total_ms: u64 = 0;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let amount: u64 = rest[..digits].parse().map_err(|_number| bad())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let (_, ms) = UNITS
            .iter()
            .find(|(name, _)| *name == &rest[..letters])
            .ok_or_else(bad)?;
        total_ms = amount
            .checked_mul(*ms)
            .and_then(|ms| total_ms.checked_add(ms))
            .ok_or_else(bad)?;
        rest = &rest[letters..];
    }
    Ok(Duration::from_millis(total_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_add_up_and_nonsense_is_refused() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("2h30m"), Ok(Duration::from_secs(9_000)));
        assert_eq!(parse("15d"), Ok(Duration::from_secs(15 * 86_400)));
        for bad in [
            "",
            "5",
            "s",
            "1.5s",
            "-1s",
            "1 s",
            "99999999999999999999d",
            "1year",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
