//! Long requests: unpacked, read and stored in pieces, so that memory does not grow with them.
//!
//! A request has to be refused whole when its bytes cannot be read, and that is known only at its
//! end. So a long one is gone through twice: first to see that it can be read, keeping nothing,
//! then to store it, some thousand points at a time. Requests of the usual size are read once.

use super::{
    super::{
        Received, Refusal, Request,
        encoding::{check_body, is_snappy, snappy_refusal},
        intake::{Intake, Stop},
        lanes::Failed,
        protobuf::{Fields, Malformed, Value, varint},
        snappy::{Pieces, SnappyError, is_longer},
    },
    Message, Storing, v1, v2,
};

/// Unpacked bytes from which a request is long: twice what Prometheus sends with long labels.
pub(super) const LONG_BYTES: usize = 1 << 20;
/// Bytes of one field, such as a series with its samples.
const FIELD_BYTES_MAX: usize = 1 << 20;
/// Bytes of a 2.0 request's symbols, held throughout.
const SYMBOL_BYTES_MAX: usize = 2 << 20;
/// Bytes of samples after which what is there is stored: 16,384 floats.
const PIECE_BYTES: usize = 384 << 10;
/// Bytes of a field's key and length at most.
const HEAD_BYTES_MAX: usize = 20;

/// Whether a request is to be read in pieces.
pub(super) fn is_long(request: &Request<'_>) -> bool {
    is_snappy(request) && is_longer(request.body, LONG_BYTES)
}

/// Calls `each` with every field of the message in a snappy block.
fn each_field(
    body: &[u8],
    limit: usize,
    mut each: impl FnMut(u32, Value<'_>) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let mut pieces = Pieces::new(body, limit).map_err(refused)?;
    loop {
        pieces.fill(HEAD_BYTES_MAX).map_err(refused)?;
        if pieces.bytes().is_empty() {
            return Ok(());
        }
        let bytes = field_bytes(pieces.bytes()).map_err(Stop::from)?;
        if bytes > FIELD_BYTES_MAX {
            let message =
                format!("a field of a long request has more than {FIELD_BYTES_MAX} bytes");
            return Err(Refusal::too_large(message).into());
        }
        pieces.fill(bytes).map_err(refused)?;
        let whole = pieces.bytes().get(..bytes);
        let whole = whole.ok_or(Stop::from(Malformed("cut off in a field")))?;
        if let Some((number, value)) = Fields::new(whole).next().map_err(Stop::from)? {
            each(number, value)?;
        }
        pieces.take(bytes);
    }
}

/// Bytes of the field that begins here, its key and length included.
fn field_bytes(head: &[u8]) -> Result<usize, Malformed> {
    let mut rest = head;
    let key = varint(&mut rest)?;
    let content = match key & 7 {
        0 => varint(&mut rest).map(|_value| 0)?,
        1 => 8,
        2 => varint(&mut rest)?,
        _ => 4,
    };
    let content = usize::try_from(content).unwrap_or(usize::MAX);
    Ok((head.len() - rest.len()).saturating_add(content))
}

fn refused(error: SnappyError) -> Failed {
    snappy_refusal(error).into()
}

/// A request's symbols, taken out of it: the pieces they came in are gone when they are needed.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Kept {
    fn read(body: &[u8], limit: usize) -> Result<Self, Failed> {
        let mut kept = Self::default();
        each_field(body, limit, |number, value| {
            if number == 4 {
                kept.bytes
                    .extend_from_slice(value.bytes().map_err(Stop::from)?);
                kept.ends.push(kept.bytes.len() as u32);
                if kept.bytes.len() + 8 * kept.ends.len() > SYMBOL_BYTES_MAX {
                    return Err(Stop::TooLarge(SYMBOL_BYTES_MAX).into());
                }
            }
            Ok(())
        })?;
        Ok(kept)
    }

    fn slices(&self) -> Vec<&[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        let spans = starts.zip(&self.ends);
        spans
            .map(|(start, end)| &self.bytes[*start as usize..*end as usize])
            .collect()
    }
}

/// Reads all fields into an intake; after each, `relieve` may take what has gathered.
fn read(
    message: Message,
    kept: &Kept,
    body: &[u8],
    intake: &mut Intake<'_>,
    mut relieve: impl FnMut(&mut Intake<'_>) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let symbols = v2::Symbols::of(kept.slices())?;
    let mut told = v2::Told::default();
    each_field(body, intake.limits.decoded_bytes, |number, value| {
        match message {
            Message::V1 => v1::field(number, value, intake)?,
            Message::V2 => v2::field(number, value, &symbols, &mut told, intake)?,
        }
        if intake.charged() >= PIECE_BYTES {
            relieve(intake)?;
        }
        Ok(())
    })
}

/// Goes through a request without keeping anything: whether it can be read.
pub(super) fn check(
    message: Message,
    request: &Request<'_>,
    intake: &mut Intake<'_>,
) -> Result<(), Failed> {
    check_body(request, intake.limits)?;
    let kept = symbols(message, request, intake)?;
    let checked = read(message, &kept, request.body, intake, |intake| {
        intake.discard();
        Ok(())
    });
    intake.discard();
    intake.received = Received::default();
    intake.forget_families();
    checked
}

fn symbols(message: Message, request: &Request<'_>, intake: &Intake<'_>) -> Result<Kept, Failed> {
    match message {
        Message::V1 => Ok(Kept::default()),
        Message::V2 => Kept::read(request.body, intake.limits.decoded_bytes),
    }
}

/// Stores a request that has been checked, piece by piece. The last piece is left in the intake.
pub(super) fn store(
    message: Message,
    request: &Request<'_>,
    intake: &mut Intake<'_>,
    storing: &mut Storing<'_>,
) -> Result<(), Failed> {
    let kept = symbols(message, request, intake)?;
    read(message, &kept, request.body, intake, |intake| {
        let batch = std::mem::take(&mut intake.received.batch);
        let table = intake.memory.interner.table_mut();
        storing.take(table, &intake.points, &batch);
        intake.discard();
        Ok(())
    })
}
