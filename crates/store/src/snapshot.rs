//! A snapshot: all of a store at one moment, as a directory that is a store itself.
//!
//! Memory is flushed first, so that the log to copy is short. Then, while parts and log segments
//! cannot go, the log's length is noted under the writers' lock: that is the moment. Parts never
//! change and are linked; the log is copied up to the moment; the manifest is written anew.
//! Samples are appended all the while.

use std::io;

use crate::{
    ballast,
    compact::MaintainError,
    disk::{LOCK_NAME, Taken},
    manifest::{self, Contents},
    part,
    store::{Core, lock},
    wal,
};

fn cannot(operation: &str) -> impl FnOnce(io::Error) -> MaintainError + '_ {
    move |source| MaintainError::Io {
        operation: operation.into(),
        source,
    }
}

impl Core {
    /// Makes the snapshot `name`; without the samples of the log if not `with_log`.
    pub(crate) fn snapshot(&self, name: &str, with_log: bool) -> Result<(), MaintainError> {
        if with_log && let Err(error) = self.flush() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "memory is not flushed before the snapshot: the log is copied instead"
            );
        }
        let upkeep = lock(&self.upkeep);
        let (segment, bytes) = {
            let writer = lock(&self.writer);
            (writer.segment.number, writer.segment.bytes)
        };
        let mut contents = upkeep.manifest.contents.clone();
        let files = self.disk.list().map_err(cannot("list the directory"))?;
        contents
            .parts
            .retain(|n| files.iter().any(|(name, _)| part::number(name) == Some(*n)));
        if !with_log {
            contents.wal_floor = segment + 1;
        }
        let mut taken = vec![Taken::Bytes(
            manifest::NAME,
            manifest::Manifest::encode(&contents),
        )];
        for (name, size) in &files {
            taken.extend(take(name, *size, &contents, (segment, bytes)));
        }
        self.disk
            .snapshot(name, &taken)
            .map_err(cannot("write the snapshot"))
    }
}

/// What becomes of a file; `None` if it does not belong to the snapshot.
fn take<'a>(
    name: &'a str,
    size: u64,
    contents: &Contents,
    (segment, bytes): (u64, u64),
) -> Option<Taken<'a>> {
    if let Some(number) = part::number(name) {
        return contents
            .parts
            .contains(&number)
            .then_some(Taken::Link(name));
    }
    if let Some(number) = wal::number(name) {
        let wanted = (contents.wal_floor..=segment).contains(&number);
        let most = if number == segment { bytes } else { u64::MAX };
        return wanted.then_some(Taken::Copy(name, most));
    }
    let no_data = [manifest::NAME, ballast::NAME, LOCK_NAME].contains(&name);
    (!no_data && !name.ends_with(".tmp")).then_some(Taken::Copy(name, size))
}
