//! Walks over a log segment past damage, for those who look after a store.
//!
//! Opening stops at the first frame that does not check ([`crate::wal`]). Here the walk goes on:
//! behind a frame whose payload is bad at the next one, behind a length that is bad at the next
//! place within [`RESYNC_BYTES`] where a frame checks. A checksum of 32 bits and a record that
//! decodes make a chance find one in billions.

use std::io;

use crate::{
    carry::{CARRIED, Spelled},
    disk::Disk,
    log::{FRAME_HEAD, frame_in, frame_is_cut},
    record::{BATCH, Incoming},
    varint::Reader,
    wal,
};

/// How far behind a bad length the next frame is looked for. Batches are mostly far shorter.
const RESYNC_BYTES: usize = 1 << 20;

/// What is found in a segment, in order.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    /// A record, and its whole frame.
    Batch(Incoming, &'a [u8]),
    /// Bytes that are nothing.
    Bad {
        bytes: u64,
        what: &'static str,
        /// They end the file, as a crash or a writer at work leaves them.
        torn: bool,
    },
}

/// All bytes of a segment, or of any file of that size: bounded by `Config::wal_bytes_max`.
pub(crate) fn load(disk: &dyn Disk, name: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(name)?;
    let mut bytes = vec![0; usize::try_from(file.bytes()).unwrap_or(usize::MAX)];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Gives every record and every damage of a segment, each with its position.
pub(crate) fn scan(bytes: &[u8], segment: u64, each: &mut dyn FnMut(u64, Item<'_>)) {
    let head = wal::MAGIC.len();
    let magic = bytes.get(..head);
    if magic != Some(wal::MAGIC) && magic != Some(wal::MAGIC_1) {
        let known = head.min(bytes.len());
        each(
            0,
            bad(
                known,
                "not a log segment, or of another version",
                bytes.len() < head,
            ),
        );
    }
    let mut at = head;
    let mut first = true;
    let mut carried = Spelled::default();
    while at < bytes.len() {
        let rest = &bytes[at..];
        let Some(payload) = frame_in(rest) else {
            at += skip(rest, at, each);
            first = false;
            continue;
        };
        let length = FRAME_HEAD + payload.len();
        let numbered = first && Reader::new(payload).u64() == Some(segment);
        let record = match payload.first() {
            Some(&CARRIED) => carried.decode(payload),
            _ => Incoming::decode(payload),
        };
        match record {
            _ if numbered => {}
            Some(record) => each(at as u64, Item::Batch(record, &rest[..length])),
            None => each(
                at as u64,
                bad(length, "a record that cannot be read", false),
            ),
        }
        first = false;
        at += length;
    }
}

fn bad(bytes: usize, what: &'static str, torn: bool) -> Item<'static> {
    Item::Bad {
        bytes: bytes as u64,
        what,
        torn,
    }
}

/// Reports what is bad at the front of `rest`; how long it is.
fn skip(rest: &[u8], at: usize, each: &mut dyn FnMut(u64, Item<'_>)) -> usize {
    let zeros = rest.iter().all(|b| *b == 0);
    let bytes = next_frame(rest).unwrap_or(rest.len());
    let torn = bytes == rest.len() && (zeros || frame_is_cut(rest));
    let what = if torn {
        "the file ends within a record"
    } else {
        "a record does not check"
    };
    each(at as u64, bad(bytes, what, torn));
    bytes
}

/// Where the next frame that checks starts, behind a bad one at the front.
fn next_frame(rest: &[u8]) -> Option<usize> {
    let starts = |at: usize| {
        let rest = rest.get(at..)?;
        let kind = rest.get(FRAME_HEAD).copied();
        let known = kind == Some(BATCH) || kind == Some(CARRIED);
        (known && frame_in(rest).is_some()).then_some(at)
    };
    let length = rest.first_chunk::<4>().map(|l| u32::from_le_bytes(*l));
    let behind = length.and_then(|l| FRAME_HEAD.checked_add(l as usize));
    if let Some(at) = behind.filter(|at| *at == rest.len()) {
        return Some(at);
    }
    behind
        .and_then(starts)
        .or_else(|| (1..rest.len().min(RESYNC_BYTES)).find_map(starts))
}
