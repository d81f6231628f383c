//! The port for series over the Prometheus HTTP API, and PromQL handed on whole.
//!
//! Raw samples come from an instant query with a range selector, cut over time so that each
//! answer stays inside its bound: a span is halved when its answer is too large, and doubled
//! while answers are small. What this API does not show cannot be read: staleness markers (range
//! selectors leave them out), payloads of other NaNs, native histograms' schemas.
//! <https://prometheus.io/docs/prometheus/latest/querying/api/>

mod answer;
mod selector;

use std::{collections::BTreeMap, sync::Arc};

use hyper::{
    Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use model::{LabelQuery, Labels, Metadata, ReadError, Selection, Series, SeriesIter, SeriesReader};
use serde::de::DeserializeOwned;

use crate::peer::{Peer, PeerError, Reply, Request, chain};

/// First span asked for, ms: a day.
const SPAN_MS: i64 = 86_400_000;
/// Longest span, ms: ten years; a duration in nanoseconds ends after 292.
const SPAN_MAX_MS: i64 = 3_650 * SPAN_MS;
/// Samples later than this after now are not looked for, ms: ten years.
const FUTURE_MS: i64 = SPAN_MAX_MS;
/// Shortest span, ms: an answer that is too large for one second is an error.
const SPAN_MIN_MS: i64 = 1_000;
/// An answer below this share of its bound doubles the span.
const SMALL_SHARE: usize = 8;
/// Times asked for lie between these, ms: 1970, and the last whole second whose nanoseconds fit
/// 64 bits, which is what stores parse times into.
const TIMES_MS: (i64, i64) = (0, 9_223_372_036_000);

/// Reads series from a peer.
#[derive(Debug, Clone)]
pub struct RemoteReader {
    peer: Arc<Peer>,
}

/// A peer's answer to a query, as it gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// The whole envelope: data, warnings, infos, or the error.
    pub body: Vec<u8>,
}

type Parameters = Vec<(String, String)>;

impl RemoteReader {
    /// A reader.
    #[must_use]
    pub fn new(peer: Arc<Peer>) -> Self {
        Self { peer }
    }

    /// Whom it reads from.
    #[must_use]
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Hands a query on, such as `query_range` with the caller's own parameters, and returns the
    /// answer as it is.
    pub fn forward(
        &self,
        route: &str,
        parameters: &[(String, String)],
    ) -> Result<Answered, ReadError> {
        let reply = self.post(route, parameters).map_err(remote)?;
        let kind = reply.header("content-type");
        Ok(Answered {
            status: reply.status,
            content_type: kind.unwrap_or("application/json").to_owned(),
            body: reply.body,
        })
    }

    fn path(&self, route: &str) -> String {
        format!("{}/api/v1/{route}", self.peer.config().read_prefix)
    }

    fn post(&self, route: &str, parameters: &[(String, String)]) -> Result<Reply, PeerError> {
        let mut request = self.peer.request(Method::POST, &self.path(route))?;
        *request.body_mut() = pairs(parameters).into();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
        self.exchanged(request)
    }

    fn get<T: DeserializeOwned>(
        &self,
        route: &str,
        parameters: &Parameters,
    ) -> Result<T, ReadError> {
        let path = format!("{}?{}", self.path(route), pairs(parameters));
        let request = self.peer.request(Method::GET, &path).map_err(remote)?;
        answer::data(&self.exchanged(request).map_err(remote)?)
    }

    fn exchanged(&self, request: Request) -> Result<Reply, PeerError> {
        let peer = Arc::clone(&self.peer);
        self.peer.wait(async move { peer.exchange(request).await })
    }

    /// Raw samples of one span, added to what is known; how large the answer was.
    fn span(
        &self,
        selector: &str,
        (from_ms, to_ms): (i64, i64),
        found: &mut BTreeMap<Labels, Series>,
    ) -> Result<Span, ReadError> {
        // Left-open since Prometheus 3, closed before: a millisecond more, and what is outside
        // is left out here.
        let range = format!("{selector}[{}ms]", to_ms - from_ms + 1);
        let parameters = vec![
            ("query".to_owned(), range),
            ("time".to_owned(), seconds(to_ms)),
        ];
        let reply = match self.post("query", &parameters) {
            Err(PeerError::TooLarge { .. }) => return Ok(Span::TooLarge),
            // "query processing would load too many samples into memory".
            Ok(reply) if reply.status == 422 && to_ms - from_ms > SPAN_MIN_MS => {
                return Ok(Span::TooLarge);
            }
            other => other.map_err(remote)?,
        };
        let matrix: answer::Matrix = answer::data(&reply)?;
        if matrix.result_type != "matrix" {
            let message = format!("a matrix is expected, not a {}", matrix.result_type);
            return Err(ReadError::Remote(message));
        }
        for row in &matrix.result {
            let series = found.entry(row.metric.clone());
            let series = series.or_insert_with(|| Series::new(row.metric.clone()));
            row.append_to(series, from_ms, to_ms)?;
        }
        Ok(Span::Read(reply.body.len()))
    }

    fn whole(&self, selection: &Selection) -> Result<Vec<Series>, ReadError> {
        let selector = selector::selector(&selector::in_order(&selection.matchers));
        let last_ms = selection.to_ms.min(self.peer.now_ms() + FUTURE_MS);
        let mut from_ms = selection.from_ms.max(TIMES_MS.0);
        let mut span_ms = SPAN_MS;
        let mut found = BTreeMap::new();
        while from_ms <= last_ms {
            let to_ms = last_ms.min(from_ms.saturating_add(span_ms - 1));
            match self.span(&selector, (from_ms, to_ms), &mut found)? {
                Span::TooLarge if span_ms > SPAN_MIN_MS => {
                    span_ms = (span_ms.min(to_ms - from_ms + 1) / 2).max(SPAN_MIN_MS);
                    continue;
                }
                Span::TooLarge => {
                    let message = "one second of the selection is more than one answer may hold";
                    return Err(ReadError::Remote(message.to_owned()));
                }
                Span::Read(bytes) if bytes < self.peer.config().answer_bytes_max / SMALL_SHARE => {
                    span_ms = (span_ms * 2).min(SPAN_MAX_MS);
                }
                Span::Read(_) => {}
            }
            self.check_size(&found)?;
            from_ms = to_ms + 1;
        }
        found.retain(|_, series| !series.times_ms.is_empty());
        Ok(found.into_values().collect())
    }

    fn check_size(&self, found: &BTreeMap<Labels, Series>) -> Result<(), ReadError> {
        let samples: usize = found.values().map(|s| s.times_ms.len()).sum();
        let most = self.peer.config().samples_max;
        if samples > most {
            let message = format!("the selection has more than {most} samples");
            return Err(ReadError::Remote(message));
        }
        Ok(())
    }
}

/// What became of a span.
enum Span {
    /// Read; its answer had so many bytes.
    Read(usize),
    TooLarge,
}

impl SeriesReader for RemoteReader {
    fn select<'a>(&'a self, selection: &Selection) -> Result<SeriesIter<'a>, ReadError> {
        if selection.matchers.is_empty() {
            return Ok(Box::new(std::iter::empty()));
        }
        Ok(Box::new(self.whole(selection)?.into_iter().map(Ok)))
    }

    fn series(&self, query: &LabelQuery) -> Result<Vec<Labels>, ReadError> {
        let mut found: Vec<Labels> = self.get("series", &asked(query, Every::Spelled))?;
        found.sort();
        found.dedup();
        Ok(limited(found, query.limit))
    }

    fn label_names(&self, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        self.texts("labels", query)
    }

    fn label_values(&self, name: &str, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        self.texts(&format!("label/{}/values", escaped(name)), query)
    }

    fn metadata(&self, family: Option<&str>) -> Result<Vec<Metadata>, ReadError> {
        let asked = family.map(|family| ("metric".to_owned(), family.to_owned()));
        let families = self.get("metadata", &asked.into_iter().collect())?;
        let mut all = answer::metadata(families);
        all.retain(|said| family.is_none_or(|family| said.family == family));
        Ok(all)
    }
}

impl RemoteReader {
    fn texts(&self, route: &str, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        // `null` is how some stores say "none".
        let found: Option<Vec<String>> = self.get(route, &asked(query, Every::LeftOut))?;
        let mut found = found.unwrap_or_default();
        found.sort();
        found.dedup();
        Ok(limited(found, query.limit))
    }
}

/// How "every series" is asked for.
#[derive(Clone, Copy, PartialEq)]
enum Every {
    /// With a selector: `/series` demands one.
    Spelled,
    /// Without.
    LeftOut,
}

fn asked(query: &LabelQuery, every: Every) -> Parameters {
    let one = |matchers: &Vec<model::Matcher>| {
        let text = selector::selector(&selector::in_order(matchers));
        ("match[]".to_owned(), text)
    };
    let mut parameters: Parameters = query.any_of.iter().map(one).collect();
    if parameters.is_empty() && every == Every::Spelled {
        parameters.push(one(&Vec::new()));
    }
    for (key, time_ms) in [("start", query.from_ms), ("end", query.to_ms)] {
        let time_ms = time_ms.clamp(TIMES_MS.0, TIMES_MS.1);
        parameters.push((key.to_owned(), seconds(time_ms)));
    }
    if query.limit > 0 {
        parameters.push(("limit".to_owned(), query.limit.to_string()));
    }
    parameters
}

/// Older stores do not know `limit`.
fn limited<T>(mut found: Vec<T>, limit: usize) -> Vec<T> {
    if limit > 0 {
        found.truncate(limit);
    }
    found
}

fn remote(error: PeerError) -> ReadError {
    ReadError::Remote(chain(&error))
}

/// Milliseconds as seconds with three decimals.
fn seconds(time_ms: i64) -> String {
    format!(
        "{}.{:03}",
        time_ms.div_euclid(1_000),
        time_ms.rem_euclid(1_000)
    )
}

/// A label name for a path: names outside the classic alphabet are escaped as Prometheus 3 does
/// (`U__` and code points).
fn escaped(name: &str) -> String {
    let classic = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.chars().all(classic) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return name.to_owned();
    }
    let mut text = "U__".to_owned();
    for c in name.chars() {
        match c {
            '_' => text.push_str("__"),
            c if c.is_ascii_alphanumeric() => text.push(c),
            c => text.push_str(&format!("_{:x}_", u32::from(c))),
        }
    }
    text
}

/// Parameters as a query string, or as the form of a `POST`.
fn pairs(parameters: &[(String, String)]) -> String {
    let pair = |(key, value): &(String, String)| format!("{}={}", encoded(key), encoded(value));
    parameters.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// Percent-encoding of everything but letters, digits and the unreserved marks.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_names_are_written_as_the_api_wants_them() {
        assert_eq!(seconds(1_790_000_000_007), "1790000000.007");
        assert_eq!(escaped("job"), "job");
        assert_eq!(escaped("a.b_c"), "U__a_2e_b__c");
        assert_eq!(encoded("a b+ü"), "a%20b%2B%C3%BC");
    }
}
