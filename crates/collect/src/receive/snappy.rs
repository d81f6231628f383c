//! Snappy block decompression, bounded before it allocates.
//!
//! The block format is a varint with the decoded length, then literals and copies from what was
//! decoded before. A copy yields at most 64 bytes for 3, so a length that the bytes at hand
//! cannot reach is refused without allocating anything; this is what stops the 11-byte bombs.
//! Spec: <https://github.com/google/snappy/blob/main/format_description.txt>.

mod pieces;

use thiserror::Error;

pub(super) use pieces::Pieces;

/// Why bytes are not a snappy block we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SnappyError {
    /// The streaming format, which remote write forbids.
    #[error("snappy in the framed format; the block format is wanted")]
    Framed,
    /// The length it declares is over the limit.
    #[error("declares {declared} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Bytes declared.
        declared: u64,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not snappy, or cut off.
    #[error("not a snappy block: {0}")]
    Corrupt(&'static str),
}

/// What the framed format begins with.
const FRAMED_MAGIC: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// Bytes of a literal moved at once where there is room to write past its end.
const STRIDE: usize = 16;
/// The longest copy, as six bits say it.
const COPY_MAX: usize = 64;

/// Decodes one block into `out`, replacing what it held. Allocates at most the declared length,
/// and that only if it is within `limit` and the input is long enough to reach it.
pub fn decode(input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), SnappyError> {
    let length =
        declared_length(input).and_then(|(n, rest)| Ok((reachable(n, rest, limit)?, rest)));
    let (length, rest) = length.inspect_err(|_refused| out.clear())?;
    // What lies in the buffer is overwritten: only where it grows does it have to be filled.
    out.resize(length, 0);
    let decoded = Block { rest, at: 0 }.unpack(out);
    if decoded.is_err() {
        out.clear();
    }
    decoded
}

/// The declared length, if it is within the limit and the bytes at hand can reach it.
fn reachable(declared: u64, rest: &[u8], limit: usize) -> Result<usize, SnappyError> {
    let length = usize::try_from(declared).unwrap_or(usize::MAX);
    if length > limit {
        return Err(SnappyError::TooLarge { declared, limit });
    }
    if length > (rest.len() / 3 + 1).saturating_mul(64) {
        return Err(SnappyError::Corrupt(
            "it declares more bytes than it can hold",
        ));
    }
    Ok(length)
}

/// Whether a block says that it unpacks to more than so many bytes.
pub(super) fn is_longer(input: &[u8], bytes: usize) -> bool {
    declared_length(input).is_ok_and(|(declared, _)| declared > bytes as u64)
}

/// Bytes the block says it unpacks to, and what follows that number.
fn declared_length(input: &[u8]) -> Result<(u64, &[u8]), SnappyError> {
    if input.starts_with(FRAMED_MAGIC) {
        return Err(SnappyError::Framed);
    }
    let mut value = 0_u64;
    for (i, byte) in input.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            if value > u64::from(u32::MAX) {
                break;
            }
            return Ok((value, &input[i + 1..]));
        }
    }
    Err(SnappyError::Corrupt("no length"))
}

struct Block<'a> {
    rest: &'a [u8],
    at: usize,
}

impl Block<'_> {
    fn unpack(&mut self, out: &mut [u8]) -> Result<(), SnappyError> {
        while let Some((&tag, rest)) = self.rest.split_first() {
            self.rest = rest;
            match tag & 3 {
                0 => self.literal(usize::from(tag >> 2), out)?,
                1 => {
                    let low = self.number(1)?;
                    let offset = usize::from(tag >> 5) << 8 | low;
                    self.copy(offset, usize::from(tag >> 2 & 7) + 4, out)?;
                }
                2 => {
                    let offset = self.number(2)?;
                    self.copy(offset, usize::from(tag >> 2) + 1, out)?;
                }
                _ => {
                    let offset = self.number(4)?;
                    self.copy(offset, usize::from(tag >> 2) + 1, out)?;
                }
            }
        }
        if self.at == out.len() {
            Ok(())
        } else {
            Err(SnappyError::Corrupt("it ends before its declared length"))
        }
    }

    /// A little-endian number of 1 to 4 bytes.
    fn number(&mut self, bytes: usize) -> Result<usize, SnappyError> {
        let (number, rest) = self
            .rest
            .split_at_checked(bytes)
            .ok_or(SnappyError::Corrupt("cut off in a tag"))?;
        self.rest = rest;
        Ok(number
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | usize::from(*byte)))
    }

    fn literal(&mut self, code: usize, out: &mut [u8]) -> Result<(), SnappyError> {
        let length = match code {
            0..60 => code + 1,
            _ => self.number(code - 59)?.saturating_add(1),
        };
        let room = self.room(length, out)?;
        if length <= STRIDE
            && room >= STRIDE
            && let Some(chunk) = self.rest.first_chunk::<STRIDE>()
        {
            out[self.at..self.at + STRIDE].copy_from_slice(chunk);
            self.rest = &self.rest[length..];
        } else {
            let (bytes, rest) = self
                .rest
                .split_at_checked(length)
                .ok_or(SnappyError::Corrupt("cut off in a literal"))?;
            out[self.at..self.at + length].copy_from_slice(bytes);
            self.rest = rest;
        }
        self.at += length;
        Ok(())
    }

    fn copy(&mut self, offset: usize, length: usize, out: &mut [u8]) -> Result<(), SnappyError> {
        if offset == 0 || offset > self.at {
            return Err(SnappyError::Corrupt("a copy from before the start"));
        }
        let room = self.room(length, out)?;
        let (from, at) = (self.at - offset, self.at);
        if offset >= length && room >= COPY_MAX {
            // Of what is read, the length asked for is final; what is written too far is
            // overwritten next. A move of fixed size takes a few instructions.
            let chunk: [u8; COPY_MAX] = *out[from..]
                .first_chunk()
                .expect("the source ends before the target");
            out[at..at + COPY_MAX].copy_from_slice(&chunk);
        } else if offset >= length {
            out.copy_within(from..from + length, at);
        } else {
            for i in 0..length {
                out[at + i] = out[from + i];
            }
        }
        self.at += length;
        Ok(())
    }

    /// How many bytes may still be written; at least `length`.
    fn room(&self, length: usize, out: &[u8]) -> Result<usize, SnappyError> {
        let room = out.len() - self.at;
        if length > room {
            return Err(SnappyError::Corrupt("it runs past its declared length"));
        }
        Ok(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(input: &[u8]) -> Result<Vec<u8>, SnappyError> {
        let mut out = vec![1, 2, 3];
        decode(input, 1 << 20, &mut out).map(|()| out)
    }

    #[test]
    fn blocks_of_the_format_description_decode() {
        assert_eq!(decoded(&[0]), Ok(vec![]));
        assert_eq!(decoded(b"\x03\x08abc"), Ok(b"abc".to_vec()));
        // "The string xababab would be a literal xab and a copy of length 4 at offset 2."
        assert_eq!(decoded(b"\x07\x08xab\x01\x02"), Ok(b"xababab".to_vec()));
        assert_eq!(decoded(b"\x07\x08xab\x0e\x02\x00"), Ok(b"xababab".to_vec()));
        let four = b"\x07\x08xab\x0f\x02\x00\x00\x00";
        assert_eq!(decoded(four), Ok(b"xababab".to_vec()));
    }

    #[test]
    fn long_literals_and_overlapping_copies_at_every_distance() {
        for distance in 1..40_usize {
            let seed: Vec<u8> = (0..distance as u8).collect();
            let mut block = vec![(distance + 60 + 64) as u8];
            block.extend([60 << 2, distance as u8 - 1]);
            block.extend(&seed);
            block.extend([
                59 << 2 | 2,
                distance as u8,
                0,
                63 << 2 | 2,
                distance as u8,
                0,
            ]);
            // 124 to 163 bytes: past 127 the length takes a second byte.
            if block[0] > 127 {
                block.splice(0..1, [block[0], 1]);
            }
            let want: Vec<u8> = seed.iter().copied().cycle().take(distance + 124).collect();
            assert_eq!(decoded(&block), Ok(want), "distance {distance}");
        }
    }

    #[test]
    fn a_bomb_of_eleven_bytes_is_refused_before_allocating() {
        let bomb = b"\xff\xff\xff\xff\x0f\x00a\xfe\x01\x00\xfe";
        let mut out = Vec::new();
        let refused = decode(bomb, 64 << 20, &mut out);
        assert_eq!(
            refused,
            Err(SnappyError::TooLarge {
                declared: 0xffff_ffff,
                limit: 64 << 20
            })
        );
        let refused = decode(b"\x80\x80\x80\x10\x00a\xfe\x01\x00", 64 << 20, &mut out);
        assert!(matches!(refused, Err(SnappyError::Corrupt(_))));
        assert_eq!(out.capacity(), 0);
    }

    #[test]
    fn bad_blocks_are_refused() {
        for bad in [
            &b""[..],
            b"\x80",
            b"\x80\x80\x80\x80\x80\x01",
            b"\xff\xff\xff\xff\x1f",
            b"\x04\x08abc",
            b"\x02\x08abc",
            b"\x03\x08ab",
            b"\x05\x00a\x01\x00",
            b"\x05\x00a\x01\x02",
            b"\x05\x00a\x01",
            b"\x05\x00a\x02\x01",
            b"\x05\xf0",
            b"\x05\xfc\xff\xff\xff\xff",
        ] {
            assert!(
                matches!(decoded(bad), Err(SnappyError::Corrupt(_))),
                "{bad:x?}"
            );
        }
        let framed = b"\xff\x06\x00\x00sNaPpY\x01\x04\x00\x00abcd";
        assert_eq!(decoded(framed), Err(SnappyError::Framed));
    }
}
