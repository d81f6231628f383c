//! Reading: everything the head and the parts know of one series, in one order.
//!
//! Series come one at a time in the order of their label bytes. Samples move from the head to
//! frozen memory to parts while a reader walks: it notices by the head's generation, resolves
//! again against the new view, and goes on after the last series it gave.
//!
//! A block that does not check is quarantined: counted and logged once, and not read again. The
//! rest of its series is served, less what older parts have of the block's time, which the block
//! may have overwritten; after the series comes an error that says what is missing. So an answer
//! may be incomplete, and says so, but is not wrong.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, VecDeque},
    sync::{Arc, PoisonError},
};

use model::{LabelQuery, Labels, Matcher, ReadError, Selection, Series, SeriesIter};
use roaring::RoaringBitmap;

use crate::{
    chunk::{Kind, Room},
    columns::Columns,
    head::{Frozen, SeriesData},
    labels_index::{Postings, resolve},
    part::{
        self,
        index::{BlockEntry, BlockView, Index},
        reader::{Numbers, Part, PartError, SharedTimes},
    },
    registry::Registry,
    rollup::Role,
    stats::count,
    store::{Core, View, lock},
    tombstones::Veil,
};

/// A series in memory.
#[derive(Debug)]
struct InMemory {
    labels: Labels,
    id: u32,
}

/// Series from which on ranking all label pairs pays before sorting.
const MANY: usize = 1 << 16;

/// The matching series of a part, one after the other.
#[derive(Debug)]
pub(crate) struct PartCursor {
    pub(crate) part: Arc<Part>,
    /// Whether it has samples, or what of a roll-up.
    pub(crate) role: Role,
    index: Arc<Index>,
    /// What the registry calls its series, as far as that is known.
    numbers: Arc<Numbers>,
    found: Vec<u32>,
    at: usize,
    /// Label bytes of the series at `at`, if `has_key`.
    key: Vec<u8>,
    has_key: bool,
    /// Whether the series at `at` is the one at hand.
    pub(crate) is_here: bool,
    pub(crate) veil: Veil,
    pub(crate) shared: SharedTimes,
}

/// What is known of the newest sample of a series without a look at others.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Newest {
    Sample(i64, f64),
    /// There is no sample in the range.
    Nothing,
    /// Samples have to be read.
    Unsure,
}

impl PartCursor {
    fn new(
        part: &Arc<Part>,
        role: Role,
        matchers: &[Matcher],
        veil: Veil,
        evictions: u64,
    ) -> Result<Self, ReadError> {
        let index = part.index().map_err(read_error)?;
        let found = resolve(&*index, matchers);
        Ok(Self {
            numbers: part.numbers(index.series_count(), evictions),
            veil,
            part: Arc::clone(part),
            role,
            index,
            found,
            at: 0,
            key: Vec::new(),
            has_key: false,
            is_here: false,
            shared: SharedTimes::default(),
        })
    }

    fn series(&self) -> Option<u32> {
        self.found.get(self.at).copied()
    }

    /// What the registry calls the series at hand, if that is known.
    fn number(&self) -> Option<u32> {
        self.numbers.of(self.series()?)
    }

    /// Label bytes of the series at hand; `None` behind the last.
    fn key(&mut self) -> Result<Option<&[u8]>, ReadError> {
        let Some(series) = self.series() else {
            return Ok(None);
        };
        if !self.has_key {
            if self.index.key(series, &mut self.key).is_none() {
                // Nor would the next look see more.
                self.at = self.found.len();
                return Err(self.corrupt());
            }
            self.has_key = true;
        }
        Ok(Some(&self.key))
    }

    fn corrupt(&self) -> ReadError {
        ReadError::Corrupt {
            place: format!("index of {}", part::name(self.part.footer.sequence)),
        }
    }

    pub(crate) fn advance(&mut self) {
        self.at += 1;
        (self.has_key, self.is_here) = (false, false);
    }

    /// Goes on to the first series from `key` on.
    fn skip_to(&mut self, key: &[u8]) -> Result<(), ReadError> {
        while self.key()?.is_some_and(|own| own < key) {
            self.advance();
        }
        Ok(())
    }

    /// Label bytes of one of the series found.
    fn key_at(&self, at: usize) -> Result<Arc<[u8]>, ReadError> {
        let mut key = Vec::new();
        let read = self.index.key(self.found[at], &mut key);
        read.ok_or_else(|| self.corrupt())?;
        Ok(Arc::from(key))
    }

    /// The series found from `bound` on, for a cursor of their own; they are no longer here.
    fn split_off(&mut self, bound: &[u8]) -> Self {
        let mut key = Vec::new();
        let is_before = |series: &u32| {
            // A series that cannot be read stays where it is found to be so.
            self.index.key(*series, &mut key).is_some() && key.as_slice() < bound
        };
        let at = self.found.partition_point(is_before);
        Self {
            part: Arc::clone(&self.part),
            role: self.role,
            index: Arc::clone(&self.index),
            numbers: Arc::clone(&self.numbers),
            found: self.found.split_off(at),
            at: 0,
            key: Vec::new(),
            has_key: false,
            is_here: false,
            veil: self.veil.clone(),
            shared: SharedTimes::default(),
        }
    }

    /// The blocks of this series that touch the range.
    pub(crate) fn blocks_in(&self, range: (i64, i64)) -> Result<Vec<BlockEntry>, ReadError> {
        self.index
            .blocks_in(self.found[self.at], range)
            .ok_or_else(|| self.corrupt())
    }

    /// The newest sample of this series in the range, as a header tells it.
    fn newest(&self, key: &[u8], range: (i64, i64)) -> Result<Newest, ReadError> {
        let mut last: Option<BlockView<'_>> = None;
        let blocks = self.index.each_block(self.found[self.at]);
        for block in blocks.ok_or_else(|| self.corrupt())? {
            let block = block.ok_or_else(|| self.corrupt())?;
            if block.from_ms > range.1 {
                break;
            }
            last = Some(block).filter(|b| b.to_ms >= range.0).or(last);
        }
        let Some(block) = last else {
            return Ok(Newest::Nothing);
        };
        if block.to_ms > range.1 || block.kind != Kind::Floats || !self.veil.hidden(key).is_empty()
        {
            return Ok(Newest::Unsure);
        }
        let summary = block.summary().ok_or_else(|| self.corrupt())?;
        // Staleness markers, which may be the newest, are not in the summary.
        Ok(if summary.count == block.count as u64 {
            Newest::Sample(block.to_ms, summary.last)
        } else {
            Newest::Unsure
        })
    }

    /// Adds the samples of this series that are not deleted, in blocks that touch the range, to
    /// what older parts have of it: behind them if they come behind, else as a run of their own,
    /// with room for `usual` samples. Blocks that do not check go to `lost`, and what they may
    /// have overwritten goes.
    fn read(
        &mut self,
        core: &Core,
        (key, usual): (&[u8], usize),
        range: (i64, i64),
        runs: &mut Vec<Columns>,
        lost: &mut VecDeque<ReadError>,
    ) -> Result<(), ReadError> {
        let index = Arc::clone(&self.index);
        let mut is_begun = false;
        for block in index
            .each_block(self.found[self.at])
            .ok_or_else(|| self.corrupt())?
        {
            let block = block.ok_or_else(|| self.corrupt())?;
            if block.from_ms > range.1 {
                break;
            }
            if block.to_ms < range.0 {
                continue;
            }
            let goes_on = is_begun || self.veil.is_empty() && Columns::go_on(runs, block.from_ms);
            if !goes_on {
                let room = if usual == 0 { block.count } else { usual };
                runs.push(Columns::with_capacity(room));
            }
            is_begun = true;
            let run = runs.last_mut().expect("one was begun");
            match core.read_block(&self.part, &block, range, &mut self.shared, run) {
                Ok(()) => {}
                Err(PartError::Corrupt(place)) => {
                    for older in runs.iter_mut() {
                        older.cut(block.from_ms, block.to_ms);
                    }
                    lost.push_back(ReadError::Corrupt { place });
                }
                Err(error) => return Err(read_error(error)),
            }
        }
        if is_begun && !self.veil.is_empty() {
            let run = runs.last_mut().expect("one was begun");
            self.veil.cut(key, run);
        }
        Ok(())
    }
}

pub(crate) fn read_error(error: PartError) -> ReadError {
    match error {
        PartError::Io(source) => ReadError::Io {
            operation: "read a part".into(),
            source,
        },
        PartError::Corrupt(place) => ReadError::Corrupt { place },
    }
}

/// Walks over the series of a selection.
pub(crate) struct Walk<'a> {
    pub(crate) core: &'a Core,
    pub(crate) selection: Selection,
    /// Whether roll-ups are wanted where the samples are left, too.
    shortcuts: bool,
    view: Arc<View>,
    /// Series in memory still to come, last one first, after the one at the front.
    memory: Vec<u32>,
    front: Option<InMemory>,
    /// The registry's evictions when they were found.
    evictions: u64,
    /// The series at hand: from where on to find the rest, should numbers be given back. `None`
    /// before the first.
    at: Option<Labels>,
    /// Whether the series at the front is the one at hand.
    is_front: bool,
    /// Label bytes of the first series that is its own, and of the first that is not any more.
    from: Option<Arc<[u8]>>,
    to: Option<Arc<[u8]>>,
    pub(crate) parts: Vec<PartCursor>,
    /// What could not be read and was not yet said.
    pub(crate) lost: VecDeque<ReadError>,
    /// Whether the newest sample of a series is enough.
    only_newest: bool,
    /// Room for label bytes.
    room: Vec<u8>,
    /// Series of a selection are alike: also what the one before had.
    decoding: Room,
}

/// Blocks remembered as bad; more are found anew at each read.
const QUARANTINED_MAX: usize = 1 << 16;

impl Core {
    /// Appends the samples of a block that lie in the range, and perhaps others. A block that does
    /// not check is remembered, and counted once.
    pub(crate) fn read_block(
        &self,
        part: &Part,
        block: &BlockView<'_>,
        range: (i64, i64),
        shared: &mut SharedTimes,
        columns: &mut Columns,
    ) -> Result<(), PartError> {
        let id = (part.footer.sequence, block.position());
        if let Some(place) = lock(&self.quarantined).get(&id) {
            return Err(PartError::Corrupt(place.clone()));
        }
        let before = columns.len();
        let read = part.read_range(block, range, &self.block_cache, shared, columns);
        if let Err(PartError::Corrupt(place)) = &read {
            columns.truncate(before);
            let mut quarantined = lock(&self.quarantined);
            if quarantined.len() < QUARANTINED_MAX && id.1 != (None, None) {
                quarantined.insert(id, place.clone());
            }
            count(&self.counters.blocks_corrupt, 1);
            tracing::error!(
                place,
                "a block does not check: it is quarantined, the rest is served"
            );
        }
        read
    }
    pub(crate) fn select(&self, selection: &Selection) -> Result<SeriesIter<'_>, ReadError> {
        if selection.matchers.is_empty() || selection.from_ms > selection.to_ms {
            return Ok(Box::new(std::iter::empty()));
        }
        Ok(Box::new(Walk::new(self, selection, false)?))
    }

    /// As [`Core::select`]; of a series whose newest sample in the range is in memory, that alone.
    pub(crate) fn newest(&self, selection: &Selection) -> Result<SeriesIter<'_>, ReadError> {
        if selection.matchers.is_empty() || selection.from_ms > selection.to_ms {
            return Ok(Box::new(std::iter::empty()));
        }
        let mut walk = Walk::new(self, selection, false)?;
        walk.only_newest = true;
        Ok(Box::new(walk))
    }

    /// As [`Core::select`] or [`Core::newest`], in pieces of about so many series.
    pub(crate) fn pieces(
        &self,
        selection: &Selection,
        only_newest: bool,
        series: usize,
    ) -> Result<Vec<SeriesIter<'_>>, ReadError> {
        if selection.matchers.is_empty() || selection.from_ms > selection.to_ms {
            return Ok(Vec::new());
        }
        let mut walk = Walk::new(self, selection, false)?;
        walk.only_newest = only_newest;
        let pieces = walk.split(series)?.into_iter();
        Ok(pieces.map(|piece| Box::new(piece) as _).collect())
    }

    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&lock(&self.view))
    }

    /// Runs `find` on a view and the registry that belong together.
    fn consistently<T>(
        &self,
        find: impl Fn(&Arc<View>, &Registry) -> Result<T, ReadError>,
    ) -> Result<(Arc<View>, T), ReadError> {
        loop {
            let view = self.view();
            let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
            let found = find(&view, &registry)?;
            drop(registry);
            // Series leave the registry only after the view moved on.
            if self.view().generation == view.generation {
                self.trim_indexes(&view);
                return Ok((view, found));
            }
        }
    }

    /// Gives back the memory of part indexes beyond the budget, oldest parts first.
    fn trim_indexes(&self, view: &View) {
        let mut held: usize = view.parts.iter().map(|p| p.index_memory()).sum();
        for part in &view.parts {
            if held <= self.config.index_cache_bytes {
                return;
            }
            held -= part.index_memory();
            part.drop_index();
        }
    }

    /// Label sets with samples in the query's range, in no order, perhaps more than once.
    fn each_labels(
        &self,
        query: &LabelQuery,
        each: &mut dyn FnMut(&Labels),
    ) -> Result<(), ReadError> {
        let (_, found) = self.consistently(|view, registry| {
            let mut found = Vec::new();
            for id in any_of(registry, query) {
                if self.touches(view, id, query.from_ms, query.to_ms) {
                    found.extend(registry.labels(id));
                }
            }
            let remains = view.rollups_in(query.from_ms, query.to_ms).into_iter();
            let remains = remains.filter(|(_, role)| *role == Role::Remains);
            let parts = view.parts.iter().cloned().chain(remains.map(|(p, _)| p));
            for part in parts.filter(|p| p.touches(query.from_ms, query.to_ms)) {
                let veil = view.tombstones.over(&part.footer);
                labels_in_part(&part, query, &veil, &mut found)?;
            }
            Ok(found)
        })?;
        found.iter().for_each(each);
        Ok(())
    }

    /// Whether a series has samples in memory in the range.
    fn touches(&self, view: &View, id: u32, from_ms: i64, to_ms: i64) -> bool {
        let within = |span: Option<(i64, i64)>| {
            span.is_some_and(|(from, to)| from <= to_ms && to >= from_ms)
        };
        let open = self
            .head
            .ask(id, |data| within(data.and_then(|d| d.span_ms())));
        open.is_some_and(|reading| reading.answer)
            || view
                .frozen
                .iter()
                .any(|f| within(f.series(id).and_then(|d| d.span_ms())))
    }

    pub(crate) fn series(&self, query: &LabelQuery) -> Result<Vec<Labels>, ReadError> {
        let mut found = BTreeSet::new();
        self.each_labels(query, &mut |labels| {
            found.insert(labels.clone());
        })?;
        Ok(limited(found, query.limit))
    }

    pub(crate) fn label_names(&self, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        let mut found = BTreeSet::new();
        self.each_labels(query, &mut |labels| {
            for (name, _) in labels.iter() {
                if !found.contains(name) {
                    found.insert(name.to_owned());
                }
            }
        })?;
        Ok(limited(found, query.limit))
    }

    pub(crate) fn label_values(
        &self,
        name: &str,
        query: &LabelQuery,
    ) -> Result<Vec<String>, ReadError> {
        let mut found = BTreeSet::new();
        self.each_labels(query, &mut |labels| {
            if let Some(value) = labels.get(name).filter(|v| !found.contains(*v)) {
                found.insert(value.to_owned());
            }
        })?;
        Ok(limited(found, query.limit))
    }
}

/// Series for which any of the query's lists holds whole.
fn any_of(source: &dyn Postings, query: &LabelQuery) -> Vec<u32> {
    if query.any_of.is_empty() {
        return resolve(source, &[]);
    }
    let mut found = RoaringBitmap::new();
    for all in &query.any_of {
        found.extend(resolve(source, all));
    }
    found.iter().collect()
}

fn labels_in_part(
    part: &Part,
    query: &LabelQuery,
    veil: &Veil,
    found: &mut Vec<Labels>,
) -> Result<(), ReadError> {
    let index = part.index().map_err(read_error)?;
    let corrupt = || ReadError::Corrupt {
        place: format!("index of {}", part::name(part.footer.sequence)),
    };
    let whole = part.footer.from_ms >= query.from_ms && part.footer.to_ms <= query.to_ms;
    let mut key = Vec::new();
    for series in any_of(&*index, query) {
        index.key(series, &mut key).ok_or_else(corrupt)?;
        let hidden = veil.hidden(&key);
        let touches = whole && hidden.is_empty() || {
            let blocks = index.blocks(series).ok_or_else(corrupt)?;
            let deleted = |b: &BlockEntry| {
                hidden
                    .iter()
                    .any(|(from, to)| *from <= b.from_ms && *to >= b.to_ms)
            };
            blocks
                .iter()
                .any(|b| b.from_ms <= query.to_ms && b.to_ms >= query.from_ms && !deleted(b))
        };
        if touches {
            found.push(index.labels(series).ok_or_else(corrupt)?);
        }
    }
    Ok(())
}

fn limited<T>(found: BTreeSet<T>, limit: usize) -> Vec<T> {
    let most = if limit == 0 { usize::MAX } else { limit };
    found.into_iter().take(most).collect()
}

impl<'a> Walk<'a> {
    /// `shortcuts`: with all roll-ups, not only those that are all there is.
    pub(crate) fn new(
        core: &'a Core,
        selection: &Selection,
        shortcuts: bool,
    ) -> Result<Self, ReadError> {
        let mut walk = Self {
            core,
            selection: selection.clone(),
            shortcuts,
            view: core.view(),
            memory: Vec::new(),
            front: None,
            evictions: 0,
            at: None,
            is_front: false,
            from: None,
            to: None,
            parts: Vec::new(),
            lost: VecDeque::new(),
            only_newest: false,
            room: Vec::new(),
            decoding: Room::default(),
        };
        walk.resolve(None)?;
        Ok(walk)
    }

    /// The same series in walks of about so many each, one after another in order.
    fn split(mut self, series: usize) -> Result<Vec<Self>, ReadError> {
        let bounds = self.bounds(series)?;
        let mut pieces = Vec::with_capacity(bounds.len() + 1);
        let mut rest = self;
        for bound in bounds {
            let behind = rest.split_off(bound);
            pieces.push(std::mem::replace(&mut rest, behind));
        }
        pieces.push(rest);
        Ok(pieces)
    }

    /// Label bytes of every so many-th series of whoever has the most.
    fn bounds(&mut self, series: usize) -> Result<Vec<Arc<[u8]>>, ReadError> {
        let places = |count: usize| (1..count / series.max(1)).map(move |n| n * series);
        let most = self
            .parts
            .iter_mut()
            .max_by_key(|cursor| cursor.found.len());
        if let Some(cursor) = most.filter(|c| c.found.len() > self.memory.len()) {
            let bounds = places(cursor.found.len()).map(|at| cursor.key_at(at));
            return bounds.collect();
        }
        let registry = self.core.registry.read();
        let registry = registry.unwrap_or_else(PoisonError::into_inner);
        if registry.evictions != self.evictions {
            // Numbers mean other series by now: the walk will notice, and find its own again.
            return Ok(Vec::new());
        }
        let last = self.memory.len().saturating_sub(1);
        let labels = |at: usize| registry.labels(self.memory[last - at]);
        let bounds = places(self.memory.len()).filter_map(labels);
        Ok(bounds.map(|l| Arc::from(l.as_bytes())).collect())
    }

    /// What of it lies from `bound` on, as a walk of its own; this one ends there.
    fn split_off(&mut self, bound: Arc<[u8]>) -> Self {
        let registry = self.core.registry.read();
        let registry = registry.unwrap_or_else(PoisonError::into_inner);
        // Of other evictions the numbers mean nothing, and each half finds its own again.
        let is_behind = |id: &u32| {
            let labels = registry.labels(*id);
            labels.is_some_and(|labels| labels.as_bytes() >= &*bound)
        };
        let mut memory = std::mem::take(&mut self.memory);
        let own = memory.split_off(memory.partition_point(is_behind));
        drop(registry);
        let parts = self.parts.iter_mut().map(|c| c.split_off(&bound));
        let behind = Self {
            core: self.core,
            selection: self.selection.clone(),
            shortcuts: self.shortcuts,
            view: Arc::clone(&self.view),
            memory,
            front: None,
            evictions: self.evictions,
            at: None,
            is_front: false,
            from: Some(Arc::clone(&bound)),
            to: self.to.take(),
            parts: parts.collect(),
            lost: VecDeque::new(),
            only_newest: self.only_newest,
            room: Vec::new(),
            decoding: Room::default(),
        };
        (self.memory, self.to) = (own, Some(bound));
        behind
    }

    /// Finds the series from `start` on, by label bytes, as far as they are its own.
    fn resolve(&mut self, start: Option<&[u8]>) -> Result<(), ReadError> {
        let (first, end) = (self.from.clone(), self.to.clone());
        let start = start.or(first.as_deref());
        let matchers = &self.selection.matchers;
        let (from, to) = (self.selection.from_ms, self.selection.to_ms);
        let found = self.core.consistently(|view, registry| {
            let mut memory = resolve(registry, matchers);
            if memory.len() > MANY {
                registry.sort_many(&mut memory);
            } else {
                registry.sort(&mut memory);
            }
            if let Some(start) = start {
                let before = |id: &u32| registry.labels(*id).is_some_and(|l| l.as_bytes() < start);
                memory.drain(..memory.partition_point(before));
            }
            if let Some(end) = &end {
                let before = |id: &u32| registry.labels(*id).is_some_and(|l| l.as_bytes() < &**end);
                memory.truncate(memory.partition_point(before));
            }
            // Roll-ups first: what is older than all parts.
            let rollups = view.rollups_in(from, to).into_iter();
            let rollups = rollups.filter(|(_, role)| self.shortcuts || *role == Role::Remains);
            let touched = view.parts.iter().filter(|p| p.touches(from, to));
            let touched = rollups.chain(touched.map(|p| (Arc::clone(p), Role::Raw)));
            let (mut parts, mut lost) = (Vec::new(), Vec::new());
            for (part, role) in touched {
                let veil = view.tombstones.over(&part.footer);
                match PartCursor::new(&part, role, matchers, veil, registry.evictions) {
                    Ok(cursor) => parts.push(cursor),
                    Err(error @ ReadError::Corrupt { .. }) => lost.push(error),
                    Err(error) => return Err(error),
                }
            }
            Ok((memory, registry.evictions, parts, lost))
        })?;
        let (view, (memory, evictions, parts, lost)) = found;
        (self.view, self.memory, self.parts) = (view, memory, parts);
        self.memory.reverse();
        (self.front, self.evictions) = (None, evictions);
        count(&self.core.counters.blocks_corrupt, lost.len() as u64);
        self.lost.extend(lost);
        for cursor in &mut self.parts {
            if let Some(end) = &end {
                drop(cursor.split_off(end));
            }
            if let Some(start) = start {
                cursor.skip_to(start)?;
            }
        }
        Ok(())
    }

    /// Brings the next series of memory to the front. If numbers were given back meanwhile, they
    /// are found again: from the series at hand on, or from what is past it.
    fn bring_front(&mut self, is_past: bool) -> Result<(), ReadError> {
        while self.front.is_none()
            && let Some(id) = self.memory.last().copied()
        {
            let core = self.core;
            let registry = core.registry.read().unwrap_or_else(PoisonError::into_inner);
            if registry.evictions == self.evictions {
                let labels = registry.labels_with(id, &mut self.room);
                let labels = labels.expect("no number was given back");
                self.front = Some(InMemory { labels, id });
                self.memory.pop();
                continue;
            }
            drop(registry);
            // With a byte more: what comes right after it in the order of bytes.
            let past: &[u8] = if is_past { &[0] } else { &[] };
            let start = self.at.as_ref().map(|at| [at.as_bytes(), past].concat());
            self.resolve(start.as_deref())?;
        }
        Ok(())
    }

    /// Goes on to the series with the least label bytes still to come.
    pub(crate) fn advance(&mut self) -> Result<Option<Labels>, ReadError> {
        self.bring_front(true)?;
        // Whether a part has the series at the front is mostly known by its number.
        let mut least: Option<usize> = None;
        for i in 0..self.parts.len() {
            let (before, rest) = self.parts.split_at_mut(i);
            let cursor = &mut rest[0];
            let front = self.front.as_ref();
            cursor.is_here = front.is_some_and(|front| cursor.number() == Some(front.id));
            if cursor.is_here {
                continue;
            }
            let series = cursor.series();
            let Some(key) = cursor.key()? else { continue };
            let order = front.map_or(Ordering::Less, |front| key.cmp(front.labels.as_bytes()));
            if order.is_lt() {
                let best = least.map(|l| before[l].key.as_slice());
                if best.is_none_or(|best| key < best) {
                    least = Some(i);
                }
            }
            if order.is_eq() {
                cursor.is_here = true;
                if let (Some(front), Some(series)) = (front, series) {
                    cursor.numbers.note(series, front.id);
                }
            }
        }
        self.is_front = least.is_none() && self.front.is_some();
        self.at = match (least, &self.front) {
            (Some(least), _) => Some(self.pick(least)?),
            (None, Some(front)) => Some(front.labels.clone()),
            (None, None) => return Ok(None),
        };
        Ok(self.at.clone())
    }

    /// The series of a cursor is the one at hand, whoever else has it.
    fn pick(&mut self, least: usize) -> Result<Labels, ReadError> {
        let key = std::mem::take(&mut self.parts[least].key);
        for cursor in &mut self.parts {
            cursor.is_here = cursor.has_key && cursor.key == key;
        }
        let labels = Labels::from_bytes(&key);
        let cursor = &mut self.parts[least];
        (cursor.key, cursor.is_here) = (key, true);
        labels.ok_or_else(|| {
            self.leave();
            ReadError::Corrupt {
                place: "labels in a part".into(),
            }
        })
    }

    /// Finds everything from the series at hand on again.
    fn resolve_here(&mut self) -> Result<(), ReadError> {
        let at = self.at.clone();
        let key = at.as_ref().map(Labels::as_bytes);
        self.resolve(key)?;
        self.bring_front(false)?;
        let key = self.at.as_ref().map(Labels::as_bytes);
        let front = self.front.as_ref().map(|front| front.labels.as_bytes());
        self.is_front = front == key;
        for cursor in &mut self.parts {
            cursor.is_here = cursor.key()? == key;
        }
        Ok(())
    }

    /// The newest sample of the series at hand, as far as memory and headers tell it.
    fn newest(&self, key: &[u8]) -> Newest {
        let range = (self.selection.from_ms, self.selection.to_ms);
        let memory = if self.is_front {
            self.newest_in_memory(range)
        } else {
            Newest::Nothing
        };
        let known_ms = match memory {
            Newest::Unsure => return Newest::Unsure,
            Newest::Sample(time_ms, _) => time_ms,
            Newest::Nothing => i64::MIN,
        };
        // At the same time a later part wins over those before it, and memory over all.
        let (mut best, mut best_ms) = (memory, known_ms);
        for cursor in self.parts.iter().filter(|c| c.is_here) {
            if cursor.part.footer.to_ms <= known_ms {
                continue;
            }
            if cursor.role != Role::Raw {
                return Newest::Unsure;
            }
            match cursor.newest(key, range) {
                Ok(Newest::Sample(time_ms, value)) if time_ms > known_ms && time_ms >= best_ms => {
                    (best, best_ms) = (Newest::Sample(time_ms, value), time_ms);
                }
                Ok(Newest::Sample(..) | Newest::Nothing) => {}
                // An ordinary read says what is wrong.
                Ok(Newest::Unsure) | Err(_) => return Newest::Unsure,
            }
        }
        best
    }

    fn newest_in_memory(&self, range: (i64, i64)) -> Newest {
        let Some(front) = &self.front else {
            return Newest::Nothing;
        };
        let frozen = |f: &Arc<Frozen>| f.series(front.id).is_some();
        if self.view.frozen.iter().any(frozen) {
            return Newest::Unsure;
        }
        let newest = |data: Option<&SeriesData>| match data.map(SeriesData::newest) {
            None => Newest::Nothing,
            Some(None) => Newest::Unsure,
            Some(Some((time, _))) if time > range.1 => Newest::Unsure,
            Some(Some((time, _))) if time < range.0 => Newest::Nothing,
            Some(Some((time, value))) => Newest::Sample(time, value),
        };
        match self.core.head.ask(front.id, newest) {
            None => Newest::Nothing,
            Some(reading) if reading.generation == self.view.generation => reading.answer,
            Some(_) => Newest::Unsure,
        }
    }

    /// A series of one sample, which is the series at hand; goes on.
    fn single(&mut self, labels: Labels, (time_ms, value): (i64, f64)) -> Series {
        self.leave();
        Series {
            labels,
            times_ms: vec![time_ms],
            values: vec![value],
            histograms: Vec::new(),
            starts_ms: Vec::new(),
        }
    }

    /// Goes behind the series at hand.
    pub(crate) fn leave(&mut self) {
        if self.is_front {
            (self.front, self.is_front) = (None, false);
        }
        for cursor in self.parts.iter_mut().filter(|c| c.is_here) {
            cursor.advance();
        }
    }

    /// Appends what memory has of a series; `false` if the view is outdated.
    fn memory_runs(&mut self, id: u32, runs: &mut Vec<Columns>) -> bool {
        let range = (self.selection.from_ms, self.selection.to_ms);
        let room = &mut self.decoding;
        for frozen in &self.view.frozen {
            if let Some(data) = frozen.series(id) {
                data.runs(range, room, runs);
            }
        }
        let reading = self.core.head.ask(id, |data| {
            if let Some(data) = data {
                data.runs(range, room, runs);
            }
        });
        reading.is_none_or(|r| r.generation == self.view.generation)
    }

    /// The series at hand; `None` if it has no samples in the range.
    fn read(&mut self, labels: Labels) -> Result<Option<Series>, ReadError> {
        if self.only_newest {
            match self.newest(labels.as_bytes()) {
                Newest::Sample(time_ms, value) => {
                    return Ok(Some(self.single(labels, (time_ms, value))));
                }
                Newest::Nothing => {
                    self.leave();
                    return Ok(None);
                }
                Newest::Unsure => {}
            }
        }
        let in_memory = self.take_memory()?;
        self.read_with(labels, in_memory)
    }

    /// What memory has of the series at hand, in the order written.
    pub(crate) fn take_memory(&mut self) -> Result<Vec<Columns>, ReadError> {
        let mut in_memory = Vec::new();
        while self.is_front
            && let Some(id) = self.front.as_ref().map(|front| front.id)
            && !self.memory_runs(id, &mut in_memory)
        {
            // Samples moved on: find everything from here on again.
            in_memory.clear();
            self.resolve_here()?;
        }
        Ok(in_memory)
    }

    /// The series at hand, of which memory has this; goes on.
    pub(crate) fn read_with(
        &mut self,
        labels: Labels,
        mut in_memory: Vec<Columns>,
    ) -> Result<Option<Series>, ReadError> {
        let range = (self.selection.from_ms, self.selection.to_ms);
        let mut runs: Vec<Columns> = Vec::new();
        let mut failed = None;
        let raw = |c: &&mut PartCursor| c.is_here && c.role != Role::Shortcut;
        for cursor in self.parts.iter_mut().filter(raw) {
            let of = (labels.as_bytes(), self.decoding.usual);
            let read = cursor.read(self.core, of, range, &mut runs, &mut self.lost);
            failed = read.err().or(failed);
        }
        self.leave();
        if let Some(error) = failed {
            return Err(error);
        }
        runs.append(&mut in_memory);
        let mut columns = Columns::merge(runs);
        self.decoding.usual = columns.len();
        columns.clip(range.0, range.1);
        if columns.is_empty() {
            return Ok(None);
        }
        Ok(Some(Series {
            labels,
            times_ms: columns.times,
            values: columns.values,
            histograms: columns.histograms,
            starts_ms: Vec::new(),
        }))
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Series, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.lost.pop_front() {
                return Some(Err(error));
            }
            let labels = match self.advance() {
                Ok(Some(labels)) => labels,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
            match self.read(labels) {
                Ok(None) => {}
                Ok(Some(series)) => return Some(Ok(series)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
