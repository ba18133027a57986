//! Energy of a machine without meters: a power model fed with what the node did.

mod given;

use std::sync::Arc;
use std::time::Duration;

use crate::energy::{Domain, EnergySource, Reading, Zone};
use crate::host::MachineSpec;
use crate::model::Component;
use crate::model::embedded::{self, NodeModel};
use crate::provenance::{Origin, Provenance};
use crate::units::{Joules, Watts};
use crate::usage::NodeUsage;

pub use given::{GivenModel, features};

/// The name of this source in provenance.
const NAME: &str = "modeled";

/// An energy source made of a power model and the node's usage.
///
/// Whoever samples usage feeds it with [`Modeled::feed`] before each [`EnergySource::read`].
///
/// ```
/// use std::time::Duration;
/// use kepler_core::MachineSpec;
/// use kepler_core::energy::{EnergySource, Reading};
/// use kepler_core::modeled::Modeled;
/// use kepler_core::usage::NodeUsage;
///
/// let mut source = Modeled::embedded(&MachineSpec::default());
/// let mut readings = Vec::new();
/// source.read(Duration::ZERO, &mut readings); // the baseline
/// let second = Duration::from_secs(1);
/// source.feed(&NodeUsage { interval: second, busy_ns: 500_000_000, idle_ns: 500_000_000, ..NodeUsage::default() });
/// source.read(second, &mut readings);
/// assert!(matches!(readings[0], Reading::Energy { joules, .. } if joules.0 > 0.0));
/// ```
#[derive(Debug)]
pub struct Modeled {
    model: NodeModel,
    zones: Vec<Zone>,
    /// What provenance tells of each zone besides figures.
    notes: [Arc<str>; NodeModel::COMPONENTS.len()],
    /// Energy by zone that was fed and not read yet, and the time it covers.
    pending: [Joules; NodeModel::COMPONENTS.len()],
    over: Duration,
    /// The busy ratio of the last interval.
    busy: f64,
    started: bool,
    given: Vec<Given>,
}

/// A model in the place of the embedded family's figures, and whether it was asked within its range last.
#[derive(Debug)]
struct Given {
    model: GivenModel,
    in_range: bool,
}

impl Modeled {
    /// The embedded model of a machine of these attributes.
    pub fn embedded(spec: &MachineSpec) -> Self {
        Self::new(embedded::for_machine(spec))
    }

    /// A source of this model's figures.
    pub fn new(model: NodeModel) -> Self {
        let zones = NodeModel::COMPONENTS.map(|component| Zone {
            name: component.to_string(),
            domain: domain(component),
            index: None,
            die: None,
            path: NAME.to_owned(),
            max: None,
        });
        Self {
            notes: NodeModel::COMPONENTS.map(|component| note(&model, component)),
            model,
            zones: zones.into(),
            pending: Default::default(),
            over: Duration::ZERO,
            busy: 0.0,
            started: false,
            given: Vec::new(),
        }
    }

    /// From now on the components that `model` predicts are of it; it takes the place of an earlier one of the same meter.
    /// What was fed before stays as it was, so that totals go on without a jump.
    pub fn give(&mut self, model: GivenModel) {
        let place = self
            .given
            .iter()
            .position(|g| g.model.source() == model.source());
        let given = Given {
            model,
            in_range: true,
        };
        match place {
            Some(place) => self.given[place] = given,
            None => self.given.push(given),
        }
    }

    /// The model.
    pub fn model(&self) -> &NodeModel {
        &self.model
    }

    /// Takes what the node did in one interval: its power at the mean load, over the interval's real time. An interval of
    /// no time, such as a source's first, adds nothing.
    pub fn feed(&mut self, node: &NodeUsage) {
        let Some(busy) = node.busy_ratio() else {
            return;
        };
        self.busy = busy;
        self.over += node.interval;
        let mut watts = NodeModel::COMPONENTS.map(|component| self.model.watts(component, busy));
        for given in &mut self.given {
            let Some(predicted) = given.model.predict(node) else {
                continue;
            };
            given.in_range = predicted.in_range;
            for (watts, component) in watts.iter_mut().zip(NodeModel::COMPONENTS) {
                if let Some(of_model) = predicted.watts.get(&component) {
                    *watts = Watts(*of_model);
                }
            }
        }
        for (pending, watts) in self.pending.iter_mut().zip(watts) {
            *pending += watts * node.interval;
        }
    }
}

impl EnergySource for Modeled {
    fn name(&self) -> &'static str {
        NAME
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn provenance(&self, index: usize) -> Provenance {
        let component = NodeModel::COMPONENTS[index];
        // The last one holds, as in `feed`.
        let mut given = self.given.iter().rev();
        if let Some(of_model) = given.find_map(|g| g.model.provenance(component, g.in_range)) {
            return of_model;
        }
        Provenance {
            origin: Origin::Modeled,
            source: NAME.into(),
            model: Some(self.model.name().clone()),
            mae: Some(self.model.expected_error(component, self.busy)),
            in_range: Some(self.model.in_range()),
            note: self.notes[index].clone(),
        }
    }

    fn read(&mut self, _now: Duration, readings: &mut Vec<Reading>) {
        let (pending, over) = (
            std::mem::take(&mut self.pending),
            std::mem::take(&mut self.over),
        );
        let baseline = !std::mem::replace(&mut self.started, true);
        readings.clear();
        readings.extend(pending.map(|joules| {
            if baseline {
                Reading::Baseline
            } else {
                Reading::Energy {
                    joules,
                    over,
                    ambiguous: false,
                }
            }
        }));
    }
}

fn domain(component: Component) -> Domain {
    match component {
        Component::Package => Domain::Package,
        Component::Core => Domain::Core,
        Component::Uncore => Domain::Uncore,
        Component::Dram => Domain::Dram,
        Component::Platform => Domain::Platform,
    }
}

/// Does not change from reading to reading: it is a label of metrics.
fn note(model: &NodeModel, component: Component) -> Arc<str> {
    const HALF_BUSY: f64 = 0.5;
    let watts = model.watts(component, HALF_BUSY).0;
    match model.interval(component, HALF_BUSY) {
        Some(interval) if watts > 0.0 => format!(
            "{}; {:.0} % of such machines draw {:.1} to {:.1} times this",
            model.note(),
            interval.level * 100.0,
            interval.low / watts,
            interval.high / watts
        )
        .into(),
        _ => model.note().clone(),
    }
}
