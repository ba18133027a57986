//! A file that stays open: `pread` on a kept descriptor costs a fifth of open, read and close.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A small kernel file kept open and read from its start each time.
#[derive(Debug)]
pub struct KeptFile {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
}

const FIRST_SIZE: usize = 256;
const SIZE_LIMIT: usize = 16 << 20;

impl KeptFile {
    pub(super) fn new(file: File, path: PathBuf) -> Self {
        Self {
            file,
            path,
            buffer: vec![0; FIRST_SIZE],
        }
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor, for kernel calls that want one.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The file's bytes as they are now. The buffer is kept between calls.
    ///
    /// # Errors
    /// [`Error::Read`] with the path; [`Error::TooLarge`] above 16 MiB.
    pub fn bytes(&mut self) -> Result<&[u8]> {
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                if filled >= SIZE_LIMIT {
                    return Err(Error::TooLarge {
                        what: self.path.display().to_string(),
                        size: filled as u64,
                        limit: SIZE_LIMIT as u64,
                    });
                }
                self.buffer.resize(filled * 2, 0);
            }
            match self.file.read_at(&mut self.buffer[filled..], filled as u64) {
                Ok(0) => return Ok(&self.buffer[..filled]),
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::read(&self.path, error)),
            }
        }
    }

    /// The file's text as it is now.
    ///
    /// # Errors
    /// As [`KeptFile::bytes`]; [`Error::Malformed`] when it is not UTF-8.
    pub fn text(&mut self) -> Result<&str> {
        let path = self.path.clone();
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes)
            .map_err(|e| Error::malformed(path.display(), "UTF-8 text", e.to_string()))
    }

    /// The file's whole text as one unsigned number.
    ///
    /// # Errors
    /// As [`KeptFile::bytes`]; [`Error::Malformed`] when it is not a number.
    pub fn number(&mut self) -> Result<u64> {
        // One `pread` in the common case: a number never fills the first buffer.
        let read = loop {
            match self.file.read_at(&mut self.buffer, 0) {
                Ok(read) => break read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::read(&self.path, error)),
            }
        };
        let text = String::from_utf8_lossy(&self.buffer[..read]);
        text.trim()
            .parse()
            .map_err(|_| Error::malformed(self.path.display(), "an unsigned number", text.trim()))
    }
}
