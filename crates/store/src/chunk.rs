//! A compressed run of one series' samples, and its codecs.
//!
//! A run is two columns that are coded apart: times, because series scraped together share them,
//! and values. See `docs/formats/chunk.md` for every byte.

pub(crate) mod bits;
pub(crate) mod histograms;
pub(crate) mod pack;
pub(crate) mod times;
pub(crate) mod values;
pub(crate) mod windows;
pub(crate) mod xor;

use std::{ops::Range, sync::Arc};

use model::Histogram;

use crate::columns::Columns;

/// Samples a chunk may hold; larger counts in a file are damage.
pub(crate) const SAMPLES_MAX: usize = 1 << 16;

/// Room for what decoding needs on the way, to be used again.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Samples to make place for: what the series before had.
    pub(crate) usual: usize,
    pub(crate) bits: Vec<u8>,
    pub(crate) units: Vec<i64>,
}

/// How hard to look for the smallest coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Differences only, 50 times as fast: for runs that live in memory until the next flush.
    Light,
    /// One guess, a low level: on the path of ingest.
    Quick,
    /// All candidates, a high level: when parts are merged.
    Best,
}

impl Effort {
    /// `pco`'s compression level.
    pub(crate) fn level(self) -> usize {
        match self {
            Self::Light | Self::Quick => 6,
            Self::Best => 8,
        }
    }
}

/// What the values of a chunk are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Floats,
    Histograms,
    /// Points of a roll-up; as samples, the last value of each.
    Windows,
}

/// An immutable compressed run; times rise strictly.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) kind: Kind,
    pub(crate) count: usize,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) times: Vec<u8>,
    pub(crate) values: Vec<u8>,
}

impl Chunk {
    /// Compresses floats. There is at least one.
    pub(crate) fn floats(times: &[i64], floats: &[f64], effort: Effort) -> Self {
        let mut chunk = Self::of_times(Kind::Floats, times, effort);
        values::encode(&mut chunk.values, floats, effort);
        chunk.values.shrink_to_fit();
        chunk
    }

    /// Compresses histograms. There is at least one.
    pub(crate) fn histograms(times: &[i64], column: &[Arc<Histogram>], effort: Effort) -> Self {
        let mut chunk = Self::of_times(Kind::Histograms, times, effort);
        histograms::encode(&mut chunk.values, column, effort);
        chunk.values.shrink_to_fit();
        chunk
    }

    fn of_times(kind: Kind, column: &[i64], effort: Effort) -> Self {
        let (first, last) = (column[0], column[column.len() - 1]);
        let mut times = Vec::new();
        times::encode(&mut times, column, effort);
        times.shrink_to_fit();
        Self {
            kind,
            count: column.len(),
            from_ms: first,
            to_ms: last,
            times,
            values: Vec::new(),
        }
    }

    /// Appends the samples; `None` if the bytes are damaged.
    pub(crate) fn read(&self, out: &mut Columns) -> Option<()> {
        if self.count > SAMPLES_MAX {
            return None;
        }
        times::decode(&self.times, self.from_ms, self.count, &mut out.times)?;
        read_values(self.kind, &self.values, self.count, out, &mut Vec::new())
    }

    /// Memory held, bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.times.capacity() + self.values.capacity()
    }
}

/// Splits samples in order of time into pieces of about `target` samples for a chunk each,
/// floats and histograms apart. Pieces are equal, so that no tail is too short to compress.
pub(crate) fn pieces(columns: &Columns, target: usize) -> Vec<Range<usize>> {
    let is_histogram = |i: usize| columns.histograms.get(i).is_some_and(Option::is_some);
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < columns.len() {
        let mut end = start + 1;
        while end < columns.len() && is_histogram(end) == is_histogram(start) {
            end += 1;
        }
        let length = end - start;
        let count = ((length + target / 2) / target).max(1);
        let cut = |i: usize| start + length * i / count;
        pieces.extend((0..count).map(|i| cut(i)..cut(i + 1)));
        start = end;
    }
    pieces
}

/// Compresses one of the [`pieces`].
pub(crate) fn compress(columns: &Columns, piece: Range<usize>, effort: Effort) -> Chunk {
    let times = &columns.times[piece.clone()];
    match columns.histograms.get(piece.start) {
        Some(Some(_)) => {
            let column: Vec<Arc<Histogram>> = columns.histograms[piece]
                .iter()
                .flatten()
                .cloned()
                .collect();
            Chunk::histograms(times, &column, effort)
        }
        _ => Chunk::floats(times, &columns.values[piece], effort),
    }
}

/// Appends the values of `count` samples whose times are already in place; `room` is for the
/// numbers on the way.
pub(crate) fn read_values(
    kind: Kind,
    bytes: &[u8],
    count: usize,
    out: &mut Columns,
    room: &mut Vec<i64>,
) -> Option<()> {
    match kind {
        Kind::Floats | Kind::Windows => {
            if kind == Kind::Windows {
                windows::decode_last(bytes, count, &mut out.values)?;
            } else {
                values::decode_with(bytes, count, &mut out.values, room)?;
            }
            if !out.histograms.is_empty() {
                out.histograms.resize(out.values.len(), None);
            }
        }
        Kind::Histograms => {
            let mut column = Vec::new();
            histograms::decode(bytes, count, &mut column)?;
            out.histograms.resize(out.values.len(), None);
            out.values.extend(column.iter().map(|h| h.sum));
            out.histograms.extend(column.into_iter().map(Some));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use model::Value;

    use super::*;

    #[test]
    fn pieces_are_even_and_near_the_target() {
        let mut columns = Columns::default();
        for i in 0..2399 {
            columns.push(i, &Value::Float(0.5));
        }
        let sizes = |target| {
            pieces(&columns, target)
                .iter()
                .map(Range::len)
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(2048), [2399]);
        assert_eq!(sizes(500), [479, 480, 480, 480, 480]);
    }
}
