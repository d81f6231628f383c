//! Parameters of a request: the query string and, for a form POST, the body; keys may repeat.

use axum::{
    extract::{FromRequest, Request},
    http::{Method, header},
};
use model::Matcher;

use super::problem::ApiError;

/// Parameters in order; keys may repeat (`match[]`).
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

/// Latest time a request may name, ms: what still fits a timestamp in nanoseconds.
const TIME_MS_MAX: i64 = i64::MAX / 1_000_000;

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let mut pairs = decode(parts.uri.query().unwrap_or_default());
        if parts.method == Method::POST && is_form(&parts.headers) {
            let form = String::from_request(Request::from_parts(parts, body), state).await;
            let form = form.map_err(|e| ApiError::body(e.status(), e.body_text()))?;
            pairs.extend(decode(&form));
        }
        Ok(Self(pairs))
    }
}

fn is_form(headers: &axum::http::HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    kind.is_some_and(|k| k.starts_with("application/x-www-form-urlencoded"))
}

/// `application/x-www-form-urlencoded`, as the URL standard reads it.
fn decode(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent(key), percent(value))
        })
        .collect()
}

fn percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

impl Params {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    /// All of them, in order.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    /// A time, ms: RFC 3339 or seconds since the Unix epoch.
    pub(crate) fn time_ms(&self, key: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(key).filter(|v| !v.is_empty()) else {
            return Ok(None);
        };
        let ms = time_ms(text).ok_or_else(|| {
            let message = format!("cannot parse {text:?} to a valid timestamp");
            ApiError::bad(format!("invalid parameter {key:?}: {message}"))
        })?;
        Ok(Some(ms))
    }

    /// As [`Self::time_ms`], refused in the words Prometheus has for times that may be left out.
    pub(crate) fn moment_ms(&self, key: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(key).filter(|v| !v.is_empty()) else {
            return Ok(None);
        };
        let ms = time_ms(text).ok_or_else(|| {
            let message = format!("cannot parse {text:?} to a valid timestamp");
            ApiError::bad(format!(
                "invalid parameter {key:?}: Invalid time value for '{key}': {message}"
            ))
        })?;
        Ok(Some(ms))
    }

    /// A time that has to be given, ms.
    pub(crate) fn required_time_ms(&self, key: &str) -> Result<i64, ApiError> {
        self.time_ms(key)?.ok_or_else(|| {
            let message = "cannot parse \"\" to a valid timestamp";
            ApiError::bad(format!("invalid parameter {key:?}: {message}"))
        })
    }

    /// The step of a range, ms: above zero, and given.
    pub(crate) fn step_ms(&self) -> Result<i64, ApiError> {
        let step = self.span("step")?.ok_or_else(|| {
            let message = "cannot parse \"\" to a valid duration";
            ApiError::bad(format!("invalid parameter \"step\": {message}"))
        })?;
        if step.is_positive() {
            return Ok(step.ms.max(1));
        }
        Err(ApiError::bad(
            "invalid parameter \"step\": zero or negative query resolution step widths are not \
             accepted. Try a positive integer",
        ))
    }

    /// A time span: seconds, or a duration such as `5m`. It may be zero or less.
    pub(crate) fn span(&self, key: &str) -> Result<Option<Span>, ApiError> {
        let Some(text) = self.get(key).filter(|v| !v.is_empty()) else {
            return Ok(None);
        };
        let span = Span::parse(text);
        let span =
            span.map_err(|why| ApiError::bad(format!("invalid parameter {key:?}: {why}")))?;
        Ok(Some(span))
    }

    /// How many answers are wanted at most; 0 for all.
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        match self.get("limit").filter(|v| !v.is_empty()) {
            None => Ok(0),
            Some(text) => limit(text)
                .map_err(|why| ApiError::bad(format!("invalid parameter \"limit\": {why}"))),
        }
    }

    /// The selectors of `match[]`.
    pub(crate) fn matchers(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        self.all("match[]")
            .map(|text| selector(text, "match[]"))
            .collect()
    }
}

/// A limit, refused in the words of Prometheus.
fn limit(text: &str) -> Result<usize, String> {
    match text.parse::<i64>() {
        Ok(limit) => usize::try_from(limit).or(Err("limit must be non-negative".to_owned())),
        Err(_) => Err(format!("strconv.Atoi: parsing {text:?}: invalid syntax")),
    }
}

/// The matchers of a plain selector such as `up{job="a"}`; it must not select everything.
pub(crate) fn selector(text: &str, key: &str) -> Result<Vec<Matcher>, ApiError> {
    let bad = |why: String| ApiError::bad(format!("invalid parameter {key:?}: {why}"));
    let matchers = query::parse_metric_selector(text).map_err(|e| bad(e.to_string()))?;
    if matchers.iter().all(|m| m.matches("")) {
        let why = "must contain at least one non-empty matcher";
        return Err(bad(format!("{key} {why}")));
    }
    Ok(matchers)
}

/// A length of time, ms, and what is left of it below a millisecond.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    pub(crate) ms: i64,
    rest: f64,
}

impl Span {
    /// An error says what Prometheus says.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(seconds) = text.parse::<f64>() {
            // In nanoseconds it has to fit 64 bits.
            let ms = seconds * 1e3;
            let fits = ms.abs() <= TIME_MS_MAX as f64;
            if !fits {
                let why = "to a valid duration. It overflows int64";
                return Err(format!("cannot parse {text:?} {why}"));
            }
            return Ok(Self {
                ms: ms.trunc() as i64,
                rest: ms.fract(),
            });
        }
        let begins = text.starts_with(|c: char| c.is_ascii_digit());
        match query::parse(text) {
            Ok(query::ast::Expr::Number(n)) if n.is_duration && begins => Ok(Self {
                ms: (n.value * 1e3).round() as i64,
                rest: 0.0,
            }),
            _ => Err(format!("cannot parse {text:?} to a valid duration")),
        }
    }

    pub(crate) fn is_positive(self) -> bool {
        self.ms > 0 || self.rest > 0.0
    }
}

/// What Prometheus's own clients send for "since ever" and "for ever".
const EVER: [(&str, i64); 2] = [
    ("-292273086-05-16T16:47:06Z", -TIME_MS_MAX),
    ("292277025-08-18T07:12:54.999999999Z", TIME_MS_MAX),
];

pub(crate) fn time_ms(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds_to_ms(seconds);
    }
    let ever = EVER.iter().find(|(said, _)| *said == text);
    ever.map_or_else(|| rfc3339_ms(text), |(_, ms)| Some(*ms))
}

/// Whole seconds and their rest, which is rounded to milliseconds on its own.
fn seconds_to_ms(seconds: f64) -> Option<i64> {
    let ms = seconds.trunc() * 1_000.0 + (seconds.fract() * 1_000.0).round();
    (ms.abs() <= TIME_MS_MAX as f64).then_some(ms as i64)
}

fn rfc3339_ms(text: &str) -> Option<i64> {
    let parsed: toml::value::Datetime = text.parse().ok()?;
    let (date, time, offset) = (parsed.date?, parsed.time?, parsed.offset?);
    let minutes = match offset {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    let day = numerics::calendar::Date {
        year: i64::from(date.year),
        month: date.month,
        day: date.day,
    };
    let days = day.days();
    let seconds = days * 86_400
        + i64::from(time.hour) * 3_600
        + i64::from(time.minute) * 60
        + i64::from(time.second.unwrap_or(0))
        - minutes * 60;
    Some(seconds * 1_000 + i64::from(time.nanosecond.unwrap_or(0)) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        assert_eq!(time_ms("1435781430.781"), Some(1_435_781_430_781));
        assert_eq!(time_ms("2015-07-01T20:10:30.781Z"), Some(1_435_781_430_781));
        assert_eq!(
            time_ms("2015-07-01T22:10:30.781+02:00"),
            Some(1_435_781_430_781)
        );
        assert_eq!(time_ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(time_ms("1.0005"), Some(1_000));
        assert_eq!(time_ms("-1.5"), Some(-1_500));
        assert_eq!(time_ms("-292273086-05-16T16:47:06Z"), Some(-TIME_MS_MAX));
        assert_eq!(time_ms("yesterday"), None);
        assert_eq!(time_ms("1e300"), None);
        assert_eq!(time_ms("NaN"), None);
    }

    #[test]
    fn spans_are_seconds_or_durations_and_may_be_none() {
        let span = |text: &str| Span::parse(text).map(|span| (span.ms, span.is_positive()));
        for (text, ms) in [
            ("15", 15_000),
            ("0.5", 500),
            ("5m", 300_000),
            ("1y", 31_536_000_000),
        ] {
            assert_eq!(span(text), Ok((ms, true)), "{text}");
        }
        assert_eq!(span("0.0001"), Ok((0, true)));
        assert_eq!(span("0"), Ok((0, false)));
        assert_eq!(span("-1"), Ok((-1_000, false)));
        assert_eq!(
            span("1e20").unwrap_err(),
            "cannot parse \"1e20\" to a valid duration. It overflows int64"
        );
        for text in ["x", "-5m", "5m1h", "step()", "1+1"] {
            let why = format!("cannot parse {text:?} to a valid duration");
            assert_eq!(span(text), Err(why));
        }
    }

    #[test]
    fn limits_and_selectors_are_refused_in_the_words_of_prometheus() {
        let params = |key: &str, value: &str| Params(vec![(key.to_owned(), value.to_owned())]);
        let said = |error: ApiError| error.message;
        let limit = |text| params("limit", text).limit().map_err(said);
        assert_eq!((limit(""), limit("0"), limit("7")), (Ok(0), Ok(0), Ok(7)));
        assert!(
            limit("x")
                .unwrap_err()
                .ends_with("strconv.Atoi: parsing \"x\": invalid syntax")
        );
        assert!(
            limit("-1")
                .unwrap_err()
                .ends_with("limit must be non-negative")
        );
        let refused = |text| {
            params("match[]", text)
                .matchers()
                .map_err(said)
                .unwrap_err()
        };
        for (text, why) in [
            ("{}", "match[] must contain at least one non-empty matcher"),
            ("", "1:1: parse error: unexpected end of input"),
            ("up(", "1:3: parse error: unexpected \"(\""),
            ("up offset 5m", "1:4: parse error: unexpected <offset>"),
            ("(up)", "1:1: parse error: unexpected \"(\""),
        ] {
            let expected = format!("invalid parameter \"match[]\": {why}");
            assert_eq!(refused(text), expected, "{text}");
        }
        assert_eq!(params("match[]", "offset").matchers().unwrap().len(), 1);
    }

    #[test]
    fn forms_are_decoded_as_the_url_standard_says() {
        let pairs = decode("query=up%7Ba%3D%22b+c%22%7D&match[]=x&match[]=y&flag&bad=%zz%");
        let of = |k: &str| -> Vec<&str> {
            pairs
                .iter()
                .filter(|(n, _)| n == k)
                .map(|(_, v)| v.as_str())
                .collect()
        };
        assert_eq!(of("query"), ["up{a=\"b c\"}"]);
        assert_eq!(of("match[]"), ["x", "y"]);
        assert_eq!(of("flag"), [""]);
        assert_eq!(of("bad"), ["%zz%"]);
    }
}
