//! One sample. Its long lists are told by column.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use kepler_core::attribution::Residual;
use kepler_core::monitor as core;
use kepler_core::usage::{Counter, CounterSet, Counters};
use napi::bindgen_prelude::{Either, Undefined};
use napi_derive::napi;

use crate::columns::{Column, counters, of_workloads};
use crate::provenance::Provenance;

/// Figures by domain name.
type ByDomain = BTreeMap<&'static str, f64>;
/// Counts by counter name; a counter that is not collected here is absent.
type Counts = BTreeMap<&'static str, i64>;

/// One metered part of the machine. Joules are since the monitor started, watts of the last interval.
#[napi(object, object_from_js = false)]
pub struct Zone {
    /// The name its meter gives it, such as `package-0`.
    pub name: String,
    /// What kind of part it is: psys, package, core, uncore, dram, platform or gpu.
    pub domain: &'static str,
    /// The socket or device number, where the name tells one.
    pub index: Option<u32>,
    /// The die in the socket, where the name tells one.
    pub die: Option<u32>,
    /// Where the figure is read.
    pub path: String,
    /// All energy.
    pub joules: f64,
    /// What the work cost.
    pub active_joules: f64,
    /// What it would have cost without work.
    pub idle_joules: f64,
    /// Mean power; absent when the zone could not be read in the last interval.
    pub watts: Option<f64>,
    /// Mean power of the work.
    pub active_watts: Option<f64>,
    /// Mean power without the work.
    pub idle_watts: Option<f64>,
    /// Intervals in which the meter could not be read.
    pub failures: i64,
    /// Steps of the counter that were not believed.
    pub refused: i64,
    /// Intervals in which the counter may have wrapped more than once.
    pub ambiguous: i64,
    /// Where the figures come from.
    pub provenance: Provenance,
}

/// All zones of one domain. Domains overlap: they are not to be added up.
#[napi(object, object_from_js = false)]
pub struct DomainEnergy {
    /// All energy since the monitor started.
    pub joules: f64,
    /// What the work cost.
    pub active_joules: f64,
    /// What it would have cost without work.
    pub idle_joules: f64,
    /// Mean power of the last interval; absent when no zone could be read.
    pub watts: Option<f64>,
    /// Mean power of the work.
    pub active_watts: Option<f64>,
    /// Mean power without the work.
    pub idle_watts: Option<f64>,
    /// Active joules that no process was charged with, by cause.
    #[napi(ts_type = "Record<string, number>")]
    pub residual: ByDomain,
    /// Idle joules that no process carries.
    pub idle_residual: f64,
    /// Where the figures come from.
    pub provenance: Provenance,
}

/// The machine.
#[napi(object, object_from_js = false)]
pub struct Node {
    /// Every zone, apart.
    pub zones: Vec<Zone>,
    /// Zones put together by domain.
    pub domains: BTreeMap<&'static str, DomainEnergy>,
    /// Online CPUs.
    pub cpus: u32,
    /// Busy share of the CPU time in the last interval, 0 to 1; absent on the first sample.
    pub busy_ratio: Option<f64>,
    /// Busy CPU time since the monitor started.
    pub busy_seconds: f64,
    /// Busy time of the last interval that nothing accounts for, as a share of busy time.
    pub unexplained_ratio: Option<f64>,
    /// Events since the monitor started.
    #[napi(ts_type = "Record<string, number>")]
    pub counters: Counts,
}

/// Whether one part of a source works here.
#[napi(object, object_from_js = false)]
pub struct Note {
    /// The part, such as `softirq_entry`.
    pub part: String,
    /// Whether it is in use.
    pub active: bool,
    /// Why not, or how; may be empty.
    pub why: String,
    /// The one thing that would change it; may be empty.
    pub hint: String,
}

/// Which sources are in use, and why not others.
#[napi(object, object_from_js = false)]
pub struct Sources {
    /// Names of the energy sources in use.
    pub energy: Vec<String>,
    /// Name of the usage source in use: `ebpf` or `procfs`.
    pub usage: String,
    /// Every part that was tried.
    pub notes: Vec<Note>,
    /// The same as text for people, a line a part.
    pub report: String,
}

/// What a sample cost.
#[napi(object, object_from_js = false)]
pub struct SampleCost {
    /// Wall time.
    pub wall_seconds: f64,
    /// CPU time.
    pub cpu_seconds: f64,
}

/// The long lists of a snapshot.
#[napi(string_enum = "camelCase", skip_typescript)]
pub enum List {
    Processes,
    Containers,
    Pods,
    VirtualMachines,
    Ended,
}

/// All that one sample knows.
#[napi]
pub struct Snapshot(pub(crate) Arc<core::Snapshot>);

#[napi]
impl Snapshot {
    /// Counts the samples of one monitor from 1.
    #[napi(getter)]
    pub fn sequence(&self) -> i64 {
        count(self.0.sequence)
    }

    /// When it was taken, in seconds since 1970.
    #[napi(getter)]
    pub fn time(&self) -> f64 {
        self.0
            .time
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |time| time.as_secs_f64())
    }

    /// Seconds since the sample before; absent on the first.
    #[napi(getter)]
    pub fn interval(&self) -> Either<f64, Undefined> {
        self.0
            .interval
            .map(|interval| interval.as_secs_f64())
            .into()
    }

    /// The machine.
    #[napi(getter)]
    pub fn node(&self) -> Node {
        Node::from(&*self.0)
    }

    /// How many rows a list has.
    #[napi(js_name = "_length", skip_typescript)]
    pub fn length(&self, list: List) -> u32 {
        let length = match list {
            List::Processes => self.0.processes.len(),
            List::Containers => self.0.containers.len(),
            List::Pods => self.0.pods.len(),
            List::VirtualMachines => self.0.vms.len(),
            List::Ended => self.0.ended.len(),
        };
        u32::try_from(length).unwrap_or(u32::MAX)
    }

    /// Some rows of one field of a list.
    #[napi(js_name = "_column", skip_typescript)]
    pub fn column(&self, list: List, field: String, from: u32, count: u32) -> Column {
        let (snapshot, from, count) = (&*self.0, from as usize, count as usize);
        match list {
            List::Processes => of_workloads(snapshot, &snapshot.processes, &field, from, count),
            List::Containers => of_workloads(snapshot, &snapshot.containers, &field, from, count),
            List::Pods => of_workloads(snapshot, &snapshot.pods, &field, from, count),
            List::VirtualMachines => of_workloads(snapshot, &snapshot.vms, &field, from, count),
            List::Ended => of_workloads(snapshot, &snapshot.ended, &field, from, count),
        }
    }

    /// What the figures by domain and by counter of a row are called, in their order.
    #[napi(js_name = "_names", skip_typescript)]
    pub fn names(&self, of: String) -> Vec<&'static str> {
        if of == "counters" {
            counters(self.0.collected).map(Counter::as_str).collect()
        } else {
            let domains = self.0.node.domains.iter();
            domains.map(|d| d.domain.as_str()).collect()
        }
    }

    /// What could not be had in the last interval, a line each; empty when all was.
    #[napi(getter)]
    pub fn complaints(&self) -> Vec<String> {
        self.0.complaints()
    }

    /// How energy is split into active and idle: `usage-ratio` or `fitted`.
    #[napi(getter)]
    pub fn idle_split(&self) -> &'static str {
        self.0.idle_split.as_str()
    }

    /// How idle energy is handed to workloads: `none`, `equal` or `usage`.
    #[napi(getter)]
    pub fn idle_share(&self) -> &'static str {
        self.0.idle_share.as_str()
    }

    /// Which sources are in use.
    #[napi(getter)]
    pub fn sources(&self) -> Sources {
        Sources::from(&*self.0.sources)
    }

    /// What taking the sample cost.
    #[napi(getter)]
    pub fn cost(&self) -> SampleCost {
        SampleCost {
            wall_seconds: self.0.cost.wall.as_secs_f64(),
            cpu_seconds: self.0.cost.cpu.as_secs_f64(),
        }
    }

    /// Tasks seen, exit records received and lost, and steps refused, since the monitor started.
    #[napi(getter, ts_return_type = "Record<string, number>")]
    pub fn stats(&self) -> Counts {
        let stats = self.0.stats;
        BTreeMap::from([
            ("tasks", count(stats.tasks)),
            ("exit_records", count(stats.exit_records)),
            ("exit_records_dropped", count(stats.exit_records_dropped)),
            ("exit_records_lost", count(stats.exit_records_lost)),
            ("pending_expired", count(stats.pending_expired)),
            ("refused", count(stats.refused)),
        ])
    }
}

impl From<&core::Snapshot> for Node {
    fn from(snapshot: &core::Snapshot) -> Self {
        let node = &snapshot.node;
        Self {
            zones: node.zones.iter().map(Zone::from).collect(),
            domains: node
                .domains
                .iter()
                .map(|d| (d.domain.as_str(), DomainEnergy::from(d)))
                .collect(),
            cpus: node.usage.cpus,
            busy_ratio: node.busy_ratio,
            busy_seconds: node.busy.as_secs_f64(),
            unexplained_ratio: node.unexplained_ratio,
            counters: counts(&node.counters, snapshot.collected),
        }
    }
}

impl From<&core::ZoneSnapshot> for Zone {
    fn from(from: &core::ZoneSnapshot) -> Self {
        let power = from.power;
        Self {
            name: from.zone.name.clone(),
            domain: from.zone.domain.as_str(),
            index: from.zone.index,
            die: from.zone.die,
            path: from.zone.path.clone(),
            joules: from.energy.total.0,
            active_joules: from.energy.active.0,
            idle_joules: from.energy.idle.0,
            watts: power.map(|p| p.total.0),
            active_watts: power.map(|p| p.active.0),
            idle_watts: power.map(|p| p.idle.0),
            failures: count(from.failures),
            refused: count(from.refused),
            ambiguous: count(from.ambiguous),
            provenance: Provenance::from(&*from.provenance),
        }
    }
}

impl From<&core::DomainSnapshot> for DomainEnergy {
    fn from(from: &core::DomainSnapshot) -> Self {
        let power = from.power;
        Self {
            joules: from.energy.total.0,
            active_joules: from.energy.active.0,
            idle_joules: from.energy.idle.0,
            watts: power.map(|p| p.total.0),
            active_watts: power.map(|p| p.active.0),
            idle_watts: power.map(|p| p.idle.0),
            residual: residual(&from.residual),
            idle_residual: from.idle_residual.0,
            provenance: Provenance::from(&*from.provenance),
        }
    }
}

impl From<&kepler_core::Note> for Note {
    fn from(from: &kepler_core::Note) -> Self {
        Self {
            part: from.part.clone(),
            active: from.active,
            why: from.why.clone(),
            hint: from.hint.clone(),
        }
    }
}

impl From<&core::Sources> for Sources {
    fn from(from: &core::Sources) -> Self {
        Self {
            energy: from.energy.clone(),
            usage: from.usage.clone(),
            notes: from.notes.iter().map(Note::from).collect(),
            report: from.to_string(),
        }
    }
}

fn counts(from: &Counters, collected: CounterSet) -> Counts {
    counters(collected)
        .map(|c| (c.as_str(), count(from.get(c))))
        .collect()
}

fn residual(from: &Residual) -> ByDomain {
    BTreeMap::from([
        ("unnamed", from.unnamed.0),
        ("lost", from.lost.0),
        ("interrupts", from.interrupts.0),
        ("refused", from.refused.0),
        ("unexplained", from.unexplained.0),
    ])
}

/// A count as a JavaScript number, exact up to 2^53.
fn count(from: u64) -> i64 {
    i64::try_from(from).unwrap_or(i64::MAX)
}
