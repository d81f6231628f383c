//! A file of `/proc` or `/sys` that stays open and is read again and again.

use std::{
    fs::File,
    io::{Error, ErrorKind, Result},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Most bytes read of one file. 4 MiB: `/proc/stat` of a host with 10,000 interrupt lines and
/// thousands of cores is well below.
const FILE_BYTES_MAX: usize = 4 << 20;

/// First size of the buffer, bytes.
const BUFFER_BYTES: usize = 8 << 10;

/// An open file, opened again after an error.
#[derive(Debug)]
pub(crate) struct Reading {
    path: PathBuf,
    file: Option<File>,
}

impl Reading {
    /// The file below the root; not opened yet.
    pub(crate) fn new(root: &Path, relative: &str) -> Self {
        Self {
            path: root.join(relative),
            file: None,
        }
    }

    /// Its whole text now.
    pub(crate) fn text<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Result<&'b str> {
        match self.fill(buffer) {
            Ok(length) => {
                let bytes = &buffer[..length];
                std::str::from_utf8(bytes).map_err(|e| Error::new(ErrorKind::InvalidData, e))
            }
            Err(error) => {
                self.file = None;
                Err(error)
            }
        }
    }

    fn fill(&mut self, buffer: &mut Vec<u8>) -> Result<usize> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(File::open(&self.path)?),
        };
        let mut length = 0;
        loop {
            if length == buffer.len() {
                if length >= FILE_BYTES_MAX {
                    return Err(Error::new(ErrorKind::FileTooLarge, "a file beyond 4 MiB"));
                }
                buffer.resize((length * 2).max(BUFFER_BYTES), 0);
            }
            match file.read_at(&mut buffer[length..], length as u64)? {
                0 => return Ok(length),
                more => length += more,
            }
        }
    }
}
