//! What kind of machine this is: the attributes that power models are chosen by.

use serde::{Deserialize, Serialize};

/// Attributes of a machine, as the model database indexes them.
///
/// Read from `/proc/cpuinfo`, `/proc/meminfo` and `/sys/devices/system/cpu`. What a machine does not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineSpec {
    /// Vendor, lower case, such as `intel` or `amd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Processor in the index's spelling, such as `intel_xeon_platinum_8275cl`.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads_per_core: Option<u32>,
    /// Whether this is a guest of a hypervisor, which then hides how much of the host it may use.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
}
