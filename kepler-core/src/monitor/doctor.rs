//! Which sources work on a machine, which do not, why, and the one thing that would change it.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::energy::{self, EnergySource, Meters, Rapl, Reading};
use crate::error::{Error, Result};
use crate::host::{Host, MachineSpec};
use crate::model::embedded;
use crate::note::Note;
use crate::usage::{CounterSet, NodeReader, NodeUsage, Procfs, UsageSource, keeps_steal_apart};

use super::builder::{EBPF_HINT, open_ebpf};

/// What [`doctor`] found.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// What kind of machine it is.
    pub machine: MachineSpec,
    /// Every source of energy and usage, the ones that are opt-in included.
    pub notes: Vec<Note>,
    /// Whether energy is measured here; if not, it is modeled.
    pub measured: bool,
    /// Whether CPU time is read by eBPF here; if not, from `/proc`.
    pub by_ebpf: bool,
}

/// Tries every source on a machine. Reads only, and leaves nothing behind.
///
/// ```
/// use kepler_core::{Host, monitor::doctor};
///
/// println!("{}", doctor(&Host::default())?);
/// # Ok::<(), kepler_core::Error>(())
/// ```
///
/// # Errors
/// When `/proc` itself cannot be read.
pub fn doctor(host: &Host) -> Result<Diagnosis> {
    doctor_with(host, &Meters::default())
}

/// The same for a monitor that looks for these meters ([`super::MonitorBuilder::meters`]): they decide whether energy is
/// measured; the others are tried and told all the same.
///
/// # Errors
/// As [`doctor`].
pub fn doctor_with(host: &Host, wanted: &Meters) -> Result<Diagnosis> {
    let machine = MachineSpec::discover(host)?;
    let mut notes = Vec::new();
    let mut measured = false;
    for rapl in Rapl::ALL {
        let meters = Meters {
            rapl: vec![rapl],
            hwmon: false,
            zones: wanted.zones.clone(),
        };
        let (sources, mut tried) = energy::open(host, &meters);
        for source in sources {
            if let Some(error) = stands_still(source) {
                tried.retain(|note| !note.active);
                tried.push(Note::off(rapl.as_str(), &error, ""));
            } else {
                // What is not looked for is not used.
                measured |= wanted.rapl.contains(&rapl);
            }
        }
        notes.extend(tried);
    }
    let (sensors, tried) = energy::open(
        host,
        &Meters {
            rapl: Vec::new(),
            hwmon: true,
            ..Meters::default()
        },
    );
    measured |= wanted.hwmon && !sensors.is_empty();
    notes.extend(tried);
    let model = embedded::for_machine(&machine);
    let role = if measured {
        "not needed here"
    } else {
        "in use: there is no meter"
    };
    notes.push(Note::on("power model", format!("{}, {role}", model.name())));
    let ebpf = open_ebpf(host, CounterSet::EMPTY);
    let by_ebpf = ebpf.is_ok();
    match ebpf {
        Ok(source) => notes.extend(source.notes()),
        Err(error) => notes.push(Note::off("ebpf", &error, EBPF_HINT)),
    }
    match Procfs::open(host) {
        Ok(source) => notes.extend(source.notes()),
        Err(error) => notes.push(Note::off(
            "procfs",
            &error,
            "mount /proc, or give its place",
        )),
    }
    notes.extend(steal(host, machine.guest)?);
    Ok(Diagnosis {
        machine,
        notes,
        measured,
        by_ebpf,
    })
}

/// Why a meter that opens gives nothing all the same, as some guests' do.
fn stands_still(mut source: Box<dyn EnergySource>) -> Option<Error> {
    let mut readings = Vec::new();
    source.read(Host::since_boot(), &mut readings);
    std::thread::sleep(METER_STEPS);
    source.read(Host::since_boot(), &mut readings);
    let all_fail = readings.iter().all(|r| matches!(r, Reading::Failed(_)));
    readings.into_iter().find_map(|reading| match reading {
        Reading::Failed(error) if all_fail => Some(error),
        _ => None,
    })
}

/// Long enough for every meter to step.
const METER_STEPS: Duration = Duration::from_millis(20);

/// A guest whose hypervisor takes time away: nobody's energy, told because figures of others may count it.
fn steal(host: &Host, guest: bool) -> Result<Option<Note>> {
    if !guest {
        return Ok(None);
    }
    let (mut reader, mut node) = (NodeReader::open(host)?, NodeUsage::default());
    reader.read(Host::since_boot(), &mut node)?;
    let mut why = format!(
        "{} CPUs of a host that hides its size; {:.1} % of their time since boot was stolen and is charged to nobody",
        node.cpus,
        reader.stolen() * 100.0,
    );
    if keeps_steal_apart(host) == Some(false) {
        why += ": this kernel counts it as the tasks' own time, so tasks are scaled down to what they were given";
    }
    Ok(Some(Note::on("guest", why)))
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = || "an unknown processor".to_owned();
        writeln!(
            f,
            "{}, {} CPUs{}: energy is {}",
            self.machine.processor.clone().unwrap_or_else(unknown),
            self.machine.cores.unwrap_or(0),
            if self.machine.guest { ", a guest" } else { "" },
            if self.measured { "measured" } else { "modeled" },
        )?;
        for note in &self.notes {
            let mark = if note.active { "+" } else { "-" };
            writeln!(f, "  {mark} {note}")?;
        }
        Ok(())
    }
}
