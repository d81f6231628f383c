//! An encoder of protobuf and snappy of our own: nothing here is shared with the decoders.

/// A message being written.
#[derive(Debug, Clone, Default)]
pub(super) struct Message(pub(super) Vec<u8>);

impl Message {
    pub(super) fn varint(mut self, field: u32, value: u64) -> Self {
        self.raw(u64::from(field) << 3);
        self.raw(value);
        self
    }

    pub(super) fn int(self, field: u32, value: i64) -> Self {
        self.varint(field, value.cast_unsigned())
    }

    pub(super) fn sint(self, field: u32, value: i64) -> Self {
        self.varint(field, zigzag(value))
    }

    pub(super) fn double(self, field: u32, value: f64) -> Self {
        self.fixed64(field, value.to_bits())
    }

    pub(super) fn fixed64(mut self, field: u32, value: u64) -> Self {
        self.raw(u64::from(field) << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.raw(u64::from(field) << 3 | 2);
        self.raw(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub(super) fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub(super) fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    pub(super) fn packed(self, field: u32, values: &[u64]) -> Self {
        let mut inner = Self::default();
        for value in values {
            inner.raw(*value);
        }
        self.bytes(field, &inner.0)
    }

    pub(super) fn packed_sint(self, field: u32, values: &[i64]) -> Self {
        let values: Vec<u64> = values.iter().map(|v| zigzag(*v)).collect();
        self.packed(field, &values)
    }

    pub(super) fn packed_double(self, field: u32, values: &[f64]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.bytes(field, &bytes)
    }

    fn raw(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// A snappy block of literals, with copies where the last four bytes repeat at a short distance.
pub(super) fn snappy(plain: &[u8]) -> Vec<u8> {
    let mut out = Message::default();
    out.raw(plain.len() as u64);
    let mut out = out.0;
    let (mut at, mut pending) = (0, 0);
    while at < plain.len() {
        let found = (1..=at.min(300))
            .find(|d| at + 4 <= plain.len() && plain[at - d..].starts_with(&plain[at..at + 4]));
        let Some(distance) = found else {
            at += 1;
            continue;
        };
        literal(&mut out, &plain[pending..at]);
        let same = (0..64).take_while(|i| plain.get(at + i) == plain.get(at + i - distance));
        let length = same.count().min(plain.len() - at);
        out.push((length as u8 - 1) << 2 | 2);
        out.extend((distance as u16).to_le_bytes());
        at += length;
        pending = at;
    }
    literal(&mut out, &plain[pending..]);
    out
}

fn literal(out: &mut Vec<u8>, bytes: &[u8]) {
    for piece in bytes.chunks(60) {
        out.push((piece.len() as u8 - 1) << 2);
        out.extend(piece);
    }
}

/// A deterministic stream of numbers for mutations (splitmix64).
pub(super) fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
