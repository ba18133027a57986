//! A file for node_exporter's textfile collector.

use std::path::PathBuf;

use crate::files::replace;
use crate::{Error, Result};

/// A file that always holds one whole page.
#[derive(Debug)]
pub struct Textfile {
    path: PathBuf,
    /// Beside it, so that it can be renamed, and with a name that the collector does not read.
    fresh: PathBuf,
}

impl Textfile {
    /// A page goes to `path`, which ends in `.prom`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it does not: the collector would not read it.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if path.extension().is_none_or(|end| end != "prom") {
            return Err(Error::invalid(
                &path.display(),
                "node_exporter reads files that end in .prom",
            ));
        }
        let fresh = path.with_extension(format!("prom.{}", std::process::id()));
        Ok(Self { path, fresh })
    }

    /// Puts a page of Prometheus text in the place of the one before.
    ///
    /// # Errors
    /// Where it cannot be written, in words.
    pub fn write(&self, page: &str) -> std::result::Result<(), String> {
        replace(&self.path, &self.fresh, page.as_bytes(), false)
            .map_err(|e| format!("cannot write {}: {e}", self.path.display()))
    }
}
