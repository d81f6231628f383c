//! Puts flipped bits of a part right, where its checksums say which ones they are.
//!
//! A CRC is linear: flipping one bit of the bytes changes it by a value that depends only on how
//! far the bit is from the end. So the one bit that explains a wrong checksum is found in one
//! walk, and CRC-32C tells all single bits of anything shorter than 256 MiB apart. That a larger
//! damage looks like a single bit is a matter of bytes in 2^29; so nothing is believed before
//! the whole part checks, summaries of blocks included. Magic numbers are simply known.

use std::{io, sync::Arc};

use crate::{
    check::{Checked, PartState, check_part},
    disk::{Disk, ReadFile, WriteFile},
    part::{
        END, Footer, MAGIC, TAIL_BYTES,
        index::{BlockEntry, Place},
        name,
    },
};

/// The reversed polynomial of CRC-32C.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// What one more byte of zeros makes of a difference of checksums.
fn one_byte_on(mut difference: u32) -> u32 {
    for _ in 0..8 {
        let low = difference & 1;
        difference >>= 1;
        if low == 1 {
            difference ^= POLYNOMIAL;
        }
    }
    difference
}

/// The bit whose flip gives `bytes` the checksum `wanted`, as index and mask of its byte; `None`
/// if no single one does.
fn flipped_bit(bytes: &[u8], wanted: u32) -> Option<(usize, u8)> {
    let syndrome = crc32c::crc32c(bytes) ^ wanted;
    let mut effects: [u32; 8] = std::array::from_fn(|bit| one_byte_on(1 << bit));
    for at in (0..bytes.len()).rev() {
        if let Some(bit) = effects.iter().position(|effect| *effect == syndrome) {
            return Some((at, 1 << bit));
        }
        effects = effects.map(one_byte_on);
    }
    None
}

/// Bits of one byte of a file to turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Patch {
    at: u64,
    mask: u8,
}

/// A part with bits turned, before anything is written.
#[derive(Debug)]
pub(crate) struct Mended<'a> {
    disk: &'a dyn Disk,
    sequence: u64,
    patches: Vec<Patch>,
}

impl<'a> Mended<'a> {
    /// Finds what can be put right.
    pub(crate) fn new(disk: &'a dyn Disk, sequence: u64) -> io::Result<Self> {
        let mut mended = Self {
            disk,
            sequence,
            patches: Vec::new(),
        };
        mended.frame()?;
        if let Ok(footer) = Footer::read(&mended, sequence) {
            let index = mended.load(footer.index_at, footer.index_bytes)?;
            mended.bytes(footer.index_at, &index, footer.index_crc);
            mended.columns()?;
        }
        Ok(mended)
    }

    /// Whether there is anything to put right.
    pub(crate) fn is_changed(&self) -> bool {
        !self.patches.is_empty()
    }

    fn load(&self, at: u64, bytes: u64) -> io::Result<Vec<u8>> {
        let mut loaded = vec![0; bytes as usize];
        self.open(&name(self.sequence))?.read_at(at, &mut loaded)?;
        Ok(loaded)
    }

    /// Bytes that are known, and the footer.
    fn frame(&mut self) -> io::Result<()> {
        let size = self.open(&name(self.sequence))?.bytes();
        let Some(tail_at) = size.checked_sub(TAIL_BYTES as u64) else {
            return Ok(());
        };
        self.known(0, MAGIC)?;
        self.known(tail_at + 8, END)?;
        let tail = self.load(tail_at, 8)?;
        let number =
            |at: usize| u32::from_le_bytes([tail[at], tail[at + 1], tail[at + 2], tail[at + 3]]);
        let Some(footer_at) = tail_at.checked_sub(u64::from(number(0))) else {
            return Ok(());
        };
        let footer = self.load(footer_at, u64::from(number(0)))?;
        self.checked(footer_at, &footer, tail_at + 4, number(4));
        Ok(())
    }

    fn known(&mut self, at: u64, wanted: &[u8; 8]) -> io::Result<()> {
        let found = self.load(at, 8)?;
        // More than a byte off is another file; the last byte off, another version of one.
        let wrong: Vec<usize> = (0..8).filter(|i| found[*i] != wanted[*i]).collect();
        if let [i @ 0..7] = wrong[..] {
            self.patches.push(Patch {
                at: at + i as u64,
                mask: found[i] ^ wanted[i],
            });
        }
        Ok(())
    }

    /// Bytes whose checksum is sound.
    fn bytes(&mut self, at: u64, bytes: &[u8], wanted: u32) {
        if let Some((i, mask)) = flipped_bit(bytes, wanted) {
            self.patches.push(Patch {
                at: at + i as u64,
                mask,
            });
        }
    }

    /// Bytes whose checksum, at `check_at`, may be what is damaged.
    fn checked(&mut self, at: u64, bytes: &[u8], check_at: u64, wanted: u32) {
        let wrong = crc32c::crc32c(bytes) ^ wanted;
        if wrong.count_ones() != 1 {
            return self.bytes(at, bytes, wanted);
        }
        let bit = wrong.trailing_zeros();
        self.patches.push(Patch {
            at: check_at + u64::from(bit / 8),
            mask: 1 << (bit % 8),
        });
    }

    fn columns(&mut self) -> io::Result<()> {
        let PartState {
            part: Some(part),
            bad,
        } = check_part(self, self.sequence, &mut Checked::default())?
        else {
            return Ok(());
        };
        let Ok(index) = part.index() else {
            return Ok(());
        };
        for (series, number) in bad {
            let blocks = index.blocks(series).unwrap_or_default();
            let Some(BlockEntry { times, values, .. }) = blocks.get(number) else {
                continue;
            };
            for place in [times, values] {
                self.column(place, part.footer.index_at)?;
            }
        }
        // A column of times that several blocks share is found several times.
        self.patches.sort_by_key(|p| p.at);
        self.patches.dedup();
        Ok(())
    }

    fn column(&mut self, place: &Place, end: u64) -> io::Result<()> {
        let Place::Stored { at, bytes } = *place else {
            return Ok(());
        };
        if at.checked_add(bytes as u64 + 4).is_none_or(|e| e > end) {
            return Ok(());
        }
        let stored = self.load(at, bytes as u64 + 4)?;
        let (check, column) = stored.split_at(4);
        let wanted = u32::from_le_bytes([check[0], check[1], check[2], check[3]]);
        if crc32c::crc32c(column) != wanted {
            self.checked(at + 4, column, at, wanted);
        }
        Ok(())
    }
}

/// The disk under it, with the part as it should be. Nothing can be written.
impl Disk for Mended<'_> {
    fn create(&self, _: &str) -> io::Result<Arc<dyn WriteFile>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn open(&self, file: &str) -> io::Result<Arc<dyn ReadFile>> {
        let open = self.disk.open(file)?;
        if file != name(self.sequence) {
            return Ok(open);
        }
        Ok(Arc::new(Patched {
            file: open,
            patches: self.patches.clone(),
        }))
    }

    fn truncate(&self, _: &str, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.disk.list()
    }

    fn sync_dir(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// A file with bits turned.
#[derive(Debug)]
struct Patched {
    file: Arc<dyn ReadFile>,
    patches: Vec<Patch>,
}

impl ReadFile for Patched {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buffer)?;
        for patch in &self.patches {
            let at = patch.at.checked_sub(offset).map(|at| at as usize);
            if let Some(byte) = at.and_then(|at| buffer.get_mut(at)) {
                *byte ^= patch.mask;
            }
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.file.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_found_wherever_it_is() {
        let good: Vec<u8> = (0..997u32).map(|i| (i * i % 251) as u8).collect();
        let wanted = crc32c::crc32c(&good);
        for at in 0..good.len() {
            let mask = 1 << (at % 8);
            let mut bad = good.clone();
            bad[at] ^= mask;
            assert_eq!(flipped_bit(&bad, wanted), Some((at, mask)));
        }
        let mut bad = good.clone();
        (bad[3], bad[500]) = (!bad[3], !bad[500]);
        assert_eq!(flipped_bit(&bad, wanted), None, "two bytes are not a bit");
    }
}
