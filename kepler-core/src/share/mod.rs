//! A machine's energy handed to its virtual machines: for each a folder that looks like powercap, to be mounted into the guest.

mod zone;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::monitor::{Snapshot, WorkloadUsage};
use crate::units::Joules;

use zone::{Counter, ZONES, unwritten};

/// Writes what each virtual machine used into a folder of its own.
///
/// The folder `<vm>/class/powercap/intel-rapl:*` holds `name`, `max_energy_range_uj` and `energy_uj` as the kernel's powercap
/// does, with the machine's own active energy by domain. A guest that mounts `<vm>` (read-only; by virtiofs, say) reads it as a
/// meter. Counters go on, in the same folder, after this program was started anew or a write failed; the folder of a machine
/// that is gone is removed. An empty folder that is there already is filled, so that it can be mounted before the machine starts.
///
/// A folder appears whole, and a counter changes in one write of one length, so that a guest never reads half of either. Files
/// that were not made here are never changed or removed, whatever a machine is called.
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
    /// One for each domain that is shared.
    counters: Vec<Counter>,
    /// The last snapshot that had it.
    turn: u64,
}

/// The longest folder name that every file system takes, less what is added while it is made.
const NAME: usize = 200;

impl VmShare {
    /// A share in this folder, which is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Kernel`] with the path when it cannot be made or written.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|e| unwritten(&folder, e))?;
        let probe = folder.join(format!(".kepler-{}", std::process::id()));
        match File::options().write(true).create_new(true).open(&probe) {
            Ok(_) => fs::remove_file(&probe).map_err(|e| unwritten(&probe, e))?,
            // Whoever's it is, it stays.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unwritten(&probe, error)),
        }
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
    /// [`Error::Kernel`] with the path that could not be written, [`Error::InvalidInput`] where something else lies in the place
    /// of a machine's folder; all other counters are written all the same.
    pub fn write(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.turn += 1;
        let mut result = Ok(());
        for vm in &snapshot.vms {
            let id = &vm.vm.id;
            if let Err(error) = self.write_one(id, &vm.vm.name, snapshot, &vm.usage) {
                result = result.and(Err(error));
            }
        }
        let turn = self.turn;
        let gone = self.shared.extract_if(|_, shared| shared.turn != turn);
        for (_, shared) in gone {
            result = result.and(zone::remove(&self.host, &shared.folder));
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
        let mut result = Ok(());
        for counter in &mut shared.counters {
            let energy = usage.energy.get(counter.place);
            let joules = energy.map_or(Joules::ZERO, |e| e.joules);
            result = result.and(counter.write(joules.microjoules().0));
        }
        result
    }

    /// The folder of a machine: the one that is there, which a guest may have mounted, or a new one, made aside and then put
    /// in its place.
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
        let powercap = zone::powercap(&folder);
        let ours = |zone: &str| zone::is_ours(&self.host, &powercap.join(zone));
        let there = fs::symlink_metadata(&folder).ok();
        // A guest that is to mount it at its start needs the folder before this knows of the guest.
        let made_ahead = there.as_ref().is_some_and(fs::Metadata::is_dir)
            && self.host.names(&folder)?.is_empty();
        let there = there.is_some();
        if there && !made_ahead && !ZONES.iter().any(|(_, zone, _)| ours(zone)) {
            return Err(in_the_way(&folder));
        }
        // What was left when this was stopped half way.
        zone::remove(&self.host, &aside)?;
        let mut places = Vec::new();
        for (domain, zone, zone_name) in ZONES {
            let mut domains = snapshot.node.domains.iter();
            let Some(place) = domains.position(|d| d.domain == domain) else {
                continue;
            };
            let path = powercap.join(zone);
            if !ours(zone) {
                if fs::symlink_metadata(&path).is_ok() {
                    return Err(in_the_way(&path));
                }
                zone::make(&zone::powercap(&aside).join(zone), zone_name)?;
            }
            places.push((place, zone, path));
        }
        if made_ahead && !places.is_empty() {
            let class = Path::new("class");
            let path = folder.join(class);
            fs::rename(aside.join(class), &path).map_err(|e| unwritten(&path, e))?;
            zone::remove(&self.host, &aside)?;
        } else if there {
            // Zones that it did not have: the meters of this host are others than before.
            for (_, zone, path) in places.iter().filter(|(_, zone, _)| !ours(zone)) {
                let made = zone::powercap(&aside).join(zone);
                fs::rename(made, path).map_err(|e| unwritten(path, e))?;
            }
            zone::remove(&self.host, &aside)?;
        } else if !places.is_empty() {
            fs::rename(&aside, &folder).map_err(|e| unwritten(&folder, e))?;
        }
        let counters = places
            .iter()
            .map(|(place, _, path)| Counter::open(&self.host, *place, path));
        Ok(Shared {
            counters: counters.collect::<Result<_>>()?,
            folder,
            turn: self.turn,
        })
    }
}

fn in_the_way(path: &Path) -> Error {
    Error::invalid(
        path.display().to_string(),
        "a virtual machine's energy is to be shared here, but what lies here was not made for that: move it away, or share \
         into another folder",
    )
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
        assert_eq!(zone::line(0).len(), zone::line(zone::RANGE).len());
    }
}
