//! Opening: which parts are live, and the log replayed into memory.
//!
//! Damage never stops an opening: a log's tail is cut off, a part is set aside, a MANIFEST is
//! rebuilt from the parts, each counted and logged. Nor does a full disk: what cannot be written
//! is left for later and the store opens to read.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use model::{Metadata, Value};

use crate::{
    carry::{CARRIED, Carried, Meanings},
    config::Config,
    disk::{Disk, WriteFile, is_full},
    exemplars::Exemplars,
    head::Head,
    log::FRAME_HEAD,
    manifest::{self, Contents, Manifest},
    part::{
        self,
        reader::{Part, PartError},
    },
    record::Incoming,
    registry::{NONE, Registry},
    stats::{Counters, count},
    store::OpenError,
    wal,
};

/// An error of opening, with what was tried.
pub(crate) fn cannot(operation: impl Into<String>) -> impl FnOnce(io::Error) -> OpenError {
    let operation = operation.into();
    |source| OpenError::Io { operation, source }
}

/// Stands for a log segment or a manifest that could not be created on a full disk.
#[derive(Debug)]
pub(crate) struct NoFile;

impl WriteFile for NoFile {
    fn append(&self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

/// What a full disk leaves undone at opening is left for later; other errors are errors.
pub(crate) fn unless_full<T>(
    result: io::Result<T>,
    operation: &str,
) -> Result<Option<T>, OpenError> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if is_full(&error) => Ok(None),
        Err(error) => Err(cannot(operation)(error)),
    }
}

/// The parts found at opening.
pub(crate) struct Found {
    pub(crate) contents: Contents,
    /// Those that check, in order of rank.
    pub(crate) parts: Vec<Arc<Part>>,
    pub(crate) next_part: u64,
}

/// What opening goes on with.
pub(crate) struct Settled {
    pub(crate) manifest: Manifest,
    pub(crate) parts: Vec<Arc<Part>>,
    /// The disk was too full to write the manifest.
    pub(crate) full: bool,
}

impl Found {
    pub(crate) fn new(
        disk: &dyn Disk,
        files: &[(String, u64)],
        counters: &Counters,
    ) -> Result<Self, OpenError> {
        let on_disk: BTreeSet<u64> = files.iter().filter_map(|(n, _)| part::number(n)).collect();
        let mut parts = open_all(disk, &on_disk, counters)?;
        let manifest = read_manifest(disk, files, &on_disk, counters)?;
        let on_record = |contents: &Contents| unfinished(&parts, contents, files);
        let unfinished = manifest.as_ref().map(on_record).unwrap_or_default();
        parts.retain(|p| !unfinished.contains(&p.footer.sequence));
        let replaced = replaced_by(parts.iter());
        parts.retain(|p| !replaced.contains(&p.footer.sequence));
        let mut contents = manifest.unwrap_or_default();
        let last = on_disk.iter().chain(&contents.parts).max();
        let next_part = last.map_or(1, |last| last + 1);
        for sequence in contents
            .parts
            .difference(&on_disk)
            .filter(|s| !replaced.contains(s))
        {
            tracing::error!(file = part::name(*sequence), "a part is missing");
            count(&counters.parts_quarantined, 1);
        }
        // Of a part that the manifest does not name, and that is not known to be unfinished, the
        // edit was lost: what it holds may be nowhere else.
        contents.parts.extend(on_disk.difference(&unfinished));
        contents
            .parts
            .retain(|sequence| !replaced.contains(sequence));
        Ok(Self {
            contents,
            parts,
            next_part,
        })
    }

    /// Writes the manifest anew and removes what is no longer needed.
    pub(crate) fn settle(
        self,
        disk: &dyn Disk,
        files: &[(String, u64)],
    ) -> Result<Settled, OpenError> {
        let created = Manifest::create(disk, self.contents.clone());
        let manifest = unless_full(created, "write the MANIFEST")?;
        let full = manifest.is_none();
        let live = &self.contents.parts;
        let leftover = |name: &str| {
            name.ends_with(".tmp")
                || part::number(name).is_some_and(|n| !live.contains(&n))
                || wal::number(name).is_some_and(|n| n < self.contents.wal_floor)
        };
        for (name, _) in files.iter().filter(|(name, _)| !full && leftover(name)) {
            match disk.remove(name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(file = name, %error, "a leftover file could not be removed");
                }
                _ => {}
            }
        }
        let manifest =
            manifest.unwrap_or_else(|| Manifest::broken(Arc::new(NoFile), self.contents));
        Ok(Settled {
            manifest,
            parts: self.parts,
            full,
        })
    }
}

/// What these parts were merged from.
fn replaced_by<'a>(parts: impl Iterator<Item = &'a Arc<Part>>) -> BTreeSet<u64> {
    let replaces = parts.flat_map(|p| p.footer.replaces.iter().copied());
    replaces.collect()
}

/// Parts of steps that were not finished: a manifest that checks does not name them, and it has
/// not lost its end: what it names is there, and so is the log from where it says. They must not
/// be used: of a flush whose log was in doubt, only some of a batch may have got into parts, and
/// a merge that was tried again has a second result.
pub(crate) fn unfinished(
    parts: &[Arc<Part>],
    contents: &Contents,
    files: &[(String, u64)],
) -> BTreeSet<u64> {
    let is_named = |p: &&Arc<Part>| contents.parts.contains(&p.footer.sequence);
    let number = |p: &Arc<Part>| p.footer.sequence;
    let named: BTreeSet<u64> = parts.iter().filter(is_named).map(number).collect();
    let replaced = replaced_by(parts.iter().filter(is_named));
    let segments: BTreeSet<u64> = files.iter().filter_map(|(n, _)| wal::number(n)).collect();
    // What is not named any more was given up by a step that counts.
    let accounted =
        |n: &u64| named.contains(n) || replaced.contains(n) || !contents.parts.contains(n);
    let is_elsewhere = |part: &&Arc<Part>| {
        let footer = &part.footer;
        let made_of = footer
            .replaces
            .iter()
            .chain(footer.is_rollup().then_some(&footer.source));
        let mut of_log = contents.wal_floor..footer.wal_floor;
        of_log.all(|n| segments.contains(&n)) && made_of.into_iter().all(accounted)
    };
    let unnamed = parts.iter().filter(|p| !is_named(p));
    unnamed.filter(is_elsewhere).map(number).collect()
}

/// Opens parts; those that do not check are set aside, their files kept.
fn open_all(
    disk: &dyn Disk,
    wanted: &BTreeSet<u64>,
    counters: &Counters,
) -> Result<Vec<Arc<Part>>, OpenError> {
    let mut parts = Vec::new();
    for sequence in wanted {
        let place = match Part::open(disk, *sequence) {
            Ok(part) => {
                parts.push(Arc::new(part));
                continue;
            }
            Err(PartError::Corrupt(place)) => place,
            Err(PartError::Io(error)) => {
                return Err(cannot(format!("read {}", part::name(*sequence)))(error));
            }
        };
        tracing::error!(
            place,
            "a part does not check and is set aside; the rest is served"
        );
        count(&counters.parts_quarantined, 1);
    }
    parts.sort_by_key(|p| p.footer.rank);
    Ok(parts)
}

/// What the manifest says. One that does not check says nothing: the parts speak for themselves,
/// and the log is replayed as far as it is there.
fn read_manifest(
    disk: &dyn Disk,
    files: &[(String, u64)],
    on_disk: &BTreeSet<u64>,
    counters: &Counters,
) -> Result<Option<Contents>, OpenError> {
    let there = files.iter().any(|(n, _)| n == manifest::NAME);
    let contents = if there {
        Contents::read(disk).map_err(cannot("read the MANIFEST"))?
    } else {
        None
    };
    if contents.is_none() && (there || !on_disk.is_empty()) {
        tracing::warn!("the MANIFEST does not check and is rebuilt from the parts");
        count(&counters.manifest_rebuilt, 1);
    }
    Ok(contents)
}

/// What is rebuilt from the log.
pub(crate) struct Replay {
    pub(crate) chunk_samples: usize,
    pub(crate) counters: Counters,
    pub(crate) registry: Registry,
    pub(crate) head: Head,
    pub(crate) metadata: BTreeMap<String, Metadata>,
    pub(crate) exemplars: Exemplars,
    pub(crate) samples: u64,
    /// Bytes of log read, and of them those of carried series.
    pub(crate) bytes: u64,
    pub(crate) carried_bytes: u64,
    pub(crate) newest_ms: i64,
}

impl Replay {
    pub(crate) fn new(config: &Config, counters: Counters) -> Self {
        Self {
            chunk_samples: config.chunk_samples,
            exemplars: Exemplars::new(config.exemplars),
            counters,
            registry: Registry::new(),
            head: Head::default(),
            metadata: BTreeMap::new(),
            samples: 0,
            bytes: 0,
            carried_bytes: 0,
            newest_ms: i64::MIN,
        }
    }

    pub(crate) fn segment(&mut self, disk: &dyn Disk, segment: u64) -> Result<(), OpenError> {
        let (mut carried, mut series) = (Carried::default(), Meanings::default());
        let mut carried_bytes = 0;
        let mut apply = |payload: &[u8]| {
            if payload.first() == Some(&CARRIED) {
                carried.restore(payload, &mut self.registry, &mut series)?;
                carried_bytes += (payload.len() + FRAME_HEAD) as u64;
                return Some(());
            }
            self.record(Incoming::decode(payload)?, &mut series)
        };
        let replayed = wal::replay(disk, segment, &mut apply)
            .map_err(cannot(format!("replay {}", wal::name(segment))))?;
        self.bytes += replayed.bytes;
        self.carried_bytes += carried_bytes;
        if replayed.truncated_bytes > 0 {
            count(&self.counters.wal_truncated, 1);
            count(&self.counters.wal_truncated_bytes, replayed.truncated_bytes);
        }
        Ok(())
    }

    fn record(&mut self, record: Incoming, series: &mut Meanings) -> Option<()> {
        for (id, labels) in record.series.iter().filter(|(_, l)| !l.is_empty()) {
            let today = match self.registry.find(labels, NONE) {
                NONE => self.registry.add(labels),
                known => known,
            };
            series.note(*id, today)?;
        }
        self.exemplars.replay(record.exemplars);
        for metadata in record.metadata {
            self.metadata.insert(metadata.family.clone(), metadata);
        }
        let floats = record
            .floats
            .into_iter()
            .map(|(id, t, v)| (id, t, Value::Float(v)));
        let histograms = record
            .histograms
            .into_iter()
            .map(|(id, t, h)| (id, t, Value::Histogram(h)));
        let (mut skipped, mut samples, mut newest) = (0, 0, self.newest_ms);
        let known = floats.chain(histograms).filter_map(|(id, time_ms, value)| {
            let Some(id) = series.get(id) else {
                skipped += 1;
                return None;
            };
            samples += 1;
            newest = newest.max(time_ms);
            Some((id, time_ms, value))
        });
        self.head.append(known, self.chunk_samples, 0);
        count(&self.counters.wal_skipped, skipped);
        self.samples += samples;
        self.newest_ms = newest;
        Some(())
    }
}
