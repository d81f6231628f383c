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

/// The body of an OTLP request, whole: plain, gzip, zstd or snappy (block).
pub(super) fn unpack<'b>(
    request: &Request<'b>,
    limits: &Limits,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8], Refusal> {
    check_body(request, limits)?;
    match encoding(request).as_str() {
        "" | "identity" => return Ok(request.body),
        "gzip" | "x-gzip" => gunzip::<Refusal>(request.body, limits, &mut whole(buffer))?,
        "zstd" => unzstd::<Refusal>(request.body, limits, &mut whole(buffer))?,
        "snappy" => unsnap(request.body, limits, buffer)?,
        other => return Err(unknown(other, TEXT_ENCODINGS)),
    }
    Ok(buffer)
}

/// The body of a text request, some kilobytes at a time (all at once if it is not packed): what is
/// held of it does not grow with it.
pub(super) fn each_step<E: From<Refusal>>(
    request: &Request<'_>,
    limits: &Limits,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    check_body(request, limits)?;
    match encoding(request).as_str() {
        "" | "identity" => take(request.body),
        "gzip" | "x-gzip" => gunzip(request.body, limits, take),
        "zstd" => unzstd(request.body, limits, take),
        "snappy" => unsnap_steps(request.body, limits, take),
        other => Err(unknown(other, TEXT_ENCODINGS).into()),
    }
}

const TEXT_ENCODINGS: &str = "gzip, zstd, snappy or identity";

/// Takes all steps into one buffer.
fn whole(buffer: &mut Vec<u8>) -> impl FnMut(&[u8]) -> Result<(), Refusal> {
    buffer.clear();
    move |step: &[u8]| {
        buffer.extend_from_slice(step);
        Ok(())
    }
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
        "zstd" => unzstd(request.body, limits, &mut whole(out)),
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

/// A snappy block, a piece at a time.
fn unsnap_steps<E: From<Refusal>>(
    body: &[u8],
    limits: &Limits,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let refused = |error| E::from(snappy_refusal(error));
    let mut pieces = snappy::Pieces::new(body, limits.decoded_bytes).map_err(refused)?;
    loop {
        pieces.fill(STEP_BYTES).map_err(refused)?;
        let bytes = pieces.bytes().len();
        if bytes == 0 {
            return Ok(());
        }
        take(pieces.bytes())?;
        pieces.take(bytes);
    }
}

/// Gzip, all members.
fn gunzip<E: From<Refusal>>(
    body: &[u8],
    limits: &Limits,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut decoder = MultiGzDecoder::new(body);
    let left = |decoder: &MultiGzDecoder<&[u8]>| decoder.get_ref().len();
    Unpacking::of("gzip", body, limits).drain(&mut decoder, left, take)
}

/// Zstd (RFC 8878), all frames.
fn unzstd<E: From<Refusal>>(
    body: &[u8],
    limits: &Limits,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut unpacking = Unpacking::of("zstd", body, limits);
    let mut frames = FrameDecoder::new();
    frames.set_max_window_size(ZSTD_WINDOW_BYTES);
    let mut rest = body;
    for _ in 0..ZSTD_FRAMES_MAX {
        let decoder = StreamingDecoder::new_with_decoder(rest, &mut frames);
        let mut decoder =
            decoder.map_err(|error| Refusal::bad(format!("the zstd body is broken: {error}")))?;
        unpacking.drain(&mut decoder, |d| d.get_ref().len(), take)?;
        rest = decoder.into_inner();
        if rest.is_empty() {
            return Ok(());
        }
    }
    let message = format!("a zstd body of more than {ZSTD_FRAMES_MAX} frames");
    Err(Refusal::too_large(message).into())
}

/// A body on its way out of its packing.
struct Unpacking<'l> {
    name: &'static str,
    /// Bytes of the body.
    packed: usize,
    limits: &'l Limits,
    /// Bytes unpacked so far.
    unpacked: usize,
    step: Vec<u8>,
}

impl<'l> Unpacking<'l> {
    fn of(name: &'static str, body: &[u8], limits: &'l Limits) -> Self {
        Self {
            name,
            packed: body.len(),
            limits,
            unpacked: 0,
            step: Vec::with_capacity(STEP_BYTES),
        }
    }

    /// Reads a decoder of the body to its end, with both limits looked at every few kilobytes.
    /// `left` says how many bytes of the body it has not taken.
    fn drain<D: Read, E: From<Refusal>>(
        &mut self,
        decoder: &mut D,
        left: impl Fn(&D) -> usize,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            self.step.clear();
            let mut step = (&mut *decoder).take(STEP_BYTES as u64);
            let read = step.read_to_end(&mut self.step).map_err(|error| {
                Refusal::bad(format!("the {} body is broken: {error}", self.name))
            })?;
            self.unpacked += read;
            self.look(self.packed - left(decoder))?;
            if read == 0 {
                return Ok(());
            }
            take(&self.step)?;
        }
    }

    /// Refuses what is too long, or too much for so many bytes of the body.
    fn look(&self, consumed: usize) -> Result<(), Refusal> {
        let (limits, ratio) = (self.limits, self.limits.ratio);
        if self.unpacked > limits.decoded_bytes {
            return Err(too_large(limits.decoded_bytes));
        }
        if self.unpacked > RATIO_FREE_BYTES + consumed.saturating_mul(ratio) {
            let message = format!("the body unpacks to more than {ratio} times its size");
            return Err(Refusal::too_large(message));
        }
        Ok(())
    }
}
