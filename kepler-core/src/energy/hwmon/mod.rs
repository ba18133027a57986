//! Power and energy sensors: `/sys/class/hwmon` (<https://docs.kernel.org/hwmon/sysfs-interface.html>).

mod sensor;

use std::time::Duration;

use crate::energy::law::{Kind, Law};
use crate::energy::meter::{self, Meter};
use crate::energy::power::Power;
use crate::energy::suspends::Suspends;
use crate::energy::{Domain, EnergySource, Reading, Zone};
use crate::error::{Error, Result};
use crate::host::{Host, KeptFile};
use crate::note::Note;
use crate::provenance::Provenance;
use sensor::{Quantity, Sensor};

/// Sensors whose driver or label clearly says what they measure: the whole machine by ACPI power meter or OpenPOWER,
/// sockets of X-Gene, OpenPOWER and older AMD, discrete Intel GPUs.
///
/// Energy counters are used before power sensors, and averaged power before instantaneous. Power is integrated over the real
/// time between two looks: by the mean of the two readings, or by the later one where it is itself the average over at
/// least that time (`powerN_average_interval`). Power is not known over looks that failed and while the machine slept:
/// that time gets no energy, and the next look is a new baseline.
#[derive(Debug)]
pub struct Hwmon {
    host: Host,
    zones: Vec<Zone>,
    gauges: Vec<Gauge>,
    suspends: Suspends,
    notes: Vec<Note>,
}

impl Hwmon {
    /// The name in provenance.
    pub const NAME: &'static str = "hwmon";

    /// Opens every sensor that the host has and that is known.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when the host has none; what kept the first from being
    /// opened, when none could be.
    pub fn open(host: &Host) -> Result<Self> {
        Self::open_beside(host, &[])
    }

    /// Like [`Hwmon::open`], without sensors of domains that another source measures.
    pub(super) fn open_beside(host: &Host, counted: &[Domain]) -> Result<Self> {
        let (mut gauges, mut notes): (Vec<Gauge>, _) = (Vec::new(), Vec::new());
        let mut refusal = None;
        for sensor in sensor::discover(host)? {
            let same = gauges.iter().find(|g| g.sensor.is_same_part(&sensor));
            if counted.contains(&sensor.domain) || same.is_some() {
                let same = same.map(|g| g.sensor.path.display().to_string());
                let same = same.unwrap_or_else(|| "another source".into());
                notes.push(Note {
                    part: sensor.path.display().to_string(),
                    active: false,
                    why: format!("{same} measures the same"),
                    hint: String::new(),
                });
                continue;
            }
            match Gauge::open(host, sensor.clone()) {
                Ok(gauge) => gauges.push(gauge),
                Err(error) => {
                    notes.push(Note::off(sensor.path.display().to_string(), &error, ""));
                    refusal.get_or_insert(error);
                }
            }
        }
        if gauges.is_empty() {
            let why = match notes.first() {
                Some(note) => note.to_string(),
                None => "no sensor is known to measure the machine or its processors".into(),
            };
            return Err(refusal.unwrap_or_else(|| none(why)));
        }
        Ok(Self {
            host: host.clone(),
            zones: gauges.iter().map(|g| g.sensor.zone()).collect(),
            gauges,
            suspends: Suspends::open(host),
            notes,
        })
    }

    /// Which of the sensors were left out, and why.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}

impl EnergySource for Hwmon {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn provenance(&self, index: usize) -> Provenance {
        let mut provenance = Provenance::measured(Self::NAME);
        if let Some(Gauge { sensor, .. }) = self.gauges.get(index) {
            provenance.note = match sensor.quantity {
                Quantity::Energy => format!("{} energy counter", sensor.chip).into(),
                Quantity::Average | Quantity::Input => {
                    format!("{} power, integrated over time", sensor.chip).into()
                }
            };
        }
        provenance
    }

    fn read(&mut self, now: Duration, readings: &mut Vec<Reading>) {
        readings.clear();
        let suspends = self.suspends.count();
        for gauge in &mut self.gauges {
            readings.push(gauge.read(&self.host, now, suspends));
        }
    }
}

/// One open sensor.
#[derive(Debug)]
struct Gauge {
    sensor: Sensor,
    file: KeptFile,
    law: Law,
}

impl Gauge {
    fn open(host: &Host, sensor: Sensor) -> Result<Self> {
        let most = meter::ceiling(sensor.domain);
        Ok(Self {
            file: host.open(&sensor.path)?,
            law: Law::new(match sensor.quantity {
                // Drivers accumulate in 64 bits: what wraps in the hardware does not wrap here.
                Quantity::Energy => Kind::Counter(Meter::new(None, MICROJOULES, most)),
                Quantity::Average => Kind::Integral(Power::new(sensor.window(host), most)),
                Quantity::Input => Kind::Integral(Power::new(Duration::ZERO, most)),
            }),
            sensor,
        })
    }

    fn read(&mut self, host: &Host, now: Duration, suspends: u64) -> Reading {
        let value = self.value(host);
        self.law.look(now, value, suspends)
    }

    /// The sensor's value, and whether it had to be opened again: a driver that was reloaded gets another number.
    fn value(&mut self, host: &Host) -> Result<(u64, bool)> {
        let error = match self.file.number() {
            Ok(value) => return Ok((value, false)),
            Err(error) => error,
        };
        let sensors = sensor::discover(host).unwrap_or_default();
        let again = sensors.into_iter().find(|s| s.is_same_sensor(&self.sensor));
        let reopened = again.and_then(|sensor| {
            let mut file = host.open(&sensor.path).ok()?;
            let value = file.number().ok()?;
            Some((sensor, file, value))
        });
        let Some((sensor, file, value)) = reopened else {
            return Err(error);
        };
        (self.sensor, self.file) = (sensor, file);
        Ok((value, true))
    }
}

fn none(why: String) -> Error {
    Error::Unsupported {
        what: "hwmon".into(),
        why,
        hint: "where the firmware has an ACPI power meter: modprobe acpi_power_meter".into(),
    }
}

/// Counts of `energyN_input` in a joule.
const MICROJOULES: f64 = 1e6;
