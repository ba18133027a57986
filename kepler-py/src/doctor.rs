//! Which sources work on a machine.

use std::path::PathBuf;

use kepler_core::monitor as core;
use pyo3::prelude::*;

use crate::errors::run;
use crate::options::Roots;
use crate::record::record;
use crate::sources::Note;

record! {
    /// What kind of machine it is. What a machine does not tell is None.
    MachineSpec {
        /// Vendor, lower case, such as `intel` or `amd`.
        vendor: Option<String>,
        /// Processor in the model database's spelling, such as `intel_xeon_platinum_8275cl`.
        processor: Option<String>,
        /// Logical CPUs.
        cores: Option<u32>,
        /// Sockets.
        chips: Option<u32>,
        /// Memory in GiB.
        memory: Option<u32>,
        /// Highest frequency in MHz, rounded to 100.
        frequency: Option<u32>,
        /// Hardware threads a physical core.
        threads_per_core: Option<u32>,
        /// Whether it is a guest of a hypervisor.
        guest: bool,
    }
}

record! {
    /// What `doctor` found.
    Diagnosis {
        /// What kind of machine it is.
        machine: Py<MachineSpec>,
        /// Every source of energy and usage, the ones that are opt-in included.
        notes: Vec<Py<Note>>,
        /// Whether energy is measured here; if not, it is modeled.
        measured: bool,
        /// The same as text for people, a line a part.
        report: String,
    }
}

/// Tells which sources work on a machine, which do not, why, and the one thing that would change it.
///
/// Parameters
/// ----------
/// root, proc, sys
///     Folders that stand for ``/``, ``/proc`` and ``/sys``, in containers and tests.
#[pyfunction]
#[pyo3(signature = (*, root=None, proc=None, sys=None))]
pub(crate) fn doctor(
    py: Python<'_>,
    root: Option<PathBuf>,
    proc: Option<PathBuf>,
    sys: Option<PathBuf>,
) -> PyResult<Diagnosis> {
    let found = run(py, || core::doctor(&Roots { root, proc, sys }.host()))?;
    Ok(Diagnosis {
        machine: Py::new(py, MachineSpec::from(&found.machine))?,
        notes: found
            .notes
            .iter()
            .map(|note| Note::new(py, note))
            .collect::<PyResult<_>>()?,
        measured: found.measured,
        report: found.to_string(),
    })
}

impl From<&kepler_core::MachineSpec> for MachineSpec {
    fn from(from: &kepler_core::MachineSpec) -> Self {
        Self {
            vendor: from.vendor.clone(),
            processor: from.processor.clone(),
            cores: from.cores,
            chips: from.chips,
            memory: from.memory,
            frequency: from.frequency,
            threads_per_core: from.threads_per_core,
            guest: from.guest,
        }
    }
}
