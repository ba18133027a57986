//! The Python package `kepler`: conversions around `kepler-core`, no logic of its own.
#![allow(
    clippy::needless_pass_by_value,
    reason = "arguments come as Python hands them over"
)]

mod doctor;
mod errors;
mod log;
mod measure;
mod model;
mod monitor;
mod options;
mod provenance;
mod record;
mod registry;
mod snapshot;
mod train;

use pyo3::prelude::*;

// Not declared for the free-threaded build: it has not been tried there.
#[pymodule(gil_used = true)]
mod _kepler {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::doctor::{Diagnosis, MachineSpec, doctor};
    #[pymodule_export]
    use crate::errors::_raise;
    #[pymodule_export]
    use crate::measure::{EnergyMeter, MeasuredZone, Measurement, Ready};
    #[pymodule_export]
    use crate::model::RawModel;
    #[pymodule_export]
    use crate::monitor::Monitor;
    #[pymodule_export]
    use crate::provenance::Provenance;
    #[pymodule_export]
    use crate::registry::{ModelEntry, RawRegistry};
    #[pymodule_export]
    use crate::snapshot::{
        Container, DomainEnergy, Ended, Node, Note, Pod, Process, Snapshot, Sources,
        VirtualMachine, Zone,
    };
    #[pymodule_export]
    use crate::train::{RawColumns, RawOptions, train_arrays, train_csv};

    /// The version of the package, the same as that of the Rust crates and the npm package.
    #[pyfunction]
    fn version() -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}
