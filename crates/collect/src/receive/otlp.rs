//! OTLP/HTTP metrics: `POST /v1/metrics`, protobuf and JSON.
//!
//! Data points become Prometheus series: see [`translate`]. The rule for partial success is the
//! opposite of remote write's: 200 with `partial_success`, and only 429, 502, 503 and 504 ask for
//! a repeat. Errors carry a `google.rpc.Status`; replies are in the request's encoding.
//! Exemplars are best effort. Spec: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.

mod json;
pub mod names;
mod point;
mod protobuf;
pub mod translate;

use model::{AppendError, Appended, Durability, SampleSink};

use super::{Limits, Received, Receiver, Refusal, Reply, Request, encoding, lanes::Failed};

/// Seconds after which a sender should repeat a batch that could not be stored.
const RETRY_AFTER_S: u32 = 5;

/// Bytes of a body unpacked: 20 MiB, what OpenTelemetry's Collector takes. It is held whole, since
/// what a point belongs to may stand behind it.
const BODY_BYTES_MAX: usize = 20 << 20;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Format {
    /// The format a `Content-Type` names.
    pub fn from_content_type(header: Option<&str>) -> Result<Self, Refusal> {
        let header = header.unwrap_or_default();
        let essence = header.split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/x-protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(Refusal::unsupported(format!(
                "Content-Type {header:?}: send application/x-protobuf or application/json"
            ))),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

impl Receiver {
    /// Decodes an OTLP request. `rejected.samples` counts data points.
    pub fn otlp(&self, request: &Request<'_>) -> Result<Received, Refusal> {
        let format = Format::from_content_type(request.content_type)?;
        self.decode("otlp", request, |buffer, intake| {
            let limits = Limits {
                decoded_bytes: self.limits().decoded_bytes.min(BODY_BYTES_MAX),
                ..*self.limits()
            };
            let body = encoding::unpack(request, &limits, buffer)?;
            match format {
                Format::Protobuf => protobuf::read(body, intake).map_err(Failed::from),
                Format::Json => json::read(body, intake).map_err(Failed::from),
            }
        })
    }

    /// The whole exchange: decodes, stores, and says what came of it.
    pub fn serve_otlp(
        &self,
        request: &Request<'_>,
        sink: &dyn SampleSink,
        durability: Durability,
    ) -> Reply {
        let format = Format::from_content_type(request.content_type).unwrap_or(Format::Protobuf);
        let received = match self.otlp(request) {
            Ok(received) => received,
            Err(refusal) => return status(format, refusal),
        };
        let outcome = sink.append(&received.batch, durability);
        if outcome.is_err() {
            self.forget_metadata();
        }
        reply(format, &received, &outcome)
    }
}

/// The reply to a request that was read. What the sink refuses is counted by samples: it does
/// not know of data points, of which a classic histogram makes several samples each.
#[must_use]
pub fn reply(
    format: Format,
    received: &Received,
    outcome: &Result<Appended, AppendError>,
) -> Reply {
    let appended = match outcome {
        Ok(appended) => appended,
        Err(error) => {
            return status(
                format,
                Refusal::unavailable(error.to_string(), RETRY_AFTER_S),
            );
        }
    };
    let mut rejected = received.rejected.samples;
    let mut parts: Vec<String> = received.rejected.summary().into_iter().collect();
    for (reason, count, example) in &appended.rejected {
        rejected += count;
        parts.push(format!("{} ({count}, first: {example})", reason.as_str()));
    }
    let body = match (format, parts.is_empty()) {
        (Format::Protobuf, true) => Vec::new(),
        (Format::Json, true) => b"{}".to_vec(),
        (Format::Protobuf, false) => {
            let mut partial = Vec::new();
            put_varint_field(&mut partial, 1, rejected);
            put_bytes_field(&mut partial, 2, parts.join("; ").as_bytes());
            let mut body = Vec::new();
            put_bytes_field(&mut body, 1, &partial);
            body
        }
        (Format::Json, false) => serde_json::json!({
            "partialSuccess": {
                // A 64-bit integer is a string in protobuf's JSON.
                "rejectedDataPoints": rejected.to_string(),
                "errorMessage": parts.join("; "),
            }
        })
        .to_string()
        .into_bytes(),
    };
    Reply {
        status: 200,
        headers: vec![("Content-Type", format.content_type().to_owned())],
        body,
    }
}

/// A refusal as a `google.rpc.Status`.
fn status(format: Format, refusal: Refusal) -> Reply {
    let code = match refusal.status {
        413 | 429 => 8_u64, // RESOURCE_EXHAUSTED
        503 => 14,          // UNAVAILABLE
        _ => 3,             // INVALID_ARGUMENT
    };
    let body = match format {
        Format::Protobuf => {
            let mut body = Vec::new();
            put_varint_field(&mut body, 1, code);
            put_bytes_field(&mut body, 2, refusal.message.as_bytes());
            body
        }
        Format::Json => serde_json::json!({ "code": code, "message": refusal.message })
            .to_string()
            .into_bytes(),
    };
    let mut headers = refusal.headers;
    headers.push(("Content-Type", format.content_type().to_owned()));
    Reply {
        status: refusal.status,
        headers,
        body,
    }
}

fn put_varint_field(out: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(out, number << 3);
    put_varint(out, value);
}

fn put_bytes_field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
