//! The embedded default power models: watts of a machine nobody measured, from its attributes and how busy it is.
//!
//! Files of the own format are compiled in. `models/platform-*.json` predict wall power of a whole machine at one load each
//! (in per cent) from generation, cores, chips, memory and frequency; they were trained on SPECpower results.
//! `models/zones.json` tells
//! what of that the packages and the memory draw, and how much more a cloud host draws than a machine tuned for a
//! benchmark; it was made from RAPL rows of cloud machines.

mod generation;
mod machine;
mod name;
mod power_model;
mod processor;

use std::sync::Arc;

use super::{Basis, Component, ComponentModel, Interval, PowerModel};
use crate::error::Result;
use crate::host::MachineSpec;
use crate::units::Watts;
#[cfg(feature = "train")]
pub(super) use machine::INPUTS;
pub(super) use machine::Machine;
use machine::Place;

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
    machine: MachineSpec,
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

pub(super) type Curve = [f64; LOADS.len()];

/// The loads at which a machine's power is worked out; straight between them. Dense near idle, where cloud hosts leave
/// their sleep states.
pub(super) const LOADS: [f64; 13] = [
    0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0,
];

/// What is said to have trained the models that are made of the family.
pub(crate) const FAMILY: &str = "embedded family";

/// The level of all intervals.
const LEVEL: f64 = 0.9;

/// What package and dram may take of the wall power: the rest is lost in power supplies, fans, disks and network.
const PARTS_OF_WALL: f64 = 0.9;

/// The loads that the family has a model of each.
pub(super) const LEVELS: [f64; 7] = [0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0];

/// The same in per cent, as in the names of the files.
#[cfg(feature = "train")]
pub(super) const PERCENT: [u8; LEVELS.len()] = [0, 10, 20, 40, 60, 80, 100];

static PLATFORM: [&[u8]; LEVELS.len()] = [
    include_bytes!("../../../models/platform-000.json"),
    include_bytes!("../../../models/platform-010.json"),
    include_bytes!("../../../models/platform-020.json"),
    include_bytes!("../../../models/platform-040.json"),
    include_bytes!("../../../models/platform-060.json"),
    include_bytes!("../../../models/platform-080.json"),
    include_bytes!("../../../models/platform-100.json"),
];
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
    family.scaled(spec, &place, &power)
}

/// The embedded models themselves, for those who want their cards: platform by rising load, then zones.
///
/// # Errors
/// None that a build could have: the files are compiled in.
pub fn models() -> Result<Vec<PowerModel>> {
    let Family {
        mut platform,
        zones,
    } = Family::embedded()?;
    platform.push(zones);
    Ok(platform)
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

    /// The machine that it is for; cores are those that it was taken to have where they were not told.
    pub fn machine(&self) -> &MachineSpec {
        &self.machine
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

/// The embedded models.
pub(super) struct Family {
    /// One a load of [`LEVELS`].
    pub(super) platform: Vec<PowerModel>,
    pub(super) zones: PowerModel,
}

/// Power of one whole machine, in the order of [`NodeModel::COMPONENTS`].
pub(super) struct MachinePower {
    pub(super) watts: [Curve; 3],
    /// The interval and the expected error of `watts`, of each zone.
    bounds: [Bounds; 3],
    in_range: bool,
}

/// How sure a zone's curve is.
#[derive(Clone, Copy)]
struct Bounds {
    low: Curve,
    high: Curve,
    /// Mean absolute error as a share of the power.
    error: f64,
}

impl Family {
    fn embedded() -> Result<Self> {
        Ok(Self {
            platform: PLATFORM
                .into_iter()
                .map(PowerModel::from_json)
                .collect::<Result<_>>()?,
            zones: PowerModel::from_json(ZONES)?,
        })
    }

    /// The power of a whole machine. A guest's host is a cloud host, and those are not tuned for a benchmark.
    pub(super) fn power(&self, machine: &Machine, guest: bool) -> Result<MachinePower> {
        let Wall {
            watts: mut platform,
            bounds,
            in_range,
        } = wall(&self.platform, machine)?;
        let (mut package, mut dram) = ([0.0; LOADS.len()], [0.0; LOADS.len()]);
        if guest {
            for (watts, load) in platform.iter_mut().zip(LOADS) {
                *watts = self.zone(Component::Platform, load, machine, *watts)?;
            }
            rise(&mut platform);
        }
        for (i, load) in LOADS.into_iter().enumerate() {
            package[i] = self.zone(Component::Package, load, machine, platform[i])?;
            dram[i] = self.zone(Component::Dram, load, machine, platform[i])?;
        }
        rise(&mut package);
        rise(&mut dram);
        fit(&mut package, &mut dram, &platform);
        let part = |component| &self.zones.file().components[&component];
        let platform_bounds = if guest {
            Bounds::around(part(Component::Platform), &platform)
        } else {
            bounds
        };
        Ok(MachinePower {
            watts: [package, dram, platform],
            bounds: [
                Bounds::around(part(Component::Package), &package),
                Bounds::around(part(Component::Dram), &dram),
                platform_bounds,
            ],
            in_range,
        })
    }

    fn zone(&self, component: Component, load: f64, machine: &Machine, wall: f64) -> Result<f64> {
        let prediction = self.zones.predict_one(&[load, machine.memory, wall])?;
        Ok(prediction.watts[&component])
    }

    /// The likeliest host's power, scaled to this machine's share, with an interval over all hosts that it may be.
    fn scaled(&self, spec: &MachineSpec, place: &Place, hosts: &[MachinePower]) -> NodeModel {
        let cpus = f64::from(place.cpus);
        let share = |host: &Machine| cpus / f64::from(host.cpus);
        let curves = std::array::from_fn(|zone| {
            let mut curve = ZoneCurve {
                watts: hosts[0].watts[zone].map(|watts| watts * share(&place.hosts[0])),
                low: [f64::MAX; LOADS.len()],
                high: [0.0; LOADS.len()],
                error: hosts[0].bounds[zone].error,
            };
            for (power, host) in hosts.iter().zip(&place.hosts) {
                let Bounds { low, high, .. } = &power.bounds[zone];
                for i in 0..LOADS.len() {
                    curve.low[i] = curve.low[i].min(low[i] * share(host));
                    curve.high[i] = curve.high[i].max(high[i] * share(host));
                }
            }
            curve
        });
        NodeModel {
            name: family_name(&self.zones).into(),
            note: note(place).into(),
            in_range: hosts[0].in_range && !place.hidden(),
            hidden_host: place.hidden(),
            machine: MachineSpec {
                cores: Some(place.cpus),
                ..spec.clone()
            },
            curves,
        }
    }
}

impl Bounds {
    /// What a component's held-out errors tell of a curve that it predicted.
    fn around(part: &ComponentModel, watts: &Curve) -> Self {
        let interval = |watts: f64| {
            part.interval(watts)
                .map_or([0.0, watts], |i| [i.low, i.high])
        };
        Self {
            low: watts.map(|watts| interval(watts)[0].min(watts)),
            high: watts.map(|watts| interval(watts)[1].max(watts)),
            error: part.errors.first().and_then(|e| e.mape).unwrap_or(0.0) / 100.0,
        }
    }
}

/// The wall power of a machine tuned for a benchmark.
pub(super) struct Wall {
    pub(super) watts: Curve,
    bounds: Bounds,
    in_range: bool,
}

/// Wall power from the models of [`LEVELS`].
pub(super) fn wall(family: &[PowerModel], machine: &Machine) -> Result<Wall> {
    let (mut watts, mut low, mut high) = (
        [0.0; LEVELS.len()],
        [0.0; LEVELS.len()],
        [0.0; LEVELS.len()],
    );
    let (mut in_range, mut error) = (true, 0.0);
    for (level, model) in family.iter().enumerate().take(LEVELS.len()) {
        let row: Vec<f64> = model.features().map(|name| machine.input(name)).collect();
        let prediction = model.predict_one(&row)?;
        in_range &= prediction.in_range;
        watts[level] = prediction.watts[&Component::Platform];
        let part = &model.file().components[&Component::Platform];
        let interval = part.interval(watts[level]);
        low[level] = interval.map_or(0.0, |i| i.low);
        high[level] = interval.map_or(f64::MAX, |i| i.high);
        error += part.errors.first().and_then(|e| e.mape).unwrap_or(0.0) / 100.0;
    }
    let mut curves =
        [watts, low, high].map(|levels| LOADS.map(|load| between(&LEVELS, &levels, load)));
    curves.iter_mut().for_each(rise);
    let [watts, low, high] = curves;
    let error = error / crate::units::count_to_f64(LEVELS.len() as u64);
    Ok(Wall {
        watts,
        bounds: Bounds { low, high, error },
        in_range,
    })
}

/// The name of the family: that of its zones without their own part.
fn family_name(zones: &PowerModel) -> &str {
    zones.name().trim_end_matches("-zones")
}

fn note(place: &Place) -> String {
    let Place { hosts, cpus, guest } = place;
    if !guest {
        return "a family of models over generation, cores, chips, memory and frequency".to_owned();
    }
    let (host_cpus, year) = (hosts[0].cpus, hosts[0].year());
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
pub(super) fn at(curve: &Curve, load: f64) -> f64 {
    between(&LOADS, curve, if load.is_nan() { 0.0 } else { load })
}

/// The value at `x` of a line through points of rising `xs`, flat beyond its ends.
fn between<const N: usize>(xs: &[f64; N], ys: &[f64; N], x: f64) -> f64 {
    let x = x.clamp(xs[0], xs[N - 1]);
    let after = xs.partition_point(|place| *place <= x).clamp(1, N - 1);
    let (x0, x1) = (xs[after - 1], xs[after]);
    let (y0, y1) = (ys[after - 1], ys[after]);
    y0 + (y1 - y0) * ((x - x0) / (x1 - x0))
}
