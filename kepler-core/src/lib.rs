#![doc = include_str!("../README.md")]

pub mod attribution;
mod counter;
pub mod energy;
mod error;
mod fit;
mod host;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod model;
pub mod modeled;
pub mod monitor;
mod note;
#[cfg(feature = "nvml")]
mod nvml;
mod process;
#[cfg(feature = "protocol")]
pub mod protocol;
mod provenance;
pub mod share;
mod units;
pub mod usage;
pub mod workload;

pub use counter::{Step, WrappingCounter};
pub use error::{Error, ErrorKind, Result};
pub use host::{Host, KeptFile, MachineSpec};
pub use note::Note;
pub use provenance::{Origin, Provenance};
pub use units::{Joules, Microjoules, Watts};
