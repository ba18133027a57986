//! NVIDIA's graphics processors, by the energy counter of its management library.

use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::nvml::{self, Library};
use crate::provenance::Provenance;

use super::law::{Kind, Law};
use super::meter::{Meter, ceiling};
use super::power::Power;
use super::suspends::Suspends;
use super::{Domain, EnergySource, Reading, Zone};

/// Energy of each NVIDIA graphics processor. Its zone's name is the product's, its path the processor's own uuid.
///
/// Counted by the processor itself since Volta; earlier ones tell their power, which is integrated over the real time between
/// two looks. Power is not known over looks that failed and while the machine slept: that time gets no energy. A processor in
/// MIG mode is one zone: its instances have no meters of their own.
pub struct Nvml {
    library: Library,
    zones: Vec<Zone>,
    laws: Vec<Law>,
    suspends: Suspends,
}

impl Nvml {
    /// The name in provenance.
    pub const NAME: &'static str = "nvml";

    /// Opens the driver's library, or the one at `path`. The host tells when it slept.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there is no driver or no processor that tells its energy or power.
    pub fn open(host: &Host, path: Option<&Path>) -> Result<Self> {
        let library = Library::open(path)?;
        let (mut zones, mut laws) = (Vec::new(), Vec::new());
        for index in 0..library.count() {
            let Ok(device) = library.device(index) else {
                continue;
            };
            let most = ceiling(Domain::Gpu);
            let kind = if device.total_energy_consumption().is_ok() {
                Kind::Counter(Meter::new(None, 1e3, most))
            } else if device.power_usage().is_ok() {
                Kind::Integral(Power::new(Duration::ZERO, most))
            } else {
                continue;
            };
            laws.push(Law::new(kind));
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
            laws,
            suspends: Suspends::open(host),
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
        let suspends = self.suspends.count();
        for (zone, law) in self.zones.iter().zip(&mut self.laws) {
            let value = value(&self.library, zone, &law.kind);
            readings.push(law.look(now, value.map(|value| (value, false)), suspends));
        }
    }
}

/// Millijoules of a counter, microwatts of a power.
fn value(library: &Library, zone: &Zone, kind: &Kind) -> Result<u64> {
    let device = library.device(zone.index.unwrap_or(0))?;
    match kind {
        Kind::Counter(_) => device
            .total_energy_consumption()
            .map_err(|e| nvml::call("energy", &e)),
        Kind::Integral(_) => {
            let milliwatts = device.power_usage().map_err(|e| nvml::call("power", &e))?;
            Ok(u64::from(milliwatts) * 1000)
        }
    }
}
