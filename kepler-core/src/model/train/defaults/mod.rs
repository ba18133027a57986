//! Trains the embedded default models from the public tables. Nothing in it is random.

mod platform;
mod score;
mod tables;
mod zones;

use std::fmt;

use super::Watch;
use crate::error::Result;
use crate::model::embedded::PERCENT;
use crate::model::{Component, ModelFile, PowerModel, Residuals};

pub use score::MachineErrors;
pub use tables::{RaplMachine, RaplRow, WallMachine, rapl_machine, wall_machines};

/// The embedded models, trained anew, and how wrong they are on machines that they had not seen.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Wall power over a machine's attributes, one model a load, with the load in per cent: `models/platform-*.json`.
    pub platform: Vec<(u8, ModelFile)>,
    /// Package and dram of it: `models/zones.json`.
    pub zones: ModelFile,
    /// Wall power of machine types held out of training.
    pub machine_out: MachineErrors,
    /// Wall power of processors held out of training, with all machine types that have them.
    pub processor_out: MachineErrors,
    /// Package power of cloud machines held out of training.
    pub package: MachineErrors,
    /// Memory power of cloud machines held out of training.
    pub dram: MachineErrors,
}

/// The family of wall-power models alone, one a load, without the errors that take leaving machines out: a second's work.
///
/// # Errors
/// [`crate::ErrorKind::InvalidInput`] for tables that no model fits.
pub fn platform_family(wall: &[WallMachine]) -> Result<Vec<ModelFile>> {
    platform::fit(wall)
}

impl Defaults {
    /// Trains the models and measures their errors. Takes some 20 s on one core.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Cancelled`] when the watch says so; [`crate::ErrorKind::InvalidInput`] for tables that no model
    /// fits.
    pub fn train(
        wall: &[WallMachine],
        rapl: &[RaplMachine],
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        let platform = platform::train(wall, watch)?;
        let family = platform
            .files
            .iter()
            .cloned()
            .map(PowerModel::new)
            .collect::<Result<Vec<_>>>()?;
        let zones = zones::train(&family, rapl)?;
        Ok(Self {
            platform: PERCENT.into_iter().zip(platform.files).collect(),
            zones: zones.file,
            machine_out: platform.machine_out,
            processor_out: platform.processor_out,
            package: zones.package,
            dram: zones.dram,
        })
    }
}

/// The table of errors.
impl fmt::Display for Defaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "platform, machine types held out: {}", self.machine_out)?;
        writeln!(
            f,
            "platform, processors held out:    {}",
            self.processor_out
        )?;
        writeln!(f, "package, machines held out:       {}", self.package)?;
        writeln!(f, "dram, machines held out:          {}", self.dram)?;
        let platform = self
            .platform
            .iter()
            .map(|(percent, file)| (format!("platform at {percent} %"), file));
        let zones = [("package", &self.zones), ("dram", &self.zones)]
            .map(|(name, file)| (name.to_owned(), file));
        for (name, file) in platform.chain(zones) {
            let component = name
                .split(' ')
                .next()
                .and_then(|c| c.parse::<Component>().ok());
            let part = component.and_then(|component| file.components.get(&component));
            let residuals = part.and_then(|part| part.residuals.as_ref());
            if let Some(Residuals {
                level,
                coverage: Some(coverage),
                mean_width: Some(width),
                ..
            }) = residuals
            {
                let (level, coverage) = (level * 100.0, coverage * 100.0);
                writeln!(
                    f,
                    "{name}: intervals of {level:.0} % hold {coverage:.1} % of held-out machines, {width:.1} W wide"
                )?;
            }
        }
        Ok(())
    }
}
