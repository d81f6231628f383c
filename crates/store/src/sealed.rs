//! Compressed runs of one series' floats in memory, one after another in one buffer: what an open
//! chunk becomes once it is long or heavy.
//!
//! A run is its count, first time, span, times and values, lengths and numbers as varints: one
//! allocation a series, and 10 to 15 bytes a run beside the columns.

use crate::{
    chunk::{Chunk, Effort, Kind, read_values, times},
    columns::Columns,
    varint::{Reader, put_bytes, put_i64, put_u64},
};

/// Runs in the order they were sealed.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    bytes: Vec<u8>,
}

impl Sealed {
    /// Memory held beyond the struct itself, bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many runs there are.
    pub(crate) fn runs(&self) -> usize {
        let mut reader = Reader::new(&self.bytes);
        let (mut runs, mut nothing) = (0, Columns::default());
        while !reader.is_empty() {
            // No time lies in this range: every run is passed over.
            read_run(
                &mut reader,
                (i64::MAX, i64::MIN),
                &mut Vec::new(),
                &mut nothing,
            )
            .expect("a run in memory reads back what was compressed");
            runs += 1;
        }
        runs
    }

    /// Compresses a run; there is at least one sample, and times rise.
    pub(crate) fn push(&mut self, times: &[i64], values: &[f64]) {
        let chunk = Chunk::floats(times, values, Effort::Light);
        let mut run = Vec::with_capacity(chunk.times.len() + chunk.values.len() + 32);
        put_u64(&mut run, chunk.count as u64);
        put_i64(&mut run, chunk.from_ms);
        put_u64(&mut run, chunk.to_ms.wrapping_sub(chunk.from_ms) as u64);
        put_bytes(&mut run, &chunk.times);
        put_bytes(&mut run, &chunk.values);
        self.bytes.reserve_exact(run.len());
        self.bytes.extend_from_slice(&run);
    }

    /// Appends the samples of the runs that touch `from_ms..=to_ms`, with `room` for the numbers
    /// on the way.
    pub(crate) fn read(
        &self,
        (from_ms, to_ms): (i64, i64),
        room: &mut Vec<i64>,
        out: &mut Columns,
    ) {
        let mut reader = Reader::new(&self.bytes);
        while !reader.is_empty() {
            read_run(&mut reader, (from_ms, to_ms), room, out)
                .expect("a run in memory reads back what was compressed");
        }
    }
}

fn read_run(
    reader: &mut Reader<'_>,
    (from_ms, to_ms): (i64, i64),
    room: &mut Vec<i64>,
    out: &mut Columns,
) -> Option<()> {
    let count = reader.usize()?;
    let first_ms = reader.i64()?;
    let last_ms = first_ms.wrapping_add(reader.u64()? as i64);
    let (time_bytes, value_bytes) = (reader.bytes()?, reader.bytes()?);
    if first_ms > to_ms || last_ms < from_ms {
        return Some(());
    }
    times::decode(time_bytes, first_ms, count, &mut out.times)?;
    read_values(Kind::Floats, value_bytes, count, out, room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_read_back_and_those_outside_the_range_are_passed_over() {
        let mut sealed = Sealed::default();
        sealed.push(&[1, 2, 3], &[0.5, f64::INFINITY, -0.0]);
        sealed.push(&[10, 12, 19], &[1.0, 1.0, 1.0]);
        let mut all = Columns::default();
        sealed.read((i64::MIN, i64::MAX), &mut Vec::new(), &mut all);
        assert_eq!(all.times, [1, 2, 3, 10, 12, 19]);
        let mut late = Columns::default();
        sealed.read((4, 10), &mut Vec::new(), &mut late);
        assert_eq!((late.times.len(), late.values[0]), (3, 1.0));
    }
}
