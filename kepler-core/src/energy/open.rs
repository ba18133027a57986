//! Which energy sources a machine has.

use crate::energy::only::Only;
use crate::energy::{Domain, EnergySource, Hwmon, Msr, Perf, Powercap};
use crate::error::Result;
use crate::host::Host;
use crate::note::Note;

/// Which meters to look for.
///
/// ```
/// use kepler_core::Host;
/// use kepler_core::energy::{self, Meters, Rapl};
///
/// let mut meters = Meters::default();
/// meters.rapl.push(Rapl::Perf); // where powercap cannot be read
/// let (sources, notes) = energy::open(&Host::default(), &meters);
/// println!("{} sources", sources.len());
/// for note in &notes {
///     println!("{note}");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meters {
    /// The ways to RAPL to try. The first that works is used, and no other: all count the same energy. Powercap alone by
    /// default.
    pub rapl: Vec<Rapl>,
    /// Whether to look for power and energy sensors ([`Hwmon`]). On by default.
    pub hwmon: bool,
    /// Which domains to read of RAPL; all of them where the list is empty, as by default.
    pub zones: Vec<Domain>,
}

/// A way to RAPL's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rapl {
    /// [`Powercap`].
    Powercap,
    /// [`Perf`].
    Perf,
    /// [`Msr`].
    Msr,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            rapl: vec![Rapl::Powercap],
            hwmon: true,
            zones: Vec::new(),
        }
    }
}

impl Rapl {
    /// Every way, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Powercap, Self::Perf, Self::Msr];

    /// The name of its source in provenance.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Powercap => Powercap::NAME,
            Self::Perf => Perf::NAME,
            Self::Msr => Msr::NAME,
        }
    }

    fn open(self, host: &Host) -> Result<(Box<dyn EnergySource>, Vec<Note>)> {
        Ok(match self {
            Self::Powercap => {
                let source = Powercap::open(host)?.running()?;
                let notes = source.notes().to_vec();
                (Box::new(source), notes)
            }
            Self::Perf => {
                let source = Perf::open(host)?;
                let notes = source.notes().to_vec();
                (Box::new(source), notes)
            }
            Self::Msr => (Box::new(Msr::open(host)?), Vec::new()),
        })
    }
}

/// Opens every meter that the host has, and tells of each what it found or why it is not used.
///
/// No two of the sources measure the same part: a socket that RAPL counts is not also taken from a sensor. The list is empty
/// where there is no meter.
pub fn open(host: &Host, meters: &Meters) -> (Vec<Box<dyn EnergySource>>, Vec<Note>) {
    let (mut sources, mut notes): (Vec<Box<dyn EnergySource>>, _) = (Vec::new(), Vec::new());
    for rapl in &meters.rapl {
        match rapl.open(host) {
            Ok((source, left_out)) => {
                let Some(source) = chosen(source, &meters.zones) else {
                    notes.push(Note {
                        part: rapl.as_str().into(),
                        active: false,
                        why: "it has none of the zones that were chosen".into(),
                        hint: String::new(),
                    });
                    continue;
                };
                notes.push(found(&*source));
                notes.extend(left_out);
                sources.push(source);
                break;
            }
            Err(error) => notes.push(Note::off(rapl.as_str(), &error, "")),
        }
    }
    if meters.hwmon {
        let counted = sources.iter().flat_map(|source| source.zones());
        let counted: Vec<_> = counted.map(|zone| zone.domain).collect();
        match Hwmon::open_beside(host, &counted) {
            Ok(source) => {
                notes.push(found(&source));
                notes.extend(source.notes().iter().cloned());
                sources.push(Box::new(source));
            }
            Err(error) => notes.push(Note::off(Hwmon::NAME, &error, "")),
        }
    }
    (sources, notes)
}

fn chosen(source: Box<dyn EnergySource>, zones: &[Domain]) -> Option<Box<dyn EnergySource>> {
    if zones.is_empty() {
        return Some(source);
    }
    Some(Box::new(Only::of(source, zones)?))
}

/// What a source was found to read.
pub(crate) fn found(source: &dyn EnergySource) -> Note {
    let zones: Vec<_> = source.zones().iter().map(|z| z.name.as_str()).collect();
    Note::on(source.name(), zones.join(", "))
}
