//! A compressed run of one series' samples, and its codecs.
//!
//! A run is two columns that are coded apart: times, because series scraped together share them,
//! and values. See `docs/formats/chunk.md` for every byte.

pub(crate) mod bits;
pub(crate) mod histograms;
pub(crate) mod pack;
pub(crate) mod times;
pub(crate) mod values;
pub(crate) mod xor;

use std::sync::Arc;

use model::Histogram;

use crate::columns::Columns;

/// Samples a chunk may hold; larger counts in a file are damage.
pub(crate) const SAMPLES_MAX: usize = 1 << 16;

/// How hard to look for the smallest coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// One guess, a low level: on the path of ingest.
    Quick,
    /// All candidates, a high level: when parts are merged.
    Best,
}

impl Effort {
    /// `pco`'s compression level.
    pub(crate) fn level(self) -> usize {
        match self {
            Self::Quick => 6,
            Self::Best => 8,
        }
    }
}

/// What the values of a chunk are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Floats,
    Histograms,
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
        read_values(self.kind, &self.values, self.count, out)
    }

    /// Memory held, bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.times.capacity() + self.values.capacity()
    }
}

/// Appends the values of `count` samples whose times are already in place.
pub(crate) fn read_values(kind: Kind, bytes: &[u8], count: usize, out: &mut Columns) -> Option<()> {
    match kind {
        Kind::Floats => {
            values::decode(bytes, count, &mut out.values)?;
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
