//! A part's index: symbols, series with their blocks, postings.
//!
//! Symbols are sorted and coded against their predecessor; a pair of labels is two symbol
//! numbers. The index is read whole, checked, and asked in place.

use std::borrow::Cow;

use model::{Labels, MatchOp, Matcher};
use roaring::RoaringBitmap;

use crate::{
    chunk::{Kind, SAMPLES_MAX},
    labels_index::{Postings, Test},
    summary::Summary,
    varint::{Reader, put_bytes, put_i64, put_u64},
};

/// Columns up to this length are kept in the index, without a checksum of their own. Regular
/// times and constants are that short.
pub(crate) const INLINE_MAX: usize = 16;

/// Where a column is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the index itself.
    Inline(Vec<u8>),
    /// In the file: `u32 LE` checksum at this position, then so many bytes.
    Stored { at: u64, bytes: usize },
}

/// A block as the index knows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BlockEntry {
    pub(crate) kind: Kind,
    pub(crate) count: usize,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) times: Place,
    pub(crate) values: Place,
    /// Of floats, or of all that a roll-up's points tell of.
    pub(crate) summary: Summary,
}

/// What entries are coded against: the entry before.
#[derive(Debug, Default)]
pub(crate) struct EntryState {
    last_ms: i64,
    times_at: u64,
    values_at: u64,
}

impl EntryState {
    pub(crate) fn starting(from_ms: i64) -> Self {
        Self {
            last_ms: from_ms,
            ..Self::default()
        }
    }
}

const HISTOGRAMS: u8 = 1;
const WINDOWS: u8 = 2;

/// Where a column is, without a copy.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PlaceView<'a> {
    Inline(&'a [u8]),
    Stored { at: u64, bytes: usize },
}

/// A block as it stands in the index: what a reader needs of it, without an allocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockView<'a> {
    pub(crate) kind: Kind,
    pub(crate) count: usize,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) times: PlaceView<'a>,
    pub(crate) values: PlaceView<'a>,
    /// The coded summary, and whatever follows; of an entry taken apart nothing is here.
    header: &'a [u8],
}

/// The blocks of a series, in order of time; a `None` among them is one that cannot be read.
pub(crate) struct Blocks<'a> {
    entries: Reader<'a>,
    state: EntryState,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Option<BlockView<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.entries.is_empty() {
            return None;
        }
        let block = BlockView::take(&mut self.entries, &mut self.state);
        if block.is_none() {
            self.entries = Reader::new(&[]);
        }
        Some(block)
    }
}

impl<'a> PlaceView<'a> {
    /// Where a stored column is in the file.
    pub(crate) fn stored_at(self) -> Option<u64> {
        match self {
            Self::Inline(_) => None,
            Self::Stored { at, .. } => Some(at),
        }
    }

    fn to_place(self) -> Place {
        match self {
            Self::Inline(bytes) => Place::Inline(bytes.to_vec()),
            Self::Stored { at, bytes } => Place::Stored { at, bytes },
        }
    }

    fn take(reader: &mut Reader<'a>, last_at: &mut u64) -> Option<Self> {
        let code = reader.usize()?;
        if code & 1 == 1 {
            return Some(Self::Inline(reader.take(code >> 1)?));
        }
        *last_at = last_at.wrapping_add(reader.i64()? as u64);
        Some(Self::Stored {
            at: *last_at,
            bytes: code >> 1,
        })
    }
}

impl<'a> BlockView<'a> {
    fn take(reader: &mut Reader<'a>, state: &mut EntryState) -> Option<Self> {
        let kind = match reader.u8()? {
            0 => Kind::Floats,
            HISTOGRAMS => Kind::Histograms,
            WINDOWS => Kind::Windows,
            _ => return None,
        };
        let count = reader.usize().filter(|n| (1..=SAMPLES_MAX).contains(n))?;
        let from_ms = state.last_ms.wrapping_add(reader.i64()?);
        let to_ms = from_ms.wrapping_add(reader.u64()? as i64);
        let times = PlaceView::take(reader, &mut state.times_at)?;
        let values = PlaceView::take(reader, &mut state.values_at)?;
        let header = reader.rest();
        if kind != Kind::Histograms {
            Summary::skip(reader)?;
        }
        state.last_ms = to_ms;
        Some(Self {
            kind,
            count,
            from_ms,
            to_ms,
            times,
            values,
            header,
        })
    }

    /// What the header says of the floats; nothing of histograms.
    pub(crate) fn summary(&self) -> Option<Summary> {
        match self.kind {
            Kind::Floats | Kind::Windows => {
                Summary::decode(&mut Reader::new(self.header), self.count)
            }
            Kind::Histograms => Some(Summary::default()),
        }
    }

    fn to_entry(self) -> Option<BlockEntry> {
        Some(BlockEntry {
            kind: self.kind,
            count: self.count,
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            times: self.times.to_place(),
            values: self.values.to_place(),
            summary: self.summary()?,
        })
    }

    /// As [`BlockEntry::position`].
    pub(crate) fn position(&self) -> (Option<u64>, Option<u64>) {
        (self.values.stored_at(), self.times.stored_at())
    }
}

impl Place {
    /// Bytes of the column, its checksum included.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Stored { bytes, .. } => *bytes as u64 + 4,
        }
    }

    pub(crate) fn view(&self) -> PlaceView<'_> {
        match self {
            Self::Inline(bytes) => PlaceView::Inline(bytes),
            Self::Stored { at, bytes } => PlaceView::Stored {
                at: *at,
                bytes: *bytes,
            },
        }
    }
}

impl BlockEntry {
    /// What reading it takes.
    pub(crate) fn view(&self) -> BlockView<'_> {
        BlockView {
            kind: self.kind,
            count: self.count,
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            times: self.times.view(),
            values: self.values.view(),
            header: &[],
        }
    }

    /// Tells blocks of a part that can be damaged apart: where their columns are. Columns in the
    /// index are under its checksum.
    pub(crate) fn position(&self) -> (Option<u64>, Option<u64>) {
        self.view().position()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>, state: &mut EntryState) {
        out.push(match self.kind {
            Kind::Floats => 0,
            Kind::Histograms => HISTOGRAMS,
            Kind::Windows => WINDOWS,
        });
        put_u64(out, self.count as u64);
        put_i64(out, self.from_ms.wrapping_sub(state.last_ms));
        put_u64(out, self.to_ms.wrapping_sub(self.from_ms) as u64);
        put_place(out, &self.times, &mut state.times_at);
        put_place(out, &self.values, &mut state.values_at);
        if self.kind != Kind::Histograms {
            self.summary.encode(out, self.count);
        }
        state.last_ms = self.to_ms;
    }
}

/// Length and whether it is inline, then the bytes or the position after the last one.
fn put_place(out: &mut Vec<u8>, place: &Place, last_at: &mut u64) {
    match place {
        Place::Inline(bytes) => {
            put_u64(out, (bytes.len() as u64) << 1 | 1);
            out.extend_from_slice(bytes);
        }
        Place::Stored { at, bytes } => {
            put_u64(out, (*bytes as u64) << 1);
            put_i64(out, at.wrapping_sub(*last_at) as i64);
            *last_at = *at;
        }
    }
}

/// The postings of one label pair.
#[derive(Debug, Clone, Copy)]
struct Pair {
    name: u32,
    value: u32,
    /// Where its list starts in the index, and how many series it has.
    at: u32,
    count: u32,
}

/// An index in memory.
#[derive(Debug)]
pub(crate) struct Index {
    bytes: Vec<u8>,
    text: String,
    /// Where each symbol ends in `text`.
    ends: Vec<u32>,
    /// Where each series starts in `bytes`.
    series: Vec<u32>,
    /// Sorted by name, then value.
    pairs: Vec<Pair>,
    /// First time of the part: block times are coded against it.
    from_ms: i64,
}

impl Index {
    /// Takes an index apart; `None` if it is not one.
    pub(crate) fn new(bytes: Vec<u8>, from_ms: i64) -> Option<Self> {
        let mut index = Self {
            bytes: Vec::new(),
            text: String::new(),
            ends: Vec::new(),
            series: Vec::new(),
            pairs: Vec::new(),
            from_ms,
        };
        let total = bytes.len();
        let mut reader = Reader::new(&bytes);
        index.take_symbols(&mut reader)?;
        for _ in 0..reader.count()? {
            index.series.push(u32::try_from(total - reader.len()).ok()?);
            for _ in 0..reader.count()? {
                index.check_symbol(reader.u32()?)?;
                index.check_symbol(reader.u32()?)?;
            }
            reader.bytes()?;
        }
        index.take_pairs(&mut reader, total)?;
        reader.is_empty().then_some(())?;
        index.bytes = bytes;
        Some(index)
    }

    fn take_symbols(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let mut symbol: Vec<u8> = Vec::new();
        for _ in 0..reader.count()? {
            let shared = reader.usize().filter(|n| *n <= symbol.len())?;
            symbol.truncate(shared);
            symbol.extend_from_slice(reader.bytes()?);
            self.text.push_str(std::str::from_utf8(&symbol).ok()?);
            self.ends.push(u32::try_from(self.text.len()).ok()?);
        }
        Some(())
    }

    fn take_pairs(&mut self, reader: &mut Reader<'_>, total: usize) -> Option<()> {
        for _ in 0..reader.count()? {
            let name = reader.u32()?;
            self.check_symbol(name)?;
            for _ in 0..reader.count()? {
                let value = reader.u32()?;
                self.check_symbol(value)?;
                let count = u32::try_from(reader.count()?).ok()?;
                let at = u32::try_from(total - reader.len()).ok()?;
                self.pairs.push(Pair {
                    name,
                    value,
                    at,
                    count,
                });
                for _ in 0..count {
                    reader.u64()?;
                }
            }
        }
        self.pairs
            .is_sorted_by_key(|p| (p.name, p.value))
            .then_some(())
    }

    fn check_symbol(&self, symbol: u32) -> Option<()> {
        ((symbol as usize) < self.ends.len()).then_some(())
    }

    fn symbol(&self, number: u32) -> &str {
        let number = number as usize;
        let start = if number == 0 {
            0
        } else {
            self.ends[number - 1]
        };
        &self.text[start as usize..self.ends[number] as usize]
    }

    fn symbol_number(&self, text: &str) -> Option<u32> {
        let (mut low, mut high) = (0, self.ends.len() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.symbol(middle).cmp(text) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Series of the part; they are in the order of their label bytes.
    pub(crate) fn series_count(&self) -> u32 {
        self.series.len() as u32
    }

    fn at(&self, series: u32) -> Reader<'_> {
        Reader::new(&self.bytes[self.series[series as usize] as usize..])
    }

    /// Writes the canonical label bytes of a series to `key`.
    pub(crate) fn key(&self, series: u32, key: &mut Vec<u8>) -> Option<()> {
        key.clear();
        let mut reader = self.at(series);
        for _ in 0..reader.count()? {
            for _ in 0..2 {
                let text = self.symbol(reader.u32()?);
                key.extend_from_slice(&(text.len() as u16).to_le_bytes());
                key.extend_from_slice(text.as_bytes());
            }
        }
        Some(())
    }

    /// The labels of a series.
    pub(crate) fn labels(&self, series: u32) -> Option<Labels> {
        let mut key = Vec::new();
        self.key(series, &mut key)?;
        Labels::from_bytes(&key)
    }

    /// The blocks of a series, in order of time.
    pub(crate) fn blocks(&self, series: u32) -> Option<Vec<BlockEntry>> {
        self.each_block(series)?
            .map(|block| block?.to_entry())
            .collect()
    }

    /// The same, one at a time and without a copy.
    pub(crate) fn each_block(&self, series: u32) -> Option<Blocks<'_>> {
        let mut reader = self.at(series);
        for _ in 0..reader.count()? * 2 {
            reader.skip()?;
        }
        Some(Blocks {
            entries: Reader::new(reader.bytes()?),
            state: EntryState::starting(self.from_ms),
        })
    }

    /// As [`Index::blocks`], those alone that touch a range.
    pub(crate) fn blocks_in(&self, series: u32, range: (i64, i64)) -> Option<Vec<BlockEntry>> {
        let mut found = Vec::new();
        for block in self.each_block(series)? {
            let block = block?;
            if block.from_ms > range.1 {
                break;
            }
            if block.to_ms >= range.0 {
                found.push(block.to_entry()?);
            }
        }
        Some(found)
    }

    fn pairs_of(&self, name: u32) -> &[Pair] {
        let start = self.pairs.partition_point(|p| p.name < name);
        let end = self.pairs.partition_point(|p| p.name <= name);
        &self.pairs[start..end]
    }

    fn pair(&self, name: &str, value: &str) -> Option<&Pair> {
        let (name, value) = (self.symbol_number(name)?, self.symbol_number(value)?);
        let pairs = self.pairs_of(name);
        pairs
            .binary_search_by_key(&value, |p| p.value)
            .ok()
            .map(|at| &pairs[at])
    }

    /// The value of a label of a series, as a symbol.
    fn value(&self, series: u32, name: u32) -> Option<u32> {
        let mut reader = self.at(series);
        for _ in 0..reader.count()? {
            let (own, value) = (reader.u32()?, reader.u32()?);
            if own == name {
                return Some(value);
            }
        }
        None
    }

    fn list(&self, pair: &Pair) -> impl Iterator<Item = u32> {
        let mut reader = Reader::new(&self.bytes[pair.at as usize..]);
        let mut last = 0u64;
        let mut next = move || {
            last = last.wrapping_add(reader.u64().expect("walked over when the index was read"));
            last as u32
        };
        let end = self.series_count();
        (0..pair.count)
            .map(move |_| next())
            .filter(move |series| *series < end)
    }

    fn set(&self, pair: &Pair) -> RoaringBitmap {
        // Lists rise, unless they are damaged in a way that a checksum does not see.
        RoaringBitmap::from_sorted_iter(self.list(pair))
            .unwrap_or_else(|_unsorted| self.list(pair).collect())
    }

    /// Memory held, bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.len()
            + self.text.len()
            + 4 * (self.ends.len() + self.series.len())
            + size_of::<Pair>() * self.pairs.len()
    }
}

impl Postings for Index {
    fn all(&self) -> RoaringBitmap {
        (0..self.series_count()).collect()
    }

    fn size(&self, name: &str, value: &str) -> usize {
        self.pair(name, value).map_or(0, |pair| pair.count as usize)
    }

    fn lookup(&self, name: &str, value: &str) -> Cow<'_, RoaringBitmap> {
        let found = self.pair(name, value).map(|pair| self.set(pair));
        Cow::Owned(found.unwrap_or_default())
    }

    fn filter(&self, name: &str, keep: &mut dyn FnMut(&str) -> bool) -> RoaringBitmap {
        let mut found = RoaringBitmap::new();
        let pairs = self.symbol_number(name).map(|name| self.pairs_of(name));
        for pair in pairs.unwrap_or_default() {
            if keep(self.symbol(pair.value)) {
                found |= self.set(pair);
            }
        }
        found
    }

    fn test<'a>(&'a self, matcher: &'a Matcher) -> Test<'a> {
        let name = self.symbol_number(&matcher.name);
        if matcher.op == MatchOp::Equal && !matcher.value.is_empty() {
            let wanted = name.zip(self.symbol_number(&matcher.value));
            return Box::new(move |series| {
                wanted.is_some_and(|(name, value)| self.value(series, name) == Some(value))
            });
        }
        Box::new(move |series| {
            let value = name.and_then(|name| self.value(series, name));
            matcher.matches(value.map_or("", |value| self.symbol(value)))
        })
    }
}

/// Builds an index while series are written.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    symbols: std::collections::BTreeMap<Box<str>, u32>,
    /// Pairs of all series, one after another, as first-come symbol numbers; `(pairs, blocks)`
    /// ends of each series.
    pairs: Vec<(u32, u32)>,
    blocks: Vec<u8>,
    ends: Vec<(usize, usize)>,
}

impl IndexBuilder {
    /// Adds a series with its coded blocks; series come in the order of their label bytes.
    pub(crate) fn series(&mut self, labels: &Labels, blocks: &[u8]) {
        for (name, value) in labels.iter() {
            let pair = (self.symbol(name), self.symbol(value));
            self.pairs.push(pair);
        }
        self.blocks.extend_from_slice(blocks);
        self.ends.push((self.pairs.len(), self.blocks.len()));
    }

    fn symbol(&mut self, text: &str) -> u32 {
        if let Some(number) = self.symbols.get(text) {
            return *number;
        }
        let number = self.symbols.len() as u32;
        self.symbols.insert(text.into(), number);
        number
    }

    pub(crate) fn series_count(&self) -> usize {
        self.ends.len()
    }

    /// The finished index.
    pub(crate) fn encode(mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put_symbols(&mut out);
        self.put_series(&mut out);
        self.put_postings(&mut out);
        out
    }

    /// Writes symbols in order, and renumbers the pairs by it.
    fn put_symbols(&mut self, out: &mut Vec<u8>) {
        put_u64(out, self.symbols.len() as u64);
        let mut sorted = vec![0u32; self.symbols.len()];
        let mut last: &[u8] = &[];
        for (rank, (text, number)) in self.symbols.iter().enumerate() {
            sorted[*number as usize] = rank as u32;
            let text = text.as_bytes();
            let shared = last.iter().zip(text).take_while(|(a, b)| a == b).count();
            put_u64(out, shared as u64);
            put_bytes(out, &text[shared..]);
            last = text;
        }
        for (name, value) in &mut self.pairs {
            (*name, *value) = (sorted[*name as usize], sorted[*value as usize]);
        }
    }

    fn each_series(&self) -> impl Iterator<Item = (&[(u32, u32)], &[u8])> {
        let mut start = (0, 0);
        self.ends.iter().map(move |end| {
            let series = (&self.pairs[start.0..end.0], &self.blocks[start.1..end.1]);
            start = *end;
            series
        })
    }

    fn put_series(&self, out: &mut Vec<u8>) {
        put_u64(out, self.ends.len() as u64);
        for (pairs, blocks) in self.each_series() {
            put_u64(out, pairs.len() as u64);
            for (name, value) in pairs {
                put_u64(out, u64::from(*name));
                put_u64(out, u64::from(*value));
            }
            put_bytes(out, blocks);
        }
    }

    fn put_postings(&self, out: &mut Vec<u8>) {
        let mut all: Vec<(u32, u32, u32)> = Vec::with_capacity(self.pairs.len());
        for (series, (pairs, _)) in self.each_series().enumerate() {
            all.extend(
                pairs
                    .iter()
                    .map(|(name, value)| (*name, *value, series as u32)),
            );
        }
        all.sort_unstable();
        let names: Vec<_> = all.chunk_by(|a, b| a.0 == b.0).collect();
        put_u64(out, names.len() as u64);
        for of_name in names {
            put_u64(out, u64::from(of_name[0].0));
            let values: Vec<_> = of_name.chunk_by(|a, b| a.1 == b.1).collect();
            put_u64(out, values.len() as u64);
            for list in values {
                put_u64(out, u64::from(list[0].1));
                put_u64(out, list.len() as u64);
                let mut last = 0;
                for (_, _, series) in list {
                    put_u64(out, u64::from(series - last));
                    last = *series;
                }
            }
        }
    }
}
