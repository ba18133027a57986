//! Machine attributes as the database writes them, where they may be floats, text or absent.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::host::MachineSpec;

/// The five attributes by which machines are compared, as a request or an index gives them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpecRecord {
    /// Processor, as in [`MachineSpec::processor`].
    pub processor: Value,
    /// Logical CPUs.
    pub cores: Value,
    /// Sockets.
    pub chips: Value,
    /// Memory in GB.
    pub memory: Value,
    /// Highest frequency in MHz.
    pub frequency: Value,
}

impl SpecRecord {
    /// The same attributes as whole numbers; what is no positive number is `None`.
    pub fn machine(&self) -> MachineSpec {
        MachineSpec {
            processor: self
                .processor
                .as_str()
                .filter(|p| !p.is_empty())
                .map(str::to_owned),
            cores: whole(&self.cores),
            chips: whole(&self.chips),
            memory: whole(&self.memory),
            frequency: whole(&self.frequency),
            ..MachineSpec::default()
        }
    }
}

impl From<&MachineSpec> for SpecRecord {
    fn from(machine: &MachineSpec) -> Self {
        Self {
            processor: machine.processor.clone().into(),
            cores: machine.cores.into(),
            chips: machine.chips.into(),
            memory: machine.memory.into(),
            frequency: machine.frequency.into(),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded and in range, as the filter says"
)]
fn whole(value: &Value) -> Option<u32> {
    let number = value.as_f64()?.round();
    (number >= 1.0 && number <= u32::MAX.into()).then_some(number as u32)
}
