//! Content encodings: a body as sent into the bytes it stands for, never more than the limits.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::{Limits, Refusal, Request, snappy};

/// Unpacked bytes that are fine whatever the ratio: a short body may be very regular.
const RATIO_FREE_BYTES: usize = 64 << 10;
/// Bytes unpacked between two looks at the limits.
const STEP_BYTES: usize = 16 << 10;
/// Largest window of a zstd frame: what RFC 8878 (3.1.1.1.2) asks every decoder to support.
const ZSTD_WINDOW_BYTES: u64 = 8 << 20;
/// Frames of a zstd body: each costs its tables, however little it holds.
const ZSTD_FRAMES_MAX: usize = 1_000;

/// The body of a text or OTLP request: plain, gzip, zstd or snappy (block).
pub(super) fn unpack<'b>(
    request: &Request<'b>,
    limits: &Limits,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8], Refusal> {
    check_body(request, limits)?;
    match encoding(request).as_str() {
        "" | "identity" => return Ok(request.body),
        "gzip" | "x-gzip" => gunzip(request.body, limits, buffer)?,
        "zstd" => unzstd(request.body, limits, buffer)?,
        "snappy" => unsnap(request.body, limits, buffer)?,
        other => return Err(unknown(other, "gzip, zstd, snappy or identity")),
    }
    Ok(buffer)
}

/// The body of a remote-write request: a snappy block, as the specification has it, or zstd, as
/// VictoriaMetrics' agents send it. Without a header it is taken to be a snappy block, as early
/// senders left it out.
pub(super) fn unpack_snappy(
    request: &Request<'_>,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    check_body(request, limits)?;
    match encoding(request).as_str() {
        "" | "snappy" => unsnap(request.body, limits, out),
        "zstd" => unzstd(request.body, limits, out),
        other => Err(unknown(other, "snappy or zstd")),
    }
}

fn encoding(request: &Request<'_>) -> String {
    let header = request.content_encoding.unwrap_or_default();
    header.trim().to_ascii_lowercase()
}

fn unknown(encoding: &str, wanted: &str) -> Refusal {
    Refusal::unsupported(format!("Content-Encoding {encoding:?}: send {wanted}"))
}

pub(super) fn check_body(request: &Request<'_>, limits: &Limits) -> Result<(), Refusal> {
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
    snappy::decode(body, limit, out).map_err(snappy_refusal)
}

/// A block that cannot be read, as its sender is told.
pub(super) fn snappy_refusal(error: snappy::SnappyError) -> Refusal {
    match error {
        snappy::SnappyError::TooLarge { .. } => Refusal::too_large(error.to_string()),
        snappy::SnappyError::Framed | snappy::SnappyError::Corrupt(_) => {
            Refusal::bad(error.to_string())
        }
    }
}

/// Whether a remote-write body is a snappy block by its header.
pub(super) fn is_snappy(request: &Request<'_>) -> bool {
    matches!(encoding(request).as_str(), "" | "snappy")
}

/// Gzip, all members.
fn gunzip(body: &[u8], limits: &Limits, out: &mut Vec<u8>) -> Result<(), Refusal> {
    out.clear();
    let mut decoder = MultiGzDecoder::new(body);
    let left = |decoder: &MultiGzDecoder<&[u8]>| decoder.get_ref().len();
    drain("gzip", body, &mut decoder, left, limits, out)
}

/// Zstd (RFC 8878), all frames.
fn unzstd(body: &[u8], limits: &Limits, out: &mut Vec<u8>) -> Result<(), Refusal> {
    out.clear();
    let mut frames = FrameDecoder::new();
    frames.set_max_window_size(ZSTD_WINDOW_BYTES);
    let mut rest = body;
    for _ in 0..ZSTD_FRAMES_MAX {
        let decoder = StreamingDecoder::new_with_decoder(rest, &mut frames);
        let mut decoder =
            decoder.map_err(|error| Refusal::bad(format!("the zstd body is broken: {error}")))?;
        drain(
            "zstd",
            body,
            &mut decoder,
            |d| d.get_ref().len(),
            limits,
            out,
        )?;
        rest = decoder.into_inner();
        if rest.is_empty() {
            return Ok(());
        }
    }
    Err(Refusal::too_large(format!(
        "a zstd body of more than {ZSTD_FRAMES_MAX} frames"
    )))
}

/// Reads a decoder of `body` to its end, with both limits looked at every few kilobytes. `left`
/// says how many bytes of the body it has not taken.
fn drain<D: Read>(
    name: &str,
    body: &[u8],
    decoder: &mut D,
    left: impl Fn(&D) -> usize,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    loop {
        let mut step = (&mut *decoder).take(STEP_BYTES as u64);
        let read = step
            .read_to_end(out)
            .map_err(|error| Refusal::bad(format!("the {name} body is broken: {error}")))?;
        if out.len() > limits.decoded_bytes {
            return Err(too_large(limits.decoded_bytes));
        }
        let consumed = body.len() - left(decoder);
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
