//! The archive: a second directory, on a slower or cheaper disk, that whole old days move to.
//!
//! Both directories are one [`Disk`] to the rest of the engine: what is not in the near one is
//! read from the far one, by the same code. Only finished parts move, a copy first: written under
//! another name, synced, read back and compared, renamed, its directory synced; then the near one
//! is removed. A crash at any step leaves one of them whole, or both, which are the same.
//!
//! Each directory has a record, `ARCHIVE` (`docs/formats/archive.md`), with a number they share:
//! a disk that is not mounted, or another store's folder, is told from the archive, and a store
//! whose archive is missing does not open. It would look as if the days in it had never been.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, RandomState},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    compact::{MaintainError, Pace},
    disk::{Disk, ReadFile, RealDisk, Taken, WriteFile},
    log::{Frames, Next, put_frame},
    part::{
        self, DAY_LEVEL,
        reader::{Part, PartError},
    },
    recover::cannot,
    rollup::before,
    stats::count,
    store::{Core, OpenError, lock},
    varint::{Reader, put_bytes},
};

/// File name of the record, in both directories.
pub(crate) const NAME: &str = "ARCHIVE";
const TEMPORARY: &str = "ARCHIVE.tmp";
/// First bytes of it; the last one is the version.
const MAGIC: &[u8; 8] = b"AUSEARC\x01";
/// End of the name of a copy that is not finished.
const COPY: &str = ".copy.tmp";
/// Bytes copied at a time.
const COPY_BYTES: u64 = 1 << 20;

/// Which archive belongs to which store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    id: u64,
    /// Where the archive is; empty in the archive itself.
    path: String,
}

impl Record {
    /// The record of a directory; `None` if it has none.
    pub(crate) fn read(disk: &dyn Disk) -> io::Result<Option<Self>> {
        let file = match disk.open(NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let payload = match Frames::open(file, MAGIC)? {
            Some(mut frames) => match frames.next()? {
                Next::Payload(payload) => Self::decode(payload),
                Next::End | Next::Damage => None,
            },
            None => None,
        };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "ARCHIVE does not check");
        payload.map(Some).ok_or_else(damaged)
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let id = u64::from_le_bytes(*reader.take(8)?.first_chunk()?);
        let path = String::from_utf8(reader.bytes()?.to_vec()).ok()?;
        reader.is_empty().then_some(Self { id, path })
    }

    fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        put_frame(&mut bytes, |out| {
            out.extend_from_slice(&self.id.to_le_bytes());
            put_bytes(out, self.path.as_bytes());
        });
        let file = disk.create(TEMPORARY)?;
        file.append(&bytes)?;
        file.sync()?;
        disk.rename(TEMPORARY, NAME)?;
        disk.sync_dir()
    }

    pub(crate) fn path(&self) -> &Path {
        Path::new(&self.path)
    }

    /// Whether `far` is the archive that this record of a store means.
    pub(crate) fn expect(&self, far: &dyn Disk) -> io::Result<()> {
        match Self::read(far)? {
            Some(other) if other.id == self.id => Ok(()),
            Some(_) => Err(not_it("it belongs to another store")),
            None => Err(not_it(
                "it has no ARCHIVE record: is its disk mounted there?",
            )),
        }
    }
}

fn not_it(why: &str) -> io::Error {
    let what = format!("the folder is not the archive of this store: {why}");
    io::Error::new(io::ErrorKind::NotFound, what)
}

/// A store's directory with an archive behind it.
#[derive(Debug)]
pub struct Tiered {
    near: Arc<dyn Disk>,
    far: Arc<dyn Disk>,
    /// Files of the archive with their sizes: it may be slow to ask.
    held: Mutex<BTreeMap<String, u64>>,
    /// Those of them that are not near, too.
    only: Mutex<BTreeSet<String>>,
    /// Something was removed from the archive since its directory was synced.
    removed: AtomicBool,
}

impl Tiered {
    /// Puts the archive `far`, which is at `path`, behind `near`. The first time both get a
    /// record; later they must be each other's.
    pub fn new(near: Arc<dyn Disk>, far: Arc<dyn Disk>, path: &str) -> io::Result<Self> {
        let known = Record::read(&*near)?;
        let held = files_of(&*far)?;
        let id = match &known {
            Some(record) => {
                record.expect(&*far)?;
                record.id
            }
            None => {
                let taken = held.keys().any(|name| part::number(name).is_some());
                if taken {
                    return Err(not_it("it holds parts, and this store has no archive"));
                }
                let id = RandomState::new().hash_one(path);
                let path = String::new();
                Record { id, path }.write(&*far)?;
                id
            }
        };
        let record = Record {
            id,
            path: path.into(),
        };
        if known.as_ref() != Some(&record) {
            record.write(&*near)?;
        }
        let beside: BTreeSet<String> = near.list()?.into_iter().map(|(name, _)| name).collect();
        let only = held.keys().filter(|name| !beside.contains(*name));
        Ok(Self {
            only: Mutex::new(only.cloned().collect()),
            held: Mutex::new(held),
            near,
            far,
            removed: AtomicBool::new(false),
        })
    }

    fn copy(&self, name: &str, told: &mut dyn FnMut(u64)) -> io::Result<u64> {
        let from = self.near.open(name)?;
        let temporary = format!("{name}{COPY}");
        let written = self.far.create(&temporary)?;
        let wanted = each_piece(&*from, &mut |at, piece| {
            written.append(piece)?;
            told(at);
            Ok(())
        })?;
        written.sync()?;
        let copy = self.far.open(&temporary)?;
        let found = each_piece(&*copy, &mut |_, _| Ok(()))?;
        if (copy.bytes(), found) != (from.bytes(), wanted) {
            let what = format!("the copy of {name} is not what was written");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.far.rename(&temporary, name)?;
        self.far.sync_dir()?;
        Ok(from.bytes())
    }

    fn is_held(&self, name: &str) -> bool {
        lock(&self.held).contains_key(name)
    }
}

/// Files of an archive that are the engine's.
fn files_of(far: &dyn Disk) -> io::Result<BTreeMap<String, u64>> {
    let mut files: BTreeMap<String, u64> = far.list()?.into_iter().collect();
    files.retain(|name, _| part::number(name).is_some() || name.ends_with(COPY));
    Ok(files)
}

/// Reads a file from front to back: its CRC-32C. `each` gets where a piece ends, and the piece.
fn each_piece(
    file: &dyn ReadFile,
    each: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<u32> {
    let (mut at, mut check, mut buffer) = (0, 0, Vec::new());
    while at < file.bytes() {
        buffer.resize((file.bytes() - at).min(COPY_BYTES) as usize, 0);
        file.read_at(at, &mut buffer)?;
        at += buffer.len() as u64;
        check = crc32c::crc32c_append(check, &buffer);
        each(at, &buffer)?;
    }
    Ok(check)
}

impl Disk for Tiered {
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.near.free_bytes()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn WriteFile>> {
        self.near.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        match self.near.open(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_held(name) => {
                self.far.open(name)
            }
            opened => opened,
        }
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.near.truncate(name, bytes)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.near.rename(from, to)?;
        lock(&self.only).remove(to);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let near = if lock(&self.only).contains(name) {
            Ok(())
        } else {
            self.near.remove(name)
        };
        if !self.is_held(name) {
            return near;
        }
        self.far.remove(name)?;
        self.removed.store(true, Relaxed);
        lock(&self.held).remove(name);
        lock(&self.only).remove(name);
        near
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = lock(&self.held).clone();
        files.extend(self.near.list()?);
        files.remove(NAME);
        Ok(files.into_iter().collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.near.sync_dir()?;
        if self.removed.swap(false, Relaxed) {
            self.far
                .sync_dir()
                .inspect_err(|_| self.removed.store(true, Relaxed))?;
        }
        Ok(())
    }

    /// With the parts of the archive copied: a snapshot is whole by itself.
    fn snapshot(&self, name: &str, files: &[Taken<'_>]) -> io::Result<()> {
        let taken = files.iter().map(|file| match file {
            Taken::Link(name) | Taken::Copy(name, _) if self.is_archived(name) => {
                Ok(Taken::From(name, self.far.open(name)?))
            }
            other => Ok(other.clone()),
        });
        self.near
            .snapshot(name, &taken.collect::<io::Result<Vec<_>>>()?)
    }

    fn quarantine(&self, name: &str, reason: &str) -> io::Result<()> {
        if self.is_archived(name) {
            self.far.quarantine(name, reason)
        } else {
            self.near.quarantine(name, reason)
        }
    }

    fn copy_to_archive(&self, name: &str, told: &mut dyn FnMut(u64)) -> io::Result<()> {
        match self.copy(name, told) {
            Ok(bytes) => {
                lock(&self.held).insert(name.into(), bytes);
                Ok(())
            }
            Err(error) => {
                drop(self.far.remove(&format!("{name}{COPY}")));
                Err(error)
            }
        }
    }

    fn leave_to_archive(&self, name: &str) -> io::Result<()> {
        if !self.is_held(name) {
            return Err(not_it("the file was not copied"));
        }
        self.near.remove(name)?;
        lock(&self.only).insert(name.into());
        self.near.sync_dir()
    }

    fn is_archived(&self, name: &str) -> bool {
        lock(&self.only).contains(name)
    }
}

/// Opens a store's directory to be changed, locked, with its archive if it has one. `configured`
/// is where the archive is to be; without it, where it was.
pub(crate) fn open(dir: &Path, configured: Option<&Path>) -> Result<Arc<dyn Disk>, OpenError> {
    let near =
        RealDisk::new(dir).map_err(cannot(format!("open the directory {}", dir.display())))?;
    let operation = format!("read {} in {}", NAME, dir.display());
    let known = Record::read(&near).map_err(cannot(operation))?;
    let path: PathBuf = match (configured, &known) {
        (Some(path), _) => std::path::absolute(path).map_err(cannot("name the archive"))?,
        (None, Some(record)) => record.path().to_owned(),
        (None, None) => return Ok(Arc::new(near)),
    };
    let operation = || format!("use the archive {}", path.display());
    if known.is_some() && !path.is_dir() {
        return Err(cannot(operation())(not_it("there is none")));
    }
    let far = RealDisk::new(&path).map_err(cannot(operation()))?;
    let text = path.to_string_lossy();
    let tiered = Tiered::new(Arc::new(near), Arc::new(far), &text);
    Ok(Arc::new(tiered.map_err(cannot(operation()))?))
}

/// Opens a store's directory to be changed by a tool, with the archive it had last.
pub fn open_directory(dir: &Path) -> Result<Arc<dyn Disk>, OpenError> {
    open(dir, None)
}

/// The files of the archive that a store's record names, open, for one who only reads.
pub(crate) fn read(record: &Record) -> io::Result<Vec<(String, Arc<dyn ReadFile>)>> {
    let far = RealDisk::unlocked(record.path());
    record.expect(&far)?;
    let parts = files_of(&far)?.into_keys();
    parts
        .filter(|name| part::number(name).is_some())
        .map(|name| Ok((name.clone(), far.open(&name)?)))
        .collect()
}

/// Time between attempts after a move failed: its disk may be full, or gone for a while.
const RETRY_EVERY: Duration = Duration::from_secs(60);

impl Core {
    /// Whether a part is in the archive alone.
    pub(crate) fn is_archived(&self, part: &Part) -> bool {
        self.disk.is_archived(&part::name(part.footer.sequence))
    }

    /// Moves the oldest day that is old enough to the archive; whether there was one.
    pub(crate) fn archive_once(&self, pace: Pace) -> Result<bool, MaintainError> {
        let Some(after) = self.config.archive_after else {
            return Ok(false);
        };
        let now = self.clock.monotonic();
        if lock(&self.upkeep)
            .next_archive
            .is_some_and(|next| now < next)
        {
            return Ok(false);
        }
        let _no_merge = lock(&self.merging);
        let view = Arc::clone(&lock(&self.view));
        let horizon = before(self.latest_ms(), after);
        let is_due = |part: &&Arc<Part>| {
            let footer = &part.footer;
            footer.level == DAY_LEVEL && footer.to_ms < horizon && !self.is_archived(part)
        };
        let due = view.parts.iter().filter(is_due);
        let Some(part) = due.min_by_key(|part| part.footer.day) else {
            return Ok(false);
        };
        let moved = self.archive_part(part, pace);
        lock(&self.upkeep).next_archive = moved.is_err().then(|| now + RETRY_EVERY);
        if moved.is_err() {
            count(&self.counters.archive_failed, 1);
        }
        moved.map(|()| true).map_err(|source| MaintainError::Io {
            operation: format!("move {} to the archive", part::name(part.footer.sequence)),
            source,
        })
    }

    fn archive_part(&self, part: &Part, pace: Pace) -> io::Result<()> {
        let name = part::name(part.footer.sequence);
        let begun = self.clock.monotonic();
        self.disk.copy_to_archive(&name, &mut |bytes| {
            if pace == Pace::Limited {
                self.hold_back(begun, bytes);
            }
        })?;
        // Retention may have been faster; from here on it waits.
        let upkeep = lock(&self.upkeep);
        if !upkeep
            .manifest
            .contents
            .parts
            .contains(&part.footer.sequence)
        {
            return match self.disk.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let left = self.disk.leave_to_archive(&name);
        if self.disk.is_archived(&name) {
            let moved = Part::open(&*self.disk, part.footer.sequence);
            let moved = moved.map_err(|error| match error {
                PartError::Io(error) => error,
                PartError::Corrupt(what) => io::Error::new(io::ErrorKind::InvalidData, what),
            })?;
            self.install(vec![Arc::new(moved)], &[part.footer.sequence], None);
            tracing::info!(
                day = part.footer.day,
                bytes = part.bytes(),
                "a day moved to the archive"
            );
        }
        left
    }
}
