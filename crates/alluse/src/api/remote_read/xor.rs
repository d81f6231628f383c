//! Prometheus's XOR chunk: times as differences of differences, values as what changed of their
//! bits, after Facebook's Gorilla paper (<https://www.vldb.org/pvldb/vol8/p1816-teller.pdf>), with
//! the bit classes of `tsdb/chunkenc/xor.go`.

/// Samples of one chunk, as Prometheus cuts them.
pub(super) const SAMPLES_MAX: usize = 120;

/// Bits, first bit highest.
#[derive(Debug, Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte not yet used.
    free: u32,
}

impl Bits {
    /// The lowest `count` bits of a number, at most 64.
    fn write(&mut self, value: u64, count: u32) {
        for at in (0..count).rev() {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            self.free -= 1;
            let bit = (value >> at & 1) as u8;
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << self.free;
            }
        }
    }

    fn write_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.write(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.write(value, 8);
    }
}

/// The bits of one value in terms of the value before: leading and trailing zeros of the last
/// difference that was written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    leading: u32,
    trailing: u32,
}

/// A chunk of at most [`SAMPLES_MAX`] samples, in order of time.
pub(super) fn encode(times_ms: &[i64], values: &[f64]) -> Vec<u8> {
    debug_assert!(times_ms.len() <= SAMPLES_MAX && times_ms.len() == values.len());
    let mut bits = Bits::default();
    bits.write(times_ms.len() as u64, 16);
    let (mut delta, mut window) = (0_i64, None);
    for (at, (time_ms, value)) in times_ms.iter().zip(values).enumerate() {
        let Some(before) = at.checked_sub(1) else {
            bits.write_varint(((time_ms << 1) ^ (time_ms >> 63)).cast_unsigned());
            bits.write(value.to_bits(), 64);
            continue;
        };
        let passed = time_ms - times_ms[before];
        if at == 1 {
            bits.write_varint(passed.cast_unsigned());
        } else {
            write_change(&mut bits, passed - delta);
        }
        delta = passed;
        let changed = value.to_bits() ^ values[before].to_bits();
        window = write_xor(&mut bits, changed, window);
    }
    bits.bytes
}

/// The difference of two differences: the smallest class that holds it.
fn write_change(bits: &mut Bits, change: i64) {
    let fits = |count: u32| -((1_i64 << (count - 1)) - 1) <= change && change <= 1 << (count - 1);
    let low = change.cast_unsigned();
    if change == 0 {
        bits.write(0, 1);
    } else if fits(14) {
        bits.write(0b10, 2);
        bits.write(low, 14);
    } else if fits(17) {
        bits.write(0b110, 3);
        bits.write(low, 17);
    } else if fits(20) {
        bits.write(0b1110, 4);
        bits.write(low, 20);
    } else {
        bits.write(0b1111, 4);
        bits.write(low, 64);
    }
}

fn write_xor(bits: &mut Bits, changed: u64, window: Option<Window>) -> Option<Window> {
    if changed == 0 {
        bits.write(0, 1);
        return window;
    }
    bits.write(1, 1);
    // Five bits hold the leading zeros.
    let leading = changed.leading_zeros().min(31);
    let trailing = changed.trailing_zeros();
    if let Some(last) = window.filter(|w| leading >= w.leading && trailing >= w.trailing) {
        bits.write(0, 1);
        bits.write(changed >> last.trailing, 64 - last.leading - last.trailing);
        return window;
    }
    let significant = 64 - leading - trailing;
    bits.write(1, 1);
    bits.write(u64::from(leading), 5);
    // 64 does not fit six bits; 0 stands for it.
    bits.write(u64::from(significant), 6);
    bits.write(changed >> trailing, significant);
    Some(Window { leading, trailing })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a chunk as `tsdb/chunkenc/xor.go` does.
    fn decode(bytes: &[u8]) -> (Vec<i64>, Vec<f64>) {
        let mut at = 0;
        let mut bit = || {
            let found = bytes[at / 8] >> (7 - at % 8) & 1;
            at += 1;
            u64::from(found)
        };
        let mut read = |count: u32| (0..count).fold(0_u64, |all, _| all << 1 | bit());
        let count = read(16);
        let (mut times, mut values) = (Vec::<i64>::new(), Vec::<f64>::new());
        let (mut delta, mut window) = (0_i64, (0, 0));
        let varint = |read: &mut dyn FnMut(u32) -> u64| {
            let (mut value, mut shift) = (0, 0);
            loop {
                let byte = read(8);
                value |= (byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        };
        for n in 0..count {
            if n == 0 {
                let raw = varint(&mut read);
                times.push((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
                values.push(f64::from_bits(read(64)));
                continue;
            }
            if n == 1 {
                delta = varint(&mut read).cast_signed();
            } else {
                let mut class = 0;
                while class < 4 && read(1) == 1 {
                    class += 1;
                }
                let size = [0, 14, 17, 20, 64][class];
                let raw = read(size);
                let is_negative = size < 64 && size > 0 && raw > 1 << (size - 1);
                let change = if is_negative {
                    raw.cast_signed() - (1 << size)
                } else {
                    raw.cast_signed()
                };
                delta += change;
            }
            times.push(times[times.len() - 1] + delta);
            let last = values[values.len() - 1].to_bits();
            if read(1) == 0 {
                values.push(f64::from_bits(last));
                continue;
            }
            if read(1) == 1 {
                let leading = read(5) as u32;
                let significant = match read(6) as u32 {
                    0 => 64,
                    other => other,
                };
                window = (leading, 64 - leading - significant);
            }
            let changed = read(64 - window.0 - window.1) << window.1;
            values.push(f64::from_bits(last ^ changed));
        }
        (times, values)
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_is_read_back_bit_for_bit(
            start in -1_i64 << 40..1 << 45,
            steps in proptest::collection::vec((1_i64..1 << 22, proptest::num::u64::ANY), 0..SAMPLES_MAX),
            same in proptest::bool::ANY,
        ) {
            let mut time = start;
            let (mut times, mut bits) = (Vec::new(), Vec::new());
            for (step, value) in steps {
                time += if same { 15_000 } else { step };
                times.push(time);
                bits.push(if same { value % 3 } else { value });
            }
            let values: Vec<f64> = bits.iter().map(|b| f64::from_bits(*b)).collect();
            let (back_times, back) = decode(&encode(&times, &values));
            proptest::prop_assert_eq!(back_times, times);
            let back: Vec<u64> = back.iter().map(|v| v.to_bits()).collect();
            proptest::prop_assert_eq!(back, bits);
        }
    }

    #[test]
    fn regular_times_of_one_value_take_two_bits_a_sample() {
        let times: Vec<i64> = (0..120).map(|n| n * 15_000).collect();
        assert_eq!(encode(&times, &[1.0; 120]).len(), 2 + 1 + 8 + 3 + 29);
    }
}
