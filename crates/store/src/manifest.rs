//! The MANIFEST: which parts are live and where the log starts, as an append-only log of edits.
//!
//! One record is one step: a flush or a merge is in it whole or not at all. Opening writes the
//! state anew as one record, so the file stays short. When it does not check, the state is
//! rebuilt from the parts, which say themselves what they replace.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use model::Metadata;

use crate::{
    disk::{Disk, WriteFile},
    log::{Frames, Next, put_frame},
    part,
    record::{put_metadata, take_metadata},
    varint::{Reader, put_u64},
};

/// First bytes of the file; the last one is the version.
pub(crate) const MAGIC: &[u8; 8] = b"AUSEMAN\x01";
/// File name.
pub(crate) const NAME: &str = "MANIFEST";
const TEMPORARY: &str = "MANIFEST.tmp";

/// One step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Log segments before this one are obsolete. Never falls.
    pub(crate) wal_floor: u64,
    pub(crate) added: Vec<u64>,
    pub(crate) removed: Vec<u64>,
    pub(crate) metadata: Vec<Metadata>,
}

/// What the edits come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) wal_floor: u64,
    pub(crate) parts: BTreeSet<u64>,
    pub(crate) metadata: BTreeMap<String, Metadata>,
}

impl Edit {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.wal_floor);
        for list in [&self.added, &self.removed] {
            put_u64(out, list.len() as u64);
            for sequence in list {
                put_u64(out, *sequence);
            }
        }
        put_u64(out, self.metadata.len() as u64);
        for metadata in &self.metadata {
            put_metadata(out, metadata);
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mut edit = Self {
            wal_floor: reader.u64()?,
            ..Self::default()
        };
        for list in [&mut edit.added, &mut edit.removed] {
            for _ in 0..reader.count()? {
                list.push(reader.u64()?);
            }
        }
        for _ in 0..reader.count()? {
            edit.metadata.push(take_metadata(&mut reader)?);
        }
        reader.is_empty().then_some(edit)
    }
}

impl Contents {
    pub(crate) fn apply(&mut self, edit: Edit) {
        self.wal_floor = self.wal_floor.max(edit.wal_floor);
        for sequence in &edit.removed {
            self.parts.remove(sequence);
        }
        self.parts.extend(&edit.added);
        for metadata in edit.metadata {
            self.metadata.insert(metadata.family.clone(), metadata);
        }
    }

    /// Reads the file; `None` if it does not check to its end.
    pub(crate) fn read(disk: &dyn Disk) -> io::Result<Option<Self>> {
        let mut contents = Self::default();
        let Some(mut frames) = Frames::open(disk.open(NAME)?, MAGIC)? else {
            return Ok(None);
        };
        loop {
            match frames.next()? {
                Next::End => return Ok(Some(contents)),
                Next::Damage => return Ok(None),
                Next::Payload(payload) => match Edit::decode(payload) {
                    Some(edit) => contents.apply(edit),
                    None => return Ok(None),
                },
            }
        }
    }
}

/// The file, open for appending.
#[derive(Debug)]
pub(crate) struct Manifest {
    file: Arc<dyn WriteFile>,
    pub(crate) contents: Contents,
    /// A write failed: what the file ends with is not known, so it must be written anew.
    broken: bool,
    /// Parts of the step that failed: nobody's, once the file is written anew without them.
    unfinished: Vec<u64>,
}

impl Manifest {
    /// Writes the state as a new file in place of the old one.
    pub(crate) fn create(disk: &dyn Disk, contents: Contents) -> io::Result<Self> {
        let file = disk.create(TEMPORARY)?;
        file.append(&Self::encode(&contents))?;
        file.sync()?;
        disk.rename(TEMPORARY, NAME)?;
        disk.sync_dir()?;
        Ok(Self {
            file,
            contents,
            broken: false,
            unfinished: Vec::new(),
        })
    }

    /// The bytes of a manifest of this state.
    pub(crate) fn encode(contents: &Contents) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let edit = Edit {
            wal_floor: contents.wal_floor,
            added: contents.parts.iter().copied().collect(),
            removed: Vec::new(),
            metadata: contents.metadata.values().cloned().collect(),
        };
        put_frame(&mut bytes, |out| edit.encode(out));
        bytes
    }

    /// A manifest that could not be written yet: the first commit will.
    pub(crate) fn broken(file: Arc<dyn WriteFile>, contents: Contents) -> Self {
        Self {
            file,
            contents,
            broken: true,
            unfinished: Vec::new(),
        }
    }

    /// Makes one step durable. On an error the step may or may not count after a restart; here
    /// it does not.
    pub(crate) fn commit(&mut self, disk: &dyn Disk, edit: Edit) -> io::Result<()> {
        if self.broken {
            self.write_anew(disk)?;
        }
        let mut bytes = Vec::new();
        put_frame(&mut bytes, |out| edit.encode(out));
        self.broken = true;
        let written = self.file.append(&bytes).and_then(|()| self.file.sync());
        if written.is_err() {
            self.unfinished.clone_from(&edit.added);
        }
        written?;
        self.broken = false;
        self.contents.apply(edit);
        Ok(())
    }

    /// After a step that failed: without it, and then its parts can go.
    fn write_anew(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let unfinished = std::mem::take(&mut self.unfinished);
        match Self::create(disk, self.contents.clone()) {
            Ok(manifest) => *self = manifest,
            Err(error) => {
                self.unfinished = unfinished;
                return Err(error);
            }
        }
        for sequence in unfinished {
            // What stays is recognised at the next opening.
            drop(disk.remove(&part::name(sequence)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_read_back_and_add_up() {
        let edit = Edit {
            wal_floor: 3,
            added: vec![4],
            removed: vec![1, 2],
            metadata: vec![],
        };
        let mut bytes = Vec::new();
        edit.encode(&mut bytes);
        assert_eq!(Edit::decode(&bytes), Some(edit.clone()));
        for cut in 0..bytes.len() {
            assert_eq!(Edit::decode(&bytes[..cut]), None);
        }
        let mut contents = Contents {
            parts: [1, 2, 3].into(),
            ..Contents::default()
        };
        contents.apply(edit);
        contents.apply(Edit {
            wal_floor: 1,
            ..Edit::default()
        });
        assert_eq!(contents.parts, [3, 4].into());
        assert_eq!(contents.wal_floor, 3);
    }
}
