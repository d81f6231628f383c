//! One file of the spill: magic, then frames of length, CRC-32C and payload, as in the store's
//! log (`docs/formats/README.md`). A frame that does not check ends the file.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// What a segment begins with; the last byte is the version.
pub(super) const MAGIC: &[u8; 8] = b"AUSESPL\x01";
/// Bytes in front of each payload.
const HEAD: usize = 8;
/// A longer frame is damage, not data.
pub(super) const PAYLOAD_MAX: usize = 1 << 28;

/// The file of a segment.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("spill-{number:010}.seg"))
}

/// The number of a segment's file; `None` for other files.
pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("spill-")?.strip_suffix(".seg")?;
    digits.parse().ok().filter(|_| digits.len() == 10)
}

/// Appends a frame whose payload `fill` writes.
pub(super) fn put_frame(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    fill(out);
    let length = ((out.len() - start - HEAD) as u32).to_le_bytes();
    let check = check(length, &out[start + HEAD..]).to_le_bytes();
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..start + HEAD].copy_from_slice(&check);
}

fn check(length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}

/// The payload of the frame at an offset and where the next one begins; `None` where no frame
/// that checks ends at or before `end`.
pub(super) fn frame(file: &File, at: u64, end: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
    if end.saturating_sub(at) < HEAD as u64 {
        return Ok(None);
    }
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, at)?;
    let (length, said) = head.split_at(4);
    let length: [u8; 4] = length.try_into().expect("four bytes");
    let bytes = u32::from_le_bytes(length) as usize;
    let next = at + (HEAD + bytes) as u64;
    if bytes > PAYLOAD_MAX || next > end {
        return Ok(None);
    }
    let mut payload = vec![0; bytes];
    file.read_exact_at(&mut payload, at + HEAD as u64)?;
    Ok((check(length, &payload).to_le_bytes() == said).then_some((payload, next)))
}

/// Whether a file begins as a segment does.
pub(super) fn begins_well(file: &File) -> io::Result<bool> {
    if file.metadata()?.len() < MAGIC.len() as u64 {
        return Ok(false);
    }
    let mut magic = [0; MAGIC.len()];
    file.read_exact_at(&mut magic, 0)?;
    Ok(&magic == MAGIC)
}
