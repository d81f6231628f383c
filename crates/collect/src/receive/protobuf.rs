//! The protobuf wire format, walked field by field without copying.
//!
//! Unknown fields are skipped by whoever asks; groups, which no message here has ever used, are
//! refused. Spec: <https://protobuf.dev/programming-guides/encoding/>.

use thiserror::Error;

/// Bytes that are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("malformed protobuf: {0}")]
pub struct Malformed(pub &'static str);

/// One field's value as it lies in the message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Integers, booleans, enums.
    Varint(u64),
    /// Doubles and fixed 64-bit integers.
    Fixed64(u64),
    /// Strings, bytes, messages, packed numbers.
    Bytes(&'a [u8]),
    /// Floats and fixed 32-bit integers.
    Fixed32(u32),
}

/// The fields of a message that are still to be read.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

type Parsed<T> = Result<T, Malformed>;

impl<'a> Fields<'a> {
    /// All fields of a message.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The bytes not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field's number and value; `None` at the end. (Not an `Iterator`: an error ends
    /// the walk, and `?` in a `while let` says so best.)
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "Result<Option<_>> reads with `?`"
    )]
    pub fn next(&mut self) -> Parsed<Option<(u32, Value<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = varint(&mut self.rest)?;
        let number = u32::try_from(key >> 3).unwrap_or_default();
        if number == 0 {
            return Err(Malformed("a field number out of range"));
        }
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(u64::from_le_bytes(self.chunk()?)),
            2 => Value::Bytes(self.bytes()?),
            5 => Value::Fixed32(u32::from_le_bytes(self.chunk()?)),
            _ => return Err(Malformed("a wire type that is not used")),
        };
        Ok(Some((number, value)))
    }

    fn chunk<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let (chunk, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(Malformed("cut off in a number"))?;
        self.rest = rest;
        Ok(*chunk)
    }

    #[inline]
    fn bytes(&mut self) -> Parsed<&'a [u8]> {
        let length = usize::try_from(varint(&mut self.rest)?).unwrap_or(usize::MAX);
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Malformed("cut off in a field"))?;
        self.rest = rest;
        Ok(bytes)
    }
}

/// A base-128 number from the front of `bytes`.
#[inline]
pub fn varint(bytes: &mut &[u8]) -> Parsed<u64> {
    match bytes.split_first() {
        Some((&byte, rest)) if byte < 0x80 => {
            *bytes = rest;
            Ok(u64::from(byte))
        }
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &mut &[u8]) -> Parsed<u64> {
    let mut value = 0_u64;
    for (i, &byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            if i == 9 && byte > 1 {
                break;
            }
            *bytes = &bytes[i + 1..];
            return Ok(value);
        }
    }
    Err(Malformed("a varint that does not end"))
}

/// Undoes the zigzag of `sint32` and `sint64`.
#[inline]
#[must_use]
pub fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

const WRONG_TYPE: Malformed = Malformed("a field of the wrong type");

impl<'a> Value<'a> {
    /// A string's bytes, or a message.
    #[inline]
    pub fn bytes(self) -> Parsed<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Varint(_) | Self::Fixed64(_) | Self::Fixed32(_) => Err(WRONG_TYPE),
        }
    }

    /// A string.
    pub fn text(self) -> Parsed<&'a str> {
        std::str::from_utf8(self.bytes()?)
            .map_err(|_invalid| Malformed("a string that is not UTF-8"))
    }

    /// A message's fields.
    pub fn message(self) -> Parsed<Fields<'a>> {
        self.bytes().map(Fields::new)
    }

    /// An unsigned number; signed ones are its bits.
    #[inline]
    pub fn varint(self) -> Parsed<u64> {
        match self {
            Self::Varint(value) => Ok(value),
            Self::Bytes(_) | Self::Fixed64(_) | Self::Fixed32(_) => Err(WRONG_TYPE),
        }
    }

    /// An `int64`.
    #[inline]
    pub fn int64(self) -> Parsed<i64> {
        self.varint().map(u64::cast_signed)
    }

    /// An `sint64`.
    pub fn sint64(self) -> Parsed<i64> {
        self.varint().map(zigzag)
    }

    /// An `sint32`.
    pub fn sint32(self) -> Parsed<i32> {
        let wide = self.sint64()?;
        i32::try_from(wide).map_err(|_overflow| Malformed("a number that does not fit 32 bits"))
    }

    /// A `uint32`.
    pub fn uint32(self) -> Parsed<u32> {
        let wide = self.varint()?;
        u32::try_from(wide).map_err(|_overflow| Malformed("a number that does not fit 32 bits"))
    }

    /// The bits of a `fixed64`.
    #[inline]
    pub fn fixed64(self) -> Parsed<u64> {
        match self {
            Self::Fixed64(bits) => Ok(bits),
            Self::Bytes(_) | Self::Varint(_) | Self::Fixed32(_) => Err(WRONG_TYPE),
        }
    }

    /// A `double`, its bits kept.
    #[inline]
    pub fn double(self) -> Parsed<f64> {
        self.fixed64().map(f64::from_bits)
    }

    /// Calls `each` with every number of a repeated varint field, packed or not.
    pub fn each_varint<E: From<Malformed>>(
        self,
        mut each: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self::Bytes(mut packed) = self else {
            return each(self.varint()?);
        };
        while !packed.is_empty() {
            each(varint(&mut packed)?)?;
        }
        Ok(())
    }

    /// Calls `each` with the bits of every number of a repeated 64-bit field, packed or not.
    pub fn each_fixed64<E: From<Malformed>>(
        self,
        mut each: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self::Bytes(packed) = self else {
            return each(self.fixed64()?);
        };
        let (numbers, rest) = packed.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(Malformed("packed numbers of an odd length").into());
        }
        numbers
            .iter()
            .try_for_each(|number| each(u64::from_le_bytes(*number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentations_examples_decode() {
        let mut fields = Fields::new(b"\x08\x96\x01\x12\x07testing");
        assert_eq!(fields.next(), Ok(Some((1, Value::Varint(150)))));
        assert_eq!(fields.next(), Ok(Some((2, Value::Bytes(b"testing")))));
        assert_eq!(fields.next(), Ok(None));
        for (encoded, value) in [(0, 0), (1, -1), (2, 1), (3, -2), (u64::MAX, i64::MIN)] {
            assert_eq!(zigzag(encoded), value);
        }
        let mut bytes = &b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..];
        assert_eq!(varint(&mut bytes), Ok(u64::MAX));
    }

    #[test]
    fn broken_messages_are_errors() {
        for bad in [
            &b"\x08"[..],
            b"\x08\x80",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x09\x01\x02",
            b"\x0a\x02a",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0b",
            b"\x0c",
            b"\x0d\x01",
            b"\x0e",
            b"\x00\x01",
        ] {
            assert!(Fields::new(bad).next().is_err(), "{bad:x?}");
        }
    }
}
