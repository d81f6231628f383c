//! A full disk: ingest stops, the ballast is given back so that others can go on, and ingest
//! resumes by itself once the ballast fits again.
//!
//! What was acknowledged is in memory and mostly in the log. Because an error for want of space
//! may also come from a sync, after which the log's last pages are in doubt, resuming flushes
//! memory to parts before anything new is taken.

use std::io;

use crate::{
    disk::Disk,
    stats::State,
    store::{Core, lock},
};

/// File name.
pub(crate) const NAME: &str = "BALLAST";
/// Bytes written at a time.
const BLOCK_BYTES: usize = 1 << 16;

/// Takes the space, if the file of that size is not there already. Where less is free nothing is
/// written: others need what there is.
pub(crate) fn take(disk: &dyn Disk, bytes: u64) -> io::Result<()> {
    let there = disk
        .list()?
        .iter()
        .any(|(name, size)| name == NAME && *size == bytes);
    if there || bytes == 0 {
        return Ok(());
    }
    if disk.free_bytes()?.is_some_and(|free| free < bytes) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let written = fill(disk, bytes);
    if written.is_err() {
        release(disk);
    }
    written
}

fn fill(disk: &dyn Disk, bytes: u64) -> io::Result<()> {
    let file = disk.create(NAME)?;
    let block = vec![0xA5; BLOCK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let n = left.min(BLOCK_BYTES as u64);
        file.append(&block[..n as usize])?;
        left -= n;
    }
    file.sync()?;
    disk.sync_dir()
}

/// Gives the space back.
pub(crate) fn release(disk: &dyn Disk) {
    match disk.remove(NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the ballast could not be removed");
        }
        _ => {}
    }
}

impl Core {
    /// Stops ingest until space is free.
    pub(crate) fn stop_for_space(&self) {
        if self.state() == State::Healthy {
            tracing::error!("the disk is full: ingest is stopped until space is free");
            self.set_state(State::DiskFull);
        }
        release(&*self.disk);
    }

    /// Tries to resume, at most once every `probe_every`; `true` if ingest goes on.
    pub(crate) fn try_resume(&self) -> bool {
        // Another thread is flushing or trying: it will say.
        let Ok(mut upkeep) = self.upkeep.try_lock() else {
            return false;
        };
        let now = self.clock.monotonic();
        if upkeep.next_probe.is_some_and(|next| now < next) {
            return false;
        }
        upkeep.next_probe = Some(now + self.config.probe_every);
        let resumed = take(&*self.disk, self.config.ballast_bytes).and_then(|()| {
            let rotated = self.rotate_in_doubt(&mut upkeep);
            rotated.inspect_err(|_full| release(&*self.disk))
        });
        if let Err(error) = resumed {
            tracing::debug!(%error, "still no space");
            return false;
        }
        tracing::info!("space is free again: ingest resumes");
        upkeep.next_probe = None;
        let writer = lock(&self.writer);
        let only_full = self.state() == State::DiskFull;
        if only_full {
            self.set_state(State::Healthy);
        }
        drop(writer);
        only_full
    }
}
