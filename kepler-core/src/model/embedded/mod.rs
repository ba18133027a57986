//! The embedded default power models: watts of a machine nobody measured, from its attributes and how busy it is.
//!
//! Two files of the own format are compiled in. `models/platform.json` predicts wall power of a whole machine from
//! generation, cores, chips, memory, frequency and load; it was trained on SPECpower results. `models/zones.json` tells
//! what of that the packages and the memory draw, and how much more a cloud host draws than a machine tuned for a
//! benchmark; it was made from RAPL rows of cloud machines.

mod machine;
mod processor;

use std::sync::Arc;

use super::{Basis, Component, Interval, PowerModel};
use crate::error::Result;
use crate::host::MachineSpec;
use crate::units::Watts;
use machine::{Machine, Place};

/// The power of one machine as a function of how busy it is: package, dram and platform.
///
/// Platform is never below package and dram together, and no figure falls when load rises.
///
/// ```
/// use kepler_core::MachineSpec;
/// use kepler_core::model::{Component, embedded};
///
/// let guest = MachineSpec {
///     processor: Some("intel_xeon_platinum_8259cl".into()),
///     cores: Some(2),
///     memory: Some(8),
///     guest: true,
///     ..MachineSpec::default()
/// };
/// let model = embedded::for_machine(&guest);
/// let idle = model.watts(Component::Platform, 0.0);
/// let busy = model.watts(Component::Platform, 1.0);
/// assert!(idle.0 > 0.5 && busy.0 < 30.0 && idle < busy);
/// assert!(model.note().starts_with("scaled to 2 of 96 CPUs"), "{}", model.note());
/// ```
#[derive(Clone, Debug)]
pub struct NodeModel {
    name: Arc<str>,
    note: Arc<str>,
    in_range: bool,
    hidden_host: bool,
    curves: [ZoneCurve; 3],
}

/// One zone's power over load.
#[derive(Clone, Debug)]
struct ZoneCurve {
    /// Watts at each of [`LOADS`], rising.
    watts: Curve,
    /// The lower and upper end of the 90 % interval at each of [`LOADS`].
    low: Curve,
    high: Curve,
    /// Mean absolute error on machines not seen in training, as a share of the power.
    error: f64,
}

type Curve = [f64; LOADS.len()];

/// The loads at which a machine's power is worked out; straight between them. Dense near idle, where cloud hosts leave
/// their sleep states.
const LOADS: [f64; 13] = [
    0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0,
];

/// The level of all intervals.
const LEVEL: f64 = 0.9;

/// What package and dram may take of the wall power: the rest is lost in power supplies, fans, disks and network.
const PARTS_OF_WALL: f64 = 0.9;

static PLATFORM: &[u8] = include_bytes!("../../../models/platform.json");
static ZONES: &[u8] = include_bytes!("../../../models/zones.json");

/// The power of a machine of these attributes. A guest gets its share of its host, by logical CPUs.
///
/// Works for every spec: what is not told is taken as usual for the processor's generation. A guest whose host hides its
/// processor gets a wide interval, over all hosts that it may be on.
pub fn for_machine(spec: &MachineSpec) -> NodeModel {
    let family = Family::embedded().expect("the embedded files are whole: a test reads them");
    let place = Place::of(spec);
    let power = place
        .hosts
        .iter()
        .map(|host| family.power(host, spec.guest))
        .collect::<Result<Vec<_>>>()
        .expect("the inputs are finite numbers and as many as the family has: a test tries all machines");
    family.scaled(&place, &power)
}

/// The embedded models themselves, platform first, for those who want their cards.
///
/// # Errors
/// None that a build could have: the files are compiled in.
pub fn models() -> Result<[PowerModel; 2]> {
    let Family { platform, zones } = Family::embedded()?;
    Ok([platform, zones])
}

impl NodeModel {
    /// The zones that are modeled, in this order.
    pub const COMPONENTS: [Component; 3] =
        [Component::Package, Component::Dram, Component::Platform];

    /// The model's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What a reader of the figures must know: scaling and what was assumed.
    pub fn note(&self) -> &Arc<str> {
        &self.note
    }

    /// Whether the machine's attributes lie within those of the training data.
    pub fn in_range(&self) -> bool {
        self.in_range
    }

    /// Power in watts at a busy ratio from 0 to 1; zero for a component that is not in [`NodeModel::COMPONENTS`].
    pub fn watts(&self, component: Component, busy: f64) -> Watts {
        Watts(
            self.curve(component)
                .map_or(0.0, |curve| at(&curve.watts, busy)),
        )
    }

    /// The mean absolute error to expect of [`NodeModel::watts`], measured on machines not seen in training.
    pub fn expected_error(&self, component: Component, busy: f64) -> Watts {
        let error = self.curve(component).map_or(0.0, |curve| curve.error);
        self.watts(component, busy) * error
    }

    /// The range that holds the true power of nine machines in ten; `None` for a component that is not modeled.
    pub fn interval(&self, component: Component, busy: f64) -> Option<Interval> {
        let curve = self.curve(component)?;
        Some(Interval {
            low: at(&curve.low, busy),
            high: at(&curve.high, busy),
            level: LEVEL,
            basis: if self.hidden_host {
                Basis::UnknownHost
            } else {
                Basis::Residuals
            },
        })
    }

    fn curve(&self, component: Component) -> Option<&ZoneCurve> {
        let index = Self::COMPONENTS.iter().position(|c| *c == component)?;
        Some(&self.curves[index])
    }
}

/// The two embedded models.
struct Family {
    platform: PowerModel,
    zones: PowerModel,
}

/// Power of one whole machine, in the order of [`NodeModel::COMPONENTS`].
struct MachinePower {
    watts: [Curve; 3],
    in_range: bool,
    guest: bool,
}

impl Family {
    fn embedded() -> Result<Self> {
        Ok(Self {
            platform: PowerModel::from_json(PLATFORM)?,
            zones: PowerModel::from_json(ZONES)?,
        })
    }

    /// The power of a whole machine. A guest's host is a cloud host, and those are not tuned for a benchmark.
    fn power(&self, machine: &Machine, guest: bool) -> Result<MachinePower> {
        let (mut package, mut dram, mut platform) =
            ([0.0; LOADS.len()], [0.0; LOADS.len()], [0.0; LOADS.len()]);
        let mut in_range = true;
        for (i, load) in LOADS.into_iter().enumerate() {
            let (wall, inside) = self.wall(machine, load)?;
            in_range &= inside;
            platform[i] = if guest {
                self.zone(Component::Platform, load, machine, wall)?
            } else {
                wall
            };
        }
        rise(&mut platform);
        for (i, load) in LOADS.into_iter().enumerate() {
            package[i] = self.zone(Component::Package, load, machine, platform[i])?;
            dram[i] = self.zone(Component::Dram, load, machine, platform[i])?;
        }
        rise(&mut package);
        rise(&mut dram);
        fit(&mut package, &mut dram, &platform);
        Ok(MachinePower {
            watts: [package, dram, platform],
            in_range,
            guest,
        })
    }

    fn wall(&self, machine: &Machine, load: f64) -> Result<(f64, bool)> {
        let mut row = machine.inputs().to_vec();
        row.extend([load, load.sqrt()]);
        let prediction = self.platform.predict_one(&row)?;
        Ok((prediction.watts[&Component::Platform], prediction.in_range))
    }

    fn zone(&self, component: Component, load: f64, machine: &Machine, wall: f64) -> Result<f64> {
        let prediction = self.zones.predict_one(&[load, machine.memory, wall])?;
        Ok(prediction.watts[&component])
    }

    /// The likeliest host's power, scaled to this machine's share, with an interval over all hosts that it may be.
    fn scaled(&self, place: &Place, hosts: &[MachinePower]) -> NodeModel {
        let [cpus, host_cpus] = place.cpus.map(f64::from);
        let share = cpus / host_cpus;
        let curves = std::array::from_fn(|zone| {
            let component = NodeModel::COMPONENTS[zone];
            let (model, errors) = match component {
                Component::Platform if !hosts[0].guest => (&self.platform, Component::Platform),
                other => (&self.zones, other),
            };
            let part = &model.file().components[&errors];
            let mut curve = ZoneCurve {
                watts: hosts[0].watts[zone].map(|watts| watts * share),
                low: [f64::MAX; LOADS.len()],
                high: [0.0; LOADS.len()],
                error: part.errors.first().and_then(|e| e.mape).unwrap_or(0.0) / 100.0,
            };
            for (host, machine) in hosts.iter().zip(&place.hosts) {
                let share = cpus / f64::from(machine.logical_cpus()).max(cpus);
                let share = if host.guest { share } else { 1.0 };
                for (i, watts) in host.watts[zone].into_iter().enumerate() {
                    if let Some(interval) = part.interval(watts * share) {
                        curve.low[i] = curve.low[i].min(interval.low);
                        curve.high[i] = curve.high[i].max(interval.high);
                    }
                }
            }
            curve
        });
        NodeModel {
            name: self.platform.name().into(),
            note: note(place, hosts[0].guest).into(),
            in_range: hosts[0].in_range && !place.hidden(),
            hidden_host: place.hidden(),
            curves,
        }
    }
}

fn note(place: &Place, guest: bool) -> String {
    let [cpus, host_cpus] = place.cpus;
    if !guest {
        return "a family of models over processor generation, cores, chips, memory and frequency"
            .to_owned();
    }
    let year = place.hosts[0].processor.generation.year;
    if place.hidden() {
        return format!(
            "scaled to {cpus} of {host_cpus} CPUs of an assumed host of {year}: this one hides its processor"
        );
    }
    format!("scaled to {cpus} of {host_cpus} CPUs of a usual host of this processor ({year})")
}

/// Makes a curve rise: what more load draws is never less.
fn rise(curve: &mut Curve) {
    let mut highest: f64 = 0.0;
    for watts in curve {
        highest = highest.max(*watts);
        *watts = highest;
    }
}

/// Makes package and dram fit into the platform at every load, and keeps them rising.
fn fit(package: &mut Curve, dram: &mut Curve, platform: &Curve) {
    let (mut package_room, mut dram_room) = (f64::MAX, f64::MAX);
    for i in (0..LOADS.len()).rev() {
        let room = platform[i] * PARTS_OF_WALL;
        package_room = package_room.min(room);
        package[i] = package[i].min(package_room);
        dram_room = dram_room.min(room - package[i]);
        dram[i] = dram[i].min(dram_room);
    }
}

/// The value of a curve at a load, straight between its places.
fn at(curve: &Curve, load: f64) -> f64 {
    let load = if load.is_nan() {
        0.0
    } else {
        load.clamp(0.0, 1.0)
    };
    let after = LOADS
        .partition_point(|l| *l <= load)
        .clamp(1, LOADS.len() - 1);
    let (x0, x1) = (LOADS[after - 1], LOADS[after]);
    let (y0, y1) = (curve[after - 1], curve[after]);
    y0 + (y1 - y0) * ((load - x0) / (x1 - x0))
}
