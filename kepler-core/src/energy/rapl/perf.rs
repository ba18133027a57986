//! RAPL by perf events: `/sys/bus/event_source/devices/power` and, for the cores of newer AMD, `power_core`.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use crate::energy::meter::{self, Meter};
use crate::energy::rapl::perf_event::{PerfEvent, perf_event_open};
use crate::energy::rapl::perf_zones::perf_zones;
use crate::energy::rapl::stands_at_zero;
use crate::energy::rapl::sum::Sum;
use crate::energy::suspends::Suspends;
use crate::energy::{Domain, EnergySource, Reading, Zone};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::note::Note;
use crate::provenance::Provenance;

/// RAPL energy counters by perf events (`power/energy-pkg/` and its like). The kernel extends them to 64 bits, so they do not
/// wrap; over a sleep of the machine they are not believed, and the next look is a new baseline.
///
/// Needs `CAP_PERFMON`, or `kernel.perf_event_paranoid` at 0 or below. Counts the same energy as
/// [`Powercap`](crate::energy::Powercap): use one of them. A counter that never moved (guests show `energy-psys` that stands at 0) gives
/// [`Reading::Failed`], not 0 J.
#[derive(Debug)]
pub struct Perf {
    zones: Vec<Zone>,
    counters: Vec<Sum<Event>>,
    notes: Vec<Note>,
    suspends: Suspends,
    /// How often the machine had been suspended at the last look.
    slept: u64,
}

impl Perf {
    /// The name in provenance.
    pub const NAME: &'static str = "rapl-perf";

    /// Opens every RAPL event that the host's kernel has.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when it has none, [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied) when they may not be opened.
    pub fn open(host: &Host) -> Result<Self> {
        Self::open_with(host, perf_event_open)
    }

    /// Like [`Perf::open`], with the events opened by `open`: by a privileged helper, say. What it returns is read 8 bytes at
    /// a time, each a count in the byte order of the machine.
    ///
    /// # Errors
    /// As [`Perf::open`], and what `open` returns.
    pub fn open_with(
        host: &Host,
        mut open: impl FnMut(&PerfEvent) -> Result<File>,
    ) -> Result<Self> {
        let (mut zones, mut counters, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        let mut refusal = None;
        for (zone, unit) in perf_zones(host)? {
            let ceiling = meter::ceiling(zone.domain);
            let events = unit.events.iter().map(|event| {
                let file = open(event)?;
                let name = event.name.clone();
                Ok((
                    Event { file, name },
                    Meter::new(None, unit.per_joule, ceiling),
                ))
            });
            match events.collect::<Result<Vec<_>>>() {
                Ok(events) => {
                    counters.push(Sum::new(events));
                    zones.push(zone);
                }
                Err(error) => {
                    notes.push(Note::off(&zone.name, &error, ""));
                    refusal.get_or_insert(error);
                }
            }
        }
        let mut suspends = Suspends::open(host);
        if let (true, Some(error)) = (zones.is_empty(), refusal) {
            return Err(error);
        }
        Ok(Self {
            zones,
            counters,
            notes,
            slept: suspends.count(),
            suspends,
        })
    }

    /// Which zones could not be opened, and why.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}

impl EnergySource for Perf {
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
        let slept = suspends != self.slept;
        self.slept = suspends;
        for (counter, zone) in self.counters.iter_mut().zip(&self.zones) {
            if slept {
                // The kernel takes a register that a sleep set back to 0 for one that wrapped.
                counter.forget();
            }
            let reading = counter.look(now, 0, Event::count);
            // The integrated GPU may well be off since the start.
            let idle_is_odd = zone.domain != Domain::Uncore && counter.stands_at_zero();
            readings.push(match reading {
                Reading::Energy { .. } if idle_is_odd => Reading::Failed(stands_at_zero(zone)),
                reading => reading,
            });
        }
    }
}

#[derive(Debug)]
struct Event {
    file: File,
    name: String,
}

impl Event {
    fn count(&mut self) -> Result<u64> {
        let mut count = [0; 8];
        match self.file.read_exact(&mut count) {
            Ok(()) => Ok(u64::from_ne_bytes(count)),
            Err(error) => Err(Error::read(&self.name, error)),
        }
    }
}
