//! Which expected models are in the folder of models.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::manager::Manager;
use super::manifest::{Expected, Source};
use super::pull::{Fetcher, Progress, holds_models, is_as_expected};

/// A folder of models, and what was seen of its files.
pub(super) struct Inventory {
    fetcher: Fetcher,
    /// By name: the file or folder as it was when it was looked at, and whether it was as expected. Locked while one is read,
    /// so that it is read once however many ask.
    seen: Mutex<HashMap<String, Seen>>,
}

struct Seen {
    stamp: Stamp,
    when: Instant,
    good: bool,
}

/// What changes when a file does.
type Stamp = (PathBuf, u64, Option<SystemTime>);

/// How long a folder is taken for what it was: what changes deep inside of it does not show.
const FOLDER: Duration = Duration::from_secs(10);

/// A manager's own models as a place to check.
pub(super) struct Local<'a>(pub(super) &'a Manager);

impl Inventory {
    pub(super) fn new(fetcher: Fetcher) -> Self {
        Self {
            fetcher,
            seen: Mutex::default(),
        }
    }

    /// Whether a model is there as it is expected. A file is read once for each time that it changes, a folder now and then.
    ///
    /// # Errors
    /// Why a file that is there cannot be read.
    pub(super) fn has(&self, expected: &Expected) -> Result<bool, String> {
        let Some(path) = self.path_of(expected) else {
            return Ok(false);
        };
        let metadata = path
            .metadata()
            .map_err(|e| format!("{}: {e}", path.display()))?;
        let stamp = (path.clone(), metadata.len(), metadata.modified().ok());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.get(&expected.name)
            && known.stamp == stamp
            && (!metadata.is_dir() || known.when.elapsed() < FOLDER)
        {
            return Ok(known.good);
        }
        let good = match metadata.is_dir() {
            true => holds_models(&path).is_ok(),
            false => is_as_expected(&path, expected)?,
        };
        let when = Instant::now();
        seen.insert(expected.name.clone(), Seen { stamp, when, good });
        Ok(good)
    }

    /// Where a model is that is there as it is expected.
    pub(super) fn there(&self, expected: &Expected) -> Option<PathBuf> {
        let good = self.has(expected).unwrap_or(false);
        good.then(|| self.path_of(expected)).flatten()
    }

    /// Fetches a model, whatever is there of it.
    ///
    /// # Errors
    /// Why not; then what was there is there still.
    pub(super) fn fetch(&self, expected: &Expected) -> Result<PathBuf, String> {
        let fetched = self
            .fetcher
            .fetch(expected, &mut Progress::logged(&expected.name))?;
        Ok(fetched.path)
    }

    fn path_of(&self, expected: &Expected) -> Option<PathBuf> {
        match &expected.source {
            // A folder is served where it is.
            Source::File(path) if path.is_dir() => Some(path.clone()),
            _ => self.fetcher.file_of(&expected.name),
        }
    }
}
