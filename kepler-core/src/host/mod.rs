//! The machine's files: every root the library reads, injectable, and the only file reads of the crate.

mod clock;
mod cpuinfo;
mod kept;
mod machine;

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

pub(crate) use clock::cpu_time;
pub use kept::KeptFile;
pub use machine::MachineSpec;

/// Where a machine's `/proc`, `/sys` and `/dev` are found.
///
/// [`Host::default`] is this machine; [`Host::at`] is a tree of files that looks like one.
///
/// ```
/// use kepler_core::Host;
///
/// let host = Host::default();
/// assert!(host.text(host.proc("stat"))?.starts_with("cpu "));
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    proc: PathBuf,
    sys: PathBuf,
    dev: PathBuf,
}

/// No file under `/proc` or `/sys` that the library reads is larger; a larger one is an error, not an allocation.
const TEXT_LIMIT: u64 = 16 << 20;
/// What [`Host::contains`] holds of a file at a time.
const PIECE: usize = 64 << 10;

impl Default for Host {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            dev: "/dev".into(),
        }
    }
}

impl Host {
    /// A host whose `proc`, `sys` and `dev` folders lie under `root`.
    pub fn at(root: impl AsRef<Path>) -> Self {
        let root = root.as_ref();
        Self {
            proc: root.join("proc"),
            sys: root.join("sys"),
            dev: root.join("dev"),
        }
    }

    /// The same host with another `/proc`, as in a container that mounts the host's at `/host/proc`.
    #[must_use]
    pub fn with_proc(mut self, path: impl Into<PathBuf>) -> Self {
        self.proc = path.into();
        self
    }

    /// The same host with another `/sys`.
    #[must_use]
    pub fn with_sys(mut self, path: impl Into<PathBuf>) -> Self {
        self.sys = path.into();
        self
    }

    /// The same host with another `/dev`.
    #[must_use]
    pub fn with_dev(mut self, path: impl Into<PathBuf>) -> Self {
        self.dev = path.into();
        self
    }

    /// A path under `/proc`.
    pub fn proc(&self, path: impl AsRef<Path>) -> PathBuf {
        self.proc.join(path)
    }

    /// A path under `/sys`.
    pub fn sys(&self, path: impl AsRef<Path>) -> PathBuf {
        self.sys.join(path)
    }

    /// A path under `/dev`.
    pub fn dev(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dev.join(path)
    }

    /// Whether the files are those of the running kernel, so that kernel calls speak of the same machine.
    pub fn is_live(&self) -> bool {
        // A procfs mounted elsewhere (`/host/proc`) is live too: only a real one has this file.
        self.proc.join("self/mountinfo").exists() && self.sys.join("kernel").exists()
    }

    /// The text of a file, at most 16 MiB. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// [`Error::Read`] with the path; [`Error::TooLarge`] above the limit.
    pub fn text(&self, path: impl AsRef<Path>) -> Result<String> {
        let bytes = self.bytes(path, TEXT_LIMIT)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    /// The bytes of a file, at most `limit` of them.
    ///
    /// # Errors
    /// [`Error::Read`] with the path, also for a pipe or device, which is never waited for; [`Error::TooLarge`] above the limit.
    pub fn bytes(&self, path: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            open_file(path)?.take(limit + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|e| Error::read(path, e))?;
        if bytes.len() as u64 > limit {
            return Err(Error::TooLarge {
                what: path.display().to_string(),
                size: bytes.len() as u64,
                limit,
            });
        }
        Ok(bytes)
    }

    /// The first bytes of a file, at most `limit` of them; the rest is left unread.
    ///
    /// # Errors
    /// [`Error::Read`] with the path.
    pub fn prefix(&self, path: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            open_file(path)?.take(limit).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|e| Error::read(path, e))
    }

    /// Whether the bytes of a file hold `word` somewhere. Reads piece by piece, up to the word, so that a large file takes no
    /// memory.
    ///
    /// # Errors
    /// [`Error::Read`] with the path.
    pub fn contains(&self, path: impl AsRef<Path>, word: &[u8]) -> Result<bool> {
        let path = path.as_ref();
        let search = || -> io::Result<bool> {
            let (mut file, mut piece) = (open_file(path)?, vec![0; PIECE + word.len()]);
            let mut kept = 0;
            loop {
                let read = match file.read(&mut piece[kept..]) {
                    Ok(0) => return Ok(word.is_empty()),
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
                let end = kept + read;
                // Two bytes first: a call for each place would take most of the time.
                let begin = word.first_chunk::<2>();
                if piece[..end]
                    .windows(word.len().max(1))
                    .any(|w| w.first_chunk::<2>() == begin && w == word)
                {
                    return Ok(true);
                }
                // A word may begin in one piece and end in the next.
                kept = end.min(word.len().saturating_sub(1));
                piece.copy_within(end - kept..end, 0);
            }
        };
        search().map_err(|e| Error::read(path, e))
    }

    /// Reads a file that the kernel gives in one piece into `buffer`, and gives the size: one `read` call, no allocation.
    /// What does not fit is left unread.
    ///
    /// # Errors
    /// [`Error::Read`] with the path.
    pub fn read_into(&self, path: impl AsRef<Path>, buffer: &mut [u8]) -> Result<usize> {
        let path = path.as_ref();
        open(path)
            .and_then(|mut file| file.read(buffer))
            .map_err(|e| Error::read(path, e))
    }

    /// The trimmed text of a file, or `None` when the file does not exist.
    ///
    /// # Errors
    /// As [`Host::text`], except for a file that is not there.
    pub fn optional(&self, path: impl AsRef<Path>) -> Result<Option<String>> {
        match self.text(path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names in a folder, sorted; names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// [`Error::Read`] with the path.
    pub fn names(&self, folder: impl AsRef<Path>) -> Result<Vec<String>> {
        let folder = folder.as_ref();
        #[expect(clippy::disallowed_methods, reason = "this is the door")]
        let entries = fs::read_dir(folder).map_err(|e| Error::read(folder, e))?;
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Appends the names in a folder that are numbers (`/proc/PID`) to `numbers`, in the folder's order.
    ///
    /// # Errors
    /// [`Error::Read`] with the path.
    pub fn numbered(&self, folder: impl AsRef<Path>, numbers: &mut Vec<u32>) -> Result<()> {
        let folder = folder.as_ref();
        #[expect(clippy::disallowed_methods, reason = "this is the door")]
        let entries = fs::read_dir(folder).map_err(|e| Error::read(folder, e))?;
        numbers.extend(
            entries
                .flatten()
                .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()),
        );
        Ok(())
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// [`Error::Read`] with the path.
    pub fn link(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        fs::read_link(path).map_err(|e| Error::read(path, e))
    }

    /// The inode number of a file or folder; in a control group file system it is the group's id.
    ///
    /// # Errors
    /// [`Error::Read`] with the path.
    pub fn inode(&self, path: impl AsRef<Path>) -> Result<u64> {
        let path = path.as_ref();
        let meta = fs::metadata(path).map_err(|e| Error::read(path, e))?;
        Ok(meta.ino())
    }

    /// The folders in a folder; names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// [`Error::Read`] with the path.
    pub fn folders(&self, folder: impl AsRef<Path>) -> Result<Vec<String>> {
        let folder = folder.as_ref();
        #[expect(clippy::disallowed_methods, reason = "this is the door")]
        let entries = fs::read_dir(folder).map_err(|e| Error::read(folder, e))?;
        Ok(entries
            .flatten()
            .filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|e| e.file_name().into_string().ok())
            .collect())
    }

    /// A file kept open for reading again and again.
    ///
    /// # Errors
    /// [`Error::Read`] with the path.
    pub fn open(&self, path: impl Into<PathBuf>) -> Result<KeptFile> {
        let path = path.into();
        let file = open(&path).map_err(|e| Error::read(&path, e))?;
        Ok(KeptFile::new(file, path))
    }

    /// As [`Host::open`], for a file that a user names.
    ///
    /// # Errors
    /// [`Error::Read`] with the path, also for a pipe or device.
    pub(crate) fn open_file(&self, path: impl Into<PathBuf>) -> Result<KeptFile> {
        let path = path.into();
        let file = open_file(&path).map_err(|e| Error::read(&path, e))?;
        Ok(KeptFile::new(file, path))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn open(path: &Path) -> io::Result<fs::File> {
    fs::File::open(path)
}

/// Opens what has an end. A pipe without a writer would be waited for, and a device may give bytes for ever.
fn open_file(path: &Path) -> io::Result<fs::File> {
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_dir() {
        return Ok(file);
    }
    let why = "it is a pipe, socket or device, not a file";
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}
