//! A fixture host copied to a folder of the test's own, whose files the test may change.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kepler_core::Host;

/// A copy of `tests/hosts/<name>`, removed when it is dropped.
pub(crate) struct MachineCopy {
    folder: tempfile::TempDir,
}

impl MachineCopy {
    pub(crate) fn of(name: &str) -> Self {
        let original = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/hosts")
            .join(name);
        let copy = Self::empty();
        copy_tree(&original, copy.folder.path());
        copy
    }

    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Other users must get as far as the file whose mode a test is about.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    pub(crate) fn host(&self) -> Host {
        Host::at(self.folder.path())
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Writes a file in place: a descriptor kept on it sees the new text.
    pub(crate) fn set(&self, file: &str, text: impl Display + Copy) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in Host::default().names(from).unwrap() {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy_tree(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}
