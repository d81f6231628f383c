//! A snappy block unpacked piece by piece, so that a long one needs no more memory than a short.
//!
//! What is kept behind the piece at hand is the 64 KiB that encoders refer back to: all of them
//! cut their input into blocks of that size. The format would allow more; such a block is refused
//! here, and can be sent in a shorter request.

use super::{SnappyError, declared_length, reachable};

/// Bytes back that a copy may reach.
const HISTORY: usize = 64 << 10;
/// Bytes taken before the window is moved: moving costs a copy of the history.
const MOVE_AFTER: usize = 4 * HISTORY;

/// The unpacked bytes of a block, a window of them in memory.
#[derive(Debug)]
pub(in super::super) struct Pieces<'a> {
    rest: &'a [u8],
    /// Bytes still to be unpacked.
    left: usize,
    /// Bytes of a literal still to be moved.
    literal: usize,
    window: Vec<u8>,
    /// Where in the window the bytes begin that nobody has taken.
    taken: usize,
}

impl<'a> Pieces<'a> {
    /// Begins a block that declares at most `limit` bytes. Nothing is unpacked yet.
    pub(in super::super) fn new(input: &'a [u8], limit: usize) -> Result<Self, SnappyError> {
        let (declared, rest) = declared_length(input)?;
        Ok(Self {
            left: reachable(declared, rest, limit)?,
            rest,
            literal: 0,
            window: Vec::new(),
            taken: 0,
        })
    }

    /// Unpacked and not yet taken.
    pub(in super::super) fn bytes(&self) -> &[u8] {
        &self.window[self.taken..]
    }

    /// Takes bytes from the front of [`Pieces::bytes`].
    pub(in super::super) fn take(&mut self, bytes: usize) {
        self.taken += bytes;
        debug_assert!(
            self.taken <= self.window.len(),
            "only what is there is taken"
        );
    }

    /// Unpacks until `wanted` bytes are there or the block has ended as it should.
    pub(in super::super) fn fill(&mut self, wanted: usize) -> Result<(), SnappyError> {
        if self.taken > MOVE_AFTER {
            self.window.drain(..self.taken - HISTORY);
            self.taken = HISTORY;
        }
        while self.left > 0 && self.bytes().len() < wanted {
            self.step()?;
        }
        if self.left == 0 && !(self.rest.is_empty() && self.literal == 0) {
            return Err(SnappyError::Corrupt("it runs past its declared length"));
        }
        Ok(())
    }

    /// One element, or a stretch of a long literal.
    fn step(&mut self) -> Result<(), SnappyError> {
        if self.literal > 0 {
            return self.stretch();
        }
        let tag = self.number(1)?;
        let (offset, length) = match tag & 3 {
            0 => {
                let code = tag >> 2;
                self.literal = match code {
                    0..60 => code + 1,
                    _ => self.number(code - 59)?.saturating_add(1),
                };
                return self.stretch();
            }
            1 => ((tag >> 5) << 8 | self.number(1)?, (tag >> 2 & 7) + 4),
            2 => (self.number(2)?, (tag >> 2) + 1),
            _ => (self.number(4)?, (tag >> 2) + 1),
        };
        self.copy(offset, length)
    }

    fn stretch(&mut self) -> Result<(), SnappyError> {
        let length = self.literal.min(HISTORY);
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(SnappyError::Corrupt("cut off in a literal"))?;
        self.grow(length)?;
        self.window.extend_from_slice(bytes);
        self.rest = rest;
        self.literal -= length;
        Ok(())
    }

    fn copy(&mut self, offset: usize, length: usize) -> Result<(), SnappyError> {
        if offset == 0 || offset > self.window.len() {
            return Err(SnappyError::Corrupt(
                "a copy from before the start, or from further back than a long block may reach",
            ));
        }
        self.grow(length)?;
        let from = self.window.len() - offset;
        if offset >= length {
            self.window.extend_from_within(from..from + length);
        } else {
            for i in 0..length {
                let byte = self.window[from + i];
                self.window.push(byte);
            }
        }
        Ok(())
    }

    fn grow(&mut self, length: usize) -> Result<(), SnappyError> {
        self.left = self
            .left
            .checked_sub(length)
            .ok_or(SnappyError::Corrupt("it runs past its declared length"))?;
        Ok(())
    }

    /// A little-endian number of 1 to 4 bytes.
    fn number(&mut self, bytes: usize) -> Result<usize, SnappyError> {
        let (number, rest) = self
            .rest
            .split_at_checked(bytes)
            .ok_or(SnappyError::Corrupt("it ends before its declared length"))?;
        self.rest = rest;
        Ok(number
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | usize::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(input: &[u8], step: usize) -> Result<Vec<u8>, SnappyError> {
        let mut pieces = Pieces::new(input, 64 << 20)?;
        let mut out = Vec::new();
        loop {
            pieces.fill(step)?;
            let some = pieces.bytes().len().min(step);
            if some == 0 {
                return Ok(out);
            }
            out.extend_from_slice(&pieces.bytes()[..some]);
            pieces.take(some);
        }
    }

    #[test]
    fn pieces_of_any_size_add_up_to_what_the_whole_unpacks_to() {
        // 2 MiB: a literal, then copies of it and of themselves, near and 60,000 bytes back.
        let mut block = vec![0x80, 0x80, 0x80, 0x01, 61 << 2, 0xff, 0xff];
        block.extend((0..65_536_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8));
        for i in 0..(2_097_152 - 65_536) / 64_u32 {
            let offset = [1_u16, 63, 64, 1_000, 60_000, 65_535][i as usize % 6];
            block.push(63 << 2 | 2);
            block.extend(offset.to_le_bytes());
        }
        let mut whole = Vec::new();
        super::super::decode(&block, 64 << 20, &mut whole).unwrap();
        assert_eq!(whole.len(), 2 << 20);
        for step in [1_000, 70_000, 3 << 20] {
            assert!(unpacked(&block, step).unwrap() == whole, "{step}");
        }
        assert!(unpacked(&block[..block.len() - 1], 1_000).is_err());
        block.push(0);
        assert!(unpacked(&block, 1_000).is_err());
    }

    #[test]
    fn memory_is_the_window_and_not_the_block() {
        let mut block = vec![0x80, 0x80, 0x80, 0x08, 0, b'a'];
        // 16 MiB of the letter a.
        for i in 0..(16 << 20) / 64_u32 {
            let length = if i == 0 { 62 } else { 63 };
            block.extend([length << 2 | 2, 1, 0]);
        }
        let mut pieces = Pieces::new(&block, 64 << 20).unwrap();
        let mut all = 0;
        loop {
            pieces.fill(50_000).unwrap();
            let some = pieces.bytes().len();
            all += some;
            pieces.take(some);
            assert!(pieces.window.capacity() < 1 << 20);
            if some == 0 {
                break;
            }
        }
        assert_eq!(all, 16 << 20);
    }

    #[test]
    fn a_copy_from_further_back_than_the_history_is_refused() {
        let far = b"\xff\xff\xff\x01\x00a\xfe\x02\x00";
        assert!(unpacked(far, 1).is_err());
    }
}
