//! Which zones `/sys/class/powercap` shows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::energy::rapl::name::{self, Directory, ZoneName};
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;

/// A RAPL zone's directory.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) directory: Directory,
    pub(super) path: PathBuf,
    pub(super) parent: Option<PathBuf>,
    pub(super) name: String,
    /// What it is; a part of a package has the package's socket and die.
    pub(super) what: ZoneName,
}

impl Found {
    /// Whether `other` is the same part, shown by another driver.
    pub(super) fn is_twin(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.what, other.what);
        self.directory.control != other.directory.control
            && (mine.domain, mine.index) == (theirs.domain, theirs.index)
            && (mine.die == theirs.die || mine.die.is_none() || theirs.die.is_none())
    }

    /// Whether `other` is another die of the same socket, or the same part of such.
    pub(super) fn is_other_die(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.what, other.what);
        (mine.domain, mine.index) == (theirs.domain, theirs.index)
            && mine.die.is_some()
            && theirs.die.is_some()
            && mine.die != theirs.die
    }
}

/// All RAPL zones, those of the preferred control types first, then by number.
pub(super) fn discover(host: &Host) -> Result<Vec<Found>> {
    let mut directories = BTreeMap::new();
    let class = host.sys("class/powercap");
    let top = host.names(&class).map_err(|error| match error.kind() {
        ErrorKind::NotFound => none(format!("there is no {}", class.display())),
        _ => error,
    })?;
    walk(host, &class, &top, DEPTH, &mut directories);
    let mut named = BTreeMap::new();
    for (directory, path) in &directories {
        if let Ok(Some(text)) = host.optional(path.join("name"))
            && let Some(what) = name::parse(&text)
        {
            named.insert(directory, (text, what, path));
        }
    }
    let found = named.iter().map(|(directory, (name, what, path))| {
        let parent = directory.parent();
        let parent = parent.as_ref().and_then(|p| named.get(p));
        Found {
            directory: (*directory).clone(),
            path: path.to_path_buf(),
            parent: parent.map(|(_, _, path)| path.to_path_buf()),
            name: name.clone(),
            what: ZoneName {
                domain: what.domain,
                index: what.index.or(parent.and_then(|(_, p, _)| p.index)),
                die: what.die.or(parent.and_then(|(_, p, _)| p.die)),
            },
        }
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return Err(none(format!("{} shows no RAPL zone", class.display())));
    }
    Ok(found)
}

/// The kernel links every zone into the class folder; a container may only be shown the device tree, where parts lie in
/// their packages and packages in their control type.
fn walk(
    host: &Host,
    folder: &Path,
    names: &[String],
    depth: usize,
    found: &mut BTreeMap<Directory, PathBuf>,
) {
    let rapl = || names.iter().filter(|name| name.starts_with("intel-rapl"));
    for name in rapl() {
        if let Some(directory) = Directory::parse(name)
            && found.len() < ZONES
        {
            found.entry(directory).or_insert_with(|| folder.join(name));
        }
    }
    for path in rapl().map(|name| folder.join(name)).filter(|_| depth > 0) {
        let inner = host.names(&path).unwrap_or_default();
        walk(host, &path, &inner, depth - 1, found);
    }
}

fn none(why: String) -> Error {
    Error::Unsupported {
        what: "RAPL by powercap".into(),
        why,
        hint:
            "on a physical machine load the module: modprobe intel_rapl_msr; guests rarely have one"
                .into(),
    }
}

/// Control type, package, part.
const DEPTH: usize = 2;

/// No machine has more; a fabricated tree may.
const ZONES: usize = 4096;
