//! The files of a server's settings: certificates, keys, the web configuration.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Larger than any certificate chain; a mistaken path to something huge shall not fill the memory.
const LARGEST: u64 = 4 << 20;

/// What was read, and how each file was then, so that a change can be seen.
#[derive(Debug, Default)]
pub(crate) struct Files {
    seen: Vec<(PathBuf, Option<Mark>)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Mark {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Files {
    /// The bytes of a file.
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the server, not a figure of the machine"
    )]
    pub(crate) fn read(&mut self, path: &Path) -> Result<Vec<u8>> {
        let wrong = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        // Looked at before it is read: a change in between is then seen later.
        let found = std::fs::metadata(path);
        self.seen
            .push((path.to_owned(), found.as_ref().ok().map(Mark::of)));
        let found = found.map_err(wrong)?;
        if !found.is_file() && !found.is_dir() {
            // A pipe would be waited for, and a device may have no end.
            let what = io::Error::other("it is a pipe, socket or device, not a file");
            return Err(wrong(what));
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(wrong)?;
        let read = file.take(LARGEST + 1).read_to_end(&mut bytes);
        if read.map_err(wrong)? as u64 > LARGEST {
            return Err(Error::invalid(
                &path.display(),
                format!("larger than {LARGEST} bytes"),
            ));
        }
        Ok(bytes)
    }

    /// Whether a file is not what it was.
    pub(crate) fn have_changed(&self) -> bool {
        let now = |path: &Path| std::fs::metadata(path).ok().as_ref().map(Mark::of);
        self.seen.iter().any(|(path, mark)| now(path) != *mark)
    }
}

/// Puts bytes in the place of a file: whoever reads it finds what was there before or all of them. They are written to
/// `fresh`, beside it; `synced` where not even a loss of power may leave less.
pub(crate) fn replace(path: &Path, fresh: &Path, bytes: &[u8], synced: bool) -> io::Result<()> {
    let write = || {
        let mut file = File::create(fresh)?;
        file.write_all(bytes)?;
        if synced {
            file.sync_all()?;
        }
        std::fs::rename(fresh, path)
    };
    write().inspect_err(|_| {
        // Left behind, it would take the place that was missing.
        let _ = std::fs::remove_file(fresh);
    })
}

impl Mark {
    fn of(file: &Metadata) -> Self {
        Self {
            file: (file.dev(), file.ino()),
            size: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}
