//! A column of times: one step when they are regular, else packed differences.
//!
//! The first time and the count are kept by whoever keeps the column.

use super::{
    Effort,
    pack::{Packing, pack, unpack},
    values::{PACK_MIN, gcd},
};
use crate::varint::{Reader, put_i64, put_u64};

/// One step between all times.
const REGULAR: u8 = 0;
/// Differences of differences as varints; for short columns.
const DELTAS: u8 = 1;
/// Multiples of a unit since the first time, through `pco`.
const PACKED: u8 = 2;

/// Appends the coded column. Times rise strictly.
pub(crate) fn encode(out: &mut Vec<u8>, times: &[i64], effort: Effort) {
    debug_assert!(times.is_sorted());
    let step = match times {
        [first, second, ..] => second.wrapping_sub(*first),
        _ => 0,
    };
    if times
        .windows(2)
        .all(|pair| pair[1].wrapping_sub(pair[0]) == step)
    {
        out.push(REGULAR);
        put_u64(out, step as u64);
    } else if times.len() < PACK_MIN || effort == Effort::Light {
        encode_deltas(out, times);
    } else {
        encode_packed(out, times, effort);
    }
}

fn encode_deltas(out: &mut Vec<u8>, times: &[i64]) {
    out.push(DELTAS);
    let mut last = 0i64;
    for pair in times.windows(2) {
        let delta = pair[1].wrapping_sub(pair[0]);
        put_i64(out, delta.wrapping_sub(last));
        last = delta;
    }
}

fn encode_packed(out: &mut Vec<u8>, times: &[i64], effort: Effort) {
    let since: Vec<u64> = times
        .iter()
        .map(|t| t.wrapping_sub(times[0]) as u64)
        .collect();
    let unit = since.iter().copied().fold(0, gcd).max(1);
    let units: Vec<u64> = since.iter().map(|t| t / unit).collect();
    let mut best = Vec::new();
    for order in [1, 2] {
        let mut packed = Vec::new();
        pack(
            &mut packed,
            &units,
            Packing {
                level: effort.level(),
                order,
                search: false,
            },
        );
        if best.is_empty() || packed.len() < best.len() {
            best = packed;
        }
    }
    out.push(PACKED);
    put_u64(out, unit);
    out.extend_from_slice(&best);
}

/// Appends `count` times to `times`; `None` if the bytes are not a column of that length with
/// strictly rising times.
pub(crate) fn decode(
    bytes: &[u8],
    first_ms: i64,
    count: usize,
    times: &mut Vec<i64>,
) -> Option<()> {
    let mut reader = Reader::new(bytes);
    let start = times.len();
    match reader.u8()? {
        REGULAR => {
            let step = reader.u64()? as i64;
            let mut time = first_ms.wrapping_sub(step);
            times.extend((0..count).map(|_| {
                time = time.wrapping_add(step);
                time
            }));
            // What rises without overflow need not be looked at again.
            let far = step.checked_mul(count.saturating_sub(1) as i64);
            if step > 0 && far.and_then(|far| first_ms.checked_add(far)).is_some() {
                return Some(());
            }
        }
        DELTAS => decode_deltas(reader, first_ms, count, times)?,
        PACKED => {
            let unit = reader.u64()?;
            let mut units = vec![0u64; count];
            unpack(reader.rest(), &mut units)?;
            times.extend(
                units
                    .iter()
                    .map(|u| first_ms.wrapping_add(u.wrapping_mul(unit) as i64)),
            );
        }
        _ => return None,
    }
    times[start..]
        .windows(2)
        .all(|pair| pair[0] < pair[1])
        .then_some(())
}

fn decode_deltas(
    mut reader: Reader<'_>,
    first_ms: i64,
    count: usize,
    times: &mut Vec<i64>,
) -> Option<()> {
    let (mut time, mut delta) = (first_ms, 0i64);
    for i in 0..count {
        if i > 0 {
            delta = delta.wrapping_add(reader.i64()?);
            time = time.wrapping_add(delta);
        }
        times.push(time);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop::collection::vec, prop_assert_eq, proptest};

    use super::*;

    fn size(times: &[i64]) -> usize {
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        encode(&mut bytes, times, Effort::Best);
        decode(
            &bytes,
            times.first().copied().unwrap_or(0),
            times.len(),
            &mut back,
        )
        .unwrap();
        assert_eq!(back, times);
        bytes.len()
    }

    proptest! {
        #[test]
        fn any_rising_times_read_back(mut times in vec(any::<i64>(), 0..300)) {
            times.sort_unstable();
            times.dedup();
            size(&times);
        }

        #[test]
        fn damaged_bytes_give_no_panic(bytes in vec(any::<u8>(), 0..80), n in 0usize..200) {
            let mut times = Vec::new();
            if decode(&bytes, 0, n, &mut times).is_some() {
                prop_assert_eq!(times.len(), n);
            }
        }
    }

    #[test]
    fn regular_times_cost_a_few_bytes_and_jitter_about_one_a_sample() {
        let regular: Vec<i64> = (0..2048).map(|i| 1_700_000_000_000 + i * 15_000).collect();
        assert!(size(&regular) <= 4);
        let jitter: Vec<i64> = (0..2048)
            .map(|i| 1_700_000_000_000 + i * 1000 + (i * 7919) % 11)
            .collect();
        assert!(size(&jitter) < 2048);
        assert_eq!(size(&[5]), 2);
    }
}
