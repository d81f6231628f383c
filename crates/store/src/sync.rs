//! Group commit: who needs the log on the disk waits for one sync that serves all.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How far the log is synced, and whether someone is at it.
#[derive(Debug, Default)]
struct Progress {
    /// Records written up to here are on the disk.
    synced: u64,
    busy: bool,
}

/// Lets one thread sync for all that wait.
#[derive(Debug, Default)]
pub(crate) struct GroupCommit {
    progress: Mutex<Progress>,
    done: Condvar,
}

impl GroupCommit {
    /// Returns once records up to `ticket` are synced. `sync` is run by one of the waiting
    /// threads and says up to which ticket it came.
    pub(crate) fn wait<E>(
        &self,
        ticket: u64,
        mut sync: impl FnMut() -> Result<u64, E>,
    ) -> Result<(), E> {
        let mut progress = self.lock();
        while progress.synced < ticket {
            if progress.busy {
                progress = self
                    .done
                    .wait(progress)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            progress.busy = true;
            drop(progress);
            let came_to = sync();
            progress = self.lock();
            progress.busy = false;
            self.done.notify_all();
            progress.synced = progress.synced.max(came_to?);
        }
        Ok(())
    }

    /// Notes that records up to `ticket` are synced.
    pub(crate) fn note(&self, ticket: u64) {
        let mut progress = self.lock();
        progress.synced = progress.synced.max(ticket);
        self.done.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
