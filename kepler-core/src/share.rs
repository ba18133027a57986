//! A machine's energy handed to its virtual machines: for each a folder that looks like powercap, to be mounted into the guest.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::energy::Domain;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::monitor::{Snapshot, WorkloadUsage};
use crate::units::Joules;

/// Writes what each virtual machine used into a folder of its own.
///
/// The folder `<vm>/class/powercap/intel-rapl:*` holds `name`, `max_energy_range_uj` and `energy_uj` as the kernel's powercap
/// does, with the machine's own active energy by domain. A guest that mounts `<vm>` (read-only; by virtiofs, say) reads it as a
/// meter. Counters go on after this program was started anew; the folder of a machine that is gone is removed.
///
/// A folder appears whole, and a counter changes in one write of one length, so that a guest never reads half of either.
///
/// ```
/// use kepler_core::monitor::Monitor;
/// use kepler_core::share::VmShare;
///
/// let folder = tempfile::tempdir().unwrap();
/// let mut share = VmShare::open(folder.path())?;
/// let mut monitor = Monitor::builder().fake().build()?;
/// share.write(&*monitor.sample()?)?;
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Debug)]
pub struct VmShare {
    folder: PathBuf,
    host: Host,
    shared: HashMap<Arc<str>, Shared>,
    turn: u64,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// For each domain that is shared: its place, its file, and where its counter began.
    counters: Vec<(usize, File, u64)>,
    /// The last snapshot that had it.
    turn: u64,
}

/// Zones as powercap numbers them: the domain, its folder, its name.
const ZONES: [(Domain, &str, &str); 5] = [
    (Domain::Package, "intel-rapl:0", "package-0"),
    (Domain::Core, "intel-rapl:0:0", "core"),
    (Domain::Uncore, "intel-rapl:0:1", "uncore"),
    (Domain::Dram, "intel-rapl:0:2", "dram"),
    (Domain::Psys, "intel-rapl:1", "psys"),
];
/// It never starts again at 0.
const RANGE: u64 = u64::MAX >> 1;
/// The longest folder name that every file system takes, less what is added while it is made.
const NAME: usize = 200;

impl VmShare {
    /// A share in this folder, which is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Read`] with the path when it cannot be made or written.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|e| Error::read(&folder, e))?;
        let probe = folder.join(".kepler");
        fs::write(&probe, b"").map_err(|e| Error::read(&probe, e))?;
        fs::remove_file(&probe).map_err(|e| Error::read(&probe, e))?;
        Ok(Self {
            folder,
            host: Host::default(),
            shared: HashMap::new(),
            turn: 0,
        })
    }

    /// Writes the counters of every virtual machine of a snapshot, and removes the folders of those that it no longer has.
    ///
    /// # Errors
    /// [`Error::Read`] with the path that could not be written; the other machines' counters are written all the same.
    pub fn write(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.turn += 1;
        let mut result = Ok(());
        for vm in &snapshot.vms {
            let id = &vm.vm.id;
            if let Err(error) = self.write_one(id, &vm.vm.name, snapshot, &vm.usage) {
                self.shared.remove(id);
                result = result.and(Err(error));
            }
        }
        let turn = self.turn;
        let gone = self.shared.extract_if(|_, shared| shared.turn != turn);
        for (_, shared) in gone {
            let removed = fs::remove_dir_all(&shared.folder);
            result = result.and(removed.map_err(|e| Error::read(&shared.folder, e)));
        }
        result
    }

    fn write_one(
        &mut self,
        id: &Arc<str>,
        name: &str,
        snapshot: &Snapshot,
        usage: &WorkloadUsage,
    ) -> Result<()> {
        if !self.shared.contains_key(id) {
            let made = self.make(id, name, snapshot)?;
            self.shared.insert(Arc::clone(id), made);
        }
        let Some(shared) = self.shared.get_mut(id) else {
            return Ok(());
        };
        shared.turn = self.turn;
        for (place, file, began) in &shared.counters {
            let joules = usage.energy.get(*place).map_or(Joules::ZERO, |e| e.joules);
            let counter = began.saturating_add(joules.microjoules().0).min(RANGE);
            file.write_all_at(line(counter).as_bytes(), 0)
                .map_err(|e| Error::read(&shared.folder, e))?;
        }
        Ok(())
    }

    /// The folder of a machine, made aside and then put in its place. One that is there already goes on counting.
    fn make(&self, id: &str, name: &str, snapshot: &Snapshot) -> Result<Shared> {
        let taken = self
            .shared
            .values()
            .any(|s| s.folder == self.folder.join(file_name(name)));
        let name = file_name(if taken { id } else { name });
        let (folder, aside) = (
            self.folder.join(&name),
            self.folder.join(format!(".{name}.new")),
        );
        let zones = Path::new("class/powercap");
        let mut counters = Vec::new();
        let _ = fs::remove_dir_all(&aside);
        for (domain, zone, zone_name) in ZONES {
            let mut domains = snapshot.node.domains.iter();
            let Some(place) = domains.position(|d| d.domain == domain) else {
                continue;
            };
            let before = self
                .host
                .text(folder.join(zones).join(zone).join("energy_uj"));
            let before = before
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(0);
            let path = aside.join(zones).join(zone);
            fs::create_dir_all(&path).map_err(|e| Error::read(&path, e))?;
            for (file, text) in [
                ("name", format!("{zone_name}\n")),
                ("max_energy_range_uj", format!("{RANGE}\n")),
                ("energy_uj", line(before)),
            ] {
                let path = path.join(file);
                fs::write(&path, text).map_err(|e| Error::read(&path, e))?;
            }
            counters.push((place, zone, before));
        }
        let _ = fs::remove_dir_all(&folder);
        fs::rename(&aside, &folder).map_err(|e| Error::read(&folder, e))?;
        let open = |(place, zone, before): (usize, &str, u64)| {
            let path = folder.join(zones).join(zone).join("energy_uj");
            let file = File::options().write(true).open(&path);
            Ok((place, file.map_err(|e| Error::read(&path, e))?, before))
        };
        Ok(Shared {
            counters: counters.into_iter().map(open).collect::<Result<_>>()?,
            folder,
            turn: self.turn,
        })
    }
}

/// Always of one length.
fn line(counter: u64) -> String {
    format!("{counter:020}\n")
}

/// A name that stays in its folder: what is no letter, digit, `-`, `_` or inner `.` is written as its bytes.
fn file_name(name: &str) -> String {
    let mut safe = String::new();
    for byte in name.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || b"-_".contains(&byte)
            || (byte == b'.' && !safe.is_empty());
        if plain {
            safe.push(char::from(byte));
        } else {
            safe += &format!("%{byte:02x}");
        }
        if safe.len() >= NAME {
            break;
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        assert_eq!(file_name("web-1.example"), "web-1.example");
        assert_eq!(file_name("../../etc"), "%2e.%2f..%2fetc");
        assert_eq!(file_name("a/b\0é"), "a%2fb%00%c3%a9");
        assert!(file_name(&"é".repeat(1000)).len() < 210);
    }

    #[test]
    fn a_counter_is_always_as_long() {
        assert_eq!(line(0).len(), line(RANGE).len());
    }
}
