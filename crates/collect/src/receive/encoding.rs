//! Content encodings: a body as sent into the bytes it stands for, never more than the limits.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;

use super::{Limits, Refusal, Request, snappy};

/// Unpacked bytes that are fine whatever the ratio: a short body may be very regular.
const RATIO_FREE_BYTES: usize = 64 << 10;
/// Bytes unpacked between two looks at the limits.
const STEP_BYTES: usize = 16 << 10;

/// The body of a text or OTLP request: plain, gzip or snappy (block).
pub(super) fn unpack<'b>(
    request: &Request<'b>,
    limits: &Limits,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8], Refusal> {
    check_body(request, limits)?;
    match encoding(request).as_str() {
        "" | "identity" => return Ok(request.body),
        "gzip" | "x-gzip" => gunzip(request.body, limits, buffer)?,
        "snappy" => unsnap(request.body, limits, buffer)?,
        other => return Err(unknown(other, "gzip, snappy or identity")),
    }
    Ok(buffer)
}

/// The body of a remote-write request: a snappy block and nothing else. Without a header it is
/// taken to be one, as early senders left it out.
pub(super) fn unpack_snappy(
    request: &Request<'_>,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    check_body(request, limits)?;
    match encoding(request).as_str() {
        "" | "snappy" => unsnap(request.body, limits, out),
        other => Err(unknown(other, "snappy")),
    }
}

fn encoding(request: &Request<'_>) -> String {
    let header = request.content_encoding.unwrap_or_default();
    header.trim().to_ascii_lowercase()
}

fn unknown(encoding: &str, wanted: &str) -> Refusal {
    Refusal::unsupported(format!("Content-Encoding {encoding:?}: send {wanted}"))
}

fn check_body(request: &Request<'_>, limits: &Limits) -> Result<(), Refusal> {
    let limit = limits.body_bytes.min(limits.decoded_bytes);
    if request.body.len() > limit {
        return Err(too_large(limit));
    }
    Ok(())
}

fn too_large(limit: usize) -> Refusal {
    Refusal::too_large(format!("the body has more than {limit} bytes"))
}

fn unsnap(body: &[u8], limits: &Limits, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let limit = limits.decoded_bytes;
    snappy::decode(body, limit, out).map_err(|error| match error {
        snappy::SnappyError::TooLarge { .. } => Refusal::too_large(error.to_string()),
        snappy::SnappyError::Framed | snappy::SnappyError::Corrupt(_) => {
            Refusal::bad(error.to_string())
        }
    })
}

/// Gzip, all members, with both limits looked at every few kilobytes.
fn gunzip(body: &[u8], limits: &Limits, out: &mut Vec<u8>) -> Result<(), Refusal> {
    out.clear();
    let mut decoder = MultiGzDecoder::new(body);
    loop {
        let mut step = (&mut decoder).take(STEP_BYTES as u64);
        let read = step
            .read_to_end(out)
            .map_err(|error| Refusal::bad(format!("the gzip body is broken: {error}")))?;
        if out.len() > limits.decoded_bytes {
            return Err(too_large(limits.decoded_bytes));
        }
        let consumed = body.len() - decoder.get_ref().len();
        if out.len() > RATIO_FREE_BYTES + consumed.saturating_mul(limits.ratio) {
            let ratio = limits.ratio;
            let message = format!("the body unpacks to more than {ratio} times its size");
            return Err(Refusal::too_large(message));
        }
        if read == 0 {
            return Ok(());
        }
    }
}
