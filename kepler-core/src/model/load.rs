//! Reading a model, whatever form it comes in.

use std::path::Path;

use super::archive::{Archive, FILE_LIMIT, Zip};
use super::{ModelFile, PowerModel, database, weights};
use crate::error::{Error, Result};
use crate::host::Host;

impl PowerModel {
    /// Reads a model from a file or folder: a `kepler-model/1` file, weights as JSON, a model folder or a model zip of
    /// the public database.
    ///
    /// # Errors
    /// [`Error::Read`] for a file that cannot be read, [`Error::Malformed`] with the place for one that is none of
    /// these, [`Error::Unsupported`] for a pickle that holds more than a model, [`Error::TooLarge`] above 64 MiB.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let place = path.display().to_string();
        if path.is_dir() {
            let folder = Archive::open(path)?;
            return Self::new(database::model(&mut |name| folder.read(name), &place)?);
        }
        let bytes = Host::default().bytes(path, FILE_LIMIT)?;
        let name = path
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default();
        Self::from_named_bytes(&bytes, name, &place)
    }

    /// Reads a model from memory, in any of the forms of a file that [`PowerModel::load`] knows.
    ///
    /// # Errors
    /// As [`PowerModel::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_named_bytes(bytes, "", "model")
    }

    fn from_named_bytes(bytes: &[u8], name: &str, place: &str) -> Result<Self> {
        Self::new(ModelFile::from_bytes(bytes, name, place)?)
    }
}

impl ModelFile {
    /// Reads a file of any form. `name` is what curves in weights are told by when they have no name of their own.
    pub(super) fn from_bytes(bytes: &[u8], name: &str, place: &str) -> Result<Self> {
        if bytes.starts_with(b"PK") {
            let mut zip = Zip::from_bytes(bytes, place)?;
            return database::model(&mut |name| zip.read(name), place);
        }
        let start = bytes.trim_ascii_start();
        if !start.starts_with(b"{") {
            let found = String::from_utf8_lossy(&start[..start.len().min(16)]).into_owned();
            return Err(Error::malformed(place, "a model as JSON or zip", found));
        }
        let own: std::result::Result<OwnFormat, _> = serde_json::from_slice(bytes);
        match own {
            Ok(OwnFormat { format: Some(_) }) => Self::from_json(bytes, place),
            _ => weights::model(bytes, name, place),
        }
    }
}

#[derive(serde::Deserialize)]
struct OwnFormat {
    format: Option<serde_json::Value>,
}
