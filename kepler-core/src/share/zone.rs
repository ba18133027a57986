//! One zone of a machine's folder: three files as the kernel's powercap has them, and how those made here are told from others.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::energy::Domain;
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;

/// Zones as powercap numbers them: the domain, its folder, its name.
pub(super) const ZONES: [(Domain, &str, &str); 5] = [
    (Domain::Package, "intel-rapl:0", "package-0"),
    (Domain::Core, "intel-rapl:0:0", "core"),
    (Domain::Uncore, "intel-rapl:0:1", "uncore"),
    (Domain::Dram, "intel-rapl:0:2", "dram"),
    (Domain::Psys, "intel-rapl:1", "psys"),
];
/// It never starts again at 0.
pub(super) const RANGE: u64 = u64::MAX >> 1;
const NAME_FILE: &str = "name";
const COUNTER_FILE: &str = "energy_uj";
/// Tells a zone that was made here from any other: no meter has this range. Made first and removed last.
const RANGE_FILE: &str = "max_energy_range_uj";

/// A counter that is written.
#[derive(Debug)]
pub(super) struct Counter {
    /// The domain's place in a snapshot.
    pub(super) place: usize,
    path: PathBuf,
    /// Opened anew after a write that failed.
    pub(super) file: Option<File>,
    /// Where it began.
    began: u64,
}

impl Counter {
    /// Of a zone that is there, whose counter is made where its removal was stopped half way.
    pub(super) fn open(host: &Host, place: usize, zone: &Path) -> Result<Self> {
        let path = zone.join(COUNTER_FILE);
        let text = match host.text(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                create(&path, &line(0))?;
                line(0)
            }
            text => text?,
        };
        let began = text
            .trim()
            .parse()
            .map_err(|_| Error::malformed(path.display(), "microjoules", &text))?;
        let mut counter = Self {
            place,
            path,
            file: None,
            began,
        };
        counter.reopen()?;
        Ok(counter)
    }

    /// Writes what was used since it began, in one write of one length.
    pub(super) fn write(&mut self, used: u64) -> Result<()> {
        let text = line(self.began.saturating_add(used).min(RANGE));
        let written = self.reopen()?.write_all_at(text.as_bytes(), 0);
        if written.is_err() {
            self.file = None;
        }
        written.map_err(|e| unwritten(&self.path, e))
    }

    fn reopen(&mut self) -> Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::options()
                .write(true)
                .open(&self.path)
                .map_err(|e| unwritten(&self.path, e))?,
        };
        Ok(self.file.insert(file))
    }
}

/// Whether a zone was made here.
pub(super) fn is_ours(host: &Host, zone: &Path) -> bool {
    let range = host.text(zone.join(RANGE_FILE));
    range.is_ok_and(|range| range == format!("{RANGE}\n"))
}

/// Makes the files of a zone in a folder that has none.
pub(super) fn make(zone: &Path, name: &str) -> Result<()> {
    fs::create_dir_all(zone).map_err(|e| unwritten(zone, e))?;
    for (file, text) in [
        (RANGE_FILE, format!("{RANGE}\n")),
        (NAME_FILE, format!("{name}\n")),
        (COUNTER_FILE, line(0)),
    ] {
        create(&zone.join(file), &text)?;
    }
    Ok(())
}

fn create(path: &Path, text: &str) -> Result<()> {
    let made = File::options().write(true).create_new(true).open(path);
    made.and_then(|file| file.write_all_at(text.as_bytes(), 0))
        .map_err(|e| unwritten(path, e))
}

/// Removes the files that were made here below a machine's folder, and the folders that are empty then.
pub(super) fn remove(host: &Host, folder: &Path) -> Result<()> {
    let powercap = powercap(folder);
    for (_, zone, _) in ZONES {
        let zone = powercap.join(zone);
        if !is_ours(host, &zone) {
            continue;
        }
        for file in [COUNTER_FILE, NAME_FILE, RANGE_FILE] {
            gone(|path| fs::remove_file(path), &zone.join(file))?;
        }
        gone(|path| fs::remove_dir(path), &zone)?;
    }
    let class = folder.join("class");
    [&powercap, &class, folder]
        .into_iter()
        .try_for_each(|folder| gone(|path| fs::remove_dir(path), folder))
}

/// Removes what may be gone, and leaves a folder that others put something into.
fn gone(remove: impl Fn(&Path) -> io::Result<()>, path: &Path) -> Result<()> {
    use std::io::ErrorKind::{DirectoryNotEmpty, NotFound};
    match remove(path) {
        Err(error) if [DirectoryNotEmpty, NotFound].contains(&error.kind()) => Ok(()),
        removed => removed.map_err(|e| unwritten(path, e)),
    }
}

/// What is said of a file or folder that could not be made, written or removed.
pub(super) fn unwritten(path: &Path, source: io::Error) -> Error {
    Error::Kernel {
        call: format!("writing {}", path.display()),
        source,
        hint: String::new(),
    }
}

/// Where the zones lie in a machine's folder.
pub(super) fn powercap(folder: &Path) -> PathBuf {
    folder.join("class/powercap")
}

/// Always of one length.
pub(super) fn line(counter: u64) -> String {
    format!("{counter:020}\n")
}
