//! OTLP over gRPC: `MetricsService/Export`, answered by the same receiver as OTLP over HTTP.
//! Spec: <https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>.

use collect::{
    grpc::{Code, Status, Unary},
    receive::{Reply, Request, protobuf::Fields},
};

use crate::api::ingest::Doors;

/// Answers exports of metrics.
#[derive(Debug)]
pub(crate) struct Export(pub(crate) Doors);

impl Unary for Export {
    fn path(&self) -> &'static str {
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
    }

    fn encodings(&self) -> &'static [&'static str] {
        &["gzip", "zstd"]
    }

    fn call(&self, encoding: Option<&str>, message: &[u8]) -> Result<Vec<u8>, Status> {
        let Self(doors) = self;
        let request = Request {
            content_type: Some("application/x-protobuf"),
            content_encoding: encoding,
            body: message,
            now_ms: doors.clock.wall_ms(),
            ..Request::default()
        };
        let sink = doors.sink.as_ref();
        let reply = doors.receiver.serve_otlp(&request, sink, doors.durability);
        outcome(reply)
    }
}

/// An HTTP reply in gRPC's words. Only `UNAVAILABLE` asks for a repeat.
fn outcome(reply: Reply) -> Result<Vec<u8>, Status> {
    let code = match reply.status {
        200 => return Ok(reply.body),
        400 => Code::InvalidArgument,
        413 => Code::ResourceExhausted,
        415 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Internal,
    };
    Err(Status::new(code, message(&reply.body)))
}

/// The text of a `google.rpc.Status`: its field 2.
fn message(status: &[u8]) -> String {
    let mut fields = Fields::new(status);
    while let Ok(Some((number, value))) = fields.next() {
        if let (2, Ok(text)) = (number, value.text()) {
            return text.to_owned();
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_become_grpc_s_outcomes() {
        let reply = |status, body: &[u8]| Reply {
            status,
            headers: Vec::new(),
            body: body.to_vec(),
        };
        assert_eq!(outcome(reply(200, b"x")), Ok(b"x".to_vec()));
        // code = 14, message = "full"
        let full = outcome(reply(503, b"\x08\x0e\x12\x04full")).unwrap_err();
        assert_eq!(full, Status::new(Code::Unavailable, "full"));
        for (status, code) in [
            (400, Code::InvalidArgument),
            (413, Code::ResourceExhausted),
            (415, Code::Unimplemented),
            (429, Code::Unavailable),
            (500, Code::Internal),
        ] {
            assert_eq!(outcome(reply(status, b"")).unwrap_err().code, code);
        }
    }
}
