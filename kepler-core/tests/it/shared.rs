//! The reference data beside the repository: the public model database and answers of the older software.

use std::path::PathBuf;

use kepler_core::Host;
use serde_json::Value;

/// The folder of reference data, from `KEPLER_SHARED` or beside the repository. Without it the caller skips, except in
/// continuous integration, where it must be there.
pub(crate) fn folder() -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests are told by the environment where data lies"
    )]
    let (given, ci) = (std::env::var("KEPLER_SHARED"), std::env::var("CI"));
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = given.map_or(default, PathBuf::from);
    if folder.join("conformance").is_dir() {
        return Some(folder);
    }
    assert!(ci.is_err(), "{} is not there", folder.display());
    eprintln!("skipped: {} is not there", folder.display());
    None
}

/// The public model database.
pub(crate) fn database() -> Option<PathBuf> {
    Some(folder()?.join("data/kepler-model-db"))
}

/// The lines of a file of JSON objects under `conformance`.
pub(crate) fn conformance(name: &str) -> Option<Vec<Value>> {
    let path = folder()?.join("conformance").join(name);
    let text = Host::default().text(path).unwrap();
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}
