//! How a log segment is told of series, so that it can be read alone: each label pair once, each
//! series as a row of pair numbers.
//!
//! New series come so before the batch that brings them. A flush begins its new segment with the
//! series the old one knew: a million take some 11 MB, where their labels take 150.

use roaring::RoaringBitmap;

use crate::{
    pairs,
    record::Incoming,
    registry::Registry,
    varint::{Reader, put_bytes, put_i64, put_u64},
};

/// First byte of the payload: series known from before.
pub(crate) const CARRIED: u8 = 3;
/// Series a record: bounds its memory, and how long the registry is held.
const RECORD_SERIES: usize = 1 << 14;

/// The label pairs a segment has spelled out.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    known: RoaringBitmap,
    /// The numbering of pairs it is about; another one begins anew.
    numbering: u64,
}

impl Dictionary {
    /// Appends the payload that tells the segment of these series, given in rising order.
    pub(crate) fn put(&mut self, registry: &Registry, ids: &[u32], out: &mut Vec<u8>) {
        out.push(CARRIED);
        self.put_pairs(registry, ids, out);
        put_u64(out, ids.len() as u64);
        let mut last = 0;
        for id in ids {
            put_u64(out, u64::from(id - last));
            last = *id;
            let pairs = registry.pairs_of(*id);
            put_u64(out, pairs.len() as u64);
            let mut previous = 0;
            for pair in pairs {
                put_i64(out, i64::from(*pair) - previous);
                previous = i64::from(*pair);
            }
        }
    }

    fn put_pairs(&mut self, registry: &Registry, ids: &[u32], out: &mut Vec<u8>) {
        if self.numbering != registry.numbering {
            *self = Self {
                numbering: registry.numbering,
                ..Self::default()
            };
        }
        let mut fresh = Vec::new();
        for pair in ids.iter().flat_map(|id| registry.pairs_of(*id)) {
            if self.known.insert(*pair) {
                fresh.push(*pair);
            }
        }
        put_u64(out, fresh.len() as u64);
        for pair in fresh {
            put_u64(out, u64::from(pair));
            put_bytes(out, registry.pairs().bytes(pair));
        }
    }
}

/// Writes the records that carry what segment `from` knows over to segment `to`.
#[derive(Debug)]
pub(crate) struct Carrier {
    from: u64,
    to: u64,
    /// First number not yet looked at.
    next: u32,
    dictionary: Dictionary,
}

impl Carrier {
    pub(crate) fn new(from: u64, to: u64) -> Self {
        Self {
            from,
            to,
            next: 0,
            dictionary: Dictionary::default(),
        }
    }

    /// Appends the payload of the next record; `false`, with nothing appended, if there is none.
    pub(crate) fn record(&mut self, registry: &Registry, out: &mut Vec<u8>) -> bool {
        let mut ids = Vec::new();
        while self.next < registry.numbers() && ids.len() < RECORD_SERIES {
            if registry.carry(self.next, self.from, self.to) {
                ids.push(self.next);
            }
            self.next += 1;
        }
        if !ids.is_empty() {
            self.dictionary.put(registry, &ids, out);
        }
        !ids.is_empty()
    }

    /// What the new segment has spelled out.
    pub(crate) fn into_dictionary(self) -> Dictionary {
        self.dictionary
    }
}

/// Numbers of a segment, and what they mean today.
#[derive(Debug, Default)]
pub(crate) struct Meanings {
    by_number: Vec<Option<u32>>,
}

/// Greatest number a segment may use: more than memory could hold. A greater one is damage, and
/// must not ask for memory.
const NUMBER_MAX: u32 = 1 << 28;

impl Meanings {
    pub(crate) fn get(&self, number: u32) -> Option<u32> {
        self.by_number.get(number as usize).copied().flatten()
    }

    /// Notes a meaning; `None` if the number is out of bounds.
    pub(crate) fn note(&mut self, number: u32, today: u32) -> Option<()> {
        let at = number as usize;
        if number > NUMBER_MAX {
            return None;
        }
        if self.by_number.len() <= at {
            self.by_number.resize(at + 1, None);
        }
        self.by_number[at] = Some(today);
        Some(())
    }
}

/// Reads the records of one segment back.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pairs: Meanings,
    row: Vec<u32>,
    scratch: Vec<u8>,
    /// Numbers in the record read last.
    numbers: Vec<u32>,
}

/// Reads them with their labels, for those who only look at a segment.
#[derive(Debug, Default)]
pub(crate) struct Spelled {
    carried: Carried,
    /// Made when the first one comes.
    registry: Option<Registry>,
    series: Meanings,
}

impl Spelled {
    /// A record as if its series had been introduced one by one; `None` if the payload is not one.
    pub(crate) fn decode(&mut self, payload: &[u8]) -> Option<Incoming> {
        let registry = self.registry.get_or_insert_with(Registry::new);
        self.carried.restore(payload, registry, &mut self.series)?;
        let mut record = Incoming::default();
        for number in &self.carried.numbers {
            let labels = registry.labels(self.series.get(*number)?)?;
            record.series.push((*number, labels));
        }
        Some(record)
    }
}

impl Carried {
    /// Adds a record's series to the registry; `None` if the payload is not one.
    pub(crate) fn restore(
        &mut self,
        payload: &[u8],
        registry: &mut Registry,
        series: &mut Meanings,
    ) -> Option<()> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != CARRIED {
            return None;
        }
        for _ in 0..reader.count()? {
            let number = reader.u32()?;
            let bytes = reader.bytes()?;
            pairs::is_one(bytes).then_some(())?;
            self.pairs
                .note(number, registry.pairs_mut().intern(bytes))?;
        }
        self.numbers.clear();
        let mut number = 0u32;
        for _ in 0..reader.count()? {
            number = number.checked_add(reader.u32()?)?;
            self.take_row(&mut reader)?;
            if !registry.pairs().in_order(&self.row) {
                return None;
            }
            let today = registry.restore(&self.row, &mut self.scratch);
            series.note(number, today)?;
            self.numbers.push(number);
        }
        reader.is_empty().then_some(())
    }

    /// Reads the pairs of one series.
    fn take_row(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        self.row.clear();
        let mut previous = 0i64;
        for _ in 0..reader.count()? {
            previous = previous.checked_add(reader.i64()?)?;
            let number = u32::try_from(previous).ok()?;
            self.row.push(self.pairs.get(number)?);
        }
        (!self.row.is_empty()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;
    use crate::registry::NONE;

    #[test]
    fn what_one_segment_knew_the_next_one_says_and_damage_is_refused() {
        let labels =
            |i: usize| Labels::from_pairs([("__name__", "up".to_owned()), ("i", i.to_string())]);
        let mut registry = Registry::new();
        for i in 0..100 {
            let id = registry.add(&labels(i));
            if i % 2 == 0 {
                assert!(!registry.known_in(id, 3));
            }
        }
        let mut carrier = Carrier::new(3, 4);
        let mut payload = Vec::new();
        assert!(carrier.record(&registry, &mut payload));
        assert!(!carrier.record(&registry, &mut Vec::new()));
        // The segment could not be created after all: the next attempt carries the same.
        let mut again = Vec::new();
        assert!(Carrier::new(3, 4).record(&registry, &mut again));
        assert_eq!(again, payload);
        assert!(registry.known_in(0, 4) && !registry.known_in(1, 4));

        let (mut fresh, mut series) = (Registry::new(), Meanings::default());
        fresh.add(&labels(98));
        let mut carried = Carried::default();
        carried.restore(&payload, &mut fresh, &mut series).unwrap();
        assert_eq!(fresh.len(), 50);
        for i in (0..100).step_by(2) {
            let today = series.get(i as u32).unwrap();
            assert_eq!(fresh.find(&labels(i), NONE), today);
            assert_eq!(fresh.labels(today), Some(labels(i)));
        }
        assert_eq!(series.get(1), None);
        for cut in 0..payload.len() {
            let mut meanings = Meanings::default();
            let cut =
                Carried::default().restore(&payload[..cut], &mut Registry::new(), &mut meanings);
            assert_eq!(cut, None);
        }
    }
}
