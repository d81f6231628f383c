//! A stream of bits, most significant first, that can be read while it grows.

/// Appends bits; whole words go to `bytes`, the rest waits in `word`.
#[derive(Debug, Default, Clone)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    word: u64,
    used: u8,
}

impl BitWriter {
    /// Appends the low `count` (1 to 64) bits of `bits`; higher bits must be zero.
    pub(crate) fn put(&mut self, bits: u64, count: u32) {
        debug_assert!((1..=64).contains(&count) && (count == 64 || bits >> count == 0));
        let free = 64 - u32::from(self.used);
        if count < free {
            self.word |= bits << (free - count);
            self.used += count as u8;
            return;
        }
        let over = count - free;
        self.spill(self.word | (bits >> over));
        self.word = if over == 0 { 0 } else { bits << (64 - over) };
        self.used = over as u8;
    }

    /// Grows by a quarter, not by half: there is one writer for each active series.
    fn spill(&mut self, word: u64) {
        if self.bytes.capacity() - self.bytes.len() < 8 {
            self.bytes.reserve_exact((self.bytes.len() / 4).max(24));
        }
        self.bytes.extend_from_slice(&word.to_be_bytes());
    }

    /// All bits so far, padded with zeros to a whole byte.
    pub(crate) fn copy_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
        let tail = usize::from(self.used).div_ceil(8);
        out.extend_from_slice(&self.word.to_be_bytes()[..tail]);
    }

    /// Memory held beyond the struct itself, bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Reads what a [`BitWriter`] wrote.
#[derive(Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` (1 to 64) bits; `None` beyond the end.
    pub(crate) fn take(&mut self, count: u32) -> Option<u64> {
        if count > 56 {
            let high = self.take(count - 32)?;
            return Some(high << 32 | self.take(32)?);
        }
        let end = self.at + count as usize;
        if end > self.bytes.len() * 8 {
            return None;
        }
        let word = self.window(self.at / 8) << (self.at % 8);
        self.at = end;
        Some(word >> (64 - count))
    }

    /// Eight bytes from `start`, zeros beyond the end.
    fn window(&self, start: usize) -> u64 {
        if let Some(bytes) = self.bytes[start..].first_chunk::<8>() {
            return u64::from_be_bytes(*bytes);
        }
        let mut padded = [0; 8];
        let rest = &self.bytes[start..];
        padded[..rest.len()].copy_from_slice(rest);
        u64::from_be_bytes(padded)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop::collection::vec, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn bits_read_back_in_order(fields in vec((any::<u64>(), 1u32..=64), 0..200)) {
            let mut writer = BitWriter::default();
            let cut = |bits: u64, n: u32| bits >> (64 - n);
            for (bits, n) in &fields {
                writer.put(cut(*bits, *n), *n);
            }
            let mut bytes = Vec::new();
            writer.copy_to(&mut bytes);
            let mut reader = BitReader::new(&bytes);
            for (bits, n) in &fields {
                prop_assert_eq!(reader.take(*n), Some(cut(*bits, *n)));
            }
            prop_assert_eq!(reader.take(8), None);
        }
    }
}
