//! NVIDIA's graphics processors, by the energy counter of its management library.

use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::nvml::{self, Library};
use crate::provenance::Provenance;

use super::meter::{Meter, ceiling};
use super::power::Power;
use super::{Domain, EnergySource, Reading, Zone};

/// Energy of each NVIDIA graphics processor. Its zone's name is the product's, its path the processor's own uuid.
///
/// Counted by the processor itself since Volta; earlier ones tell their power, which is integrated over the real time between
/// two looks. A processor in MIG mode is one zone: its instances have no meters of their own.
pub struct Nvml {
    library: Library,
    zones: Vec<Zone>,
    meters: Vec<How>,
}

enum How {
    Counter(Meter),
    Power(Power),
}

impl Nvml {
    /// The name in provenance.
    pub const NAME: &'static str = "nvml";

    /// Opens the driver's library, or the one at `path`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there is no driver or no processor that tells its energy or power.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let library = Library::open(path)?;
        let (mut zones, mut meters) = (Vec::new(), Vec::new());
        for index in 0..library.count() {
            let Ok(device) = library.device(index) else {
                continue;
            };
            let most = ceiling(Domain::Gpu);
            if device.total_energy_consumption().is_ok() {
                meters.push(How::Counter(Meter::new(None, 1e3, most)));
            } else if device.power_usage().is_ok() {
                meters.push(How::Power(Power::new(Duration::ZERO, most)));
            } else {
                continue;
            }
            zones.push(Zone {
                name: device.name().unwrap_or_else(|_| format!("gpu-{index}")),
                domain: Domain::Gpu,
                index: Some(index),
                die: None,
                path: device.uuid().unwrap_or_default(),
                max: None,
            });
        }
        if zones.is_empty() {
            return Err(Error::Unsupported {
                what: "NVML".into(),
                why: "no graphics processor tells its energy or power".into(),
                hint: String::new(),
            });
        }
        Ok(Self {
            library,
            zones,
            meters,
        })
    }

    /// The same library, for whoever asks who uses it.
    pub(crate) fn library(&self) -> Library {
        self.library.clone()
    }
}

impl EnergySource for Nvml {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn provenance(&self, _: usize) -> Provenance {
        Provenance::measured(Self::NAME)
    }

    fn read(&mut self, now: Duration, readings: &mut Vec<Reading>) {
        readings.clear();
        let Self {
            library,
            zones,
            meters,
        } = self;
        readings.extend(
            zones
                .iter()
                .zip(meters)
                .map(|(zone, how)| look(library, zone, how, now).unwrap_or_else(Reading::Failed)),
        );
    }
}

fn look(library: &Library, zone: &Zone, how: &mut How, now: Duration) -> Result<Reading> {
    let device = library.device(zone.index.unwrap_or(0))?;
    Ok(match how {
        How::Counter(meter) => {
            let millijoules = device.total_energy_consumption();
            meter.look(
                now,
                millijoules.map_err(|e| nvml::call("energy", &e))?,
                false,
            )
        }
        How::Power(power) => {
            let milliwatts = device.power_usage().map_err(|e| nvml::call("power", &e))?;
            power.look(now, u64::from(milliwatts) * 1000)
        }
    })
}
