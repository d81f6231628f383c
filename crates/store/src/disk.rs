//! The disk as a port: one flat directory of files that are written once, from front to back.
//!
//! This is the only file that touches `std::fs`. Everything the engine needs of a file system is
//! in [`Disk`], so that tests can lose un-synced data, tear writes and run out of space.

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// One directory. Names are plain file names without separators.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates an empty file to append to, replacing one of that name. Neither the file nor its
    /// entry in the directory is durable before [`WriteFile::sync`] and [`Disk::sync_dir`].
    fn create(&self, name: &str) -> io::Result<Arc<dyn WriteFile>>;

    /// Opens a file to read at any position.
    fn open(&self, name: &str) -> io::Result<Arc<dyn ReadFile>>;

    /// Cuts a file to `bytes` and makes that durable.
    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()>;

    /// Renames a file, replacing `to`: afterwards `to` is the old or the new one, never a mix.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Names and sizes of all files, in order of name.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Makes creations, renames and removals durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// Bytes that may still be written; `None` where nobody says.
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// Makes a directory of these files, all of it or nothing, durable: `snapshots/NAME`.
    fn snapshot(&self, name: &str, files: &[Taken<'_>]) -> io::Result<()> {
        let (_, _) = (name, files);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Keeps a file as it is now in `quarantine/`, with a text that says why. The file stays where
    /// it is, too; it must not be written in place any more.
    fn quarantine(&self, name: &str, reason: &str) -> io::Result<()> {
        let (_, _) = (name, reason);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Copies a finished file to the archive, durably and compared; it is read from here until
    /// [`Disk::leave_to_archive`]. `told` gets the bytes copied so far.
    fn copy_to_archive(&self, name: &str, told: &mut dyn FnMut(u64)) -> io::Result<()> {
        let (_, _) = (name, told);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes a file that was copied to the archive from here, durably.
    fn leave_to_archive(&self, name: &str) -> io::Result<()> {
        let _ = name;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether a file is in the archive alone.
    fn is_archived(&self, name: &str) -> bool {
        let _ = name;
        false
    }
}

/// A file of a snapshot.
#[derive(Debug, Clone)]
pub enum Taken<'a> {
    /// A file that never changes: linked.
    Link(&'a str),
    /// The first bytes of a file: at most so many.
    Copy(&'a str, u64),
    /// A file of these bytes.
    Bytes(&'a str, Vec<u8>),
    /// A copy of a file of another disk.
    From(&'a str, Arc<dyn ReadFile>),
}

/// A file being written. Shared, so that one thread can sync while another appends.
pub trait WriteFile: Send + Sync + fmt::Debug {
    /// Appends all of `bytes`; on an error any part of them may have been written.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything appended so far durable.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file to `bytes`; the next append continues there.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
}

/// A file being read. Stays readable after the file is removed.
pub trait ReadFile: Send + Sync + fmt::Debug {
    /// Fills `buffer` from `offset` on, or fails.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Size in bytes when it was opened.
    fn bytes(&self) -> u64;
}

/// Whether an error means that the disk (or the quota) is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// A directory of the operating system's file system.
#[derive(Debug)]
pub struct RealDisk {
    dir: PathBuf,
    /// Keeps other processes out for as long as it is open; `None` for a directory that is only
    /// read, or that nobody else knows of.
    _lock: Option<fs::File>,
}

/// Name of the file whose lock says that a process has the directory open.
pub(crate) const LOCK_NAME: &str = "LOCK";

impl RealDisk {
    /// Opens or creates the directory, and locks it against other processes.
    pub fn new(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
            sync_directory(parent)?;
        }
        let lock = fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join(LOCK_NAME))?;
        lock.try_lock().map_err(|refused| match refused {
            fs::TryLockError::Error(error) => error,
            fs::TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another process has this directory open",
            ),
        })?;
        Ok(Self {
            dir: dir.to_owned(),
            _lock: Some(lock),
        })
    }

    /// A directory as it is, without a lock.
    pub(crate) fn unlocked(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            _lock: None,
        }
    }

    /// Creates a directory inside this one, durable; [`RealDisk::unlocked`] of it.
    fn subdirectory(&self, name: &str) -> io::Result<Self> {
        let dir = self.path(name);
        fs::create_dir_all(&dir)?;
        self.sync_dir()?;
        Ok(Self::unlocked(&dir))
    }

    /// Links a file of this directory into another one, or copies it where that cannot be done:
    /// across file systems. Files that are linked must not be written any more.
    fn link(&self, name: &str, into: &Self, to: &str) -> io::Result<()> {
        if fs::hard_link(self.path(name), into.path(to)).is_ok() {
            return Ok(());
        }
        copy(&*self.open(name)?, u64::MAX, into, to)
    }

    fn take(&self, file: &Taken<'_>, into: &Self) -> io::Result<()> {
        match file {
            Taken::Link(name) => self.link(name, into, name),
            Taken::Copy(name, most) => copy(&*self.open(name)?, *most, into, name),
            Taken::From(name, file) => copy(&**file, u64::MAX, into, name),
            Taken::Bytes(name, bytes) => {
                let file = into.create(name)?;
                file.append(bytes)?;
                file.sync()
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Copies the first `most` bytes of a file, durably but for its name in the directory.
pub(crate) fn copy(from: &dyn ReadFile, most: u64, to: &dyn Disk, name: &str) -> io::Result<()> {
    let file = to.create(name)?;
    let (bytes, mut at) = (from.bytes().min(most), 0);
    let mut buffer = Vec::new();
    while at < bytes {
        buffer.resize((bytes - at).min(COPY_BYTES) as usize, 0);
        from.read_at(at, &mut buffer)?;
        file.append(&buffer)?;
        at += buffer.len() as u64;
    }
    file.sync()
}

/// Bytes copied at a time.
const COPY_BYTES: u64 = 1 << 20;

fn sync_directory(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

impl Disk for RealDisk {
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let said = rustix::fs::statvfs(&self.dir)?;
        Ok(Some(said.f_bavail.saturating_mul(said.f_frsize)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn WriteFile>> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = fs::File::options()
            .create_new(true)
            .append(true)
            .open(path)?;
        Ok(Arc::new(RealWrite(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        let file = fs::File::open(self.path(name))?;
        let bytes = file.metadata()?.len();
        Ok(Arc::new(RealRead { file, bytes }))
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        let file = fs::File::options().write(true).open(self.path(name))?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if let (true, Ok(name)) = (meta.is_file(), entry.file_name().into_string()) {
                files.push((name, meta.len()));
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    fn sync_dir(&self) -> io::Result<()> {
        sync_directory(&self.dir)
    }

    fn snapshot(&self, name: &str, files: &[Taken<'_>]) -> io::Result<()> {
        let snapshots = self.subdirectory(SNAPSHOTS)?;
        let unfinished = format!("{name}.tmp");
        let into = snapshots.subdirectory(&unfinished)?;
        let taken = files
            .iter()
            .try_for_each(|file| self.take(file, &into))
            .and_then(|()| into.sync_dir())
            .and_then(|()| snapshots.rename(&unfinished, name))
            .and_then(|()| snapshots.sync_dir());
        if taken.is_err() {
            // What is left of it is no snapshot: its name says so.
            drop(fs::remove_dir_all(snapshots.path(&unfinished)));
        }
        taken
    }

    fn quarantine(&self, name: &str, reason: &str) -> io::Result<()> {
        let quarantine = self.subdirectory(QUARANTINE)?;
        let mut to = name.to_owned();
        for again in 1.. {
            if !fs::exists(quarantine.path(&to))? {
                break;
            }
            to = format!("{name}.{again}");
        }
        let text = quarantine.create(&format!("{to}.reason.txt"))?;
        text.append(reason.as_bytes())?;
        text.sync()?;
        self.link(name, &quarantine, &to)?;
        quarantine.sync_dir()
    }
}

/// Directory of snapshots inside a store's.
pub(crate) const SNAPSHOTS: &str = "snapshots";
/// Directory of files that do not check.
const QUARANTINE: &str = "quarantine";

#[derive(Debug)]
struct RealWrite(fs::File);

impl WriteFile for RealWrite {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
}

#[derive(Debug)]
struct RealRead {
    file: fs::File,
    bytes: u64,
}

impl ReadFile for RealRead {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
