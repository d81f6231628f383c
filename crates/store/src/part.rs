//! A part: an immutable file of compressed series of one UTC day, with its own index.
//!
//! Layout (every byte in `docs/formats/part.md`): magic, columns, index, footer, tail. Columns
//! of times are stored once however many series share them, so that jitter costs a scrape, not a
//! series. Block headers in the index carry count, sum, minimum, maximum, first, last and counter
//! resets, so that roll-ups need not decode. The index goes when the part goes.

pub(crate) mod index;
pub(crate) mod reader;
pub(crate) mod writer;

use crate::varint::{Reader, put_i64, put_u64};

/// First bytes of a part; the last one is the version.
pub(crate) const MAGIC: &[u8; 8] = b"AUSEPRT\x01";
/// Last bytes of a part: without them the file is not complete.
pub(crate) const END: &[u8; 8] = b"AUSEEND\x01";
/// Footer length, footer checksum, [`END`].
pub(crate) const TAIL_BYTES: usize = 16;
/// Milliseconds of a day, the span of a part.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// Level of a part that holds its whole day, coded as small as we can.
pub(crate) const DAY_LEVEL: u8 = 9;

/// File name of a part.
pub(crate) fn name(sequence: u64) -> String {
    format!("part-{sequence:010}.prt")
}

/// End of the name of a part that is not finished.
pub(crate) const TEMPORARY: &str = ".prt.tmp";

/// File name of a part while it is written.
pub(crate) fn temporary(sequence: u64) -> String {
    format!("part-{sequence:010}{TEMPORARY}")
}

/// Number of a part by its file name.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_prefix("part-")?
        .strip_suffix(".prt")?
        .parse()
        .ok()
}

/// What a part says of itself, in its footer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Footer {
    /// Unique and rising: the file's number.
    pub(crate) sequence: u64,
    /// Of equal times the part of higher rank wins; a merged part has its newest input's.
    pub(crate) rank: u64,
    /// 0 after a flush, rising by merges.
    pub(crate) level: u8,
    /// Days since the Unix epoch.
    pub(crate) day: i64,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) series: u64,
    pub(crate) samples: u64,
    /// Log segments before this one were in parts when this one was written.
    pub(crate) wal_floor: u64,
    /// Parts this one was merged from.
    pub(crate) replaces: Vec<u64>,
    /// Where the index starts, and how long it is.
    pub(crate) index_at: u64,
    pub(crate) index_bytes: u64,
    pub(crate) index_crc: u32,
    /// A roll-up: of how many milliseconds each point tells; 0 for samples.
    pub(crate) every_ms: i64,
    /// A roll-up: the part it was made from.
    pub(crate) source: u64,
    /// The first part that held this day whole, if it was another one; see `rollup`.
    pub(crate) origin: u64,
}

impl Footer {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.sequence);
        put_u64(out, self.rank);
        out.push(self.level);
        put_i64(out, self.day);
        put_i64(out, self.from_ms);
        put_i64(out, self.to_ms);
        put_u64(out, self.series);
        put_u64(out, self.samples);
        put_u64(out, self.wal_floor);
        put_u64(out, self.replaces.len() as u64);
        for sequence in &self.replaces {
            put_u64(out, *sequence);
        }
        put_u64(out, self.index_at);
        put_u64(out, self.index_bytes);
        out.extend_from_slice(&self.index_crc.to_le_bytes());
        if self.every_ms != 0 || self.origin != 0 {
            put_i64(out, self.every_ms);
            put_u64(out, self.source);
            put_u64(out, self.origin);
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mut footer = Self {
            sequence: reader.u64()?,
            rank: reader.u64()?,
            level: reader.u8()?,
            day: reader.i64()?,
            from_ms: reader.i64()?,
            to_ms: reader.i64()?,
            series: reader.u64()?,
            samples: reader.u64()?,
            wal_floor: reader.u64()?,
            ..Self::default()
        };
        for _ in 0..reader.count()? {
            footer.replaces.push(reader.u64()?);
        }
        footer.index_at = reader.u64()?;
        footer.index_bytes = reader.u64()?;
        footer.index_crc = u32::from_le_bytes(*reader.take(4)?.first_chunk()?);
        if !reader.is_empty() {
            footer.every_ms = reader.i64()?;
            footer.source = reader.u64()?;
            footer.origin = reader.u64()?;
        }
        reader.is_empty().then_some(footer)
    }

    /// Whether it holds points of a roll-up.
    pub(crate) fn is_rollup(&self) -> bool {
        self.every_ms > 0
    }

    /// Bytes of compressed columns.
    pub(crate) fn column_bytes(&self) -> u64 {
        self.index_at - MAGIC.len() as u64
    }
}
