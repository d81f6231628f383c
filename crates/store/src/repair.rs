//! Makes a damaged store whole again, less what cannot be read.
//!
//! Nothing is deleted: a file that does not check is kept in `quarantine/` beside a text that says
//! why, before anything takes its place. Single bits of a part that have flipped are put right
//! ([`crate::mend`]); a part with bad blocks is then written anew without them, which also builds
//! its index from its series; a log segment without its bad records; a manifest
//! from the parts; tombstones as far as they check. What is lost is said series by series.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use model::Labels;

use crate::{
    check::{Checked, Fault, PartState, check, check_part, manifest_edits},
    chunk::Chunk,
    disk::{Disk, copy},
    log::put_frame,
    manifest::{self, Contents, Manifest},
    mend::Mended,
    part::{
        self, Footer,
        reader::{Part, PartError},
        writer::PartWriter,
    },
    record::{Incoming, Outgoing},
    scan::{Item, load, scan},
    summary::Summary,
    tombstones::{self, Tombstones},
    varint::put_u64,
    wal,
};

/// What is done about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The file.
    pub file: String,
    /// What becomes of it.
    pub what: &'static str,
    /// Samples that stay.
    pub kept: u64,
    /// Why, and what is lost.
    pub faults: Vec<Fault>,
}

/// What a repair does, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// File by file.
    pub actions: Vec<Action>,
}

/// Repairs a directory that nobody else has open; with `apply` unset only says what it would do.
/// `progress` is told bytes done and bytes in all.
pub fn repair(
    disk: &dyn Disk,
    apply: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> io::Result<Repaired> {
    let found = check(disk, progress)?;
    let mut by_file: BTreeMap<String, Vec<Fault>> = BTreeMap::new();
    for fault in found.faults {
        by_file.entry(fault.file.clone()).or_default().push(fault);
    }
    let mut work = Work::new(disk, apply)?;
    // The manifest last: it names what the parts have become.
    let manifest_faults = by_file.remove(manifest::NAME);
    for (file, faults) in by_file {
        work.file(file, faults)?;
    }
    work.manifest(manifest_faults)?;
    Ok(work.done)
}

struct Work<'a> {
    disk: &'a dyn Disk,
    apply: bool,
    contents: Contents,
    next_part: u64,
    parts_changed: bool,
    done: Repaired,
}

impl<'a> Work<'a> {
    fn new(disk: &'a dyn Disk, apply: bool) -> io::Result<Self> {
        let files = disk.list()?;
        let on_disk: BTreeSet<u64> = files.iter().filter_map(|(n, _)| part::number(n)).collect();
        let mut contents = Contents::default();
        if files.iter().any(|(name, _)| name == manifest::NAME) {
            match manifest_edits(&load(disk, manifest::NAME)?) {
                Ok(edits) => edits.into_iter().for_each(|edit| contents.apply(edit)),
                // Its floor may be too high for what is lost of it: the whole log is replayed.
                Err((_, edits)) => {
                    for edit in edits {
                        contents
                            .metadata
                            .extend(edit.metadata.into_iter().map(|m| (m.family.clone(), m)));
                    }
                }
            }
        }
        let next_part = on_disk
            .iter()
            .chain(&contents.parts)
            .max()
            .map_or(1, |n| n + 1);
        contents.parts = on_disk;
        Ok(Self {
            disk,
            apply,
            contents,
            next_part,
            parts_changed: false,
            done: Repaired::default(),
        })
    }

    fn file(&mut self, file: String, mut faults: Vec<Fault>) -> io::Result<()> {
        if self.apply {
            self.disk.quarantine(&file, &reason(&faults))?;
        }
        let (what, kept) = if let Some(sequence) = part::number(&file) {
            let (what, kept, left) = self.part(sequence)?;
            if left.is_empty() {
                faults.iter_mut().for_each(|fault| fault.loss = None);
            } else {
                faults = left;
            }
            (what, kept)
        } else if let Some(segment) = wal::number(&file) {
            (
                "written anew without its bad records",
                self.segment(&file, segment)?,
            )
        } else if file == tombstones::NAME {
            let found = Tombstones::read(self.disk)?;
            if self.apply {
                found.tombstones.write(self.disk)?;
            }
            ("written anew with the deletes that check", 0)
        } else {
            ("left alone", 0)
        };
        self.done.actions.push(Action {
            file,
            what,
            kept,
            faults,
        });
        Ok(())
    }

    /// What becomes of a part, how many samples stay, and the faults that could not be mended.
    fn part(&mut self, sequence: u64) -> io::Result<(&'static str, u64, Vec<Fault>)> {
        let mended = Mended::new(self.disk, sequence)?;
        let mut checked = Checked::default();
        let state = check_part(&mended, sequence, &mut checked)?;
        let left = checked.faults;
        if left.is_empty() && mended.is_changed() {
            self.put_right(sequence, &mended)?;
            return Ok((
                "put right: the flipped bits are known",
                checked.samples,
                left,
            ));
        }
        self.parts_changed = true;
        self.contents.parts.remove(&sequence);
        let kept = match &state.part {
            Some(part) => self.rewrite(part, &state)?,
            None => 0,
        };
        if self.apply {
            self.disk.remove(&part::name(sequence))?;
            self.disk.sync_dir()?;
        }
        if kept > 0 {
            Ok(("written anew without its bad blocks", kept, left))
        } else {
            Ok(("set aside: nothing of it can be read", 0, left))
        }
    }

    /// Puts a mended part in the place of the damaged one.
    fn put_right(&self, sequence: u64, mended: &Mended<'_>) -> io::Result<()> {
        if !self.apply {
            return Ok(());
        }
        let (name, temporary) = (part::name(sequence), part::temporary(sequence));
        copy(&*mended.open(&name)?, u64::MAX, self.disk, &temporary)?;
        self.disk.rename(&temporary, &name)?;
        self.disk.sync_dir()
    }

    /// A part of the good blocks in the place of one with bad ones; samples in it.
    fn rewrite(&mut self, part: &Part, state: &PartState) -> io::Result<u64> {
        let footer = Footer {
            sequence: self.next_part,
            replaces: vec![part.footer.sequence],
            samples: 0,
            // A roll-up with holes is no short way to its samples: it is made anew.
            source: 0,
            ..part.footer.clone()
        };
        let mut writer = match self.apply {
            true => Some(PartWriter::create(self.disk, footer)?),
            false => None,
        };
        let mut kept = 0;
        each_series(part, state, &mut |labels, chunks| {
            kept += chunks
                .iter()
                .map(|(chunk, _)| chunk.count as u64)
                .sum::<u64>();
            match &mut writer {
                Some(writer) => writer.chunks(labels, chunks),
                None => Ok(()),
            }
        })?;
        if let Some(writer) = writer {
            if writer.is_empty() {
                self.disk.remove(&part::temporary(self.next_part))?;
            } else {
                writer.finish(self.disk)?;
                self.disk.sync_dir()?;
                self.contents.parts.insert(self.next_part);
            }
        }
        self.next_part += 1;
        Ok(kept)
    }

    /// A segment of the good records in the place of one with bad ones; samples in it.
    fn segment(&mut self, file: &str, segment: u64) -> io::Result<u64> {
        let bytes = load(self.disk, file)?;
        let mut good = wal::MAGIC.to_vec();
        put_frame(&mut good, |out| put_u64(out, segment));
        let (mut known, mut kept) = (BTreeSet::new(), 0);
        scan(&bytes, segment, &mut |_, item| {
            if let Item::Batch(record, frame) = item {
                known.extend(record.series.iter().map(|(id, _)| *id));
                kept += put_known(&mut good, record, frame, &known);
            }
        });
        if self.apply {
            let temporary = format!("{file}.tmp");
            let written = self.disk.create(&temporary)?;
            written.append(&good)?;
            written.sync()?;
            self.disk.rename(&temporary, file)?;
            self.disk.sync_dir()?;
        }
        Ok(kept)
    }

    fn manifest(&mut self, faults: Option<Vec<Fault>>) -> io::Result<()> {
        if let Some(faults) = &faults
            && self.apply
            && self.disk.open(manifest::NAME).is_ok()
        {
            self.disk.quarantine(manifest::NAME, &reason(faults))?;
        }
        if self.apply && (faults.is_some() || self.parts_changed) {
            Manifest::create(self.disk, self.contents.clone())?;
        }
        self.done.actions.extend(faults.map(|faults| Action {
            file: manifest::NAME.into(),
            what: "built anew from the parts",
            kept: 0,
            faults,
        }));
        Ok(())
    }
}

/// Takes the good blocks of one series.
type TakesBlocks<'a> = &'a mut dyn FnMut(&Labels, Vec<(Chunk, Summary)>) -> io::Result<()>;

/// Gives each series' good blocks, as they are coded.
fn each_series(part: &Part, state: &PartState, each: TakesBlocks<'_>) -> io::Result<()> {
    let corrupt = |error: PartError| match error {
        PartError::Io(error) => error,
        PartError::Corrupt(what) => io::Error::new(io::ErrorKind::InvalidData, what),
    };
    let index = part.index().map_err(corrupt)?;
    for series in 0..index.series_count() {
        let (Some(labels), Some(blocks)) = (index.labels(series), index.blocks(series)) else {
            continue;
        };
        let mut good = Vec::new();
        for (number, block) in blocks.iter().enumerate() {
            if !state.bad.contains(&(series, number)) {
                good.push((part.chunk(block).map_err(corrupt)?, block.summary));
            }
        }
        if !good.is_empty() {
            each(&labels, good)?;
        }
    }
    Ok(())
}

/// Appends a record's frame, less the samples whose series is not known; samples in it.
fn put_known(out: &mut Vec<u8>, mut record: Incoming, frame: &[u8], known: &BTreeSet<u32>) -> u64 {
    let before = record.floats.len() + record.histograms.len();
    record.floats.retain(|(id, ..)| known.contains(id));
    record.histograms.retain(|(id, ..)| known.contains(id));
    let after = record.floats.len() + record.histograms.len();
    if after == before {
        out.extend_from_slice(frame);
    } else {
        let outgoing = Outgoing {
            series: record.series.iter().map(|(id, l)| (*id, l)).collect(),
            metadata: record.metadata.iter().collect(),
            floats: record.floats,
            histograms: record.histograms,
        };
        put_frame(out, |out| outgoing.encode(out));
    }
    after as u64
}

/// The text beside a file in quarantine.
fn reason(faults: &[Fault]) -> String {
    let mut text = String::new();
    for fault in faults {
        text.push_str(&format!(
            "{} at byte {}: {}\n",
            fault.file, fault.at, fault.what
        ));
    }
    text
}
