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
    collections::{BTreeSet, VecDeque},
    sync::{Arc, PoisonError},
};

use model::{LabelQuery, Labels, Matcher, ReadError, Selection, Series, SeriesIter};
use roaring::RoaringBitmap;

use crate::{
    columns::Columns,
    labels_index::{Postings, resolve},
    part::{
        self,
        index::{BlockEntry, Index},
        reader::{Part, PartError, SharedTimes},
    },
    registry::Registry,
    rollup::Role,
    stats::count,
    store::{Core, View, lock},
    tombstones::Veil,
};

/// A series in memory.
#[derive(Debug)]
pub(crate) struct InMemory {
    pub(crate) labels: Labels,
    id: u32,
}

impl InMemory {
    fn is(&self, key: &[u8]) -> bool {
        self.labels.as_bytes() == key
    }
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
    found: Vec<u32>,
    at: usize,
    /// Label bytes of the series at `at`.
    key: Vec<u8>,
    pub(crate) veil: Veil,
}

/// What a part has of a series.
#[derive(Debug, Default)]
struct Run {
    columns: Columns,
    /// Blocks that do not check.
    lost: Vec<Lost>,
}

/// A block that cannot be served.
#[derive(Debug)]
struct Lost {
    place: String,
    from_ms: i64,
    to_ms: i64,
}

impl PartCursor {
    fn new(
        part: &Arc<Part>,
        role: Role,
        matchers: &[Matcher],
        veil: Veil,
    ) -> Result<Self, ReadError> {
        let index = part.index().map_err(read_error)?;
        let found = resolve(&*index, matchers);
        let mut cursor = Self {
            veil,
            part: Arc::clone(part),
            role,
            index,
            found,
            at: 0,
            key: Vec::new(),
        };
        cursor.load_key()?;
        Ok(cursor)
    }

    fn load_key(&mut self) -> Result<(), ReadError> {
        match self.found.get(self.at) {
            Some(series) => self
                .index
                .key(*series, &mut self.key)
                .ok_or_else(|| self.corrupt()),
            None => Ok(()),
        }
    }

    fn corrupt(&self) -> ReadError {
        ReadError::Corrupt {
            place: format!("index of {}", part::name(self.part.footer.sequence)),
        }
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        (self.at < self.found.len()).then_some(&self.key)
    }

    pub(crate) fn advance(&mut self) -> Result<(), ReadError> {
        self.at += 1;
        self.load_key()
    }

    /// Goes on to the first series from `key` on.
    fn skip_to(&mut self, key: &[u8]) -> Result<(), ReadError> {
        while self.key().is_some_and(|own| own < key) {
            self.advance()?;
        }
        Ok(())
    }

    /// The blocks of this series that touch the range.
    pub(crate) fn blocks_in(&self, range: (i64, i64)) -> Result<Vec<BlockEntry>, ReadError> {
        let mut blocks = self
            .index
            .blocks(self.found[self.at])
            .ok_or_else(|| self.corrupt())?;
        blocks.retain(|b| b.from_ms <= range.1 && b.to_ms >= range.0);
        Ok(blocks)
    }

    /// The samples of this series in those blocks that are not deleted.
    fn read(
        &self,
        core: &Core,
        range: (i64, i64),
        shared: &mut SharedTimes,
    ) -> Result<Run, ReadError> {
        let blocks = self.blocks_in(range)?;
        let mut run = Run {
            columns: Columns::with_capacity(blocks.iter().map(|b| b.count).sum()),
            lost: Vec::new(),
        };
        for block in blocks {
            let place = match core.read_block(&self.part, &block, shared, &mut run.columns) {
                Ok(()) => continue,
                Err(PartError::Corrupt(place)) => place,
                Err(error) => return Err(read_error(error)),
            };
            run.lost.push(Lost {
                place,
                from_ms: block.from_ms,
                to_ms: block.to_ms,
            });
        }
        self.veil.cut(&self.key, &mut run.columns);
        Ok(run)
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
    /// Label bytes of the series at hand, or right behind it: where to find the rest from, should
    /// numbers be given back. `None` before the first.
    start: Option<Vec<u8>>,
    pub(crate) parts: Vec<PartCursor>,
    pub(crate) shared: SharedTimes,
    /// What could not be read and was not yet said.
    pub(crate) lost: VecDeque<ReadError>,
    /// Whether the newest sample of a series is enough.
    only_newest: bool,
    /// Labels of the series at hand, where memory knows them.
    labels: Option<Labels>,
}

/// Blocks remembered as bad; more are found anew at each read.
const QUARANTINED_MAX: usize = 1 << 16;

impl Core {
    /// Appends the samples of a block. One that does not check is remembered, and counted once.
    pub(crate) fn read_block(
        &self,
        part: &Part,
        block: &BlockEntry,
        shared: &mut SharedTimes,
        columns: &mut Columns,
    ) -> Result<(), PartError> {
        let id = (part.footer.sequence, block.position());
        if let Some(place) = lock(&self.quarantined).get(&id) {
            return Err(PartError::Corrupt(place.clone()));
        }
        let before = columns.len();
        let read = part.read_block(block, shared, columns);
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
            start: None,
            parts: Vec::new(),
            shared: SharedTimes::default(),
            lost: VecDeque::new(),
            only_newest: false,
            labels: None,
        };
        walk.resolve(None)?;
        Ok(walk)
    }

    /// Finds the series from `start` on, by label bytes.
    fn resolve(&mut self, start: Option<&[u8]>) -> Result<(), ReadError> {
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
            // Roll-ups first: what is older than all parts.
            let rollups = view.rollups_in(from, to).into_iter();
            let rollups = rollups.filter(|(_, role)| self.shortcuts || *role == Role::Remains);
            let touched = view.parts.iter().filter(|p| p.touches(from, to));
            let touched = rollups.chain(touched.map(|p| (Arc::clone(p), Role::Raw)));
            let (mut parts, mut lost) = (Vec::new(), Vec::new());
            for (part, role) in touched {
                let veil = view.tombstones.over(&part.footer);
                match PartCursor::new(&part, role, matchers, veil) {
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
        if let Some(start) = start {
            for cursor in &mut self.parts {
                cursor.skip_to(start)?;
            }
        }
        Ok(())
    }

    /// Brings the next series of memory to the front. If numbers were given back meanwhile, they
    /// are found again.
    fn bring_front(&mut self) -> Result<(), ReadError> {
        while self.front.is_none()
            && let Some(id) = self.memory.last().copied()
        {
            let core = self.core;
            let registry = core.registry.read().unwrap_or_else(PoisonError::into_inner);
            if registry.evictions == self.evictions {
                let labels = registry.labels(id).expect("no number was given back");
                self.front = Some(InMemory { labels, id });
                self.memory.pop();
                continue;
            }
            drop(registry);
            let start = self.start.clone();
            self.resolve(start.as_deref())?;
        }
        Ok(())
    }

    /// The least label bytes still to come.
    pub(crate) fn next_key(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        if let Some(start) = &mut self.start {
            // What comes right after the last series, in the order of bytes.
            start.push(0);
        }
        self.bring_front()?;
        let memory = self.front.as_ref().map(|m| m.labels.as_bytes());
        let parts = self.parts.iter().filter_map(PartCursor::key).min();
        let key = match (memory, parts) {
            (Some(a), Some(b)) => Some(a.min(b).to_vec()),
            (a, b) => a.or(b).map(<[u8]>::to_vec),
        };
        if key.is_some() {
            self.start.clone_from(&key);
        }
        Ok(key)
    }

    /// Labels of the series of `key`.
    pub(crate) fn labels_of(&mut self, key: &[u8]) -> Result<Labels, ReadError> {
        let known = self.labels.take().filter(|l| l.as_bytes() == key);
        let labels = known.or_else(|| Labels::from_bytes(key));
        labels.ok_or_else(|| ReadError::Corrupt {
            place: "labels in a part".into(),
        })
    }

    /// The newest sample of the series of `key`, if memory has it and nothing can be newer.
    fn newest(&mut self, key: &[u8]) -> Result<Option<Series>, ReadError> {
        let Some(found) = self.front.as_ref().filter(|m| m.is(key)) else {
            return Ok(None);
        };
        let id = found.id;
        let reading = self.core.head.ask(id, |data| data?.newest());
        let reading = reading.filter(|r| r.generation == self.view.generation);
        let Some((time_ms, value)) = reading.and_then(|r| r.answer) else {
            return Ok(None);
        };
        let (from, to) = (self.selection.from_ms, self.selection.to_ms);
        let mut frozen = self
            .view
            .frozen
            .iter()
            .filter_map(|f| f.series(id)?.span_ms());
        let mut parts = self.parts.iter().filter(|c| c.key() == Some(key));
        if !(from..=to).contains(&time_ms)
            || frozen.any(|(_, last)| last > time_ms)
            || parts.any(|c| c.part.footer.to_ms > time_ms)
        {
            return Ok(None);
        }
        let labels = self.front.take().map(|found| found.labels);
        for cursor in self.parts.iter_mut().filter(|c| c.key() == Some(key)) {
            cursor.advance()?;
        }
        Ok(labels.map(|labels| Series {
            labels,
            times_ms: vec![time_ms],
            values: vec![value],
            histograms: Vec::new(),
            starts_ms: Vec::new(),
        }))
    }

    /// Appends what memory has of a series; `false` if the view is outdated.
    fn memory_runs(&self, id: u32, runs: &mut Vec<Columns>) -> bool {
        let (from, to) = (self.selection.from_ms, self.selection.to_ms);
        for frozen in &self.view.frozen {
            if let Some(data) = frozen.series(id) {
                data.runs(from, to, runs);
            }
        }
        let reading = self.core.head.ask(id, |data| {
            if let Some(data) = data {
                data.runs(from, to, runs);
            }
        });
        reading.is_none_or(|r| r.generation == self.view.generation)
    }

    /// The series of `key`, which is the least one; `None` if it has no samples in the range.
    fn read(&mut self, key: &[u8]) -> Result<Option<Series>, ReadError> {
        if self.only_newest
            && let Some(series) = self.newest(key)?
        {
            return Ok(Some(series));
        }
        let in_memory = self.take_memory(key)?;
        self.read_with(key, in_memory)
    }

    /// What memory has of the series of `key`, which is the least one, in the order written.
    pub(crate) fn take_memory(&mut self, key: &[u8]) -> Result<Vec<Columns>, ReadError> {
        let mut memory = self.front.take_if(|m| m.is(key));
        let mut in_memory = Vec::new();
        while let Some(found) = &memory
            && !self.memory_runs(found.id, &mut in_memory)
        {
            // Samples moved on: find everything from here on again.
            in_memory.clear();
            self.resolve(Some(key))?;
            self.bring_front()?;
            memory = self.front.take_if(|m| m.is(key));
        }
        self.labels = memory.map(|found| found.labels);
        Ok(in_memory)
    }

    /// The series of `key`, of which memory has this.
    pub(crate) fn read_with(
        &mut self,
        key: &[u8],
        mut in_memory: Vec<Columns>,
    ) -> Result<Option<Series>, ReadError> {
        let range = (self.selection.from_ms, self.selection.to_ms);
        let mut runs: Vec<Columns> = Vec::new();
        let mut failed = None;
        for cursor in self.parts.iter_mut().filter(|c| c.key() == Some(key)) {
            if cursor.role == Role::Shortcut {
                cursor.advance()?;
                continue;
            }
            match cursor.read(self.core, range, &mut self.shared) {
                Ok(run) => {
                    for lost in run.lost {
                        // What it may have overwritten is no answer.
                        for older in &mut runs {
                            older.cut(lost.from_ms, lost.to_ms);
                        }
                        let place = lost.place;
                        self.lost.push_back(ReadError::Corrupt { place });
                    }
                    runs.push(run.columns);
                }
                Err(error) => failed = Some(error),
            }
            cursor.advance()?;
        }
        if let Some(error) = failed {
            return Err(error);
        }
        runs.append(&mut in_memory);
        let mut columns = Columns::merge(runs);
        columns.clip(range.0, range.1);
        if columns.is_empty() {
            return Ok(None);
        }
        Ok(Some(Series {
            labels: self.labels_of(key)?,
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
            let key = match self.next_key() {
                Ok(Some(key)) => key,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
            match self.read(&key) {
                Ok(None) => {}
                Ok(Some(series)) => return Some(Ok(series)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
