//! The protobuf wire format, written: only what remote write and remote read need. The reading side is
//! `collect`'s. Spec: <https://protobuf.dev/programming-guides/encoding/>.

/// A number in base 128, low group first.
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn key(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    varint(out, u64::from(field << 3 | wire_type));
}

/// A field of an unsigned or `int64` number; zero is left out, as proto3 does.
pub fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        key(out, field, 0);
        varint(out, value);
    }
}

/// A field of an `sint32` or `sint64`.
pub fn signed(out: &mut Vec<u8>, field: u32, value: i64) {
    number(out, field, zigzag(value));
}

/// A field of a `double`, its bits kept. Written even when zero: -0.0 is not 0.0.
pub fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    key(out, field, 1);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// A field of bytes or text.
pub fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    key(out, field, 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A field that holds a message, built in place: its length is written before it afterwards.
pub fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    key(out, field, 2);
    let start = out.len();
    out.push(0);
    write(out);
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
        return;
    }
    let mut prefix = Vec::with_capacity(5);
    varint(&mut prefix, length as u64);
    out.splice(start..=start, prefix);
}

/// A packed field of doubles; left out when empty.
pub fn doubles(out: &mut Vec<u8>, field: u32, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    message(out, field, |out| {
        for value in values {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrote(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn the_documentations_examples_encode() {
        assert_eq!(wrote(|out| number(out, 1, 150)), b"\x08\x96\x01");
        assert_eq!(wrote(|out| bytes(out, 2, b"testing")), b"\x12\x07testing");
        assert_eq!(
            wrote(|out| message(out, 3, |out| number(out, 1, 150))),
            b"\x1a\x03\x08\x96\x01"
        );
        for (value, encoded) in [(-1, 1), (1, 2), (-2, 3), (i64::MIN, u64::MAX)] {
            assert_eq!(zigzag(value), encoded);
        }
    }

    #[test]
    fn a_long_message_gets_a_long_length() {
        let out = wrote(|out| message(out, 1, |out| out.extend([7; 300])));
        assert_eq!(&out[..3], b"\x0a\xac\x02");
        assert_eq!(out.len(), 303);
    }
}
