//! Tombstones: what was deleted and is still in parts.
//!
//! A tombstone hides samples of parts up to a rank: those written before the delete. What is
//! written later is in parts of higher rank, or in memory, and is not touched. Merges leave out
//! what is hidden, so a merged part may be asked the same question again without harm; when no
//! part holds anything hidden the tombstone is dropped.
//!
//! The file (every byte in `docs/formats/tombstones.md`) is a magic, a frame that says how many
//! tombstones follow, so that a cut between two is seen, and a frame each; it is written anew and renamed at each change. It stands beside the MANIFEST so that a manifest
//! rebuilt from the parts does not bring deleted samples back.

use std::{io, sync::Arc};

use model::{Labels, MatchOp, Matcher};

use crate::{
    columns::Columns,
    disk::{Disk, ReadFile},
    labels_index::resolve,
    log::{Frames, Next, put_frame},
    part::{
        Footer,
        index::Index,
        reader::{Part, PartError, SharedTimes},
    },
    varint::{Reader, put_bytes, put_i64, put_u64},
};

/// First bytes of the file; the last one is the version.
pub(crate) const MAGIC: &[u8; 8] = b"AUSETMB\x01";
/// File name.
pub(crate) const NAME: &str = "TOMBSTONES";
const TEMPORARY: &str = "TOMBSTONES.tmp";
/// Deletes that may wait to be carried out: each read looks at all of them.
pub(crate) const PENDING_MAX: usize = 4096;

/// One delete.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tombstone {
    /// Parts of this rank and below.
    pub(crate) rank: u64,
    /// First and last time deleted, ms.
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    /// All must hold.
    pub(crate) matchers: Vec<Matcher>,
}

impl Tombstone {
    fn covers(&self, footer: &Footer) -> bool {
        footer.rank <= self.rank && footer.from_ms <= self.to_ms && footer.to_ms >= self.from_ms
    }

    fn matches(&self, labels: &Labels) -> bool {
        let holds = |m: &Matcher| m.matches(labels.get(&m.name).unwrap_or_default());
        self.matchers.iter().all(holds)
    }

    /// Whether a sample of a series of the part lies within. A block may span a hole, so that its
    /// header alone does not say.
    fn hides(&self, part: &Part, index: &Index, series: u32) -> Result<bool, PartError> {
        let blocks = index.blocks(series).unwrap_or_default();
        let within = |time_ms: i64| (self.from_ms..=self.to_ms).contains(&time_ms);
        let touched = blocks
            .iter()
            .filter(|b| b.from_ms <= self.to_ms && b.to_ms >= self.from_ms);
        for block in touched {
            if within(block.from_ms) || within(block.to_ms) {
                return Ok(true);
            }
            let mut columns = Columns::default();
            part.read_block(block, &mut SharedTimes::default(), &mut columns)?;
            let next = columns.times.partition_point(|t| *t < self.from_ms);
            if columns.times.get(next).is_some_and(|t| within(*t)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.rank);
        put_i64(out, self.from_ms);
        put_i64(out, self.to_ms);
        put_u64(out, self.matchers.len() as u64);
        for matcher in &self.matchers {
            out.push(match matcher.op {
                MatchOp::Equal => 0,
                MatchOp::NotEqual => 1,
                MatchOp::Regex => 2,
                MatchOp::NotRegex => 3,
            });
            put_bytes(out, matcher.name.as_bytes());
            put_bytes(out, matcher.value.as_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mut tombstone = Self {
            rank: reader.u64()?,
            from_ms: reader.i64()?,
            to_ms: reader.i64()?,
            matchers: Vec::new(),
        };
        for _ in 0..reader.count()? {
            tombstone.matchers.push(take_matcher(&mut reader)?);
        }
        (reader.is_empty() && !tombstone.matchers.is_empty()).then_some(tombstone)
    }
}

fn take_matcher(reader: &mut Reader<'_>) -> Option<Matcher> {
    let op = match reader.u8()? {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => return None,
    };
    let name = std::str::from_utf8(reader.bytes()?).ok()?;
    let value = std::str::from_utf8(reader.bytes()?).ok()?;
    Matcher::new(name, op, value).ok()
}

/// All tombstones in force, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tombstones(pub(crate) Vec<Arc<Tombstone>>);

/// What a file of tombstones says.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) tombstones: Tombstones,
    /// Where the first byte is that does not check.
    pub(crate) damaged_at: Option<u64>,
}

impl Tombstones {
    /// Those that may hide something of a part.
    pub(crate) fn over(&self, footer: &Footer) -> Veil {
        let covers = |t: &&Arc<Tombstone>| t.covers(footer);
        Veil(self.0.iter().filter(covers).cloned().collect())
    }

    /// Reads the file; none if there is no file. Tombstones before a damage are kept.
    pub(crate) fn read(disk: &dyn Disk) -> io::Result<Found> {
        match disk.open(NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::default()),
            Err(error) => Err(error),
            Ok(file) => Self::read_file(file),
        }
    }

    fn read_file(file: Arc<dyn ReadFile>) -> io::Result<Found> {
        let mut found = Found::default();
        let Some(mut frames) = Frames::open(file, MAGIC)? else {
            found.damaged_at = Some(0);
            return Ok(found);
        };
        let count = match frames.next()? {
            Next::Payload(payload) => Reader::new(payload).u64(),
            Next::End | Next::Damage => None,
        };
        loop {
            let at = frames.at();
            let tombstone = match frames.next()? {
                Next::End => {
                    let whole = count == Some(found.tombstones.0.len() as u64);
                    found.damaged_at = (!whole).then_some(at);
                    return Ok(found);
                }
                Next::Payload(payload) => Tombstone::decode(payload),
                Next::Damage => None,
            };
            match tombstone {
                Some(tombstone) => found.tombstones.0.push(Arc::new(tombstone)),
                None => {
                    found.damaged_at = Some(at);
                    return Ok(found);
                }
            }
        }
    }

    /// Puts these in the place of what the file says; durable when it returns. No file is left
    /// when there are none.
    pub(crate) fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        if self.0.is_empty() {
            return match disk.remove(NAME) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
                Ok(()) => disk.sync_dir(),
            };
        }
        let mut bytes = MAGIC.to_vec();
        put_frame(&mut bytes, |out| put_u64(out, self.0.len() as u64));
        for tombstone in &self.0 {
            put_frame(&mut bytes, |out| tombstone.encode(out));
        }
        let file = disk.create(TEMPORARY)?;
        file.append(&bytes)?;
        file.sync()?;
        disk.rename(TEMPORARY, NAME)?;
        disk.sync_dir()
    }
}

/// The tombstones over one part.
#[derive(Debug, Clone, Default)]
pub(crate) struct Veil(pub(crate) Vec<Arc<Tombstone>>);

impl Veil {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ranges of time hidden of the series of `key` (canonical label bytes).
    pub(crate) fn hidden(&self, key: &[u8]) -> Vec<(i64, i64)> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let Some(labels) = Labels::from_bytes(key) else {
            return Vec::new();
        };
        let over = self.0.iter().filter(|t| t.matches(&labels));
        over.map(|t| (t.from_ms, t.to_ms)).collect()
    }

    /// Removes what is hidden of the series of `key`.
    pub(crate) fn cut(&self, key: &[u8], columns: &mut Columns) {
        for (from_ms, to_ms) in self.hidden(key) {
            columns.cut(from_ms, to_ms);
        }
    }

    /// Which of these hide samples that are in the part.
    pub(crate) fn at_work(&self, part: &Part) -> Result<Vec<Arc<Tombstone>>, PartError> {
        let mut at_work = Vec::new();
        if self.is_empty() {
            return Ok(at_work);
        }
        let index = part.index()?;
        for tombstone in &self.0 {
            for series in resolve(&*index, &tombstone.matchers) {
                if tombstone.hides(part, &index, series)? {
                    at_work.push(Arc::clone(tombstone));
                    break;
                }
            }
        }
        Ok(at_work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tombstones_read_back_and_every_cut_is_refused() {
        let tombstone = Tombstone {
            rank: 300,
            from_ms: i64::MIN,
            to_ms: 77,
            matchers: vec![
                Matcher::equal("__name__", "up"),
                Matcher::new("job", MatchOp::NotRegex, "a|b.*").unwrap(),
            ],
        };
        let mut bytes = Vec::new();
        tombstone.encode(&mut bytes);
        assert_eq!(Tombstone::decode(&bytes), Some(tombstone));
        for cut in 0..bytes.len() {
            assert_eq!(Tombstone::decode(&bytes[..cut]), None);
        }
    }

    #[test]
    fn a_tombstone_without_a_matcher_would_hide_everything_and_is_refused() {
        let mut bytes = Vec::new();
        Tombstone {
            rank: 1,
            from_ms: 0,
            to_ms: 1,
            matchers: Vec::new(),
        }
        .encode(&mut bytes);
        assert_eq!(Tombstone::decode(&bytes), None);
    }
}
