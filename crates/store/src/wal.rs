//! The write-ahead log: numbered segments of checksummed records, one record a batch.
//!
//! A segment is self-contained (see [`crate::record`]), so that segments whose samples have
//! reached parts can simply be removed. A torn or corrupt tail is cut off at opening: what comes
//! after it in the segment is not trusted.

use std::{io, sync::Arc};

use tracing::warn;

use crate::{
    disk::{Disk, WriteFile},
    log::{FRAME_HEAD, Frames, Next, put_frame},
    record::Incoming,
    varint::{Reader, put_u64},
};

/// First bytes of a segment; the last one is the version.
pub(crate) const MAGIC: &[u8; 8] = b"AUSEWAL\x01";

/// File name of a segment.
pub(crate) fn name(segment: u64) -> String {
    format!("wal-{segment:010}.log")
}

/// Number of a segment by its file name.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_prefix("wal-")?
        .strip_suffix(".log")?
        .parse()
        .ok()
}

/// The segment being written.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: Arc<dyn WriteFile>,
    pub(crate) number: u64,
    pub(crate) bytes: u64,
}

impl Segment {
    /// Creates a segment, durable in its directory.
    pub(crate) fn create(disk: &dyn Disk, number: u64) -> io::Result<Self> {
        let file = disk.create(&name(number))?;
        let mut head = MAGIC.to_vec();
        put_frame(&mut head, |out| put_u64(out, number));
        file.append(&head)?;
        file.sync()?;
        disk.sync_dir()?;
        Ok(Self {
            file,
            number,
            bytes: head.len() as u64,
        })
    }

    /// Appends framed bytes. On an error the segment must not be written again.
    pub(crate) fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        debug_assert!(frame.len() >= FRAME_HEAD);
        self.file.append(frame)?;
        self.bytes += frame.len() as u64;
        Ok(())
    }
}

/// What replaying a segment came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// Bytes of good records.
    pub(crate) bytes: u64,
    /// Bytes cut off the end; 0 for a clean segment.
    pub(crate) truncated_bytes: u64,
}

/// Hands each record of a segment to `apply`, in order, and cuts off what does not check.
pub(crate) fn replay(
    disk: &dyn Disk,
    segment: u64,
    apply: &mut dyn FnMut(Incoming),
) -> io::Result<Replayed> {
    let name = name(segment);
    let file = disk.open(&name)?;
    let bytes = file.bytes();
    let good = match Frames::open(file, MAGIC)? {
        Some(mut frames) => read_records(&mut frames, segment, apply)?,
        None => 0,
    };
    if good == bytes {
        return Ok(Replayed {
            bytes,
            truncated_bytes: 0,
        });
    }
    warn!(
        file = name,
        at = good,
        bytes = bytes - good,
        "the log's tail is torn or corrupt and is cut off"
    );
    disk.truncate(&name, good)?;
    Ok(Replayed {
        bytes: good,
        truncated_bytes: bytes - good,
    })
}

/// Position after the last good record; 0 if not even the segment's number checks.
fn read_records(
    frames: &mut Frames,
    segment: u64,
    apply: &mut dyn FnMut(Incoming),
) -> io::Result<u64> {
    match frames.next()? {
        Next::Payload(head) if Reader::new(head).u64() == Some(segment) => {}
        Next::Payload(_) | Next::End | Next::Damage => return Ok(0),
    }
    loop {
        let good = frames.at();
        let record = match frames.next()? {
            Next::Payload(payload) => Incoming::decode(payload),
            Next::End => return Ok(good),
            Next::Damage => None,
        };
        match record {
            Some(record) => apply(record),
            None => return Ok(good),
        }
    }
}
