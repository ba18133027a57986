//! One sample. Lists are made when they are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use kepler_core::attribution::Residual;
use kepler_core::monitor as core;
use kepler_core::usage::{Counter, CounterSet, Counters};
use napi_derive::napi;

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

/// One process. Figures are since it was first seen, watts of the last interval.
#[napi(object, object_from_js = false)]
pub struct Process {
    /// The process id.
    pub pid: u32,
    /// Start time in seconds since boot.
    pub start_seconds: f64,
    /// The main thread's name, at most 15 bytes.
    pub comm: String,
    /// The executable's path; absent for kernel threads and where it may not be read.
    pub exe: Option<String>,
    /// The command line.
    pub command: Option<String>,
    /// The cgroup's path; absent when unknown.
    pub cgroup: Option<String>,
    /// The id of its container.
    pub container: Option<String>,
    /// The id of the virtual machine that it is.
    pub vm: Option<String>,
    /// Its systemd unit.
    pub unit: Option<String>,
    /// `running` or `terminated`.
    pub state: &'static str,
    /// CPU time.
    pub cpu_seconds: f64,
    /// Active energy by domain.
    #[napi(ts_type = "Record<string, number>")]
    pub joules: ByDomain,
    /// Its equal share of the machine's idle energy, by domain.
    #[napi(ts_type = "Record<string, number>")]
    pub idle_joules: ByDomain,
    /// Active power by domain.
    #[napi(ts_type = "Record<string, number>")]
    pub watts: ByDomain,
    /// Events.
    #[napi(ts_type = "Record<string, number>")]
    pub counters: Counts,
}

/// One container, the processes that ended included.
#[napi(object, object_from_js = false)]
pub struct Container {
    /// The id, 64 hexadecimal digits with the known runtimes.
    pub id: String,
    /// What brought it up: docker, containerd, crio, podman or kubernetes.
    pub runtime: &'static str,
    /// The uid of its pod.
    pub pod_uid: Option<String>,
    /// Its name, where something told it.
    pub name: Option<String>,
    /// `running` or `terminated`.
    pub state: &'static str,
    /// CPU time.
    pub cpu_seconds: f64,
    /// Active energy by domain.
    #[napi(ts_type = "Record<string, number>")]
    pub joules: ByDomain,
    /// Its processes' shares of the machine's idle energy, by domain.
    #[napi(ts_type = "Record<string, number>")]
    pub idle_joules: ByDomain,
    /// Active power by domain.
    #[napi(ts_type = "Record<string, number>")]
    pub watts: ByDomain,
    /// Events.
    #[napi(ts_type = "Record<string, number>")]
    pub counters: Counts,
}

/// One virtual machine.
#[napi(object, object_from_js = false)]
pub struct VirtualMachine {
    /// Its uuid, else its name.
    pub id: String,
    /// Its name; the id where it has none.
    pub name: String,
    /// The hypervisor.
    pub hypervisor: &'static str,
    /// `running` or `terminated`.
    pub state: &'static str,
    /// CPU time.
    pub cpu_seconds: f64,
    /// Active energy by domain.
    #[napi(ts_type = "Record<string, number>")]
    pub joules: ByDomain,
    /// Its share of the machine's idle energy, by domain.
    #[napi(ts_type = "Record<string, number>")]
    pub idle_joules: ByDomain,
    /// Active power by domain.
    #[napi(ts_type = "Record<string, number>")]
    pub watts: ByDomain,
    /// Events.
    #[napi(ts_type = "Record<string, number>")]
    pub counters: Counts,
}

/// Ended processes without an entry of their own, together by container and name.
#[napi(object, object_from_js = false)]
pub struct Ended {
    /// The id of the container they ran in.
    pub container: Option<String>,
    /// Their name.
    pub comm: String,
    /// How many.
    pub count: i64,
    /// CPU time.
    pub cpu_seconds: f64,
    /// Active energy by domain.
    #[napi(ts_type = "Record<string, number>")]
    pub joules: ByDomain,
    /// Their shares of the machine's idle energy, by domain.
    #[napi(ts_type = "Record<string, number>")]
    pub idle_joules: ByDomain,
    /// Events.
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
    pub fn interval(&self) -> Option<f64> {
        self.0.interval.map(|interval| interval.as_secs_f64())
    }

    /// The machine.
    #[napi(getter)]
    pub fn node(&self) -> Node {
        Node::from(&*self.0)
    }

    /// Processes that live, and the largest of those that ended within the retention.
    #[napi(getter)]
    pub fn processes(&self) -> Vec<Process> {
        self.0
            .processes
            .iter()
            .map(|process| Process::new(&self.0, process))
            .collect()
    }

    /// Containers that live, and those that ended within the retention.
    #[napi(getter)]
    pub fn containers(&self) -> Vec<Container> {
        self.0
            .containers
            .iter()
            .map(|container| Container::new(&self.0, container))
            .collect()
    }

    /// Virtual machines that live, and those that ended within the retention.
    #[napi(getter)]
    pub fn vms(&self) -> Vec<VirtualMachine> {
        self.0
            .vms
            .iter()
            .map(|vm| VirtualMachine::new(&self.0, vm))
            .collect()
    }

    /// Ended processes without an entry of their own.
    #[napi(getter)]
    pub fn ended(&self) -> Vec<Ended> {
        self.0
            .ended
            .iter()
            .map(|ended| Ended::new(&self.0, ended))
            .collect()
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
            provenance: Provenance::from(&*from.provenance),
        }
    }
}

impl Process {
    fn new(snapshot: &core::Snapshot, from: &core::ProcessSnapshot) -> Self {
        let (process, workload, usage) = (&from.process, &from.workload, &from.usage);
        Self {
            pid: process.key.pid,
            start_seconds: Duration::from_nanos(process.key.start_ns).as_secs_f64(),
            comm: process.comm.to_string(),
            exe: text(process.exe.as_ref()),
            command: text(process.command.as_ref()),
            cgroup: text(process.cgroup.as_ref()),
            container: workload.container.as_ref().map(|c| c.id.to_string()),
            vm: workload.vm.as_ref().map(|vm| vm.id.to_string()),
            unit: text(workload.unit.as_ref()),
            state: usage.state.as_str(),
            cpu_seconds: cpu_seconds(&usage.counters),
            joules: by_domain(snapshot, usage, |e| Some(e.joules.0)),
            idle_joules: by_domain(snapshot, usage, |e| Some(e.idle.0)),
            watts: by_domain(snapshot, usage, |e| e.watts.map(|w| w.0)),
            counters: counts(&usage.counters, snapshot.collected),
        }
    }
}

impl Container {
    fn new(snapshot: &core::Snapshot, from: &core::ContainerSnapshot) -> Self {
        let (container, usage) = (&from.container, &from.usage);
        Self {
            id: container.id.to_string(),
            runtime: container.runtime.as_str(),
            pod_uid: text(container.pod_uid.as_ref()),
            name: text(container.name.as_ref()),
            state: usage.state.as_str(),
            cpu_seconds: cpu_seconds(&usage.counters),
            joules: by_domain(snapshot, usage, |e| Some(e.joules.0)),
            idle_joules: by_domain(snapshot, usage, |e| Some(e.idle.0)),
            watts: by_domain(snapshot, usage, |e| e.watts.map(|w| w.0)),
            counters: counts(&usage.counters, snapshot.collected),
        }
    }
}

impl VirtualMachine {
    fn new(snapshot: &core::Snapshot, from: &core::VmSnapshot) -> Self {
        let (vm, usage) = (&from.vm, &from.usage);
        Self {
            id: vm.id.to_string(),
            name: vm.name.to_string(),
            hypervisor: vm.hypervisor,
            state: usage.state.as_str(),
            cpu_seconds: cpu_seconds(&usage.counters),
            joules: by_domain(snapshot, usage, |e| Some(e.joules.0)),
            idle_joules: by_domain(snapshot, usage, |e| Some(e.idle.0)),
            watts: by_domain(snapshot, usage, |e| e.watts.map(|w| w.0)),
            counters: counts(&usage.counters, snapshot.collected),
        }
    }
}

impl Ended {
    fn new(snapshot: &core::Snapshot, from: &core::EndedSnapshot) -> Self {
        let usage = &from.usage;
        Self {
            container: from.container.as_ref().map(|c| c.id.to_string()),
            comm: from.comm.to_string(),
            count: count(from.count),
            cpu_seconds: cpu_seconds(&usage.counters),
            joules: by_domain(snapshot, usage, |e| Some(e.joules.0)),
            idle_joules: by_domain(snapshot, usage, |e| Some(e.idle.0)),
            counters: counts(&usage.counters, snapshot.collected),
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

fn by_domain(
    snapshot: &core::Snapshot,
    usage: &core::WorkloadUsage,
    pick: impl Fn(&core::WorkloadEnergy) -> Option<f64>,
) -> ByDomain {
    let domains = snapshot.node.domains.iter().map(|d| d.domain.as_str());
    domains
        .zip(&usage.energy)
        .filter_map(|(domain, energy)| Some((domain, pick(energy)?)))
        .collect()
}

fn counts(counters: &Counters, collected: CounterSet) -> Counts {
    let named = Counter::ALL
        .iter()
        .filter(|c| **c != Counter::CpuTime && collected.contains(**c));
    named
        .map(|c| (c.as_str(), count(counters.get(*c))))
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

fn cpu_seconds(counters: &Counters) -> f64 {
    Duration::from_nanos(counters.cpu_ns).as_secs_f64()
}

/// A count as a JavaScript number, exact up to 2^53.
fn count(from: u64) -> i64 {
    i64::try_from(from).unwrap_or(i64::MAX)
}

fn text(from: Option<&Arc<str>>) -> Option<String> {
    from.map(|text| text.to_string())
}
