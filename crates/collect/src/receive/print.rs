//! Fingerprints of label bytes, by which a repeated series is recognised without spelling it.
//!
//! NH, the universal hash under UMAC and VMAC: pairs of 64-bit words, each added to a word of a
//! random key, are multiplied to 128 bits and summed. For any two different texts of one length,
//! chosen without knowing the key, the chance over the key that they agree is at most 2^-64
//! (Black, Halevi, Krawczyk, Krovetz, Rogaway, "UMAC: fast and secure message authentication",
//! 1999, theorem 4.2, with w = 64; RFC 4418). The key is drawn when a receiver starts, never
//! leaves it, and nothing a sender can see depends on it. So a fingerprint and a length stand for
//! the bytes, and no copy of them has to be kept or fetched: at a million mistaken guesses a
//! second, one wrong answer is to be expected in half a million years.

use std::hash::{BuildHasher as _, RandomState};

/// Bytes of the longest text that has a fingerprint: usual label sets take 100 to 500.
const TEXT_BYTES_MAX: usize = 1 << 10;

/// Stands for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Print {
    halves: [u64; 2],
    /// Bytes of the text; 0 for none.
    length: u32,
}

impl Print {
    /// Bytes of the text it stands for; `None` if it stands for nothing.
    #[inline]
    pub(super) fn length(self) -> Option<usize> {
        (self.length > 0).then_some(self.length as usize)
    }
}

/// A secret key, as long as the longest text.
#[derive(Debug)]
pub(super) struct Key(Box<[[u64; 2]; TEXT_BYTES_MAX / 16]>);

impl Key {
    /// A key from the operating system's randomness, through SipHash.
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        let word = |i: usize| random.hash_one(i);
        let pair = |i: usize| [word(2 * i), word(2 * i + 1)];
        Self(Box::new(std::array::from_fn(pair)))
    }

    /// The fingerprint of a text; that of nothing if it is empty or too long to have one.
    #[inline]
    pub(super) fn print(&self, text: &[u8]) -> Print {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return Print::default();
        }
        let (chunks, rest) = text.as_chunks::<16>();
        let mut sum = 0_u128;
        for (chunk, key) in chunks.iter().zip(self.0.iter()) {
            sum = sum.wrapping_add(product(*chunk, *key));
        }
        if !rest.is_empty() {
            let mut last = [0; 16];
            last[..rest.len()].copy_from_slice(rest);
            sum = sum.wrapping_add(product(last, self.0[chunks.len()]));
        }
        Print {
            halves: [sum as u64, (sum >> 64) as u64],
            length: text.len() as u32,
        }
    }
}

#[inline]
fn product(chunk: [u8; 16], key: [u64; 2]) -> u128 {
    let wide = u128::from_le_bytes(chunk);
    let (low, high) = (wide as u64, (wide >> 64) as u64);
    u128::from(low.wrapping_add(key[0])) * u128::from(high.wrapping_add(key[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_length_count_and_keys_differ() {
        let (key, other) = (Key::random(), Key::random());
        let text = [7_u8; 200];
        let print = key.print(&text);
        assert_eq!(print, key.print(&text));
        assert_eq!(print.length(), Some(200));
        assert_ne!(print, other.print(&text));
        for i in 0..text.len() {
            let mut changed = text;
            changed[i] ^= 1;
            assert_ne!(print, key.print(&changed), "byte {i}");
            assert_ne!(print, key.print(&text[..i]), "{i} bytes");
        }
        // Zeros that fill the last words are not zeros of the text.
        assert_ne!(key.print(&[1]), key.print(&[1, 0]));
    }

    #[test]
    fn nothing_and_texts_too_long_have_none() {
        let key = Key::random();
        assert_eq!(key.print(&[]).length(), None);
        let long = [1; TEXT_BYTES_MAX + 1];
        assert_eq!(key.print(&long).length(), None);
        assert_eq!(key.print(&long[1..]).length(), Some(TEXT_BYTES_MAX));
    }
}
