//! What the text protocols share: numbered lines, query parameters, and one way to answer.
//!
//! A line that cannot be read is counted and quoted; the lines around it are stored. The reply is
//! then 400 and says how many were stored, so a sender never takes a partial write for a whole one.

use model::{AppendError, Appended, Durability, SampleSink};

use super::{Fault, Limits, Received, Receiver, Refusal, Reply};

/// Seconds after which a sender should repeat a batch that could not be stored.
const RETRY_AFTER_S: u32 = 5;

/// Lines that are not blank, without their ends, numbered from 1. A line that is too long or is
/// not UTF-8 comes as the fault it has.
pub(super) fn lines<'b>(
    body: &'b [u8],
    limits: &Limits,
) -> impl Iterator<Item = (usize, Result<&'b str, Fault>)> {
    let limit = limits.line_bytes;
    let numbered = body.split(|byte| *byte == b'\n').enumerate();
    numbered.filter_map(move |(i, line)| {
        let line = line.trim_ascii();
        if line.is_empty() {
            return None;
        }
        let checked = if line.len() > limit {
            Err(Fault::ValueTooLong)
        } else {
            std::str::from_utf8(line).map_err(|_invalid| Fault::NotUtf8)
        };
        Some((i + 1, checked))
    })
}

/// The value of a query parameter; the last one wins. Values that need decoding are taken as they
/// stand: the parameters asked for are short words.
pub(super) fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.rfind(|(key, _)| *key == name).map(|pair| pair.1)
}

/// A float as text formats write it: NaN and infinities by their usual names, a NaN that is not
/// the usual one as `NaN:` and its 16 hexadecimal digits, as our own exports have it.
pub(super) fn float(text: &str) -> Option<f64> {
    if let Some(digits) = text
        .strip_prefix("NaN:")
        .filter(|digits| digits.len() == 16)
    {
        let value = f64::from_bits(u64::from_str_radix(digits, 16).ok()?);
        return value.is_nan().then_some(value);
    }
    // `parse` would also take "infinity" and "nan" with any sign; all are what they say.
    let plain = !text.is_empty() && !text.starts_with(char::is_whitespace);
    plain.then(|| text.parse().ok()).flatten()
}

impl Receiver {
    /// Stores what a text protocol brought and says what came of it: 204, or 400 when a line was
    /// refused (what was valid is stored), or 503 when nothing could be stored now.
    pub fn store_lines(
        &self,
        received: Result<Received, Refusal>,
        sink: &dyn SampleSink,
        durability: Durability,
    ) -> Reply {
        let received = match received {
            Ok(received) => received,
            Err(refusal) => return refused(refusal),
        };
        let outcome = sink.append(&received.batch, durability);
        if outcome.is_err() {
            self.forget_metadata();
        }
        lines_reply(&received, &outcome)
    }
}

/// The reply of [`Receiver::store_lines`] for a known outcome. What is merely not kept (text
/// fields) does not make a request fail.
#[must_use]
pub fn lines_reply(received: &Received, outcome: &Result<Appended, AppendError>) -> Reply {
    let appended = match outcome {
        Ok(appended) => appended,
        Err(error) => return refused(Refusal::unavailable(error.to_string(), RETRY_AFTER_S)),
    };
    let faults = &received.rejected.reasons;
    let invalid = faults.keys().any(|fault| *fault != Fault::Unsupported);
    if !invalid && appended.rejected.is_empty() {
        return Reply::done();
    }
    let mut parts: Vec<String> = received.rejected.summary().into_iter().collect();
    for (reason, count, example) in &appended.rejected {
        parts.push(format!("{} ({count}, first: {example})", reason.as_str()));
    }
    let stored = appended.stored;
    let why = parts.join("; ");
    refused(Refusal::bad(format!(
        "partial write, {stored} samples stored: {why}"
    )))
}

/// A refusal as both API versions of InfluxDB word it; other senders read the same object.
fn refused(refusal: Refusal) -> Reply {
    let code = match refusal.status {
        413 => "request too large",
        429 => "too many requests",
        503 => "unavailable",
        _ => "invalid",
    };
    let message = &refusal.message;
    let body = serde_json::json!({ "code": code, "message": message, "error": message });
    let mut headers = refusal.headers;
    headers.push(("Content-Type", "application/json".to_owned()));
    Reply {
        status: refusal.status,
        headers,
        body: body.to_string().into_bytes(),
    }
}
