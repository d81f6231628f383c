//! The open chunk: times as deltas of deltas, values as XORs with their predecessor, bit by bit,
//! readable while it grows.
//!
//! Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015, with
//! other bucket widths for times (ours are milliseconds). 100, 160, 220 (ms) cost 64 + 11 + 1
//! bits; an unchanged value costs 1 bit.

use super::bits::{BitReader, BitWriter};
use crate::varint::{unzigzag, zigzag};

/// Widths of the buckets for a delta of deltas, after prefixes 10, 110, 1110, 1111.
const TIME_BITS: [u32; 4] = [7, 11, 20, 64];

/// What the coding of the next value depends on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct XorState {
    last: u64,
    lead: u8,
    /// Width of the window of significant bits; 0 before the first.
    width: u8,
}

impl XorState {
    /// State after a first value, which is stored plain.
    pub(crate) fn starting(first: u64) -> Self {
        Self {
            last: first,
            lead: 0,
            width: 0,
        }
    }

    pub(crate) fn put(&mut self, out: &mut BitWriter, bits: u64) {
        let xor = bits ^ self.last;
        self.last = bits;
        if xor == 0 {
            out.put(0, 1);
            return;
        }
        let lead = xor.leading_zeros().min(31);
        let trail = xor.trailing_zeros();
        let (old_lead, old_width) = (u32::from(self.lead), u32::from(self.width));
        let fits = old_width > 0 && lead >= old_lead && trail >= 64 - old_lead - old_width;
        let width = 64 - lead - trail;
        // A window far too wide costs more than announcing a new one (11 bits).
        if fits && old_width < width + 11 {
            out.put(0b10, 2);
            out.put(xor >> (64 - old_lead - old_width), old_width);
            return;
        }
        out.put(0b11, 2);
        out.put(u64::from(lead), 5);
        out.put(u64::from(width - 1), 6);
        out.put(xor >> trail, width);
        (self.lead, self.width) = (lead as u8, width as u8);
    }

    pub(crate) fn take(&mut self, from: &mut BitReader<'_>) -> Option<u64> {
        if from.take(1)? == 1 {
            if from.take(1)? == 1 {
                self.lead = from.take(5)? as u8;
                self.width = from.take(6)? as u8 + 1;
            }
            let (lead, width) = (u32::from(self.lead), u32::from(self.width));
            if width == 0 || lead + width > 64 {
                return None;
            }
            self.last ^= from.take(width)? << (64 - lead - width);
        }
        Some(self.last)
    }
}

/// A run of samples that can still grow. Times rise strictly.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenChunk {
    bits: BitWriter,
    xor: XorState,
    count: u32,
    first_ms: i64,
    last_ms: i64,
    delta: i64,
}

impl OpenChunk {
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// First and last time; meaningless while empty.
    pub(crate) fn span_ms(&self) -> (i64, i64) {
        (self.first_ms, self.last_ms)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.bits.heap_bytes()
    }

    /// Appends a sample later than the last.
    pub(crate) fn push(&mut self, time_ms: i64, value: f64) {
        debug_assert!(self.count == 0 || time_ms > self.last_ms);
        let bits = value.to_bits();
        if self.count == 0 {
            self.first_ms = time_ms;
            self.delta = 0;
            self.xor = XorState::starting(bits);
            self.bits.put(bits, 64);
        } else {
            let delta = time_ms.wrapping_sub(self.last_ms);
            put_time(&mut self.bits, delta.wrapping_sub(self.delta));
            self.xor.put(&mut self.bits, bits);
            self.delta = delta;
        }
        self.last_ms = time_ms;
        self.count += 1;
    }

    /// The newest sample, if there is one.
    pub(crate) fn last(&self) -> Option<(i64, f64)> {
        (self.count > 0).then(|| (self.last_ms, f64::from_bits(self.xor.last)))
    }

    /// Appends all samples to the columns, with `room` for the bits, whatever it holds.
    pub(crate) fn read(&self, times: &mut Vec<i64>, values: &mut Vec<f64>, room: &mut Vec<u8>) {
        room.clear();
        room.reserve(self.bits.heap_bytes() + 8 + PADDING);
        self.bits.copy_to(room);
        room.extend_from_slice(&[0; PADDING]);
        times.reserve(self.count());
        values.reserve(self.count());
        decode(room, self.first_ms, self.count(), times, values)
            .expect("an open chunk reads back what was pushed");
    }
}

fn put_time(out: &mut BitWriter, change: i64) {
    let code = zigzag(change);
    if code == 0 {
        out.put(0, 1);
    } else if code < 1 << TIME_BITS[0] {
        out.put(0b10 << TIME_BITS[0] | code, 2 + TIME_BITS[0]);
    } else if code < 1 << TIME_BITS[1] {
        out.put(0b110 << TIME_BITS[1] | code, 3 + TIME_BITS[1]);
    } else if code < 1 << TIME_BITS[2] {
        out.put(0b1110 << TIME_BITS[2] | code, 4 + TIME_BITS[2]);
    } else {
        out.put(0b1111, 4);
        out.put(code, TIME_BITS[3]);
    }
}

/// Zeros behind the bits that are decoded: a look at the next bits never meets the end.
const PADDING: usize = 8;

/// Bits looked at from the left, [`PADDING`] behind them.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next 57 bits or more, at the top of a word.
    #[inline]
    fn look(&self) -> Option<u64> {
        let bytes = self.bytes.get(self.at / 8..)?.first_chunk::<8>()?;
        Some(u64::from_be_bytes(*bytes) << (self.at % 8))
    }

    /// The next `count` (1 to 64) bits.
    #[inline]
    fn take(&mut self, count: u32) -> Option<u64> {
        if count > 57 {
            let high = self.take(count - 32)?;
            return Some(high << 32 | self.take(32)?);
        }
        let word = self.look()?;
        self.at += count as usize;
        Some(word >> (64 - count))
    }

    /// A change of the time delta.
    fn take_time(&mut self) -> Option<i64> {
        let ones = self.look()?.leading_ones().min(4);
        self.at += ones as usize + usize::from(ones < 4);
        match ones.checked_sub(1) {
            None => Some(0),
            Some(bucket) => self.take(TIME_BITS[bucket as usize]).map(unzigzag),
        }
    }
}

fn decode(
    bytes: &[u8],
    first_ms: i64,
    count: usize,
    times: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Option<()> {
    if count == 0 {
        return Some(());
    }
    let mut from = Bits { bytes, at: 0 };
    let mut last = from.take(64)?;
    let (mut shift, mut width) = (0, 0);
    let (mut time, mut delta) = (first_ms, 0i64);
    times.push(time);
    values.push(f64::from_bits(last));
    for _ in 1..count {
        let mut word = from.look()?;
        // Most times are regular: one bit says so.
        if word >> 63 == 0 {
            from.at += 1;
            word <<= 1;
        } else {
            delta = delta.wrapping_add(from.take_time()?);
            word = from.look()?;
        }
        time = time.wrapping_add(delta);
        // As `XorState::take`, on the bits at hand.
        if word >> 63 == 0 {
            from.at += 1;
        } else {
            from.at += 2;
            if word >> 62 == 0b11 {
                let lead = (word << 2 >> 59) as u32;
                width = (word << 7 >> 58) as u32 + 1;
                shift = 64u32.checked_sub(lead + width)?;
                from.at += 11;
            }
            if width == 0 {
                return None;
            }
            last ^= from.take(width)? << shift;
        }
        times.push(time);
        values.push(f64::from_bits(last));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop::collection::vec, prop_assert_eq, proptest};

    use super::*;

    fn check(samples: &[(i64, u64)]) -> usize {
        let mut chunk = OpenChunk::default();
        let mut read = (Vec::new(), Vec::new());
        for (time, bits) in samples {
            chunk.push(*time, f64::from_bits(*bits));
        }
        chunk.read(&mut read.0, &mut read.1, &mut vec![1, 2, 3]);
        let back: Vec<_> = read
            .0
            .iter()
            .copied()
            .zip(read.1.iter().map(|v| v.to_bits()))
            .collect();
        assert_eq!(back, samples);
        let mut bytes = Vec::new();
        chunk.bits.copy_to(&mut bytes);
        bytes.len()
    }

    proptest! {
        #[test]
        fn any_rising_times_and_any_bits_read_back(
            mut times in vec(any::<i64>(), 0..60), bits in any::<[u64; 4]>(),
        ) {
            times.sort_unstable();
            times.dedup();
            let samples: Vec<_> =
                times.iter().enumerate().map(|(i, t)| (*t, bits[i % 4])).collect();
            check(&samples);
            prop_assert_eq!(samples.len(), times.len());
        }
    }

    #[test]
    fn a_steady_series_costs_two_bits_a_sample() {
        let samples: Vec<_> = (0..1001).map(|i| (i * 15_000, 1.5f64.to_bits())).collect();
        assert!(check(&samples) < 8 + 3 + 1000 / 4 + 1);
    }
}
