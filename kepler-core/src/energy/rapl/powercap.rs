//! RAPL by powercap: `/sys/class/powercap/intel-rapl:*/energy_uj`
//! (<https://docs.kernel.org/power/powercap/powercap.html>).

use std::path::PathBuf;
use std::time::Duration;

use crate::energy::meter::Meter;
use crate::energy::rapl::cpu::{Cpu, Vendor};
use crate::energy::rapl::discover::{Found, discover};
use crate::energy::rapl::name::ZoneName;
use crate::energy::rapl::{limits, stands_at_zero};
use crate::energy::suspends::Suspends;
use crate::energy::{Domain, EnergySource, Reading, Zone};
use crate::error::{Error, Result};
use crate::host::{Host, KeptFile};
use crate::note::Note;
use crate::provenance::Provenance;
use crate::units::Microjoules;

/// RAPL energy counters as the kernel's powercap class shows them.
///
/// Zones are known by their `name`. A zone that several drivers show (`intel-rapl-mmio:0` beside `intel-rapl:0`) and a
/// socket's counter that every die repeats (AMD Zen 1 and 2) are counted once. Counters wrap by the zone's own
/// `max_energy_range_uj`; without that file a counter that goes back is refused, as is one that goes back over a suspend, and
/// a growth that no such part can draw. A zone that cannot be read for a while keeps its baseline, and one that was
/// unplugged or whose driver was reloaded is opened again. A counter that never moved (some machines show a `psys` that
/// nothing feeds) gives [`Reading::Failed`], not 0 J.
///
/// ```
/// use kepler_core::Host;
/// use kepler_core::energy::{EnergySource, Powercap};
///
/// match Powercap::open(&Host::default()) {
///     Ok(rapl) => println!("{:?}", rapl.zones()),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Debug)]
pub struct Powercap {
    host: Host,
    zones: Vec<Zone>,
    counters: Vec<Counter>,
    suspends: Suspends,
    one_core: bool,
    notes: Vec<Note>,
}

impl Powercap {
    /// The name in provenance.
    pub const NAME: &'static str = "rapl-powercap";

    /// Opens every RAPL zone that the host shows and that may be read.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when the host shows none;
    /// [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied) when none may be read (`energy_uj` is for root
    /// alone since Linux 5.10), or what else kept the first from being opened.
    pub fn open(host: &Host) -> Result<Self> {
        let mut notes = Vec::new();
        let mut counters: Vec<Counter> = Vec::new();
        let mut refusal = None;
        for found in discover(host)? {
            let twin = counters.iter().find(|c| c.found.is_twin(&found));
            let twin = twin.map(|c| c.found.path.display().to_string());
            if let Some(twin) = twin {
                notes.push(left_out(&found, format!("the same counter as {twin}")));
                continue;
            }
            match Counter::open(host, found.clone()) {
                Ok(counter) => counters.push(counter),
                Err(error) => {
                    notes.push(left_out(&found, error.to_string()));
                    refusal.get_or_insert(error);
                }
            }
        }
        merge_mirrors(&mut counters, &mut notes);
        if let (true, Some(error)) = (counters.is_empty(), refusal) {
            return Err(error);
        }
        let zones: Vec<_> = counters.iter().map(|c| c.zone.clone()).collect();
        let has_core = zones.iter().any(|z| z.domain == Domain::Core);
        Ok(Self {
            one_core: has_core && Cpu::read(host).is_ok_and(|cpu| cpu.vendor == Vendor::Amd),
            suspends: Suspends::open(host),
            host: host.clone(),
            zones,
            counters,
            notes,
        })
    }

    /// Refuses counters that all stand at 0. One that runs is there for a millisecond in hours; that all are is no chance, but a
    /// meter that has only just begun, as one that a host shares, is there too: only whoever was not told of it asks.
    pub(crate) fn running(mut self) -> Result<Self> {
        if !self.counters.iter_mut().all(Counter::stands_at_zero) {
            return Ok(self);
        }
        Err(Error::Unsupported {
            what: "RAPL by powercap".into(),
            why: "all its counters stand at 0".into(),
            hint: "guests see such counters where their host does not pass them on".into(),
        })
    }

    /// Which of the zones that the host shows were left out, and why.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}

impl EnergySource for Powercap {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn provenance(&self, index: usize) -> Provenance {
        let mut provenance = Provenance::measured(Self::NAME);
        let core = self
            .zones
            .get(index)
            .is_some_and(|z| z.domain == Domain::Core);
        if self.one_core && core {
            provenance.note = "on AMD this counter may cover one core of the package only".into();
        }
        provenance
    }

    fn read(&mut self, now: Duration, readings: &mut Vec<Reading>) {
        readings.clear();
        let suspends = self.suspends.count();
        for counter in &mut self.counters {
            readings.push(counter.read(&self.host, now, suspends));
        }
    }
}

/// One zone's open counter.
#[derive(Debug)]
struct Counter {
    found: Found,
    zone: Zone,
    file: KeptFile,
    meter: Meter,
    /// How often the machine had been suspended at the last good look.
    suspends: u64,
}

impl Counter {
    fn open(host: &Host, found: Found) -> Result<Self> {
        let file = host.open(energy_file(&found))?;
        let ZoneName { domain, index, die } = found.what;
        let max = host.optional(found.path.join("max_energy_range_uj"));
        let max = max.ok().flatten().and_then(|text| text.parse().ok());
        let max = max.filter(|max| *max > 0);
        let ceiling = limits::ceiling(host, &found.path, found.parent.as_deref(), domain);
        Ok(Self {
            zone: Zone {
                name: found.name.clone(),
                domain,
                index,
                die,
                path: found.path.display().to_string(),
                max: max.map(Microjoules),
            },
            file,
            meter: Meter::new(max, MICROJOULES, ceiling),
            suspends: 0,
            found,
        })
    }

    fn stands_at_zero(&mut self) -> bool {
        self.file.number().is_ok_and(|value| value == 0)
    }

    fn read(&mut self, host: &Host, now: Duration, suspends: u64) -> Reading {
        let (value, reopened) = match self.value(host) {
            Ok(value) => value,
            Err(error) => return Reading::Failed(error),
        };
        let reset = reopened || suspends != self.suspends;
        self.suspends = suspends;
        if self.meter.exceeds(now, value) {
            // The limits may have been raised since the zone was opened.
            let Found {
                path, parent, what, ..
            } = &self.found;
            let ceiling = limits::ceiling(host, path, parent.as_deref(), what.domain);
            self.meter.set_ceiling(ceiling);
        }
        let reading = self.meter.look(now, value, reset);
        // The integrated GPU may well be off since the start.
        let idle_is_odd = value == 0 && self.zone.domain != Domain::Uncore;
        match reading {
            Reading::Energy { joules, .. } if idle_is_odd && joules.0 == 0.0 => {
                Reading::Failed(stands_at_zero(&self.zone))
            }
            reading => reading,
        }
    }

    /// The counter's value, and whether it had to be opened again for it: the descriptor of a zone that was removed
    /// (ENODEV) stays dead when the zone comes back, maybe under another number.
    fn value(&mut self, host: &Host) -> Result<(u64, bool)> {
        let error = match self.file.number() {
            Ok(value) => return Ok((value, false)),
            Err(error) => error,
        };
        let reopened = discover(host).ok().and_then(|zones| {
            zones
                .into_iter()
                .filter(|z| z.what == self.found.what)
                .filter(|z| z.directory.control == self.found.directory.control)
                .min_by_key(|z| z.path != self.found.path)
        });
        let Some(found) = reopened else {
            return Err(error);
        };
        let Some((file, value)) = reopen(host, &found) else {
            return Err(error);
        };
        self.file = file;
        self.found = found;
        Ok((value, true))
    }
}

fn reopen(host: &Host, found: &Found) -> Option<(KeptFile, u64)> {
    let mut file = host.open(energy_file(found)).ok()?;
    let value = file.number().ok()?;
    Some((file, value))
}

fn energy_file(found: &Found) -> PathBuf {
    found.path.join("energy_uj")
}

fn left_out(found: &Found, why: String) -> Note {
    Note {
        part: format!("{} ({})", found.path.display(), found.name),
        active: false,
        why,
        hint: String::new(),
    }
}

/// Keeps one of several dies that all show their socket's counter.
///
/// A mirror lies between two looks at its original; the counters of two real dies, hours of work apart, do not.
fn merge_mirrors(counters: &mut Vec<Counter>, notes: &mut Vec<Note>) {
    let mut kept: Vec<Counter> = Vec::with_capacity(counters.len());
    for mut counter in counters.drain(..) {
        let original = kept
            .iter_mut()
            .position(|k| k.found.is_other_die(&counter.found) && mirrors(k, &mut counter));
        let Some(original) = original.map(|at| &mut kept[at]) else {
            kept.push(counter);
            continue;
        };
        let why = format!("repeats the counter of {}", original.zone.path);
        notes.push(left_out(&counter.found, why));
        original.zone.die = None;
        if let (Domain::Package, Some(index)) = (original.zone.domain, original.zone.index) {
            original.zone.name = format!("package-{index}");
        }
    }
    *counters = kept;
}

fn mirrors(original: &mut Counter, mirror: &mut Counter) -> bool {
    let mut look = || -> Result<bool, Error> {
        let before = original.file.number()?;
        let value = mirror.file.number()?;
        let after = original.file.number()?;
        // A counter that stands at 0 says nothing of where it will go.
        Ok(value > 0 && (before..=after).contains(&value))
    };
    look().unwrap_or(false)
}

/// Counts of `energy_uj` in a joule.
const MICROJOULES: f64 = 1e6;
