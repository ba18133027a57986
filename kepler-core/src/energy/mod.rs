//! Where energy is measured: hardware meters behind one trait.

mod hwmon;
mod law;
mod meter;
#[cfg(feature = "nvml")]
mod nvml;
mod only;
mod open;
mod part;
mod power;
mod rapl;
#[cfg(feature = "redfish")]
mod redfish;
mod scripted;
mod suspends;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::provenance::Provenance;
use crate::units::{Joules, Microjoules};

pub use hwmon::Hwmon;
#[cfg(feature = "nvml")]
pub use nvml::Nvml;
pub(crate) use open::found;
pub use open::{Meters, Rapl, open};
pub use part::PowerPart;
pub use rapl::{Msr, Perf, PerfEvent, Powercap};
#[cfg(feature = "redfish")]
pub use redfish::{Bmc, Redfish, Trust};
pub use scripted::Scripted;

/// The kind of a zone. Kinds overlap (psys contains package, package contains core), so figures of different kinds are
/// never added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// The whole platform as the processor sees it: package, memory and more.
    Psys,
    /// A processor package (socket) or one die of it.
    Package,
    /// The cores of a package.
    Core,
    /// The rest of a package: last-level cache, memory controller, on some parts the integrated GPU.
    Uncore,
    /// Memory.
    Dram,
    /// The whole machine, by its own sensor or power supply.
    Platform,
    /// A graphics processor.
    Gpu,
}

impl Domain {
    /// Every domain, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Psys,
        Self::Package,
        Self::Core,
        Self::Uncore,
        Self::Dram,
        Self::Platform,
        Self::Gpu,
    ];

    /// The name as powercap and the metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Psys => "psys",
            Self::Package => "package",
            Self::Core => "core",
            Self::Uncore => "uncore",
            Self::Dram => "dram",
            Self::Platform => "platform",
            Self::Gpu => "gpu",
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One metered part of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Zone {
    /// The name its meter gives it, such as `package-0` or `package-0-die-1`.
    pub name: String,
    /// What kind of part it is.
    pub domain: Domain,
    /// The socket or device number, where the name tells one.
    pub index: Option<u32>,
    /// The die in the socket, where the name tells one.
    pub die: Option<u32>,
    /// Where the figure is read, such as `/sys/class/powercap/intel-rapl:0`.
    pub path: String,
    /// The largest value of the counter before it starts again at 0, where there is one.
    pub max: Option<Microjoules>,
}

/// For people: every socket of a server has a zone of the name `dram`.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index)
                if self.domain != Domain::Gpu
                    && !self.name.contains(|c: char| c.is_ascii_digit()) =>
            {
                write!(f, "{} of package {index}", self.name)
            }
            _ => f.write_str(&self.name),
        }
    }
}

/// What one look at one zone gave.
#[derive(Debug)]
pub enum Reading {
    /// The first look: a baseline. Nothing is booked from before it.
    Baseline,
    /// Energy since the last good look.
    Energy {
        /// How much.
        joules: Joules,
        /// The time it covers: longer than the interval after looks that failed.
        over: Duration,
        /// The interval was so long that the counter may have wrapped more than once: a lower bound.
        ambiguous: bool,
    },
    /// The step was not believed (the counter went back without a wrap, or grew more than the part can draw).
    Refused,
    /// The meter could not be read now. The counter remembers, so nothing is lost when it comes back.
    Failed(Error),
}

/// A place where energy is measured. Implemented by the RAPL readers, hwmon, the modeled source and the scripted one.
///
/// A source keeps its own baselines and never books energy from before it was opened.
pub trait EnergySource: Send {
    /// The name in provenance, such as `rapl-powercap`.
    fn name(&self) -> &'static str;

    /// What is measured. Constant after opening.
    fn zones(&self) -> &[Zone];

    /// Where the figures of zone `index` come from, as of the last reading.
    fn provenance(&self, index: usize) -> Provenance;

    /// Reads every zone at time `now` (since boot) into `readings`, in the order of [`EnergySource::zones`].
    fn read(&mut self, now: Duration, readings: &mut Vec<Reading>);

    /// What the power of its zones is made of, as of the last reading; empty where the meter does not tell.
    fn parts(&self) -> &[PowerPart] {
        &[]
    }
}
