//! The notation of series in tests of queries and rules: a line that names a series and lists its
//! points, `up{job="a"} 1 2+1x3 _ stale`. Spec:
//! <https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/#series>.

pub mod duration;

use std::sync::Arc;

use model::{Histogram, Labels, METRIC_NAME};

use crate::histogram::{self, text};

/// Points of one item: a bound on what a line of a few bytes may cost.
pub const POINTS_MAX: usize = 1_000_000;

/// A point of a series.
#[derive(Debug, Clone, PartialEq)]
pub enum Point {
    /// Nothing at this time.
    Missing,
    /// A number.
    Float(f64),
    /// A histogram.
    Histogram {
        /// The histogram.
        histogram: Arc<Histogram>,
        /// Whether the script says what the sample says of resets.
        hint_given: bool,
    },
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesLine {
    /// The series.
    pub labels: Labels,
    /// One an interval.
    pub points: Vec<Point>,
}

/// Reads a line.
pub fn parse(line: &str) -> Result<SeriesLine, String> {
    let (labels, rest) = parse_labels(line)?;
    Ok(SeriesLine {
        labels,
        points: parse_points(rest)?,
    })
}

/// The start timestamps of a series' points: offsets from each (ms), `None` where it has none.
pub type Starts = (Labels, Vec<Option<i64>>);

/// A line `name{labels}@st <offsets>`; `None` if it is no such line.
pub fn parse_starts(line: &str) -> Result<Option<Starts>, String> {
    let line = line.trim();
    let Some((head, offsets)) = line.split_once(char::is_whitespace) else {
        return Ok(None);
    };
    let Some(series) = head.strip_suffix("@st") else {
        return Ok(None);
    };
    let (labels, rest) = parse_labels(series)?;
    if !rest.is_empty() {
        return Err(format!("{rest:?} before @st"));
    }
    let mut starts = Vec::new();
    for item in offsets.split_whitespace() {
        starts.extend(start_item(item)?);
    }
    Ok(Some((labels, starts)))
}

fn start_item(item: &str) -> Result<Vec<Option<i64>>, String> {
    if let Some(rest) = item.strip_prefix('_') {
        return Ok(vec![None; repeat_of_missing(rest)?]);
    }
    let (first, rest) = duration::prefix(item)?;
    if rest.is_empty() {
        return Ok(vec![Some(first)]);
    }
    let (step, rest) = if rest.starts_with(['+', '-']) {
        duration::prefix(rest)?
    } else {
        (0, rest)
    };
    let times: i64 = rest
        .strip_prefix('x')
        .and_then(|n| n.parse().ok())
        .filter(|times| (0..=POINTS_MAX as i64).contains(times))
        .ok_or_else(|| format!("{item:?} ends in no xN"))?;
    Ok((0..=times).map(|i| Some(first + i * step)).collect())
}

/// Labels at the start of a line, and what follows them.
fn parse_labels(line: &str) -> Result<(Labels, &str), String> {
    let line = line.trim();
    let name_end = line.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let (name, mut rest) = line.split_at(name_end.unwrap_or(line.len()));
    let mut pairs = vec![(METRIC_NAME.to_owned(), name.to_owned())];
    if let Some(inner) = rest.trim_start().strip_prefix('{')
        && !inner.starts_with('{')
    {
        rest = parse_pairs(inner, &mut pairs)?;
    } else if name.is_empty() {
        return Err(format!("{line:?} names no series"));
    }
    Ok((Labels::from_pairs(pairs), rest))
}

fn parse_pairs<'l>(inner: &'l str, pairs: &mut Vec<(String, String)>) -> Result<&'l str, String> {
    let mut rest = inner.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok(after);
        }
        let (name, after) = if rest.starts_with(['"', '\'', '`']) {
            quoted(rest)?
        } else {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            (name.to_owned(), after)
        };
        match after.trim_start().strip_prefix('=') {
            Some(value) => {
                let (value, after) = quoted(value.trim_start())?;
                pairs.push((name, value));
                rest = after.trim_start();
            }
            None => {
                pairs.push((METRIC_NAME.to_owned(), name));
                rest = after.trim_start();
            }
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return Err(format!("expected , or }} at {rest:?}")),
        }
    }
}

/// The string literal at the start of the text, and what follows it.
pub fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut chars = text.char_indices();
    let quote = match chars.next() {
        Some((_, c @ ('"' | '\'' | '`'))) => c,
        _ => return Err(format!("expected a string at {text:?}")),
    };
    let mut value = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((value, &text[at + 1..])),
            '\\' if quote != '`' => {
                let (_, escaped) = chars.next().ok_or("a string ends in a backslash")?;
                match escaped {
                    'n' => value.push('\n'),
                    't' => value.push('\t'),
                    'r' => value.push('\r'),
                    'x' | 'u' => {
                        let length = if escaped == 'x' { 2 } else { 4 };
                        let digits: String = chars
                            .by_ref()
                            .take(length)
                            .map(|(_, digit)| digit)
                            .collect();
                        let code = u32::from_str_radix(&digits, 16)
                            .ok()
                            .and_then(char::from_u32);
                        value.push(
                            code.ok_or_else(|| format!("\\{escaped}{digits} is no character"))?,
                        );
                    }
                    other => value.push(other),
                }
            }
            c => value.push(c),
        }
    }
    Err(format!("the string {text:?} does not end"))
}

fn parse_points(text: &str) -> Result<Vec<Point>, String> {
    let mut points = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (some, after) = if rest.starts_with("{{") {
            histograms(rest)?
        } else {
            floats(rest)?
        };
        if !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return Err(format!("expected a space at {after:?}"));
        }
        points.extend(some);
        rest = after.trim_start();
    }
    Ok(points)
}

fn repeat_of_missing(rest: &str) -> Result<usize, String> {
    if rest.is_empty() {
        return Ok(1);
    }
    rest.strip_prefix('x')
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| format!("_{rest} is no _xN"))
        .and_then(bounded)
}

fn bounded(times: usize) -> Result<usize, String> {
    if times > POINTS_MAX {
        return Err(format!("x{times} is more than {POINTS_MAX} points"));
    }
    Ok(times)
}

fn floats(text: &str) -> Result<(Vec<Point>, &str), String> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (item, after) = text.split_at(end);
    if let Some(rest) = item.strip_prefix('_') {
        return Ok((vec![Point::Missing; repeat_of_missing(rest)?], after));
    }
    if let Some(rest) = item.strip_prefix("stale") {
        let (times, rest) = times(rest)?;
        return match rest {
            "" => Ok((
                vec![Point::Float(model::stale_nan()); times.unwrap_or(0) + 1],
                after,
            )),
            _ => Err(format!("{item:?} is no point")),
        };
    }
    let (first, rest) = number(item)?;
    let (step, rest) = if rest.starts_with(['+', '-']) {
        number(rest)?
    } else {
        (0.0, rest)
    };
    let (times, rest) = times(rest)?;
    if !rest.is_empty() {
        return Err(format!("{item:?} is no point"));
    }
    let mut value = first;
    let mut points = vec![Point::Float(first)];
    for _ in 0..times.unwrap_or(0) {
        value += step;
        points.push(Point::Float(value));
    }
    Ok((points, after))
}

/// `xN` at the start of the text, and what follows it.
fn times(text: &str) -> Result<(Option<usize>, &str), String> {
    let Some(digits) = text.strip_prefix('x') else {
        return Ok((None, text));
    };
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    let times = digits[..end]
        .parse()
        .map_err(|e| format!("x{}: {e}", &digits[..end]))?;
    bounded(times).map(|times| (Some(times), &digits[end..]))
}

/// The number at the start of the text, and what follows it.
fn number(text: &str) -> Result<(f64, &str), String> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let sign = text.len() - unsigned.len();
    let lower = unsigned.to_ascii_lowercase();
    let length = if lower.starts_with("inf") || lower.starts_with("nan") {
        3
    } else {
        let digits = |from: usize| {
            lower[from..]
                .find(|c: char| !(c.is_ascii_digit() || c == '.'))
                .map_or(lower.len(), |end| from + end)
        };
        let mantissa = digits(0);
        match lower[mantissa..].strip_prefix('e') {
            Some(exponent) if mantissa > 0 => {
                digits(mantissa + 1 + usize::from(exponent.starts_with(['+', '-'])))
            }
            Some(_) | None => mantissa,
        }
    };
    let (number, rest) = text.split_at(sign + length);
    let value = number.parse().map_err(|e| format!("{text:?}: {e}"))?;
    Ok((value, rest))
}

fn histograms(text: &str) -> Result<(Vec<Point>, &str), String> {
    let (first, hint_given, rest) = literal(text)?;
    let point = |h: &Histogram| Point::Histogram {
        histogram: Arc::new(h.clone()),
        hint_given,
    };
    let signed = rest
        .strip_prefix('+')
        .map(|r| (1.0, r))
        .or(rest.strip_prefix('-').map(|r| (-1.0, r)));
    let Some((sign, rest)) = signed else {
        let (times, rest) = times(rest)?;
        return Ok((vec![point(&first); times.unwrap_or(0) + 1], rest));
    };
    let (step, _, rest) = literal(rest)?;
    let (times, rest) = times(rest)?;
    let times = times.ok_or_else(|| format!("a step needs xN in {text:?}"))?;
    let mut current = first;
    let mut points = vec![point(&current)];
    for _ in 0..times {
        let changed = if sign > 0.0 {
            histogram::add(&mut current, &step)
        } else {
            histogram::sub(&mut current, &step)
        };
        changed.map_err(|e| e.to_string())?;
        points.push(point(&current));
    }
    Ok((points, rest))
}

fn literal(text: &str) -> Result<(Histogram, bool, &str), String> {
    let end = text
        .find("}}")
        .ok_or_else(|| format!("no }}}} in {text:?}"))?
        + 2;
    let (literal, rest) = text.split_at(end);
    let histogram = text::parse(literal).map_err(|e| format!("{literal}: {e}"))?;
    Ok((histogram, literal.contains("counter_reset_hint"), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations_expand_to_points() {
        let floats = |line: &str| {
            let points = parse(line).unwrap().points;
            points
                .into_iter()
                .map(|p| match p {
                    Point::Float(v) => Some(v),
                    _ => None,
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            floats("m 1 2.5 -3 _ 5x2"),
            [
                Some(1.0),
                Some(2.5),
                Some(-3.0),
                None,
                Some(5.0),
                Some(5.0),
                Some(5.0)
            ]
        );
        assert_eq!(
            floats("m _x3 1+2x3"),
            [None, None, None, Some(1.0), Some(3.0), Some(5.0), Some(7.0)]
        );
        assert_eq!(
            floats("m 9-2x1 1e-3 0x1"),
            [Some(9.0), Some(7.0), Some(0.001), Some(0.0), Some(0.0)]
        );
        assert!(floats("m NaN")[0].unwrap().is_nan());
        assert!(model::is_stale(floats("m stale")[0].unwrap()));
        assert_eq!(
            parse(r#"{"a.b", c='d', `e`="f\n"} 1"#).unwrap().labels,
            Labels::from_pairs([(METRIC_NAME, "a.b"), ("c", "d"), ("e", "f\n")])
        );
        assert!(parse("m 1..2").is_err() && parse("m 1x").is_err() && parse("m{a=1} 1").is_err());
    }

    #[test]
    fn histograms_step_and_starts_are_offsets() {
        let points = parse("h {{count:1 buckets:[1]}}+{{count:2 buckets:[2]}}x2 {{}}x1")
            .unwrap()
            .points;
        let counts: Vec<_> = points
            .iter()
            .map(|p| match p {
                Point::Histogram { histogram, .. } => histogram.count,
                Point::Missing | Point::Float(_) => f64::NAN,
            })
            .collect();
        assert_eq!(counts, [1.0, 3.0, 5.0, 0.0, 0.0]);
        let (_, starts) = parse_starts("h{a=\"b\"}@st _ -30s-1mx2 1ms _x2 0")
            .unwrap()
            .unwrap();
        assert_eq!(
            starts,
            [
                None,
                Some(-30_000),
                Some(-90_000),
                Some(-150_000),
                Some(1),
                None,
                None,
                Some(0)
            ]
        );
        assert_eq!(parse_starts("h 1 2").unwrap(), None);
    }
}
