//! A column of floats, kept bit for bit: the smallest of constant, runs, decimal-scaled
//! integers and plain floats.
//!
//! Monitoring values are mostly decimals with few digits: with the smallest `e` for which
//! `round(v * 10^e) / 10^e == v` bit for bit over the whole column they become integers, and with
//! their first value and greatest common divisor taken out, small ones. -0.0, NaN (the staleness
//! marker among them) and infinities are kept aside as (position, bits), or one of them would
//! spoil the column.

use super::{
    Effort,
    bits::{BitReader, BitWriter},
    pack::{Packing, pack, unpack},
    xor::XorState,
};
use crate::varint::{Reader, put_f64, put_i64, put_u64, unzigzag, zigzag};

/// Columns shorter than this are not worth `pco`'s header.
pub(crate) const PACK_MIN: usize = 48;
/// Largest decimal exponent tried.
const EXPONENT_MAX: usize = 12;
/// Integers beyond this do not survive the way through a float and the rounding below.
const INTEGER_MAX: f64 = (1u64 << 51) as f64;
/// Adding and subtracting 1.5 * 2^52 rounds a float below 2^51 to an integer.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
const POWERS: [f64; EXPONENT_MAX + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
];

const CONSTANT: u8 = 0;
const RUNS: u8 = 1;
const DECIMAL_PACKED: u8 = 2;
const FLOAT_PACKED: u8 = 3;
const DECIMAL_DELTAS: u8 = 4;
const XOR: u8 = 5;
/// Set on the codec byte when exceptions precede the codec's bytes.
const EXCEPTIONS: u8 = 0x80;

/// Appends the coded column.
pub(crate) fn encode(out: &mut Vec<u8>, values: &[f64], effort: Effort) {
    let Some(first) = values.first() else { return };
    if values.iter().all(|v| v.to_bits() == first.to_bits()) {
        out.push(CONSTANT);
        put_f64(out, *first);
        return;
    }
    let exceptions: Vec<usize> = (0..values.len())
        .filter(|i| is_exception(values[*i]))
        .collect();
    if exceptions.is_empty() {
        encode_plain(out, values, effort, 0);
        return;
    }
    let tag_at = out.len();
    out.push(0);
    put_exceptions(out, values, &exceptions);
    let mut plain = Vec::new();
    encode_plain(&mut plain, &filled(values), effort, EXCEPTIONS);
    out[tag_at] = plain[0];
    out.extend_from_slice(&plain[1..]);
}

fn is_exception(value: f64) -> bool {
    !value.is_finite() || value.to_bits() == (-0.0f64).to_bits()
}

fn put_exceptions(out: &mut Vec<u8>, values: &[f64], positions: &[usize]) {
    put_u64(out, positions.len() as u64);
    let mut next = 0;
    for position in positions {
        put_u64(out, (position - next) as u64);
        out.extend_from_slice(&values[*position].to_bits().to_le_bytes());
        next = position + 1;
    }
}

/// The values with exceptions replaced by their predecessor: the cheapest thing to code there.
fn filled(values: &[f64]) -> Vec<f64> {
    let mut last = values
        .iter()
        .copied()
        .find(|v| !is_exception(*v))
        .unwrap_or(0.0);
    let mut fill = |v: &f64| {
        if !is_exception(*v) {
            last = *v;
        }
        last
    };
    values.iter().map(&mut fill).collect()
}

fn encode_plain(out: &mut Vec<u8>, values: &[f64], effort: Effort, flag: u8) {
    let mut best = Smallest {
        bytes: Vec::new(),
        flag,
    };
    let changes = values
        .windows(2)
        .filter(|p| p[0].to_bits() != p[1].to_bits())
        .count();
    if changes * 8 <= values.len() {
        best.offer(RUNS, |bytes| put_runs(bytes, values));
    }
    let decimals = scaled(values);
    if values.len() < PACK_MIN || effort == Effort::Light {
        match &decimals {
            Some(decimals) => best.offer(DECIMAL_DELTAS, |bytes| decimals.put_deltas(bytes)),
            None => best.offer(XOR, |bytes| put_xor(bytes, values)),
        }
    } else {
        offer_packed(&mut best, values, decimals.as_ref(), effort);
    }
    out.extend_from_slice(&best.bytes);
}

fn offer_packed(best: &mut Smallest, values: &[f64], decimals: Option<&Decimals>, effort: Effort) {
    let level = effort.level();
    let search = effort == Effort::Best;
    if let Some(decimals) = decimals {
        for order in effort.orders(&decimals.units) {
            let packing = Packing {
                level,
                order,
                search: false,
            };
            best.offer(DECIMAL_PACKED, |bytes| decimals.put_packed(bytes, packing));
        }
        return;
    }
    for order in 0..2 {
        let packing = Packing {
            level,
            order,
            search,
        };
        best.offer(FLOAT_PACKED, |bytes| pack(bytes, values, packing));
    }
}

/// Keeps the shortest coding offered.
struct Smallest {
    bytes: Vec<u8>,
    flag: u8,
}

impl Smallest {
    fn offer(&mut self, codec: u8, put: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = vec![codec | self.flag];
        put(&mut bytes);
        if self.bytes.is_empty() || bytes.len() < self.bytes.len() {
            self.bytes = bytes;
        }
    }
}

fn put_runs(out: &mut Vec<u8>, values: &[f64]) {
    for run in values.chunk_by(|a, b| a.to_bits() == b.to_bits()) {
        put_u64(out, run.len() as u64);
        put_f64(out, run[0]);
    }
}

fn put_xor(out: &mut Vec<u8>, values: &[f64]) {
    let mut bits = BitWriter::default();
    bits.put(values[0].to_bits(), 64);
    let mut state = XorState::starting(values[0].to_bits());
    for value in &values[1..] {
        state.put(&mut bits, value.to_bits());
    }
    bits.copy_to(out);
}

/// Values as `(base + unit * units[i]) / 10^exponent`.
struct Decimals {
    exponent: u8,
    base: i64,
    unit: u64,
    units: Vec<i64>,
}

impl Decimals {
    fn put_head(&self, out: &mut Vec<u8>) {
        out.push(self.exponent);
        put_i64(out, self.base);
        put_u64(out, self.unit);
    }

    fn put_deltas(&self, out: &mut Vec<u8>) {
        self.put_head(out);
        for pair in self.units.windows(2) {
            put_i64(out, pair[1] - pair[0]);
        }
    }

    fn put_packed(&self, out: &mut Vec<u8>, packing: Packing) {
        self.put_head(out);
        pack(out, &self.units, packing);
    }
}

/// The value as an integer of 10^-exponent, if it comes back bit for bit.
fn scale(value: f64, exponent: usize) -> Option<i64> {
    let scaled = value * POWERS[exponent];
    if scaled.abs() >= INTEGER_MAX {
        return None;
    }
    let whole = (scaled + ROUNDER) - ROUNDER;
    ((whole / POWERS[exponent]).to_bits() == value.to_bits()).then_some(whole as i64)
}

fn scaled(values: &[f64]) -> Option<Decimals> {
    let mut exponent = 0;
    let mut integers = Vec::with_capacity(values.len());
    while integers.len() < values.len() {
        match scale(values[integers.len()], exponent) {
            Some(integer) => integers.push(integer),
            None if exponent == EXPONENT_MAX => return None,
            None => {
                exponent += 1;
                // The values so far have to hold at the new exponent too.
                integers.clear();
            }
        }
    }
    let base = integers[0];
    let unit = integers
        .iter()
        .map(|x| (x - base).unsigned_abs())
        .fold(0, gcd_until_one)
        .max(1);
    for integer in &mut integers {
        *integer = (*integer - base) / unit as i64;
    }
    Some(Decimals {
        exponent: exponent as u8,
        base,
        unit,
        units: integers,
    })
}

fn gcd_until_one(a: u64, b: u64) -> u64 {
    if a == 1 { 1 } else { gcd(a, b) }
}

/// Greatest common divisor; 0 is neutral.
pub(crate) fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Bits a value would take by its magnitude alone: a cheap guess at what entropy coding gives.
fn magnitude_bits(units: &[i64], order: usize) -> u64 {
    let bits = |x: i64| u64::from(64 - zigzag(x).leading_zeros());
    match order {
        0 => units.iter().map(|x| bits(*x)).sum(),
        1 => units
            .windows(2)
            .map(|p| bits(p[1].wrapping_sub(p[0])))
            .sum(),
        _ => units
            .windows(3)
            .map(|p| {
                bits(
                    p[2].wrapping_sub(p[1])
                        .wrapping_sub(p[1].wrapping_sub(p[0])),
                )
            })
            .sum(),
    }
}

impl Effort {
    /// Difference orders to try.
    fn orders(self, units: &[i64]) -> Vec<usize> {
        let mut orders = vec![0, 1, 2];
        if self == Self::Quick {
            orders.sort_by_key(|order| magnitude_bits(units, *order));
            orders.truncate(1);
        }
        orders
    }
}

/// Appends `count` values; `None` if the bytes are not a column of that length.
pub(crate) fn decode(bytes: &[u8], count: usize, values: &mut Vec<f64>) -> Option<()> {
    decode_with(bytes, count, values, &mut Vec::new())
}

/// As [`decode`], with `room` for the numbers on the way, whatever it holds.
pub(crate) fn decode_with(
    bytes: &[u8],
    count: usize,
    values: &mut Vec<f64>,
    room: &mut Vec<i64>,
) -> Option<()> {
    if count == 0 {
        return Some(());
    }
    let start = values.len();
    let mut reader = Reader::new(bytes);
    let tag = reader.u8()?;
    let exceptions = if tag & EXCEPTIONS != 0 {
        take_exceptions(&mut reader, count)?
    } else {
        vec![]
    };
    match tag & !EXCEPTIONS {
        CONSTANT => values.resize(start + count, reader.f64()?),
        RUNS => take_runs(reader, count, values)?,
        DECIMAL_PACKED => take_decimals(reader, count, values, room, |reader, units| {
            unpack(reader.rest(), units)
        })?,
        DECIMAL_DELTAS => take_decimals(reader, count, values, room, take_deltas)?,
        FLOAT_PACKED => {
            values.resize(start + count, 0.0);
            unpack(reader.rest(), &mut values[start..])?;
        }
        XOR => take_xor(reader.rest(), count, values)?,
        _ => return None,
    }
    for (position, value) in exceptions {
        *values.get_mut(start + position)? = value;
    }
    (values.len() == start + count).then_some(())
}

fn take_exceptions(reader: &mut Reader<'_>, count: usize) -> Option<Vec<(usize, f64)>> {
    let mut exceptions = Vec::new();
    let mut next = 0usize;
    for _ in 0..reader.count()? {
        let position = next.checked_add(reader.usize()?).filter(|p| *p < count)?;
        let bits = u64::from_le_bytes(*reader.take(8)?.first_chunk()?);
        exceptions.push((position, f64::from_bits(bits)));
        next = position + 1;
    }
    Some(exceptions)
}

fn take_runs(mut reader: Reader<'_>, count: usize, values: &mut Vec<f64>) -> Option<()> {
    let mut left = count;
    while left > 0 {
        let run = reader.usize().filter(|n| (1..=left).contains(n))?;
        values.resize(values.len() + run, reader.f64()?);
        left -= run;
    }
    Some(())
}

fn take_decimals(
    mut reader: Reader<'_>,
    count: usize,
    values: &mut Vec<f64>,
    units: &mut Vec<i64>,
    units_from: impl FnOnce(Reader<'_>, &mut [i64]) -> Option<()>,
) -> Option<()> {
    let power = *POWERS.get(usize::from(reader.u8()?))?;
    let base = reader.i64()?;
    let unit = reader.u64()? as i64;
    units.clear();
    units.resize(count, 0);
    units_from(reader, units)?;
    let whole = |u: &i64| base.wrapping_add(u.wrapping_mul(unit)) as f64;
    if power == 1.0 {
        values.extend(units.iter().map(whole));
    } else {
        values.extend(units.iter().map(|u| whole(u) / power));
    }
    Some(())
}

fn take_deltas(mut reader: Reader<'_>, units: &mut [i64]) -> Option<()> {
    let mut unit = 0i64;
    for slot in units.iter_mut().skip(1) {
        unit = unit.wrapping_add(unzigzag(reader.u64()?));
        *slot = unit;
    }
    Some(())
}

fn take_xor(bytes: &[u8], count: usize, values: &mut Vec<f64>) -> Option<()> {
    let mut bits = BitReader::new(bytes);
    let first = bits.take(64)?;
    let mut state = XorState::starting(first);
    values.push(f64::from_bits(first));
    for _ in 1..count {
        values.push(f64::from_bits(state.take(&mut bits)?));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{
        Just, Strategy, any, prop::collection::vec, prop_assert_eq, prop_oneof, proptest,
    };

    use super::*;

    fn size(values: &[f64], effort: Effort) -> usize {
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        encode(&mut bytes, values, effort);
        decode(&bytes, values.len(), &mut back).unwrap();
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(values));
        bytes.len()
    }

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            any::<i32>().prop_map(f64::from),
            (any::<i32>(), 0usize..=12).prop_map(|(n, e)| f64::from(n) / POWERS[e]),
            Just(-0.0),
            Just(f64::INFINITY),
            Just(f64::from_bits(0x7ff0_0000_0000_0002)),
            Just(4_503_599_627_370_497.0),
        ]
    }

    /// Columns of one kind, with a few strangers among them.
    fn any_column() -> impl Strategy<Value = Vec<f64>> {
        let walk = (vec(-50i32..50, 0..300), 0usize..4, 1u32..5000).prop_map(|(steps, e, unit)| {
            let mut at = 0;
            let mut step = |d: &i32| {
                at += d;
                f64::from(at) * f64::from(unit) / POWERS[e]
            };
            steps.iter().map(&mut step).collect::<Vec<f64>>()
        });
        let runs = vec((any_value(), 1usize..100), 0..6)
            .prop_map(|runs| runs.iter().flat_map(|(v, n)| vec![*v; *n]).collect());
        let base = prop_oneof![vec(any_value(), 0..150), walk, runs];
        (base, vec((any::<usize>(), any_value()), 0..3)).prop_map(|(mut column, strangers)| {
            for (at, value) in strangers {
                let n = column.len().max(1);
                if let Some(slot) = column.get_mut(at % n) {
                    *slot = value;
                }
            }
            column
        })
    }

    proptest! {
        #[test]
        fn every_column_reads_back_bit_for_bit(column in any_column()) {
            size(&column, Effort::Quick);
            size(&column, Effort::Best);
        }

        #[test]
        fn damaged_bytes_give_no_panic(bytes in vec(any::<u8>(), 0..100), n in 0usize..300) {
            let mut values = Vec::new();
            if decode(&bytes, n, &mut values).is_some() {
                prop_assert_eq!(values.len(), n);
            }
        }
    }

    #[test]
    fn a_constant_and_rare_changes_cost_almost_nothing() {
        assert!(size(&[42.0; 2048], Effort::Quick) <= 4);
        let mut steps = vec![1.0; 1000];
        steps.extend([2.0; 1048]);
        assert!(size(&steps, Effort::Quick) <= 12);
    }

    #[test]
    fn multiples_of_a_page_cost_no_more_than_their_count() {
        let pages: Vec<f64> = (0..2048)
            .map(|i| f64::from(1000 + (i * 7919) % 16))
            .collect();
        let bytes: Vec<f64> = pages.iter().map(|p| p * 4096.0).collect();
        assert!(size(&bytes, Effort::Quick) <= size(&pages, Effort::Quick) + 4);
    }

    #[test]
    fn a_staleness_marker_does_not_spoil_a_column() {
        let mut column: Vec<f64> = (0..1000).map(|i| f64::from(i % 7) / 10.0).collect();
        let plain = size(&column, Effort::Quick);
        column[999] = model::stale_nan();
        let marked = size(&column, Effort::Quick);
        assert!(marked < plain + 32, "{marked} after {plain}");
    }
}
