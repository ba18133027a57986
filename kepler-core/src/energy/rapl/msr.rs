//! RAPL by model specific register: `/dev/cpu/N/msr` (msr(4)).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::energy::meter::{self, Meter};
use crate::energy::rapl::cpu::Cpu;
use crate::energy::rapl::registers::{Register, Scope, per_joule, registers};
use crate::energy::rapl::sum::Sum;
use crate::energy::rapl::topology::{Place, cpus};
use crate::energy::suspends::Suspends;
use crate::energy::{Domain, EnergySource, Reading, Zone};
use crate::error::{Error, ErrorKind, Result};
use crate::host::{Host, KeptFile};
use crate::provenance::Provenance;
use crate::units::{Microjoules, count_to_f64, f64_to_count};

/// RAPL energy counters read from the processor's registers, Intel's and AMD's.
///
/// Needs the `msr` module and `CAP_SYS_RAWIO`. Counters have 32 bits and wrap after a minute or more of heavy load. AMD's cores
/// are read one by one and added up; one that is taken offline makes its package's core zone fail until it is back. A counter
/// that stands at 0 when the source is opened does not exist there. Counts the same energy as
/// [`Powercap`](crate::energy::Powercap): use one of them.
pub struct Msr {
    zones: Vec<Zone>,
    counters: Vec<Sum<Counter>>,
    registers: ReadRegister,
    suspends: Suspends,
}

/// Reads a register of a CPU.
type ReadRegister = Box<dyn FnMut(u32, u64) -> Result<u64> + Send>;

impl Msr {
    /// The name in provenance.
    pub const NAME: &'static str = "rapl-msr";

    /// Opens the registers of every package.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without the `msr` module, on other makers' processors and where every counter stands at 0;
    /// [`ErrorKind::PermissionDenied`] when the registers may not be read.
    pub fn open(host: &Host) -> Result<Self> {
        let mut devices = Devices {
            host: host.clone(),
            open: BTreeMap::new(),
        };
        Self::open_with(host, move |cpu, register| devices.read(cpu, register))
    }

    /// Like [`Msr::open`], with `read(cpu, register)` in the place of `/dev/cpu`: by a privileged helper, say.
    ///
    /// # Errors
    /// As [`Msr::open`], and what `read` returns for the unit register.
    pub fn open_with(
        host: &Host,
        read: impl FnMut(u32, u64) -> Result<u64> + Send + 'static,
    ) -> Result<Self> {
        let mut read: ReadRegister = Box::new(read);
        let cpu = Cpu::read(host)?;
        let known = registers(cpu)
            .ok_or_else(|| none("the processor has no such registers that are known".into()))?;
        let (mut zones, mut counters) = (Vec::<Zone>::new(), Vec::new());
        for package in packages(host)? {
            let unit = read(package[0].cpu, known.unit)?;
            for register in known.zones {
                let places = match register.scope {
                    Scope::Machine if zones.iter().any(|z| z.domain == register.domain) => continue,
                    Scope::Machine | Scope::Package => &package[..1],
                    Scope::Core => &package[..],
                };
                let per_joule = per_joule(cpu, register.domain, unit);
                if let Some(sum) = sum(&mut read, places, register, per_joule) {
                    counters.push(sum);
                    zones.push(zone(host, &package[0], register, per_joule));
                }
            }
        }
        if zones.is_empty() {
            return Err(none("all counters stand at 0".into()));
        }
        Ok(Self {
            zones,
            counters,
            registers: read,
            suspends: Suspends::open(host),
        })
    }
}

impl fmt::Debug for Msr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Msr");
        shown.field("zones", &self.zones).finish_non_exhaustive()
    }
}

impl EnergySource for Msr {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn provenance(&self, _index: usize) -> Provenance {
        Provenance::measured(Self::NAME)
    }

    fn read(&mut self, now: Duration, readings: &mut Vec<Reading>) {
        readings.clear();
        let suspends = self.suspends.count();
        let registers = &mut self.registers;
        for sum in &mut self.counters {
            readings.push(sum.look(now, suspends, |counter| counter.value(registers)));
        }
    }
}

/// One register of one CPU.
#[derive(Debug)]
struct Counter {
    cpu: u32,
    register: u64,
}

impl Counter {
    /// The counter is the low half; the high one is reserved.
    fn value(&self, read: &mut ReadRegister) -> Result<u64> {
        Ok(read(self.cpu, self.register)? & u64::from(u32::MAX))
    }
}

/// The counters of a register on `places`; `None` where the processor does not know it (EIO) or nothing feeds it.
fn sum(
    read: &mut ReadRegister,
    places: &[Place],
    register: &Register,
    per_joule: f64,
) -> Option<Sum<Counter>> {
    let ceiling = meter::ceiling(register.domain);
    let (mut parts, mut moved) = (Vec::with_capacity(places.len()), false);
    for place in places {
        let counter = Counter {
            cpu: place.cpu,
            register: register.number,
        };
        moved |= counter.value(read).ok()? > 0;
        let meter = Meter::new(Some(u32::MAX.into()), per_joule, ceiling);
        parts.push((counter, meter));
    }
    moved.then(|| Sum::new(parts))
}

fn zone(host: &Host, place: &Place, register: &Register, per_joule: f64) -> Zone {
    let index = (register.scope != Scope::Machine).then_some(place.package);
    let microjoules = count_to_f64(u32::MAX.into()) / per_joule * 1e6;
    Zone {
        name: match register.domain {
            Domain::Package => format!("package-{}", place.package),
            domain => domain.to_string(),
        },
        domain: register.domain,
        index,
        die: None,
        path: format!(
            "{} 0x{:X}",
            path(host, place.cpu).display(),
            register.number
        ),
        // Of a sum, each part wraps by itself.
        max: (register.scope != Scope::Core).then(|| Microjoules(f64_to_count(microjoules))),
    }
}

/// The online CPUs of each package, one a core.
fn packages(host: &Host) -> Result<Vec<Vec<Place>>> {
    let online = host.sys("devices/system/cpu/online");
    let mut packages: Vec<Vec<Place>> = Vec::new();
    for cpu in cpus(online.display(), &host.text(&online)?)? {
        let place = Place::of(host, cpu)?;
        match packages.iter_mut().find(|p| p[0].package == place.package) {
            Some(package)
                if package
                    .iter()
                    .any(|p| p.core == place.core && p.die == place.die) => {}
            Some(package) => package.push(place),
            None => packages.push(vec![place]),
        }
    }
    packages.sort_by_key(|package| package[0].package);
    Ok(packages)
}

fn path(host: &Host, cpu: u32) -> PathBuf {
    host.dev(format!("cpu/{cpu}/msr"))
}

/// `/dev/cpu/N/msr`, opened when first read and kept.
struct Devices {
    host: Host,
    open: BTreeMap<u32, KeptFile>,
}

impl Devices {
    fn read(&mut self, cpu: u32, register: u64) -> Result<u64> {
        let device = match self.open.entry(cpu) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(open(&self.host, cpu)?),
        };
        let mut value = [0; 8];
        let read = device.file().read_exact_at(&mut value, register);
        read.map_err(|source| Error::Kernel {
            call: format!("reading register 0x{register:X} of CPU {cpu}"),
            source,
            hint: String::new(),
        })?;
        Ok(u64::from_ne_bytes(value))
    }
}

fn open(host: &Host, cpu: u32) -> Result<KeptFile> {
    host.open(path(host, cpu)).map_err(|error| match error {
        _ if error.kind() == ErrorKind::NotFound => none(error.to_string()),
        Error::Read { path, source } => Error::Kernel {
            call: format!("opening {}", path.display()),
            source,
            hint: "run as root with CAP_SYS_RAWIO, on a kernel that is not locked down".into(),
        },
        error => error,
    })
}

fn none(why: String) -> Error {
    Error::Unsupported {
        what: "RAPL by register".into(),
        why,
        hint: "on a physical machine load the module: modprobe msr".into(),
    }
}
