//! MD5 (RFC 1321), for `hashmod` alone: targets have to fall into the same shard here as in
//! Prometheus. Not for secrets.

const SHIFTS: [[u32; 4]; 4] = [
    [7, 12, 17, 22],
    [5, 9, 14, 20],
    [4, 11, 16, 23],
    [6, 10, 15, 21],
];
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The last eight bytes of the digest as a number, most significant first.
pub(super) fn last_eight(message: &[u8]) -> u64 {
    let [.., c, d] = digest(message);
    u64::from(c.swap_bytes()) << 32 | u64::from(d.swap_bytes())
}

fn digest(message: &[u8]) -> [u32; 4] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() - message.len() < 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let bits = (message.len() as u64).wrapping_mul(8);
    let end = padded.len();
    padded[end - 8..].copy_from_slice(&bits.to_le_bytes());
    padded.chunks_exact(64).fold(START, block)
}

fn block(state: [u32; 4], bytes: &[u8]) -> [u32; 4] {
    let word = |i: usize| {
        let four = bytes[4 * i..]
            .first_chunk::<4>()
            .expect("a block has 16 words");
        u32::from_le_bytes(*four)
    };
    let [mut a, mut b, mut c, mut d] = state;
    for step in 0..64 {
        let (mixed, index) = match step / 16 {
            0 => ((b & c) | (!b & d), step),
            1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
            2 => (b ^ c ^ d, (3 * step + 5) % 16),
            _ => (c ^ (b | !d), (7 * step) % 16),
        };
        let sum = a
            .wrapping_add(mixed)
            .wrapping_add(constant(step))
            .wrapping_add(word(index));
        let turned = sum.rotate_left(SHIFTS[step / 16][step % 4]);
        (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
    }
    let [e, f, g, h] = state;
    [
        e.wrapping_add(a),
        f.wrapping_add(b),
        g.wrapping_add(c),
        h.wrapping_add(d),
    ]
}

/// The integer part of 2^32 |sin(step + 1)|, as the RFC defines its table.
fn constant(step: usize) -> u32 {
    (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(message: &str) -> String {
        let bytes = digest(message.as_bytes()).map(u32::to_le_bytes);
        bytes
            .iter()
            .flatten()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    #[test]
    fn gives_the_digests_of_the_rfc() {
        assert_eq!(hex(""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
        let digits = "1234567890".repeat(8);
        assert_eq!(hex(&digits), "57edf4a22be3c955ac49da2e2107b67a");
        assert_eq!(last_eight(b"abc"), 0xd696_3f7d_28e1_7f72);
    }
}
