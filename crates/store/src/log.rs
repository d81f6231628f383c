//! Checksummed records, one after another in a file: the frame under the WAL and the MANIFEST.
//!
//! A file is 8 bytes of magic and version, then frames: `u32 LE` length, `u32 LE` CRC-32C over
//! length and payload, payload. A frame that does not check ends the file: after a crash that is
//! the torn tail.

use std::{io, sync::Arc};

use crate::disk::ReadFile;

/// Bytes in front of each payload.
pub(crate) const FRAME_HEAD: usize = 8;
/// A longer frame is damage, not data.
pub(crate) const PAYLOAD_MAX: usize = 1 << 28;
/// Bytes read at a time.
const READ_BYTES: usize = 1 << 18;

/// Appends a frame whose payload `fill` writes.
pub(crate) fn put_frame(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD]);
    fill(out);
    let length = ((out.len() - start - FRAME_HEAD) as u32).to_le_bytes();
    let check = checksum(length, &out[start + FRAME_HEAD..]).to_le_bytes();
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..start + 8].copy_from_slice(&check);
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}

/// The payload of the frame that `bytes` begin with, if there is one and it checks.
pub(crate) fn frame_in(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (check, rest) = rest.split_first_chunk::<4>()?;
    let payload = rest.get(..u32::from_le_bytes(*length) as usize)?;
    (checksum(*length, payload) == u32::from_le_bytes(*check)).then_some(payload)
}

/// Whether `bytes` are the beginning of a frame that is longer than they are.
pub(crate) fn frame_is_cut(bytes: &[u8]) -> bool {
    match bytes.first_chunk::<4>() {
        None => true,
        Some(length) => {
            let length = u32::from_le_bytes(*length) as usize;
            length <= PAYLOAD_MAX && bytes.len() < FRAME_HEAD + length
        }
    }
}

/// Reads the frames of a file in order, a window of it in memory.
#[derive(Debug)]
pub(crate) struct Frames {
    file: Arc<dyn ReadFile>,
    window: Vec<u8>,
    /// Where the window starts in the file.
    window_at: u64,
    /// Where the next frame starts in the file.
    at: u64,
}

/// What comes next in the file.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// A frame that checks.
    Payload(&'a [u8]),
    /// The end, exactly after a frame.
    End,
    /// Bytes that are no frame, from [`Frames::at`] on.
    Damage,
}

impl Frames {
    /// Frames after the magic; `None` if the file does not start with it.
    pub(crate) fn open(file: Arc<dyn ReadFile>, magic: &[u8; 8]) -> io::Result<Option<Self>> {
        let mut frames = Self {
            file,
            window: Vec::new(),
            window_at: 0,
            at: 0,
        };
        let found = frames
            .load(magic.len())?
            .is_some_and(|bytes| bytes == magic);
        frames.at = magic.len() as u64;
        Ok(found.then_some(frames))
    }

    /// Position of the next frame.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn next(&mut self) -> io::Result<Next<'_>> {
        if self.at == self.file.bytes() {
            return Ok(Next::End);
        }
        let Some(head) = self.load(FRAME_HEAD)? else {
            return Ok(Next::Damage);
        };
        let (length, check) = (head[..4].try_into(), head[4..8].try_into());
        let length: [u8; 4] = length.expect("four bytes");
        let check = u32::from_le_bytes(check.expect("four bytes"));
        let bytes = u32::from_le_bytes(length) as usize;
        if bytes > PAYLOAD_MAX {
            return Ok(Next::Damage);
        }
        let Some(frame) = self.load(FRAME_HEAD + bytes)? else {
            return Ok(Next::Damage);
        };
        if checksum(length, &frame[FRAME_HEAD..]) != check {
            return Ok(Next::Damage);
        }
        let start = (self.at - self.window_at) as usize + FRAME_HEAD;
        self.at += (FRAME_HEAD + bytes) as u64;
        Ok(Next::Payload(&self.window[start..start + bytes]))
    }

    /// The next `bytes` bytes, or `None` if the file is shorter.
    fn load(&mut self, bytes: usize) -> io::Result<Option<&[u8]>> {
        let left = self.file.bytes() - self.at;
        if left < bytes as u64 {
            return Ok(None);
        }
        let have = (self.window_at + self.window.len() as u64).saturating_sub(self.at);
        if have < bytes as u64 {
            let take = (bytes.max(READ_BYTES) as u64).min(left) as usize;
            self.window.resize(take, 0);
            self.file.read_at(self.at, &mut self.window)?;
            self.window_at = self.at;
        }
        let start = (self.at - self.window_at) as usize;
        Ok(Some(&self.window[start..start + bytes]))
    }
}
