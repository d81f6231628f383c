//! XXH64 (Y. Collet, <https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>) of label
//! sets, laid out as Prometheus does in memory: `limit_ratio` picks the series Prometheus picks.
//! Known answers: "" is ef46db3751d8e999, "a" is d24ec4f1a98c6e5b.

use model::Labels;

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

/// The hash of a label set: each text after its length, one byte if below 255, else 255 and three
/// bytes.
pub(super) fn of_labels(labels: &Labels) -> u64 {
    let mut bytes = Vec::with_capacity(labels.as_bytes().len());
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        match u8::try_from(text.len()) {
            Ok(length) if length < 255 => bytes.push(length),
            _ => {
                bytes.push(255);
                bytes.extend_from_slice(&text.len().to_le_bytes()[..3]);
            }
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    xxh64(&bytes)
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(P2))
        .rotate_left(31)
        .wrapping_mul(P1)
}

fn word(bytes: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*bytes)
}

fn xxh64(data: &[u8]) -> u64 {
    let (words, _) = data.as_chunks::<8>();
    let stripes = data.len() / 32;
    let mut hash = if stripes > 0 {
        striped(&words[..4 * stripes])
    } else {
        P5
    };
    hash = hash.wrapping_add(data.len() as u64);
    let mut rest = &data[32 * stripes..];
    while let Some((bytes, after)) = rest.split_first_chunk::<8>() {
        hash = (hash ^ round(0, word(bytes)))
            .rotate_left(27)
            .wrapping_mul(P1)
            .wrapping_add(P4);
        rest = after;
    }
    if let Some((bytes, after)) = rest.split_first_chunk::<4>() {
        let half = u64::from(u32::from_le_bytes(*bytes));
        hash = (hash ^ half.wrapping_mul(P1))
            .rotate_left(23)
            .wrapping_mul(P2)
            .wrapping_add(P3);
        rest = after;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(P5))
            .rotate_left(11)
            .wrapping_mul(P1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
    hash ^ (hash >> 32)
}

/// Whole stripes of four words.
fn striped(words: &[[u8; 8]]) -> u64 {
    let mut lanes = [P1.wrapping_add(P2), P2, 0, 0_u64.wrapping_sub(P1)];
    for stripe in words.chunks_exact(4) {
        for (lane, bytes) in lanes.iter_mut().zip(stripe) {
            *lane = round(*lane, word(bytes));
        }
    }
    let rotated = lanes
        .iter()
        .zip([1, 7, 12, 18])
        .map(|(lane, by)| lane.rotate_left(by));
    let mut hash = rotated.fold(0_u64, u64::wrapping_add);
    for lane in lanes {
        hash = (hash ^ round(0, lane)).wrapping_mul(P1).wrapping_add(P4);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_agree_with_the_reference() {
        let cases: [(&str, u64); 4] = [
            ("", 0xef46_db37_51d8_e999),
            ("a", 0xd24e_c4f1_a98c_6e5b),
            ("as", 0x1c33_0fb2_d66b_e179),
            (
                "Call me Ishmael. Some years ago--never mind how long precisely-",
                0x02a2_e854_70d6_fd96,
            ),
        ];
        for (text, hash) in cases {
            assert_eq!(xxh64(text.as_bytes()), hash, "{text:?}");
        }
    }
}
