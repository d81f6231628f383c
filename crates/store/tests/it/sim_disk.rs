//! A disk in memory that forgets what was not synced, tears writes, runs full and fails.
//!
//! The harshest file system that keeps POSIX's word: after a crash a file holds what was synced
//! and any prefix of what was appended since, cut anywhere, its last bytes perhaps garbage and
//! any of its blocks perhaps never written; and of the directory's changes since its last sync
//! any subset, each whole. A sync that failed has lost what it was to write: a later one of the
//! same file succeeds and brings nothing back, as Linux does it.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use store::{Disk, ReadFile, Taken, WriteFile};

/// SplitMix64: a seed gives the same faults every time.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

type FileId = u64;

#[derive(Debug, Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    /// What survives for sure.
    synced: Vec<u8>,
    /// A sync failed: later ones say yes and do nothing.
    forgotten: bool,
}

/// A change of the directory that is not synced yet.
#[derive(Debug, Clone)]
enum Change {
    Link(String, FileId),
    Unlink(String),
    Rename(String, String, FileId),
}

#[derive(Debug, Default)]
struct State {
    inodes: BTreeMap<FileId, Inode>,
    names: BTreeMap<String, FileId>,
    synced_names: BTreeMap<String, FileId>,
    changes: Vec<Change>,
    next: FileId,
    faults: Faults,
    /// Snapshots by name.
    snapshots: BTreeMap<String, SimDisk>,
    /// Files put in quarantine, with the reason.
    quarantine: Vec<(String, String, Vec<u8>)>,
    /// Operations that change something, since the start.
    operations: u64,
}

/// What goes wrong, and when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// Bytes of all files together; 0 for no limit.
    pub(crate) capacity: u64,
    /// The power goes at this operation: it and all later ones fail.
    pub(crate) crash_at: Option<u64>,
    /// This operation fails once with an I/O error.
    pub(crate) fail_at: Option<u64>,
    /// Directory syncs do nothing: what a missing one would mean.
    pub(crate) ignore_dir_sync: bool,
    /// File syncs do nothing: what a missing one would mean.
    pub(crate) ignore_sync: bool,
    /// A bit of everything that is written is another one, and nobody says so.
    pub(crate) rot: bool,
    /// Operations fail now and then.
    pub(crate) errors: Option<Errors>,
}

/// Errors at random.
#[derive(Debug, Clone)]
pub(crate) struct Errors {
    pub(crate) random: Random,
    /// Of a hundred changes of the disk, so many fail with an I/O error or for want of space.
    pub(crate) changes_percent: u64,
    /// Of a hundred reads, so many fail or end too early.
    pub(crate) reads_percent: u64,
}

impl Errors {
    fn change(&mut self) -> io::Result<()> {
        if !self.random.chance(self.changes_percent) {
            return Ok(());
        }
        Err(match self.random.below(3) {
            0 => io::ErrorKind::StorageFull.into(),
            _ => io::Error::other("an I/O error"),
        })
    }

    fn read(&mut self) -> io::Result<()> {
        if !self.random.chance(self.reads_percent) {
            return Ok(());
        }
        Err(match self.random.below(2) {
            0 => io::ErrorKind::UnexpectedEof.into(),
            _ => io::Error::other("a read error"),
        })
    }
}

/// What a disk writes at once.
const BLOCK_BYTES: usize = 512;

#[derive(Debug, Clone, Default)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    pub(crate) fn set(&self, faults: Faults) {
        self.0.lock().unwrap().faults = faults;
    }

    pub(crate) fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    fn bytes(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        let file = self.open(name)?;
        let mut bytes = vec![0; file.bytes().min(most) as usize];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn used(&self) -> u64 {
        self.0.lock().unwrap().used()
    }

    /// The disk as it is found after the power went.
    pub(crate) fn crashed(&self, random: &mut Random) -> Self {
        let state = self.0.lock().unwrap();
        let mut names = state.synced_names.clone();
        for change in &state.changes {
            if random.chance(50) {
                continue;
            }
            match change {
                Change::Link(name, id) => {
                    names.insert(name.clone(), *id);
                }
                Change::Unlink(name) => {
                    names.remove(name);
                }
                Change::Rename(from, to, id) => {
                    names.remove(from);
                    names.insert(to.clone(), *id);
                }
            }
        }
        let mut inodes = state.inodes.clone();
        for inode in inodes.values_mut() {
            inode.lose(random);
        }
        let next = state.next;
        let synced_names = names.clone();
        let after = State {
            inodes,
            names,
            synced_names,
            next,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(after)))
    }

    /// Changes one file's bytes, behind the store's back.
    pub(crate) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock().unwrap();
        let id = state.names[name];
        let inode = state.inodes.get_mut(&id).unwrap();
        change(&mut inode.bytes);
        inode.synced = inode.bytes.clone();
    }

    /// A copy that shares nothing.
    pub(crate) fn copy(&self) -> Self {
        let state = self.0.lock().unwrap();
        let copy = State {
            inodes: state.inodes.clone(),
            names: state.names.clone(),
            synced_names: state.synced_names.clone(),
            next: state.next,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(copy)))
    }

    /// A snapshot made before.
    pub(crate) fn snapshot_of(&self, name: &str) -> Self {
        self.0.lock().unwrap().snapshots[name].copy()
    }

    /// What was put in quarantine: name, reason, bytes.
    pub(crate) fn quarantined(&self) -> Vec<(String, String, Vec<u8>)> {
        self.0.lock().unwrap().quarantine.clone()
    }

    pub(crate) fn names(&self) -> Vec<(String, u64)> {
        self.list().unwrap()
    }
}

impl Inode {
    /// Keeps the synced bytes and some of the rest.
    fn lose(&mut self, random: &mut Random) {
        if self.bytes.len() > self.synced.len() {
            let extra = (self.bytes.len() - self.synced.len()) as u64;
            let kept = match random.below(3) {
                0 => 0,
                1 => extra,
                _ => random.below(extra + 1),
            };
            self.bytes.truncate(self.synced.len() + kept as usize);
            if random.chance(20) {
                self.lose_blocks(random);
            }
            // A torn sector: the length arrived, the bytes did not.
            if kept > 0 && random.chance(30) {
                let torn = (random.below(kept.min(64)) + 1) as usize;
                let start = self.bytes.len() - torn;
                let zeros = random.chance(50);
                for byte in &mut self.bytes[start..] {
                    *byte = if zeros { 0 } else { random.next() as u8 };
                }
            }
        } else {
            self.bytes = self.synced.clone();
        }
        self.synced = self.bytes.clone();
    }

    /// Blocks written out of order: some of those not synced never came.
    fn lose_blocks(&mut self, random: &mut Random) {
        let mut from = self.synced.len();
        while from < self.bytes.len() {
            let end = ((from / BLOCK_BYTES + 1) * BLOCK_BYTES).min(self.bytes.len());
            if random.chance(30) {
                self.bytes[from..end].fill(0);
            }
            from = end;
        }
    }
}

impl State {
    fn used(&self) -> u64 {
        self.names
            .values()
            .map(|id| self.inodes[id].bytes.len() as u64)
            .sum()
    }

    /// Counts an operation, and fails it if it is one that is to fail.
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.faults.crash_at.is_some_and(|at| self.operations >= at) {
            return Err(io::Error::other("the power is gone"));
        }
        if self.faults.fail_at == Some(self.operations) {
            return Err(io::Error::other("an I/O error"));
        }
        self.faults.errors.as_mut().map_or(Ok(()), Errors::change)
    }

    fn id(&self, name: &str) -> io::Result<FileId> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for SimDisk {
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let state = self.0.lock().unwrap();
        let capacity = Some(state.faults.capacity).filter(|bytes| *bytes > 0);
        Ok(capacity.map(|bytes| bytes.saturating_sub(state.used())))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn WriteFile>> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        let id = state.next;
        state.next += 1;
        state.inodes.insert(id, Inode::default());
        state.names.insert(name.into(), id);
        state.changes.push(Change::Link(name.into(), id));
        Ok(Arc::new(Writing {
            disk: self.clone(),
            id,
        }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        let state = self.0.lock().unwrap();
        let id = state.id(name)?;
        Ok(Arc::new(Reading {
            disk: self.clone(),
            id,
            bytes: state.inodes[&id].bytes.len(),
        }))
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        let id = state.id(name)?;
        let inode = state.inodes.get_mut(&id).unwrap();
        inode.bytes.truncate(bytes as usize);
        inode.synced = inode.bytes.clone();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        let id = state.id(from)?;
        state.names.remove(from);
        state.names.insert(to.into(), id);
        state
            .changes
            .push(Change::Rename(from.into(), to.into(), id));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        state.id(name)?;
        state.names.remove(name);
        state.changes.push(Change::Unlink(name.into()));
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = self.0.lock().unwrap();
        let size = |id: &FileId| state.inodes[id].bytes.len() as u64;
        Ok(state
            .names
            .iter()
            .map(|(name, id)| (name.clone(), size(id)))
            .collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        if !state.faults.ignore_dir_sync {
            state.synced_names = state.names.clone();
            state.changes.clear();
        }
        Ok(())
    }

    fn snapshot(&self, name: &str, files: &[Taken<'_>]) -> io::Result<()> {
        self.0.lock().unwrap().step()?;
        let taken = Self::default();
        for file in files {
            let (name, bytes) = match file {
                Taken::Link(name) => (name, self.bytes(name, u64::MAX)?),
                Taken::Copy(name, most) => (name, self.bytes(name, *most)?),
                Taken::Bytes(name, bytes) => (name, bytes.clone()),
                Taken::From(name, file) => {
                    let mut bytes = vec![0; file.bytes() as usize];
                    file.read_at(0, &mut bytes)?;
                    (name, bytes)
                }
            };
            let file = taken.create(name)?;
            file.append(&bytes)?;
            file.sync()?;
        }
        taken.sync_dir()?;
        self.0.lock().unwrap().snapshots.insert(name.into(), taken);
        Ok(())
    }

    fn quarantine(&self, name: &str, reason: &str) -> io::Result<()> {
        let bytes = self.bytes(name, u64::MAX)?;
        let mut state = self.0.lock().unwrap();
        state.step()?;
        state.quarantine.push((name.into(), reason.into(), bytes));
        Ok(())
    }
}

#[derive(Debug)]
struct Writing {
    disk: SimDisk,
    id: FileId,
}

impl WriteFile for Writing {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        let stepped = state.step();
        let room = match state.faults.capacity {
            0 => u64::MAX,
            capacity => capacity.saturating_sub(state.used()),
        };
        let rot = state.faults.rot;
        let inode = state.inodes.get_mut(&self.id).unwrap();
        if let Err(error) = stepped {
            // Some of it may have got there.
            inode.bytes.extend_from_slice(&bytes[..bytes.len() / 2]);
            return Err(error);
        }
        let fits = (bytes.len() as u64).min(room) as usize;
        let at = inode.bytes.len() + fits / 2;
        inode.bytes.extend_from_slice(&bytes[..fits]);
        if let Some(byte) = inode.bytes.get_mut(at).filter(|_| rot) {
            *byte ^= 0x10;
        }
        if fits < bytes.len() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        let stepped = state.step();
        let ignored = state.faults.ignore_sync;
        let inode = state.inodes.get_mut(&self.id).unwrap();
        if stepped.is_err() {
            inode.forgotten = true;
        } else if !ignored && !inode.forgotten {
            inode.synced = inode.bytes.clone();
        }
        stepped
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        state.step()?;
        state
            .inodes
            .get_mut(&self.id)
            .unwrap()
            .bytes
            .truncate(bytes as usize);
        Ok(())
    }
}

#[derive(Debug)]
struct Reading {
    disk: SimDisk,
    id: FileId,
    bytes: usize,
}

impl ReadFile for Reading {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        state.faults.errors.as_mut().map_or(Ok(()), Errors::read)?;
        let bytes = &state.inodes[&self.id].bytes;
        let found = bytes.get(offset as usize..offset as usize + buffer.len());
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.bytes as u64
    }
}
