//! A model's file from where it is published to a folder of models, whole and checked or not at all.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kepler_core::Host;
use kepler_core::model::{ModelRegistry, PowerModel};
use ring::digest::{Context, SHA256};

use super::download::{Download, Failed, Limits};
use super::progress::Progress;
#[cfg(feature = "s3")]
use super::s3;
use crate::manage::client::Client;
use crate::manage::manifest::{Expected, Source};

/// Fetches models into a folder.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    pub(crate) client: Client,
    pub(crate) folder: PathBuf,
    pub(crate) limits: Limits,
}

/// A model's file that was fetched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// Bytes that an earlier call had fetched.
    pub(crate) resumed: u64,
}

/// What a model's file may end with.
const ENDINGS: [&str; 2] = ["zip", "json"];

impl Fetcher {
    /// Fetches a model. A file of that name which is there already is replaced at the end, in one step, if all went well.
    /// Blocks.
    ///
    /// # Errors
    /// Why not; then whatever was there is there still.
    pub(crate) fn fetch(
        &self,
        expected: &Expected,
        progress: &mut Progress,
    ) -> Result<Fetched, String> {
        let name = &expected.name;
        fs::create_dir_all(&self.folder)
            .map_err(|e| format!("cannot make the folder {}: {e}", self.folder.display()))?;
        let (part, note) = (self.hidden(name, "part"), self.hidden(name, "note"));
        let mut file = open_alone(&part, name)?;
        let done = self.fill(expected, &mut file, &note, progress);
        let resumed = match done {
            Ok(resumed) => resumed,
            Err(failed) => {
                // Half of a file on a full disk helps nobody, and nor does nothing of one.
                let is_empty = file.metadata().is_ok_and(|file| file.len() == 0);
                if failed.is_full || is_empty {
                    forget(&[&part, &note]);
                }
                return Err(failed.why);
            }
        };
        match self.check(expected, &part, &mut file, resumed) {
            Ok(fetched) => {
                forget(&[&note]);
                Ok(fetched)
            }
            Err(error) => {
                forget(&[&part, &note]);
                Err(error)
            }
        }
    }

    /// The file of a model that was fetched, if there is one.
    pub(crate) fn file_of(&self, name: &str) -> Option<PathBuf> {
        let path = |ending| self.folder.join(format!("{name}.{ending}"));
        ENDINGS.map(path).into_iter().find(|path| path.is_file())
    }

    fn fill(
        &self,
        expected: &Expected,
        file: &mut File,
        note: &Path,
        progress: &mut Progress,
    ) -> Result<u64, Failed> {
        let name = expected.source.to_string();
        let download = Download {
            client: &self.client,
            name: &name,
            note,
            is_checked: expected.sha256.is_some(),
            limits: &self.limits,
        };
        match &expected.source {
            Source::Http(url) => download.run(|| Ok(url.clone()), file, progress),
            #[cfg(feature = "s3")]
            Source::S3(url) => {
                let signer = s3::Signer::new(url, &self.client)?;
                download.run(|| signer.url(), file, progress)
            }
            #[cfg(not(feature = "s3"))]
            Source::S3(_) => Err("built without the feature `s3`".to_owned().into()),
            Source::File(path) => self.copy(path, file).map(|()| 0),
        }
    }

    fn copy(&self, from: &Path, to: &mut File) -> Result<(), Failed> {
        let fail = |e: io::Error| Failed::by(&format!("cannot copy {}", from.display()), &e);
        let source = Host::default().open(from).map_err(|e| e.to_string())?;
        let metadata = source.file().metadata().map_err(fail)?;
        if !metadata.is_file() {
            return Err(format!(
                "{} is not a file; a folder of models is served in place by --models",
                from.display()
            )
            .into());
        }
        if metadata.len() > self.limits.bytes {
            return Err(format!(
                "{} is too large: {} bytes (limit {})",
                from.display(),
                metadata.len(),
                self.limits.bytes
            )
            .into());
        }
        to.set_len(0).map_err(fail)?;
        to.seek(SeekFrom::Start(0)).map_err(fail)?;
        io::copy(&mut source.file().take(self.limits.bytes), to).map_err(fail)?;
        Ok(())
    }

    /// Compares the checksum, looks whether the file holds models, and puts it in its place.
    fn check(
        &self,
        expected: &Expected,
        part: &Path,
        file: &mut File,
        resumed: u64,
    ) -> Result<Fetched, String> {
        let (name, source) = (&expected.name, &expected.source);
        let (sha256, bytes) = sha256_of(file).map_err(|e| format!("{}: {e}", part.display()))?;
        if let Some(wanted) = expected.sha256.as_ref().filter(|wanted| **wanted != sha256) {
            return Err(format!(
                "{source}: its sha256 is {sha256}, not {wanted} as expected; thrown away"
            ));
        }
        let ending = holds_models(part).map_err(|why| format!("{source}: {why}; thrown away"))?;
        let path = self.folder.join(format!("{name}.{ending}"));
        let fail = |e: io::Error| format!("cannot put {name} in its place: {e}");
        file.sync_all().map_err(fail)?;
        fs::rename(part, &path).map_err(fail)?;
        for other in ENDINGS.iter().filter(|other| **other != ending) {
            forget(&[&self.folder.join(format!("{name}.{other}"))]);
        }
        // The name is on disk when the folder is.
        if let Ok(folder) = Host::default().open(&self.folder) {
            let _ = folder.file().sync_all();
        }
        Ok(Fetched {
            path,
            bytes,
            sha256,
            resumed,
        })
    }

    /// A file that no pipeline of the folder is taken for.
    fn hidden(&self, name: &str, kind: &str) -> PathBuf {
        self.folder.join(format!(".{name}.{kind}"))
    }
}

/// What a file that holds models ends with: a pipeline's zip or a single model.
///
/// # Errors
/// Why it holds none.
pub(crate) fn holds_models(path: &Path) -> Result<&'static str, String> {
    let is_zip = Host::default()
        .prefix(path, 2)
        .map_err(|e| e.to_string())?
        .starts_with(b"PK");
    let pipeline = match is_zip {
        true => ModelRegistry::open(path).map(|registry| match registry.skipped() {
            [(file, error), ..] if registry.entries().is_empty() => Err(format!("{file}: {error}")),
            _ => Ok("zip"),
        }),
        false => PowerModel::load(path).map(|_| Ok("json")),
    };
    match pipeline {
        Ok(found) => found,
        // A zip may be of a single model, too.
        Err(error) if is_zip && PowerModel::load(path).is_err() => Err(error.to_string()),
        Err(_) if is_zip => Ok("zip"),
        Err(error) => Err(error.to_string()),
    }
}

/// The checksum and length of a file, as hexadecimal digits.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn sha256_of(file: &mut File) -> io::Result<(String, u64)> {
    file.seek(SeekFrom::Start(0))?;
    let (mut context, mut piece) = (Context::new(&SHA256), vec![0; 64 << 10]);
    let mut bytes = 0;
    loop {
        match file.read(&mut piece)? {
            0 => break,
            count => {
                context.update(&piece[..count]);
                bytes += count as u64;
            }
        }
    }
    let digits = context.finish();
    let digits = digits.as_ref().iter().map(|byte| format!("{byte:02x}"));
    Ok((digits.collect(), bytes))
}

/// Opens the unfinished file, for this call alone.
fn open_alone(part: &Path, name: &str) -> Result<File, String> {
    let fail = |e: io::Error| format!("cannot write {}: {e}", part.display());
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.custom_flags(libc::O_NOFOLLOW);
    loop {
        let file = options.open(part).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!("{name} is being fetched already"));
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        // Between the two another call may have put this very file in its place, where nobody may write it any more, or
        // thrown it away.
        if is_still(part, &file.metadata().map_err(fail)?) {
            return Ok(file);
        }
    }
}

/// Whether a file is the one that stands there by name.
fn is_still(path: &Path, opened: &Metadata) -> bool {
    let named = path.symlink_metadata();
    named.is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino()))
}

fn forget(paths: &[&Path]) {
    for path in paths {
        // What is not there needs no removal; what cannot be removed is overwritten by the next call.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_that_took_its_place_or_left_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let (part, good) = (folder.path().join("part"), folder.path().join("good"));
        let file = open_alone(&part, "p").unwrap();
        let error = open_alone(&part, "p").unwrap_err();
        assert!(error.contains("being fetched already"), "{error}");
        let metadata = file.metadata().unwrap();
        assert!(is_still(&part, &metadata));
        fs::rename(&part, &good).unwrap();
        assert!(!is_still(&part, &metadata));
        // Another one of that name, while the first is still locked.
        let other = open_alone(&part, "p").unwrap();
        assert!(!is_still(&part, &metadata) && is_still(&part, &other.metadata().unwrap()));
        // Nor what somebody points at from there.
        forget(&[&part]);
        symlink(&good, &part).unwrap();
        assert!(open_alone(&part, "p").is_err());
    }
}
