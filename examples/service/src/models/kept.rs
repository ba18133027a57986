//! Models on disk, for a start at which nobody answers.

use std::fs;
use std::path::{Path, PathBuf};

use kepler_core::model::{EnergySourceName, PowerModel};

use crate::files::replace;

/// A folder with a model of each meter, in the library's own format. A file is replaced as a whole.
pub(super) struct Kept(PathBuf);

impl Kept {
    pub(super) fn open(folder: impl AsRef<Path>) -> Result<Self, String> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder)
            .map_err(|e| format!("cannot make the folder {}: {e}", folder.display()))?;
        Ok(Self(folder.to_owned()))
    }

    /// The model that was kept; what cannot be read is told and left alone.
    pub(super) fn model(&self, source: EnergySourceName) -> Option<PowerModel> {
        let path = self.path(source);
        if !path.exists() {
            return None;
        }
        let model = PowerModel::load(&path);
        model
            .inspect_err(|e| crate::log::warn(&format!("models: what was kept: {e}")))
            .ok()
    }

    pub(super) fn save(&self, source: EnergySourceName, model: &PowerModel) -> Result<(), String> {
        let path = self.path(source);
        let fresh = path.with_extension(format!("{}", std::process::id()));
        let text = model.file().to_json().map_err(|e| e.to_string())?;
        replace(&path, &fresh, text.as_bytes(), true)
            .map_err(|e| format!("cannot keep {}: {e}", path.display()))
    }

    fn path(&self, source: EnergySourceName) -> PathBuf {
        self.0.join(format!("{source}.json"))
    }
}
