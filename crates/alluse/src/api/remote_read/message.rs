//! The messages of remote read, `prometheus.ReadRequest` and `prometheus.ReadResponse`.

use collect::receive::protobuf::{Fields, Malformed};
use model::{Labels, MatchOp, Matcher, Series};
use remote::write::{
    label,
    protobuf::{double, message, number},
    write_histogram,
};

/// How samples are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseType {
    /// All in one message.
    Samples,
    /// A stream of frames of chunks.
    Chunks,
}

/// One selection of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Query {
    /// First time, ms.
    pub(super) from_ms: i64,
    /// Last time, ms.
    pub(super) to_ms: i64,
    pub(super) matchers: Vec<Matcher>,
}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ReadRequest {
    pub(super) queries: Vec<Query>,
    /// In order of preference.
    accepted: Vec<ResponseType>,
}

/// Bytes that are no such message, in words.
fn malformed(error: Malformed) -> String {
    format!("the request is malformed: {}", error.0)
}

impl ReadRequest {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut request = Self::default();
        let mut fields = Fields::new(bytes);
        while let Some((field, value)) = fields.next().map_err(malformed)? {
            match field {
                1 => {
                    let query = value.message().map_err(malformed)?;
                    request.queries.push(Query::decode(query)?);
                }
                2 => value
                    .each_varint(|number| {
                        // What is not known is not accepted.
                        let known = match number {
                            0 => Some(ResponseType::Samples),
                            1 => Some(ResponseType::Chunks),
                            _ => None,
                        };
                        request.accepted.extend(known);
                        Ok::<_, Malformed>(())
                    })
                    .map_err(malformed)?,
                _ => {}
            }
        }
        Ok(request)
    }

    /// The first way that both sides know; samples where the client names none.
    pub(super) fn response_type(&self) -> ResponseType {
        let first = self.accepted.first();
        first.copied().unwrap_or(ResponseType::Samples)
    }
}

impl Query {
    fn decode(mut fields: Fields<'_>) -> Result<Self, String> {
        let mut query = Self::default();
        while let Some((field, value)) = fields.next().map_err(malformed)? {
            match field {
                1 => query.from_ms = value.int64().map_err(malformed)?,
                2 => query.to_ms = value.int64().map_err(malformed)?,
                3 => {
                    let said = value.message().map_err(malformed)?;
                    query.matchers.push(matcher(said)?);
                }
                // Hints say what the samples are for; the samples are the same.
                _ => {}
            }
        }
        Ok(query)
    }
}

fn matcher(mut fields: Fields<'_>) -> Result<Matcher, String> {
    let (mut op, mut name, mut text) = (MatchOp::Equal, String::new(), String::new());
    while let Some((field, value)) = fields.next().map_err(malformed)? {
        match field {
            1 => {
                op = match value.varint().map_err(malformed)? {
                    0 => MatchOp::Equal,
                    1 => MatchOp::NotEqual,
                    2 => MatchOp::Regex,
                    3 => MatchOp::NotRegex,
                    other => return Err(format!("there is no type {other} of matchers")),
                };
            }
            2 => name = value.text().map_err(malformed)?.to_owned(),
            3 => text = value.text().map_err(malformed)?.to_owned(),
            _ => {}
        }
    }
    Matcher::new(name, op, text).map_err(|e| e.to_string())
}

/// A series as a field 1 of a `QueryResult`.
pub(super) fn write_series(out: &mut Vec<u8>, labels: &Labels, series: &Series) {
    message(out, 1, |out| {
        for (name, value) in labels.iter() {
            label(out, name, value);
        }
        for (at, time_ms) in series.times_ms.iter().enumerate() {
            match series.histograms.get(at) {
                Some(Some(histogram)) => {
                    message(out, 4, |out| write_histogram(out, *time_ms, histogram));
                }
                _ => message(out, 2, |out| {
                    double(out, 1, series.values[at]);
                    number(out, 2, time_ms.cast_unsigned());
                }),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use remote::write::protobuf::bytes;

    use super::*;

    #[test]
    fn a_request_is_read_whole() {
        let mut request = Vec::new();
        message(&mut request, 1, |out| {
            number(out, 1, 5);
            number(out, 2, 9);
            for (op, value) in [(0, "up"), (3, "a.*")] {
                message(out, 3, |out| {
                    number(out, 1, op);
                    bytes(out, 2, b"__name__");
                    bytes(out, 3, value.as_bytes());
                });
            }
            message(out, 4, |out| number(out, 1, 60_000));
        });
        // Packed, and beginning with a way nobody knows.
        bytes(&mut request, 2, &[7, 1, 0]);
        let read = ReadRequest::decode(&request).unwrap();
        assert_eq!(read.response_type(), ResponseType::Chunks);
        let [query] = &read.queries[..] else {
            panic!("{read:?}")
        };
        assert_eq!((query.from_ms, query.to_ms), (5, 9));
        let shown: Vec<String> = query.matchers.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["__name__=\"up\"", "__name__!~\"a.*\""]);
        assert_eq!(
            ReadRequest::decode(&[]).unwrap().response_type(),
            ResponseType::Samples
        );
        assert!(ReadRequest::decode(&[0x0a, 5, 1]).is_err());
    }
}
