//! Time spans and sizes as Prometheus writes them: `1h30m`, `100ms`, `1y`; `10MB`, `1.5GiB`.

use std::time::Duration;

/// Largest first: that is the order they must stand in.
const SPANS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Prometheus takes `KB` and `KiB` alike for 1024 bytes.
const SIZES: [(&str, u32); 7] = [
    ("B", 0),
    ("K", 10),
    ("M", 20),
    ("G", 30),
    ("T", 40),
    ("P", 50),
    ("E", 60),
];

/// A time span: whole numbers with units, the larger before the smaller, or a bare `0`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is not a time span such as 15s, 1m30s, 500ms");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut units, mut total_ms) = (text, SPANS.as_slice(), 0_u64);
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .filter(|end| *end > 0)
            .ok_or_else(bad)?;
        let amount: u64 = rest[..digits].parse().map_err(|_number| bad())?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let found = units.iter().position(|(name, _)| *name == &rest[..end]);
        let index = found.ok_or_else(bad)?;
        let ms = amount.checked_mul(units[index].1).ok_or_else(bad)?;
        total_ms = total_ms.checked_add(ms).ok_or_else(bad)?;
        (rest, units) = (&rest[end..], &units[index + 1..]);
    }
    if text.is_empty() {
        return Err(bad());
    }
    Ok(Duration::from_millis(total_ms))
}

/// As Prometheus prints it: `1m30s`.
#[must_use]
pub fn duration_text(span: Duration) -> String {
    let mut rest = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, ms) in SPANS {
        // Years and weeks only where nothing smaller is left, as Prometheus does.
        let exact_only = matches!(unit, "y" | "w");
        if rest >= ms && (!exact_only || rest.is_multiple_of(ms)) {
            text.push_str(&format!("{}{unit}", rest / ms));
            rest %= ms;
        }
    }
    text
}

/// A size in bytes; `0` means no limit.
pub fn bytes(text: &str) -> Result<usize, String> {
    let bad = || format!("{text:?} is not a size such as 10MB or 512KiB");
    if text == "0" {
        return Ok(0);
    }
    let end = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(bad)?;
    let amount: f64 = text[..end].trim().parse().map_err(|_number| bad())?;
    let unit = text[end..].trim_end_matches('B').trim_end_matches('i');
    let unit = if unit.is_empty() { "B" } else { unit };
    let found = SIZES.iter().find(|(name, _)| *name == unit);
    let (_, bits) = found.ok_or_else(bad)?;
    let size = amount * f64::from(*bits).exp2();
    if !(0.0..1e18).contains(&size) {
        return Err(bad());
    }
    Ok(size as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_prometheus_s() {
        let ms = |text| duration(text).map(|d| d.as_millis());
        assert_eq!(ms("1h30m"), Ok(5_400_000));
        assert_eq!(ms("1m500ms"), Ok(60_500));
        assert_eq!(ms("1y"), Ok(365 * 86_400_000));
        assert_eq!(ms("0"), Ok(0));
        for bad in [
            "",
            "1",
            "s",
            "1.5s",
            "30m1h",
            "1s1s",
            "1x",
            "-1s",
            "99999999999999999y",
        ] {
            assert!(ms(bad).is_err(), "{bad}");
        }
        for text in ["1m30s", "15s", "500ms", "1h", "2w", "1y", "0s", "1d1h"] {
            let span = duration(text);
            assert_eq!(duration_text(span.unwrap()), text);
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(bytes("10MB"), Ok(10 << 20));
        assert_eq!(bytes("512KiB"), Ok(512 << 10));
        assert_eq!(bytes("1.5G"), Ok(3 << 29));
        assert_eq!(bytes("100B"), Ok(100));
        for bad in ["", "10", "MB", "10XB", "1 0MB", "-1MB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
