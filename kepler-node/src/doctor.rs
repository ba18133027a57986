//! Which sources work on a machine.

use kepler_core::monitor as core;
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;

use crate::errors::{Result, Work, promise, to_js};
use crate::options::MeterOptions;
use crate::snapshot::Note;

/// What kind of machine it is. What a machine does not tell is absent.
#[napi(object)]
#[derive(Clone)]
pub struct MachineSpec {
    /// Vendor, lower case, such as `intel` or `amd`.
    pub vendor: Option<String>,
    /// Processor in the model database's spelling, such as `intel_xeon_platinum_8275cl`.
    pub processor: Option<String>,
    /// Logical CPUs.
    pub cores: Option<u32>,
    /// Sockets.
    pub chips: Option<u32>,
    /// Memory in GiB.
    pub memory: Option<u32>,
    /// Highest frequency in MHz, rounded to 100.
    pub frequency: Option<u32>,
    /// Hardware threads a physical core.
    pub threads_per_core: Option<u32>,
    /// Whether it is a guest of a hypervisor.
    pub guest: Option<bool>,
}

/// What `doctor` found.
#[napi(object, object_from_js = false)]
pub struct Diagnosis {
    /// What kind of machine it is.
    pub machine: MachineSpec,
    /// Every source of energy and usage, the ones that are opt-in included.
    pub notes: Vec<Note>,
    /// Whether energy is measured here; if not, it is modeled.
    pub measured: bool,
    /// The same as text for people, a line a part.
    pub report: String,
}

/// Tells which sources work on a machine, which do not, why, and the one thing that would change it.
#[napi(ts_return_type = "Promise<Diagnosis>")]
pub fn doctor(options: Option<MeterOptions>) -> AsyncTask<Work<Diagnosis>> {
    promise(move || look(options))
}

/// As `doctor`, while the event loop waits.
#[napi]
pub fn doctor_sync(options: Option<MeterOptions>) -> Result<Diagnosis> {
    look(options).map_err(to_js)
}

fn look(options: Option<MeterOptions>) -> kepler_core::Result<Diagnosis> {
    let found = core::doctor(&options.unwrap_or_default().host())?;
    Ok(Diagnosis {
        report: found.to_string(),
        machine: MachineSpec::from(found.machine),
        notes: found.notes.iter().map(Note::from).collect(),
        measured: found.measured,
    })
}

impl From<kepler_core::MachineSpec> for MachineSpec {
    fn from(from: kepler_core::MachineSpec) -> Self {
        Self {
            vendor: from.vendor,
            processor: from.processor,
            cores: from.cores,
            chips: from.chips,
            memory: from.memory,
            frequency: from.frequency,
            threads_per_core: from.threads_per_core,
            guest: Some(from.guest),
        }
    }
}

impl From<MachineSpec> for kepler_core::MachineSpec {
    fn from(from: MachineSpec) -> Self {
        Self {
            vendor: from.vendor,
            processor: from.processor,
            cores: from.cores,
            chips: from.chips,
            memory: from.memory,
            frequency: from.frequency,
            threads_per_core: from.threads_per_core,
            guest: from.guest.unwrap_or(false),
        }
    }
}
