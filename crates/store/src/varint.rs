//! Integers in as few bytes as they need: LEB128, zigzag for signed ones, and floats with their
//! bytes reversed (the low mantissa bytes of everyday values are zero).

/// Appends `value` as LEB128: 7 bits a byte, low group first.
pub(crate) fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer: small magnitudes of either sign are short.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, zigzag(value));
}

/// Appends a float's bits: 2-4 bytes for small integers, 10 at most.
pub(crate) fn put_f64(out: &mut Vec<u8>, value: f64) {
    put_u64(out, value.to_bits().swap_bytes());
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// 0, -1, 1, -2 … as 0, 1, 2, 3 ….
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Takes values off the front of a slice; `None` once the bytes do not hold what is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    /// Everything not yet taken.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Up to eight bytes are looked at as one word.
    #[inline]
    pub(crate) fn u64(&mut self) -> Option<u64> {
        const ENDS: u64 = 0x8080_8080_8080_8080;
        let Some(word) = self.rest.first_chunk::<8>() else {
            return self.u64_by_bytes();
        };
        let word = u64::from_le_bytes(*word);
        let ends = !word & ENDS;
        if ends == 0 {
            return self.u64_by_bytes();
        }
        let bits = ends.trailing_zeros() + 1;
        self.rest = &self.rest[bits as usize / 8..];
        Some(joined(word & !ENDS & (u64::MAX >> (64 - bits))))
    }

    fn u64_by_bytes(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let group = u64::from(byte & 0x7F);
            if shift == 63 && group > 1 {
                return None;
            }
            value |= group << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Passes over an integer or a float.
    #[inline]
    pub(crate) fn skip(&mut self) -> Option<()> {
        const ENDS: u64 = 0x8080_8080_8080_8080;
        let ends = self
            .rest
            .first_chunk::<8>()
            .map_or(0, |word| !u64::from_le_bytes(*word) & ENDS);
        let length = match ends {
            0 => 1 + self.rest.iter().take(10).position(|b| *b < 0x80)?,
            ends => 1 + ends.trailing_zeros() as usize / 8,
        };
        self.rest = &self.rest[length..];
        Some(())
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        u32::try_from(self.u64()?).ok()
    }

    pub(crate) fn usize(&mut self) -> Option<usize> {
        usize::try_from(self.u64()?).ok()
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.u64().map(unzigzag)
    }

    pub(crate) fn f64(&mut self) -> Option<f64> {
        self.u64().map(|bits| f64::from_bits(bits.swap_bytes()))
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }

    /// A length and that many bytes, as [`put_bytes`] wrote them.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.usize()?;
        self.take(count)
    }

    /// A count of things that take at least one byte each: never more than bytes are left, so
    /// that a wrong count cannot ask for memory.
    pub(crate) fn count(&mut self) -> Option<usize> {
        self.usize().filter(|n| *n <= self.rest.len())
    }
}

/// The groups of seven bits of eight bytes as one number: pairs of groups, pairs of those, all.
fn joined(groups: u64) -> u64 {
    let pairs = groups & 0x007F_007F_007F_007F | (groups & 0x7F00_7F00_7F00_7F00) >> 1;
    let fours = pairs & 0x0000_3FFF_0000_3FFF | (pairs & 0x3FFF_0000_3FFF_0000) >> 2;
    fours & 0x0FFF_FFFF | (fours & 0x0FFF_FFFF_0000_0000) >> 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop::collection::vec, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn every_number_reads_back(u in any::<u64>(), i in any::<i64>(), f in any::<u64>()) {
            let mut out = Vec::new();
            put_u64(&mut out, u);
            put_i64(&mut out, i);
            put_f64(&mut out, f64::from_bits(f));
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.u64(), Some(u));
            prop_assert_eq!(reader.i64(), Some(i));
            prop_assert_eq!(reader.f64().map(f64::to_bits), Some(f));
            prop_assert_eq!(reader.u8(), None);
        }

        #[test]
        fn words_read_as_bytes_do(bytes in vec(any::<u8>(), 0..12), high in any::<u8>()) {
            // Most bytes go on: numbers of all lengths, also such that never end.
            let bytes: Vec<u8> = bytes.iter().map(|b| b | (high & 0x80)).collect();
            for at in 0..bytes.len() {
                let (mut words, mut single) = (Reader::new(&bytes[at..]), Reader::new(&bytes[at..]));
                prop_assert_eq!(words.u64(), single.u64_by_bytes());
                if words.len() != single.len() {
                    // Where there is no number nobody goes on.
                    prop_assert_eq!(Reader::new(&bytes[at..]).u64(), None);
                }
            }
        }
    }

    #[test]
    fn overlong_numbers_and_lengths_beyond_the_end_are_refused() {
        assert_eq!(Reader::new(&[0xFF; 10]).u64(), None);
        assert_eq!(Reader::new(&[0x80]).u64(), None);
        assert_eq!(Reader::new(&[5, 1, 2]).bytes(), None);
        assert_eq!(Reader::new(&[5, 1, 2]).count(), None);
    }

    #[test]
    fn everyday_values_are_short() {
        for (value, most) in [(0.0, 1), (1.0, 3), (100.0, 3), (4096.0, 3), (0.1, 10)] {
            let mut out = Vec::new();
            put_f64(&mut out, value);
            assert!(out.len() <= most, "{value} took {}", out.len());
        }
    }
}
