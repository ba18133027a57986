//! One sample, as records. Lists are made when they are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use kepler_core::Watts;
use kepler_core::attribution::{Residual, Split};
use kepler_core::monitor as core;
use kepler_core::usage::{Counter, CounterSet, Counters};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::provenance::Provenance;
use crate::record::{plain, record};

/// Figures by domain name.
type ByDomain = BTreeMap<&'static str, f64>;
/// Counts by counter name; a counter that is not collected here is absent.
type Counts = BTreeMap<&'static str, u64>;

record! {
    /// One metered part of the machine. Joules are since the monitor started, watts of the last interval.
    Zone {
        /// The name its meter gives it, such as `package-0`.
        name: String,
        /// What kind of part it is: psys, package, core, uncore, dram, platform or gpu.
        domain: &'static str,
        /// The socket or device number, where the name tells one.
        index: Option<u32>,
        /// The die in the socket, where the name tells one.
        die: Option<u32>,
        /// Where the figure is read.
        path: String,
        /// All energy.
        joules: f64,
        /// What the work cost.
        active_joules: f64,
        /// What it would have cost without work.
        idle_joules: f64,
        /// Mean power; None when the zone could not be read in the last interval.
        watts: Option<f64>,
        /// Mean power of the work.
        active_watts: Option<f64>,
        /// Mean power without the work.
        idle_watts: Option<f64>,
        /// Intervals in which the meter could not be read.
        failures: u64,
        /// Steps of the counter that were not believed.
        refused: u64,
        /// Intervals in which the counter may have wrapped more than once.
        ambiguous: u64,
        /// Where the figures come from.
        provenance: Py<Provenance>,
    }
}

record! {
    /// All zones of one domain. Domains overlap: they are not to be added up.
    DomainEnergy {
        /// All energy since the monitor started.
        joules: f64,
        /// What the work cost.
        active_joules: f64,
        /// What it would have cost without work.
        idle_joules: f64,
        /// Mean power of the last interval; None when no zone could be read.
        watts: Option<f64>,
        /// Mean power of the work.
        active_watts: Option<f64>,
        /// Mean power without the work.
        idle_watts: Option<f64>,
        /// Active joules that no process was charged with, by cause.
        residual: BTreeMap<&'static str, f64>,
        /// Idle joules that no process carries.
        idle_residual: f64,
        /// Where the figures come from.
        provenance: Py<Provenance>,
    }
}

record! {
    /// The machine.
    Node {
        /// Every zone, apart.
        zones: Vec<Py<Zone>>,
        /// Zones put together by domain.
        domains: BTreeMap<&'static str, Py<DomainEnergy>>,
        /// Online CPUs.
        cpus: u32,
        /// Busy share of the CPU time in the last interval, 0 to 1; None on the first sample.
        busy_ratio: Option<f64>,
        /// Busy CPU time since the monitor started.
        busy_seconds: f64,
        /// Busy time of the last interval that nothing accounts for, as a share of busy time.
        unexplained_ratio: Option<f64>,
        /// Events since the monitor started.
        counters: Counts,
    }
}

record! {
    /// One process. Figures are since it was first seen, watts of the last interval.
    Process {
        /// The process id.
        pid: u32,
        /// Start time in seconds since boot.
        start_seconds: f64,
        /// The main thread's name, at most 15 bytes.
        comm: String,
        /// The executable's path; None for kernel threads and where it may not be read.
        exe: Option<String>,
        /// The command line.
        command: Option<String>,
        /// The cgroup's path; None when unknown.
        cgroup: Option<String>,
        /// The id of its container.
        container: Option<String>,
        /// The uid of its pod.
        pod: Option<String>,
        /// The id of the virtual machine that it is.
        vm: Option<String>,
        /// Its systemd unit.
        unit: Option<String>,
        /// `running` or `terminated`.
        state: &'static str,
        /// CPU time.
        cpu_seconds: f64,
        /// Active energy by domain.
        joules: ByDomain,
        /// Its equal share of the machine's idle energy, by domain.
        idle_joules: ByDomain,
        /// Active power by domain.
        watts: ByDomain,
        /// Events.
        counters: Counts,
    }
}

record! {
    /// One container, the processes that ended included.
    Container {
        /// The id, 64 hexadecimal digits with the known runtimes.
        id: String,
        /// What brought it up: docker, containerd, crio, podman or kubernetes.
        runtime: &'static str,
        /// The uid of its pod.
        pod_uid: Option<String>,
        /// Its name, where something told it.
        name: Option<String>,
        /// `running` or `terminated`.
        state: &'static str,
        /// CPU time.
        cpu_seconds: f64,
        /// Active energy by domain.
        joules: ByDomain,
        /// Its processes' shares of the machine's idle energy, by domain.
        idle_joules: ByDomain,
        /// Active power by domain.
        watts: ByDomain,
        /// Events.
        counters: Counts,
    }
}

record! {
    /// One pod: its containers, those that were restarted or ended included, and its processes outside of them.
    Pod {
        /// The uid.
        uid: String,
        /// Its name, where a pod list told it.
        name: Option<String>,
        /// Its namespace, where a pod list told it.
        namespace: Option<String>,
        /// `running` or `terminated`.
        state: &'static str,
        /// CPU time.
        cpu_seconds: f64,
        /// Active energy by domain.
        joules: ByDomain,
        /// Its processes' shares of the machine's idle energy, by domain.
        idle_joules: ByDomain,
        /// Active power by domain.
        watts: ByDomain,
        /// Events.
        counters: Counts,
    }
}

record! {
    /// One virtual machine.
    VirtualMachine {
        /// Its uuid, else its name.
        id: String,
        /// Its name; the id where it has none.
        name: String,
        /// The hypervisor.
        hypervisor: &'static str,
        /// `running` or `terminated`.
        state: &'static str,
        /// CPU time.
        cpu_seconds: f64,
        /// Active energy by domain.
        joules: ByDomain,
        /// Its share of the machine's idle energy, by domain.
        idle_joules: ByDomain,
        /// Active power by domain.
        watts: ByDomain,
        /// Events.
        counters: Counts,
    }
}

record! {
    /// Ended processes without an entry of their own, together by container and name.
    Ended {
        /// The id of the container they ran in.
        container: Option<String>,
        /// Their name.
        comm: String,
        /// How many.
        count: u64,
        /// CPU time.
        cpu_seconds: f64,
        /// Active energy by domain.
        joules: ByDomain,
        /// Their shares of the machine's idle energy, by domain.
        idle_joules: ByDomain,
        /// Events.
        counters: Counts,
    }
}

record! {
    /// Whether one part of a source works here.
    Note {
        /// The part, such as `softirq_entry`.
        part: String,
        /// Whether it is in use.
        active: bool,
        /// Why not, or how; may be empty.
        why: String,
        /// The one thing that would change it; may be empty.
        hint: String,
    }
}

record! {
    /// Which sources are in use, and why not others.
    Sources {
        /// Names of the energy sources in use.
        energy: Vec<String>,
        /// Name of the usage source in use: `ebpf` or `procfs`.
        usage: String,
        /// Every part that was tried.
        notes: Vec<Py<Note>>,
        /// The same as text for people, a line a part.
        report: String,
    }
}

/// All that one sample knows.
#[pyclass(frozen, module = "kepler")]
pub(crate) struct Snapshot {
    inner: Arc<core::Snapshot>,
    node: PyOnceLock<Py<Node>>,
    processes: PyOnceLock<Vec<Py<Process>>>,
    containers: PyOnceLock<Vec<Py<Container>>>,
    pods: PyOnceLock<Vec<Py<Pod>>>,
    vms: PyOnceLock<Vec<Py<VirtualMachine>>>,
    ended: PyOnceLock<Vec<Py<Ended>>>,
}

impl From<Arc<core::Snapshot>> for Snapshot {
    fn from(inner: Arc<core::Snapshot>) -> Self {
        Self {
            inner,
            node: PyOnceLock::new(),
            processes: PyOnceLock::new(),
            containers: PyOnceLock::new(),
            pods: PyOnceLock::new(),
            vms: PyOnceLock::new(),
            ended: PyOnceLock::new(),
        }
    }
}

#[pymethods]
impl Snapshot {
    /// Counts the samples of one monitor from 1.
    #[getter]
    fn sequence(&self) -> u64 {
        self.inner.sequence
    }

    /// When it was taken, in seconds since 1970.
    #[getter]
    fn time(&self) -> f64 {
        self.inner
            .time
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |time| time.as_secs_f64())
    }

    /// Seconds since the sample before; None on the first.
    #[getter]
    fn interval(&self) -> Option<f64> {
        self.inner.interval.map(|interval| interval.as_secs_f64())
    }

    /// The machine.
    #[getter]
    fn node(&self, py: Python<'_>) -> PyResult<Py<Node>> {
        let node = self
            .node
            .get_or_try_init(py, || Node::new(py, &self.inner))?;
        Ok(node.clone_ref(py))
    }

    /// Processes that live, and the largest of those that ended within the retention.
    #[getter]
    fn processes(&self, py: Python<'_>) -> PyResult<Vec<Py<Process>>> {
        cached(py, &self.processes, &self.inner.processes, |p| {
            Process::new(&self.inner, p)
        })
    }

    /// Containers that live, and those that ended within the retention.
    #[getter]
    fn containers(&self, py: Python<'_>) -> PyResult<Vec<Py<Container>>> {
        cached(py, &self.containers, &self.inner.containers, |c| {
            Container::new(&self.inner, c)
        })
    }

    /// Pods that live, and those that ended within the retention.
    #[getter]
    fn pods(&self, py: Python<'_>) -> PyResult<Vec<Py<Pod>>> {
        cached(py, &self.pods, &self.inner.pods, |pod| {
            Pod::new(&self.inner, pod)
        })
    }

    /// Virtual machines that live, and those that ended within the retention.
    #[getter]
    fn vms(&self, py: Python<'_>) -> PyResult<Vec<Py<VirtualMachine>>> {
        cached(py, &self.vms, &self.inner.vms, |vm| {
            VirtualMachine::new(&self.inner, vm)
        })
    }

    /// Ended processes without an entry of their own.
    #[getter]
    fn ended(&self, py: Python<'_>) -> PyResult<Vec<Py<Ended>>> {
        cached(py, &self.ended, &self.inner.ended, |ended| {
            Ended::new(&self.inner, ended)
        })
    }

    /// How energy is split into active and idle: ``"usage-ratio"`` or ``"fitted"``.
    #[getter]
    fn idle_split(&self) -> &'static str {
        self.inner.idle_split.as_str()
    }

    /// How idle energy is handed to workloads: ``"none"``, ``"equal"`` or ``"usage"``.
    #[getter]
    fn idle_share(&self) -> &'static str {
        self.inner.idle_share.as_str()
    }

    /// Which sources are in use.
    #[getter]
    fn sources(&self, py: Python<'_>) -> PyResult<Py<Sources>> {
        Sources::new(py, &self.inner.sources)
    }

    /// What could not be had in the last interval, a line each; empty when all was.
    #[getter]
    fn complaints(&self) -> Vec<String> {
        self.inner.complaints()
    }

    /// Wall and CPU seconds that taking the sample cost.
    #[getter]
    fn cost(&self) -> BTreeMap<&'static str, f64> {
        let cost = self.inner.cost;
        BTreeMap::from([
            ("wall_seconds", cost.wall.as_secs_f64()),
            ("cpu_seconds", cost.cpu.as_secs_f64()),
        ])
    }

    /// Tasks seen, exit records received and lost, and steps refused, since the monitor started.
    #[getter]
    fn stats(&self) -> BTreeMap<&'static str, u64> {
        let stats = self.inner.stats;
        BTreeMap::from([
            ("tasks", stats.tasks),
            ("exit_records", stats.exit_records),
            ("exit_records_dropped", stats.exit_records_dropped),
            ("exit_records_lost", stats.exit_records_lost),
            ("pending_expired", stats.pending_expired),
            ("refused", stats.refused),
        ])
    }

    /// The same figures as plain dictionaries, lists, strings and numbers.
    fn to_dict<'py>(slf: &Bound<'py, Self>) -> PyResult<BTreeMap<&'static str, Bound<'py, PyAny>>> {
        let figures = [
            "sequence",
            "time",
            "interval",
            "node",
            "processes",
            "containers",
            "pods",
            "vms",
            "ended",
            "idle_split",
            "idle_share",
            "sources",
            "complaints",
            "cost",
            "stats",
        ];
        figures
            .into_iter()
            .map(|name| Ok((name, plain(slf.getattr(name)?)?)))
            .collect()
    }

    /// The processes as a pandas frame, a row each; figures by domain are columns such as ``joules_package``.
    #[pyo3(signature = () -> "Any")]
    fn to_pandas<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py()
            .import("pandas")?
            .getattr("DataFrame")?
            .call1((columns(slf)?,))
    }

    /// The processes as an Arrow table, with the columns of ``to_pandas``.
    #[pyo3(signature = () -> "Any")]
    fn to_arrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py()
            .import("pyarrow")?
            .getattr("table")?
            .call1((columns(slf)?,))
    }

    fn __repr__(&self) -> String {
        let snapshot = &self.inner;
        let power = snapshot
            .node
            .domains
            .iter()
            .filter_map(|d| Some(format!(", {} {}", d.domain, d.power?.total)));
        format!(
            "Snapshot({}, {} processes, {} containers{})",
            snapshot.sequence,
            snapshot.processes.len(),
            snapshot.containers.len(),
            power.collect::<String>()
        )
    }
}

fn columns<'py>(snapshot: &Bound<'py, Snapshot>) -> PyResult<Bound<'py, PyAny>> {
    snapshot
        .py()
        .import("kepler._frames")?
        .getattr("columns")?
        .call1((snapshot,))
}

fn cached<T, R>(
    py: Python<'_>,
    cell: &PyOnceLock<Vec<Py<R>>>,
    from: &[T],
    convert: impl Fn(&T) -> R,
) -> PyResult<Vec<Py<R>>>
where
    R: pyo3::PyClass + Into<PyClassInitializer<R>>,
{
    let records = cell.get_or_try_init(py, || {
        from.iter()
            .map(|item| Py::new(py, convert(item)))
            .collect::<PyResult<_>>()
    })?;
    Ok(records.iter().map(|record| record.clone_ref(py)).collect())
}

impl Node {
    fn new(py: Python<'_>, snapshot: &core::Snapshot) -> PyResult<Py<Self>> {
        let node = &snapshot.node;
        let domains = node
            .domains
            .iter()
            .map(|d| Ok((d.domain.as_str(), DomainEnergy::new(py, d)?)))
            .collect::<PyResult<_>>()?;
        Py::new(
            py,
            Self {
                zones: node
                    .zones
                    .iter()
                    .map(|zone| Zone::new(py, zone))
                    .collect::<PyResult<_>>()?,
                domains,
                cpus: node.usage.cpus,
                busy_ratio: node.busy_ratio,
                busy_seconds: node.busy.as_secs_f64(),
                unexplained_ratio: node.unexplained_ratio,
                counters: counts(&node.counters, snapshot.collected),
            },
        )
    }
}

impl Zone {
    fn new(py: Python<'_>, from: &core::ZoneSnapshot) -> PyResult<Py<Self>> {
        let power = from.power;
        Py::new(
            py,
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
                failures: from.failures,
                refused: from.refused,
                ambiguous: from.ambiguous,
                provenance: Provenance::new(py, &from.provenance)?,
            },
        )
    }
}

impl DomainEnergy {
    fn new(py: Python<'_>, from: &core::DomainSnapshot) -> PyResult<Py<Self>> {
        let power: Option<Split<Watts>> = from.power;
        Py::new(
            py,
            Self {
                joules: from.energy.total.0,
                active_joules: from.energy.active.0,
                idle_joules: from.energy.idle.0,
                watts: power.map(|p| p.total.0),
                active_watts: power.map(|p| p.active.0),
                idle_watts: power.map(|p| p.idle.0),
                residual: residual(&from.residual),
                idle_residual: from.idle_residual.0,
                provenance: Provenance::new(py, &from.provenance)?,
            },
        )
    }
}

impl Process {
    fn new(snapshot: &core::Snapshot, from: &core::ProcessSnapshot) -> Self {
        let (process, workload, usage) = (&from.process, &from.workload, &from.usage);
        Self {
            pid: process.key.pid,
            start_seconds: std::time::Duration::from_nanos(process.key.start_ns).as_secs_f64(),
            comm: process.comm.to_string(),
            exe: text(process.exe.as_ref()),
            command: text(process.command.as_ref()),
            cgroup: text(process.cgroup.as_ref()),
            container: workload.container.as_ref().map(|c| c.id.to_string()),
            pod: workload.pod.as_ref().map(|pod| pod.uid.to_string()),
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

impl Pod {
    fn new(snapshot: &core::Snapshot, from: &core::PodSnapshot) -> Self {
        let (pod, usage) = (&from.pod, &from.usage);
        Self {
            uid: pod.uid.to_string(),
            name: text(pod.name.as_ref()),
            namespace: text(pod.namespace.as_ref()),
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
        Self {
            container: from.container.as_ref().map(|c| c.id.to_string()),
            comm: from.comm.to_string(),
            count: from.count,
            cpu_seconds: cpu_seconds(&from.usage.counters),
            joules: by_domain(snapshot, &from.usage, |e| Some(e.joules.0)),
            idle_joules: by_domain(snapshot, &from.usage, |e| Some(e.idle.0)),
            counters: counts(&from.usage.counters, snapshot.collected),
        }
    }
}

impl Note {
    pub(crate) fn new(py: Python<'_>, from: &kepler_core::Note) -> PyResult<Py<Self>> {
        let record = Self {
            part: from.part.clone(),
            active: from.active,
            why: from.why.clone(),
            hint: from.hint.clone(),
        };
        Py::new(py, record)
    }
}

impl Sources {
    pub(crate) fn new(py: Python<'_>, from: &core::Sources) -> PyResult<Py<Self>> {
        Py::new(
            py,
            Self {
                energy: from.energy.clone(),
                usage: from.usage.clone(),
                notes: from
                    .notes
                    .iter()
                    .map(|note| Note::new(py, note))
                    .collect::<PyResult<_>>()?,
                report: from.to_string(),
            },
        )
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
    named.map(|c| (c.as_str(), counters.get(*c))).collect()
}

fn residual(from: &Residual) -> BTreeMap<&'static str, f64> {
    BTreeMap::from([
        ("unnamed", from.unnamed.0),
        ("lost", from.lost.0),
        ("interrupts", from.interrupts.0),
        ("refused", from.refused.0),
        ("unexplained", from.unexplained.0),
    ])
}

fn cpu_seconds(counters: &Counters) -> f64 {
    std::time::Duration::from_nanos(counters.cpu_ns).as_secs_f64()
}

fn text(from: Option<&Arc<str>>) -> Option<String> {
    from.map(|text| text.to_string())
}
