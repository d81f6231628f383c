//! Roll-ups: a day's samples as one point a minute and one an hour.
//!
//! A roll-up is a part (`docs/formats/part.md`) whose footer says of how many milliseconds each
//! point tells, and from which day part it was made. It is made when a day has become one part,
//! and again whenever that part was replaced: late samples, deletes. Windows are open on the left
//! and closed on the right, as PromQL's are: a sample at midnight belongs to the window that ends
//! there, alone in the roll-up of the day it begins. A point knows count, sum, least, greatest,
//! first and last value, the times of first and last, and a counter's resets ([`model::Run`]).
//! A staleness marker that ends a window is a point of its own.
//!
//! Histograms are thinned: the last of each window stays, and each one before a reset, so that
//! increases add up to the same; what follows a reset says so.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use model::{Histogram, Labels, ResetHint, Run, is_stale};

use crate::{
    chunk::{Chunk, Effort, Kind, times, windows},
    columns::Columns,
    compact::{Cursor, MaintainError},
    config::Config,
    manifest::Edit,
    part::{
        DAY_LEVEL, Footer,
        index::Index,
        reader::{Part, PartError, SharedTimes},
        writer::PartWriter,
    },
    retain::expired,
    stats::count,
    store::{Core, View, lock},
    summary::Summary,
};

/// Points of one minute.
pub(crate) const MINUTE_MS: i64 = 60_000;
/// Points of one hour.
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// One of the tiers that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tier {
    pub(crate) every_ms: i64,
    pub(crate) retention: Duration,
}

/// The tiers that the settings ask for, finest first.
pub(crate) fn tiers(config: &Config) -> Vec<Tier> {
    let tier = |every_ms, retention| Tier {
        every_ms,
        retention,
    };
    let all = [
        tier(MINUTE_MS, config.retention_1m),
        tier(HOUR_MS, config.retention_1h),
    ];
    all.into_iter().filter(|t| !t.retention.is_zero()).collect()
}

/// What a roll-up keeps.
#[derive(Debug, Clone)]
enum Item {
    Point(Run),
    Histogram(i64, Arc<Histogram>),
}

impl Item {
    fn time_ms(&self) -> i64 {
        match self {
            Self::Point(run) => run.to_ms,
            Self::Histogram(time, _) => *time,
        }
    }
}

/// The number of the window a time lies in.
fn window(time_ms: i64, every_ms: i64) -> i64 {
    time_ms.saturating_sub(1).div_euclid(every_ms)
}

/// Rolls samples in order of time up.
fn rolled(columns: &Columns, every_ms: i64) -> Vec<Item> {
    let mut items = Vec::new();
    let mut kept = KeptHistograms::default();
    let mut start = 0;
    while start < columns.len() {
        let number = window(columns.times[start], every_ms);
        let same = |time: &i64| window(*time, every_ms) == number;
        let end = start + columns.times[start..].partition_point(same);
        let before = items.len();
        items.extend(point(columns, start, end).map(Item::Point));
        kept.window(columns, start..end, &mut items);
        if is_stale(columns.values[end - 1]) {
            items.push(Item::Point(windows::stale(columns.times[end - 1])));
        }
        items[before..].sort_by_key(Item::time_ms);
        start = end;
    }
    items
}

/// The point of the floats from `start` to `end`, if there are any.
fn point(columns: &Columns, start: usize, end: usize) -> Option<Run> {
    let is_float = |i: &usize| columns.histograms.get(*i).is_none_or(Option::is_none);
    let floats = || {
        (start..end)
            .filter(is_float)
            .filter(|i| !is_stale(columns.values[*i]))
    };
    let first = floats().next()?;
    let last = floats().next_back()?;
    let summary = Summary::over(floats().map(|i| columns.values[i]));
    Some(Run {
        sum: shortest(summary.sum),
        ..summary.run(columns.times[first], columns.times[last])
    })
}

/// Decimal places tried for sums.
const PLACES: i32 = 9;

/// The shortest decimal within two units in the last place of a sum. What rounding leaves in the
/// last bits of a sum of decimals cannot be compressed, and says nothing.
fn shortest(sum: f64) -> f64 {
    let near = |short: &f64| (short - sum).abs() <= 2.0 * f64::EPSILON * sum.abs();
    (0..=PLACES)
        .map(|places| {
            let power = 10_f64.powi(places);
            (sum * power).round() / power
        })
        .find(near)
        .unwrap_or(sum)
}

/// Histograms thinned, from window to window.
#[derive(Debug, Default)]
struct KeptHistograms {
    before: Option<(i64, Arc<Histogram>)>,
    /// Whether `before` is kept.
    is_kept: bool,
    /// There was a reset after the last one kept.
    reset: bool,
}

impl KeptHistograms {
    fn window(&mut self, columns: &Columns, range: std::ops::Range<usize>, out: &mut Vec<Item>) {
        for i in range {
            let Some(Some(histogram)) = columns.histograms.get(i) else {
                continue;
            };
            if is_stale(columns.values[i]) {
                continue;
            }
            if self
                .before
                .as_ref()
                .is_some_and(|(_, b)| resets(b, histogram))
            {
                self.keep(out);
                self.reset = true;
            }
            self.before = Some((columns.times[i], Arc::clone(histogram)));
            self.is_kept = false;
        }
        self.keep(out);
    }

    fn keep(&mut self, out: &mut Vec<Item>) {
        let Some((time, histogram)) = self.before.clone().filter(|_| !self.is_kept) else {
            return;
        };
        self.is_kept = true;
        let reset = std::mem::take(&mut self.reset) && histogram.reset_hint != ResetHint::Gauge;
        out.push(Item::Histogram(
            time,
            if reset {
                Arc::new(Histogram {
                    reset_hint: ResetHint::Reset,
                    ..(*histogram).clone()
                })
            } else {
                histogram
            },
        ));
    }
}

/// Whether a histogram began anew after the one before it.
fn resets(before: &Histogram, now: &Histogram) -> bool {
    let fell = |a: &[f64], b: &[f64]| a.iter().zip(b).any(|(a, b)| b < a);
    match now.reset_hint {
        ResetHint::Reset => true,
        ResetHint::NotReset | ResetHint::Gauge => false,
        ResetHint::Unknown => {
            let same_shape = before.schema == now.schema
                && before.custom_values == now.custom_values
                && before.positive_spans == now.positive_spans
                && before.negative_spans == now.negative_spans;
            now.count < before.count
                || now.zero_count < before.zero_count && now.zero_threshold <= before.zero_threshold
                || same_shape
                    && (fell(&before.positive_buckets, &now.positive_buckets)
                        || fell(&before.negative_buckets, &now.negative_buckets))
        }
    }
}

/// What a roll-up has of a series.
fn items(
    rollup: &Part,
    index: &Index,
    series: u32,
    shared: &mut SharedTimes,
) -> Result<Vec<Item>, PartError> {
    let unreadable = || PartError::Corrupt("the blocks of a roll-up".into());
    let mut items = Vec::new();
    for block in index.blocks(series).ok_or_else(unreadable)? {
        if block.kind == Kind::Windows {
            let mut points = Vec::new();
            rollup.read_points(&block, shared, &mut points)?;
            items.extend(points.into_iter().map(Item::Point));
            continue;
        }
        let mut columns = Columns::default();
        rollup.read_block(&block, shared, &mut columns)?;
        let found = columns.times.iter().zip(columns.histograms);
        items.extend(found.filter_map(|(time, h)| Some(Item::Histogram(*time, h?))));
    }
    Ok(items)
}

/// Points a block holds at most: a day of minutes fits.
const BLOCK_POINTS: usize = 2048;

/// Codes items as blocks, points and histograms apart.
fn chunks(items: &[Item]) -> Vec<(Chunk, Summary)> {
    let same = |a: &Item, b: &Item| matches!(a, Item::Point(_)) == matches!(b, Item::Point(_));
    items
        .chunk_by(same)
        .flat_map(|run| run.chunks(BLOCK_POINTS))
        .map(chunk)
        .collect()
}

fn chunk(items: &[Item]) -> (Chunk, Summary) {
    let times: Vec<i64> = items.iter().map(Item::time_ms).collect();
    let (mut points, mut histograms) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Item::Point(run) => points.push(*run),
            Item::Histogram(_, h) => histograms.push(Arc::clone(h)),
        }
    }
    if points.is_empty() {
        let chunk = Chunk::histograms(&times, &histograms, Effort::Best);
        return (chunk, Summary::default());
    }
    let mut summary = Summary::default();
    for point in points.iter().filter(|p| p.count > 0) {
        summary.join(&Summary::from(point));
    }
    (Chunk::windows(&times, &points, Effort::Best), summary)
}

impl Chunk {
    /// Compresses the points of a roll-up. There is at least one.
    fn windows(column: &[i64], points: &[Run], effort: Effort) -> Self {
        let mut chunk = Self {
            kind: Kind::Windows,
            count: column.len(),
            from_ms: column[0],
            to_ms: column[column.len() - 1],
            times: Vec::new(),
            values: Vec::new(),
        };
        times::encode(&mut chunk.times, column, effort);
        windows::encode(&mut chunk.values, points, effort);
        chunk
    }
}

/// The first whole-day part a part descends from: what ties a roll-up to its day's raw samples.
pub(crate) fn origin(footer: &Footer) -> u64 {
    if footer.origin == 0 {
        footer.sequence
    } else {
        footer.origin
    }
}

/// The origin of a part merged from these; 0 if it is the first of its day.
pub(crate) fn inherited(inputs: &[Arc<Part>]) -> u64 {
    let whole = inputs.iter().find(|p| p.footer.level == DAY_LEVEL);
    whole.map_or(0, |p| origin(&p.footer))
}

/// What a roll-up is to readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Raw samples: no roll-up.
    Raw,
    /// All that is left of its samples, and the finest of it.
    Remains,
    /// A coarser roll-up of the same, or one whose samples are still there.
    Shortcut,
}

impl View {
    /// Roll-ups that touch a range and may be used, with what they are.
    pub(crate) fn rollups_in(&self, from_ms: i64, to_ms: i64) -> Vec<(Arc<Part>, Role)> {
        let mut found: Vec<(Arc<Part>, Role)> = Vec::new();
        let mut remains: BTreeMap<(i64, u64), usize> = BTreeMap::new();
        for part in self
            .rollups
            .iter()
            .filter(|p| p.touches_day(from_ms, to_ms))
        {
            let footer = &part.footer;
            let of_day = || self.parts.iter().filter(|p| p.footer.day == footer.day);
            if of_day().any(|p| p.footer.sequence == footer.source) {
                found.push((Arc::clone(part), Role::Shortcut));
            } else if !of_day()
                .any(|p| p.footer.level == DAY_LEVEL && origin(&p.footer) == footer.origin)
            {
                let at = found.len();
                found.push((Arc::clone(part), Role::Remains));
                let finest = remains.entry((footer.day, footer.origin)).or_insert(at);
                if *finest == at {
                    continue;
                }
                let coarser = if found[*finest].0.footer.every_ms <= footer.every_ms {
                    at
                } else {
                    std::mem::replace(finest, at)
                };
                found[coarser].1 = Role::Shortcut;
            }
        }
        found
    }

    /// The roll-up made from a day part as it is now.
    pub(crate) fn rollup_of(&self, part: &Part, every_ms: i64) -> Option<&Arc<Part>> {
        self.rollups
            .iter()
            .find(|r| r.footer.source == part.footer.sequence && r.footer.every_ms == every_ms)
    }
}

/// The whole day part next to be rolled up, and the tiers it lacks.
fn due(
    view: &View,
    damaged: &[u64],
    config: &Config,
    newest_ms: i64,
) -> Option<(Arc<Part>, Vec<i64>)> {
    let mut of_day: BTreeMap<i64, u32> = BTreeMap::new();
    for part in &view.parts {
        *of_day.entry(part.footer.day).or_default() += 1;
    }
    let whole = |p: &&Arc<Part>| {
        p.footer.level == DAY_LEVEL
            && of_day.get(&p.footer.day) == Some(&1)
            && !damaged.contains(&p.footer.sequence)
    };
    let lacks = |part: &Part| -> Vec<i64> {
        let all = tiers(config).into_iter();
        all.filter(|t| part.footer.to_ms >= before(newest_ms, t.retention))
            .filter(|t| view.rollup_of(part, t.every_ms).is_none())
            .map(|t| t.every_ms)
            .collect()
    };
    view.parts.iter().filter(whole).find_map(|part| {
        let lacking = lacks(part);
        (!lacking.is_empty()).then(|| (Arc::clone(part), lacking))
    })
}

/// A time so long before another, ms.
pub(crate) fn before(time_ms: i64, age: Duration) -> i64 {
    time_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

impl Core {
    /// Rolls one day up, if any has to be; whether it did. The caller keeps merges out.
    pub(crate) fn roll_up_once(&self) -> Result<bool, MaintainError> {
        if tiers(&self.config).is_empty() {
            return Ok(false);
        }
        let damaged = lock(&self.upkeep).damaged.clone();
        let view = Arc::clone(&lock(&self.view));
        let newest = self.latest_ms();
        let Some((part, lacking)) = due(&view, &damaged, &self.config, newest) else {
            return Ok(false);
        };
        let first = {
            let mut upkeep = lock(&self.upkeep);
            upkeep.next_part += lacking.len() as u64;
            upkeep.next_part - lacking.len() as u64
        };
        let sequences = first..first + lacking.len() as u64;
        let footers = self.write_rollups(&view, &part, &lacking, first);
        let footers = match footers {
            Ok(footers) => footers,
            Err(error) => {
                sequences.for_each(|sequence| self.remove_temporary(sequence));
                return Err(error);
            }
        };
        self.disk
            .sync_dir()
            .map_err(|error| self.note_full("sync the directory", error))?;
        self.put_rollups(&part, &footers)?;
        Ok(true)
    }

    fn write_rollups(
        &self,
        view: &View,
        part: &Arc<Part>,
        lacking: &[i64],
        first: u64,
    ) -> Result<Vec<Footer>, MaintainError> {
        let mut writers = Vec::new();
        for (sequence, every_ms) in (first..).zip(lacking) {
            let footer = self.rollup_footer(view, &part.footer, sequence, *every_ms);
            let writer = PartWriter::create(&*self.disk, footer)
                .map_err(|error| self.note_full("create a roll-up", error))?;
            writers.push((*every_ms, writer));
        }
        self.roll_series(view, part, &mut writers)?;
        let finish = |(_, writer): (i64, PartWriter)| {
            writer
                .finish(&*self.disk)
                .map_err(|error| self.note_full("finish a roll-up", error))
        };
        writers.into_iter().map(finish).collect()
    }

    fn rollup_footer(&self, view: &View, of: &Footer, sequence: u64, every_ms: i64) -> Footer {
        let outdated = view.rollups.iter().filter(|r| {
            let footer = &r.footer;
            (footer.day, footer.every_ms, footer.origin) == (of.day, every_ms, origin(of))
        });
        Footer {
            sequence,
            rank: of.rank,
            level: DAY_LEVEL,
            day: of.day,
            replaces: outdated.map(|r| r.footer.sequence).collect(),
            every_ms,
            source: of.sequence,
            origin: origin(of),
            ..Footer::default()
        }
    }

    fn roll_series(
        &self,
        view: &View,
        part: &Arc<Part>,
        writers: &mut [(i64, PartWriter)],
    ) -> Result<(), MaintainError> {
        let failed = |error| {
            lock(&self.upkeep).damaged.push(part.footer.sequence);
            self.part_failed("a block to roll up", error)
        };
        let mut cursor = self.cursor(view, part)?;
        let mut shared = SharedTimes::default();
        while let Some(key) = cursor.key().map(<[u8]>::to_vec) {
            if self.closed.load(Relaxed) {
                return Err(MaintainError::Closed);
            }
            let labels = Labels::from_bytes(&key).ok_or_else(|| MaintainError::Corrupt {
                place: "the labels of a series to roll up".into(),
            })?;
            let columns = cursor.take(&mut shared).map_err(failed)?;
            if columns.is_empty() {
                continue;
            }
            for (every_ms, writer) in &mut *writers {
                let blocks = chunks(&rolled(&columns, *every_ms));
                writer
                    .chunks(&labels, blocks)
                    .map_err(|error| self.note_full("write a roll-up", error))?;
            }
        }
        Ok(())
    }

    /// Makes roll-ups live, unless their day part was faster.
    fn put_rollups(&self, part: &Part, footers: &[Footer]) -> Result<(), MaintainError> {
        let mut upkeep = lock(&self.upkeep);
        let made: Vec<u64> = footers.iter().map(|f| f.sequence).collect();
        if !upkeep
            .manifest
            .contents
            .parts
            .contains(&part.footer.sequence)
        {
            self.remove_parts(&made);
            return Ok(());
        }
        let added = self.open_parts(footers)?;
        let live = &upkeep.manifest.contents.parts;
        let replaces = footers.iter().flat_map(|f| &f.replaces).copied();
        let replaced: Vec<u64> = replaces.filter(|r| live.contains(r)).collect();
        let edit = Edit {
            added: made,
            removed: replaced.clone(),
            ..Edit::default()
        };
        upkeep
            .manifest
            .commit(&*self.disk, edit)
            .map_err(|error| self.note_full("commit a roll-up", error))?;
        self.install(added, &replaced, None);
        self.remove_parts(&replaced);
        count(&self.counters.rolled_up, footers.len() as u64);
        Ok(())
    }

    /// Writes a roll-up anew without the points whose last sample is deleted, and without series
    /// that a rule forgets. The caller keeps merges out.
    pub(crate) fn clean_rollup(&self, rollup: &Arc<Part>) -> Result<(), MaintainError> {
        let sequence = {
            let mut upkeep = lock(&self.upkeep);
            upkeep.next_part += 1;
            upkeep.next_part - 1
        };
        let cleaned = self.write_cleaned(rollup, sequence);
        if !matches!(cleaned, Ok(Some(_))) {
            self.remove_temporary(sequence);
        }
        let cleaned = cleaned?;
        self.disk
            .sync_dir()
            .map_err(|error| self.note_full("sync the directory", error))?;
        self.replace_parts(&[rollup.footer.sequence], cleaned.as_ref())
    }

    fn write_cleaned(
        &self,
        rollup: &Arc<Part>,
        sequence: u64,
    ) -> Result<Option<Footer>, MaintainError> {
        let failed = |error| {
            lock(&self.upkeep).damaged.push(rollup.footer.sequence);
            self.part_failed("a roll-up to clean", error)
        };
        let footer = Footer {
            sequence,
            replaces: vec![rollup.footer.sequence],
            samples: 0,
            ..rollup.footer.clone()
        };
        let mut writer = PartWriter::create(&*self.disk, footer)
            .map_err(|error| self.note_full("create a roll-up", error))?;
        let veil = lock(&self.view).tombstones.over(&rollup.footer);
        let due = self.rules_due(rollup.footer.day);
        let index = rollup.index().map_err(failed)?;
        let (mut key, mut shared) = (Vec::new(), SharedTimes::default());
        for series in 0..index.series_count() {
            let unreadable = || PartError::Corrupt("the index of a roll-up".into());
            index
                .key(series, &mut key)
                .ok_or_else(|| failed(unreadable()))?;
            let labels = Labels::from_bytes(&key).ok_or_else(|| failed(unreadable()))?;
            if expired(&due, &labels) {
                continue;
            }
            let mut items = items(rollup, &index, series, &mut shared).map_err(failed)?;
            let hidden = veil.hidden(&key);
            items.retain(|item| {
                !hidden
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&item.time_ms()))
            });
            if !items.is_empty() {
                writer
                    .chunks(&labels, chunks(&items))
                    .map_err(|error| self.note_full("write a roll-up", error))?;
            }
        }
        if writer.is_empty() {
            return Ok(None);
        }
        let footer = writer.finish(&*self.disk);
        footer
            .map(Some)
            .map_err(|error| self.note_full("finish a roll-up", error))
    }

    /// A walk over the samples of a part that are not deleted.
    fn cursor<'a>(&self, view: &View, part: &'a Part) -> Result<Cursor<'a>, MaintainError> {
        let veil = view.tombstones.over(&part.footer);
        Cursor::new(part, veil).map_err(|e| self.part_failed("an index to roll up", e))
    }
}
