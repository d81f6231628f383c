//! Reads every byte of a store and says what is wrong with it.
//!
//! Of each part: footer, index, postings against series, and of each block its checksums, that
//! its times rise within its header's bounds, and that the header's summary is the summary of
//! what the columns decode to, bit for bit. Of the log every record; of the manifest every edit;
//! the tombstones. What is only unfinished (a torn tail, a file nobody names) is a note.

use std::{collections::BTreeSet, io};

use model::Labels;

use crate::{
    chunk::Kind,
    columns::Columns,
    disk::Disk,
    labels_index::Postings as _,
    log::{FRAME_HEAD, frame_in},
    manifest::{self, Edit},
    part::{
        self, DAY_MS, Footer,
        index::{BlockEntry, Index},
        reader::{Part, PartError, SharedTimes},
    },
    scan::{Item, load, scan},
    summary::Summary,
    tombstones::{self, Tombstones},
    wal,
};

/// Something wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// Byte position in it.
    pub at: u64,
    /// What is wrong.
    pub what: String,
    /// What cannot be read because of it, as far as the file says.
    pub loss: Option<Loss>,
}

/// What cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The series, if it is one.
    pub series: Option<Labels>,
    /// First and last time, ms, both included.
    pub times_ms: Option<(i64, i64)>,
    /// Samples; `None` if nothing says how many.
    pub samples: Option<u64>,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Blocks that check.
    pub blocks: u64,
    /// Samples that check, in parts and in the log.
    pub samples: u64,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// What is unusual, and harmless.
    pub notes: Vec<Fault>,
}

impl Checked {
    fn fault(&mut self, file: &str, at: u64, what: impl Into<String>, loss: Option<Loss>) {
        self.faults.push(Fault {
            file: file.into(),
            at,
            what: what.into(),
            loss,
        });
    }

    fn note(&mut self, file: &str, at: u64, what: impl Into<String>) {
        self.notes.push(Fault {
            file: file.into(),
            at,
            what: what.into(),
            loss: None,
        });
    }
}

/// Checks a whole directory. `progress` is told bytes done and bytes in all.
pub fn check(disk: &dyn Disk, progress: &mut dyn FnMut(u64, u64)) -> io::Result<Checked> {
    let files = disk.list()?;
    let all = files.iter().map(|(_, bytes)| bytes).sum();
    let mut checked = Checked::default();
    let parts = live_parts(disk, &files)?;
    let last_segment = files.iter().filter_map(|(n, _)| wal::number(n)).max();
    for (name, bytes) in &files {
        if let Some(sequence) = part::number(name) {
            check_part(disk, sequence, &mut checked)?;
        } else if let Some(segment) = wal::number(name) {
            let last = Some(segment) == last_segment;
            check_segment(&load(disk, name)?, segment, last, &mut checked);
        } else {
            check_other(disk, name, &parts, &mut checked)?;
        }
        checked.files += 1;
        checked.bytes += bytes;
        progress(checked.bytes, all);
    }
    if !parts.is_empty() && !files.iter().any(|(name, _)| name == manifest::NAME) {
        checked.fault(manifest::NAME, 0, "the file is missing", None);
    }
    Ok(checked)
}

fn check_other(
    disk: &dyn Disk,
    name: &str,
    parts: &BTreeSet<u64>,
    checked: &mut Checked,
) -> io::Result<()> {
    match name {
        manifest::NAME => check_manifest(&load(disk, name)?, parts, checked),
        tombstones::NAME => {
            if let Some(at) = Tombstones::read(disk)?.damaged_at {
                checked.fault(name, at, "deletes from here on are not known", None);
            }
        }
        crate::ballast::NAME | crate::disk::LOCK_NAME => {}
        _ if name.ends_with(".tmp") => {
            checked.note(name, 0, "unfinished: removed at the next opening");
        }
        _ => checked.note(name, 0, "not a file of the store"),
    }
    Ok(())
}

/// Parts on disk that no other part replaces.
fn live_parts(disk: &dyn Disk, files: &[(String, u64)]) -> io::Result<BTreeSet<u64>> {
    let mut live: BTreeSet<u64> = files.iter().filter_map(|(n, _)| part::number(n)).collect();
    for sequence in live.clone() {
        match Footer::read(disk, sequence) {
            Ok(footer) => live.retain(|n| !footer.replaces.contains(n)),
            Err(PartError::Corrupt(_)) => {}
            Err(PartError::Io(error)) => return Err(error),
        }
    }
    Ok(live)
}

/// Where the manifest's edits end, and what they come to, as far as they check.
pub(crate) fn check_manifest(bytes: &[u8], on_disk: &BTreeSet<u64>, checked: &mut Checked) {
    let edits = match manifest_edits(bytes) {
        Ok(edits) => edits,
        Err((at, edits)) => {
            let what = "an edit does not check: the state is rebuilt from the parts";
            checked.fault(manifest::NAME, at, what, None);
            edits
        }
    };
    let mut contents = manifest::Contents::default();
    edits.into_iter().for_each(|edit| contents.apply(edit));
    let number = |n: &u64| part::name(*n);
    for missing in contents.parts.difference(on_disk).map(number) {
        let what = format!("{missing} is named, and missing");
        let loss = Loss {
            series: None,
            times_ms: None,
            samples: None,
        };
        checked.fault(manifest::NAME, 0, what, Some(loss));
    }
    for extra in on_disk.difference(&contents.parts).map(number) {
        checked.note(
            &extra,
            0,
            "not named in the manifest: what an unfinished step left, or used all the same",
        );
    }
}

/// The edits of a manifest; on damage those before it, and where it is.
pub(crate) fn manifest_edits(bytes: &[u8]) -> Result<Vec<Edit>, (u64, Vec<Edit>)> {
    let mut edits = Vec::new();
    if bytes.get(..8) != Some(manifest::MAGIC) {
        return Err((0, edits));
    }
    let mut at = 8;
    while at < bytes.len() {
        let payload = frame_in(&bytes[at..]);
        let Some(edit) = payload.and_then(Edit::decode) else {
            return Err((at as u64, edits));
        };
        edits.push(edit);
        at += FRAME_HEAD + payload.map_or(0, <[u8]>::len);
    }
    Ok(edits)
}

fn check_segment(bytes: &[u8], segment: u64, last: bool, checked: &mut Checked) {
    let name = wal::name(segment);
    let mut known = BTreeSet::new();
    scan(bytes, segment, &mut |at, item| match item {
        Item::Bad { bytes, what, torn } if torn && last => {
            checked.note(
                &name,
                at,
                format!("{what}: {bytes} bytes, as a crash or a writer at work leaves them"),
            );
        }
        Item::Bad { bytes, what, .. } => {
            let loss = Loss {
                series: None,
                times_ms: None,
                samples: None,
            };
            checked.fault(&name, at, format!("{what}: {bytes} bytes"), Some(loss));
        }
        Item::Batch(record, _) => {
            known.extend(record.series.iter().map(|(id, _)| *id));
            let floats = record.floats.iter().map(|(id, ..)| id);
            let ids = floats.chain(record.histograms.iter().map(|(id, ..)| id));
            let unknown = ids.clone().filter(|id| !known.contains(id)).count() as u64;
            checked.samples += ids.count() as u64 - unknown;
            if unknown > 0 {
                let loss = Loss {
                    series: None,
                    times_ms: None,
                    samples: Some(unknown),
                };
                checked.fault(
                    &name,
                    at,
                    "samples of series that are not introduced",
                    Some(loss),
                );
            }
        }
    });
}

/// A block that cannot be used: series and block, by number.
pub(crate) type BadBlock = (u32, usize);

/// What repair needs to know of a part.
#[derive(Debug)]
pub(crate) struct PartState {
    /// `None`: not even the footer and the index can be read.
    pub(crate) part: Option<Part>,
    pub(crate) bad: BTreeSet<BadBlock>,
}

/// Checks a part; faults go to `checked`.
pub(crate) fn check_part(
    disk: &dyn Disk,
    sequence: u64,
    checked: &mut Checked,
) -> io::Result<PartState> {
    let name = part::name(sequence);
    let mut state = PartState {
        part: None,
        bad: BTreeSet::new(),
    };
    let footer = match Footer::read(disk, sequence) {
        Ok(footer) => footer,
        Err(PartError::Io(error)) => return Err(error),
        Err(PartError::Corrupt(what)) => {
            let loss = Loss {
                series: None,
                times_ms: None,
                samples: None,
            };
            checked.fault(&name, 0, what, Some(loss));
            return Ok(state);
        }
    };
    let opened = Part::open(disk, sequence).and_then(|part| Ok((part.index()?, part)));
    let (index, part) = match opened {
        Ok(opened) => opened,
        Err(PartError::Io(error)) => return Err(error),
        Err(PartError::Corrupt(what)) => {
            let loss = Loss {
                series: None,
                times_ms: Some((footer.from_ms, footer.to_ms)),
                samples: Some(footer.samples),
            };
            checked.fault(&name, footer.index_at, what, Some(loss));
            return Ok(state);
        }
    };
    let mut walk = PartWalk {
        name: &name,
        part: &part,
        index: &index,
        shared: SharedTimes::default(),
        totals: (i64::MAX, i64::MIN, 0),
        last_key: Vec::new(),
        checked,
    };
    state.bad = walk.series()?;
    walk.postings();
    walk.footer();
    state.part = Some(part);
    Ok(state)
}

struct PartWalk<'a> {
    name: &'a str,
    part: &'a Part,
    index: &'a Index,
    shared: SharedTimes,
    /// First time, last time, samples, by the block headers.
    totals: (i64, i64, u64),
    last_key: Vec<u8>,
    checked: &'a mut Checked,
}

impl PartWalk<'_> {
    fn index_fault(&mut self, what: impl Into<String>) {
        let at = self.part.footer.index_at;
        self.checked.fault(self.name, at, what, None);
    }

    /// Checks every block; those that are bad.
    fn series(&mut self) -> io::Result<BTreeSet<BadBlock>> {
        let mut bad = BTreeSet::new();
        for series in 0..self.index.series_count() {
            let (labels, blocks) = (self.index.labels(series), self.index.blocks(series));
            let (Some(labels), Some(blocks)) = (labels, blocks) else {
                self.index_fault(format!("series {series} cannot be read"));
                continue;
            };
            if series > 0 && labels.as_bytes() <= self.last_key.as_slice() {
                self.index_fault(format!("{labels} is out of order"));
            }
            self.last_key = labels.as_bytes().to_vec();
            let mut last_ms = i64::MIN;
            for (number, block) in blocks.iter().enumerate() {
                self.total(block);
                let sound = self.block(block)?;
                let what = sound.err().or_else(|| {
                    let late = number > 0 && block.from_ms <= last_ms;
                    late.then(|| "a block begins before the one before it ends".to_owned())
                });
                last_ms = block.to_ms;
                let Some(what) = what else {
                    self.checked.blocks += 1;
                    self.checked.samples += block.count as u64;
                    continue;
                };
                bad.insert((series, number));
                self.block_fault(&labels, block, what);
            }
        }
        Ok(bad)
    }

    fn total(&mut self, block: &BlockEntry) {
        let (from, to, samples) = self.totals;
        self.totals = (
            from.min(block.from_ms),
            to.max(block.to_ms),
            samples + block.count as u64,
        );
    }

    fn block_fault(&mut self, labels: &Labels, block: &BlockEntry, what: String) {
        let (values, times) = block.position();
        let bad_times = times.filter(|_| self.part.check_column(&block.times).is_err());
        let at = bad_times.or(values).unwrap_or(self.part.footer.index_at);
        let loss = Loss {
            series: Some(labels.clone()),
            times_ms: Some((block.from_ms, block.to_ms)),
            samples: Some(block.count as u64),
        };
        self.checked.fault(self.name, at, what, Some(loss));
    }

    /// Whether a block is what its header says; the inner error is what is wrong.
    fn block(&mut self, block: &BlockEntry) -> io::Result<Result<(), String>> {
        let mut columns = Columns::default();
        match self.part.read_block(block, &mut self.shared, &mut columns) {
            Ok(()) if block.kind != Kind::Windows => {
                return Ok(compare(block, &columns, self.part.footer.day));
            }
            Ok(()) => {}
            Err(PartError::Corrupt(what)) => return Ok(Err(what)),
            Err(PartError::Io(error)) => return Err(error),
        }
        // As samples, points of a roll-up are only their last values: now all of them.
        let mut points = Vec::new();
        match self.part.read_points(block, &mut self.shared, &mut points) {
            Ok(()) => Ok(compare(block, &columns, self.part.footer.day)),
            Err(PartError::Corrupt(what)) => Ok(Err(what)),
            Err(PartError::Io(error)) => Err(error),
        }
    }

    /// Each pair of each series has a list that names it, and no list names more.
    fn postings(&mut self) {
        let pairs: usize = (0..self.index.series_count())
            .filter_map(|series| self.index.labels(series))
            .map(|labels| labels.count())
            .sum();
        let mut lists = std::collections::HashMap::new();
        let mut missing = Vec::new();
        for series in 0..self.index.series_count() {
            let Some(labels) = self.index.labels(series) else {
                continue;
            };
            for (name, value) in labels.iter() {
                let list = lists
                    .entry((name.to_owned(), value.to_owned()))
                    .or_insert_with(|| self.index.lookup(name, value).into_owned());
                if !list.contains(series) {
                    missing.push(format!("the list of {name}={value:?} is without {labels}"));
                }
            }
        }
        let listed: usize = lists.values().map(|list| list.len() as usize).sum();
        missing.into_iter().for_each(|what| self.index_fault(what));
        if listed != pairs {
            self.index_fault(format!("{pairs} pairs of labels, {listed} in lists"));
        }
    }

    fn footer(&mut self) {
        let footer = &self.part.footer;
        let said = (footer.from_ms, footer.to_ms, footer.samples);
        if said != self.totals {
            let what = format!("the footer says {said:?}, the blocks {:?}", self.totals);
            self.index_fault(what);
        }
    }
}

/// What is wrong with a decoded block.
fn compare(block: &BlockEntry, columns: &Columns, day: i64) -> Result<(), String> {
    let wrong = |what: &str| Err(what.to_owned());
    if columns.len() != block.count {
        return wrong("a block has another number of samples than its header says");
    }
    if !columns.times.windows(2).all(|pair| pair[0] < pair[1]) {
        return wrong("the times of a block do not rise");
    }
    let ends = (columns.times.first(), columns.times.last());
    if ends != (Some(&block.from_ms), Some(&block.to_ms)) {
        return wrong("a block begins or ends elsewhere than its header says");
    }
    if block.from_ms.div_euclid(DAY_MS) != day || block.to_ms.div_euclid(DAY_MS) != day {
        return wrong("a block lies outside its part's day");
    }
    let summary = Summary::of(&columns.values);
    // By text: NaNs are equal when they are the same.
    if block.kind == Kind::Floats && format!("{summary:?}") != format!("{:?}", block.summary) {
        return wrong("a block's summary is not that of its samples");
    }
    Ok(())
}
