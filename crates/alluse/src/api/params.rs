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

    /// A span that has to be given, ms.
    pub(crate) fn required_span_ms(&self, key: &str) -> Result<i64, ApiError> {
        let number = self.get(key).and_then(|text| text.parse::<f64>().ok());
        if number.is_some_and(|seconds| seconds <= 0.0) {
            return Err(ApiError::bad(format!(
                "invalid parameter {key:?}: zero or negative query resolution step widths are \
                 not accepted. Try a positive integer"
            )));
        }
        self.span_ms(key)?.ok_or_else(|| {
            let message = "cannot parse \"\" to a valid duration";
            ApiError::bad(format!("invalid parameter {key:?}: {message}"))
        })
    }

    /// A time span, ms: seconds, or a duration such as `5m`.
    pub(crate) fn span_ms(&self, key: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(key).filter(|v| !v.is_empty()) else {
            return Ok(None);
        };
        let ms = span_ms(text).ok_or_else(|| {
            let message = format!("cannot parse {text:?} to a valid duration");
            ApiError::bad(format!("invalid parameter {key:?}: {message}"))
        })?;
        Ok(Some(ms))
    }

    /// How many answers are wanted at most; 0 for all.
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        match self.get("limit").filter(|v| !v.is_empty()) {
            None => Ok(0),
            Some(text) => text.parse().map_err(|_number| {
                ApiError::bad(format!(
                    "invalid parameter \"limit\": {text:?} is not a whole number"
                ))
            }),
        }
    }

    /// The selectors of `match[]`.
    pub(crate) fn matchers(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        self.all("match[]")
            .map(|text| selector(text, "match[]"))
            .collect()
    }
}

/// The matchers of a plain selector such as `up{job="a"}`.
pub(crate) fn selector(text: &str, key: &str) -> Result<Vec<Matcher>, ApiError> {
    let expression =
        query::parse(text).map_err(|e| ApiError::bad(format!("invalid parameter {key:?}: {e}")))?;
    match expression {
        query::ast::Expr::Vector(selector) => Ok(selector.matchers.clone()),
        _ => Err(ApiError::bad(format!(
            "invalid parameter {key:?}: {text:?} is not a plain selector of series"
        ))),
    }
}

pub(crate) fn time_ms(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds_to_ms(seconds);
    }
    rfc3339_ms(text)
}

fn span_ms(text: &str) -> Option<i64> {
    let ms = match text.parse::<f64>() {
        Ok(seconds) => seconds_to_ms(seconds)?,
        Err(_not_a_number) => {
            let span = crate::config::duration::parse(text).ok()?;
            i64::try_from(span.as_millis())
                .ok()
                .filter(|ms| *ms <= TIME_MS_MAX)?
        }
    };
    (ms > 0).then_some(ms)
}

fn seconds_to_ms(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1_000.0).round();
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
        assert_eq!(time_ms("yesterday"), None);
        assert_eq!(time_ms("1e300"), None);
        assert_eq!(time_ms("NaN"), None);
    }

    #[test]
    fn spans_are_seconds_or_durations_above_zero() {
        assert_eq!(span_ms("15"), Some(15_000));
        assert_eq!(span_ms("0.5"), Some(500));
        assert_eq!(span_ms("5m"), Some(300_000));
        assert_eq!(span_ms("0"), None);
        assert_eq!(span_ms("-1"), None);
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
