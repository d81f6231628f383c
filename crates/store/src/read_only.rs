//! A directory as it was at one moment, read without a lock and without a write: also while a
//! server has it open.
//!
//! All files are opened at once, and the list compared before and after: parts and log segments
//! come and go, but a file that is open stays readable, and a log is only ever appended to. What
//! the engine writes when it opens a store (a fresh manifest, a log segment, a tail cut off) goes
//! to memory and is forgotten.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use crate::{
    archive::{self, Record},
    disk::{Disk, ReadFile, RealDisk, WriteFile},
    manifest, part,
    store::lock,
    wal,
};

/// Times a directory that keeps changing is listed again: a server changes it a few times a
/// minute, and opening its files takes milliseconds.
const ATTEMPTS_MAX: u32 = 50;

/// See the module's head.
#[derive(Debug)]
pub struct ReadOnlyDisk(Mutex<BTreeMap<String, Arc<dyn ReadFile>>>);

impl ReadOnlyDisk {
    /// Opens every file of the directory.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let real = RealDisk::unlocked(dir);
        for _ in 0..ATTEMPTS_MAX {
            let before = real.list()?;
            // A store that has an archive and cannot reach it must not look as if it were whole.
            let archived = match Record::read(&real)? {
                Some(record) => archive::read(&record)?,
                None => Vec::new(),
            };
            match open_all(&real, &before) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
                Ok(mut files) if shape(&before) == shape(&real.list()?) => {
                    files.remove(archive::NAME);
                    for (name, file) in archived {
                        files.entry(name).or_insert(file);
                    }
                    return Ok(Self(Mutex::new(files)));
                }
                Ok(_) => {}
            }
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "the directory kept changing while its files were opened",
        ))
    }
}

fn open_all(
    real: &RealDisk,
    list: &[(String, u64)],
) -> io::Result<BTreeMap<String, Arc<dyn ReadFile>>> {
    let open = |(name, _): &(String, u64)| Ok((name.clone(), real.open(name)?));
    list.iter().map(open).collect()
}

/// What must not change while the files are opened: which parts and segments there are, and what
/// the manifest says.
fn shape(list: &[(String, u64)]) -> Vec<(&str, u64)> {
    let fixed = |(name, bytes): &(String, u64)| match name.as_str() {
        manifest::NAME | crate::tombstones::NAME => Some(*bytes),
        name if part::number(name).is_some() || wal::number(name).is_some() => Some(0),
        _ => None,
    };
    list.iter()
        .filter_map(|entry| Some((entry.0.as_str(), fixed(entry)?)))
        .collect()
}

impl Disk for ReadOnlyDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn WriteFile>> {
        let file = Arc::new(MemoryFile::default());
        lock(&self.0).insert(name.into(), Arc::clone(&file) as _);
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        let files = lock(&self.0);
        files
            .get(name)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        let file = self.open(name)?;
        let cut = Cut {
            bytes: bytes.min(file.bytes()),
            file,
        };
        lock(&self.0).insert(name.into(), Arc::new(cut));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = lock(&self.0);
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.into(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = lock(&self.0).remove(name);
        removed
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let files = lock(&self.0);
        Ok(files.iter().map(|(n, f)| (n.clone(), f.bytes())).collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that ends earlier.
#[derive(Debug)]
struct Cut {
    file: Arc<dyn ReadFile>,
    bytes: u64,
}

impl ReadFile for Cut {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset.saturating_add(buffer.len() as u64) > self.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_at(offset, buffer)
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A file in memory.
#[derive(Debug, Default)]
struct MemoryFile(Mutex<Vec<u8>>);

impl WriteFile for MemoryFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        lock(&self.0).truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(())
    }
}

impl ReadFile for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = lock(&self.0);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = start
            .checked_add(buffer.len())
            .and_then(|end| bytes.get(start..end));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn bytes(&self) -> u64 {
        lock(&self.0).len() as u64
    }
}
