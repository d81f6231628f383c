//! The write-ahead log: numbered segments of checksummed records, one record a batch.
//!
//! A segment is self-contained (see [`crate::record`]), so that segments whose samples have
//! reached parts can simply be removed. A torn or corrupt tail is cut off at opening: what comes
//! after it in the segment is not trusted.

use std::{io, ops::Deref, sync::Arc};

use tracing::warn;

use crate::{
    carry::{Carrier, Dictionary},
    disk::{Disk, WriteFile},
    log::{FRAME_HEAD, Frames, Next, put_frame},
    registry::Registry,
    varint::{Reader, put_u64},
};

/// First bytes of a segment; the last one is the version.
pub(crate) const MAGIC: &[u8; 8] = b"AUSEWAL\x02";
/// Version 1 has no carried series; else it is the same.
pub(crate) const MAGIC_1: &[u8; 8] = b"AUSEWAL\x01";

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
    /// Of them, those of the series carried over from the segment before.
    pub(crate) carried_bytes: u64,
    pub(crate) dictionary: Dictionary,
}

impl Segment {
    /// Creates segment `number`, durable in its directory, with what the carrier has for it.
    /// `registry` is locked for one record at a time.
    pub(crate) fn create<R: Deref<Target = Registry>>(
        disk: &dyn Disk,
        number: u64,
        mut carrier: Carrier,
        registry: impl Fn() -> R,
    ) -> io::Result<Self> {
        let file = disk.create(&name(number))?;
        let mut head = MAGIC.to_vec();
        put_frame(&mut head, |out| put_u64(out, number));
        file.append(&head)?;
        let (mut carried_bytes, mut more) = (0, true);
        while more {
            let mut frame = Vec::new();
            put_frame(&mut frame, |out| more = carrier.record(&registry(), out));
            if more {
                file.append(&frame)?;
                carried_bytes += frame.len() as u64;
            }
        }
        file.sync()?;
        disk.sync_dir()?;
        Ok(Self {
            file,
            number,
            bytes: head.len() as u64 + carried_bytes,
            carried_bytes,
            dictionary: carrier.into_dictionary(),
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

/// Hands the payload of each record of a segment to `apply`, in order, and cuts off what does
/// not check: by its checksum, or by `apply` giving `None`.
pub(crate) fn replay(
    disk: &dyn Disk,
    segment: u64,
    apply: &mut dyn FnMut(&[u8]) -> Option<()>,
) -> io::Result<Replayed> {
    let name = name(segment);
    let file = disk.open(&name)?;
    let bytes = file.bytes();
    let frames = match Frames::open(Arc::clone(&file), MAGIC)? {
        Some(frames) => Some(frames),
        None => Frames::open(file, MAGIC_1)?,
    };
    let good = match frames {
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
    apply: &mut dyn FnMut(&[u8]) -> Option<()>,
) -> io::Result<u64> {
    match frames.next()? {
        Next::Payload(head) if Reader::new(head).u64() == Some(segment) => {}
        Next::Payload(_) | Next::End | Next::Damage => return Ok(0),
    }
    loop {
        let good = frames.at();
        let applied = match frames.next()? {
            Next::Payload(payload) => apply(payload),
            Next::End => return Ok(good),
            Next::Damage => None,
        };
        if applied.is_none() {
            return Ok(good);
        }
    }
}
