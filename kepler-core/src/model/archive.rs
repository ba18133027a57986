//! The files of a model or a pipeline, in a folder or a zip. Zips are read in place; nothing is unpacked to disk.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zip::result::ZipError;
use zip::{DateTime, ZipArchive, ZipWriter};

use crate::error::{Error, Result};
use crate::host::{Host, KeptFile};

/// Where the files lie.
#[derive(Debug)]
pub(super) enum Archive {
    Folder(PathBuf),
    Zip(Mutex<Zip<FileReader>>),
}

/// A zip whose entries were checked.
#[derive(Debug)]
pub(super) struct Zip<R> {
    archive: ZipArchive<R>,
    place: String,
}

/// No file of a model is larger.
pub(super) const FILE_LIMIT: u64 = 64 << 20;
/// All files of a zip together, unpacked.
const TOTAL_LIMIT: u64 = 1 << 30;
/// Files in a zip.
const COUNT_LIMIT: usize = 100_000;
/// An entry that unpacks to more than a mebibyte may be this many times as large as packed; numbers as text reach 10.
const RATIO_LIMIT: u64 = 100;

impl Archive {
    /// Opens a folder or a zip file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let reader = FileReader::open(path)?;
        let zip = Zip::new(reader, &path.display().to_string())?;
        Ok(Self::Zip(Mutex::new(zip)))
    }

    /// The bytes of one file; a name never leads out of the folder.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(inside(name)?);
                Host::default().bytes(path, FILE_LIMIT)
            }
            Self::Zip(zip) => zip
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .read(name),
        }
    }

    /// The names of all files, with `/` between folders, sorted. Folders are looked into `depth` deep.
    pub(super) fn names(&self, depth: u32) -> Result<Vec<String>> {
        match self {
            Self::Folder(folder) => {
                let mut names = Vec::new();
                walk(folder, "", depth, &mut names)?;
                Ok(names)
            }
            Self::Zip(zip) => Ok(zip.lock().unwrap_or_else(PoisonError::into_inner).names()),
        }
    }

    /// The names of the files that lie in one folder, sorted.
    pub(super) fn files(&self, folder: &str) -> Result<Vec<String>> {
        match self {
            Self::Folder(all) => {
                let mut names = Vec::new();
                walk(&all.join(inside(folder)?), "", 0, &mut names)?;
                Ok(names)
            }
            Self::Zip(zip) => {
                let zip = zip.lock().unwrap_or_else(PoisonError::into_inner);
                let inside = |name: &str| {
                    let name = name.strip_prefix(folder)?.strip_prefix('/')?;
                    let file = !name.is_empty() && !name.contains('/');
                    file.then(|| name.to_owned())
                };
                let names = zip.archive.file_names().flatten();
                let mut names: Vec<String> = names.filter_map(|name| inside(&name)).collect();
                names.sort();
                Ok(names)
            }
        }
    }
}

fn walk(folder: &Path, prefix: &str, depth: u32, names: &mut Vec<String>) -> Result<()> {
    for name in Host::default().names(folder)? {
        let path = folder.join(&name);
        if path.is_dir() {
            if depth > 0 {
                walk(&path, &format!("{prefix}{name}/"), depth - 1, names)?;
            }
        } else if names.len() < COUNT_LIMIT {
            names.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

impl<'a> Zip<Cursor<&'a [u8]>> {
    /// A zip in memory.
    pub(super) fn from_bytes(bytes: &'a [u8], place: &str) -> Result<Self> {
        Self::new(Cursor::new(bytes), place)
    }
}

impl<R: Read + Seek> Zip<R> {
    fn new(reader: R, place: &str) -> Result<Self> {
        let fail = |e: ZipError| Error::malformed(place, "a zip", e.to_string());
        let archive = ZipArchive::new(reader).map_err(fail)?;
        if archive.len() > COUNT_LIMIT {
            return Err(too_large(
                &format!("{place}: its number of files"),
                archive.len() as u64,
                COUNT_LIMIT as u64,
            ));
        }
        let mut total = 0u64;
        for index in 0..archive.len() {
            let entry = archive.by_index_data(index).map_err(fail)?;
            let name = entry.name().map_err(fail)?.into_owned();
            inside(&name)
                .map_err(|_outside| Error::malformed(place, "names inside the zip", &name))?;
            if entry.is_symlink() {
                return Err(Error::malformed(place, "files, not links", &name));
            }
            if entry.encrypted() {
                return Err(Error::malformed(place, "files without a password", &name));
            }
            let (packed, size) = (entry.compressed_size(), entry.size());
            if size > FILE_LIMIT {
                return Err(too_large(&format!("{place}: {name}"), size, FILE_LIMIT));
            }
            if size > (1 << 20) && size / RATIO_LIMIT > packed {
                let limit = packed.saturating_mul(RATIO_LIMIT);
                return Err(too_large(
                    &format!("{place}: {name} for its packed size"),
                    size,
                    limit,
                ));
            }
            total = total.saturating_add(size);
        }
        if total > TOTAL_LIMIT {
            return Err(too_large(
                &format!("{place}: all its files"),
                total,
                TOTAL_LIMIT,
            ));
        }
        Ok(Self {
            archive,
            place: place.to_owned(),
        })
    }

    /// The bytes of one file.
    pub(super) fn read(&mut self, name: &str) -> Result<Vec<u8>> {
        let place = format!("{}: {name}", self.place);
        let mut file = match self.archive.by_name(name) {
            Ok(file) => file,
            Err(ZipError::FileNotFound) => {
                return Err(Error::NotFound {
                    what: "file",
                    name: place,
                    hint: String::new(),
                });
            }
            Err(error) => {
                return Err(Error::malformed(
                    place,
                    "a file in a zip",
                    error.to_string(),
                ));
            }
        };
        let size = file.size();
        let mut bytes = Vec::new();
        // What an entry says of its size was checked; what it unpacks to is held to that.
        let read = file.by_ref().take(size + 1).read_to_end(&mut bytes);
        read.map_err(|e| Error::malformed(&place, "a file in a zip", e.to_string()))?;
        if bytes.len() as u64 > size {
            return Err(too_large(&place, bytes.len() as u64, size));
        }
        Ok(bytes)
    }

    /// Copies one file, packed as it is.
    pub(super) fn copy(&mut self, name: &str, to: &mut ZipWriter<Cursor<Vec<u8>>>) -> Result<()> {
        let fail = |e: ZipError| Error::malformed(&self.place, "a file in a zip", e.to_string());
        let file = self.archive.by_name(name).map_err(fail)?;
        to.raw_copy_file_touch(file, DateTime::DEFAULT, Some(0o644))
            .map_err(fail)
    }

    /// The names of all files, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.archive.file_names().flatten();
        let mut names: Vec<String> = names
            .filter(|n| !n.ends_with('/'))
            .map(|n| n.into_owned())
            .collect();
        names.sort();
        names
    }
}

/// A name as a path that stays below its folder.
fn inside(name: &str) -> Result<&Path> {
    let outside = name.starts_with('/')
        || name.contains(['\\', '\0', ':'])
        || name.split('/').any(|part| part == "..");
    if outside || name.is_empty() {
        return Err(Error::malformed("name", "a name inside the folder", name));
    }
    Ok(Path::new(name))
}

fn too_large(what: &str, size: u64, limit: u64) -> Error {
    Error::TooLarge {
        what: what.to_owned(),
        size,
        limit,
    }
}

/// A file read by position, so that a zip of many megabytes stays on the disk.
#[derive(Debug)]
pub(super) struct FileReader {
    file: KeptFile,
    at: u64,
    end: u64,
}

impl FileReader {
    fn open(path: &Path) -> Result<Self> {
        let file = Host::default().open_file(path)?;
        let end = file
            .file()
            .metadata()
            .map_err(|e| Error::read(path, e))?
            .len();
        Ok(Self { file, at: 0, end })
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.file().read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for FileReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
