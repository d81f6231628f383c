//! Series told in runs: from block headers and roll-ups, decoding only what the edges of windows
//! cut.
//!
//! A block whose time nothing else of its series shares is a run: its header says all. Where
//! windows cut blocks of a day that is one part and has roll-ups, hours stand for what no window
//! cuts, minutes for the rest of the hours, and samples for the rest of the minutes. Everything
//! else is decoded and merged as an ordinary read does. Where only roll-ups are left, their points
//! are all there is, cut or not.

use model::{Digest, DigestIter, Labels, ReadError, Run, Selection, Series, Thinned, Windows};

use crate::{
    chunk::Kind,
    columns::Columns,
    part::{DAY_MS, index::BlockEntry, reader::PartError},
    read::{PartCursor, Walk, read_error},
    rollup::Role,
    store::Core,
    summary::Summary,
};

/// Minutes of a day that windows may cut before decoding all of it is cheaper.
const CUT_MINUTES_MAX: usize = 128;

impl Core {
    pub(crate) fn digest(
        &self,
        selection: &Selection,
        windows: &Windows,
    ) -> Result<DigestIter<'_>, ReadError> {
        if selection.matchers.is_empty() || selection.from_ms > selection.to_ms {
            return Ok(Box::new(std::iter::empty()));
        }
        Ok(Box::new(Digests {
            walk: Walk::new(self, selection, true)?,
            windows: *windows,
        }))
    }

    /// Where only roll-ups are left.
    pub(crate) fn thinned(&self, from_ms: i64, to_ms: i64) -> Vec<Thinned> {
        let mut found: Vec<Thinned> = Vec::new();
        let rollups = self.view().rollups_in(from_ms, to_ms);
        let mut remains: Vec<_> = rollups
            .iter()
            .filter(|(_, role)| *role == Role::Remains)
            .map(|(part, _)| (part.footer.day, part.footer.every_ms))
            .collect();
        remains.sort_unstable();
        for (day, every_ms) in remains {
            let day_ms = day.saturating_mul(DAY_MS);
            let day_end = day_ms.saturating_add(DAY_MS - 1);
            match found.last_mut() {
                Some(last) if last.every_ms == every_ms && last.to_ms >= day_ms - 1 => {
                    last.to_ms = day_end;
                }
                _ => found.push(Thinned {
                    from_ms: day_ms,
                    to_ms: day_end,
                    every_ms,
                }),
            }
        }
        found
    }

    /// What can be said of the floats of each matching series in the range.
    pub(crate) fn summaries(
        &self,
        selection: &Selection,
    ) -> Result<Vec<(Labels, Summary)>, ReadError> {
        let windows = Windows {
            end_ms: selection.to_ms,
            step_ms: 1,
            count: 1,
            range_ms: selection.to_ms.saturating_sub(selection.from_ms),
        };
        let mut summaries = Vec::new();
        for digest in self.digest(selection, &windows)? {
            let Digest { samples, runs } = digest?;
            let mut all: Vec<(i64, Summary)> = runs
                .iter()
                .map(|run| (run.to_ms, Summary::from(run)))
                .collect();
            let one = |(time, value): (&i64, &f64)| (*time, Summary::of(&[*value]));
            all.extend(samples.times_ms.iter().zip(&samples.values).map(one));
            all.sort_by_key(|(time, _)| *time);
            let mut summary = Summary::default();
            all.iter().for_each(|(_, later)| summary.join(later));
            if summary.count > 0 {
                summaries.push((samples.labels, summary));
            }
        }
        Ok(summaries)
    }
}

/// Walks over the series of a selection.
struct Digests<'a> {
    walk: Walk<'a>,
    windows: Windows,
}

impl Iterator for Digests<'_> {
    type Item = Result<Digest, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.walk.lost.pop_front() {
                return Some(Err(error));
            }
            let labels = match self.walk.advance() {
                Ok(Some(labels)) => labels,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
            match self.series(labels) {
                Ok(None) => {}
                Ok(Some(digest)) => return Some(Ok(digest)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// A block of one of the cursors.
struct Placed {
    cursor: usize,
    block: BlockEntry,
    /// Its header may speak for it.
    alone: bool,
}

/// What one series comes to.
#[derive(Default)]
struct Told {
    runs: Vec<Run>,
    /// In the order written.
    samples: Vec<Columns>,
}

impl Digests<'_> {
    /// The series at hand; `None` if it has no samples in the range.
    fn series(&mut self, labels: Labels) -> Result<Option<Digest>, ReadError> {
        let in_memory = self.walk.take_memory()?;
        let told = match self.tell(labels.as_bytes(), &in_memory) {
            Ok(told) => told,
            Err(PartError::Io(error)) => return Err(read_error(PartError::Io(error))),
            // An ordinary read knows what to do about damage.
            Err(PartError::Corrupt(_)) => {
                let series = self.walk.read_with(labels, in_memory)?;
                return Ok(series.map(|samples| Digest {
                    samples,
                    runs: Vec::new(),
                }));
            }
        };
        self.walk.leave();
        let Told {
            mut runs,
            mut samples,
        } = told;
        samples.extend(in_memory);
        let mut columns = Columns::merge(samples);
        columns.clip(self.walk.selection.from_ms, self.walk.selection.to_ms);
        if columns.is_empty() && runs.is_empty() {
            return Ok(None);
        }
        runs.sort_by_key(|run| run.to_ms);
        let samples = Series {
            labels,
            times_ms: columns.times,
            values: columns.values,
            histograms: columns.histograms,
            starts_ms: Vec::new(),
        };
        Ok(Some(Digest { samples, runs }))
    }

    /// What parts and roll-ups have of the series of `key`.
    fn tell(&mut self, key: &[u8], in_memory: &[Columns]) -> Result<Told, PartError> {
        let mut told = Told::default();
        let mut placed = self.placed(key, in_memory)?;
        let days = self.days(&placed)?;
        for day in days {
            self.tell_of_day(key, &day, &mut placed, &mut told)?;
        }
        let parts = self.walk.parts.len();
        let mut decoded: Vec<Columns> = (0..parts).map(|_| Columns::default()).collect();
        for Placed {
            cursor,
            block,
            alone,
        } in &placed
        {
            if *alone && self.speaks_for_itself(block) {
                told.runs
                    .push(block.summary.run(block.from_ms, block.to_ms));
                continue;
            }
            self.decode(*cursor, block, &mut decoded[*cursor])?;
        }
        for (cursor, columns) in decoded.iter_mut().enumerate() {
            self.walk.parts[cursor].veil.cut(key, columns);
        }
        told.samples
            .extend(decoded.into_iter().filter(|c| !c.is_empty()));
        Ok(told)
    }

    fn decode(
        &mut self,
        cursor: usize,
        block: &BlockEntry,
        into: &mut Columns,
    ) -> Result<(), PartError> {
        let core = self.walk.core;
        let PartCursor { part, shared, .. } = &mut self.walk.parts[cursor];
        let range = (self.walk.selection.from_ms, self.walk.selection.to_ms);
        core.read_block(part, &block.view(), range, shared, into)
    }

    fn in_range(&self, from_ms: i64, to_ms: i64) -> bool {
        from_ms >= self.walk.selection.from_ms && to_ms <= self.walk.selection.to_ms
    }

    /// Whether a header says all: with staleness markers in the block it does not say when the
    /// first and last value were.
    fn speaks_for_itself(&self, block: &BlockEntry) -> bool {
        block.kind == Kind::Floats
            && block.summary.count == block.count as u64
            && self.in_range(block.from_ms, block.to_ms)
            && !self.windows.cut(block.from_ms, block.to_ms)
    }

    /// The blocks of raw samples of the series that touch the range.
    fn placed(&self, key: &[u8], in_memory: &[Columns]) -> Result<Vec<Placed>, PartError> {
        let selection = &self.walk.selection;
        let mut placed = Vec::new();
        for (cursor, of_part) in self.walk.parts.iter().enumerate() {
            if of_part.role != Role::Raw || !of_part.is_here {
                continue;
            }
            let hidden = of_part.veil.hidden(key);
            let blocks = of_part
                .blocks_in((selection.from_ms, selection.to_ms))
                .map_err(|error| PartError::Corrupt(error.to_string()))?;
            placed.extend(blocks.into_iter().map(|block| {
                Placed {
                    cursor,
                    alone: !hidden
                        .iter()
                        .any(|h| meet(*h, (block.from_ms, block.to_ms)))
                        && !in_memory
                            .iter()
                            .any(|c| c.meets(block.from_ms, block.to_ms)),
                    block,
                }
            }));
        }
        placed.sort_by_key(|p| p.block.from_ms);
        let mut latest: Option<usize> = None;
        for i in 0..placed.len() {
            if let Some(before) = latest
                && placed[before].block.to_ms >= placed[i].block.from_ms
            {
                placed[before].alone = false;
                placed[i].alone = false;
            }
            if latest.is_none_or(|l| placed[l].block.to_ms < placed[i].block.to_ms) {
                latest = Some(i);
            }
        }
        Ok(placed)
    }

    /// Days for which there are roll-ups that may be used.
    fn days(&self, placed: &[Placed]) -> Result<Vec<Day>, PartError> {
        let mut days: Vec<Day> = Vec::new();
        for (cursor, rollup) in self.walk.parts.iter().enumerate() {
            if rollup.role == Role::Raw || !rollup.is_here {
                continue;
            }
            let footer = &rollup.part.footer;
            let id = (footer.day, footer.origin);
            match days.iter_mut().find(|d| d.id == id) {
                Some(day) => day.rollups.push(cursor),
                None => days.push(Day {
                    id,
                    source: footer.source,
                    rollups: vec![cursor],
                    remains: false,
                }),
            }
            let day = days.iter_mut().find(|d| d.id == id);
            if let Some(day) = day {
                day.remains |= rollup.role == Role::Remains;
            }
        }
        for day in &mut days {
            day.rollups.sort_by_key(|cursor| {
                std::cmp::Reverse(self.walk.parts[*cursor].part.footer.every_ms)
            });
        }
        days.retain(|day| day.remains || self.is_plain(day, placed));
        Ok(days)
    }

    /// Whether the day is one part, as the roll-ups know it, of floats that windows do cut.
    fn is_plain(&self, day: &Day, placed: &[Placed]) -> bool {
        let begin = day.id.0.saturating_mul(DAY_MS);
        let end = begin.saturating_add(DAY_MS - 1);
        let mut of_day = placed
            .iter()
            .filter(|p| meet((p.block.from_ms, p.block.to_ms), (begin, end)))
            .peekable();
        let mut cut = false;
        of_day.peek().is_some()
            && of_day.all(|p| {
                cut |= !self.speaks_for_itself(&p.block);
                let sequence = self.walk.parts[p.cursor].part.footer.sequence;
                p.alone && p.block.kind == Kind::Floats && sequence == day.source
            })
            && cut
    }

    fn tell_of_day(
        &mut self,
        key: &[u8],
        day: &Day,
        placed: &mut Vec<Placed>,
        told: &mut Told,
    ) -> Result<(), PartError> {
        let mut levels = Vec::new();
        let expected = if day.remains {
            None
        } else {
            self.count_of_day(day, placed)?
        };
        for cursor in &day.rollups {
            let points = self.points(key, *cursor, day.remains, told)?;
            let count: u64 = points.iter().map(|point| point.count).sum();
            // What was lost to damage must not look as if it had never been.
            if expected.is_none_or(|expected| count == expected) {
                levels.push(points);
            }
        }
        if levels.is_empty() {
            return Ok(());
        }
        let mut choice = Choice::default();
        self.choose(&levels, (i64::MIN, i64::MAX), day.remains, &mut choice);
        if day.remains {
            told.runs.append(&mut choice.runs);
            return Ok(());
        }
        if choice.cut.len() > CUT_MINUTES_MAX {
            return Ok(());
        }
        let (of_day, others) = std::mem::take(placed)
            .into_iter()
            .partition(|p| self.walk.parts[p.cursor].part.footer.sequence == day.source);
        *placed = others;
        told.runs.append(&mut choice.runs);
        self.samples_between(&of_day, &choice.cut, told)
    }

    /// How many floats the day's part has of the series.
    fn count_of_day(&self, day: &Day, placed: &[Placed]) -> Result<Option<u64>, PartError> {
        let of_day = |p: &&Placed| self.walk.parts[p.cursor].part.footer.sequence == day.source;
        let Some(Placed { cursor, .. }) = placed.iter().find(of_day) else {
            return Ok(None);
        };
        let blocks = self.walk.parts[*cursor]
            .blocks_in((i64::MIN, i64::MAX))
            .map_err(|error| PartError::Corrupt(error.to_string()))?;
        Ok(Some(blocks.iter().map(|b| b.summary.count).sum()))
    }

    /// The points of a roll-up; its histograms, if they are all that is left, go to the samples.
    fn points(
        &mut self,
        key: &[u8],
        cursor: usize,
        remains: bool,
        told: &mut Told,
    ) -> Result<Vec<Run>, PartError> {
        let rollup = &mut self.walk.parts[cursor];
        let is_finest = rollup.role == Role::Remains;
        let blocks = rollup
            .blocks_in((i64::MIN, i64::MAX))
            .map_err(|error| PartError::Corrupt(error.to_string()))?;
        let mut points = Vec::new();
        for block in blocks {
            match block.kind {
                Kind::Windows => {
                    let PartCursor { part, shared, .. } = &mut *rollup;
                    part.read_points(&block, shared, &mut points)?;
                }
                Kind::Histograms | Kind::Floats if remains && is_finest => {
                    let mut columns = Columns::default();
                    let PartCursor { part, shared, .. } = &mut *rollup;
                    part.read_block(&block, shared, &mut columns)?;
                    rollup.veil.cut(key, &mut columns);
                    told.samples.push(columns);
                }
                Kind::Histograms | Kind::Floats => {}
            }
        }
        let hidden = rollup.veil.hidden(key);
        points.retain(|point| {
            point.count > 0 && !hidden.iter().any(|h| meet(*h, (point.to_ms, point.to_ms)))
        });
        Ok(points)
    }

    /// Takes the points of the coarsest level that lie in a span and are not cut; of those that
    /// are, what the finer levels have. At the finest level a point that is cut is taken all the
    /// same if it is all there is, else noted.
    fn choose(&self, levels: &[Vec<Run>], span: (i64, i64), remains: bool, choice: &mut Choice) {
        let Some((points, finer)) = levels.split_first() else {
            return;
        };
        let selection = &self.walk.selection;
        let start = points.partition_point(|p| p.to_ms < span.0);
        for point in points[start..].iter().take_while(|p| p.to_ms <= span.1) {
            if point.to_ms < selection.from_ms || point.from_ms > selection.to_ms {
                continue;
            }
            let whole = self.in_range(point.from_ms, point.to_ms)
                && !self.windows.cut(point.from_ms, point.to_ms);
            if whole {
                choice.runs.push(*point);
            } else if !finer.is_empty() {
                self.choose(finer, (point.from_ms, point.to_ms), remains, choice);
            } else if !remains {
                choice.cut.push((point.from_ms, point.to_ms));
            } else if point.to_ms <= selection.to_ms {
                choice.runs.push(*point);
            }
        }
    }

    /// Decodes the blocks that some spans need, and keeps what lies in them.
    fn samples_between(
        &mut self,
        blocks: &[Placed],
        spans: &[(i64, i64)],
        told: &mut Told,
    ) -> Result<(), PartError> {
        for Placed { cursor, block, .. } in blocks {
            let needed: Vec<_> = spans
                .iter()
                .filter(|s| meet(**s, (block.from_ms, block.to_ms)))
                .collect();
            if needed.is_empty() {
                continue;
            }
            let mut columns = Columns::default();
            self.decode(*cursor, block, &mut columns)?;
            let mut kept = Columns::default();
            for (from, to) in needed {
                kept.times
                    .extend(columns.between(*from, *to).map(|i| columns.times[i]));
                kept.values
                    .extend(columns.between(*from, *to).map(|i| columns.values[i]));
            }
            told.samples.push(kept);
        }
        Ok(())
    }
}

/// A day with roll-ups, the coarsest first.
struct Day {
    /// Day and origin.
    id: (i64, u64),
    source: u64,
    rollups: Vec<usize>,
    /// They are all that is left.
    remains: bool,
}

/// Points to tell, and spans whose samples are needed.
#[derive(Default)]
struct Choice {
    runs: Vec<Run>,
    cut: Vec<(i64, i64)>,
}

/// Whether two spans, ends included, have a time in common.
fn meet(a: (i64, i64), b: (i64, i64)) -> bool {
    a.0 <= b.1 && a.1 >= b.0
}

impl Columns {
    /// Which samples lie from one time to another, both included; for samples in order of time.
    fn between(&self, from_ms: i64, to_ms: i64) -> std::ops::Range<usize> {
        let start = self.times.partition_point(|t| *t < from_ms);
        let end = self.times.partition_point(|t| *t <= to_ms);
        start..end.max(start)
    }

    /// Whether a sample lies from one time to another; in whatever order they are.
    fn meets(&self, from_ms: i64, to_ms: i64) -> bool {
        self.times.iter().any(|t| (from_ms..=to_ms).contains(t))
    }
}
