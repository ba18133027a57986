//! Series about the machine, about where figures come from, and about ourselves.

use std::time::UNIX_EPOCH;

use super::family::{Component, Cost, NodeSeries, Part};
use super::identity::{Identity, Own};
use super::labels::Modes;
use super::text::Value;
use crate::attribution::Split;
use crate::energy::Domain;
use crate::monitor::{DomainSnapshot, Snapshot, WorkloadEnergy, ZoneSnapshot};
use crate::provenance::Origin;
use crate::units::{Joules, Watts};

/// All that these series are made of.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) identity: &'a Identity,
    pub(super) own: &'a Own,
    /// Energy of the node's component `other`.
    pub(super) other: Modes,
}

/// Takes the label values of one series, in the order of the family's labels, and its figure.
pub(super) type Emit<'a> = dyn FnMut(&[&str], Value) + 'a;

impl View<'_> {
    pub(super) fn write(&self, series: NodeSeries, emit: &mut Emit<'_>) {
        let node = &self.snapshot.node;
        let name = self.identity.node_name.as_str();
        match series {
            NodeSeries::Joules(part) => {
                self.zones(emit, |z| Some(Value::Energy(part.of(&z.energy).0)))
            }
            NodeSeries::Watts(part) => self.zones(emit, |z| {
                z.power
                    .map(|power| Value::Energy(part.of::<Watts>(&power).0))
            }),
            NodeSeries::GpuJoules(part) => {
                self.gpus(emit, |z| Some(Value::Energy(part.of(&z.energy).0)));
            }
            NodeSeries::GpuWatts(part) => self.gpus(emit, |z| {
                z.power
                    .map(|power| Value::Energy(part.of::<Watts>(&power).0))
            }),
            NodeSeries::GpuInfo => self.gpus(emit, |_| Some(Value::count(1))),
            NodeSeries::PlatformParts => {
                for p in &node.parts {
                    let labels = [
                        p.source,
                        name,
                        &p.controller,
                        &p.chassis,
                        &p.id,
                        &p.name,
                        p.kind,
                    ];
                    emit(&labels, Value::Energy(p.watts.0));
                }
            }
            NodeSeries::Attribution => {
                let Snapshot {
                    idle_split,
                    idle_share,
                    ..
                } = self.snapshot;
                emit(&[idle_split.as_str(), idle_share.as_str()], Value::count(1));
            }
            NodeSeries::Component(component) => self.component(component, emit),
            NodeSeries::UsageRatio => {
                if let Some(ratio) = node.busy_ratio {
                    emit(&[name], Value::Float(ratio));
                }
            }
            NodeSeries::CpuInfo => {
                for c in &self.identity.cpus {
                    let labels = [
                        &c.processor,
                        &c.vendor_id,
                        &c.model_name,
                        &c.physical_id,
                        &c.core_id,
                    ];
                    emit(&labels.map(String::as_str), Value::count(1));
                }
            }
            NodeSeries::Build => emit(&[ARCH, "", REVISION, VERSION, ""], Value::count(1)),
            NodeSeries::ExporterBuild => {
                emit(
                    &["", REVISION, VERSION, std::env::consts::OS, ARCH],
                    Value::count(1),
                );
            }
            NodeSeries::PowerSources => {
                let package = source(self.snapshot, Component::Of(Domain::Package));
                let platform = source(self.snapshot, Component::Of(Domain::Platform));
                emit(&[ARCH, package, platform, "os"], Value::count(1));
            }
            NodeSeries::Provenance => self.provenance(emit),
            NodeSeries::ExpectedError => {
                self.models(emit, |z| Some(Value::Energy(z.provenance.mae?.0)))
            }
            NodeSeries::InRange => self.models(emit, |z| Some(Value::flag(z.provenance.in_range?))),
            NodeSeries::Residual => {
                for domain in &node.domains {
                    residual(domain, emit);
                }
            }
            NodeSeries::Unexplained => {
                if let Some(ratio) = node.unexplained_ratio {
                    emit(&[], Value::Float(ratio));
                }
            }
            NodeSeries::ZoneFailures => self.zone_counts(emit, |z| z.failures),
            NodeSeries::ZoneRefused => self.zone_counts(emit, |z| z.refused),
            NodeSeries::ZoneAmbiguous => self.zone_counts(emit, |z| z.ambiguous),
            NodeSeries::Cost(cost) => {
                if let Some(value) = self.cost(cost) {
                    emit(&[], value);
                }
            }
            NodeSeries::Parts => self.parts(emit),
            NodeSeries::ModelFetches => {
                if let Some(fetches) = self.snapshot.model_fetches {
                    emit(&["success"], Value::count(fetches.successes));
                    emit(&["failure"], Value::count(fetches.failures));
                }
            }
            NodeSeries::ModelSuccess => {
                let last = self.snapshot.model_fetches.and_then(|f| f.last_success);
                if let Some(at) = last.and_then(|at| at.duration_since(UNIX_EPOCH).ok()) {
                    emit(&[], Value::time(at));
                }
            }
        }
    }

    fn gpus(&self, emit: &mut Emit<'_>, value: impl Fn(&ZoneSnapshot) -> Option<Value>) {
        let is_gpu = |z: &&ZoneSnapshot| z.zone.domain == Domain::Gpu;
        for z in self.snapshot.node.zones.iter().filter(is_gpu) {
            let index = z.zone.index.unwrap_or(0).to_string();
            let (uuid, name) = (&z.zone.path, &z.zone.name);
            if let Some(value) = value(z) {
                let node = &self.identity.node_name;
                emit(&[&index, uuid, name, GPU_VENDOR, node], value);
            }
        }
    }

    /// The zones but for graphics processors, which have families of their own.
    fn zones(&self, emit: &mut Emit<'_>, value: impl Fn(&ZoneSnapshot) -> Option<Value>) {
        let is_other = |z: &&ZoneSnapshot| z.zone.domain != Domain::Gpu;
        for z in self.snapshot.node.zones.iter().filter(is_other) {
            if let Some(value) = value(z) {
                emit(
                    &[
                        z.zone.domain.as_str(),
                        &z.zone.path,
                        &self.identity.node_name,
                    ],
                    value,
                );
            }
        }
    }

    fn zone_counts(&self, emit: &mut Emit<'_>, count: impl Fn(&ZoneSnapshot) -> u64) {
        for z in &self.snapshot.node.zones {
            emit(
                &[z.zone.domain.as_str(), &z.zone.path],
                Value::count(count(z)),
            );
        }
    }

    fn models(&self, emit: &mut Emit<'_>, value: impl Fn(&ZoneSnapshot) -> Option<Value>) {
        for z in &self.snapshot.node.zones {
            if let Some(value) = value(z) {
                let model = z.provenance.model.as_deref().unwrap_or_default();
                emit(&[z.zone.domain.as_str(), &z.zone.path, model], value);
            }
        }
    }

    fn provenance(&self, emit: &mut Emit<'_>) {
        for z in &self.snapshot.node.zones {
            let p = &z.provenance;
            let origin = match p.origin {
                Origin::Measured => "measured",
                Origin::Modeled => "modeled",
            };
            let model = p.model.as_deref().unwrap_or_default();
            let labels = [
                z.zone.domain.as_str(),
                &z.zone.path,
                &p.source,
                origin,
                model,
            ];
            emit(&labels, Value::count(1));
        }
    }

    /// A part of which several notes speak (one for each zone it left out, say) is in use if any of them says so.
    fn parts(&self, emit: &mut Emit<'_>) {
        let mut parts: Vec<(&str, bool)> = Vec::new();
        for note in &self.snapshot.sources.notes {
            match parts.iter_mut().find(|(part, _)| *part == note.part) {
                Some((_, active)) => *active |= note.active,
                None => parts.push((&note.part, note.active)),
            }
        }
        for (part, active) in parts {
            emit(&[part], Value::flag(active));
        }
    }

    /// Sockets stay apart; the dies of one are added up, as this family knows no dies.
    fn component(&self, component: Component, emit: &mut Emit<'_>) {
        let name = self.identity.node_name.as_str();
        let source = source(self.snapshot, component);
        let mut put = |package: &str, modes: Modes| {
            for (mode, joules) in MODES.into_iter().zip(modes) {
                emit(&[package, name, mode, source], Value::Energy(joules));
            }
        };
        let domain = match component {
            Component::Of(_) => match Parts::of(self.snapshot).find(self.snapshot, component) {
                Some(domain) => domain.domain,
                None => return,
            },
            Component::Other if Parts::of(self.snapshot).has_other() => {
                return put("socket0", self.other);
            }
            Component::Other | Component::Total => return,
        };
        let mut packages: Vec<(String, Modes)> = Vec::new();
        for z in self
            .snapshot
            .node
            .zones
            .iter()
            .filter(|z| z.zone.domain == domain)
        {
            let package = match (domain, z.provenance.origin) {
                (Domain::Platform | Domain::Psys, Origin::Modeled) => "estimator0".to_owned(),
                (Domain::Platform | Domain::Psys, Origin::Measured) => z.zone.name.clone(),
                _ => z.zone.index.unwrap_or(0).to_string(),
            };
            let modes = [z.energy.active.0, z.energy.idle.0];
            match packages.iter_mut().find(|(known, _)| *known == package) {
                Some((_, sum)) => sum
                    .iter_mut()
                    .zip(modes)
                    .for_each(|(sum, more)| *sum += more),
                None => packages.push((package, modes)),
            }
        }
        for (package, modes) in packages {
            put(&package, modes);
        }
    }

    fn cost(&self, cost: Cost) -> Option<Value> {
        let Snapshot {
            stats,
            cost: sample,
            ..
        } = self.snapshot;
        Some(match cost {
            Cost::OwnCpu => Value::time(self.own.cpu?),
            Cost::OwnMemory => Value::count(self.own.resident_bytes?),
            Cost::Samples => Value::count(self.snapshot.sequence),
            Cost::SampleWall => Value::time(sample.wall),
            Cost::SampleCpu => Value::time(sample.cpu),
            Cost::Tasks => Value::count(stats.tasks),
            Cost::ExitRecords => Value::count(stats.exit_records),
            Cost::ExitRecordsDropped => Value::count(stats.exit_records_dropped),
            Cost::ExitRecordsLost => Value::count(stats.exit_records_lost),
            Cost::PendingExpired => Value::count(stats.pending_expired),
            Cost::Refused => Value::count(stats.refused),
            Cost::CountersRunning => Value::Float(stats.counters_running?),
        })
    }
}

fn residual(domain: &DomainSnapshot, emit: &mut Emit<'_>) {
    let r = &domain.residual;
    for (cause, joules) in [
        ("unnamed", r.unnamed),
        ("lost", r.lost),
        ("interrupts", r.interrupts),
        ("refused", r.refused),
        ("unexplained", r.unexplained),
    ] {
        emit(&[domain.domain.as_str(), cause], Value::Energy(joules.0));
    }
}

impl Part {
    fn of<T: Copy>(self, split: &Split<T>) -> T {
        match self {
            Self::Total => split.total,
            Self::Active => split.active,
            Self::Idle => split.idle,
        }
    }
}

/// The names of [`Modes`].
pub(super) const MODES: [&str; 2] = ["dynamic", "idle"];
/// Of all graphics processors that are metered.
const GPU_VENDOR: &str = "nvidia";
const ARCH: &str = std::env::consts::ARCH;
const VERSION: &str = env!("CARGO_PKG_VERSION");
const REVISION: &str = match option_env!("KEPLER_REVISION") {
    Some(revision) => revision,
    None => "",
};

/// Where the parts that the older families are made of stand among a snapshot's domains.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    package: Option<usize>,
    dram: Option<usize>,
    gpu: Option<usize>,
    platform: Option<usize>,
}

impl Parts {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let place = |domain| {
            snapshot
                .node
                .domains
                .iter()
                .position(|d| d.domain == domain)
        };
        Self {
            package: place(Domain::Package),
            dram: place(Domain::Dram),
            gpu: place(Domain::Gpu),
            // Where the machine as a whole has no meter, what the processor says of it is the nearest.
            platform: place(Domain::Platform).or_else(|| place(Domain::Psys)),
        }
    }

    /// Whether platform and package are both known, so that a rest can be told.
    pub(super) fn has_other(self) -> bool {
        self.platform.is_some() && self.package.is_some()
    }

    /// The place of the graphics processors among the domains.
    pub(super) fn gpu(self) -> Option<usize> {
        self.gpu
    }

    /// The place of a component among the domains, where it is one of them.
    pub(super) fn place(self, snapshot: &Snapshot, component: Component) -> Option<usize> {
        match component {
            Component::Of(Domain::Platform) => self.platform,
            Component::Of(domain) => snapshot
                .node
                .domains
                .iter()
                .position(|d| d.domain == domain),
            Component::Other | Component::Total => None,
        }
    }

    fn find(self, snapshot: &Snapshot, component: Component) -> Option<&DomainSnapshot> {
        self.place(snapshot, component)
            .and_then(|place| snapshot.node.domains.get(place))
    }

    /// What the platform used beyond package, memory and graphics, never below 0.
    pub(super) fn other(self, modes: impl Fn(usize) -> Modes) -> Modes {
        if !self.has_other() {
            return [0.0; 2];
        }
        let of = |place: Option<usize>| place.map_or([0.0; 2], &modes);
        let [platform, package, dram, gpu] =
            [self.platform, self.package, self.dram, self.gpu].map(of);
        [0, 1].map(|m| (platform[m] - package[m] - dram[m] - gpu[m]).max(0.0))
    }

    /// Package, memory, other and graphics together.
    pub(super) fn total(self, other: Modes, modes: impl Fn(usize) -> Modes) -> Modes {
        let of = |place: Option<usize>| place.map_or([0.0; 2], &modes);
        let [package, dram, gpu] = [self.package, self.dram, self.gpu].map(of);
        [0, 1].map(|m| package[m] + dram[m] + gpu[m] + other[m])
    }
}

/// A workload's energy by mode in the domain at a place.
pub(super) fn modes(energy: &[WorkloadEnergy], place: usize) -> Modes {
    energy
        .get(place)
        .map_or([0.0; 2], |e| [e.joules.0, e.idle.0])
}

/// The node's component `other`.
pub(super) fn node_other(snapshot: &Snapshot) -> Modes {
    Parts::of(snapshot).other(|place| {
        let Split {
            active: Joules(active),
            idle: Joules(idle),
            ..
        } = snapshot.node.domains[place].energy;
        [active, idle]
    })
}

/// The source of a component in the older spelling; empty where it has several, `none` where it has none.
pub(super) fn source(snapshot: &Snapshot, component: Component) -> &str {
    let parts = Parts::of(snapshot);
    let domain = match component {
        Component::Total => return "",
        Component::Other => parts.find(snapshot, Component::Of(Domain::Platform)),
        Component::Of(_) => parts.find(snapshot, component),
    };
    match domain.map(|d| &*d.provenance.source) {
        None => "none",
        Some("rapl-powercap") => "rapl-sysfs",
        Some("modeled") => "trained_power_model",
        Some(source) => source,
    }
}
