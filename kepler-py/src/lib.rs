//! The Python package `kepler`: conversions around `kepler-core`, no logic of its own.
#![allow(
    clippy::needless_pass_by_value,
    reason = "arguments come as Python hands them over"
)]

mod doctor;
mod errors;
mod log;
mod measure;
mod measurement;
mod model;
mod monitor;
mod node;
mod options;
mod provenance;
mod record;
mod registry;
mod snapshot;
mod sources;
mod train;
mod workloads;

use pyo3::prelude::*;

// Not declared for the free-threaded build, where it has not been run. Nothing here rests on the GIL: every class is frozen, and
// PyO3 compiles none that is not `Sync`.
#[pymodule(gil_used = true)]
mod _kepler {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::doctor::{Diagnosis, MachineSpec, doctor};
    #[pymodule_export]
    use crate::errors::_raise;
    #[pymodule_export]
    use crate::measure::EnergyMeter;
    #[pymodule_export]
    use crate::measurement::{MeasuredZone, Measurement, Ready};
    #[pymodule_export]
    use crate::model::RawModel;
    #[pymodule_export]
    use crate::monitor::Monitor;
    #[pymodule_export]
    use crate::node::{DomainEnergy, Node, Zone};
    #[pymodule_export]
    use crate::provenance::Provenance;
    #[pymodule_export]
    use crate::registry::{ModelEntry, RawRegistry};
    #[pymodule_export]
    use crate::snapshot::Snapshot;
    #[pymodule_export]
    use crate::sources::{Note, Sources};
    #[pymodule_export]
    use crate::train::{RawColumns, RawOptions, train_arrays, train_csv};
    #[pymodule_export]
    use crate::workloads::{Container, Ended, Pod, Process, VirtualMachine};

    /// The version of the package, the same as that of the Rust crates and the npm package.
    #[pyfunction]
    fn version() -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}
