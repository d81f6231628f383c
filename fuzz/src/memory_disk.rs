//! A directory in memory that does what it is told.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use store::{Disk, ReadFile, WriteFile};

type Bytes = Arc<Mutex<Vec<u8>>>;

/// Files by name.
#[derive(Debug, Default)]
pub struct MemoryDisk(Mutex<BTreeMap<String, Bytes>>);

#[derive(Debug)]
struct File(Bytes);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn at(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl MemoryDisk {
    /// A directory with one file.
    #[must_use]
    pub fn with(name: &str, bytes: &[u8]) -> Self {
        let disk = Self::default();
        lock(&disk.0).insert(name.to_owned(), Arc::new(Mutex::new(bytes.to_vec())));
        disk
    }

    fn file(&self, name: &str) -> io::Result<Bytes> {
        let file = lock(&self.0).get(name).cloned();
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for MemoryDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn WriteFile>> {
        let bytes = Bytes::default();
        lock(&self.0).insert(name.to_owned(), Arc::clone(&bytes));
        Ok(Arc::new(File(bytes)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        Ok(Arc::new(File(self.file(name)?)))
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        lock(&*self.file(name)?).truncate(at(bytes));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.file(from)?;
        let mut files = lock(&self.0);
        files.remove(from);
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.file(name)?;
        lock(&self.0).remove(name);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let size = |(name, file): (&String, &Bytes)| (name.clone(), lock(file).len() as u64);
        Ok(lock(&self.0).iter().map(size).collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

impl WriteFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        lock(&self.0).truncate(at(bytes));
        Ok(())
    }
}

impl ReadFile for File {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = lock(&self.0);
        let from = bytes.get(at(offset)..).unwrap_or_default();
        let found = from
            .get(..buffer.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn bytes(&self) -> u64 {
        lock(&self.0).len() as u64
    }
}
