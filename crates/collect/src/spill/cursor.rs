//! How far the queue has been sent: `CURSOR`, 28 bytes written in place. It is a hint: when it is
//! lost or torn, more is sent again than needed, which does no harm.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::Position;

const MAGIC: &[u8; 8] = b"AUSECUR\x01";
const BYTES: usize = 28;

pub(super) fn write(file: &File, position: Position) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&position.segment.to_le_bytes());
    bytes.extend_from_slice(&position.offset.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    file.write_all_at(&bytes, 0)
}

/// `None` when there is none that checks.
pub(super) fn read(file: &File) -> io::Result<Option<Position>> {
    if file.metadata()?.len() < BYTES as u64 {
        return Ok(None);
    }
    let mut bytes = [0; BYTES];
    file.read_exact_at(&mut bytes, 0)?;
    let (said, check) = bytes.split_at(BYTES - 4);
    let number = |at: usize| {
        let bytes = said[at..at + 8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes)
    };
    let sound = said.starts_with(MAGIC) && crc32c::crc32c(said).to_le_bytes() == check;
    Ok(sound.then(|| Position {
        segment: number(8),
        offset: number(16),
    }))
}
