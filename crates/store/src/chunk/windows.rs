//! Columns of a roll-up: for each window of time what exact answers need of its floats.
//!
//! `docs/formats/chunk.md` draws the bytes. What is the same for all points is left out: a rising
//! counter's minimum is its first value, its maximum its last, and it has no resets. A point
//! without samples stands for a staleness marker that ends its window.

use model::{Run, STALE_NAN_BITS};

use super::{Effort, values};
use crate::varint::{Reader, put_bytes};

const MIN: u8 = 1;
const MAX: u8 = 2;
const RESETS: u8 = 4;

/// The point that stands for a staleness marker.
pub(crate) fn stale(time_ms: i64) -> Run {
    let marker = f64::from_bits(STALE_NAN_BITS);
    Run {
        from_ms: time_ms,
        to_ms: time_ms,
        count: 0,
        sum: 0.0,
        min: marker,
        max: marker,
        first: marker,
        last: marker,
        resets: 0,
        correction: 0.0,
    }
}

/// Appends the coded points, all but their times: those of the last samples.
pub(crate) fn encode(out: &mut Vec<u8>, points: &[Run], effort: Effort) {
    let differ = |a: fn(&Run) -> f64, b: fn(&Run) -> f64| {
        points.iter().any(|p| a(p).to_bits() != b(p).to_bits())
    };
    let mut flags = 0;
    if differ(|p| p.min, |p| p.first) {
        flags |= MIN;
    }
    if differ(|p| p.max, |p| p.last) {
        flags |= MAX;
    }
    if points.iter().any(|p| p.resets > 0) {
        flags |= RESETS;
    }
    out.push(flags);
    let mut put = |of: fn(&Run) -> f64| {
        let column: Vec<f64> = points.iter().map(of).collect();
        let mut bytes = Vec::new();
        values::encode(&mut bytes, &column, effort);
        put_bytes(out, &bytes);
    };
    put(|p| p.last);
    put(|p| p.first);
    put(|p| p.count as f64);
    put(|p| p.to_ms.wrapping_sub(p.from_ms) as f64);
    put(|p| p.sum);
    if flags & MIN != 0 {
        put(|p| p.min);
    }
    if flags & MAX != 0 {
        put(|p| p.max);
    }
    if flags & RESETS != 0 {
        put(|p| p.resets as f64);
        put(|p| p.correction);
    }
}

/// Appends the last value of each point; `None` if the bytes are damaged.
pub(crate) fn decode_last(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Option<()> {
    let mut reader = Reader::new(bytes);
    reader.u8()?;
    values::decode(reader.bytes()?, count, out)
}

/// Appends the points whose times are given; `None` if the bytes are damaged.
pub(crate) fn decode(bytes: &[u8], times: &[i64], out: &mut Vec<Run>) -> Option<()> {
    let mut reader = Reader::new(bytes);
    let flags = reader.u8()?;
    let start = out.len();
    out.extend(times.iter().map(|time| stale(*time)));
    let points = &mut out[start..];
    let mut column = Vec::new();
    let mut take = |set: fn(&mut Run, f64)| {
        column.clear();
        values::decode(reader.bytes()?, times.len(), &mut column)?;
        for (point, value) in points.iter_mut().zip(&column) {
            set(point, *value);
        }
        Some(())
    };
    take(|p, v| (p.last, p.max) = (v, v))?;
    take(|p, v| (p.first, p.min) = (v, v))?;
    take(|p, v| p.count = v as u64)?;
    take(|p, v| p.from_ms = p.to_ms.wrapping_sub(v as i64))?;
    take(|p, v| p.sum = v)?;
    if flags & MIN != 0 {
        take(|p, v| p.min = v)?;
    }
    if flags & MAX != 0 {
        take(|p, v| p.max = v)?;
    }
    if flags & RESETS != 0 {
        take(|p, v| p.resets = v as u64)?;
        take(|p, v| p.correction = v)?;
    }
    reader.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_read_back_bit_for_bit_and_damage_is_noticed() {
        let rising = |i: i64| Run {
            from_ms: i * 60_000 + 1000,
            to_ms: i * 60_000 + 60_000,
            count: 60,
            sum: 0.1 * i as f64,
            min: i as f64,
            max: i as f64 + 2.5,
            first: i as f64,
            last: i as f64 + 2.5,
            resets: 0,
            correction: 0.0,
        };
        let mut points: Vec<Run> = (0..100).map(rising).collect();
        for uneven in [false, true] {
            if uneven {
                (points[7].min, points[8].max) = (-0.0, f64::INFINITY);
                (points[9].resets, points[9].correction) = (2, 7.25);
                points[10] = stale(points[10].to_ms);
            }
            let mut bytes = Vec::new();
            encode(&mut bytes, &points, Effort::Best);
            let times: Vec<i64> = points.iter().map(|p| p.to_ms).collect();
            let mut back = Vec::new();
            decode(&bytes, &times, &mut back).unwrap();
            assert_eq!(format!("{back:?}"), format!("{points:?}"));
            let mut lasts = Vec::new();
            decode_last(&bytes, 100, &mut lasts).unwrap();
            assert_eq!(lasts[99], points[99].last);
            assert!(model::is_stale(lasts[10]) == uneven);
            assert_eq!(decode(&bytes[..bytes.len() - 1], &times, &mut back), None);
            bytes.push(0);
            assert_eq!(decode(&bytes, &times, &mut back), None);
        }
    }
}
