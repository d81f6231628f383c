//! Mutations of a corpus: what fuzzers have found to reach far without looking inside.

use numerics::rng::Rng;

/// Bytes that sit on the edges of encodings: varints, lengths, UTF-8, quoting.
const EDGES: &[u8] = &[
    0, 1, 0x7f, 0x80, 0xff, 0xfe, 0xc0, b'"', b'\\', b'\n', b'{', b'}', b',', b'=', b'-', b' ',
];

/// Numbers in text that overflow, underflow or are none.
const NUMBERS: &[&[u8]] = &[
    b"9223372036854775808",
    b"-9223372036854775809",
    b"1e999",
    b"-1e-999",
    b"NaN",
    b"+Inf",
    b"0x1p-1074",
    b"1_000",
    b"00000000000000000000000000000000000001",
];

/// A random entry, changed a few times in random ways.
#[must_use]
pub fn mutated(corpus: &[Vec<u8>], bytes_max: usize, random: &mut Rng) -> Vec<u8> {
    let mut input = corpus[random.index(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        change(&mut input, corpus, random);
        input.truncate(bytes_max);
    }
    input
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Rng) {
    if input.is_empty() {
        input.push(random.below(256) as u8);
        return;
    }
    let at = random.index(input.len());
    match random.below(10) {
        0 => input[at] ^= 1 << random.below(8),
        1 => input[at] = random.below(256) as u8,
        2 => input[at] = EDGES[random.index(EDGES.len())],
        3 => input.insert(at, EDGES[random.index(EDGES.len())]),
        4 => drop(input.drain(at..piece(at, input.len(), random))),
        5 => {
            let copy = input[at..piece(at, input.len(), random)].to_vec();
            for _ in 0..=random.below(8) {
                input.splice(at..at, copy.iter().copied());
            }
        }
        6 => input.truncate(at),
        7 => {
            let other = &corpus[random.index(corpus.len())];
            let from = random.index(other.len().max(1)).min(other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        8 => number(input, at, random),
        _ => {
            let end = (at + 4).min(input.len());
            let bytes = (random.next_u64() as u32).to_le_bytes();
            input[at..end].copy_from_slice(&bytes[..end - at]);
        }
    }
}

/// The end of a short piece from `at` on.
fn piece(at: usize, length: usize, random: &mut Rng) -> usize {
    (at + 1 + random.index(32)).min(length)
}

/// Another number in the place of the digits at or after `at`.
fn number(input: &mut Vec<u8>, at: usize, random: &mut Rng) {
    let is_digit = |b: &u8| b.is_ascii_digit();
    let Some(from) = input[at..].iter().position(is_digit).map(|n| n + at) else {
        return;
    };
    let length = input[from..].iter().take_while(|b| is_digit(b)).count();
    let other = NUMBERS[random.index(NUMBERS.len())];
    input.splice(from..from + length, other.iter().copied());
}
